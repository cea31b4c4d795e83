//! Silence: an interface that lets no packet out any more, and tells nobody, as a broken link further on does.

use tokio::process::Command;

use super::sandbox::program;
use super::{Context, SimulationError};
use crate::process::find_program;

/// Why it cannot be had here, if it cannot.
pub(crate) fn missing() -> Option<&'static str> {
    find_program("tc").is_none().then_some("tc (iproute2) is not installed, which silences links here")
}

/// Silences an interface of a node, or of the internet, or lets it speak again.
pub(crate) async fn set(place: &str, interface: &str, silent: bool) -> Result<(), SimulationError> {
    // A queue with room for nothing.
    let (change, queue): (_, &[&str]) = if silent { ("add", &["pfifo", "limit", "0"]) } else { ("del", &[]) };
    let operation = || format!("change the interface {interface} of {place}");
    let status = Command::new(program())
        .args(["simulate", "enter", place, "--", "tc", "qdisc", change, "dev", interface, "root"])
        .args(queue)
        .status()
        .await
        .context(operation)?;
    if status.success() { Ok(()) } else { Err(status.to_string()).context(operation) }
}
