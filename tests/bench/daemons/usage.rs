//! What a server takes: CPU time from the scheduler's own account, to the nanosecond, and memory.

use std::fs;
use std::time::Duration;

/// A process and those that it started.
pub struct Processes(Vec<u32>);

impl Processes {
    /// Those that there are now.
    pub fn of(pid: u32) -> Self {
        let mut found = vec![pid];
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| {
                let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                Some((pid, stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?))
            })
            .collect();
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            at += 1;
        }
        Self(found)
    }

    /// The time that all their threads have run, in user and kernel mode.
    pub fn cpu(&self) -> Duration {
        let threads =
            self.0.iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten());
        let ran = threads.filter_map(|thread| {
            let schedstat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            schedstat.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(ran.sum())
    }

    /// Their share of the machine's memory, in megabytes: what several of them share is counted once.
    pub fn memory(&self) -> f64 {
        let share = |pid: &u32| {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.trim().strip_suffix(" kB")?.parse::<f64>().ok()
        };
        self.0.iter().filter_map(share).sum::<f64>() / 1024.0
    }
}
