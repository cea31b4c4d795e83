//! What OpenBGPD is told, beside the file that is kept of it, and what its own checker says to it; and what it says.

use super::*;
use crate::routing::external::testing::{compare, config, setup};
use crate::routing::{Family, SessionState};

const SOCKET: &str = "/var/lib/shoestring-daemons/openbgpd/run/bgpd.sock";
const PRESENT: Version = Version(7, 7, 0);

/// `None`, said aloud, where OpenBGPD is not installed, or not run as root. In CI it must be.
async fn openbgpd(folder: &Path) -> Option<OpenBgpd> {
    let found = OpenBgpd::find(Place { folder: folder.to_owned(), user: None }).await;
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "OpenBGPD is missing, and in CI nothing is skipped");
        eprintln!("skipped: OpenBGPD is not installed, or this is not root");
    }
    found
}

/// What every daemon is rendered from, but for a community that this one has no word for.
fn told() -> RoutingConfig {
    let mut told = config(RoutingDaemonKind::Openbgpd);
    for session in told.sessions.values_mut() {
        session.communities.retain(|community| conf::community(*community).is_some());
    }
    told
}

fn name(text: &str) -> SessionName {
    let (peer, family) = text.rsplit_once('-').unwrap();
    let family = if family == "v4" { Family::V4 } else { Family::V6 };
    SessionName { peer: peer.parse().unwrap(), family }
}

#[tokio::test]
async fn what_is_said_is_what_was_kept_and_the_checker_likes_it() {
    let config = told();
    let text = conf::render(&setup(&config), SOCKET, PRESENT);
    compare("openbgpd.conf", &text);
    let folder = tempfile::tempdir().unwrap();
    let Some(driver) = openbgpd(folder.path()).await else { return };
    let check = async |text: &str| {
        write_private(&folder.path().join(FILE), text.as_bytes(), None).unwrap();
        driver.check(folder.path()).await
    };
    let refused = async |text: &str| check(text).await.unwrap_err().to_string();
    let text = conf::render(&setup(&config), SOCKET, driver.version);
    check(&text).await.unwrap();
    let nonsense = refused(&text.replace("restart no", "restart nonsense")).await;
    assert!(nonsense.contains("bgpd.conf:") && nonsense.contains("yes or no expected"), "{nonsense}");
    // No sessions, and no prefixes.
    let mut little = config.clone();
    little.sessions.clear();
    check(&conf::render(&setup(&little), SOCKET, driver.version)).await.unwrap();
    little.sessions.clone_from(&config.sessions);
    little.prefixes.clear();
    check(&conf::render(&setup(&little), SOCKET, driver.version)).await.unwrap();

    // What it cannot be told is refused, and would not be taken: names, passwords, prepends.
    let refuses = |name: &SessionName, session: &SessionConfig, password: Option<&str>| {
        let password = password.map(|password| Secret::new(password.into()));
        driver.refuses(name, session, password.as_ref())
    };
    let transit = name("transit-v4");
    let mut session = config.sessions[&transit].clone();
    let long = |length: usize| name(&format!("{}-v4", "p".repeat(length - 3)));
    assert_eq!(refuses(&long(LONGEST_NAME), &session, None), None);
    check(&text.replace("transit-v4", &long(LONGEST_NAME).to_string())).await.unwrap();
    assert!(refuses(&long(LONGEST_NAME + 1), &session, None).unwrap().contains("rename the peer"));
    let too_long = refused(&text.replace("transit-v4", &long(LONGEST_NAME + 1).to_string())).await;
    assert!(too_long.contains("max 31"), "{too_long}");
    let with = |password: &str| {
        let mut setup = setup(&config);
        setup.passwords.insert(transit.clone(), Secret::new(password.into()));
        conf::render(&setup, SOCKET, driver.version)
    };
    let longest = "x".repeat(LONGEST_PASSWORD);
    for password in [r#"say "please""#, r"back\ slash", r#"a\" b"#, &longest] {
        assert_eq!(refuses(&transit, &session, Some(password)), None);
        check(&with(password)).await.unwrap();
    }
    for password in [r"trailing\", "two\nlines", "\u{e9}", &format!("{longest}x")] {
        let why = refuses(&transit, &session, Some(password)).unwrap();
        assert!(why.contains("password") && !why.contains(password), "{why}");
    }
    for password in [r"trailing\", &format!("{longest}x")] {
        refused(&with(password)).await;
    }
    session.prepend = MOST_PREPENDS;
    assert_eq!(refuses(&transit, &session, None), None);
    session.prepend += 1;
    assert!(refuses(&transit, &session, None).unwrap().contains("at most"));
    session.prepend = 0;
    session.communities.insert("generic:0x3000000:0x10".parse().unwrap());
    assert!(refuses(&transit, &session, None).unwrap().contains("generic:0x3000000:0x10"));
}

#[test]
fn later_versions_take_roles_apart() {
    let config = told();
    let text = conf::render(&setup(&config), SOCKET, Version(7, 8, 0));
    assert!(text.contains("\trole customer\n\tannounce policy yes\n"), "{text}");
    assert!(text.contains("\trole peer\n\tannounce policy enforce\n"), "{text}");
}

#[test]
fn the_fingerprint_is_of_what_passwords_are_sealed_as() {
    let mut config = told();
    let mark = |config: &RoutingConfig, password: &str| {
        let mut setup = setup(config);
        setup.passwords.insert(name("transit-v4"), Secret::new(password.into()));
        let text = conf::render(&setup, SOCKET, PRESENT);
        assert!(text.contains(password));
        conf::mark(&text).unwrap().to_owned()
    };
    let before = mark(&config, "one");
    assert_eq!(mark(&config, "another"), before, "whoever can look it up cannot try passwords by it");
    let transit = config.sessions.get_mut(&name("transit-v4")).unwrap();
    transit.password.as_mut().unwrap().sealed = crate::fingerprint::Fingerprint::of(&[b"2"]);
    assert_ne!(mark(&config, "one"), before);
    config.prefixes.pop_last();
    let text = conf::render(&setup(&config), SOCKET, PRESENT);
    assert_eq!(conf::prefixes(&text), config.prefixes);
    assert_eq!(conf::mark("AS 1\n"), None);
}

#[test]
fn only_what_is_opened_otherwise_is_opened_again() {
    let before = told();
    let reopened = |change: &dyn Fn(&mut RoutingConfig)| {
        let mut now = before.clone();
        change(&mut now);
        let [before, now] = [&before, &now].map(|config| conf::render(&setup(config), SOCKET, PRESENT));
        conf::reopened(&before, &now).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let far = |config: &mut RoutingConfig| config.sessions[&name("far-v4")].clone();
    let change = |change: &dyn Fn(&mut SessionConfig)| {
        reopened(&|config| {
            let mut session = far(config);
            change(&mut session);
            config.sessions.insert(name("far-v4"), session);
        })
    };
    let neighbor = ["203.0.113.9"];
    assert_eq!(change(&|session| session.asn = 65999.try_into().unwrap()), neighbor);
    assert_eq!(change(&|session| session.multihop = Some(6)), neighbor);
    assert_eq!(change(&|session| session.strict_role = true), neighbor);
    assert_eq!(change(&|session| session.local = [192, 0, 2, 9].into()), neighbor);
    let nothing: [&str; 0] = [];
    assert_eq!(change(&|session| session.prepend = 5), nothing);
    assert_eq!(change(&|session| session.import = Import::Nothing), nothing);
    assert_eq!(change(&|session| session.neighbor = [203, 0, 113, 10].into()), nothing, "it is another one");
    assert_eq!(reopened(&|config| _ = config.prefixes.pop_last()), nothing);
    assert_eq!(reopened(&|config| config.router_id = [192, 0, 2, 7].into()).len(), before.sessions.len());
    assert_eq!(conf::reopened("", &conf::render(&setup(&before), SOCKET, PRESENT)), nothing);

    // It keeps the role of a neighbour as long as it has it, so it has to forget it once.
    let text = conf::render(&setup(&before), SOCKET, PRESENT);
    let mut another = before.clone();
    let (_, session) = another.sessions.first_key_value().unwrap();
    let neighbor = session.neighbor.to_string();
    another.sessions.values_mut().next().unwrap().relation = crate::desired::model::Relation::Peer;
    let now = conf::render(&setup(&another), SOCKET, PRESENT);
    assert_eq!(conf::with_another_role(&text, &now), [neighbor.as_str()]);
    assert!(conf::with_another_role(&text, &text).is_empty());
    let less = conf::without(&now, &[&neighbor]);
    assert!(!less.contains(&neighbor) && conf::mark(&less) != conf::mark(&now), "{less}");
    assert_eq!(less.matches("\nneighbor ").count(), another.sessions.len() - 1);
}

const NEIGHBORS: &str = r#"{
	"neighbors": [
		{
			"remote_as": "64496",
			"description": "transit-v4",
			"remote_addr": "192.0.2.2",
			"bgpid": "192.0.2.254",
			"state": "Established",
			"last_updown": "00:00:13",
			"last_updown_sec": 13,
			"config": {
				"down": false,
				"max_prefix": 10
			},
			"stats": {
				"prefixes": {
					"sent": 1,
					"received": 4
				},
				"message": {
					"sent": {
						"open": 1,
						"notifications": 0,
						"updates": 1,
						"keepalives": 2,
						"route_refresh": 0,
						"total": 4
					},
					"received": {
						"open": 1,
						"notifications": 0,
						"updates": 2,
						"keepalives": 3,
						"route_refresh": 0,
						"total": 6
					}
				}
			},
			"session": {
				"holdtime": 30,
				"keepalive": 10,
				"local": {
					"address": "192.0.2.1",
					"port": 34099
				},
				"remote": {
					"address": "192.0.2.2",
					"port": 179,
					"capabilities": {
						"as4byte": true,
						"refresh": true,
						"enhanced_refresh": false,
						"multiprotocol": [
							"IPv4 unicast"
						],
						"graceful_restart": {
							"eor": true,
							"restart": false
						},
						"open_policy_role": "provider"
					}
				}
			}
		},
		{
			"remote_as": "4200000001",
			"description": "far-v4",
			"remote_addr": "203.0.113.9",
			"state": "Idle",
			"last_updown": "Never",
			"last_updown_sec": -1,
			"last_shutdown_reason": "x\377 "bye", "state": "Established",
			"last_error_sent": "Cease, received max-prefix exceeded",
			"last_error_received": "Cease, administratively down"
		},
		{
			"remote_as": "64498",
			"description": "friend-v4",
			"remote_addr": "198.51.100.2",
			"state": "Idle",
			"config": {
				"down": true
			},
			"my_shutdown_reason": "it's "x""
		}
	]
}
"#;

#[test]
fn what_it_shows_is_understood() {
    let config = told();
    let neighbors: Vec<Neighbor> = show::all(NEIGHBORS, false, "neighbors").unwrap();
    let sent: BTreeSet<ipnet::IpNet> = ["203.0.113.0/24".parse().unwrap()].into();
    let seen = |number: usize| {
        let neighbor = &neighbors[number];
        let name = neighbor.session().unwrap();
        neighbor.observed(&name, config.sessions.get(&name), sent.clone(), neighbor.offered())
    };
    let transit = seen(0);
    assert_eq!((transit.state, transit.since_s, transit.asn), (SessionState::Established, 13, 64496));
    assert_eq!((transit.local.to_string(), transit.routes_discarded), ("192.0.2.1".into(), 4));
    assert_eq!((transit.messages_received.keepalives, transit.messages_sent.updates), (3, 1));
    assert_eq!((transit.prefixes_sent, transit.last_error), (sent.clone(), None));
    let agreed = transit.negotiated.unwrap();
    assert_eq!((agreed.hold_time_s, agreed.keepalive_s), (30, 10));
    let can =
        ["as4byte", "graceful-restart", "multiprotocol-ipv4-unicast", "open-policy-role-provider", "refresh"];
    assert_eq!(agreed.capabilities, can);
    // What a peer says is text, whatever it looks like.
    let far = seen(1);
    assert_eq!((far.state, far.since_s, far.asn), (SessionState::Idle, 0, 4_200_000_001));
    assert_eq!(
        far.last_error.as_deref(),
        Some(
            "received: Cease, administratively down: x\\377 \"bye\", \"state\": \"Established; sent: Cease, received \
             max-prefix exceeded"
        )
    );
    assert_eq!(far.local.to_string(), "192.0.2.1", "what it does not say we know");
    assert_eq!(seen(2).last_error.as_deref(), Some("disabled: it's \"x\""));

    let drift = |networks: &[Network]| show::drift(&neighbors, networks, &config).unwrap();
    assert_eq!(drift(&[]), "its session exchange-rs1-v6 is gone");
    let mut known = config.clone();
    known.sessions.retain(|name, _| neighbors.iter().any(|one| one.session().as_ref() == Some(name)));
    let drift = |neighbors: &[Neighbor], networks: &[Network]| show::drift(neighbors, networks, &known);
    assert_eq!(drift(&neighbors, &[]).unwrap(), "its session friend-v4 was disabled");
    known.sessions.remove(&name("friend-v4"));
    let drift = |neighbors: &[Neighbor], networks: &[Network]| show::drift(neighbors, networks, &known);
    assert_eq!(drift(&neighbors, &[]).unwrap(), "it has a neighbor 198.51.100.2, which is not ours");
    let ours = &neighbors[..2];
    let prefix = "203.0.113.0/24".parse().unwrap();
    assert_eq!(drift(ours, &[(prefix, Some(Announcement::Normal))]), None);
    assert_eq!(
        drift(ours, &[(prefix, None)]).unwrap(),
        "its network 203.0.113.0/24 was added with other attributes"
    );
    let foreign = ("198.51.100.0/24".parse().unwrap(), Some(Announcement::Normal));
    assert_eq!(drift(ours, &[foreign]).unwrap(), "it has a network 198.51.100.0/24, which is not ours");

    let refused = show::all::<Value>("{\n\"status\": \"FAILED\",\n\"error\": \"no\"\n}\n", false, "rib");
    assert_eq!(refused.unwrap_err(), "no");
    assert_eq!(show::all::<Value>("{\n\n}\n", false, "rib").unwrap(), [Value::Null; 0]);
}

#[test]
fn a_network_is_ours_only_as_we_add_it() {
    let announced = |fields: &str| {
        let text =
            format!("{{\"rib\": [{{\"prefix\": \"203.0.113.0/24\", \"source\": \"internal\", {fields}}}]}}");
        let routes: Vec<Route> = show::all(&text, true, "rib").unwrap();
        assert!(routes[0].is_ours());
        routes[0].announcement()
    };
    let drained = |prepend| Some(Announcement::Draining { prepend });
    assert_eq!(announced(r#""aspath": "", "origin": "IGP", "metric": 0"#), Some(Announcement::Normal));
    let away = r#""origin": "IGP", "communities": ["GRACEFUL_SHUTDOWN"]"#;
    assert_eq!(announced(&format!(r#""aspath": "64500 64500", {away}"#)), drained(2));
    assert_eq!(announced(&format!(r#""aspath": "", {away}"#)), drained(0));
    for strange in [
        r#""aspath": "64500", "origin": "IGP""#,
        r#""aspath": "", "origin": "Incomplete""#,
        r#""aspath": "", "origin": "IGP", "metric": 5"#,
        r#""aspath": "", "origin": "IGP", "communities": ["1:1"]"#,
        r#""aspath": "", "origin": "IGP", "large_communities": ["1:1:1"]"#,
        r#""aspath": "", "origin": "IGP", "extended_communities": ["rt 1:1"]"#,
    ] {
        assert_eq!(announced(strange), None, "{strange}");
    }
}
