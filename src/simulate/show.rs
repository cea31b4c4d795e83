//! Show: what a run prints. Progress moves on a terminal; elsewhere every line stays.
//!
//! A reader that went away (a closed pipe) ends nothing: the report and the exit status are still worth having.

use std::io::Write;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report::{Count, NodeReport, ScenarioReport, Step};

/// Prints a line to standard output.
pub(crate) fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.as_ref());
    let _ = out.flush();
}

/// Begins a part of the run.
pub(crate) fn heading(text: impl AsRef<str>) {
    line(format!("\n== {}", text.as_ref()));
}

/// Something that takes a while, out of so many steps. On a terminal a bar; elsewhere one line when it is done.
pub(crate) struct Progress {
    bar: ProgressBar,
    what: &'static str,
}

impl Progress {
    /// Begins.
    pub(crate) fn begin(what: &'static str, steps: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stdout());
        // The template is ours and does parse.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, what }
    }

    /// So many steps are done.
    pub(crate) fn at(&self, steps: usize) {
        self.bar.set_position(steps as u64);
    }

    /// All are, with this to say.
    pub(crate) fn end(self, result: impl AsRef<str>) {
        self.bar.finish_and_clear();
        line(format!("{}: {}", self.what, result.as_ref()));
    }
}

/// The nodes.
pub(crate) fn nodes(nodes: &[NodeReport]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header([
        "node",
        "place",
        "name server",
        "routing daemon",
        "sessions",
        "zones",
        "mesh",
        "settled",
        "memory",
    ]);
    let count =
        |Count { up, all }: Count| Cell::new(format!("{up}/{all}")).set_alignment(CellAlignment::Right);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    for node in nodes {
        table.add_row([
            Cell::new(&node.name),
            Cell::new(&node.place),
            Cell::new(&node.name_server),
            Cell::new(&node.routing_daemon),
            count(node.sessions),
            count(node.zones),
            count(node.mesh_links),
            right(node.settled_ms.map_or_else(|| "no".to_owned(), |time| format!("{time} ms"))),
            right(
                node.rss_bytes.map_or_else(|| "?".to_owned(), |octets| format!("{} MB", octets / 1_000_000)),
            ),
        ]);
    }
    line(table.to_string());
}

/// A scenario that ran.
pub(crate) fn scenario(report: &ScenarioReport) {
    for step in &report.steps {
        match step {
            Step::Did(text) => line(format!("   did  {text}")),
            Step::Saw(text) => line(format!("   saw  {text}")),
        }
    }
    if !report.figures.is_empty() {
        let figures: Vec<String> =
            report.figures.iter().map(|(name, figure)| format!("{name} {figure}")).collect();
        line(format!("        {}", figures.join(", ")));
    }
    for failure in &report.failures {
        line(format!(" FAILED {failure}"));
    }
    line(if report.passed { "   held" } else { "   did not hold" });
}
