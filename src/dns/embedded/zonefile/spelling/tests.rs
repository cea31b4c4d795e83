use proptest::prelude::*;

use super::*;

#[test]
fn each_field_has_a_text_that_is_read_back() {
    for (rtype, octets, text) in [
        (46, &b"\0\x01\x08\x02\0\0\x0e\x10\x70\xdb\xd8\x80\xff\xff\xff\xff\x04\xd2\x01E\0\x01"[..],
         "A 8 2 3600 20300101000000 21060207062815 1234 E. AQ=="),
        (16, b"\x05a\"\\\0 \0", r#""a\"\\\000 " """#),
        (50, b"\x01\x01\0\x0c\0\x14\x17\x4e\xb2\x40\x9f\xe2\x8b\xcb\x48\x87\xa1\x83\x6f\x95\x7f\x0a\x84\x25\xe2\x7b\0\x06\x40\0\0\0\0\x02",
         "1 1 12 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG"),
        (29, b"\0\x33\x16\x13\x89\x17\x2d\xd0\x70\xbe\x15\xf0\0\x98\x8d\x20",
         "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m"),
        (257, b"\x80\x05issueca", r#"128 issue "ca""#),
        (28, b"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01", "0:0:0:0:0:ffff:c000:201"),
        (65, b"\0\x01\0\0\x01\0\x03\x02h2\0\x07\0\x02/\xff", r#"1 . alpn=h2 key7="/\255""#),
        (65, b"\0\x01\0\0\x01\0\x07\x04h,\\2\x01 ", r#"1 . alpn="h\\,\\\\2, ""#),
    ] {
        assert_eq!(text_of(rtype, octets).as_deref(), Some(text));
    }
    // A tag that is no word; a bitmap with a zero at its end; no octets at all.
    for (rtype, octets) in [
        (257, &b"\0\x02a-b"[..]),
        (47, b"\0\0\x02\x40\0"),
        (43, b"\0\x01\x08\x01"),
        (42, b""),
        (65280, b"\x01"),
    ] {
        assert_eq!(text_of(rtype, octets), None, "{rtype} {octets:?}");
    }
}

#[test]
fn seconds_become_the_time_that_is_read_as_them() {
    for seconds in [0, 951_825_600, 951_868_799, 1_893_456_000, 4_107_542_399, 4_107_542_400, u32::MAX] {
        assert_eq!(crate::dns::embedded::zonefile::text::time(&time(seconds)), Some(seconds));
    }
}

/// Well-formed data of a field, of which some needs escapes.
fn field(field: Field) -> BoxedStrategy<Vec<u8>> {
    let some = |least: usize, most: usize| prop::collection::vec(any::<u8>(), least..=most);
    let short = move |least| some(least, 12).prop_map(|text| [&[text.len() as u8], &text[..]].concat());
    let label = prop_oneof!["[a-zA-Z0-9_-]{1,9}".prop_map(String::into_bytes), some(1, 9)];
    let name = prop::collection::vec(label, 0..4).prop_map(|labels| {
        let labels = labels.into_iter().flat_map(|label| [vec![label.len() as u8], label].concat());
        labels.chain([0]).collect::<Vec<u8>>()
    });
    let chunks = |values: BoxedStrategy<Vec<u8>>, wide: bool| {
        prop::collection::btree_map(0..12_u8, values, 0..4).prop_map(move |chunks| {
            let head = |length: usize| if wide { vec![0, length as u8] } else { vec![length as u8] };
            let key = |key: u8| if wide { vec![0, key] } else { vec![key] };
            chunks.into_iter().flat_map(|(k, v)| [key(k), head(v.len()), v].concat()).collect::<Vec<u8>>()
        })
    };
    match field {
        Field::U8 | Field::Algorithm => some(1, 1).boxed(),
        Field::U16 | Field::Type | Field::Certificate => some(2, 2).boxed(),
        Field::U32 | Field::Ipv4 | Field::Time | Field::Duration => some(4, 4).boxed(),
        Field::Ipv6 => some(16, 16).boxed(),
        Field::Groups => some(8, 8).boxed(),
        Field::Pairs(count) => some(count, count).boxed(),
        Field::Name => name.boxed(),
        Field::Text | Field::Salt | Field::Hash => short(0).boxed(),
        Field::TextOrNone => prop_oneof![short(0), Just(Vec::new())].boxed(),
        Field::Texts => prop::collection::vec(short(0), 1..4).prop_map(|texts| texts.concat()).boxed(),
        Field::TextToEnd | Field::Hex | Field::Base64 | Field::Base64OrNone | Field::Opaque => {
            some(0, 40).boxed()
        }
        Field::Dotted => some(1, 20).boxed(),
        Field::Types => chunks(some(1, 32).boxed(), false).boxed(),
        Field::Params => chunks(prop_oneof![some(0, 16), short(1)].boxed(), true).boxed(),
        Field::Location => some(15, 15).prop_map(|rest| [&[0], &rest[..]].concat()).boxed(),
        Field::Prefixes => prop::collection::vec((1..3_u8, any::<u8>(), any::<bool>(), some(0, 4)), 0..4)
            .prop_map(|items| {
                let item = |(family, length, negated, octets): (u8, u8, bool, Vec<u8>)| {
                    [vec![0, family, length, u8::from(negated) << 7 | octets.len() as u8], octets].concat()
                };
                items.into_iter().flat_map(item).collect()
            })
            .boxed(),
        Field::HostIdentity => (some(0, 9), any::<u8>(), some(0, 9), prop::collection::vec(name, 0..3))
            .prop_map(|(identity, algorithm, key, servers)| {
                let head = vec![identity.len() as u8, algorithm, 0, key.len() as u8];
                [head, identity, key, servers.concat()].concat()
            })
            .boxed(),
        Field::Gateway | Field::Relay => {
            let place = prop_oneof![
                Just(vec![0]),
                some(4, 4).prop_map(|address| [vec![1], address].concat()),
                some(16, 16).prop_map(|address| [vec![2], address].concat()),
                name.prop_map(|name| [vec![3], name].concat()),
            ];
            let relay = field == Field::Relay;
            (any::<u8>(), any::<u8>(), place, some(0, 9))
                .prop_map(move |(precedence, octet, place, key)| {
                    if relay {
                        [vec![precedence, octet & 0x80 | place[0]], place[1..].to_vec()].concat()
                    } else {
                        [vec![precedence, place[0], octet], place[1..].to_vec(), key].concat()
                    }
                })
                .boxed()
        }
    }
}

/// Well-formed data of any type that is known.
fn data() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let types: Vec<u16> = (0..=u16::MAX).filter(|rtype| rdata::fields(*rtype).is_some()).collect();
    prop::sample::select(types).prop_flat_map(|rtype| {
        let fields: Vec<_> = rdata::fields(rtype).unwrap_or_default().iter().map(|f| field(*f)).collect();
        fields.prop_map(move |fields| (rtype, fields.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_data_is_read_back((rtype, octets) in data()) {
        prop_assert!(rdata::is_well_formed(rtype, &octets));
        let text = text_of(rtype, &octets);
        if let Some(text) = &text {
            prop_assert!(reads_as(rtype, text, &octets), "{text}");
            prop_assert!(text.bytes().all(|octet| matches!(octet, b' '..=b'~')), "{text}");
        }
        // What is written is not the generic form without need.
        let fields = rdata::fields(rtype).unwrap_or_default();
        let plain = |field: &Field| !matches!(field, Field::Opaque | Field::Types | Field::Params | Field::Location
            | Field::Prefixes | Field::HostIdentity | Field::Hash | Field::Hex | Field::Base64);
        prop_assert!(text.is_some() || rtype == 257 || !fields.iter().all(plain), "{rtype} {octets:?}");
    }
}
