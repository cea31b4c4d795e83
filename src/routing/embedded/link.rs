//! The I/O of one connection.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use super::connection::{Connection, Event};
use super::wire::notification::Notification;
use super::wire::{self, Kind, MAX_MESSAGE};

/// Octets of one read.
const READ: usize = 16384;

/// How long a peer may take to read our NOTIFICATION.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection and its stream.
pub(super) struct Link {
    stream: TcpStream,
    pub(super) connection: Connection,
}

impl Link {
    pub(super) fn new(stream: TcpStream, connection: Connection) -> Self {
        Self { stream, connection }
    }

    /// Waits for the stream or a timer, and does one step. May be cancelled: nothing is lost.
    pub(super) async fn turn(&mut self) -> Vec<Event> {
        self.connection.keep_alive(Instant::now());
        let idle = self.connection.output().is_empty();
        if !idle {
            self.write();
        }
        if self.connection.output().is_empty() != idle || self.connection.is_closed() {
            return self.connection.take_events();
        }
        let writing = !self.connection.output().is_empty();
        let interest = if writing { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let deadline = self.connection.deadline();
        tokio::select! {
            biased;
            ready = self.stream.ready(interest) => match ready {
                Ok(ready) => {
                    if ready.is_writable() && writing {
                        self.write();
                    }
                    if ready.is_readable() || ready.is_read_closed() {
                        self.read();
                    }
                }
                Err(error) => self.connection.lost(error.to_string()),
            },
            () = wait_until(deadline) => self.connection.tick(Instant::now()),
        }
        self.connection.take_events()
    }

    fn read(&mut self) {
        // Here, so that an idle connection needs no room.
        let mut octets = [0; READ];
        match self.stream.try_read(&mut octets) {
            Ok(0) => self.connection.lost("the peer closed the connection"),
            Ok(count) => self.connection.received(&octets[..count], Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.connection.lost(error.to_string()),
        }
    }

    fn write(&mut self) {
        match self.stream.try_write(self.connection.output()) {
            Ok(count) => self.connection.wrote(count, Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.connection.lost(error.to_string()),
        }
    }

    /// Writes what is left, and gives the peer a moment to read it: closing a socket with unread octets resets the
    /// connection, and a reset overtakes a NOTIFICATION.
    pub(super) async fn farewell(self) {
        let Self { stream, connection } = self;
        let words = connection.into_last_words();
        if !words.is_empty() {
            let _ = timeout(FAREWELL, say(stream, words)).await;
        }
    }
}

/// Turns away a connection that was accepted, with a NOTIFICATION.
pub(super) async fn refuse(stream: TcpStream, notification: Notification) {
    let _ = timeout(FAREWELL, say(stream, words(&notification))).await;
}

/// The same, without waiting: for those whom nobody knows, who might come by the thousand.
pub(super) fn turn_away(stream: TcpStream, notification: &Notification) {
    if let Ok(mut stream) = stream.into_std() {
        // A fresh socket has room for it.
        let _ = stream.write_all(&words(notification));
    }
}

fn words(notification: &Notification) -> Bytes {
    let mut words = BytesMut::new();
    wire::put(&mut words, Kind::Notification, &notification.body(MAX_MESSAGE));
    words.freeze()
}

async fn say(mut stream: TcpStream, words: Bytes) -> io::Result<()> {
    stream.write_all(&words).await?;
    stream.shutdown().await?;
    let mut unread = [0; 4096];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// Sleeps until `deadline`, or for ever.
pub(super) async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
