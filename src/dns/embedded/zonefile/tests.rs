use proptest::prelude::*;

use super::*;

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

const HEAD: &str = "$TTL 3600\n@ SOA ns hostmaster 1 2h 30m 30d 1h\n@ NS ns\nns A 192.0.2.53\n";

/// The findings of a zone of the usual head and these lines; their lines count from the head's end.
fn findings(lines: &str) -> Vec<(u32, u32, String)> {
    let found = read("zones/a/example.zone", &format!("{HEAD}{lines}"), &name("example"), None);
    let place = |finding: Finding| {
        let position = finding.position.unwrap_or(Position { line: 4, column: 0 });
        (
            position.line.saturating_sub(4),
            position.column,
            format!("{} | {}", finding.message, finding.hint.unwrap_or_default()),
        )
    };
    found.err().unwrap_or_default().into_iter().map(place).collect()
}

fn zone(lines: &str) -> Zone {
    read("example.zone", &format!("{HEAD}{lines}"), &name("example"), None)
        .unwrap_or_else(|found| panic!("{lines}: {found:?}"))
}

/// Type, TTL and data of a name's records.
fn records(zone: &Zone, owner: &str) -> Vec<(u16, u32, Vec<u8>)> {
    let sets = zone.rrsets().filter(|set| set.owner() == name(owner));
    sets.flat_map(|set| set.rdatas().map(move |data| (set.rtype(), set.ttl(), data.to_vec()))).collect()
}

#[test]
fn owners_ttls_and_classes_are_inherited() {
    let zone = zone(
        "a 60 IN A 192.0.2.1\n\
         \tIN 1m AAAA 2001:db8::1 ; white space stands for a\n\
         \x20 TXT ( one ; the first\n\
         \x20   \"two ; (\" )\r\n\
         $ORIGIN sub.example.\n\
         A A 192.0.2.2\n\
         @ in mx 10 a.example.\n\
         $TTL 1h30m\n\
         b.EXAMPLE. CLASS1 CNAME a\n",
    );
    let a = records(&zone, "a.example");
    assert_eq!(a[0], (1, 60, vec![192, 0, 2, 1]));
    assert_eq!(a[1], (16, 3600, b"\x03one\x07two ; (".to_vec()));
    assert_eq!((a[2].0, a[2].1), (28, 60));
    assert_eq!(records(&zone, "a.sub.example")[0], (1, 3600, vec![192, 0, 2, 2]));
    assert_eq!(records(&zone, "sub.example")[0], (15, 3600, b"\0\x0a\x01a\x07example\0".to_vec()));
    assert_eq!(records(&zone, "b.example")[0], (5, 5400, b"\x01a\x03sub\x07example\0".to_vec()));
}

#[test]
fn the_serial_and_its_neighbours() {
    let zone = read("example.zone", HEAD, &name("example"), Some(Serial(4_000_000_000))).unwrap();
    assert_eq!(zone.serial(), Serial(4_000_000_000));
    assert_eq!(zone.soa().refresh, 7200);
    assert_eq!(zone.soa().minimum, 3600);
    assert_eq!(zone.record_count(), 3);
}

#[test]
fn without_ttl_the_minimum_of_the_soa_counts() {
    let text = "@ SOA ns hostmaster 1 2 3 4 77\n NS ns\nns A 192.0.2.1\na 5 A 192.0.2.1\nb A 192.0.2.1";
    let zone = read("example.zone", text, &name("example"), None).unwrap();
    assert!(zone.rrsets().take(2).all(|set| set.ttl() == 77));
    // The last one written out counts from then on.
    assert_eq!(records(&zone, "b.example")[0].1, 5);
    let text = "@ NS ns\nns A 192.0.2.1\n@ SOA ns hostmaster 1 2 3 4 77\n";
    let found = read("example.zone", text, &name("example"), None).unwrap_err();
    assert!(found.iter().all(|finding| finding.message.contains("no TTL")), "{found:?}");
    assert_eq!(found.len(), 2);
}

/// Each in its own syntax and in the generic one (RFC 3597): the octets must be the same.
#[test]
fn every_type_is_read() {
    for (typed, generic) in [
        ("PTR Host", "PTR \\# 14 04486f7374076578616d706c6500"),
        ("TXT \"a b\" c\\100\\\"", "TXT \\# 8 03612062 03636422"),
        ("SRV 1 2 443 .", "TYPE33 \\# 7 0001000201bb 00"),
        ("HINFO ARM64 Linux", "HINFO \\# 12 0541524d3634 054c696e7578"),
        ("RP . .", "RP \\# 2 0000"),
        (
            "NAPTR 1 2 u E2U+sip \"!^.*$!sip:a@example!\" .",
            "NAPTR \\# 36 00010002 0175 074532552b736970 14215e2e2a24217369703a61406578616d706c6521 00",
        ),
        (
            "DS 60485 5 1 2BB183AF 5F22588179A53B0A98631FAD1A292118",
            "DS \\# 24 ec45 05 01 2bb183af5f22588179a53b0a98631fad1a292118",
        ),
        ("DNSKEY 257 3 8 AwEA AQ==", "DNSKEY \\# 8 0101 03 08 03010001"),
        (
            "RRSIG A 8 2 3600 20300101000000 1 1234 example. AQID",
            "RRSIG \\# 30 0001 08 02 00000e10 70dbd880 00000001 04d2 076578616d706c6500 010203",
        ),
        (
            "NSEC b A TYPE1234 MX",
            "NSEC \\# 44 0162076578616d706c6500 00 02 4001 04 1b 000000000000000000000000000000000000000000000000000020",
        ),
        (
            "NSEC3 1 1 12 aabb 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG",
            "NSEC3 \\# 36 01 01 000c 02 aabb 14 174eb2409fe28bcb4887a1836f957f0a8425e27b 0006 400000000002",
        ),
        ("NSEC3PARAM 1 0 0 -", "NSEC3PARAM \\# 5 0100000000"),
        ("TLSA 3 1 1 00ff", "TLSA \\# 5 030101 00ff"),
        ("SSHFP 4 2 123456789ABCDEF67890", "SSHFP \\# 12 0402 123456789abcdef67890"),
        ("CAA 128 issue \"ca.example;x=1\"", "CAA \\# 21 80 056973737565 63612e6578616d706c653b783d31"),
        ("URI 10 1 \"https://example/\"", "URI \\# 20 000a0001 68747470733a2f2f6578616d706c652f"),
        ("SVCB 0 other.", "SVCB \\# 9 0000 056f7468657200"),
        (
            "HTTPS 1 . port=8443 alpn=\"h2,h3\" ipv6hint=2001:db8::1 ipv4hint=192.0.2.1,192.0.2.2 mandatory=alpn no-default-alpn key667=hello",
            "HTTPS \\# 70 0001 00 0000 0002 0001 0001 0006 026832026833 0002 0000 0003 0002 20fb 0004 0008 c0000201c0000202 0006 0010 20010db8000000000000000000000001 029b 0005 68656c6c6f",
        ),
        // RFC 9460 appendix D: a comma and a backslash inside one protocol.
        (
            "SVCB 16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
            "SVCB \\# 35 0010 03666f6f076578616d706c65036f726700 0001 000c 08 665c6f6f2c626172 02 6832",
        ),
        ("CSYNC 66 3 A NS AAAA", "CSYNC \\# 12 00000042 0003 0004 60000008"),
        ("ZONEMD 1 1 1 00", "ZONEMD \\# 7 00000001 01 01 00"),
        ("CERT 1 2 3 AQ==", "CERT \\# 6 00010002 03 01"),
        ("TYPE65280 \\# 0", "TYPE65280 \\# 0"),
        ("DNSKEY 256 3 ECDSAP256SHA256 AQ==", "DNSKEY \\# 5 0100 03 0d 01"),
        ("CERT PKIX 1 RSASHA256 AQ==", "CERT \\# 6 0001 0001 08 01"),
        // RFC 1876 section 4 has these places, not their octets.
        ("LOC 42 21 54 N 71 06 18 W -24m 30m", "LOC \\# 16 00331613 89172dd0 70be15f0 00988d20"),
        ("LOC 0 S 0 W 0", "LOC \\# 16 00121613 80000000 80000000 00989680"),
        (
            "APL 1:192.168.32.0/21 !2:2001:db8::/32 1:0.0.0.0/0",
            "APL \\# 19 0001 15 03 c0a820 0002 20 84 20010db8 0001 00 00",
        ),
        ("HIP 2 0A0B AQ== r.example.", "HIP \\# 18 02 02 0001 0a0b 01 0172076578616d706c6500"),
        ("IPSECKEY 10 1 2 192.0.2.38 AQ==", "IPSECKEY \\# 8 0a 01 02 c0000226 01"),
        ("IPSECKEY 10 3 2 g.", "IPSECKEY \\# 6 0a 03 02 016700"),
        ("AMTRELAY 10 1 2 2001:db8::1", "AMTRELAY \\# 18 0a 82 20010db8000000000000000000000001"),
        ("NID 10 14:4fff:ff20:ee64", "NID \\# 10 000a 00144fffff20ee64"),
        ("EUI48 00-00-5e-00-53-2a", "EUI48 \\# 6 00005e00532a"),
        ("NSAP 0x47.0005", "NSAP \\# 3 470005"),
        ("ISDN 1", "ISDN \\# 2 0131"),
        ("KEY 49152 3 0", "KEY \\# 4 c0000300"),
        ("RESINFO qnamemin", "RESINFO \\# 9 08716e616d656d696e"),
    ] {
        let (typed, generic) = (zone(&format!("n {typed}\n")), zone(&format!("n {generic}\n")));
        assert_eq!(records(&typed, "n.example"), records(&generic, "n.example"));
    }
}

#[test]
fn faults_have_places_and_hints() {
    for (lines, line, column, part) in [
        ("a A 192.0.2.256", 1, 5, "expected an IPv4 address, not \"192.0.2.256\""),
        ("a A \"192.0.2.1\"", 1, 6, "expected an IPv4 address"),
        ("a AAAA 192.0.2.1", 1, 8, "expected an IPv6 address"),
        ("a MX mail", 1, 6, "expected a number up to 65535, not \"mail\""),
        ("a RP me@example. .", 1, 6, "an @ stands in the midst of it"),
        ("a MX 10", 1, 8, "expected a domain name, but the record ends here"),
        ("a A 192.0.2.1 192.0.2.2", 1, 15, "expected the end of the record"),
        ("a AA 192.0.2.1", 1, 3, "expected a record type, not \"AA\""),
        ("a", 1, 2, "expected a record type, but the record ends here"),
        ("a CH TXT x", 1, 3, "class CH is not served, only IN"),
        ("a ANY x", 1, 3, "class ANY"),
        ("a AXFR x", 1, 3, "expected a record type"),
        ("a TYPE252 \\# 0", 1, 3, "not a type for a zone"),
        ("a 5x A 192.0.2.1", 1, 3, "expected seconds"),
        ("a 4294967296 A 192.0.2.1", 1, 3, "expected seconds"),
        (
            "a.example.org. A 192.0.2.1",
            1,
            1,
            "a.example.org is not in the zone example | a name without a final dot",
        ),
        ("a..b A 192.0.2.1", 1, 1, "a label is empty"),
        ("é A 192.0.2.1", 1, 1, "xn--"),
        ("é\" A 192.0.2.1", 1, 2, "this string is not closed"),
        ("a TXT \"é\" \"open", 1, 11, "this string is not closed"),
        ("a TXT ( b\nb A 192.0.2.1", 1, 7, "this parenthesis is never closed"),
        ("a TXT b )", 1, 9, "this parenthesis was never opened"),
        ("$INCLUDE /etc/passwd", 1, 1, "$INCLUDE is not supported"),
        ("$GENERATE 9-1 a A 192.0.2.$", 1, 11, "expected a range, as in 1-127"),
        ("$GENERATE 1-9 a$ A 192.0.2.${1", 1, 20, "expected text with $"),
        ("$GENERATE 1-9 a$ A 192.0.2.25$", 1, 1, "expected an IPv4 address, not \"192.0.2.256\" (of \"a6"),
        ("$GENERATE 1-2147483647 a$ A 192.0.2.1", 1, 1, "octets of text"),
        ("$BOGUS", 1, 1, "is not a directive | $ORIGIN, $TTL and $GENERATE are"),
        ("$TTL", 1, 5, "expected a TTL, but the record ends here"),
        ("a TYPE65280 abcd", 1, 13, "generic form"),
        ("a TYPE65280 \\# 2 ab", 1, 13, "2 octets are announced, but 1 follow"),
        ("a TYPE65280 \\# 1 abc", 1, 13, "hexadecimal"),
        ("a A \\# 3 c00002", 1, 5, "these octets are not the data of a A record"),
        ("a SVCB 1 . alpn=h2 alpn=h3", 1, 20, "stands twice"),
        ("a SVCB 1 . mandatory=port", 1, 26, "port is mandatory"),
        ("a SVCB 1 . port=x", 1, 12, "a port, as in"),
        ("a DNSKEY 256 3 8 AQI", 1, 18, "base64"),
        ("a CNAME b\na A 192.0.2.1", 1, 1, "a.example has a CNAME record and other records"),
        ("a CNAME b\na CNAME c", 1, 1, "more than one CNAME"),
        ("a SOA a b 1 1 1 1 1", 1, 1, "is not the apex"),
        ("@ NS ns.example", 0, 1, "ns.example.example, a name server of example, does not exist"),
        ("*.c NS ns", 1, 1, "a wildcard with NS records"),
        ("@ NS w\nw CNAME ns", 0, 1, "is an alias"),
    ] {
        let found = findings(lines);
        let Some(first) = found.first() else { panic!("{lines:?} was read") };
        let apex = line == 0;
        assert!(apex || (first.0, first.1) == (line, column), "{lines:?}: {found:?}");
        assert!(first.2.contains(part), "{lines:?}: {found:?}");
    }
    let long = format!("a TXT {}", "x".repeat(256));
    assert!(findings(&long)[0].2.contains("at most 255 octets, this one has 256 | split it"));
}

#[test]
fn all_faults_come_out_together() {
    let found = findings(
        "a A x\nb A 192.0.2.1\nc MX y\n TXT \"\n..d A 192.0.2.1\n AAAA 2001:db8::1\ne TXT ok\ne CNAME f\n",
    );
    let lines: Vec<u32> = found.iter().map(|finding| finding.0).collect();
    assert_eq!(lines, [1, 3, 4, 5, 7], "{found:?}");
    let many = "a A x\n".repeat(1000);
    let found = findings(&many);
    assert_eq!(found.len(), MAX_FAULTS + 1);
    assert!(found[MAX_FAULTS].2.contains("not looked at"));
}

#[test]
fn an_empty_file_lacks_everything() {
    let found = read("example.zone", "; nothing\n", &name("example"), None).unwrap_err();
    let messages: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        messages,
        ["the zone example has no SOA record", "the zone example has no NS record at its apex"]
    );
    assert!(found.iter().all(|finding| finding.position.is_none() && finding.hint.is_some()));
}

/// What zone files are made of, and what they are not.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop_oneof![
        prop::sample::select(vec![
            "@",
            " ",
            "\t",
            "\n",
            "\r\n",
            "(",
            ")",
            "\"",
            ";",
            "\\",
            "\\#",
            "\\999",
            ".",
            "..",
            "$TTL",
            "$ORIGIN",
            "a",
            "*",
            "3600",
            "IN",
            "CH",
            "1h",
            "A",
            "AAAA",
            "NS",
            "SOA",
            "TXT",
            "MX",
            "CAA",
            "SVCB",
            "HTTPS",
            "NSEC",
            "NSEC3",
            "RRSIG",
            "DS",
            "TYPE65280",
            "TYPE1",
            "alpn=\"h2,\\\\,\"",
            "mandatory=key1",
            "192.0.2.1",
            "2001:db8::1",
            "1",
            "65535",
            "-",
            "=",
            "AQ==",
            "20300101000000",
            "é",
            "\u{feff}",
            "\0",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        "[ -~]{0,9}",
    ];
    prop::collection::vec((scrap, any::<bool>()), 0..60).prop_map(|scraps| {
        scraps.into_iter().map(|(scrap, space)| scrap + if space { " " } else { "" }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in scraps()) {
        let text = format!("{HEAD}{text}");
        match read("x", &text, &name("example"), None) {
            Ok(zone) => prop_assert!(zone.record_count() >= 3),
            Err(found) => prop_assert!(!found.is_empty()),
        }
    }

    #[test]
    fn any_fields_are_read_or_refused(number in 0_u16..300, fields in scraps()) {
        let text = format!("{HEAD}a TYPE{number} {fields}\n");
        if let Err(found) = read("x", &text, &name("example"), None) {
            prop_assert!(!found.is_empty());
        }
    }
}
