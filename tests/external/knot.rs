//! Knot DNS.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shoestring::dns::{NameServer, NameServerKind};

use super::contract::{contract, customer, hosted, signed};
use super::subject::Subject;
use crate::name_server::network::{Server, secondary, shared};

contract!(NameServerKind::Knot, by_hand);

async fn by_hand(subject: &Subject) {
    let socket = subject.folder().join("run/knot.sock");
    let mut knotc = Command::new("knotc").arg("-s").arg(socket).stdin(Stdio::piped()).spawn().unwrap();
    let lines = "conf-begin\nconf-set zone[added.example]\nconf-unset zone[removed.example]\n\
                 conf-set zone[changed.example].semantic-checks on\nconf-commit\n";
    knotc.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(knotc.wait().unwrap().success());
}

/// Others are told of what was transferred sooner than Knot, which waits a second, does it by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_told_of_a_transfer_at_once() {
    let Some(mut subject) = Subject::start(NameServerKind::Knot).await else { return };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let customer = customer(folders[0].path(), &subject).await;
    customer.set([hosted("customer.example", 1, subject.address())]).await;
    let edge = Server::start(folders[1].path(), "127.0.0.1").await;
    subject.set([shared(signed("customer.example", &[customer.address]), &[edge.address])]).await;
    subject.until_serial("customer.example", 1).await;
    edge.set([secondary("customer.example", &edge, &[subject.address()])]).await;
    edge.until_serial("customer.example", 1).await;
    // Also by an agent that knows of the zone only from Knot.
    subject.reopen().await;
    subject.server.configure(&subject.config).await.unwrap();
    subject.settle().await;
    let mut told = Vec::new();
    for serial in 2..7 {
        let begun = Instant::now();
        customer.set([hosted("customer.example", serial, subject.address())]).await;
        edge.until_serial("customer.example", serial).await;
        told.push(begun.elapsed());
    }
    let quickest = told.iter().min().unwrap();
    assert!(*quickest < Duration::from_secs(1), "{told:?}");
    subject.server.end().await.unwrap();
}
