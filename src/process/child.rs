//! A daemon as a process that the agent starts.
//!
//! It is in a process group of its own and outlives the agent. The next agent finds it by its process id and the time at
//! which that process started, kept in `<folder>/<name>.pid`: a process id alone may be somebody else's by then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::ended::Watch;
use super::identity::Identity;
use super::log::{make_room, with_last_words};
use super::pace::Pace;
use super::{Launch, Process, ProcessError, ProcessState};

/// Between two looks at a process that is to end.
const LOOK: Duration = Duration::from_millis(10);

/// A daemon as a process that the agent starts.
pub struct Child {
    name: String,
    pid_file: PathBuf,
    log: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Our own child, to be reaped.
    child: Option<tokio::process::Child>,
    pace: Pace,
    /// How it ended, where we saw it.
    ended: Option<String>,
    watch: Watch,
}

impl Child {
    /// Of this name, with its log and its process id in a folder.
    pub fn new(name: &str, folder: &Path) -> Self {
        Self {
            name: name.to_owned(),
            pid_file: folder.join(format!("{name}.pid")),
            log: folder.join(format!("{name}.log")),
            inner: Mutex::default(),
        }
    }

    fn failed<'a>(&'a self, operation: &'a str) -> impl Fn(io::Error) -> ProcessError + 'a {
        move |error| ProcessError { operation: format!("{operation} {}", self.name), why: error.to_string() }
    }

    /// How it ended by itself, in words.
    fn describe(&self, status: Option<std::process::ExitStatus>) -> String {
        let how =
            status.map_or_else(|| "it has ended".to_owned(), |status| format!("it ended with {status}"));
        with_last_words(how, &self.log)
    }

    /// Ends what a daemon of several processes has left behind: those of its process group that work in its folder, so
    /// that an id that is somebody else's by now harms nobody.
    async fn end_the_rest(&self, group: i32) {
        for _ in 0..100 {
            let rest = self.rest(group);
            if rest.is_empty() {
                return;
            }
            for pid in rest {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn rest(&self, group: i32) -> Vec<i32> {
        let folder = self.pid_file.parent().and_then(|folder| folder.canonicalize().ok());
        let is_ours = |pid: i32| {
            let group_of = || -> Option<i32> {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
            };
            let works_in = fs::read_link(format!("/proc/{pid}/cwd")).ok();
            group_of() == Some(group)
                && works_in.zip(folder.as_ref()).is_some_and(|(at, folder)| at.starts_with(folder))
        };
        let names = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| *pid != group && is_ours(*pid)).collect()
    }

    fn look(&self, inner: &mut Inner) -> ProcessState {
        let state = self.find(inner);
        match &state {
            ProcessState::Running { pid } => inner.watch.over(pid.cast_signed()),
            ProcessState::Stopped | ProcessState::Ended { .. } => inner.watch.nothing(),
        }
        state
    }

    fn find(&self, inner: &mut Inner) -> ProcessState {
        if let Some(child) = &mut inner.child {
            match child.try_wait() {
                Ok(None) => {
                    return ProcessState::Running { pid: child.id().unwrap_or_default() };
                }
                Ok(Some(status)) => inner.ended = Some(self.describe(Some(status))),
                Err(error) => inner.ended = Some(format!("it cannot be waited for: {error}")),
            }
            inner.child = None;
        }
        match Identity::read(&self.pid_file) {
            None => ProcessState::Stopped,
            Some(identity) if identity.is_alive() => {
                ProcessState::Running { pid: u32::try_from(identity.pid).unwrap_or_default() }
            }
            Some(_) => {
                let why = inner.ended.get_or_insert_with(|| self.describe(None));
                ProcessState::Ended { why: why.clone() }
            }
        }
    }
}

#[async_trait]
impl Process for Child {
    async fn state(&self) -> Result<ProcessState, ProcessError> {
        Ok(self.look(&mut *self.inner.lock().await))
    }

    async fn start(&self, launch: &Launch) -> Result<(), ProcessError> {
        let mut inner = self.inner.lock().await;
        if let ProcessState::Running { .. } = self.look(&mut inner) {
            return Ok(());
        }
        if let Some(one) = Identity::read(&self.pid_file) {
            self.end_the_rest(one.pid).await;
        }
        let failed = self.failed("start");
        let now = Instant::now();
        let why = inner.ended.clone();
        inner.pace.admit(now).map_err(|wait| ProcessError::too_soon(&self.name, wait, why))?;
        make_room(&self.log).map_err(&failed)?;
        let log = File::options().create(true).append(true).open(&self.log).map_err(&failed)?;
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).current_dir(&launch.folder).process_group(0);
        // What the service manager is told is the agent's to say.
        command.env_remove("NOTIFY_SOCKET");
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(&failed)?).stderr(log);
        let child = command.spawn().map_err(&failed)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        inner.ended = None;
        inner.child = Some(child);
        // One that is gone by now is found to have ended.
        let started = Identity::of(pid).map_or(0, |identity| identity.started);
        fs::write(&self.pid_file, format!("{pid} {started}\n")).map_err(&failed)
    }

    /// Whoever else starts one meanwhile, it is this one that is ended, and no other.
    async fn end(&self, patience: Duration) -> Result<(), ProcessError> {
        let mut inner = self.inner.lock().await;
        // A child of ours that has ended is waited for here.
        self.find(&mut inner);
        inner.watch.nothing();
        let ours = || Identity::of(i32::try_from(inner.child.as_ref()?.id()?).ok()?);
        let one = Identity::read(&self.pid_file).or_else(ours);
        if let Some(one) = one {
            let pid = Pid::from_raw(one.pid);
            if one.is_alive() {
                let _ = kill(pid, Signal::SIGTERM);
            }
            let asked = Instant::now();
            while one.is_alive() && asked.elapsed() < patience {
                tokio::time::sleep(LOOK).await;
            }
            if one.is_alive() {
                // Its own children with it. A stopped process takes this signal, too.
                let _ = killpg(pid, Signal::SIGKILL);
                let killed = Instant::now();
                while one.is_alive() {
                    if killed.elapsed() > Duration::from_secs(5) {
                        return Err(ProcessError {
                            operation: format!("end {}", self.name),
                            why: format!("process {pid} is still there after SIGKILL"),
                        });
                    }
                    tokio::time::sleep(LOOK).await;
                }
            }
            self.end_the_rest(one.pid).await;
            self.find(&mut inner);
        }
        inner.pace.forget();
        inner.ended = None;
        if Identity::read(&self.pid_file) != one {
            return Ok(());
        }
        match fs::remove_file(&self.pid_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed("end")(error)),
            _ => Ok(()),
        }
    }

    fn log(&self) -> &Path {
        &self.log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(folder: &Path, script: &str) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            arguments: ["-c", script].map(Into::into).into(),
            folder: folder.into(),
        }
    }

    async fn until_ended(child: &Child) -> String {
        for _ in 0..500 {
            if let ProcessState::Ended { why } = child.state().await.unwrap() {
                return why;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("it does not end");
    }

    #[tokio::test]
    async fn a_daemon_is_found_again_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let first = Child::new("daemon", folder.path());
        assert_eq!(first.state().await, Ok(ProcessState::Stopped));
        first.start(&launch(folder.path(), "exec sleep 60")).await.unwrap();
        let running = first.state().await.unwrap();
        assert!(matches!(running, ProcessState::Running { .. }));
        // The next agent knows it without having started it.
        let second = Child::new("daemon", folder.path());
        assert_eq!(second.state().await.unwrap(), running);
        second.start(&launch(folder.path(), "exec sleep 61")).await.unwrap();
        assert_eq!(second.state().await.unwrap(), running, "one that runs is not started again");
        first.end(Duration::from_secs(5)).await.unwrap();
        assert_eq!(second.state().await, Ok(ProcessState::Stopped));
        // A process id that is somebody else's now is nobody's.
        fs::write(folder.path().join("daemon.pid"), format!("{} 1\n", std::process::id())).unwrap();
        assert!(matches!(second.state().await.unwrap(), ProcessState::Ended { .. }));
        second.end(Duration::from_millis(10)).await.unwrap();
    }

    #[tokio::test]
    async fn its_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let child = Child::new("daemon", folder.path());
        child.start(&launch(folder.path(), "exec sleep 60")).await.unwrap();
        // By the next agent, whose child it is not.
        let other = Child::new("daemon", folder.path());
        let ProcessState::Running { pid } = other.state().await.unwrap() else { panic!("it runs") };
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        while let ProcessState::Running { .. } = child.state().await.unwrap() {
            let told = tokio::time::timeout(Duration::from_secs(20), super::super::one_ended());
            told.await.expect("it is told");
        }
    }

    #[tokio::test]
    async fn one_that_ends_by_itself_says_why_and_is_not_started_in_a_loop() {
        let folder = tempfile::tempdir().unwrap();
        let child = Child::new("daemon", folder.path());
        let broken = launch(folder.path(), "echo 'cannot open the file' >&2; exit 7");
        child.start(&broken).await.unwrap();
        assert_eq!(
            until_ended(&child).await,
            "it ended with exit status: 7; its last words: cannot open the file"
        );
        child.start(&broken).await.unwrap();
        until_ended(&child).await;
        let error = child.start(&broken).await.unwrap_err().to_string();
        assert!(
            error.starts_with("start daemon: it keeps ending, so the next try is in 1 s: it ended"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_a_dead_one_left_behind_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let child = Child::new("daemon", folder.path());
        child.start(&launch(folder.path(), "sleep 60 & echo $! > rest; kill -9 $$")).await.unwrap();
        until_ended(&child).await;
        let rest = fs::read_to_string(folder.path().join("rest")).unwrap().trim().parse().unwrap();
        assert!(Identity::of(rest).is_some());
        child.start(&launch(folder.path(), "exec sleep 60")).await.unwrap();
        assert_eq!(Identity::of(rest), None);
        child.end(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn one_whose_threads_end_one_after_the_other_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let child = Child::new("daemon", folder.path());
        // At SIGTERM the main thread ends, by exit(2), and the other one half a second later.
        let script = "exec perl -Mthreads -MPOSIX -e 'threads->create(sub { sleep 1 until -e \"term\"; \
                      select(undef, undef, undef, 0.5); open(my $file, \">\", \"last\"); POSIX::_exit(0) })->detach; \
                      $SIG{TERM} = sub { open(my $file, \">\", \"term\"); \
                      syscall((POSIX::uname())[4] eq \"x86_64\" ? 60 : 93, 0) }; \
                      open(my $file, \">\", \"ready\"); sleep 1 while 1'";
        child.start(&launch(folder.path(), script)).await.unwrap();
        for _ in 0..500 {
            if folder.path().join("ready").exists() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        child.end(Duration::from_secs(10)).await.unwrap();
        assert!(folder.path().join("last").exists(), "it was not waited for");
        assert_eq!(child.state().await, Ok(ProcessState::Stopped));
    }

    #[tokio::test]
    async fn one_that_does_not_listen_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let child = Child::new("daemon", folder.path());
        child.start(&launch(folder.path(), "trap '' TERM; while :; do sleep 1; done")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        child.end(Duration::from_millis(200)).await.unwrap();
        assert_eq!(child.state().await, Ok(ProcessState::Stopped));
    }
}
