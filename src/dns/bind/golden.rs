//! What is written for BIND, beside the files that are kept of it, and what BIND's own checker says to them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::dns::NameServerConfig;
use crate::dns::external::testing::{compare, config, setup, zones};
use crate::keyring::Secret;

const FOLDER: &str = "/var/lib/shoestring-daemons/bind";

fn place() -> Place {
    Place { folder: FOLDER.into(), local: "127.53.0.1:53".parse().unwrap(), user: None }
}

fn bind(version: Version) -> Bind {
    let [address, statistics] = ["127.53.0.1:953", "127.53.0.1:8053"].map(|at| at.parse().unwrap());
    let control = Control { address, statistics, secret: Secret::new(vec![b'c'; 32]) };
    let [named, checkconf, nzd2nzf] = ["named", "named-checkconf", "named-nzd2nzf"].map(PathBuf::from);
    Bind { place: place(), version, control: control.into(), named, checkconf, nzd2nzf }
}

fn statements(bind: &Bind, setup: &Setup<'_>) -> String {
    zones().iter().map(|zone| format!("zone {}\n", bind.statement(setup, zone).unwrap())).collect()
}

#[tokio::test]
async fn what_is_written_is_what_was_kept_and_the_checker_likes_it() {
    let (place, config) = (place(), config(NameServerKind::Bind));
    let (bind, setup) = (bind(Version(9, 18, 49)), setup(&place, &config));
    let files = bind.render(&setup).unwrap();
    for file in &files {
        compare(&format!("bind.{}", file.name), &file.text);
    }
    let statements = statements(&bind, &setup);
    compare("bind.zones", &statements);
    let Some(checkconf) = find_program("named-checkconf") else {
        assert!(std::env::var_os("CI").is_none(), "named-checkconf is missing, and in CI nothing is skipped");
        eprintln!("skipped: named-checkconf is not installed");
        return;
    };
    // The checker wants the folders to be there.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let text = format!("{}{statements}", files[0].text).replace(FOLDER, &folder.path().display().to_string());
    let path = folder.path().join("named.conf");
    fs::write(&path, &text).unwrap();
    let said = tool::run(&checkconf, [&path], b"", PATIENCE).await.unwrap();
    assert!(said.text().is_empty() && said.errors.is_empty(), "{said:?}");
    fs::write(&path, text.replace("slip 2", "slip 99")).unwrap();
    let refused = tool::run(&checkconf, [&path], b"", PATIENCE).await.unwrap_err().to_string();
    assert!(refused.contains("slip"), "{refused}");
}

#[test]
fn a_later_version_has_no_lock_file() {
    let (place, config) = (place(), config(NameServerKind::Bind));
    let setup = setup(&place, &config);
    let text = |version| bind(version).render(&setup).unwrap()[0].text.clone();
    let (before, after) = (text(Version(9, 18, 49)), text(Version(9, 20, 0)));
    assert_eq!(before.replace("\tlock-file none;\n", ""), after);
    assert_ne!(before, after);
    assert_eq!(before, text(Version(9, 16, 50)));
}

#[test]
fn without_anything_optional_nothing_is_limited_and_no_cookie_made() {
    let place = place();
    let config = NameServerConfig { rate_limit: None, listen: [].into(), ..config(NameServerKind::Bind) };
    let setup = Setup { place: &place, config: &config, keys: BTreeMap::new(), cookie: None };
    let text = bind(Version(9, 18, 49)).render(&setup).unwrap()[0].text.clone();
    assert!(!text.contains("rate-limit") && !text.contains("cookie-secret"));
    assert!(text.contains("\tanswer-cookie no;\n"));
    assert!(text.contains("\tlisten-on port 53 { 127.53.0.1; };\n\tlisten-on-v6 { none; };\n"));
}

#[test]
fn a_form_is_what_the_daemon_keeps_and_no_change_escapes_it() {
    let (place, config) = (place(), config(NameServerKind::Bind));
    let (bind, setup) = (bind(Version(9, 18, 49)), setup(&place, &config));
    let secrets = conf::secrets(&bind.render(&setup).unwrap()[0].text);
    assert_eq!(secrets.len(), 3);
    let listed = statement::zones(&statements(&bind, &setup), &secrets);
    assert_eq!(listed.len(), zones().len());
    for zone in zones() {
        assert_eq!(listed[&zone.name], bind.form(&zone));
    }
    // As BIND 9.18 words it.
    let kept = "zone \"edge.example\" { type secondary; file \"/var/lib/shoestring-daemons/bind/data/edge.example.zone\"; \
                primaries { 203.0.113.1 port 53; 203.0.113.2 port 53; }; allow-transfer  { 127.53.0.1/32; }; \
                transfer-source 203.0.113.9; };\n";
    let form = |text: &str| statement::zones(text, &secrets).into_values().next().unwrap();
    assert_eq!(form(kept), bind.form(&zones()[2]));
    for (what, instead) in [
        ("port 53; }", "port 54; }"),
        ("203.0.113.1 port 53; 203.0.113.2", "203.0.113.2 port 53; 203.0.113.1"),
        ("port 53; }", "port 53 key \"alpha.example\"; }"),
        ("transfer-source 203.0.113.9;", ""),
        ("allow-transfer  {", "allow-transfer { !"),
        ("; };\n", "; max-records 7; };\n"),
        ("\" {", "\" CH {"),
    ] {
        assert!(kept.contains(what));
        assert_ne!(form(&kept.replacen(what, instead, 1)), form(kept), "{instead}");
    }
    // A key of another name under the same secret is a change, too.
    let signed = statements(&bind, &setup).lines().nth(3).unwrap().to_owned();
    assert_ne!(form(&signed.replace("alpha.example", "beta.example")), form(&signed));
    assert_eq!(statement::zones("zone \"broken { x", &secrets), BTreeMap::new());
}

#[test]
fn a_key_that_cannot_be_read_is_named() {
    let (place, config) = (place(), config(NameServerKind::Bind));
    let mut setup = setup(&place, &config);
    setup.keys.remove(&"beta".parse::<SecretName>().unwrap());
    let bind = bind(Version(9, 18, 49));
    let given = zones().iter().map(|zone| bind.statement(&setup, zone)).collect::<Vec<_>>();
    assert_eq!(given.iter().filter(|given| given.is_ok()).count(), 4);
    assert_eq!(given[1].as_ref().unwrap_err(), "a/b.*.example: the TSIG key beta cannot be read");
    let alpha = setup.keys[&"alpha".parse::<SecretName>().unwrap()].clone();
    setup.keys.insert("omega".parse().unwrap(), alpha);
    let why = bind.render(&setup).map(drop).unwrap_err();
    assert_eq!(why, "the secrets alpha and omega both hold a TSIG key called alpha.example");
}
