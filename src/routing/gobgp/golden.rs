//! What GoBGP is told, beside the file that is kept of it, and what its own checker says to it; and what it says.

use super::*;
use crate::routing::external::testing::{compare, config, setup};
use crate::routing::{Announcement, SessionState};

/// `None`, said aloud, where GoBGP is not installed. In CI it must be.
async fn gobgp(folder: &Path) -> Option<Gobgp> {
    let found = Gobgp::find(Place { folder: folder.to_owned(), user: None }).await;
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "gobgp is missing, and in CI nothing is skipped");
        eprintln!("skipped: gobgp is not installed");
    }
    found
}

/// Without what GoBGP cannot be told of.
fn told() -> RoutingConfig {
    let mut config = config(RoutingDaemonKind::Gobgp);
    for session in config.sessions.values_mut() {
        session.strict_role = false;
        if let Some(untold) = conf::untold(session) {
            session.communities.remove(&untold);
        }
    }
    config
}

#[tokio::test]
async fn what_is_said_is_what_was_kept_and_the_checker_likes_it() {
    let config = told();
    let file = File::render(&setup(&config));
    compare("gobgp.json", &file.text());
    assert_eq!(File::parse(&file.text()).unwrap(), file);
    let folder = tempfile::tempdir().unwrap();
    let Some(gobgp) = gobgp(folder.path()).await else { return };
    let check = async |text: &str| {
        fs::write(folder.path().join(FILE), text).unwrap();
        gobgp.check(folder.path()).await
    };
    check(&file.text()).await.unwrap();
    check(&file.for_reading(7).text()).await.unwrap();
    let refused = check(&file.text().replace("ipv4-unicast", "nonsense")).await.unwrap_err().to_string();
    assert!(refused.contains("nonsense"), "{refused}");
}

#[tokio::test]
async fn what_it_cannot_be_told_is_refused_for_that_session_alone() {
    let folder = tempfile::tempdir().unwrap();
    let Some(gobgp) = gobgp(folder.path()).await else { return };
    let config = config(RoutingDaemonKind::Gobgp);
    let why: Vec<Option<String>> =
        config.sessions.iter().map(|(name, session)| gobgp.refuses(name, session, None)).collect();
    let said = |at: usize, what: &str| assert!(why[at].as_ref().unwrap().contains(what), "{why:?}");
    said(2, "sends no role (RFC 9234)");
    said(3, "cannot be told of the community generic:0x3000000:0x10");
    assert_eq!(why.iter().flatten().count(), 2);
    let (name, session) = config.sessions.first_key_value().unwrap();
    for (password, what) in [(vec![0xff], "is not text"), (vec![b'x'; 81], "longer than 80 octets")] {
        let why = gobgp.refuses(name, session, Some(&Secret::new(password))).unwrap();
        assert!(why.contains(what), "{why}");
    }
    assert_eq!(gobgp.refuses(name, session, Some(&Secret::new(b"say \"please\"\n".to_vec()))), None);
}

#[test]
fn a_file_is_understood_again() {
    let mut config = told();
    let file = File::render(&setup(&config));
    assert_eq!(file.asn(), Some(65536));
    assert_eq!(file.prefixes(), config.prefixes);
    assert!(file.imports_everything());
    assert_eq!(file.reading(), 0);
    let again = file.for_reading(3).for_reading(4);
    assert_eq!((again.reading(), again.prefixes()), (4, config.prefixes.clone()));
    assert_eq!(again.for_reading(0), file);
    let addresses: BTreeSet<IpAddr> = config.sessions.values().map(|session| session.neighbor).collect();
    assert_eq!(file.neighbors().into_keys().collect::<BTreeSet<_>>(), addresses);
    let few = file.without(&addresses);
    assert!(few.neighbors().is_empty() && few.prefixes() == config.prefixes);
    let far = config.sessions.keys().find(|name| name.peer.as_str() == "far").unwrap().clone();
    config.sessions.remove(&far);
    assert!(!File::render(&setup(&config)).imports_everything());
    assert_eq!(SessionName::parse("exchange-rs1-v6").unwrap().to_string(), "exchange-rs1-v6");
    assert_eq!(SessionName::parse("by hand"), None);
}

const NEIGHBORS: &str = r#"[
    {"conf":{"description":"transit-v4","local_asn":65536,"neighbor_address":"192.0.2.2","peer_asn":64496,"type":1},
     "state":{"messages":{"received":{"update":2,"open":1,"keepalive":7,"total":10},"sent":{"open":1,"keepalive":7,"total":8}},
      "peer_asn":64496,"session_state":6,"router_id":"192.0.2.254","remote_cap":[
      {"type_url":"type.googleapis.com/apipb.MultiProtocolCapability","value":"CgQIARAB"},
      {"type_url":"type.googleapis.com/apipb.RouteRefreshCapability"},
      {"type_url":"type.googleapis.com/apipb.FourOctetASNCapability","value":"CICABA=="}]},
     "timers":{"state":{"keepalive_interval":10,"negotiated_hold_time":30,"uptime":{"seconds":1000},"downtime":{"seconds":900}}},
     "transport":{"local_address":"192.0.2.1"},"afi_safis":[{"state":{"received":4,"accepted":4}}]},
    {"conf":{"description":"friend-v4","neighbor_address":"198.51.100.2","peer_asn":64498},
     "state":{"session_state":1,"admin_state":2},"timers":{"state":{"downtime":{"seconds":1010}}},
     "transport":{"local_address":"198.51.100.1"}},
    {"conf":{"neighbor_address":"192.0.2.77","peer_asn":1},"state":{"session_state":3},"timers":{"state":{}},"transport":{}}
]"#;

#[test]
fn neighbors_are_understood() {
    let neighbors: Vec<Neighbor> = serde_json::from_str(NEIGHBORS).unwrap();
    let names: Vec<Option<String>> =
        neighbors.iter().map(|neighbor| neighbor.session().map(|name| name.to_string())).collect();
    assert_eq!(names, [Some("transit-v4".to_owned()), Some("friend-v4".to_owned()), None]);
    let seen = |at: usize| {
        let name = neighbors[at].session().unwrap();
        neighbors[at].observed(&name, None, 1030, BTreeSet::new(), 1)
    };
    let (up, cut_off) = (seen(0), seen(1));
    assert_eq!(
        (up.state, up.since_s, up.asn, up.routes_discarded),
        (SessionState::Established, 30, 64496, 3)
    );
    let agreed = up.negotiated.unwrap();
    assert_eq!((agreed.hold_time_s, agreed.keepalive_s), (30, 10));
    assert_eq!(agreed.capabilities, ["route-refresh", "four-octet-asn"]);
    assert_eq!((up.messages_received.keepalives, up.messages_sent.opens, up.last_error), (7, 1, None));
    assert_eq!((cut_off.state, cut_off.since_s, cut_off.retry_in_s), (SessionState::Idle, 20, Some(40)));
    assert!(cut_off.last_error.unwrap().contains("more than 10 routes"));

    let file = File::render(&setup(&told()));
    let why = show::drift(&neighbors, &Table::new(), &file).unwrap();
    assert_eq!(why, "it has a neighbor 192.0.2.77, which is not ours");
    let why = show::drift(&neighbors[..2], &Table::new(), &file).unwrap();
    assert!(why.ends_with(" is gone"), "{why}");
}

#[test]
fn routes_are_understood() {
    let table = r#"{
        "0.0.0.0/0":[{"attrs":[{"type":1,"value":0},{"type":2,"as_paths":[{"segment_type":2,"num":1,"asns":[64496]}]},
            {"type":3,"nexthop":"192.0.2.2"}],"source-id":"192.0.2.254","neighbor-ip":"192.0.2.2"}],
        "203.0.113.0/24":[{"attrs":[{"type":1,"value":0},{"type":2,"as_paths":[{"segment_type":2,"num":2,"asns":[65536,65536]}]},
            {"type":8,"communities":[4294901760]},{"type":3,"nexthop":"0.0.0.0"}]}],
        "2001:db8:53::/48":[{"attrs":[{"type":1,"value":0},{"type":14,"nexthop":"::","afi":2,"safi":1,"value":[]}]}]
    }"#;
    let file = File::render(&setup(&told()));
    let parse = |text: &str| serde_json::from_str::<Table>(text).unwrap();
    let expected: Origination = [
        ("203.0.113.0/24".parse().unwrap(), Announcement::Draining { prepend: 2 }),
        ("2001:db8:53::/48".parse().unwrap(), Announcement::Normal),
    ]
    .into();
    assert_eq!(show::announced(&parse(table), Some(&file.prefixes())), expected);
    assert_eq!(show::announced(&parse(table), None), expected);
    assert_eq!(show::foreign(&parse(table), &file), [].into());
    // By hand: another origin, another path, another community, another attribute, another prefix.
    for (ours, theirs) in [
        (r#"[{"type":1,"value":0},{"type":14"#, r#"[{"type":1,"value":2},{"type":14"#),
        ("[65536,65536]", "[65536,1]"),
        ("[4294901760]", "[4294901760,1]"),
        (r#""nexthop":"::","#, r#""nexthop":"::"},{"type":4,"#),
        ("2001:db8:53::/48", "2001:db8:53::/49"),
    ] {
        let by_hand = table.replace(ours, theirs);
        assert_ne!(by_hand, table);
        assert_eq!(show::foreign(&parse(&by_hand), &file).len(), 1, "{theirs}");
    }
}
