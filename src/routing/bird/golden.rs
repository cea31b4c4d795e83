//! What BIRD is told, beside the file that is kept of it, and what its own checker says to it; and what it says.

use super::*;
use crate::keyring::Secret;
use crate::routing::external::testing::{compare, config, setup};
use crate::routing::{Announcement, Family, SessionState};

/// `None`, said aloud, where BIRD is not installed. In CI it must be.
async fn bird(folder: &Path) -> Option<Bird> {
    let found = Bird::find(Place { folder: folder.to_owned(), user: None }).await;
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "bird is missing, and in CI nothing is skipped");
        eprintln!("skipped: bird is not installed");
    }
    found
}

#[tokio::test]
async fn what_is_said_is_what_was_kept_and_the_checker_likes_it() {
    let config = config(RoutingDaemonKind::Bird);
    let text = conf::render(&setup(&config));
    compare("bird.conf", &text);
    let folder = tempfile::tempdir().unwrap();
    let Some(bird) = bird(folder.path()).await else { return };
    let check = async |text: &str| {
        fs::write(folder.path().join("bird.conf"), text).unwrap();
        bird.check(folder.path()).await
    };
    check(&text).await.unwrap();
    check(&text.replace("{a}", " { a } ")).await.unwrap();
    let refused = check(&text.replace("import none", "import nonsense")).await.unwrap_err().to_string();
    assert!(refused.contains("bird.conf:") && refused.contains("syntax error"), "{refused}");
    // Awake, it is still a file, and only what is announced is enabled.
    let prefix: ipnet::IpNet = "203.0.113.0/24".parse().unwrap();
    let awake = conf::awake(&text, &[(prefix, Announcement::Draining { prepend: 1 })].into());
    check(&awake).await.unwrap();
    let changed: Vec<&str> =
        awake.lines().zip(text.lines()).filter(|(one, other)| one != other).map(|(line, _)| line).collect();
    assert_eq!(
        changed,
        [
            "protocol static 'drain.3.203.0.113.0.24' { ipv4 { preference 210; }; route 203.0.113.0/24 blackhole; }"
        ]
    );
    assert_eq!(conf::awake(&text, &Origination::new()), text, "on its own it announces nothing");
    // The longest name that a peer may have here.
    let mut long = config.clone();
    let (_, session) = long.sessions.pop_first().unwrap();
    let name = |length| SessionName { peer: "p".repeat(length).parse().unwrap(), family: Family::V4 };
    assert_eq!(bird.refuses(&name(61), &session, None), None);
    assert!(bird.refuses(&name(62), &session, None).unwrap().contains("rename the peer"));
    long.sessions.insert(name(61), session.clone());
    check(&conf::render(&setup(&long))).await.unwrap();
    // What would end the string.
    for password in ["say \"please\"", "two\nlines", "\u{e9}"] {
        let why = bird.refuses(&name(1), &session, Some(&Secret::new(password.into()))).unwrap();
        assert!(why.contains("BIRD cannot be told") && !why.contains(password), "{why}");
    }
}

#[test]
fn names_are_understood_again() {
    for prefix in ["203.0.113.0/24", "2001:db8:53::/48", "0.0.0.0/0"] {
        for how in [Announcement::Normal, Announcement::Draining { prepend: 3 }] {
            let prefix = prefix.parse().unwrap();
            assert_eq!(conf::announced(&conf::static_name(prefix, how)), Some((prefix, how)));
        }
    }
    for name in ["links", "announce.x", "drain.x.203.0.113.0.24", "announce.203.0.113.0.33", "static1"] {
        assert_eq!(conf::announced(name), None);
    }
    let name = SessionName::parse("exchange-rs1-v6").unwrap();
    assert_eq!((name.peer.as_str(), name.family), ("exchange-rs1", Family::V6));
    assert_eq!(SessionName::parse("bgp1"), None);
}

const SHOWN: &str = "\
2002-Name       Proto      Table      State  Since         Info
1002-links      Device     ---        up     1795730645    
 
1002-announce.203.0.113.0.24 Static     master4    up     1795730645    
1006-  Channel ipv4
     State:          UP
 
1002-transit-v4 BGP        ---        up     1795730646    Established   
1006-  BGP state:          Established
     Neighbor address: 192.0.2.2
     Neighbor AS:      64496
     Neighbor ID:      192.0.2.254
     Local capabilities
       Route refresh
     Neighbor capabilities
       Multiprotocol
         AF announced: ipv4
       4-octet AS numbers
       Role: provider
     Source address:   192.0.2.1
     Hold timer:       27.703/30
     Keepalive timer:  5.783/10
   Channel ipv4
     Route change stats:     received   rejected   filtered    ignored   accepted
       Import updates:             24          0         23          0          1
       Export updates:              7          0          3        ---          4
 
1002-far-v4     BGP        ---        start  1795730640    Idle          Socket: Connection refused
1006-  BGP state:          Idle
     Neighbor address: 203.0.113.9
     Neighbor AS:      4200000001
     Error wait:       2.019/4
     Last error:       Socket: Connection refused
 
1002-friend-v4  BGP        ---        down   1795730640
1006-  Message:        bye
   BGP state:          Down
 
0000 
";

#[test]
fn what_it_shows_is_understood() {
    let config = config(RoutingDaemonKind::Bird);
    let protocols = show::protocols(&control::parse(SHOWN));
    let sent: BTreeSet<ipnet::IpNet> = ["203.0.113.0/24".parse().unwrap()].into();
    let seen = |name: &str| {
        let protocol = protocols.iter().find(|protocol| protocol.name == name).unwrap();
        let name = protocol.session().unwrap();
        protocol.observed(&name, config.sessions.get(&name), 1_795_730_650, sent.clone())
    };
    let transit = seen("transit-v4");
    assert_eq!((transit.state, transit.since_s, transit.asn), (SessionState::Established, 4, 64496));
    assert_eq!(
        (transit.local.to_string(), transit.neighbor.to_string()),
        ("192.0.2.1".into(), "192.0.2.2".into())
    );
    assert_eq!((transit.routes_discarded, &transit.prefixes_sent), (23, &sent));
    let agreed = transit.negotiated.unwrap();
    assert_eq!((agreed.hold_time_s, agreed.keepalive_s), (30, 10));
    assert_eq!(agreed.capabilities, ["af-announced-ipv4", "4-octet-as-numbers", "role-provider"]);
    let far = seen("far-v4");
    assert_eq!((far.state, far.retry_in_s), (SessionState::Idle, Some(3)));
    assert_eq!(far.last_error.as_deref(), Some("Socket: Connection refused"));
    assert_eq!(far.local.to_string(), "192.0.2.1", "what it does not say we know");
    assert_eq!(seen("friend-v4").last_error.as_deref(), Some("disabled: bye"));
    assert_eq!(
        show::announced(&protocols),
        [("203.0.113.0/24".parse().unwrap(), Announcement::Normal)].into()
    );
    assert_eq!(show::drift(&protocols, &config).unwrap(), "its protocol announce.2001:db8:53::.48 is gone");
}

#[test]
fn when_it_read_its_configuration_is_told_whatever_the_time_of_day_is() {
    let says = |now: &str, started: &str, read: &str| {
        let text = format!(
            "1000-BIRD 2.0.12\n1011-Router ID is 192.0.2.1\n Current server time is {now}\n Last reboot on {started}\n \
             Last reconfiguration on {read}\n0013 Daemon is up and running\n"
        );
        show::status(&control::parse(&text))
    };
    let first = says("1795778116.067627", "1795778115.562082", "1795778115.562100");
    assert_eq!(first, Some((1_795_778_116, 18)));
    // A microsecond later, and after the clock was put right.
    let later = says("1795778118.000009", "1795778115.562083", "1795778115.562101");
    assert_eq!(later, Some((1_795_778_118, 18)));
    let set = says("1795770000.000001", "1795769997.562075", "1795769997.562093");
    assert_eq!(set, Some((1_795_770_000, 18)));
    let again = says("1795778119.000000", "1795778115.562082", "1795778118.9999");
    assert_eq!(again, Some((1_795_778_119, 3_437_818)));
    assert_eq!(says("1795778116.067627", "yesterday", "1795778115.562082"), None);
}
