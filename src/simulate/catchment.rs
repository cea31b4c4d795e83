//! Catchment (RFC 4786): which node the packets of which region reach, given who announces what.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::names::NodeName;

/// One session of one node, by its two ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionEnds {
    /// Whose session it is.
    pub(crate) node: NodeName,
    /// The node's end, and the next hop of what it announces.
    pub(crate) local: IpAddr,
    /// The provider's end.
    pub(crate) neighbor: IpAddr,
}

/// All routes that the providers have now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rib {
    /// Whether the route carries the graceful-shutdown community (RFC 8326).
    routes: BTreeMap<IpNet, BTreeMap<SessionEnds, bool>>,
}

impl Rib {
    /// A session announces a prefix, anew or in another way.
    pub(crate) fn announce(&mut self, session: SessionEnds, prefix: IpNet, shutting_down: bool) {
        self.routes.entry(prefix).or_default().insert(session, shutting_down);
    }

    /// A session withdraws a prefix.
    pub(crate) fn withdraw(&mut self, session: &SessionEnds, prefix: &IpNet) {
        if let Some(routes) = self.routes.get_mut(prefix) {
            routes.remove(session);
        }
    }

    /// A session has ended, and all of its routes with it: the prefixes that it had.
    pub(crate) fn end(&mut self, session: &SessionEnds) -> Vec<IpNet> {
        let had = |routes: &mut BTreeMap<SessionEnds, bool>| routes.remove(session).is_some();
        self.routes.iter_mut().filter_map(|(prefix, routes)| had(routes).then_some(*prefix)).collect()
    }

    /// The way to a prefix for somebody who has these distances to the nodes: the nearest announcing node, where
    /// one that is shutting down counts only when there is no other (RFC 8326 section 4).
    pub(crate) fn best(&self, prefix: &IpNet, distances: &BTreeMap<NodeName, f64>) -> Option<&SessionEnds> {
        let distance = |session: &SessionEnds| distances.get(&session.node).copied().unwrap_or(f64::INFINITY);
        let routes = self.routes.get(prefix)?.iter();
        routes
            .min_by(|(a, a_down), (b, b_down)| {
                a_down.cmp(b_down).then(distance(a).total_cmp(&distance(b))).then(a.cmp(b))
            })
            .map(|(session, _)| session)
    }

    /// Whether a node announces a prefix.
    pub(crate) fn is_announced_by(&self, prefix: &IpNet, node: &NodeName) -> bool {
        self.routes.get(prefix).is_some_and(|routes| routes.keys().any(|session| session.node == *node))
    }

    /// Whether a node announces anything.
    pub(crate) fn announces(&self, node: &NodeName) -> bool {
        self.routes.keys().any(|prefix| self.is_announced_by(prefix, node))
    }

    /// How many nodes announce a prefix.
    pub(crate) fn announcers(&self, prefix: &IpNet) -> usize {
        let nodes = self.routes.get(prefix).into_iter().flat_map(|routes| routes.keys());
        nodes.map(|session| &session.node).collect::<std::collections::BTreeSet<_>>().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(node: &str, last: u8) -> SessionEnds {
        SessionEnds {
            node: node.parse().unwrap(),
            local: IpAddr::from([192, 0, 2, last]),
            neighbor: IpAddr::from([192, 0, 2, last + 1]),
        }
    }

    #[test]
    fn the_nearest_announcing_node_wins_unless_it_is_shutting_down() {
        let prefix: IpNet = "203.0.113.0/24".parse().unwrap();
        let (near, far) = (session("near", 10), session("far", 20));
        let distances = BTreeMap::from([(near.node.clone(), 10.0), (far.node.clone(), 5_000.0)]);
        let mut rib = Rib::default();
        assert_eq!(rib.best(&prefix, &distances), None);
        rib.announce(far.clone(), prefix, false);
        assert_eq!(rib.best(&prefix, &distances), Some(&far));
        rib.announce(near.clone(), prefix, false);
        assert_eq!(rib.best(&prefix, &distances), Some(&near));
        rib.announce(near.clone(), prefix, true);
        assert_eq!(rib.best(&prefix, &distances), Some(&far), "the drained one is avoided");
        rib.withdraw(&far, &prefix);
        assert_eq!(rib.best(&prefix, &distances), Some(&near), "and used when it is the last");
        assert_eq!(rib.announcers(&prefix), 1);
        assert_eq!(rib.end(&near), [prefix]);
        assert_eq!(rib.best(&prefix, &distances), None);
    }

    #[test]
    fn the_end_of_one_session_leaves_the_nodes_other_one() {
        let prefix: IpNet = "203.0.113.0/24".parse().unwrap();
        let (first, second) = (session("a", 10), session("a", 20));
        let mut rib = Rib::default();
        rib.announce(first.clone(), prefix, false);
        rib.announce(second.clone(), prefix, false);
        assert_eq!(rib.end(&first), [prefix]);
        assert_eq!(rib.best(&prefix, &BTreeMap::new()), Some(&second));
        assert!(rib.announces(&first.node), "by the other one");
        assert_eq!(rib.end(&first), [] as [IpNet; 0]);
        rib.end(&second);
        assert!(!rib.announces(&first.node));
    }
}
