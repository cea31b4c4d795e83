//! What the whole agent costs beside each name server when there is nothing to do.

use std::time::Instant;

use shoestring::dns::NameServerKind;

use super::{Course, Row, note};
use crate::density::agent::{Lab, apart, group};
use crate::density::until;
use crate::usage::{Processes, with_tools};

/// What was seen beside one name server.
struct Seen {
    /// Of the agent, in percent.
    cpu: f64,
    /// Of the agent, in megabytes: all, and what is no page of a file.
    memory: (f64, f64),
    /// Of the daemon, in percent.
    daemon: Option<f64>,
}

pub(super) fn measure(course: &Course) -> Vec<Row> {
    let count = if course.quick { 2_000 } else { 10_000 };
    let seen = apart(|| course.kinds.iter().map(|kind| see(*kind, count, course)).collect::<Vec<_>>());
    let Some(seen) = seen else { return Vec::new() };
    let row = |name: &str, figure: &dyn Fn(&Seen) -> String| {
        let cells = seen.iter().map(|seen| seen.as_ref().map_or("did not settle".to_owned(), figure));
        (format!("{count} zones, idle: {name}"), cells.collect::<Vec<_>>())
    };
    vec![
        row("CPU of the agent, %", &|seen| format!("{:.3}", seen.cpu)),
        row("memory of the agent, MB (RSS)", &|seen| format!("{:.1}", seen.memory.0)),
        row("of that no page of a file, MB", &|seen| format!("{:.1}", seen.memory.1)),
        row("CPU of the daemon, %", &|seen| super::cell(seen.daemon, 3)),
    ]
}

fn see(kind: NameServerKind, count: usize, course: &Course) -> Option<Seen> {
    let lab = Lab::new(count, kind);
    let agent = lab.start();
    let patience = course.secs(90, 240);
    let settled = until(patience, || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        lab.is_settled()
    });
    if settled.is_none() {
        note(kind, &format!("the agent did not settle; its log ends\n{}", lab.log_tail()));
        return None;
    }
    // All zones are compared once more after the last change.
    std::thread::sleep(course.secs(5, 60));
    let daemon = || Some(Processes::of_group(group(&agent.pid_file)?).cpu());
    let (before, daemon_before, begun) = (with_tools(agent.pid()), daemon(), Instant::now());
    std::thread::sleep(course.secs(15, 60));
    let (after, daemon_after, span) = (with_tools(agent.pid()), daemon(), begun.elapsed());
    let percent = |ran: std::time::Duration| ran.as_secs_f64() / span.as_secs_f64() * 100.0;
    let cpu = percent(after.saturating_sub(before));
    let alone = Processes::only(agent.pid());
    let memory = (alone.resident(), alone.resident_anonymous());
    let daemon = daemon_after.zip(daemon_before).map(|(after, before)| percent(after.saturating_sub(before)));
    note(kind, &format!("the agent beside {count} zones: {cpu:.3} % CPU, {:.1} MB", memory.0));
    Some(Seen { cpu, memory, daemon })
}
