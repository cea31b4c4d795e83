use hickory_proto::op::{Edns, Message};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsOption, NSIDPayload};
use proptest::prelude::*;

use super::*;
use crate::dns::embedded::{exchange, testing};

/// Everybody may transfer and notify.
struct Everybody;

impl ZonePolicy for Everybody {
    fn config(&self) -> Arc<NameServerConfig> {
        Arc::new(NameServerConfig { identity: "node-a".to_owned(), ..NameServerConfig::default() })
    }

    fn cookie_secret(&self) -> Option<CookieSecret> {
        None
    }

    fn keys(&self, _: &DomainName) -> Vec<TsigKey> {
        Vec::new()
    }

    fn may_transfer(&self, _: &DomainName, _: IpAddr, _: Option<&TsigKey>) -> bool {
        true
    }

    fn steps(&self, _: &Zone, _: Serial) -> Option<Vec<Arc<Delta>>> {
        None
    }

    fn notified(&self, _: &DomainName, _: IpAddr, _: Option<&TsigKey>, _: Option<Serial>) -> bool {
        true
    }
}

fn handler() -> Handler {
    let zones = Arc::new(Zones::new());
    zones.serve(Arc::new(testing::zone(&"example.org".parse().unwrap(), 1, 50)));
    Handler::new(zones, Arc::new(Everybody))
}

/// What is said to these octets, each message of it.
fn said(octets: &[u8], transport: Transport) -> Vec<Vec<u8>> {
    let mut response = Vec::new();
    match handler().respond(octets, ([192, 0, 2, 1], 1053).into(), transport, &mut response) {
        Reply::Silence => Vec::new(),
        Reply::Message => vec![response],
        Reply::Transfer(mut transfer) => testing::messages(&mut transfer),
    }
}

fn query(rtype: RecordType) -> Vec<u8> {
    let mut query = exchange::question(&"n1.example.org".parse().unwrap(), rtype);
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new([]).unwrap()));
    query.edns = Some(edns);
    query.to_vec().unwrap()
}

proptest! {
    #[test]
    fn any_octets_get_a_response_that_can_be_read_or_none(
        octets in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        for transport in [Transport::Udp, Transport::Tcp] {
            for message in said(&octets, transport) {
                prop_assert!(Message::from_vec(&message).is_ok());
                prop_assert_eq!(&message[..2], &octets[..2]);
            }
        }
    }

    #[test]
    fn a_query_with_changed_octets_gets_a_response_that_can_be_read(
        rtype in 0_u16..260,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut octets = query(RecordType::from(rtype));
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        for (transport, most) in [(Transport::Udp, 1232), (Transport::Tcp, 65_535)] {
            for message in said(&octets, transport) {
                prop_assert!(message.len() <= most);
                prop_assert!(Message::from_vec(&message).is_ok());
            }
        }
    }
}

#[test]
fn refusals_are_logged_seldom() {
    let seldom = Seldom::default();
    assert!(seldom.now());
    assert!(!seldom.now());
}
