//! The other side of a drawn network: a BIRD that is every one of its peers, and offers what nobody may take.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::network::{Network, OURS, PREFIXES, Peer, THEIRS};

/// Routes that a peer offers whose table is taken whole, of each family.
const TABLE: [usize; 2] = [3000, 1000];
/// Routes that all offer once they are told to.
const MANY: [usize; 2] = [4000, 1500];

/// What every session of a family offers from the beginning: the default route, whatever may be ours, parts of that, and
/// what covers it. Fewer than ten, which is what anybody may offer.
fn bait(v6: bool) -> BTreeSet<IpNet> {
    let assigned =
        PREFIXES.iter().filter(|prefix| prefix.contains(':') == v6).map(|prefix| prefix.parse().unwrap());
    let part = |whole: IpNet| IpNet::new(whole.addr(), if v6 { 64 } else { 25 }).unwrap();
    let others = match v6 {
        false => ["0.0.0.0/0", "10.0.0.0/8", "198.0.0.0/8"],
        true => ["::/0", "2001:db8:f000::/48", "2001:db8::/32"],
    };
    let others = others.map(|prefix| prefix.parse().unwrap());
    assigned.flat_map(|whole| [whole, part(whole)]).chain(others).collect()
}

/// How many routes a table may have that takes everything of a session, but what lies in our own prefixes; with the many,
/// or without.
pub fn importable(network: &Network, end: usize, many: bool) -> usize {
    let v6 = is_v6(end);
    let ours: Vec<IpNet> = network.prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
    let of_others = bait(v6).into_iter().filter(|offered| !ours.iter().any(|own| own.contains(offered)));
    let at = usize::from(v6);
    of_others.count() + TABLE[at] + if many { MANY[at] } else { 0 }
}

/// How a session is called there.
pub fn name(end: usize) -> String {
    format!("s{end}")
}

pub fn is_v6(end: usize) -> bool {
    THEIRS[end].contains(':')
}

/// The whole configuration.
pub fn config(network: &Network, roles: bool) -> String {
    let mut text =
        "log \"DIR/log\" all;\ntimeformat protocol \"%s.%3f\";\nrouter id 192.0.2.254;\nprotocol device {}\n"
            .to_owned();
    let routes = |of: &mut dyn Iterator<Item = String>| -> String {
        of.map(|prefix| format!("route {prefix} blackhole;\n")).collect()
    };
    for (family, v6) in [("ipv4", false), ("ipv6", true)] {
        let bait = bait(v6).into_iter().map(|prefix| prefix.to_string());
        text +=
            &format!("protocol static bait_{family} {{ {family};\n{} }}\n", routes(&mut bait.into_iter()));
        let numbered = |kind: u8, count: usize| {
            (0..count).map(move |number| match v6 {
                false => format!("10.{}.{}.0/24", usize::from(kind) * 32 + number / 256, number % 256),
                true => format!("2001:db8:f{kind:x}{:x}:{:x}::/64", number / 256, number % 256),
            })
        };
        let at = usize::from(v6);
        text += &format!(
            "protocol static table_{family} {{ {family};\n{} }}\n",
            routes(&mut numbered(1, TABLE[at]))
        );
        text += &format!(
            "protocol static many_{family} {{ disabled; {family};\n{} }}\n",
            routes(&mut numbered(2, MANY[at]))
        );
    }
    for peer in &network.peers {
        for end in &peer.ends {
            text += &session(network, peer, *end, roles);
        }
    }
    text
}

/// Strict where the peer's file is: then each side insists on the other's role.
fn session(network: &Network, peer: &Peer, end: usize, roles: bool) -> String {
    let family = if is_v6(end) { "ipv6" } else { "ipv4" };
    let role = match peer.relation {
        "provider" => "provider",
        "peer" => "peer",
        _ => "rs_server",
    };
    let how = match peer.multihop {
        None => "direct; ttl security on;".to_owned(),
        Some(hops) => format!("multihop {hops};"),
    };
    let password = peer.password.map_or_else(String::new, |password| format!("password \"{password}\";"));
    let insists = if roles && peer.strict_role { "on" } else { "off" };
    let table = if peer.import == "full" { format!("|| proto = \"table_{family}\"") } else { String::new() };
    format!(
        "protocol bgp {} {{ local {} as {}; neighbor {} as {}; passive on; {how} local role {role}; require roles {insists}; \
         {password} debug {{ states }}; error wait time 1, 1;\n{family} {{ import all; \
         export where proto = \"bait_{family}\" || proto = \"many_{family}\" {table}; }}; }}\n",
        name(end),
        THEIRS[end],
        peer.asn,
        OURS[end],
        network.asn,
    )
}
