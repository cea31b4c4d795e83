use super::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn asn(number: u32) -> Asn {
    Asn::try_from(number).unwrap()
}

fn vrp(prefix: &str, max_length: u8, asn: u32) -> Vrp {
    Vrp { prefix: net(prefix), max_length, asn }
}

fn validity(prefix: &str, vrps: &[Vrp]) -> Validity {
    Verdict::of(net(prefix), asn(64500), &vrps.iter().copied().collect()).validity
}

#[test]
fn validity_is_that_of_rfc_6811() {
    let exact = vrp("192.0.2.0/24", 24, 64500);
    for (vrps, expected) in [
        (&[][..], Validity::NotFound),
        (&[exact], Validity::Valid),
        (&[vrp("192.0.0.0/16", 24, 64500)], Validity::Valid),
        (&[vrp("192.0.0.0/16", 23, 64500)], Validity::Invalid),
        (&[vrp("192.0.2.0/24", 24, 64511)], Validity::Invalid),
        (&[vrp("192.0.2.0/24", 24, 0)], Validity::Invalid),
        // One that permits outweighs all that do not.
        (&[vrp("192.0.2.0/24", 24, 0), vrp("192.0.0.0/16", 16, 64500), exact], Validity::Valid),
        // Only a longer prefix, a neighbouring one, or one of the other family.
        (&[vrp("192.0.2.0/25", 25, 64500)], Validity::NotFound),
        (&[vrp("192.0.3.0/24", 24, 64500)], Validity::NotFound),
        (&[vrp("::/0", 128, 64500)], Validity::NotFound),
    ] {
        assert_eq!(validity("192.0.2.0/24", vrps), expected, "{vrps:?}");
    }
    assert_eq!(validity("2001:db8:53::/48", &[vrp("2001:db8::/32", 48, 64500)]), Validity::Valid);
    assert_eq!(validity("2001:db8:53::/48", &[vrp("2001:db8::/32", 47, 64500)]), Validity::Invalid);
}

#[test]
fn each_mismatch_has_its_reason() {
    let vrps = [
        vrp("192.0.0.0/16", 23, 64500),
        vrp("192.0.2.0/24", 24, 0),
        vrp("192.0.2.0/24", 24, 64511),
        vrp("192.0.2.0/24", 24, 64500),
    ];
    let verdict = Verdict::of(net("192.0.2.0/24"), asn(64500), &BTreeSet::from(vrps));
    assert_eq!(
        verdict.mismatches().collect::<Vec<_>>(),
        [
            "192.0.0.0/16-23 AS64500 ends at maxLength 23",
            "192.0.2.0/24-24 AS0 lets nobody originate it",
            "192.0.2.0/24-24 AS64511 is of another AS",
        ]
    );
    assert_eq!(verdict.permitting().collect::<Vec<_>>(), [&vrps[3]]);
}

#[test]
fn a_max_length_is_loose_unless_everything_it_permits_is_announced() {
    let announced = [net("192.0.2.0/24")];
    assert!(!vrp("192.0.2.0/24", 24, 64500).is_loose(&announced));
    assert!(vrp("192.0.2.0/24", 25, 64500).is_loose(&announced));
    assert!(vrp("192.0.2.0/23", 24, 64500).is_loose(&announced));
    let all = ["192.0.2.0/23", "192.0.2.0/24", "192.0.3.0/24"].map(net);
    assert!(!vrp("192.0.2.0/23", 24, 64500).is_loose(&all));
    assert!(vrp("192.0.2.0/23", 24, 64500).is_loose(&all[1..]));
    assert!(vrp("::/0", 128, 64500).is_loose(&[net("2001:db8::/32")]));
}

/// The shapes that validators write, from their documentation.
#[test]
fn every_validators_export_is_read() {
    for text in [
        // Routinator's json.
        r#"{"metadata": {"generated": 1700000000, "generatedTime": "2023-11-14T22:13:20Z"},
            "roas": [{"asn": "AS64500", "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe"}],
            "routerKeys": [], "aspas": []}"#,
        // Its jsonext.
        r#"{"roas": [{"asn": "AS64500", "prefix": "192.0.2.0/24", "maxLength": 24, "source": [{"type": "roa",
            "uri": "rsync://rpki.example/a.roa", "validity": {"notBefore": "2023-01-01T00:00:00Z"}}]}]}"#,
        // rpki-client's.
        r#"{"metadata": {"buildmachine": "a", "roas": 1}, "roas": [{"asn": 64500, "prefix": "192.0.2.0/24",
            "maxLength": 24, "ta": "ripe", "expires": 1700000000}], "bgpsec_keys": []}"#,
        // OctoRPKI's.
        r#"{"metadata": {"counts": 1, "valid": 1700000000}, "roas": [{"prefix": "192.0.2.0/24", "maxLength": 24,
            "asn": "AS64500", "ta": "RIPE", "emitted": 1}]}"#,
        // Without maxLength, as a ROA may be.
        r#"{"roas": [{"asn": 64500, "prefix": "192.0.2.0/24"}]}"#,
    ] {
        let vrps = read(text.as_bytes(), &[net("192.0.2.0/24")]).unwrap();
        assert_eq!(Vec::from_iter(vrps), [vrp("192.0.2.0/24", 24, 64500)], "{text}");
    }
}

#[test]
fn only_what_covers_a_prefix_of_ours_is_kept() {
    let entry =
        |n: u32| format!(r#"{{"asn":{n},"prefix":"10.{}.{}.0/24","maxLength":24}}"#, n / 256, n % 256);
    let list: Vec<String> = (1..20_000).map(entry).collect();
    let ours = r#"{"asn":0,"prefix":"192.0.0.0/16","maxLength":16}"#;
    let text = format!(r#"{{"roas":[{},{ours}]}}"#, list.join(","));
    let vrps = read(text.as_bytes(), &[net("192.0.2.0/24")]).unwrap();
    assert_eq!(Vec::from_iter(vrps), [vrp("192.0.0.0/16", 16, 0)]);
}

#[test]
fn what_is_no_export_says_where_and_what_was_expected() {
    let long = format!(r#"{{"roas": [{{"asn": "{}"}}]}}"#, "9".repeat(100_000));
    for (text, place, expected) in [
        ("", (1, 0), "EOF while parsing a value"),
        (
            "[]",
            (1, 1),
            "invalid type: sequence, expected a validator's export: an object with the key `roas`",
        ),
        ("{}", (1, 2), "no key `roas`; expected a validator's export: an object with the key `roas`"),
        (
            "{\"roas\": []}",
            (1, 11),
            "`roas` is empty; expected the export of a validator that has finished a run",
        ),
        ("{\"roas\": 7}", (1, 11), "invalid type: integer `7`, expected a list of VRPs"),
        (
            "{\"roas\": [\n  {\"asn\": -1}]}",
            (2, 13),
            "invalid type: integer `-1`, expected an AS number, as 64496 or \"AS64496\"",
        ),
        (
            "{\"roas\": [\n  {\"asn\": \"AS+1\"}]}",
            (2, 16),
            "\"AS+1\" is not an AS number, as 64496 or \"AS64496\"",
        ),
        (
            "{\"roas\": [\n  {\"asn\": 1, \"prefix\": \"192.0.2.1/24\"}]}",
            (2, 37),
            "\"192.0.2.1/24\" is not a prefix, such as \"192.0.2.0/24\"",
        ),
        ("{\"roas\": [{\"asn\": 1}]}", (1, 20), "missing field `prefix`"),
        (
            "{\"roas\": [{\"asn\": 1, \"prefix\": \"192.0.2.0/24\", \"maxLength\": 23}]}",
            (1, 64),
            "maxLength 23 for 192.0.2.0/24; expected 24 to 32",
        ),
        ("{\"roas\": [{\"asn\": 1, \"prefix\": \"::/0\"}", (1, 38), "EOF while parsing a list"),
        ("{\"roas\": [{\"asn\": 1, \"prefix\": \"::/0\"}]} x", (1, 42), "trailing characters"),
        (
            "{\"roas\": [{\"asn\": 1, \"prefix\": \"::/0\"}], \"roas\": [{\"asn\": 1, \"prefix\": \"::/0\"}]}",
            (1, 80),
            "a second key `roas`; expected one",
        ),
        (&long, (1, 100_020), "is not an AS number"),
    ] {
        let error = read(text.as_bytes(), &[]).unwrap_err();
        let shown: String = text.chars().take(80).collect();
        let message = error.to_string();
        assert!(message.contains(expected), "{shown}: {message}");
        assert_eq!((error.line(), error.column()), place, "{shown}: {message}");
        assert!(message.len() < 400);
    }
}
