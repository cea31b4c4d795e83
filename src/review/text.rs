//! The review for a terminal.

use std::fmt::Write;

use super::{Change, Review};

/// The review as plain text.
pub fn text(review: &Review) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(review, &mut out);
    out
}

fn write(review: &Review, out: &mut String) -> std::fmt::Result {
    let Review { base, head, findings, zones, nodes, configurations, bgp, waves, secrets, signatures } =
        review;
    writeln!(out, "From {base} to {head}")?;
    if !findings.is_empty() {
        writeln!(out, "\nFindings: no node would apply this")?;
        for finding in findings {
            writeln!(out, "  {finding}")?;
        }
        return Ok(());
    }
    if zones.is_empty() && nodes.is_empty() && configurations.is_empty() && bgp.is_empty() {
        writeln!(out, "\nNo node would change anything.")?;
    }
    for zone in zones {
        let origin = zone.origin.as_ref().map(|origin| format!(": {origin}")).unwrap_or_default();
        writeln!(out, "\n{} zone {}{origin}", sign(zone.change), zone.zone)?;
        lines(out, &zone.removed, &zone.added)?;
        if zone.is_serial_alone() {
            writeln!(out, "  the files differ, the records do not: it gets a new serial")?;
        }
    }
    if !bgp.is_empty() {
        writeln!(out, "\nBGP")?;
        for session in bgp {
            writeln!(
                out,
                "  {} {} {}: {}",
                sign(session.change),
                session.node,
                session.session,
                session.terms
            )?;
        }
    }
    if !nodes.is_empty() {
        writeln!(out, "\nPlan")?;
    }
    for node in nodes {
        writeln!(out, "  {}", node.nodes.join(", "))?;
        for action in &node.actions {
            writeln!(out, "    {action}")?;
        }
        for wait in &node.waits {
            writeln!(out, "    waits: {wait}")?;
        }
    }
    for part in configurations {
        writeln!(out, "\n{}: {}", part.nodes.join(", "), part.part)?;
        lines(out, &part.removed, &part.added)?;
    }
    if !waves.is_empty() {
        writeln!(out, "\nRollout: zones and the mesh at once, all else wave by wave")?;
    }
    for (wave, number) in waves.iter().zip(1..) {
        writeln!(out, "  {number}. {}", wave.join(", "))?;
    }
    if !secrets.is_empty() {
        writeln!(out, "\nSecrets")?;
    }
    secrets.iter().try_for_each(|secret| writeln!(out, "  {secret}"))?;
    if !signatures.is_empty() {
        writeln!(out, "\nSignatures")?;
    }
    for commit in signatures {
        let signer = commit.signer.as_ref().map(|signer| format!(" by {signer}")).unwrap_or_default();
        let verdict = commit.refused.as_deref().unwrap_or("accepted");
        writeln!(out, "  {}{signer}: {verdict}", commit.revision)?;
    }
    Ok(())
}

fn lines(out: &mut String, removed: &[String], added: &[String]) -> std::fmt::Result {
    removed.iter().try_for_each(|line| writeln!(out, "  - {line}"))?;
    added.iter().try_for_each(|line| writeln!(out, "  + {line}"))
}

fn sign(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    }
}
