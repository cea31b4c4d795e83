//! Watch: the process itself. It receives, asks and ends as the vigil says, one after the other, on one thread.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tokio::runtime::Runtime;
use tracing::{error, info, warn};

use super::vigil::{Duty, UNANSWERED, Vigil};
use super::{MANDATE, Mandate, SOCKET, WITHDRAWAL, Withdrawal, now_s};
use crate::health::probe::probe;
use crate::health::sample::Answer;
use crate::whole_file;

/// Kept locked for as long as there is a watchdog.
const LOCK: &str = "lock";
/// No mandate is near this long.
const LONGEST: usize = 64 << 10;

/// Watches for ever.
///
/// # Errors
/// When it cannot begin: the folder or the socket cannot be used, or another one watches already.
pub(crate) fn watch(folder: &Path) -> Result<(), String> {
    let say = |error: io::Error| format!("cannot watch in {}: {error}", folder.display());
    let _alone = alone(folder)?;
    let path = folder.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(say(error)),
        Ok(()) | Err(_) => {}
    }
    let socket = UnixDatagram::bind(&path).map_err(say)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(say)?;
    let kept = whole_file::read_json(&folder.join(MANDATE)).unwrap_or_else(|error| {
        warn!(%error, "the last mandate cannot be read; waiting for the agent");
        None
    });
    let started = Instant::now();
    let mut mandate = Held { folder, octets: Vec::new(), mandate: kept };
    let mut vigil = Vigil::begin(started.elapsed());
    let mut buffer = vec![0; LONGEST];
    info!("watching");
    loop {
        // Whatever has come counts before anything is done.
        while let Some(length) = receive_now(&socket, &mut buffer).map_err(say)? {
            if !mandate.take(&buffer[..length]) {
                continue;
            }
            if vigil.is_watching() {
                info!("the agent is on guard again");
            }
            vigil = vigil.heard(started.elapsed());
        }
        let Some(Mandate { health, .. }) = &mandate.mandate else {
            wait(&socket, None).map_err(say)?;
            continue;
        };
        let now = started.elapsed();
        match vigil.duty(now, health.interval) {
            Duty::Rest(until) => {
                wait(&socket, until.map(|until| until.saturating_sub(now))).map_err(say)?;
            }
            Duty::Ask => {
                if !vigil.is_watching() {
                    warn!("no agent is on guard; asking the name server instead");
                }
                let answered = mandate.ask(&runtime);
                vigil = vigil.asked(now, answered);
            }
            Duty::Withdraw => vigil = vigil.withdrew(mandate.withdraw(&runtime)),
        }
    }
}

/// Whoever has the lock is the only one.
fn alone(folder: &Path) -> Result<File, String> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    file.try_lock().map_err(|error| format!("{}: {error}; another watchdog has it", path.display()))?;
    Ok(file)
}

/// What has come already, if anything has.
fn receive_now(socket: &UnixDatagram, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
        Ok(length) => Ok(Some(length)),
        Err(Errno::EAGAIN) => Ok(None),
        Err(Errno::EINTR) => Ok(Some(0)),
        Err(error) => Err(error.into()),
    }
}

/// Waits until something comes, or until the time has passed; a little longer than that, so that it has passed.
fn wait(socket: &UnixDatagram, time: Option<Duration>) -> io::Result<()> {
    socket.set_read_timeout(time.map(|time| time + Duration::from_millis(1)))?;
    match recv(socket.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK) {
        // A process that was stopped and goes on is interrupted.
        Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The last mandate.
struct Held<'a> {
    folder: &'a Path,
    /// As it came.
    octets: Vec<u8>,
    mandate: Option<Mandate>,
}

impl Held<'_> {
    /// Takes a datagram; whether it is one. The same mandate comes again and again, and is read once.
    fn take(&mut self, octets: &[u8]) -> bool {
        if octets.is_empty() {
            return false;
        }
        if self.octets == octets {
            return true;
        }
        let mandate = match serde_json::from_slice(octets) {
            Ok(mandate) => Some(mandate),
            Err(error) => {
                warn!(%error, "what the agent says is not understood");
                return false;
            }
        };
        self.octets = octets.to_vec();
        if self.mandate != mandate {
            self.mandate = mandate;
            if let Err(error) = whole_file::write(&self.folder.join(MANDATE), octets) {
                warn!(%error, "the mandate cannot be kept; a watchdog that is started again would not know it");
            }
        }
        true
    }

    /// Whether anything of this node answers, at any address. Where there is no address, there is nothing to miss.
    fn ask(&self, runtime: &Runtime) -> bool {
        let Some(mandate) = &self.mandate else { return true };
        let asked = probe(&mandate.service_addresses, &mandate.identity, &mandate.health);
        let answers = runtime.block_on(asked);
        answers.is_empty() || answers.values().any(|answer| !matches!(answer, Answer::Silent(_)))
    }

    /// Ends the routing daemons; whether none is left.
    fn withdraw(&self, runtime: &Runtime) -> bool {
        let Some(mandate) = &self.mandate else { return true };
        let addresses: Vec<_> = mandate.service_addresses.iter().map(ToString::to_string).collect();
        let why = format!(
            "no agent was on guard, and nothing answered at {} for {} s",
            addresses.join(", "),
            UNANSWERED.as_secs()
        );
        let (ended, failures) = runtime.block_on(mandate.daemons.end_all());
        for failure in &failures {
            error!(%failure, "a routing daemon could not be ended; trying again");
        }
        if !ended.is_empty() {
            let withdrawal = Withdrawal { at_s: now_s(), ended, why };
            let ended = withdrawal.names();
            error!(
                ended,
                why = withdrawal.why,
                "withdrew what this node announced; an agent that starts announces again"
            );
            if let Err(error) = whole_file::write_json(&self.folder.join(WITHDRAWAL), &withdrawal) {
                warn!(%error, "the agent will not know of it");
            }
        } else if failures.is_empty() {
            warn!(why, "no routing daemon runs that could be ended");
        }
        failures.is_empty()
    }
}
