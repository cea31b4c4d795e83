//! One fault each, and the finding that it must give: path, line, column, words, hint.

use super::{bare, findings, put};
use shoestring::tree::Tree;

/// A change to the example.
enum Fault {
    /// In the file, the first text becomes the second, once.
    Edit(&'static str, &'static str, &'static str),
    /// The file has this in it.
    Put(&'static str, &'static str),
    /// The file is not there.
    Remove(&'static str),
}

use Fault::{Edit, Put, Remove};

fn apply(tree: &mut Tree, fault: &Fault) {
    match fault {
        Edit(path, from, to) => {
            let text = String::from_utf8(tree.files[*path].bytes.to_vec()).unwrap();
            assert!(text.contains(from), "{path} has no {from:?}");
            put(tree, path, text.replacen(from, to, 1).as_bytes());
        }
        Put(path, text) => put(tree, path, text.as_bytes()),
        Remove(path) => {
            tree.files.remove(*path).unwrap();
        }
    }
}

const PUNE: &str = "nodes/pune.yaml";
const DECCAN: &str = "peers/pune/deccan-net.yaml";
const NET: &str = "network.yaml";
const TOURS: &str = "zones/mike/tours.example.yaml";

/// Each fault and everything that is found, in order.
const TABLE: &[(&str, &[Fault], &[&str])] = &[
    (
        "unknown key",
        &[Edit(PUNE, "state: live", "state: live\ncolour: red")],
        &[
            "nodes/pune.yaml:34:1: unknown field `colour`, expected one of place, fqdn, description, live_since, cost, management, interfaces, mesh, roles, dns, routing, mrt, router_id, age_recipient, state",
        ],
    ),
    (
        "duplicate key",
        &[Edit(PUNE, "state: live", "state: live\nstate: live")],
        &["nodes/pune.yaml:34:1: duplicate mapping key `state` is not allowed here"],
    ),
    (
        "archives of a daemon that keeps no routes",
        &[Edit(PUNE, "state: live", "state: live\nmrt: {}")],
        &[
            "nodes/pune.yaml:31:10: the embedded speaker keeps no routes, so it writes no archives (select another routing daemon, or remove `mrt`)",
        ],
    ),
    (
        "archives of updates of a daemon that writes none",
        &[Edit("nodes/manchester.yaml", "routing: gobgp", "routing: gobgp\nmrt: { updates: true }")],
        &[
            "nodes/manchester.yaml:31:10: GoBGP writes archives of tables only: updates are not kept (select bird, frr or openbgpd, or remove `updates`)",
        ],
    ),
    (
        "updates that are neither kept nor not",
        &[Edit("nodes/bremen.yaml", "interval: 15m", "interval: 15m, updates: often")],
        &["nodes/bremen.yaml:33:32: \"often\" is not true or false"],
    ),
    (
        "archives that nothing comes of",
        &[Edit(
            "nodes/bremen.yaml",
            "15m, keep_megabytes: 1000, keep_days: 30",
            "30s, keep_megabytes: 0, keep_days: 0",
        )],
        &[
            "nodes/bremen.yaml:33:18: interval is not from 1m to 24h (15m is the default)",
            "nodes/bremen.yaml:33:39: nothing would be kept (write at least 1, or leave `mrt` out)",
            "nodes/bremen.yaml:33:53: nothing would be kept (write at least 1, or leave `mrt` out)",
        ],
    ),
    ("missing key", &[Edit(PUNE, "state: live", "")], &["nodes/pune.yaml:32:1: missing field `state`"]),
    (
        "missing value",
        &[Edit(PUNE, "state: live", "state:")],
        &["nodes/pune.yaml:33:6: a value is missing here (write a value, or remove the key)"],
    ),
    (
        "a list for a value",
        &[Edit(PUNE, "state: live", "state: [live]")],
        &["nodes/pune.yaml:33:8: expected a single value here"],
    ),
    (
        "a value for a list",
        &[Edit(PUNE, "roles: [edge]", "roles: edge")],
        &["nodes/pune.yaml:29:8: expected a list here"],
    ),
    (
        "an anchor",
        &[Edit(PUNE, "state: live", "state: &a live")],
        &[
            "nodes/pune.yaml:33:11: anchors and aliases are not allowed (write the value out where it is used; quote a text that begins with & or *)",
        ],
    ),
    (
        "a merge key",
        &[Edit(PUNE, "state: live", "<<: { state: live }")],
        &["nodes/pune.yaml:33:1: merge keys (<<) are not allowed (write the keys out where they are used)"],
    ),
    (
        "a tag",
        &[Edit(PUNE, "state: live", "state: !x live")],
        &["nodes/pune.yaml:33:11: unsupported tag `!x`"],
    ),
    (
        "two documents",
        &[Edit(PUNE, "state: live", "state: live\n---\nstate: live")],
        &[
            "nodes/pune.yaml:34:1: there is more than one YAML document in the file (remove the --- line and what follows it)",
        ],
    ),
    (
        "an unquoted colon",
        &[Edit(PUNE, "description: The", "description: Note: the")],
        &[
            "nodes/pune.yaml:10:18: mapping values are not allowed in this context (put a text that has a colon and a space in it between quotes)",
        ],
    ),
    (
        "a bidirectional character",
        &[Edit(PUNE, "only node", "only \u{202e}node")],
        &[
            "nodes/pune.yaml:10:23: the character U+202E is not allowed (control and bidirectional characters can hide what a file says; remove it)",
        ],
    ),
    (
        "an escaped bidirectional character",
        &[Edit(PUNE, "city: Pune", "city: \"Pu\\u202ene\"")],
        &[
            "nodes/pune.yaml:3:9: \"Pu\\u{202e}ne\" has the character U+202E: write one line without control or bidirectional characters",
        ],
    ),
    (
        "several wrong values at once",
        &[
            Edit(PUNE, "dns: embedded", "dns: coredns"),
            Edit(PUNE, "routing: embedded", "routing: quagga"),
            Edit(PUNE, "latitude: 18.5913", "latitude: 118.5"),
            Edit(PUNE, "country_iso: IN", "country_iso: India"),
            Edit(PUNE, "live_since: 2014-04-09", "live_since: 2014-02-30"),
            Edit(PUNE, "amount: 6", "amount: 6.505"),
            Edit(PUNE, "roles: [edge]", "roles: [edge, relay]"),
            Edit(DECCAN, "asn: 65536", "asn: 23456"),
        ],
        &[
            "nodes/pune.yaml:5:16: \"India\" is not a country code of two capital letters (ISO 3166-1), such as GB",
            "nodes/pune.yaml:8:20: \"118.5\" is not a number of degrees from -90 to 90",
            "nodes/pune.yaml:11:13: \"2014-02-30\" is not a date, such as 2014-03-01",
            "nodes/pune.yaml:12:17: \"6.505\" is not an amount, such as 7 or 3.50",
            "nodes/pune.yaml:29:15: \"relay\" is not a role: expected edge or hub",
            "nodes/pune.yaml:30:6: \"coredns\" is not a name server that shoestring knows: expected one of embedded, bind, nsd, knot, powerdns",
            "nodes/pune.yaml:31:10: \"quagga\" is not a routing daemon that shoestring knows: expected one of embedded, bird, frr, gobgp, openbgpd",
            "peers/pune/deccan-net.yaml:3:6: 23456 is a reserved AS number",
        ],
    ),
    (
        "flag of another country",
        &[Edit(PUNE, "flag: 🇮🇳", "flag: 🇮🇩")],
        &["nodes/pune.yaml:6:9: the flag is that of ID, not of IN (make `flag` and `country_iso` agree)"],
    ),
    (
        "address of another node",
        &[Edit("nodes/boston.yaml", "- 198.51.100.26\n", "- 198.51.100.34\n")],
        &[
            "nodes/pune.yaml:14:5: the address 198.51.100.34 stands at nodes/boston.yaml:14:5 already (it may stand in one place only)",
        ],
    ),
    (
        "loopback of another node",
        &[Edit(PUNE, "172.31.77.5", "172.31.77.6")],
        &[
            "nodes/pune.yaml:27:16: the mesh loopback 172.31.77.6 stands at nodes/bremen.yaml:24:16 already (it may stand in one place only)",
        ],
    ),
    (
        "loopback outside of the range",
        &[Edit(PUNE, "172.31.77.5", "172.31.78.5")],
        &[
            "nodes/pune.yaml:27:16: the mesh loopback 172.31.78.5 is outside of the network's 172.31.77.0/24 (take a free address of the range in network.yaml)",
        ],
    ),
    (
        "router id of another node",
        &[Edit(PUNE, "router_id: 198.51.100.34", "router_id: 198.51.100.42")],
        &[
            "nodes/pune.yaml:32:12: the router id 198.51.100.42 stands at nodes/bremen.yaml:29:12 already (it may stand in one place only)",
        ],
    ),
    (
        "anycast router id",
        &[Edit(PUNE, "router_id: 198.51.100.34", "router_id: 192.0.2.1")],
        &[
            "nodes/pune.yaml:32:12: the router id 192.0.2.1 lies in the anycast prefix 192.0.2.0/24 (take the node's own IPv4 address)",
        ],
    ),
    (
        "anycast management address",
        &[Edit(PUNE, "  - 2001:db8:105::2\ninterfaces", "  - 2001:db8:53::2\ninterfaces")],
        &[
            "nodes/pune.yaml:15:5: 2001:db8:53::2 lies in the anycast prefix 2001:db8:53::/48 (a node's own address must lead to that node alone)",
        ],
    ),
    (
        "no mesh key",
        &[Edit(PUNE, "public_key", "# public_key")],
        &[
            "nodes/pune.yaml:33:8: a node in service needs a mesh key, or the others cannot reach it (run `shoestring join` on the machine and put the `public_key` that it prints under `mesh`)",
        ],
    ),
    (
        "gateway off the link",
        &[Edit(PUNE, "- 198.51.100.33", "- 198.51.100.41")],
        &[
            "nodes/pune.yaml:22:9: the gateway 198.51.100.41 is in no subnet of the interface (check the address and the interface's prefix lengths)",
        ],
    ),
    (
        "no role",
        &[Edit(PUNE, "roles: [edge]", "roles: []")],
        &["nodes/pune.yaml: the node has no role (write `roles: [edge]`, or `[edge, hub]`)"],
    ),
    (
        "prefix not ours",
        &[Edit(NET, "- 192.0.2.53", "- 198.51.100.253")],
        &[
            "network.yaml:10:5: 198.51.100.253 is in none of the network's prefixes (a node announces only `prefixes`; nothing would reach it)",
        ],
    ),
    (
        "prefix too long",
        &[Edit(NET, "192.0.2.0/24", "192.0.2.0/25")],
        &[
            "network.yaml:7:5: 192.0.2.0/25 is longer than /24 (most networks drop longer prefixes; announce the covering one)",
        ],
    ),
    (
        "prefix with host bits",
        &[Edit(NET, "192.0.2.0/24", "192.0.2.1/24")],
        &["network.yaml:7:5: 192.0.2.1/24 has bits set beyond its prefix length (write 192.0.2.0/24)"],
    ),
    (
        "mesh range over the prefix",
        &[Edit(NET, "  - 192.0.2.0/24", "  - 192.0.2.0/24\n  - 172.16.0.0/12")],
        &[
            "network.yaml:14:17: the mesh range 172.31.77.0/24 overlaps the anycast prefix 172.16.0.0/12 (take a private range (RFC 1918, RFC 4193))",
        ],
    ),
    (
        "transfers too small and too long",
        &[Edit(NET, "max_octets: 67108864", "max_octets: 1024"), Edit(NET, "15s", "2h")],
        &[
            "network.yaml:30:15: max_octets 1024 is not from 65536 to 1073741824 (leave it out to get what suits a machine of 512 MB)",
            "network.yaml:31:20: message_timeout is not from 1 s to 1 h (15s is the default)",
        ],
    ),
    (
        "no time to come back",
        &[
            Edit(NET, "routing_trial: 2m", "routing_trial: 5s"),
            Edit(NET, "switch_trial: 5m", "switch_trial: 2h"),
        ],
        &[
            "network.yaml:36:16: routing_trial is not from 10 s to 1 h (2m is the default: some peers wait a minute before they listen again)",
            "network.yaml:38:15: switch_trial is not from 5 s to 1 h (5m is the default: a daemon has to load its zones)",
        ],
    ),
    (
        "waves of nobody",
        &[Edit(
            NET,
            "- [london-c]\n    - [boston, edinburgh]",
            "- [london-d, boston]\n    - []\n    - [boston, x/y]",
        )],
        &[
            "network.yaml: wave 2 of `rollout` is empty (remove it)",
            "network.yaml:43:8: london-d is no node: there is no nodes/london-d.yaml (write a node's name, or take this one out of the wave)",
            "network.yaml:45:8: the node boston stands at network.yaml:43:18 already (it may stand in one place only)",
            "network.yaml:45:16: \"x/y\" is not a node name: use 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
        ],
    ),
    (
        "no waves",
        &[Edit(NET, "  waves:\n    - [london-c]\n    - [boston, edinburgh]", "  waves: []")],
        &[
            "network.yaml: `rollout` has no wave (write `waves: [[node]]`, or remove `rollout` for changes everywhere at once)",
        ],
    ),
    (
        "a rollout that nobody can keep up with",
        &[Edit(NET, "soak: 60s", "soak: 25h"), Edit(NET, "deadline: 5m", "deadline: 90s")],
        &[
            "network.yaml:45:9: soak is not from 1 s to 24 h (60s is the default)",
            "network.yaml:46:13: a deadline of 90 s is over before a node was well for 90000 s (make `deadline` longer, or `soak` shorter)",
        ],
    ),
    (
        "rate limit of nobody",
        &[Edit(
            NET,
            "drain:",
            "rate_limit: { responses_per_second: 1, window: 0, slip: 11, ipv4_prefix: 33, exempt: [192.0.2.1/24] }\ndrain:",
        )],
        &[
            "network.yaml:24:37: responses_per_second 1 is not from 5 to 50000 (200 is usual; a resolver with many users asks often)",
            "network.yaml:24:48: window 0 is not from 1 to 3600 (15 is the default)",
            "network.yaml:24:57: slip 11 is not from 0 to 10 (2 is the default; 0 leaves a victim's own resolver no way to ask)",
            "network.yaml:24:74: ipv4_prefix 33 is not from 8 to 32 (24 is the default)",
            "network.yaml:24:87: 192.0.2.1/24 has bits set beyond its prefix length (write 192.0.2.0/24)",
        ],
    ),
    (
        "no hold-down",
        &[Edit(NET, "hold_down: 60s", "hold_down: 0s")],
        &["network.yaml:23:14: hold_down is not from 1 s to 1 h (60s is the default)"],
    ),
    (
        "no canary",
        &[Edit(NET, "canary: canary.example.net", "canary: tours.example")],
        &[
            "network.yaml:17:11: the canary tours.example is not a primary zone of this network (add it under zones/ with `kind: primary`: it must not depend on anybody)",
        ],
    ),
    (
        "one hub",
        &[Edit("nodes/detroit.yaml", "[edge, hub]", "[edge]")],
        &[
            "nodes/belfast.yaml:29:9: of 11 nodes in service 1 are hubs; the network transfers zones, so 2 must be (give `roles: [edge, hub]` to this node or to a better connected one)",
        ],
    ),
    (
        "own AS number",
        &[Edit(DECCAN, "asn: 65536", "asn: 64500")],
        &[
            "peers/pune/deccan-net.yaml:3:6: AS64500 is the network's own AS number (write the peer's AS number; nodes do not speak BGP to each other)",
        ],
    ),
    (
        "AS number conflict",
        &[Edit("peers/san-francisco/registry-mirror.yaml", "203.0.113.14", "203.0.113.5")],
        &[
            "peers/san-francisco/software-consortium.yaml:3:6: 203.0.113.5 is AS65539 here and AS64505 at peers/san-francisco/registry-mirror.yaml:6:40 (one router has one AS number; correct one of the two)",
            "peers/san-francisco/software-consortium.yaml:6:40: the neighbor 203.0.113.5 stands at peers/san-francisco/registry-mirror.yaml:6:40 already (it may stand in one place only)",
        ],
    ),
    (
        "families mixed",
        &[Edit(DECCAN, "neighbor: \"2001:db8:105::1\"", "neighbor: \"198.51.100.35\"")],
        &[
            "peers/pune/deccan-net.yaml:7:43: 198.51.100.35 is not of the address family of 2001:db8:105::2 (both ends of a session are IPv4, or both are IPv6)",
        ],
    ),
    (
        "wrong family twice",
        &[Edit(
            DECCAN,
            "{ local: \"2001:db8:105::2\", neighbor: \"2001:db8:105::1\" }",
            "{ local: \"198.51.100.34\", neighbor: \"198.51.100.35\" }",
        )],
        &[
            "peers/pune/deccan-net.yaml:7:14: a second v4 session with one peer (write another file for the peer's other router)",
        ],
    ),
    (
        "local address of nobody",
        &[Edit(DECCAN, "local: \"198.51.100.34\"", "local: \"198.51.100.35\"")],
        &[
            "peers/pune/deccan-net.yaml:6:14: 198.51.100.35 is not an address of the node (take one of `interfaces` or `management` in nodes/pune.yaml)",
        ],
    ),
    (
        "neighbor off the link",
        &[Edit(DECCAN, "neighbor: \"198.51.100.33\"", "neighbor: \"198.51.100.43\"")],
        &[
            "peers/pune/deccan-net.yaml:6:41: 198.51.100.43 is not in the subnet of 198.51.100.34 (check the address, or write `multihop` with the hops to it)",
        ],
    ),
    (
        "BFD that finds nothing, or everything",
        &[Edit("peers/london-b/thames-hosting.yaml", "100ms, multiplier: 3", "5ms, multiplier: 11")],
        &[
            "peers/london-b/thames-hosting.yaml:12:18: interval is not from 10ms to 2s (100ms is the default)",
            "peers/london-b/thames-hosting.yaml:12:35: multiplier is not from 2 to 10 (3 is the default)",
        ],
    ),
    (
        "BFD of a daemon without",
        &[Edit("nodes/london-b.yaml", "routing: bird", "routing: openbgpd")],
        &[
            "nodes/london-b.yaml:31:10: OpenBGPD has no BFD: the sessions with peers/london-b/thames-hosting.yaml run without (select bird or frr, or remove `bfd` there)",
        ],
    ),
    (
        "neighbor is our own node",
        &[Edit(DECCAN, "neighbor: \"198.51.100.33\"", "neighbor: \"198.51.100.42\"")],
        &[
            "peers/pune/deccan-net.yaml:6:41: the neighbor 198.51.100.42 is an address of our own node bremen (nodes do not speak BGP to each other)",
        ],
    ),
    (
        "blackhole community",
        &[Edit(DECCAN, "65536:64500:91", "65535:666")],
        &[
            "peers/pune/deccan-net.yaml:10:5: 65535:666 asks the peer to discard our traffic (RFC 7999) (remove it: this network never sends it)",
        ],
    ),
    (
        "no such secret",
        &[Edit(DECCAN, "communities:", "password: hush\ncommunities:")],
        &[
            "peers/pune/deccan-net.yaml:8:11: there is no secret hush (`shoestring secret set hush` adds it; or correct the name)",
        ],
    ),
    (
        "peer of no node",
        &[Remove(PUNE)],
        &[
            "peers/pune/deccan-net.yaml: there is no node pune (add nodes/pune.yaml, or correct the folder's name)",
        ],
    ),
    (
        "zone in two accounts",
        &[Put("zones/mike/school.example.yaml", "kind: secondary\nprimaries: [{ address: 203.0.113.9 }]\n")],
        &[
            "zones/mike/school.example.yaml: account harbour-school has the zone school.example already (a zone belongs to one account; remove one of the two)",
        ],
    ),
    (
        "primary is our own node",
        &[Edit(TOURS, "203.0.113.66:5353", "198.51.100.2")],
        &[
            "zones/mike/tours.example.yaml:4:14: 198.51.100.2:53 is our own node london-a (write an address of the other party's server: among ourselves nothing needs to be said)",
        ],
    ),
    (
        "primary is anycast",
        &[Edit(TOURS, "203.0.113.66:5353", "[2001:db8:53::1]:5353")],
        &[
            "zones/mike/tours.example.yaml:4:14: [2001:db8:53::1]:5353 lies in our anycast prefix 2001:db8:53::/48 (write an address of the other party's server: among ourselves nothing needs to be said)",
        ],
    ),
    (
        "primary by name",
        &[Edit(TOURS, "203.0.113.66:5353", "ns.example.org")],
        &[
            "zones/mike/tours.example.yaml:4:14: \"ns.example.org\" is not the address of a server: write 192.0.2.1, 192.0.2.1:5353, 2001:db8::1 or [2001:db8::1]:5353",
        ],
    ),
    (
        "secondary without primaries",
        &[Put(TOURS, "kind: secondary\n")],
        &[
            "zones/mike/tours.example.yaml:1:7: a secondary zone needs at least one primary (add `primaries:` with `- address: 192.0.2.1` below it)",
        ],
    ),
    (
        "faults of a zone file",
        &[
            Edit("zones/mike/bikes.example.zone", "AAAA  2001:db8:c0de::90", "AAAA  2001:db8:c0de::9z"),
            Edit("zones/mike/bikes.example.zone", "mx2             A     ", "mx2             A     one"),
        ],
        &[
            "zones/mike/bikes.example.zone:13:23: expected an IPv6 address, not \"2001:db8:c0de::9z\"",
            "zones/mike/bikes.example.zone:20:23: expected an IPv4 address, not \"one203.0.113.92\"",
        ],
    ),
    (
        "a zone inside of another account's primary zone",
        &[Put(
            "zones/mike/mail.example.net.yaml",
            "kind: secondary\nprimaries: [{ address: 203.0.113.9 }]\n",
        )],
        &[
            "zones/mike/mail.example.net.yaml:1:7: the zone lies inside example.net of account operator, and it has no NS records for it (delegate mail.example.net there, or move it to account operator)",
        ],
    ),
    (
        "a zone inside of another account's secondary zone",
        &[Put(
            "zones/mike/login.lab.example.yaml",
            "kind: secondary\nprimaries: [{ address: 203.0.113.9 }]\n",
        )],
        &[
            "zones/mike/login.lab.example.yaml:1:7: the zone lies inside lab.example of account operator, and a secondary zone's delegations are not known here (delegate login.lab.example there, or move it to account operator)",
        ],
    ),
    (
        "a zone around another account's zones",
        &[Put("zones/mike/net.yaml", "kind: secondary\nprimaries: [{ address: 203.0.113.9 }]\n")],
        &[
            "zones/operator/example.net.yaml:2:7: the zone lies inside net of account mike, and a secondary zone's delegations are not known here (delegate example.net there, or move it to account mike)",
        ],
    ),
    (
        "the last live edge drained",
        &[
            Edit("nodes/belfast.yaml", "state: live", "state: drained"),
            Edit("nodes/boston.yaml", "state: live", "state: drained"),
            Edit("nodes/bremen.yaml", "state: live", "state: drained"),
            Edit("nodes/detroit.yaml", "state: live", "state: drained"),
            Edit("nodes/edinburgh.yaml", "state: live", "state: retired"),
            Edit("nodes/london-a.yaml", "state: live", "state: drained"),
            Edit("nodes/london-b.yaml", "state: live", "state: retired"),
            Edit("nodes/london-c.yaml", "state: live", "state: retired"),
            Edit("nodes/manchester.yaml", "state: live", "state: retired"),
            Edit("nodes/pune.yaml", "state: live", "state: retired"),
            Edit("nodes/san-francisco.yaml", "state: live", "state: retired"),
        ],
        &[
            "nodes/belfast.yaml:33:8: no live edge is left: nobody would announce the prefixes (drain one edge at a time)",
            "nodes/boston.yaml:33:8: no live edge is left: nobody would announce the prefixes (drain one edge at a time)",
            "nodes/bremen.yaml:30:8: no live edge is left: nobody would announce the prefixes (drain one edge at a time)",
            "nodes/detroit.yaml:33:8: no live edge is left: nobody would announce the prefixes (drain one edge at a time)",
            "nodes/london-a.yaml:33:8: no live edge is left: nobody would announce the prefixes (drain one edge at a time)",
        ],
    ),
    (
        "primary with primaries",
        &[Edit(TOURS, "kind: secondary", "kind: primary")],
        &[
            "zones/mike/tours.example.yaml:2:7: a primary zone has no primaries of its own (remove `primaries`, or write `kind: secondary`)",
            "zones/mike/tours.example.yaml:2:7: a primary zone needs its records, and there is no zones/mike/tours.example.zone (add it, or write `kind: secondary`)",
        ],
    ),
    (
        "primary without records",
        &[Remove("zones/mike/club.example.zone")],
        &[
            "zones/mike/club.example.yaml:2:7: a primary zone needs its records, and there is no zones/mike/club.example.zone (add it, or write `kind: secondary`)",
        ],
    ),
    (
        "records without a zone",
        &[Remove("zones/mike/club.example.yaml")],
        &[
            "zones/mike/club.example.zone: records without a zone: there is no zones/mike/club.example.yaml (add it with `kind: primary`, or remove this file)",
        ],
    ),
    (
        "a catalog without primaries",
        &[Put(TOURS, "kind: catalog\n")],
        &[
            "zones/mike/tours.example.yaml:1:7: a catalog needs at least one primary (add `primaries:` with `- address: 192.0.2.1` below it)",
        ],
    ),
    (
        "members of what is no catalog, and too many or none of one",
        &[
            Put(TOURS, "kind: catalog\nprimaries: [{ address: 203.0.113.9 }]\nmembers: { limit: 0 }\n"),
            Put(
                "zones/mike/a.example.yaml",
                "kind: catalog\nprimaries: [{ address: 203.0.113.9 }]\nmembers: { limit: 100001, primaries: [{ address: 192.0.2.53 }] }\n",
            ),
            Put(
                "zones/mike/b.example.yaml",
                "kind: secondary\nprimaries: [{ address: 203.0.113.9 }]\nmembers: { within: [b.example] }\n",
            ),
            Put(
                "zones/mike/c.example.yaml",
                "kind: catalog\nprimaries: [{ address: 203.0.113.9 }]\nmembers: { most_removed: 101 }\n",
            ),
        ],
        &[
            "zones/mike/a.example.yaml:3:19: a limit of 100001 members is not from 1 to 100000 (leave it out for 1000)",
            "zones/mike/a.example.yaml:3:50: 192.0.2.53:53 lies in our anycast prefix 192.0.2.0/24 (write an address of the other party's server: among ourselves nothing needs to be said)",
            "zones/mike/b.example.yaml:1:7: only a catalog has members (remove `members`, or write `kind: catalog`)",
            "zones/mike/c.example.yaml:3:26: 101 is not from 0 to 100 per cent (leave it out for 50)",
            "zones/mike/tours.example.yaml:3:19: a limit of 0 members is not from 1 to 100000 (leave it out for 1000)",
        ],
    ),
    (
        "catalogs that are offered to nobody, or twice",
        &[
            Put("zones/mike/a.example.yaml", "kind: offered-catalog\n"),
            Put(
                "zones/mike/b.example.yaml",
                "kind: offered-catalog\ntransfer_to: [{ address: 203.0.113.9 }]\nserial_offset: 1\n",
            ),
            Put(
                "zones/mike/c.example.yaml",
                "kind: offered-catalog\ntransfer_to: [{ address: 203.0.113.9 }]\nprimaries: [{ address: 203.0.113.9 }]\n",
            ),
        ],
        &[
            "zones/mike/a.example.yaml:1:7: nobody may transfer the catalog that is offered here (add `transfer_to:` with `- address: 192.0.2.1` or `- tsig_key: name` below it)",
            "zones/mike/b.example.yaml:1:7: account mike offers a catalog already, in zones/mike/a.example.yaml (remove one of the two)",
            "zones/mike/b.example.yaml:3:16: only a primary zone has a serial that is counted here (remove `serial_offset`)",
            "zones/mike/c.example.yaml:1:7: a catalog that we offer has no primaries of its own (remove `primaries`, or write `kind: secondary`)",
            "zones/mike/c.example.yaml:1:7: account mike offers a catalog already, in zones/mike/b.example.yaml (remove one of the two)",
        ],
    ),
    (
        "records of a secondary zone",
        &[Put("zones/mike/tours.example.zone", "")],
        &[
            "zones/mike/tours.example.zone: the zone is secondary: its records come by transfer (remove this file, or write `kind: primary` beside it)",
        ],
    ),
    (
        "a name that is not a file's",
        &[Put("zones/mike/x\";};\n.yaml", "kind: secondary\n")],
        &[
            "zones/mike/x\";};\\n.yaml: \"x\\\";};\\n\" is not a domain name: it has a space, a control character or one outside ASCII (expected network.yaml, trust.yaml, nodes/<node>.yaml, peers/<node>/<peer>.yaml, zones/<account>/<zone>.yaml and .zone, secrets/<name>.age, keys/*, README* or dot files)",
        ],
    ),
    (
        "a file that is nothing",
        &[Put("nodes/pune.yml", ""), Put("zones/notes.txt", "")],
        &[
            "nodes/pune.yml: the files of a network end in .yaml (expected network.yaml, trust.yaml, nodes/<node>.yaml, peers/<node>/<peer>.yaml, zones/<account>/<zone>.yaml and .zone, secrets/<name>.age, keys/*, README* or dot files)",
            "zones/notes.txt: a network's repository has no such file (expected network.yaml, trust.yaml, nodes/<node>.yaml, peers/<node>/<peer>.yaml, zones/<account>/<zone>.yaml and .zone, secrets/<name>.age, keys/*, README* or dot files)",
        ],
    ),
    (
        "no network",
        &[Remove(NET)],
        &["network.yaml: the file is missing (`shoestring init` makes the files of a network)"],
    ),
    (
        "no trust",
        &[Remove("trust.yaml")],
        &[
            "trust.yaml: the file is missing (without it no later commit can be judged; `shoestring init` makes one)",
        ],
    ),
    (
        "a trust file that trusts nobody",
        &[
            Edit("trust.yaml", "signers: [nat, claire], need: 1", "signers: [nat, clara], need: 1"),
            Edit(
                "trust.yaml",
                "signers: [sal, nat, claire], need: 1",
                "signers: [sal, nat, claire], need: 4",
            ),
        ],
        &[
            "trust.yaml:19:43: there is no principal clara (add it under `principals`, with its keys)",
            "trust.yaml:21:78: rule 3 needs 4 of 3 signers (need at least one, and no more than there are)",
        ],
    ),
];

#[test]
fn every_fault_is_found_where_it_stands() {
    let mut report = String::new();
    for (name, faults, expected) in TABLE {
        let mut tree = bare();
        faults.iter().for_each(|fault| apply(&mut tree, fault));
        let found = findings(&tree);
        if found != *expected {
            report.push_str(&format!("{name}: found\n"));
            found.iter().for_each(|line| report.push_str(&format!("        {line:?},\n")));
        }
    }
    assert!(report.is_empty(), "{report}");
}
