//! The speaker's own thread: hold timers run out and keepalives fall due whatever the rest of the process does.
//!
//! That must not keep a dead node announced: a process whose runtime is stalled answers no queries. So the runtime
//! gives a *sign of life* every few seconds; without one for a hold time, the sessions withdraw everything until it comes
//! back. Which is when the peers would have given up a speaker that had no thread of its own.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};
use tracing::{error, info};

use crate::pulse;
use crate::routing::HOLD_TIME;

/// Between two signs of life, at most.
const SIGN: Duration = Duration::from_secs(4);

/// A thread with a runtime, in the network namespace of the thread that started it.
pub(super) struct SpeakerThread {
    runtime: Handle,
    lively: watch::Receiver<bool>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SpeakerThread {
    /// Starts it; the signs of life come from the runtime that this is called in.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let (sign, signs) = mpsc::channel(1);
        let (lively_out, lively) = watch::channel(true);
        let thread = std::thread::Builder::new().name("bgp".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => {}
                    () = watch_over(signs, &lively_out, HOLD_TIME) => {}
                }
            });
            // Sockets are closed with the tasks that own them.
            drop(runtime);
        })?;
        tokio::spawn(give_signs(sign));
        Ok(Self { runtime: handle, lively, end: Some(end), thread: Some(thread) })
    }

    /// Where sessions run.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Whether the process gives signs of life.
    pub(super) fn lively(&self) -> watch::Receiver<bool> {
        self.lively.clone()
    }
}

impl Drop for SpeakerThread {
    fn drop(&mut self) {
        self.end.take().map(|end| end.send(()));
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            error!("the BGP speaker's thread panicked; this is a defect");
        }
    }
}

async fn give_signs(sign: mpsc::Sender<()>) {
    while !sign.is_closed() {
        // Full: the last one was not seen yet.
        let _ = sign.try_send(());
        sleep_until(pulse::within(SIGN)).await;
    }
}

async fn watch_over(mut signs: mpsc::Receiver<()>, lively: &watch::Sender<bool>, patience: Duration) {
    loop {
        let alive = match timeout(patience, signs.recv()).await {
            Ok(Some(())) => true,
            Err(_) => false,
            // The runtime ended, and gives none ever again.
            Ok(None) => {
                lively.send_replace(false);
                return std::future::pending().await;
            }
        };
        if lively.send_replace(alive) != alive {
            if alive {
                info!("the agent is alive again: announcing what it originates");
            } else {
                error!("no sign of life from the agent for {patience:?}: withdrawing everything");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_signs_of_life_it_is_dead_until_one_comes() {
        let (sign, signs) = mpsc::channel(1);
        let (lively, mut seen) = watch::channel(true);
        tokio::spawn(async move { watch_over(signs, &lively, Duration::from_millis(50)).await });
        seen.wait_for(|alive| !alive).await.unwrap();
        sign.send(()).await.unwrap();
        seen.wait_for(|alive| *alive).await.unwrap();
        drop(sign);
        seen.wait_for(|alive| !alive).await.unwrap();
    }
}
