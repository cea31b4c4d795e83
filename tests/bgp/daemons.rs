//! One table of checks, four daemons: each session is as configured, and what is announced is in the other side's own
//! table.

use std::str::FromStr;
use std::time::Instant;

use shoestring::fingerprint::Fingerprint;
use shoestring::keyring::{Keyring, Secret, SecretRef, SecretValue};
use shoestring::names::SecretName;
use shoestring::routing::ObservedSession;

use super::lab::{Daemon, in_a_namespace};
use super::*;

mod bird;
mod frr;
mod gobgp;
mod openbgpd;

/// Ours has four octets: a peer of two sees AS_TRANS, and the truth in AS4_PATH.
const WIDE_ASN: u32 = 4_200_000_001;
/// A peer of two octets has a number of two itself.
const NARROW_ASN: u32 = 64999;

const V4: &str = "198.51.100.0/24";
const V6: &str = "2001:db8:100::/48";
const PASSWORD: &str = "correct-horse-battery-staple";
const COMMUNITIES: [&str; 4] = ["64500:7", "65536:1:2", "rt:64500:9", "ro:192.0.2.1:3"];

/// How a session is set up, on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// On the link (GTSM), with roles, which both sides insist on where they can.
    Plain,
    /// On the link, with a password.
    Signed,
    /// Two hops away.
    Distant,
    /// The peer knows AS numbers of two octets only.
    TwoOctets,
    /// The peer thinks that it is our peer; we think that it is our provider.
    OtherRole,
    /// The peer says no role; we insist on one.
    NoRole,
    /// The peer's packets leave with a single hop.
    FewHops,
    /// The peer has another password; until it is rotated.
    OtherPassword,
}

use Manner::{Distant, FewHops, NoRole, OtherPassword, OtherRole, Plain, Signed, TwoOctets};

const MANNERS: [Manner; 8] = [Plain, Signed, Distant, TwoOctets, OtherRole, NoRole, FewHops, OtherPassword];

/// One session.
#[derive(Debug, Clone, Copy)]
struct Link {
    manner: Manner,
    family: Family,
}

impl Link {
    fn number(self) -> usize {
        MANNERS.iter().position(|manner| *manner == self.manner).unwrap() + 1
    }

    fn ours(self) -> IpAddr {
        address(self.family, self.number())
    }

    fn theirs(self) -> IpAddr {
        address(self.family, 254)
    }

    /// As daemons may call it.
    fn label(self) -> String {
        format!("{:?}_{}", self.manner, self.family).to_lowercase()
    }

    fn name(self) -> SessionName {
        SessionName {
            peer: format!("{:?}", self.manner).to_lowercase().parse().unwrap(),
            family: self.family,
        }
    }

    fn prefix(self) -> &'static str {
        match self.family {
            Family::V4 => V4,
            Family::V6 => V6,
        }
    }

    /// The daemon's AS number.
    fn asn(self) -> u32 {
        if self.manner == TwoOctets { NARROW_ASN } else { PROVIDER_ASN }
    }

    /// What the daemon signs with.
    fn password(self) -> Option<&'static str> {
        matches!(self.manner, Signed | OtherPassword).then_some(PASSWORD)
    }

    fn on_link(self) -> bool {
        !matches!(self.manner, Distant | FewHops)
    }

    fn comes_up(self) -> bool {
        matches!(self.manner, Plain | Signed | Distant | TwoOctets)
    }

    fn config(self) -> SessionConfig {
        let secret = |sealed: &[u8]| {
            let name = if self.manner == Signed { "right" } else { "rotated" };
            SecretRef { name: name.parse().unwrap(), sealed: Fingerprint::of(&[sealed]) }
        };
        SessionConfig {
            local: self.ours(),
            neighbor: self.theirs(),
            asn: asn(self.asn()),
            relation: Relation::Provider,
            strict_role: self.manner == NoRole,
            communities: COMMUNITIES.map(|text| text.parse().unwrap()).into(),
            prepend: 2,
            import: Import::Nothing,
            multihop: (self.manner == Distant).then_some(2),
            bfd: None,
            password: self.password().map(|_| secret(b"first")),
        }
    }
}

fn address(family: Family, last: usize) -> IpAddr {
    match family {
        Family::V4 => format!("192.0.2.{last}"),
        Family::V6 => format!("2001:db8:0:1::{last:x}"),
    }
    .parse()
    .unwrap()
}

/// A route as the other side has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Route {
    path: Vec<u32>,
    communities: BTreeSet<Community>,
    next_hop: Option<IpAddr>,
    igp: bool,
}

/// What differs from daemon to daemon.
trait Software {
    /// What has to be installed.
    const PROGRAMS: &'static [&'static str];
    /// Its files, and the command that runs it in the foreground; `DIR` stands for its folder.
    fn files(links: &[Link]) -> (Vec<(&'static str, String)>, &'static str);
    /// Whether it has what such a session needs.
    fn speaks(link: Link) -> bool;
    /// Whether it has roles.
    const ROLES: bool;
    /// Whether it has extended messages.
    const EXTENDED: bool;
    /// What it says of a plain session with us.
    const SAYS: &'static [&'static str];
    /// What its tables show for us over two octets: AS_TRANS if it does not look at AS4_PATH.
    const NARROW: u32 = WIDE_ASN;
    /// Whether it answers.
    fn is_ready(daemon: &Daemon) -> bool;
    /// How it shows a session.
    fn session(daemon: &Daemon, link: Link) -> String;
    /// What the session has received of the prefix.
    fn route(daemon: &Daemon, link: Link) -> Option<Route>;
    /// Asks for all routes again; false if it cannot.
    fn refresh(daemon: &Daemon, link: Link) -> bool;
    /// Shuts the session down with a message (RFC 9003).
    fn shut_down(daemon: &Daemon, link: Link, message: &str);
}

fn keyring(rotated: &str) -> BTreeMap<SecretName, Arc<SecretValue>> {
    let password = |text: &str| Arc::new(SecretValue::Password(Secret::new(text.as_bytes().to_vec())));
    [("right", PASSWORD), ("rotated", rotated)]
        .map(|(name, text)| (name.parse().unwrap(), password(text)))
        .into()
}

async fn observed(speaker: &EmbeddedSpeaker, link: Link) -> ObservedSession {
    speaker.observe().await.unwrap().sessions[&link.name()].clone()
}

async fn until_seen(
    speaker: &EmbeddedSpeaker,
    link: Link,
    what: &str,
    done: impl Fn(&ObservedSession) -> bool,
) {
    let begun = Instant::now();
    loop {
        let seen = observed(speaker, link).await;
        if done(&seen) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {what} of {link:?}: {seen:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn checks<S: Software>() {
    let links: Vec<Link> = MANNERS
        .iter()
        .flat_map(|manner| [Family::V4, Family::V6].map(|family| Link { manner: *manner, family }))
        .filter(|link| S::speaks(*link))
        .collect();
    let (files, command) = S::files(&links);
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let ours: Vec<IpAddr> = links.iter().map(|link| link.ours()).collect();
    let theirs = [address(Family::V4, 254), address(Family::V6, 254)];
    let daemon = Daemon::start(&files, command, &ours, &theirs);
    daemon.until("it answers", S::is_ready).await;

    let ring = Arc::new(Keyring::default());
    ring.replace(keyring("not the right one"));
    let speaker = EmbeddedSpeaker::with_options(options(179), Arc::clone(&ring));
    let mut config = config(links.iter().map(|link| (link.name(), link.config())));
    config.asn = asn(WIDE_ASN);
    config.prefixes = [V4, V6].map(|prefix| prefix.parse().unwrap()).into();
    for link in links.iter().filter(|link| link.manner == Plain && S::ROLES) {
        config.sessions.get_mut(&link.name()).unwrap().strict_role = true;
    }
    speaker.configure(&config).await.unwrap();
    let up: Vec<Link> = links.iter().copied().filter(|link| link.comes_up()).collect();
    for link in &up {
        until_seen(&speaker, *link, "the session", |seen| seen.state == SessionState::Established).await;
        assert_eq!(S::route(&daemon, *link), None, "nothing is announced that was not originated: {link:?}");
    }

    negotiates::<S>(&daemon, &speaker, &up).await;
    announces::<S>(&daemon, &speaker, &up).await;
    refreshes::<S>(&daemon, &speaker, &up).await;
    refuses(&speaker, &links).await;
    rotates(&ring, &speaker, &config, &links).await;
    parts::<S>(&daemon, &speaker, &up).await;
}

async fn negotiates<S: Software>(daemon: &Daemon, speaker: &EmbeddedSpeaker, up: &[Link]) {
    for link in up {
        let agreed = observed(speaker, *link).await.negotiated.unwrap();
        let has = |text: &str| agreed.capabilities.iter().any(|capability| capability.starts_with(text));
        assert!((3..=30).contains(&agreed.hold_time_s), "{agreed:?}");
        assert_eq!(has("four-octet-as"), link.manner != TwoOctets, "{link:?}: {agreed:?}");
        if link.manner == Plain {
            assert_eq!(has("role-provider"), S::ROLES, "{agreed:?}");
            assert_eq!(has("extended-messages"), S::EXTENDED, "{agreed:?}");
            assert!(has("route-refresh"), "{agreed:?}");
            let shown = S::session(daemon, *link);
            for said in S::SAYS {
                assert!(shown.contains(said), "{said} in what it says of {link:?}: {shown}");
            }
            eprintln!("{}: {}", link.label(), agreed.capabilities.join(" "));
        }
    }
}

async fn announces<S: Software>(daemon: &Daemon, speaker: &EmbeddedSpeaker, up: &[Link]) {
    let drained = Announcement::Draining { prepend: 1 };
    for (how, length, more) in
        [(Announcement::Normal, 3, None), (drained, 4, Some(Community::GRACEFUL_SHUTDOWN))]
    {
        speaker.originate(&originate(&[(V4, how), (V6, how)])).await.unwrap();
        for link in up {
            let communities = COMMUNITIES.map(|text| text.parse().unwrap());
            let expected = Route {
                path: vec![if link.manner == TwoOctets { S::NARROW } else { WIDE_ASN }; length],
                communities: communities.into_iter().chain(more).collect(),
                next_hop: Some(link.ours()),
                igp: true,
            };
            let what = format!("{expected:?} over {link:?}");
            let mut last = None;
            daemon
                .until(&what, |daemon| {
                    let route = S::route(daemon, *link);
                    if route != last {
                        eprintln!("{}: {route:?}", link.label());
                    }
                    last = route;
                    last.as_ref() == Some(&expected)
                })
                .await;
        }
    }
}

async fn refreshes<S: Software>(daemon: &Daemon, speaker: &EmbeddedSpeaker, up: &[Link]) {
    for link in up.iter().filter(|link| link.manner == Plain) {
        let before = observed(speaker, *link).await;
        if !S::refresh(daemon, *link) {
            continue;
        }
        until_seen(speaker, *link, "the routes again", |seen| {
            seen.messages_received.route_refreshes > before.messages_received.route_refreshes
                && seen.messages_sent.updates > before.messages_sent.updates
        })
        .await;
        let after = observed(speaker, *link).await;
        // RFC 7313 section 4.2: between BoRR and EoRR, if the peer knows them.
        let enhanced = after.negotiated.unwrap().capabilities.contains(&"enhanced-route-refresh".to_owned());
        let marks = after.messages_sent.route_refreshes - before.messages_sent.route_refreshes;
        assert_eq!(marks, if enhanced { 2 } else { 0 }, "{link:?}");
        assert_eq!(after.losses, 0);
        assert!(S::route(daemon, *link).is_some(), "nothing is lost by it");
    }
}

/// By now, each of these could have come up many times.
async fn refuses(speaker: &EmbeddedSpeaker, links: &[Link]) {
    for link in links.iter().filter(|link| !link.comes_up()) {
        let seen = observed(speaker, *link).await;
        assert_ne!(seen.state, SessionState::Established, "{link:?}: {seen:#?}");
        assert_eq!((seen.losses, seen.messages_received.keepalives), (0, 0), "{link:?}: {seen:#?}");
        if matches!(link.manner, OtherRole | NoRole) {
            until_seen(speaker, *link, "Role Mismatch", |seen| {
                let said = [&seen.notification_sent, &seen.notification_received];
                said.into_iter().flatten().any(|seen| seen.text.contains("NOTIFICATION 2/11 (Role Mismatch)"))
            })
            .await;
        }
    }
}

/// With the right password the session comes up, and with one that cannot be read it ends and stays down.
async fn rotates(ring: &Keyring, speaker: &EmbeddedSpeaker, config: &RoutingConfig, links: &[Link]) {
    let rotated: Vec<Link> = links.iter().copied().filter(|link| link.manner == OtherPassword).collect();
    let mut config = config.clone();
    let mut rotate = |sealed: &[u8]| {
        for link in &rotated {
            let secret = config.sessions.get_mut(&link.name()).unwrap().password.as_mut().unwrap();
            secret.sealed = Fingerprint::of(&[sealed]);
        }
        config.clone()
    };
    ring.replace(keyring(PASSWORD));
    speaker.configure(&rotate(b"second")).await.unwrap();
    for link in &rotated {
        until_seen(speaker, *link, "the session", |seen| seen.state == SessionState::Established).await;
    }
    ring.replace(
        [(SecretName::from_str("right").unwrap(), keyring("")[&"right".parse().unwrap()].clone())].into(),
    );
    speaker.configure(&rotate(b"third")).await.unwrap();
    for link in &rotated {
        until_seen(speaker, *link, "the reason", |seen| {
            let reason = seen.last_error.as_deref().unwrap_or_default();
            seen.state != SessionState::Established && reason.contains("cannot read the password rotated")
        })
        .await;
    }
}

async fn parts<S: Software>(daemon: &Daemon, speaker: &EmbeddedSpeaker, up: &[Link]) {
    let begun = Instant::now();
    speaker.originate(&Origination::new()).await.unwrap();
    for link in up {
        daemon.until("the withdrawal", |daemon| S::route(daemon, *link).is_none()).await;
    }
    eprintln!("gone everywhere, as its own tables show, after {} ms", begun.elapsed().as_millis());
    let (first, rest) = up.split_first().unwrap();
    S::shut_down(daemon, *first, "their maintenance");
    until_seen(speaker, *first, "their message", |seen| {
        let heard = seen.notification_received.as_ref();
        heard.is_some_and(|heard| heard.text.ends_with("(Administrative Shutdown): \"their maintenance\""))
    })
    .await;
    for link in rest {
        assert_eq!(observed(speaker, *link).await.losses, 0, "{link:?}: up all the while");
    }
    speaker.shutdown("our maintenance").await;
    daemon.until("our message in its log", |daemon| daemon.log().contains("our maintenance")).await;
}

#[test]
fn bird_is_spoken_to() {
    in_a_namespace(bird::Bird::PROGRAMS, checks::<bird::Bird>);
}

#[test]
fn frr_is_spoken_to() {
    in_a_namespace(frr::Frr::PROGRAMS, checks::<frr::Frr>);
}

#[test]
fn gobgp_is_spoken_to() {
    in_a_namespace(gobgp::GoBgp::PROGRAMS, checks::<gobgp::GoBgp>);
}

#[test]
fn openbgpd_is_spoken_to() {
    in_a_namespace(openbgpd::OpenBgpd::PROGRAMS, checks::<openbgpd::OpenBgpd>);
}
