//! What is said to Knot, beside the file that is kept of it, and what Knot's own checker says to it.

use std::collections::BTreeSet;

use super::*;
use crate::dns::external::testing::{compare, config, setup, zones};
use crate::names::SecretName;

const FOLDER: &str = "/var/lib/shoestring-daemons/knot";

fn place() -> Place {
    Place { folder: FOLDER.into(), local: "127.53.0.1:53".parse().unwrap(), user: None }
}

/// The whole as one file, which is how Knot's checker wants it.
fn whole(setup: &Setup<'_>) -> String {
    let mut items = items::server(setup).unwrap();
    for zone in zones() {
        Group::of(setup, &zone).unwrap().add_to(&mut items);
    }
    let mut text = items.by_section().text() + "zone:\n";
    for zone in zones() {
        let (name, template) = (zone.name.to_string().replace('\\', "\\\\"), Group::id(setup.place, &zone));
        let file = crate::dns::external::zone_file_name(&zone.name);
        let _ = writeln!(text, "  - domain: \"{name}\"\n    template: \"{template}\"\n    file: \"{file}\"");
    }
    text
}

#[tokio::test]
async fn what_is_said_is_what_was_kept_and_the_checker_likes_it() {
    let (place, config) = (place(), config(NameServerKind::Knot));
    let setup = setup(&place, &config);
    let text = whole(&setup);
    compare("knot.conf", &text);
    let Some(knotc) = find_program("knotc") else {
        assert!(std::env::var_os("CI").is_none(), "knotc is missing, and in CI nothing is skipped");
        eprintln!("skipped: knotc is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("knot.conf");
    let check = async |text: &str| {
        fs::write(&path, text).unwrap();
        tool::run(&knotc, ["-c".as_ref(), path.as_os_str(), "conf-check".as_ref()], b"", PATIENCE).await
    };
    check(&text).await.unwrap();
    let refused =
        check(&text.replace("action: \"transfer\"", "action: \"steal\"")).await.unwrap_err().to_string();
    assert!(refused.contains("steal") || refused.contains("action"), "{refused}");
}

#[test]
fn what_the_daemon_shows_is_understood() {
    let (place, config) = (place(), config(NameServerKind::Knot));
    let setup = setup(&place, &config);
    let items = items::server(&setup).unwrap();
    let shown: BTreeSet<(String, String)> = items.shown();
    assert_eq!(items.changes_from(&shown), (String::new(), false), "nothing is to be changed");
    let mut other = shown.clone();
    other.insert(("server.tcp-workers".into(), "7".into()));
    other.remove(&("server.identity".to_owned(), "ams1".to_owned()));
    other.insert(("server.identity".into(), "other".into()));
    let (commands, restart) = items.changes_from(&other);
    assert_eq!(
        commands,
        "conf-unset server.tcp-workers\nconf-unset server.identity\nconf-set server.identity \"ams1\"\n"
    );
    assert!(!restart);
    other.retain(|(key, _)| key != "server.listen");
    assert!(items.changes_from(&other).1, "addresses count only after a restart");

    let zone = &zones()[0];
    let shown = format!(
        "zone.domain = ours.example.\nzone[ours.example.].template = {}\nzone[ours.example.].file = ours.example.zone\n",
        Group::id(&place, zone)
    );
    assert_eq!(items::zones(&shown)[&zone.name], items::form(&place, zone));
    let more = format!("{shown}zone[ours.example.].semantic-checks = on\n");
    assert_ne!(items::zones(&more)[&zone.name], items::form(&place, zone));
    assert_eq!(items::unset_others(&more), "conf-unset zone[ours.example.].semantic-checks\n");
}

#[test]
fn a_key_that_cannot_be_read_is_named() {
    let (place, config) = (place(), config(NameServerKind::Knot));
    let mut setup = setup(&place, &config);
    setup.keys.remove(&"beta".parse::<SecretName>().unwrap());
    let faults: Vec<String> =
        zones().iter().filter_map(|zone| Group::of(&setup, zone).map(drop).err()).collect();
    assert_eq!(faults, ["a/b.*.example: the TSIG key beta cannot be read"]);
}
