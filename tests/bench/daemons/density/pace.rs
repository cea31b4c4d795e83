//! A client that asks at a steady pace, whatever becomes of its queries. What it is itself kept from by other load counts
//! as a wait, so a wait is to be held against one with nothing going on.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::many::apex;
use crate::zones::message;

/// Between two queries: 2,000 of them a second.
const PACE: Duration = Duration::from_micros(500);
/// After this long an answer counts as lost.
const LOST: Duration = Duration::from_secs(2);

/// What the client met.
pub struct Met {
    pub sent: usize,
    pub lost: usize,
    /// The longest wait for an answer, in milliseconds.
    pub longest: f64,
}

/// Asks for zones all over while something is done.
pub fn ask(server: SocketAddr, zones: usize, work: impl FnOnce()) -> Met {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut sent: Vec<Instant> = Vec::new();
            while !done.load(Ordering::Relaxed) {
                // What it could not ask in time, it does not ask all at once.
                let due = sent.last().map_or_else(Instant::now, |last| *last + PACE);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                // A number that shares no factor with any size goes everywhere.
                let zone = sent.len() * 7_919 % zones;
                sent.push(Instant::now());
                socket.send(&message((sent.len() - 1) as u16, &apex(zone), 6, false)).unwrap();
            }
            sent
        });
        let hearing = scope.spawn(|| {
            let (mut heard, mut buffer) = (Vec::new(), [0; 1500]);
            let mut last = Instant::now();
            while !done.load(Ordering::Relaxed) || last.elapsed() < LOST.min(Duration::from_millis(500)) {
                if let Ok(length) = socket.recv(&mut buffer) {
                    last = Instant::now();
                    let id = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
                    heard.extend((length > 12 && buffer[3] & 15 == 0).then_some((id, last)));
                }
            }
            heard
        });
        work();
        done.store(true, Ordering::Relaxed);
        let (sent, heard) = (asking.join().unwrap(), hearing.join().unwrap());
        // Ids come around only after half a minute.
        let waits = heard.iter().filter_map(|(id, at)| {
            let same = (0..).map(|round| id + (round << 16)).take_while(|number| *number < sent.len());
            let waits = same.filter_map(|number| at.checked_duration_since(sent[number]));
            waits.min().filter(|wait| *wait < LOST)
        });
        let longest = waits.max().unwrap_or_default().as_secs_f64() * 1000.0;
        Met { sent: sent.len(), lost: sent.len().saturating_sub(heard.len()), longest }
    })
}

/// Whether a zone is answered for.
pub fn answers(server: SocketAddr, zone: &str) -> bool {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut response = [0; 1500];
    let asked = socket.connect(server).and_then(|()| socket.send(&message(1, zone, 6, false)));
    asked
        .and_then(|_| socket.recv(&mut response))
        .is_ok_and(|length| length > 12 && response[2] & 4 != 0 && response[3] & 15 == 0)
}
