//! What a server takes: CPU time from the scheduler's own account, to the nanosecond, and memory.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// Some processes.
pub struct Processes(Vec<u32>);

impl Processes {
    /// A process and those that it started, as there are now.
    pub fn of(pid: u32) -> Self {
        let mut found = vec![pid];
        let parents: Vec<(u32, u32)> = all(PARENT).collect();
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            at += 1;
        }
        Self(found)
    }

    /// A process without those that it started.
    pub fn only(pid: u32) -> Self {
        Self(vec![pid])
    }

    /// Those of a process group, as there are now, whoever is their parent.
    pub fn of_group(group: u32) -> Self {
        Self(all(GROUP).filter(|(_, of)| *of == group).map(|(pid, _)| pid).collect())
    }

    /// The time that they have run.
    pub fn cpu(&self) -> Duration {
        self.0.iter().copied().map(ran).sum()
    }

    /// Their share of the machine's memory, in megabytes: what several of them share is counted once.
    pub fn memory(&self) -> f64 {
        self.megabytes("smaps_rollup", "Pss:")
    }

    /// The same with all that each of them shares.
    pub fn resident(&self) -> f64 {
        self.megabytes("status", "VmRSS:")
    }

    /// Of that, what belongs to no file.
    pub fn resident_anonymous(&self) -> f64 {
        self.megabytes("status", "RssAnon:")
    }

    fn megabytes(&self, file: &str, line: &str) -> f64 {
        let share = |pid: &u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
            let line = text.lines().find_map(|text| text.strip_prefix(line))?;
            line.trim().strip_suffix(" kB")?.parse::<f64>().ok()
        };
        self.0.iter().filter_map(share).sum::<f64>() / 1024.0
    }
}

/// Fields of `/proc/<pid>/stat`, counted from after the program's name.
const PARENT: usize = 1;
const GROUP: usize = 2;
const CHILDREN: [usize; 2] = [13, 14];

fn field<T: std::str::FromStr>(pid: u32, at: usize) -> Option<T> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(at)?.parse().ok()
}

/// All processes, each with a field.
fn all(at: usize) -> impl Iterator<Item = (u32, u32)> {
    let names = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(move |name| {
        let pid = name.parse().ok()?;
        Some((pid, field(pid, at)?))
    })
}

/// How long a process has run, in user and kernel mode: all threads, those that ended included.
fn ran(pid: u32) -> Duration {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).unwrap()));
    clock.and_then(clock_gettime).map_or(Duration::ZERO, Duration::from)
}

/// The time that a process has run, and what it started and waited for: to 10 ms for these.
pub fn with_tools(pid: u32) -> Duration {
    let ticks: u64 = CHILDREN.iter().filter_map(|at| field::<u64>(pid, *at)).sum();
    ran(pid) + Duration::from_millis(ticks * 10)
}

/// A process group whose processes come and go: what one had run when it was last looked at counts on.
pub struct Watch {
    group: u32,
    seen: Arc<Mutex<BTreeMap<u32, Duration>>>,
    done: Arc<AtomicBool>,
    looking: Option<JoinHandle<()>>,
}

impl Watch {
    /// Between two looks.
    const PAUSE: Duration = Duration::from_millis(20);

    pub fn new(group: u32) -> Self {
        let (seen, done) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let looking = {
            let (seen, done) = (Arc::clone(&seen), Arc::clone(&done));
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    look(group, &seen);
                    std::thread::sleep(Self::PAUSE);
                }
            })
        };
        Self { group, seen, done, looking: Some(looking) }
    }

    /// The time that all of them have run.
    pub fn cpu(&self) -> Duration {
        look(self.group, &self.seen);
        self.seen.lock().unwrap().values().sum()
    }
}

fn look(group: u32, seen: &Mutex<BTreeMap<u32, Duration>>) {
    let now: Vec<(u32, Duration)> =
        Processes::of_group(group).0.into_iter().map(|pid| (pid, ran(pid))).collect();
    let mut seen = seen.lock().unwrap();
    for (pid, ran) in now {
        let before = seen.entry(pid).or_default();
        *before = ran.max(*before);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        let _ = self.looking.take().map(JoinHandle::join);
    }
}
