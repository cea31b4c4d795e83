//! `ssh://` and `user@host:path`: the user's own `ssh` runs `git-upload-pack` on the other side, so that their keys,
//! agent, known hosts and configuration apply. It never asks anything.
//!
//! `GIT_SSH_COMMAND` is honoured as git does, by a shell, since it is this machine's own; what comes from the address
//! is handed to it as arguments and is never part of a command here.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::super::SourceError;
use super::Budget;
use super::address::Ssh;
use super::upload_pack;

/// As much of what it says on standard error is kept.
const SAID_BYTES: u64 = 4096;

/// A running `ssh`. Ends with all its descendants when dropped, or when the time is up.
pub(super) struct Connection {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    said: mpsc::Receiver<String>,
    /// Dropping it tells the watchdog that it is no longer needed.
    watchdog: Option<(mpsc::Sender<()>, thread::JoinHandle<()>)>,
}

impl Connection {
    /// Starts `ssh`, or what is to be run instead.
    pub(super) fn open(to: &Ssh, instead: Option<&str>, budget: &Budget) -> Result<Self, SourceError> {
        let mut command = command(to, instead);
        // A process group of its own, so that all of it can be ended.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child =
            command.spawn().map_err(|error| budget.unreachable(format!("ssh cannot be run: {error}")))?;
        let group = Pid::from_raw(child.id().cast_signed());
        let (Some(stdin), Some(stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(budget.unreachable("ssh has no pipes"));
        };
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = (&mut stderr).take(SAID_BYTES).read_to_end(&mut text);
            let _ = say.send(String::from_utf8_lossy(&text).into_owned());
            // The rest is taken and thrown away, so that it does not block.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        });
        let (done, wait) = mpsc::channel::<()>();
        let time = budget.time_left();
        let watchdog = thread::spawn(move || {
            if wait.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = killpg(group, Signal::SIGKILL);
            }
        });
        Ok(Self { child, stdin, stdout, said, watchdog: Some((done, watchdog)) })
    }

    /// Makes an error of the conversation say what `ssh` itself said, where it said anything.
    pub(super) fn explain(&self, error: SourceError, budget: &Budget) -> SourceError {
        let SourceError::Unreachable { why, .. } = &error else { return error };
        if budget.time_left().is_zero() {
            return budget.unreachable("it did not answer in time");
        }
        let said = self.said.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if said.is_empty() {
            return budget.unreachable(why);
        }
        let said = said.join("; ");
        let denied =
            ["Permission denied", "Host key verification failed", "does not appear to be a git repository"];
        if denied.iter().any(|text| said.contains(text)) {
            budget.denied(said)
        } else {
            budget.unreachable(said)
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The watchdog ends first: after `wait`, the group's number may be somebody else's.
        if let Some((done, watchdog)) = self.watchdog.take() {
            drop(done);
            let _ = watchdog.join();
        }
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl upload_pack::Connection for Connection {
    fn advertisement(&mut self, _: &Budget) -> Result<Box<dyn Read + '_>, SourceError> {
        Ok(Box::new(&mut self.stdout))
    }

    fn request(&mut self, request: &[u8], budget: &Budget) -> Result<Box<dyn Read + '_>, SourceError> {
        let sent = self.stdin.write_all(request).and_then(|()| self.stdin.flush());
        sent.map_err(|error| budget.unreachable(error))?;
        Ok(Box::new(&mut self.stdout))
    }
}

fn command(to: &Ssh, instead: Option<&str>) -> Command {
    let mut command = match instead {
        Some(ssh) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("{ssh} \"$@\"")).arg(ssh);
            shell
        }
        None => Command::new("ssh"),
    };
    command.args(arguments(to));
    command
}

/// What `ssh` is given. The other side's shell takes the last one apart, so the path is quoted for it.
fn arguments(to: &Ssh) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["-o", "BatchMode=yes", "-o", "ConnectTimeout=20"].into_iter().map(str::to_owned).collect();
    if let Some(port) = to.port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    let host = match &to.user {
        Some(user) => format!("{user}@{}", to.host),
        None => to.host.clone(),
    };
    arguments.extend(["--".to_owned(), host, format!("git-upload-pack {}", quoted(&to.path))]);
    arguments
}

/// In single quotes, as a POSIX shell reads them; `!` is kept out of them, since csh looks at it even there.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''").replace('!', r"'\!'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::transport::Address;

    fn given(address: &str) -> Vec<String> {
        let Address::Ssh(ssh) = address.parse().unwrap() else { panic!("{address} is of another kind") };
        arguments(&ssh)
    }

    #[test]
    fn what_comes_from_the_address_is_one_quoted_word() {
        let given = given("ssh://git@git.example.org:2222/it's;$(id)`id`!x");
        assert_eq!(
            given[4..],
            ["-p", "2222", "--", "git@git.example.org", r"git-upload-pack '/it'\''s;$(id)`id`'\!'x'"]
        );
        // What a shell makes of it.
        let shell = Command::new("sh")
            .arg("-c")
            .arg(given[8].replace("git-upload-pack", "printf %s"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), "/it's;$(id)`id`!x");
    }
}
