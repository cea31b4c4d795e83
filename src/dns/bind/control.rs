//! Where BIND's control channel is, and the secret that its commands are signed with. Made once, and kept: a port and a
//! key that changed would be a changed configuration.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use base64ct::{Base64, Encoding};
use ring::rand::{SecureRandom, SystemRandom};

use crate::dns::external::Place;
use crate::keyring::Secret;

/// The port that rndc is used to.
const PORT: u16 = 953;

/// A control channel, and the key to it.
#[derive(Clone)]
pub(super) struct Control {
    pub(super) address: SocketAddr,
    pub(super) secret: Secret,
}

impl Control {
    /// As it was made for this place before, or made now.
    pub(super) fn open(place: &Place) -> io::Result<Self> {
        let path = place.folder.join("control");
        let known = fs::read_to_string(&path).ok().and_then(|text| Self::read(place, &text));
        if let Some(known) = known {
            return Ok(known);
        }
        // Beside port 53 its own port is free; elsewhere, any that is.
        let port = match place.local.port() {
            53 => PORT,
            _ => TcpListener::bind((place.local.ip(), 0))?.local_addr()?.port(),
        };
        let mut octets = vec![0; 32];
        SystemRandom::new().fill(&mut octets).map_err(|_| io::Error::other("no random octets"))?;
        let made = Self { address: SocketAddr::new(place.local.ip(), port), secret: Secret::new(octets) };
        DirBuilder::new().recursive(true).mode(0o755).create(&place.folder)?;
        let beside = path.with_extension("next");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        writeln!(file, "{port} {}", made.text())?;
        fs::rename(beside, path)?;
        Ok(made)
    }

    fn read(place: &Place, text: &str) -> Option<Self> {
        let (port, secret) = text.trim_end().split_once(' ')?;
        let secret = Base64::decode_vec(secret).ok().filter(|octets| octets.len() == 32)?;
        Some(Self {
            address: SocketAddr::new(place.local.ip(), port.parse().ok()?),
            secret: Secret::new(secret),
        })
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
        assert_eq!((first.address, first.text()), (again.address, again.text()));
        let path = place.folder.join("control");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "953 not/a/secret\n").unwrap();
        assert_ne!(Control::open(&place).unwrap().text(), first.text());
        let usual = Place {
            folder: folder.path().join("usual"),
            local: "127.53.0.1:53".parse().unwrap(),
            user: None,
        };
        assert_eq!(Control::open(&usual).unwrap().address, "127.53.0.1:953".parse().unwrap());
    }
}
