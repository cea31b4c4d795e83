//! Each way to be broken, and what the problem says of it.

mod announcements;
mod differences;
mod oddities;
mod records;
mod streams;

pub use announcements::ANNOUNCEMENTS;
pub use differences::{DIFFERENCES, DIFFERENCES_AND_ZONES};
pub use oddities::ODDITIES;
pub use records::RECORDS;
pub use streams::STREAMS;

use super::primary::Step::{Raw, Send};
use super::primary::{Announce, Ask, Fault, IXFR, Script, Step, announce, full, record, soa_data};

const fn fault(name: &'static str, words: &'static str, script: Script) -> Fault {
    Fault { name, words, announce: |ask| announce(ask, 2), by_tcp: None, script }
}

/// A whole zone with these records in its midst.
fn with(ask: &Ask, records: &[Vec<u8>]) -> Vec<Step> {
    let around = [vec![ask.soa(2), ask.ns()], records.to_vec(), vec![ask.soa(2)]].concat();
    vec![Send(ask.reply(&around))]
}

/// A good answer with some octets changed.
fn changed(ask: &Ask, change: fn(&mut Vec<u8>)) -> Vec<Step> {
    let mut whole = ask.whole(2);
    change(&mut whole);
    vec![Send(whole)]
}

fn rcode(ask: &Ask, rcode: u8) -> Vec<Step> {
    let mut reply = ask.reply(&[]);
    reply[3] = rcode;
    vec![Send(reply)]
}

/// The first message of a transfer, and what follows.
fn begun(ask: &Ask, more: Vec<Step>) -> Vec<Step> {
    let mut steps = vec![Send(ask.reply(&[ask.soa(2), ask.ns()]))];
    steps.extend(more);
    steps
}

/// Octets of a message of this length, whole but for what is cut off.
fn cut(ask: &Ask, keep: usize) -> Vec<Step> {
    let whole = ask.whole(2);
    let framed = [&(whole.len() as u16).to_be_bytes()[..], &whole].concat();
    vec![Raw(framed[..keep.min(framed.len() - 1)].to_vec())]
}
