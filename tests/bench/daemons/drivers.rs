//! The five name servers as a node has them: run, configured and told of zones by the agent's own drivers.
//!
//! `cargo bench --bench daemons -- drivers` measures all of it, in this order, and prints one table at the end:
//!
//! - `zones`: many from nothing, and one more among them, asked for at a steady pace meanwhile.
//! - `queries`: what an answer costs each of them, with the same zones and the same client, in turn.
//! - `agent`: what the whole agent (`shoestring run`) costs beside each of them when there is nothing to do.
//! - `notify`: how soon a customer's change at a primary is at every node of a simulated network, through its hubs.
//!
//! More words pick some of them (`-- drivers agent`) and some name servers (`-- drivers zones knot nsd`). Zones are primary
//! ones whose records come with their configuration, where nothing else is said.

use std::time::Duration;

use shoestring::dns::NameServerKind;

use super::figures::print;
use super::server::version;

mod drive;
mod driven;
mod idle;
mod notify;
mod queries;
mod zones;

pub use drive::drive;

const KINDS: [NameServerKind; 5] = [
    NameServerKind::Embedded,
    NameServerKind::Bind,
    NameServerKind::Nsd,
    NameServerKind::Knot,
    NameServerKind::Powerdns,
];

/// A line of the table: what it is, and one cell for each name server.
type Row = (String, Vec<String>);

/// Something that is measured.
type Part = fn(&Course) -> Vec<Row>;

/// How the measurements are made.
struct Course {
    quick: bool,
    kinds: Vec<NameServerKind>,
}

impl Course {
    fn secs(&self, quick: u64, whole: u64) -> Duration {
        Duration::from_secs(if self.quick { quick } else { whole })
    }
}

/// Prints the table.
pub fn measure(quick: bool, arguments: &[String]) {
    let is_named = |word: &str| arguments.iter().any(|argument| argument == word);
    let some_kinds = KINDS.iter().any(|kind| is_named(&kind.to_string()));
    let is_meant = |kind: &NameServerKind| !some_kinds || is_named(&kind.to_string());
    let kinds = KINDS.into_iter().filter(is_meant).filter(|kind| is_installed(*kind)).collect();
    let course = Course { quick, kinds };
    let parts: [(&str, Part); 4] = [
        ("zones", zones::measure),
        ("queries", queries::measure),
        ("agent", idle::measure),
        ("notify", notify::measure),
    ];
    let some_parts = parts.iter().any(|(name, _)| is_named(name));
    let mut rows = Vec::new();
    for (name, part) in parts {
        if !some_parts || is_named(name) {
            println!("{name}");
            rows.extend(part(&course).into_iter().map(|(name, cells)| [vec![name], cells].concat()));
        }
    }
    let header: Vec<String> =
        [String::new()].into_iter().chain(course.kinds.iter().map(|kind| title(*kind).to_owned())).collect();
    print("Five name servers under the agent's drivers", &header, &rows);
}

/// For the table.
fn title(kind: NameServerKind) -> &'static str {
    match kind {
        NameServerKind::Embedded => "embedded",
        NameServerKind::Bind => "BIND",
        NameServerKind::Nsd => "NSD",
        NameServerKind::Knot => "Knot",
        NameServerKind::Powerdns => "PowerDNS",
    }
}

/// Whether it can be run; said aloud.
fn is_installed(kind: NameServerKind) -> bool {
    let version = match kind {
        NameServerKind::Embedded => return true,
        NameServerKind::Bind => version("named", "-v"),
        NameServerKind::Nsd => version("nsd", "-v"),
        NameServerKind::Knot => version("knotd", "-V"),
        NameServerKind::Powerdns => version("pdns_server", "--version"),
    };
    println!("  {}: {}", title(kind), version.as_deref().unwrap_or("left out, since it is not installed"));
    version.is_some()
}

/// Progress: one line for each thing that was measured.
fn note(kind: NameServerKind, what: &str) {
    println!("  {:9} {what}", title(kind));
}

/// A figure that there may not be.
fn cell(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("–".to_owned(), |figure| format!("{figure:.digits$}"))
}
