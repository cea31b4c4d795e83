//! Knot DNS.

use std::io::Write;
use std::process::{Command, Stdio};

use shoestring::dns::NameServerKind;

use super::contract::contract;
use super::subject::Subject;

contract!(NameServerKind::Knot, by_hand);

async fn by_hand(subject: &Subject) {
    let socket = subject.folder().join("run/knot.sock");
    let mut knotc = Command::new("knotc").arg("-s").arg(socket).stdin(Stdio::piped()).spawn().unwrap();
    let lines = "conf-begin\nconf-set zone[added.example]\nconf-unset zone[removed.example]\n\
                 conf-set zone[changed.example].semantic-checks on\nconf-commit\n";
    knotc.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(knotc.wait().unwrap().success());
}
