//! Where BIND's control channel is, the secret that its commands are signed with, and where its statistics channel is. Made
//! once, and kept: ports and a key that changed would be a changed configuration.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;

use base64ct::{Base64, Encoding};
use ring::rand::{SecureRandom, SystemRandom};

use crate::dns::external::{Place, write_private};
use crate::keyring::Secret;

/// The port that rndc is used to.
const PORT: u16 = 953;
/// The port that readers of statistics are used to.
const STATISTICS: u16 = 8053;

/// A control channel, and the key to it.
#[derive(Clone)]
pub(super) struct Control {
    pub(super) address: SocketAddr,
    pub(super) secret: Secret,
    pub(super) statistics: SocketAddr,
}

impl Control {
    /// As it was made for this place before, or made now: `port secret`, and in the next line the port of the statistics,
    /// which an agent of before did not write.
    pub(super) fn open(place: &Place) -> io::Result<Self> {
        let path = place.folder.join("control");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
        let known = Self::read(first);
        let statistics = second.trim().parse().ok().filter(|_| known.is_some());
        let made = known.is_none() || statistics.is_none();
        // Held until all are chosen, so that no two are the same.
        let mut held = Vec::new();
        let mut port = |usual: u16| match place.local.port() {
            // Beside port 53 these are free; elsewhere, any that is.
            53 => Ok(usual),
            _ => {
                let listener = TcpListener::bind((place.local.ip(), 0))?;
                let port = listener.local_addr()?.port();
                held.push(listener);
                io::Result::Ok(port)
            }
        };
        let (control, secret) = match known {
            Some(known) => known,
            None => {
                let mut octets = vec![0; 32];
                SystemRandom::new().fill(&mut octets).map_err(|_| io::Error::other("no random octets"))?;
                (port(PORT)?, Secret::new(octets))
            }
        };
        let statistics = statistics.map_or_else(|| port(STATISTICS), Ok)?;
        let at = |port| SocketAddr::new(place.local.ip(), port);
        let control = Self { address: at(control), secret, statistics: at(statistics) };
        if made {
            DirBuilder::new().recursive(true).mode(0o755).create(&place.folder)?;
            let text = format!("{} {}\n{statistics}\n", control.address.port(), control.text());
            write_private(&path, text.as_bytes(), None)?;
        }
        Ok(control)
    }

    fn read(line: &str) -> Option<(u16, Secret)> {
        let (port, secret) = line.trim_end().split_once(' ')?;
        let secret = Base64::decode_vec(secret).ok().filter(|octets| octets.len() == 32)?;
        Some((port.parse().ok()?, Secret::new(secret)))
    }

    /// The secret as configurations write it.
    pub(super) fn text(&self) -> String {
        Base64::encode_string(self.secret.expose())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            folder: folder.path().join("new/bind"),
            local: "127.0.0.1:5353".parse().unwrap(),
            user: None,
        };
        let first = Control::open(&place).unwrap();
        let again = Control::open(&place).unwrap();
        let all = |control: &Control| (control.address, control.text(), control.statistics);
        assert_eq!(all(&first), all(&again));
        assert_ne!(first.address, first.statistics);
        let path = place.folder.join("control");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // One of before goes on with its key.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.lines().next().unwrap()).unwrap();
        let more = Control::open(&place).unwrap();
        assert_eq!((more.address, more.text()), (first.address, first.text()));
        assert_eq!(all(&more), all(&Control::open(&place).unwrap()));
        fs::write(&path, "953 not/a/secret\n").unwrap();
        assert_ne!(Control::open(&place).unwrap().text(), first.text());
        let usual = Place {
            folder: folder.path().join("usual"),
            local: "127.53.0.1:53".parse().unwrap(),
            user: None,
        };
        let usual = Control::open(&usual).unwrap();
        let ports = [usual.address, usual.statistics].map(|at| at.to_string());
        assert_eq!(ports, ["127.53.0.1:953", "127.53.0.1:8053"]);
    }
}
