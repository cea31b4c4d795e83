//! What an answer costs, from the octets of the request to those of the response, without sockets: nanoseconds and heap
//! allocations for each, beside a floor in the same run, a request that goes no further than its reader.
//! `cargo bench --bench answer`.
//!
//! 10,000 zones of 10 records are served beside three of the differential test's, one not signed, one signed with NSEC
//! and one with NSEC3. The requests of a row differ in their zones or names, so that not all stays in the nearest cache.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement prints, and a failure ends it")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoestring::dns::NameServerConfig;
use shoestring::dns::embedded::delta::Delta;
use shoestring::dns::embedded::handler::{Handler, Reply, Transport, ZonePolicy};
use shoestring::dns::embedded::zone::Zone;
use shoestring::dns::embedded::zonefile;
use shoestring::dns::embedded::zones::Zones;
use shoestring::keyring::{CookieSecret, TsigKey};
use shoestring::names::{DomainName, Serial};

mod allocations;

const ZONES: usize = 10_000;
/// Different requests of a row.
const REQUESTS: usize = 1_000;
/// How long a row is measured; the quickest of its rounds counts, since the machine is shared.
const TIME: Duration = Duration::from_millis(400);

const SIGNED: [(&str, &str); 3] = [
    ("cuts.test", include_str!("../../differential/zones/main/cuts.test.zone")),
    ("nsec.test", include_str!("../../differential/zones/main/nsec.test.zone")),
    ("nsec3.test", include_str!("../../differential/zones/main/nsec3.test.zone")),
];

struct Nobody;

impl ZonePolicy for Nobody {
    fn config(&self) -> Arc<NameServerConfig> {
        Arc::default()
    }

    fn cookie_secret(&self) -> Option<CookieSecret> {
        None
    }

    fn keys(&self, _: &DomainName) -> Vec<TsigKey> {
        Vec::new()
    }

    fn may_transfer(&self, _: &DomainName, _: IpAddr, _: Option<&TsigKey>) -> bool {
        false
    }

    fn steps(&self, _: &Zone, _: Serial) -> Option<Vec<Arc<Delta>>> {
        None
    }

    fn notified(&self, _: &DomainName, _: IpAddr, _: Option<&TsigKey>, _: Option<Serial>) -> bool {
        false
    }
}

fn main() {
    let zones = Arc::new(Zones::new());
    for number in 0..ZONES {
        let text = "$TTL 300\n@ SOA ns1 hostmaster 1 2 3 4 60\n@ NS ns1\n@ NS ns2\n@ MX 10 mail\nns1 A 192.0.2.1\n\
                    ns2 A 192.0.2.2\nmail A 192.0.2.3\nwww A 192.0.2.4\nwww AAAA 2001:db8::4\n*.wild A 192.0.2.5\n";
        serve(&zones, &format!("z{number}.example"), text);
    }
    for (apex, text) in SIGNED {
        serve(&zones, apex, text);
    }
    let handler = Handler::new(zones, Arc::new(Nobody));
    let plain = |name: &str, qtype: u16| {
        (0..REQUESTS)
            .map(|n| request(&name.replace('%', &(n * 7919 % ZONES).to_string()), qtype, None))
            .collect()
    };
    let signed = |name: &str, qtype: u16| {
        (0..REQUESTS).map(|n| request(&name.replace('%', &n.to_string()), qtype, Some(0x8000))).collect()
    };
    println!("{:<44}{:>8}{:>12}{:>8}", "", "ns", "allocations", "octets");
    // A second question is refused as soon as the header is read; an unknown opcode, once all is.
    let mut floor: Vec<Vec<u8>> = plain("www.z%.example", 1);
    floor.iter_mut().for_each(|request| request[2] = 0x10);
    for (what, requests) in [
        ("floor: read, and refused for its opcode", floor),
        ("hit, A", plain("www.z%.example", 1)),
        ("hit, MX with an address", plain("z%.example", 15)),
        ("no data", plain("www.z%.example", 16)),
        ("name error", plain("no-such-name.z%.example", 1)),
        ("wildcard", plain("any.wild.z%.example", 1)),
        ("not ours", plain("www.z%.example.org", 1)),
        ("referral with glue", plain("x%.glue.cuts.test", 1)),
        ("NSEC: signed hit", signed("all.nsec.test", 1)),
        ("NSEC: name error", signed("no-such-name-%.nsec.test", 1)),
        ("NSEC3: signed hit", signed("all.nsec3.test", 1)),
        ("NSEC3: no data", signed("all.nsec3.test", 15)),
        ("NSEC3: name error", signed("no-such-name-%.nsec3.test", 1)),
    ] {
        measure(&handler, what, &requests);
    }
}

fn serve(zones: &Zones, apex: &str, text: &str) {
    zones.serve(Arc::new(zonefile::read(apex, text, &apex.parse().unwrap(), None).unwrap()));
}

/// A query, with OPT if there are flags for it.
fn request(name: &str, qtype: u16, flags: Option<u16>) -> Vec<u8> {
    let mut octets = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(flags.is_some())];
    octets.extend(name.parse::<DomainName>().unwrap().as_wire());
    octets.extend(qtype.to_be_bytes());
    octets.extend([0, 1]);
    if let Some(flags) = flags {
        octets.extend([0, 0, 41, 4, 208, 0, 0]);
        octets.extend(flags.to_be_bytes());
        octets.extend([0, 0]);
    }
    octets
}

fn measure(handler: &Handler, what: &str, requests: &[Vec<u8>]) {
    let peer: SocketAddr = (Ipv4Addr::LOCALHOST, 1053).into();
    let mut response = Vec::with_capacity(1232);
    let mut round = || {
        let mut octets = 0;
        for request in requests {
            let reply = handler.respond(request, peer, Transport::Udp, &mut response);
            assert!(matches!(reply, Reply::Message));
            octets += response.len();
        }
        octets / requests.len()
    };
    let octets = round();
    let before = allocations::count();
    let begun = Instant::now();
    let (mut best, mut rounds) = (Duration::MAX, 0);
    while begun.elapsed() < TIME {
        let begun = Instant::now();
        round();
        best = best.min(begun.elapsed());
        rounds += 1;
    }
    let allocations = (allocations::count() - before) as f64 / f64::from(rounds) / requests.len() as f64;
    let nanos = best.as_nanos() as f64 / requests.len() as f64;
    println!("{what:<44}{nanos:>8.0}{allocations:>12.2}{octets:>8}");
}
