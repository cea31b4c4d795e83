//! What FRR is told, beside the file that is kept of it, and what its own checker says to it; and what it says.

use super::*;
use crate::desired::model::Import;
use crate::names::Community;
use crate::process::DaemonUser;
use crate::routing::external::testing::{compare, config, setup};
use crate::routing::{Announcement, Archive, Bfd, Family, SessionState};

const PREFIX: &str = "203.0.113.0/24";
const DRAINING: Announcement = Announcement::Draining { prepend: 3 };

/// `None`, said aloud, where FRR is not installed. In CI it must be.
async fn frr(folder: &Path) -> Option<Frr> {
    let found = Frr::find(Place { folder: folder.to_owned(), user: None }, Supervision::Child).await;
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "frr is missing, and in CI nothing is skipped");
        eprintln!("skipped: frr is not installed");
    }
    found
}

/// Everything that FRR can be told of.
fn tellable() -> RoutingConfig {
    let mut config = config(RoutingDaemonKind::Frr);
    for session in config.sessions.values_mut() {
        session.communities.retain(|community| !community.to_string().starts_with("generic"));
    }
    config
}

fn name(peer: &str, family: Family) -> SessionName {
    SessionName { peer: peer.parse().unwrap(), family }
}

fn lines(config: &RoutingConfig) -> Lines {
    Lines::parse(&conf::render(&setup(config)))
}

/// From a daemon that announces a prefix.
fn change(from: &RoutingConfig, to: &RoutingConfig) -> Option<Vec<String>> {
    let announced = [(PREFIX.parse().unwrap(), Announcement::Normal)].into();
    lines(from).awake(&announced).change(&lines(to).awake(&announced))
}

#[tokio::test]
async fn what_is_said_is_what_was_kept_and_the_checker_likes_it() {
    let config = tellable();
    let text = conf::render(&setup(&config));
    compare("frr.conf", &text);
    compare("frr-zebra.conf", &conf::zebra());
    compare("frr-bfdd.conf", &conf::bfdd(&config));
    // Its checker does not see whether there is what is referred to.
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
    let defined = |kind: &str, name: &str| {
        text.lines()
            .any(|line| line.starts_with(&format!("{kind} {name} ")) || line == format!("{kind} {name}"))
    };
    for line in text.lines().filter(|line| line.starts_with(' ')).map(words) {
        match line.iter().map(String::as_str).collect::<Vec<&str>>().as_slice() {
            ["match", ip, "address", list, name] => assert!(defined(&format!("{ip} {list}"), name), "{name}"),
            ["neighbor", _, map @ "route-map", name, _] => assert!(defined(map, name), "{name}"),
            _ => {}
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(frr) = frr(folder.path()).await else { return };
    let check = async |text: &str| {
        fs::write(folder.path().join("frr.conf"), text).unwrap();
        frr.check(folder.path()).await
    };
    let refused = async |from: &str, to: &str| check(&text.replace(from, to)).await.unwrap_err().to_string();
    check(&text).await.unwrap();
    let why = refused("timers 10 30", "timers ten 30").await;
    assert!(why.contains("frr.conf:") && why.ends_with("no such command"), "{why}");
    let why = refused("ebgp-multihop 5", "ttl-security hops 1\n neighbor 203.0.113.9 ebgp-multihop 5").await;
    assert!(why.contains("cannot be configured together"), "{why}");
    let why = refused("password ", "password two ").await;
    assert!(why.contains("frr.conf:") && !why.contains("pass\\word"), "{why}");
}

#[tokio::test]
async fn the_checkers_of_those_beside_it_like_what_they_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_) = frr(folder.path()).await else { return };
    if DaemonUser::of("frr").is_none() {
        assert!(std::env::var_os("CI").is_none(), "they become the user frr, and in CI nothing is skipped");
        eprintln!("skipped: they become the user frr");
        return;
    }
    let check = async |daemon: &str, text: &str| {
        let file = folder.path().join("file");
        fs::write(&file, text).unwrap();
        let program = Path::new("/usr/lib/frr").join(daemon);
        let options = ["-C", "-f"].map(AsRef::as_ref);
        let said = tool::run(&program, options.into_iter().chain([file.as_os_str()]), b"", PATIENCE).await;
        let said = said.unwrap();
        said.text() + &String::from_utf8_lossy(&said.errors)
    };
    let bfdd = conf::bfdd(&tellable());
    // Their exit codes are 0 whatever they find.
    for (daemon, text, broken) in [
        ("zebra", conf::zebra(), conf::zebra().replace("nht", "nth")),
        ("bfdd", bfdd.clone(), bfdd.replace("interval 100", "interval ten")),
    ] {
        let said = check(daemon, &text).await;
        assert!(!said.contains("on config line"), "{said}");
        let said = check(daemon, &broken).await;
        assert!(said.contains("on config line"), "{said}");
    }
}

#[test]
fn bfd_is_asked_for_beside_the_session() {
    let with = tellable();
    let mut without = with.clone();
    for session in without.sessions.values_mut() {
        session.bfd = None;
    }
    let about = |commands: &[String]| -> Vec<String> {
        commands.iter().filter(|command| command.contains("neighbor ")).cloned().collect()
    };
    let told = change(&without, &with).unwrap();
    assert_eq!(
        about(&told),
        [
            "neighbor 203.0.113.9 bfd",
            "neighbor 203.0.113.9 bfd profile every-1000-ms-times-5",
            "neighbor 192.0.2.2 bfd",
            "neighbor 192.0.2.2 bfd profile every-100-ms-times-3",
        ]
    );
    let mut slower = with.clone();
    slower.sessions.get_mut(&name("far", Family::V4)).unwrap().bfd = Some(Bfd::DEFAULT);
    let told = about(&change(&with, &slower).unwrap());
    assert_eq!(told, ["neighbor 203.0.113.9 bfd profile every-100-ms-times-3"]);
    let told = about(&change(&with, &without).unwrap());
    assert_eq!(told, ["no neighbor 203.0.113.9 bfd", "no neighbor 192.0.2.2 bfd"]);
    // It asks once more where it was not heard.
    let near: IpAddr = "192.0.2.2".parse().unwrap();
    let again = lines(&with).ask_again(&[near].into());
    assert_eq!(
        again,
        [
            "configure terminal",
            "router bgp 65536",
            "no neighbor 192.0.2.2 bfd",
            "neighbor 192.0.2.2 bfd",
            "neighbor 192.0.2.2 bfd profile every-100-ms-times-3",
        ]
    );
    let far: IpAddr = "203.0.113.9".parse().unwrap();
    assert_eq!(lines(&with).by_bfd(), [near, far].into());
}

#[test]
fn what_runs_beside_it_is_what_is_needed() {
    let needs = |change: fn(&mut SessionConfig)| {
        let mut config = tellable();
        for session in config.sessions.values_mut() {
            (session.bfd, session.import) = (None, Import::Default);
            change(session);
        }
        let needs = lines(&config).needs();
        (needs.zebra, needs.bfdd)
    };
    assert_eq!(needs(|_| ()), (false, false));
    assert_eq!(needs(|session| session.bfd = Some(Bfd::DEFAULT)), (true, true));
    let all = |session: &mut SessionConfig| session.import = Import::Full;
    assert_eq!(needs(all), (true, false));
    // Over IPv4 every next hop says where it is.
    assert_eq!(
        needs(|session| if session.local.is_ipv4() {
            session.import = Import::Full
        }),
        (false, false)
    );
}

#[tokio::test]
async fn what_it_cannot_be_told_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some(frr) = frr(folder.path()).await else { return };
    let config = config(RoutingDaemonKind::Frr);
    let transit = name("transit", Family::V4);
    let why = frr.refuses(&transit, &config.sessions[&transit], None).unwrap();
    assert!(why.contains("the community generic:0x3000000:0x10"), "{why}");
    let plain = &config.sessions[&name("far", Family::V4)];
    let refuses = |password: &str| frr.refuses(&transit, plain, Some(&Secret::new(password.into())));
    assert_eq!(refuses("say\"please\"|?"), None);
    for password in ["two words", "two\nlines", "\u{e9}", &"x".repeat(81)] {
        let why = refuses(password).unwrap();
        assert!(why.contains("agree on another password") && !why.contains(password), "{why}");
    }
}

#[test]
fn what_has_not_changed_is_left_alone() {
    let config = tellable();
    assert_eq!(change(&config, &config), Some(Vec::new()));
    // A policy is changed beside the session.
    let mut told = config.clone();
    let session = told.sessions.get_mut(&name("far", Family::V4)).unwrap();
    session.communities.insert(Community::GRACEFUL_SHUTDOWN);
    let commands = change(&config, &told).unwrap();
    let about: Vec<&String> = commands.iter().filter(|command| command.contains("neighbor ")).collect();
    assert!(about.len() == 1 && about[0].contains("203.0.113.9 route-map to-far-v4-"), "{commands:#?}");
    assert!(commands.contains(&" set community graceful-shutdown additive".trim().to_owned()));
    let new = commands.iter().position(|command| command.starts_with("route-map to-far-v4-")).unwrap();
    let turned = commands.iter().position(|command| command == about[0]).unwrap();
    let old = commands.iter().position(|command| command.starts_with("no route-map to-far-v4-")).unwrap();
    assert!(new < turned && turned < old, "{commands:#?}");
    // A session with another way to speak is begun anew, and no other.
    let mut moved = config.clone();
    moved.sessions.get_mut(&name("far", Family::V4)).unwrap().multihop = Some(6);
    let commands = change(&config, &moved).unwrap();
    assert!(commands.contains(&"no neighbor 203.0.113.9".to_owned()), "{commands:#?}");
    assert!(commands.contains(&"neighbor 203.0.113.9 activate".to_owned()), "{commands:#?}");
    assert!(!commands.iter().any(|command| command.contains("neighbor 192.0.2.2 ")), "{commands:#?}");
    // One that goes takes nothing with it.
    let mut less = config.clone();
    less.sessions.remove(&name("far", Family::V4));
    let commands = change(&config, &less).unwrap();
    assert_eq!(commands.iter().filter(|command| command.contains("neighbor ")).count(), 1, "{commands:#?}");
    // Updates are archived beside tables, and no more, whatever becomes of those meanwhile.
    let line = |config: &RoutingConfig, what: &str| {
        let text = conf::render(&setup(config));
        text.lines().find(|line| line.starts_with(&format!("dump bgp {what} "))).unwrap().to_owned()
    };
    let mut tables = config.clone();
    tables.archive = Some(Archive { interval: Duration::from_secs(600), updates: false });
    let (more, fewer) = (line(&config, "routes-mrt"), line(&tables, "routes-mrt"));
    let updates = line(&config, "all-et");
    assert_eq!(change(&tables, &config).unwrap(), ["configure terminal", &more, &updates]);
    assert_eq!(change(&config, &tables).unwrap(), ["configure terminal", &fewer, &format!("no {updates}")]);
    // Another number of ours is another router.
    let mut other = config.clone();
    other.asn = 65537.try_into().unwrap();
    assert_eq!(change(&config, &other), None);
    // A drain goes on, with as many prepends as it has now.
    let mut longer = config.clone();
    longer.drain_prepend = 4;
    let prefix = PREFIX.parse().unwrap();
    let wanted = lines(&longer).awake(&[(prefix, DRAINING)].into());
    assert_eq!(wanted.announced(), [(prefix, Announcement::Draining { prepend: 4 })].into());
    // What is not ours is not announced, whoever began it.
    let foreign = [("198.51.100.0/24".parse().unwrap(), DRAINING)].into();
    assert_eq!(lines(&config).awake(&foreign), lines(&config));
}

#[test]
fn one_way_takes_the_place_of_the_other() {
    let prefix = PREFIX.parse().unwrap();
    let silent = lines(&tellable());
    let announcing = silent.clone().awake(&[(prefix, Announcement::Normal)].into());
    let family = ["configure terminal", "router bgp 65536", "address-family ipv4 unicast"];
    let commands = |lines: &Lines, wanted: Origination| lines.announce(&wanted).unwrap();
    let with = |last: &str| family.iter().chain([&last]).map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        commands(&silent, [(prefix, Announcement::Normal)].into()),
        with("network 203.0.113.0/24 route-map announce")
    );
    assert_eq!(
        commands(&announcing, [(prefix, DRAINING)].into()),
        with("network 203.0.113.0/24 route-map drain-3")
    );
    assert_eq!(commands(&announcing, Origination::new()), with("no network 203.0.113.0/24"));
    assert_eq!(commands(&silent, Origination::new()), [""; 0]);
    let other = [(prefix, Announcement::Draining { prepend: 9 })].into();
    assert!(silent.announce(&other).unwrap_err().contains("route-map drain-9"));
    assert!(Lines::parse("").announce(&other).is_err());
}

const SHOWN: &str = "
frr version 8.4.4
hostname somewhere
!
router bgp 65536
 neighbor 192.0.2.2 remote-as 64496
 neighbor 192.0.2.2 password pass
 !
 address-family ipv4 unicast
  network 203.0.113.0/24 route-map drain-3
  network 198.51.100.0/24
 exit-address-family
exit
!
end
";

#[test]
fn what_it_shows_is_understood() {
    let shown = Lines::parse(SHOWN);
    let announced = [(PREFIX.parse().unwrap(), DRAINING)].into();
    assert_eq!(shown.announced(), announced);
    let without = |line: &str| Lines::parse(&SHOWN.replace(line, ""));
    let drift = |wanted: &Lines| shown.difference(wanted).unwrap();
    assert_eq!(
        drift(&without("network 198.51.100.0/24")),
        "it has a line \"network 198.51.100.0/24\", which is not ours"
    );
    assert_eq!(
        drift(&without("neighbor 192.0.2.2 password pass")),
        "it has a line \"neighbor 192.0.2.2 password …\", which is not ours"
    );
    // Whatever a password ends with, it is one.
    assert!(drift(&Lines::parse(&SHOWN.replace("password pass", "password pass:"))).contains("password …"));
    let more = Lines::parse(&SHOWN.replace(" 64496", " 64497"));
    assert_eq!(drift(&more), "it has a line \"neighbor 192.0.2.2 remote-as 64496\", which is not ours");
    assert_eq!(shown.difference(&shown), None);

    let neighbors = show::neighbors(NEIGHBORS).unwrap();
    let seen = |address: &str| {
        let address = address.parse().unwrap();
        let name = neighbors[&address].session().unwrap();
        neighbors[&address].observed(&name, address, Some(&tellable()), [PREFIX.parse().unwrap()].into())
    };
    let transit = seen("192.0.2.2");
    assert_eq!((transit.state, transit.since_s, transit.asn), (SessionState::Established, 32, 64496));
    assert_eq!((transit.local.to_string(), transit.last_error), ("192.0.2.1".into(), None));
    let agreed = transit.negotiated.unwrap();
    assert_eq!((agreed.hold_time_s, agreed.keepalive_s), (30, 10));
    assert_eq!(agreed.capabilities, ["4byteAs", "routeRefresh"]);
    assert_eq!((transit.messages_sent.updates, transit.messages_received.updates), (4, 3));
    let far = seen("203.0.113.9");
    assert_eq!((far.state, far.retry_in_s, far.since_s), (SessionState::Active, Some(3), 2));
    assert_eq!(far.last_error.as_deref(), Some("Hold Timer Expired; BGP Notification send"));
    assert_eq!(far.local.to_string(), "192.0.2.1", "what it does not say we know");
    assert!(neighbors[&"192.0.2.9".parse::<IpAddr>().unwrap()].session().is_none());
    let told = "{\"advertisedRoutes\":{\"203.0.113.0/24\":{}},\"totalPrefixCounter\":1}";
    assert_eq!(show::told(told).unwrap(), [PREFIX.parse().unwrap()].into());
    assert!(show::neighbors("{").is_err() && show::told("nothing").is_err());
    let heard = "[{\"peer\":\"192.0.2.2\",\"status\":\"up\"},{\"peer\":\"2001:db8::2\",\"status\":\"init\"}]";
    let expected = [("192.0.2.2".parse().unwrap(), true), ("2001:db8::2".parse().unwrap(), false)];
    assert_eq!(show::heard(heard).unwrap(), expected.into());
}

/// One that shows this, whatever it is told.
async fn shows(socket: PathBuf, shown: &'static str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut command = Vec::new();
        while let Ok(octet) = stream.read_u8().await {
            if octet != 0 {
                command.push(octet);
                continue;
            }
            let text = if command.starts_with(b"show running") { shown } else { "" };
            command.clear();
            stream.write_all(format!("{text}\0\0\0\0").as_bytes()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_a_restart_does_not_mend_is_no_reason_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let Some(frr) = frr(folder.path()).await else { return };
    for folder in [frr.place.etc(), frr.place.run()] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(frr.place.etc().join(FILE), SHOWN.replace("password pass", "password word")).unwrap();
    let daemon = tokio::spawn(shows(frr.socket(), SHOWN));
    while !frr.socket().exists() {
        tokio::task::yield_now().await;
    }
    let reload = Reload { announced: &Origination::new(), trial: None };
    assert_eq!(frr.reload(&reload).await, Ok(Reloaded::NeedsRestart));
    let why = frr.reload(&reload).await.unwrap_err().to_string();
    assert!(why.contains("password …") && why.contains("even after a restart"), "{why}");
    fs::write(frr.place.etc().join(FILE), SHOWN).unwrap();
    assert_eq!(frr.reload(&reload).await, Ok(Reloaded::Live));
    daemon.abort();
}

const NEIGHBORS: &str = r#"{
  "192.0.2.2":{
    "remoteAs":64496, "nbrDesc":"transit-v4", "remoteRouterId":"192.0.2.254", "bgpState":"Established",
    "bgpTimerUpMsec":32000, "bgpTimerHoldTimeMsecs":30000, "bgpTimerKeepAliveIntervalMsecs":10000,
    "neighborCapabilities":{
      "4byteAs":"advertisedAndReceived", "extendedMessage":"advertised",
      "addPath":{"ipv4Unicast":{"rxAdvertised":true}}, "routeRefresh":"advertisedAndReceivedNew"
    },
    "messageStats":{"opensSent":1, "updatesSent":4, "updatesRecv":3},
    "updateSource":"192.0.2.1", "connectionsEstablished":1,
    "lastResetTimerMsecs":33000, "lastResetDueTo":"No AFI\/SAFI activated for peer"
  },
  "203.0.113.9":{
    "remoteAs":4200000001, "nbrDesc":"far-v4", "remoteRouterId":"0.0.0.0", "bgpState":"Active",
    "lastNotificationReason":"Hold Timer Expired", "connectionsEstablished":1,
    "lastResetTimerMsecs":2000, "lastResetDueTo":"BGP Notification send", "nextConnectTimerDueInMsecs":2100
  },
  "192.0.2.9":{ "remoteAs":1, "bgpState":"Idle" }
}"#;
