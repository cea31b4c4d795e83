//! The review for a pull request.

use std::fmt::Write;

use super::{Change, Review};

/// The review as Markdown: a summary to read, configurations folded away.
pub fn markdown(review: &Review) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(review, &mut out);
    out
}

fn write(review: &Review, out: &mut String) -> std::fmt::Result {
    let Review { base, head, findings, zones, nodes, configurations, bgp, waves, secrets, signatures } =
        review;
    writeln!(out, "## Plan: {} to {}\n", code(base), code(head))?;
    if !findings.is_empty() {
        writeln!(out, "**No node would apply this.**\n")?;
        for finding in findings {
            writeln!(out, "- {}", code(&finding.to_string()))?;
        }
        return Ok(());
    }
    if zones.is_empty() && nodes.is_empty() && configurations.is_empty() && bgp.is_empty() {
        writeln!(out, "No node would change anything.\n")?;
    }
    if !zones.is_empty() {
        writeln!(out, "### Zones\n")?;
    }
    for zone in zones {
        let origin = zone.origin.as_ref().map(|origin| format!(": {}", code(origin))).unwrap_or_default();
        writeln!(out, "- {} {}{origin}", word(zone.change), code(&zone.zone))?;
        diff(out, "  ", &zone.removed, &zone.added)?;
        if zone.is_serial_alone() {
            writeln!(out, "  The files differ, the records do not: it gets a new serial.")?;
        }
    }
    if !bgp.is_empty() {
        writeln!(out, "\n### BGP\n\n| node | session | | terms |\n|---|---|---|---|")?;
        for session in bgp {
            let terms = session.terms.replace('|', "\\|");
            writeln!(out, "| {} | {} | {} | {terms} |", session.node, session.session, word(session.change))?;
        }
    }
    if !nodes.is_empty() {
        writeln!(out, "\n### What the nodes do\n")?;
    }
    for node in nodes {
        writeln!(out, "**{}**", node.nodes.join(", "))?;
        for action in &node.actions {
            writeln!(out, "1. {}", code(action))?;
        }
        for wait in &node.waits {
            writeln!(out, "- waits: {}", code(wait))?;
        }
        writeln!(out)?;
    }
    if !configurations.is_empty() {
        writeln!(out, "<details><summary>Configurations ({})</summary>\n", configurations.len())?;
        for part in configurations {
            writeln!(out, "{}: {}\n", part.nodes.join(", "), part.part)?;
            diff(out, "", &part.removed, &part.added)?;
        }
        writeln!(out, "</details>\n")?;
    }
    if !waves.is_empty() {
        writeln!(out, "### Rollout\n\nZones and the mesh at once, all else wave by wave:\n")?;
        waves.iter().try_for_each(|wave| writeln!(out, "1. {}", wave.join(", ")))?;
        writeln!(out)?;
    }
    if !secrets.is_empty() {
        writeln!(out, "### Secrets\n")?;
        secrets.iter().try_for_each(|secret| writeln!(out, "- {secret}"))?;
        writeln!(out)?;
    }
    if !signatures.is_empty() {
        writeln!(out, "### Signatures\n\n| commit | signer | |\n|---|---|---|")?;
        for commit in signatures {
            let signer = commit.signer.as_deref().unwrap_or_default();
            let verdict = commit.refused.as_deref().unwrap_or("accepted").replace('|', "\\|");
            writeln!(out, "| {} | {signer} | {verdict} |", code(&commit.revision))?;
        }
    }
    Ok(())
}

fn diff(out: &mut String, indent: &str, removed: &[String], added: &[String]) -> std::fmt::Result {
    if removed.is_empty() && added.is_empty() {
        return Ok(());
    }
    // A record may hold back quotes; a longer fence than any run of them keeps it inside.
    let longest = removed.iter().chain(added).flat_map(|line| line.split(|c| c != '`')).map(str::len).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    writeln!(out, "{indent}{fence}diff")?;
    removed.iter().try_for_each(|line| writeln!(out, "{indent}- {line}"))?;
    added.iter().try_for_each(|line| writeln!(out, "{indent}+ {line}"))?;
    writeln!(out, "{indent}{fence}\n")
}

/// Text as a code span, whatever is in it.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "new",
        Change::Removed => "removed",
        Change::Changed => "changed",
    }
}
