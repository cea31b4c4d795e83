//! Places: how many TCP connections there may be, in all, at one of our addresses, and of one client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections in all.
const ALL: usize = 1024;
/// Connections at one of our addresses.
const ADDRESS: usize = 512;
/// Connections of one client: of an IPv4 address, or an IPv6 /64, in which one host may have any.
const CLIENT: usize = 128;

/// What is taken, by all addresses together.
#[derive(Default)]
pub(crate) struct Places {
    all: AtomicUsize,
    clients: Mutex<HashMap<IpAddr, usize>>,
}

/// What is taken at one address.
#[derive(Clone)]
pub(crate) struct AddressPlaces {
    places: Arc<Places>,
    here: Arc<AtomicUsize>,
}

/// A connection's place, until it is dropped.
pub(crate) struct Place {
    at: AddressPlaces,
    client: IpAddr,
}

/// Why there is no place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The client has all that one may have.
    Client,
    /// Many clients have all that there is.
    All,
}

impl AddressPlaces {
    /// Those at an address, which has none taken.
    pub(crate) fn new(places: &Arc<Places>) -> Self {
        Self { places: Arc::clone(places), here: Arc::default() }
    }

    /// Takes a place for this client. What several ask for at once may go to none of them.
    pub(crate) fn take(&self, peer: SocketAddr) -> Result<Place, Full> {
        let client = client(peer.ip());
        {
            let mut clients = self.places.lock();
            let held = clients.entry(client).or_default();
            if *held >= CLIENT {
                return Err(Full::Client);
            }
            *held += 1;
        }
        let all = self.places.all.fetch_add(1, Ordering::Relaxed);
        let here = self.here.fetch_add(1, Ordering::Relaxed);
        // Dropped, it gives back what it took.
        let place = Place { at: self.clone(), client };
        if all < ALL && here < ADDRESS { Ok(place) } else { Err(Full::All) }
    }

    /// Whether three quarters of them are taken.
    pub(crate) fn are_scarce(&self) -> bool {
        let taken = |count: &AtomicUsize, most: usize| count.load(Ordering::Relaxed) * 4 >= most * 3;
        taken(&self.places.all, ALL) || taken(&self.here, ADDRESS)
    }
}

impl Places {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.at.here.fetch_sub(1, Ordering::Relaxed);
        self.at.places.all.fetch_sub(1, Ordering::Relaxed);
        let mut clients = self.at.places.lock();
        if let Some(held) = clients.get_mut(&self.client) {
            *held -= 1;
            if *held == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

fn client(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 1053)
    }

    #[test]
    fn a_client_an_address_and_all_have_bounds() {
        let places = Arc::new(Places::default());
        let [one, other, third] = [(); 3].map(|()| AddressPlaces::new(&places));
        let mut held: Vec<_> = (0..CLIENT).map(|_| one.take(peer("2001:db8::1")).unwrap()).collect();
        assert_eq!(one.take(peer("2001:db8::2")).err(), Some(Full::Client), "it is the same /64");
        assert!(!one.are_scarce());
        held.pop();
        held.push(one.take(peer("2001:db8::2")).unwrap());
        let mut host = 0_u32;
        let mut fill = |at: &AddressPlaces, held: &mut Vec<Place>| {
            loop {
                host += 1;
                match at.take(SocketAddr::new(std::net::Ipv4Addr::from_bits(host).into(), 1)) {
                    Ok(place) => held.push(place),
                    Err(full) => break assert_eq!(full, Full::All),
                }
            }
        };
        fill(&one, &mut held);
        assert!(one.are_scarce() && !other.are_scarce() && held.len() == ADDRESS);
        fill(&other, &mut held);
        fill(&third, &mut held);
        assert!(third.are_scarce() && held.len() == ALL);
        held.clear();
        assert!(places.lock().is_empty() && places.all.load(Ordering::Relaxed) == 0);
        assert!(third.take(peer("2001:db8::1")).is_ok());
    }
}
