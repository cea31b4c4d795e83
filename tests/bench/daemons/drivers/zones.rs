//! Many zones from nothing, and one more among them.

use std::time::Duration;

use shoestring::dns::NameServerKind;

use super::driven::{Driven, Spent};
use super::{Course, Row, cell, note};
use crate::density::many::{Subject, Zones};
use crate::density::{await_all, pace};
use crate::figures::median;

/// How many zones there are, one number after another.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// The same in a short run.
const FEW: [usize; 2] = [500, 2_000];
/// Zones that are added one by one while a client asks, and as many again while none does.
const ADDED: usize = 5;
/// For one zone that was added.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was seen of one name server with so many zones.
struct Seen {
    /// Seconds from the start of its driver until zones from all over answered, and the CPU time of that.
    start: (f64, Spent),
    memory: f64,
    /// Milliseconds.
    live: Vec<f64>,
    /// Of one zone.
    cost: Spent,
    lost: (usize, usize),
}

pub(super) fn measure(course: &Course) -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = Vec::new();
    let sizes = if course.quick { &FEW[..] } else { &SIZES };
    for count in sizes {
        let zones = Zones::write(&folder.path().join(count.to_string()), *count, 2 * ADDED);
        let patience = course.secs(90, if *count > SIZES[1] { 420 } else { 180 });
        let seen: Vec<Result<Seen, String>> =
            course.kinds.iter().map(|kind| see(*kind, &zones, patience, course)).collect();
        rows.extend(of_size(*count, &seen));
        // Zones that come from elsewhere: an edge's.
        if *count == sizes[1] {
            rows.extend(transferred(&zones, patience, course));
        }
    }
    rows
}

fn of_size(count: usize, seen: &[Result<Seen, String>]) -> Vec<Row> {
    let row = |name: &str, figure: &dyn Fn(&Seen) -> String| {
        let cells = seen.iter().map(|seen| seen.as_ref().map_or("–".to_owned(), figure));
        (format!("{count} zones: {name}"), cells.collect::<Vec<_>>())
    };
    let seconds = |time: Option<Duration>| cell(time.map(|time| time.as_secs_f64()), 1);
    let millis = |time: Option<Duration>| cell(time.map(|time| time.as_secs_f64() * 1000.0), 1);
    let start = seen.iter().map(|seen| match seen {
        Ok(seen) => format!("{:.1}", seen.start.0),
        Err(why) => why.clone(),
    });
    vec![
        (format!("{count} zones: from nothing until all answer, s"), start.collect()),
        row("CPU of that, ours, s", &|seen| seconds(Some(seen.start.1.ours))),
        row("CPU of that, the daemon's, s", &|seen| seconds(seen.start.1.daemon)),
        row("memory of the name server, MB (PSS)", &|seen| format!("{:.1}", seen.memory)),
        row("one more until it answers, ms", &|seen| match seen.live.len() {
            ADDED => format!("{:.0}", median(seen.live.clone())),
            some => format!("{some} of {ADDED} did"),
        }),
        row("CPU of that, ours, ms", &|seen| millis(Some(seen.cost.ours))),
        row("CPU of that, the daemon's, ms", &|seen| millis(seen.cost.daemon)),
        row("answers lost meanwhile at 2,000/s", &|seen| format!("{} of {}", seen.lost.0, seen.lost.1)),
    ]
}

fn see(kind: NameServerKind, zones: &Zones, patience: Duration, course: &Course) -> Result<Seen, String> {
    let mut driven = Driven::start(kind, &zones.folder, None);
    let up = await_all(driven.address, driven.started, zones.count, patience);
    let start = driven.spent();
    let is_settled = driven.settles(patience.saturating_sub(driven.started.elapsed()));
    let complain = |driven: &Driven| {
        if let Some(complaints) = driven.complaints() {
            note(kind, &complaints);
        }
    };
    let (Some(up), true) = (up, is_settled) else {
        complain(&driven);
        note(kind, &format!("{} zones: not within {} s", zones.count, patience.as_secs()));
        return Err(format!("not in {} s", patience.as_secs()));
    };
    // What it does besides is done by then, or goes on for long.
    std::thread::sleep(course.secs(1, 5));
    let memory = driven.memory();
    let before = driven.spent();
    for number in 0..ADDED {
        std::thread::sleep(Duration::from_millis(200));
        driven.add_and_await(&zones.later(number), PATIENCE);
    }
    // What it writes behind the answers counts, too.
    std::thread::sleep(Duration::from_millis(500));
    let Spent { ours, daemon } = driven.spent().since(before);
    let each = u32::try_from(ADDED).unwrap();
    let cost = Spent { ours: ours / each, daemon: daemon.map(|daemon| daemon / each) };
    let mut live = Vec::new();
    let met = pace::ask(driven.address, zones.count, || {
        for number in ADDED..2 * ADDED {
            std::thread::sleep(Duration::from_millis(200));
            live.extend(driven.add_and_await(&zones.later(number), PATIENCE));
        }
        std::thread::sleep(Duration::from_millis(200));
    });
    note(
        kind,
        &format!(
            "{} zones after {:.1} s, {memory:.0} MB; one more after {:.0} ms, {} of {} answers lost",
            zones.count,
            up.as_secs_f64(),
            median(live.clone()),
            met.lost,
            met.sent
        ),
    );
    complain(&driven);
    Ok(Seen { start: (up.as_secs_f64(), start), memory, live, cost, lost: (met.lost, met.sent) })
}

/// Zones of a primary that has them: the embedded name server.
fn transferred(zones: &Zones, patience: Duration, course: &Course) -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let primary = Subject::Files.start(zones, folder.path());
    assert!(await_all(primary.address, primary.started, zones.count, patience).is_some(), "the primary");
    let cells = course.kinds.iter().map(|kind| {
        let driven = Driven::start(*kind, &zones.folder, Some(primary.address));
        let up = await_all(driven.address, driven.started, zones.count, patience);
        let spent = driven.spent();
        let up = up.map(|up| up.as_secs_f64());
        note(*kind, &format!("{} zones by transfer after {} s", zones.count, cell(up, 1)));
        if let Some(complaints) = driven.complaints() {
            note(*kind, &complaints);
        }
        let time = up.map_or(format!("not in {} s", patience.as_secs()), |up| format!("{up:.1}"));
        let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
        [time, seconds(spent.ours), spent.daemon.map_or("–".to_owned(), seconds)]
    });
    let cells: Vec<[String; 3]> = cells.collect();
    let names = ["from nothing until all answer, s", "CPU of that, ours, s", "CPU of that, the daemon's, s"];
    let row = |(at, name): (usize, &&str)| {
        let cells = cells.iter().map(|cells| cells[at].clone()).collect();
        (format!("{} zones by transfer: {name}", zones.count), cells)
    };
    names.iter().enumerate().map(row).collect()
}
