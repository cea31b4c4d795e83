//! Growth: nodes that nobody has, for a network larger than the given one.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::draft::Draft;
use crate::desired::model::DesiredState;
use crate::names::NodeName;

/// City, country, ISO 3166-1 code, latitude, longitude.
type City = (&'static str, &'static str, &'static str, f64, f64);

/// Where made-up nodes stand, one after the other, and then round again.
const CITIES: [City; 24] = [
    ("Frankfurt", "Germany", "DE", 50.11, 8.68),
    ("New York", "United States", "US", 40.71, -74.01),
    ("Singapore", "Singapore", "SG", 1.35, 103.82),
    ("Sao Paulo", "Brazil", "BR", -23.55, -46.63),
    ("Tokyo", "Japan", "JP", 35.68, 139.69),
    ("Johannesburg", "South Africa", "ZA", -26.20, 28.05),
    ("Sydney", "Australia", "AU", -33.87, 151.21),
    ("Amsterdam", "Netherlands", "NL", 52.37, 4.90),
    ("Toronto", "Canada", "CA", 43.65, -79.38),
    ("Mumbai", "India", "IN", 19.08, 72.88),
    ("Stockholm", "Sweden", "SE", 59.33, 18.07),
    ("Madrid", "Spain", "ES", 40.42, -3.70),
    ("Nairobi", "Kenya", "KE", -1.29, 36.82),
    ("Los Angeles", "United States", "US", 34.05, -118.24),
    ("Warsaw", "Poland", "PL", 52.23, 21.01),
    ("Seoul", "South Korea", "KR", 37.57, 126.98),
    ("Mexico City", "Mexico", "MX", 19.43, -99.13),
    ("Milan", "Italy", "IT", 45.46, 9.19),
    ("Auckland", "New Zealand", "NZ", -36.85, 174.76),
    ("Dublin", "Ireland", "IE", 53.35, -6.26),
    ("Buenos Aires", "Argentina", "AR", -34.60, -58.38),
    ("Chicago", "United States", "US", 41.88, -87.63),
    ("Istanbul", "Turkey", "TR", 41.01, 28.98),
    ("Vienna", "Austria", "AT", 48.21, 16.37),
];

/// Adds made-up nodes, each with a provider, and gives their names. `None` if the mesh has no room for them.
pub(crate) fn grow(draft: &mut Draft, state: &DesiredState, count: usize) -> Option<Vec<NodeName>> {
    let mesh = &state.network.mesh;
    let taken_v4: BTreeSet<Ipv4Addr> = state.nodes.values().map(|node| node.mesh.loopback_v4).collect();
    let taken_v6: BTreeSet<Ipv6Addr> = state.nodes.values().map(|node| node.mesh.loopback_v6).collect();
    let mut loopbacks_v4 = mesh.loopbacks_v4.hosts().filter(|address| !taken_v4.contains(address));
    // An IPv6 subnet is not to be walked through: counted from its start, away from its router anycast address.
    let first = u128::from(mesh.loopbacks_v6.network());
    let room = 128 - u32::from(mesh.loopbacks_v6.prefix_len());
    let mut loopbacks_v6 = (1..1_u128.checked_shl(room).unwrap_or(u128::MAX))
        .map(|host| Ipv6Addr::from(first + host))
        .filter(|address| !taken_v6.contains(address));
    // Private AS numbers for documentation (RFC 5398), the network's own left out.
    let providers: Vec<u32> =
        (65_536..=65_551).chain(64_496..=64_511).filter(|asn| *asn != state.network.asn.get()).collect();
    // Where the existing nodes' names end, so do the new ones'.
    let domain = state.nodes.values().next().map_or_else(
        || "nodes.example.net".to_owned(),
        |node| {
            let name = node.fqdn.to_string();
            name.split_once('.').map_or_else(|| name.clone(), |(_, domain)| domain.to_owned())
        },
    );
    let mut names = Vec::new();
    for number in 0.. {
        if names.len() == count {
            break;
        }
        let (city, country, iso, latitude, longitude) = CITIES[number % CITIES.len()];
        let turn = number / CITIES.len() + 1;
        let name: NodeName = format!("{}-{turn}", city.to_lowercase().replace(' ', "-")).parse().ok()?;
        if state.nodes.contains_key(&name) {
            continue;
        }
        let (loopback_v4, loopback_v6) = (loopbacks_v4.next()?, loopbacks_v6.next()?);
        // RFC 2544's range for benchmarks, four addresses a node, and RFC 3849's for documentation.
        let subnet = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + 4 * u32::try_from(number).ok()?;
        let (gateway, own) = (Ipv4Addr::from(subnet + 1), Ipv4Addr::from(subnet + 2));
        let subnet = format!("2001:db8:b000:{number:x}:");
        let port = mesh.port;
        let place = format!(
            "{{ city: {city}, country: {country}, country_iso: {iso}, flag: {flag}, location: made up, \
             geo: {{ latitude: {latitude}, longitude: {longitude} }} }}",
            flag = flag(iso),
        );
        draft.write(
            format!("nodes/{name}.yaml"),
            format!(
                "place: {place}\n\
                 fqdn: {name}.{domain}\n\
                 description: Made up by the simulation\n\
                 management:\n  - {own}\n  - \"{subnet}:2\"\n\
                 interfaces:\n  - name: eth0\n    addresses:\n      - {own}/30\n      - \"{subnet}:2/64\"\n    \
                 gateways:\n      - {gateway}\n      - \"{subnet}:1\"\n\
                 mesh:\n  endpoint: \"{own}:{port}\"\n  loopback_v4: {loopback_v4}\n  \
                 loopback_v6: \"{loopback_v6}\"\n\
                 roles: [edge]\n\
                 dns: embedded\n\
                 routing: embedded\n\
                 router_id: {own}\n\
                 state: live\n"
            ),
        );
        draft.write(
            format!("peers/{name}/provider.yaml"),
            format!(
                "description: Made up by the simulation\n\
                 asn: {asn}\n\
                 relation: provider\n\
                 sessions:\n  - {{ local: \"{own}\", neighbor: \"{gateway}\" }}\n  \
                 - {{ local: \"{subnet}:2\", neighbor: \"{subnet}:1\" }}\n",
                asn = providers[number % providers.len()],
            ),
        );
        names.push(name);
    }
    Some(names)
}

/// A country's flag: its code in regional indicator symbols.
fn flag(iso: &str) -> String {
    let indicator = |letter: u8| char::from_u32(0x1_F1E6 + u32::from(letter.wrapping_sub(b'A')));
    iso.bytes().filter_map(indicator).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::desired::model::NodeState;
    use crate::simulate::draft::{choose, read_folder, runs};

    fn example() -> Draft {
        read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("desired-state")).unwrap()
    }

    #[test]
    fn a_grown_network_has_no_findings() {
        let mut draft = example();
        let state = draft.load().unwrap();
        let made = grow(&mut draft, &state, 60).unwrap();
        for (number, name) in (1..).zip(&made) {
            draft.set_key(name, &crate::mesh::PublicKey([number; 32])).unwrap();
        }
        let grown = draft.load().unwrap();
        assert_eq!(grown.nodes.len(), state.nodes.len() + 60);
        for name in &made {
            assert!(grown.peers.keys().any(|(node, _)| node == name), "{name} has a provider");
        }
        assert_eq!(grow(&mut draft, &state, 1_000), None, "a /24 of loopbacks has no room for so many");
    }

    #[test]
    fn a_shrunken_network_keeps_its_hubs() {
        let state = example().load().unwrap();
        let is_hub = |name: &NodeName| state.nodes[name].roles.contains(&crate::desired::model::Role::Hub);
        let chosen = choose(&state, 3);
        assert_eq!(chosen.len(), 3);
        assert_eq!(chosen.iter().filter(|name| is_hub(name)).count(), 2);
        assert!(chosen.iter().all(|name| runs(&state.nodes[name])));
        assert!(is_hub(choose(&state, 1).first().unwrap()));
        let all = choose(&state, 12);
        assert!(
            all.iter().any(|name| state.nodes[name].state == NodeState::Planned),
            "planned ones come last"
        );
    }
}
