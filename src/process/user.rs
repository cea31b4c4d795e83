//! The users that daemons run as.

use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

use nix::unistd::{Gid, Uid, User, geteuid};

/// A user without rights that a daemon becomes once it has its sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonUser {
    /// The name, as the daemon's package made it.
    pub name: String,
    uid: Uid,
    gid: Gid,
}

impl DaemonUser {
    /// The user of this name, where this process may become it: it is root, and the user is known to the kernel here (in
    /// a user namespace most are not).
    pub fn of(name: &str) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let user = User::from_name(name).ok().flatten()?;
        let map = |file: &str, id: u32| std::fs::read_to_string(file).is_ok_and(|map| is_mapped(&map, id));
        let known =
            map("/proc/self/uid_map", user.uid.as_raw()) && map("/proc/self/gid_map", user.gid.as_raw());
        known.then(|| Self { name: name.to_owned(), uid: user.uid, gid: user.gid })
    }

    /// Makes a file or folder theirs.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
    }
}

/// Whether an id has a meaning under a map of user_namespaces(7): lines of inside, outside, length.
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(_)), Some(Ok(length))) => {
                (inside..inside.saturating_add(length)).contains(&u64::from(id))
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_namespace_knows_whom_it_maps() {
        assert!(is_mapped("         0          0 4294967295\n", 108));
        assert!(!is_mapped("0 1000 1\n", 108));
        assert!(is_mapped("0 1000 1\n1 100000 65536\n", 108));
        assert!(!is_mapped("nonsense\n", 0));
    }
}
