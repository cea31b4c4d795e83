//! What rate limiting asks of the handler.

use std::net::{IpAddr, SocketAddr};

use super::{Handler, PLAIN_SIZE, Transport};
use crate::dns::embedded::authenticate::{self, Seal};
use crate::dns::embedded::cookie;
use crate::dns::embedded::name::NameBuf;
use crate::dns::embedded::request::{HEADER, Request};
use crate::dns::embedded::response::Response;

impl Handler {
    /// Whether the request shows that its address is not forged: by a cookie that was made for it, or by a signature.
    pub(crate) fn is_known(&self, octets: &[u8], peer: IpAddr) -> bool {
        let Ok(request) = Request::read(octets) else { return false };
        if let Some(at) = request.tsig {
            let sealed = Seal::of(octets, at, |name| self.policy.keys(name), authenticate::time);
            return matches!(sealed, Ok(Seal::Signed(_)));
        }
        let secret = self.policy.cookie_secret();
        let secret = secret.as_ref().unwrap_or(&self.own_secret);
        let cookie = request.edns.and_then(|edns| edns.cookie);
        cookie
            .and_then(|sent| cookie::judge(secret, sent, peer, super::cookie_time()))
            .is_some_and(|judged| judged.known)
    }

    /// The apex of the zone that a response's question is about; the root where there is none.
    pub(crate) fn zone_of(&self, response: &[u8]) -> NameBuf {
        let name = response.get(HEADER..).and_then(NameBuf::leading).map(NameBuf::lower);
        let mut name = name.as_ref().map_or(&[0][..], NameBuf::as_wire);
        // A name of no zone of ours is the root's.
        while name.len() > 1 && !self.zones.has(name) {
            name = name.get(1 + usize::from(name[0])..).unwrap_or(&[0]);
        }
        NameBuf::leading(name).unwrap_or(NameBuf::ROOT)
    }

    /// Makes a response the one that says no more than to come by TCP, with OPT as the client is due.
    pub(crate) fn truncate(&self, request: &[u8], peer: SocketAddr, response: &mut Vec<u8>) {
        response.clear();
        let Ok(request) = Request::read(request) else { return };
        let terms = self.terms(&request, peer.ip().to_canonical(), Transport::Udp, &Seal::None);
        let mut empty =
            Response::begin(response, request.header.id, request.question.as_ref(), usize::from(PLAIN_SIZE));
        empty.truncated = true;
        empty.finish(request.header, terms.opt);
    }
}
