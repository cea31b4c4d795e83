//! Four daemons that accept from each peer of a case, announce a route of each family, and take ten.

use super::*;

/// What differs from daemon to daemon.
pub(super) struct Software {
    pub(super) name: &'static str,
    pub(super) programs: &'static [&'static str],
    /// Its file.
    pub(super) configuration: fn(&[Peering]) -> (&'static str, String),
    pub(super) command: &'static str,
    pub(super) is_ready: fn(&Daemon) -> bool,
}

pub(super) const ALL: &[Software] = &[
    Software {
        name: "BIRD",
        programs: &["/usr/sbin/bird"],
        configuration: bird,
        command: "bird -f -c bird.conf -s control -P pid",
        is_ready: |daemon| daemon.ask("birdc -r -s control show status").contains("Daemon is up"),
    },
    Software {
        name: "FRR",
        programs: &["/usr/lib/frr/bgpd", "/usr/bin/vtysh"],
        configuration: frr,
        command: "/usr/lib/frr/bgpd -S -Z -f DIR/bgpd.conf -i DIR/pid -z DIR/zebra --vty_socket DIR \
                  --log file:DIR/log",
        is_ready: |daemon| {
            daemon.ask("vtysh --vty_socket DIR -d bgpd -c 'show bgp summary json'").contains("peers")
        },
    },
    Software {
        name: "GoBGP",
        programs: &["/usr/bin/gobgpd", "/usr/bin/gobgp"],
        configuration: gobgp,
        command: "gobgpd -f gobgpd.toml --api-hosts unix://DIR/api --log-plain",
        is_ready: |daemon| {
            let add = |route: &str| {
                daemon.ask(&format!("gobgp --target unix://DIR/api global rib add {route} 2>&1 && echo done"))
            };
            add("198.51.100.0/24").contains("done") && add("-a ipv6 2001:db8:100::/48").contains("done")
        },
    },
    Software {
        name: "OpenBGPD",
        programs: &["/usr/sbin/bgpd", "/usr/sbin/bgpctl"],
        configuration: openbgpd,
        command: "/usr/sbin/bgpd -d -v -f DIR/bgpd.conf",
        is_ready: |daemon| daemon.ask("bgpctl -s DIR/control show").contains("AS"),
    },
];

fn channel(peer: IpAddr) -> &'static str {
    if peer.is_ipv4() { "ipv4" } else { "ipv6" }
}

fn local(peer: IpAddr) -> &'static str {
    if peer.is_ipv4() { THEIRS_V4 } else { THEIRS_V6 }
}

fn bird(peers: &[Peering]) -> (&'static str, String) {
    let mut text = "log \"DIR/log\" all;\nrouter id 192.0.2.1;\nprotocol device {}\n\
                    protocol static { ipv4; route 198.51.100.0/24 blackhole; }\n\
                    protocol static { ipv6; route 2001:db8:100::/48 blackhole; }\n"
        .to_owned();
    for (peer, dialect) in peers {
        let role = if *dialect == Dialect::Strict { "require roles;" } else { "" };
        writeln!(
            text,
            "protocol bgp {{ local {} as {OUR_ASN}; neighbor {peer} as {}; passive on; direct;\n\
             error wait time 1, 1; local role customer; {role} enable extended messages on;\n\
             {} {{ import all; export where source = RTS_STATIC; receive limit 10 action restart; }}; }}",
            local(*peer),
            dialect.asn(),
            channel(*peer)
        )
        .unwrap();
    }
    ("bird.conf", text)
}

fn frr(peers: &[Peering]) -> (&'static str, String) {
    let mut text = format!(
        "router bgp {OUR_ASN}\n bgp router-id 192.0.2.1\n no bgp ebgp-requires-policy\n \
         no bgp default ipv4-unicast\n no bgp network import-check\n"
    );
    for (peer, dialect) in peers {
        let strict = if *dialect == Dialect::Strict { "strict-mode" } else { "" };
        writeln!(
            text,
            " neighbor {peer} remote-as {}\n neighbor {peer} passive\n neighbor {peer} update-source {}\n \
             neighbor {peer} disable-connected-check\n neighbor {peer} local-role customer {strict}",
            dialect.asn(),
            local(*peer)
        )
        .unwrap();
    }
    for (name, route) in [("ipv4", "198.51.100.0/24"), ("ipv6", "2001:db8:100::/48")] {
        writeln!(text, " address-family {name} unicast\n  network {route}").unwrap();
        for (peer, _) in peers.iter().filter(|(peer, _)| channel(*peer) == name) {
            writeln!(text, "  neighbor {peer} activate\n  neighbor {peer} maximum-prefix 10").unwrap();
        }
        writeln!(text, " exit-address-family").unwrap();
    }
    ("bgpd.conf", text)
}

fn gobgp(peers: &[Peering]) -> (&'static str, String) {
    let mut text = format!(
        "[global.config]\n  as = {OUR_ASN}\n  router-id = \"192.0.2.1\"\n  port = 179\n  \
         local-address-list = [\"{THEIRS_V4}\", \"{THEIRS_V6}\"]\n"
    );
    for (peer, dialect) in peers {
        writeln!(
            text,
            "[[neighbors]]\n  [neighbors.config]\n    neighbor-address = \"{peer}\"\n    peer-as = {}\n  \
             [neighbors.timers.config]\n    idle-hold-time-after-reset = 1\n  \
             [neighbors.transport.config]\n    passive-mode = true\n    local-address = \"{}\"\n  \
             [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \"{}-unicast\"\n    \
             [neighbors.afi-safis.prefix-limit.config]\n      max-prefixes = 10\n",
            dialect.asn(),
            local(*peer),
            channel(*peer)
        )
        .unwrap();
    }
    ("gobgpd.toml", text)
}

fn openbgpd(peers: &[Peering]) -> (&'static str, String) {
    let mut text = format!(
        "AS {OUR_ASN}\nrouter-id 192.0.2.1\nsocket \"DIR/control\"\nfib-update no\n\
         listen on {THEIRS_V4}\nlisten on {THEIRS_V6}\n\
         network 198.51.100.0/24\nnetwork 2001:db8:100::/48\n"
    );
    for (peer, dialect) in peers {
        let enforce = if *dialect == Dialect::Strict { "enforce" } else { "" };
        writeln!(
            text,
            "neighbor {peer} {{\n  remote-as {}\n  local-address {}\n  passive\n  max-prefix 10\n  \
             announce policy customer {enforce}\n}}",
            dialect.asn(),
            local(*peer)
        )
        .unwrap();
    }
    ("bgpd.conf", text + "allow from any\nallow to any\n")
}
