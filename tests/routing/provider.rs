//! The other side: a BIRD of a provider, in a network namespace that is linked to ours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::bgp::lab::Daemon;

pub const ASN: u32 = 65536;
pub const OUR_ASN: u32 = 64500;
pub const OURS: [&str; 4] = ["192.0.2.1", "192.0.2.11", "192.0.2.12", "2001:db8:0:1::1"];
pub const THEIRS: [&str; 4] = ["192.0.2.254", "192.0.2.253", "192.0.2.252", "2001:db8:0:1::fe"];
/// The password of the session `transit-v4`: all that strings of daemons may trip over, but what one of
/// them cannot be told.
pub const PASSWORD: &str = r"#it's;{a}$pass\word%d!/*~*/";

/// Sessions that insist on GTSM, on roles (of a daemon that has them) and on a password, and one over two hops. Each
/// offers what nobody may take: a default route, our own prefixes, and more specific ones; and, once enabled, many.
pub fn config(roles: bool) -> String {
    let many: String = (0..200).map(|third| format!("route 10.7.{third}.0/24 blackhole;\n")).collect();
    let session = |name: &str, number: usize, how: &str| {
        let (ours, theirs) = (OURS[number], THEIRS[number]);
        let channel = if ours.contains(':') { "ipv6" } else { "ipv4" };
        format!(
            "protocol bgp {name} {{ local {theirs} as {ASN}; neighbor {ours} as {OUR_ASN}; passive on; {how}\n\
             debug {{ states }}; error wait time 1, 1; {channel} {{ import all; export where source = RTS_STATIC; }}; }}\n"
        )
    };
    let roles = if roles { "on" } else { "off" };
    let link = "direct; ttl security on; local role provider; ";
    [
        "log \"DIR/log\" all;\ntimeformat protocol \"%s.%3f\";\nrouter id 192.0.2.254;\nprotocol device {}\n",
        "protocol static bait4 { ipv4; route 0.0.0.0/0 blackhole; route 198.51.100.0/24 blackhole;\n\
         route 198.51.100.128/25 blackhole; route 10.0.0.0/8 blackhole; }\n",
        "protocol static bait6 { ipv6; route ::/0 blackhole; route 2001:db8:100::/48 blackhole;\n\
         route 2001:db8:100:1::/64 blackhole; }\n",
        &format!("protocol static many {{ disabled; ipv4; {many} }}\n"),
        &session("transit_v4", 0, &format!("{link} require roles {roles}; password \"{PASSWORD}\";")),
        &session("transit_v6", 3, link),
        &session("other_v4", 1, link),
        &session("far_v4", 2, "multihop 2;"),
    ]
    .concat()
}

/// A route as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    pub path: Vec<u32>,
    /// As they are written in a peer's file.
    pub communities: BTreeSet<String>,
    pub next_hop: String,
    pub origin: String,
    pub med: Option<String>,
}

pub struct Provider(Daemon);

impl Provider {
    /// With `roles`, one session insists on them.
    pub async fn start(roles: bool) -> Self {
        Self::with(&config(roles), &OURS, &THEIRS).await
    }

    /// With another configuration, on a link where we have these addresses and it has those.
    pub async fn with(config: &str, ours: &[&str], theirs: &[&str]) -> Self {
        let address = |text: &&str| text.parse::<IpAddr>().unwrap();
        let (ours, theirs): (Vec<IpAddr>, Vec<IpAddr>) =
            (ours.iter().map(address).collect(), theirs.iter().map(address).collect());
        let command = "bird -f -c bird.conf -s control -P pid";
        let provider = Self(Daemon::start(&[("bird.conf", config)], command, &ours, &theirs));
        provider
            .0
            .until("it answers", |daemon| daemon.ask("birdc -r -s control show status").contains("is up"))
            .await;
        provider
    }

    fn ask(&self, command: &str) -> String {
        self.0.ask(&format!("birdc -s control '{command}'"))
    }

    /// Gives it another configuration while it runs.
    pub fn configure(&self, config: &str) {
        let folder = self.0.dir.path();
        let config = config.replace("DIR", &folder.display().to_string());
        std::fs::write(folder.join("bird.conf"), config).unwrap();
        let said = self.ask("configure");
        assert!(said.contains("Reconfigur"), "{said}");
    }

    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Whether something is heard by BFD of one of our addresses.
    pub fn hears(&self, ours: &str) -> bool {
        let shown = self.ask("show bfd sessions");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        shown.lines().map(words).any(|words| words.first().is_some_and(|one| one == ours) && words[2] == "Up")
    }

    /// Why a session has ended last, as it says it.
    pub fn why_ended(&self, session: &str) -> String {
        let shown = self.ask(&format!("show protocols all {session}"));
        let why = shown.lines().find_map(|line| line.trim().strip_prefix("Last error:"));
        why.unwrap_or_default().trim().to_owned()
    }

    /// Has both ends of the link lose all that they send, without saying so; or no more.
    pub fn silence(&self, silent: bool) {
        let change = match silent {
            true => "tc qdisc add dev bgp0 root pfifo limit 0",
            false => "tc qdisc del dev bgp0 root",
        };
        let said =
            self.0.ask(&format!("({change} && nsenter --net -t $(cat pid) {change}) 2>&1 || echo failed"));
        assert_eq!(said, "");
    }

    /// Offers 200 routes on every session of IPv4, unless it is configured otherwise.
    pub fn offer_many(&self) {
        assert!(self.ask("enable \"many*\"").contains("enabled"));
    }

    /// Offers them no more.
    pub fn withdraw_many(&self) {
        assert!(self.ask("disable \"many*\"").contains("disabled"));
    }

    /// Everything that was received on a session.
    pub fn routes(&self, session: &str) -> BTreeMap<String, Route> {
        let shown = self.ask(&format!("show route all protocol {session}"));
        let (mut routes, mut prefix) = (BTreeMap::<String, Route>::new(), String::new());
        for line in shown.lines() {
            if line.contains(&format!("[{session} ")) {
                line.split_whitespace().next().unwrap().clone_into(&mut prefix);
                routes.insert(prefix.clone(), Route::default());
            }
            let Some(route) = routes.get_mut(&prefix) else { continue };
            let line = line.trim();
            let Some((name, value)) = line.split_once(": ") else { continue };
            match name {
                "BGP.origin" => route.origin = value.to_owned(),
                "BGP.as_path" => {
                    route.path = value.split_whitespace().map(|asn| asn.parse().unwrap()).collect();
                }
                "BGP.next_hop" => route.next_hop = value.split(' ').next().unwrap().to_owned(),
                "BGP.med" => route.med = Some(value.to_owned()),
                "BGP.community" | "BGP.ext_community" | "BGP.large_community" => {
                    let texts = value.split_inclusive(')');
                    let text = |text: &str| text.replace(['(', ')', ' '], "").replace(',', ":");
                    route.communities.extend(texts.map(text));
                }
                _ => {}
            }
        }
        routes
    }

    /// The how-manieth time it is that a session is established; `None` while it is not.
    pub fn established(&self, session: &str) -> Option<usize> {
        let shown = self.ask(&format!("show protocols {session}"));
        let line = shown.lines().find(|line| line.starts_with(session))?;
        let up = format!(" {session}: State changed to up");
        line.contains("Established").then(|| self.log().lines().filter(|line| line.ends_with(&up)).count())
    }

    /// How many withdrawals a session has received since it was established, of routes that it had.
    pub fn withdrawals(&self, session: &str) -> u64 {
        let shown = self.ask(&format!("show protocols all {session}"));
        let line = shown.lines().find_map(|line| line.trim().strip_prefix("Import withdraws:"));
        line.and_then(|line| line.split_whitespace().last()?.parse().ok()).unwrap_or(0)
    }
}
