//! `shoestring check`: everything that is wrong with a network's files.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;

use super::export;
use super::snippet::Snippets;
use crate::desired::check::rpki::{Announced, Preflight};
use crate::desired::load;
use crate::desired::model::DesiredState;
use crate::finding::Finding;
use crate::names::Revision;
use crate::rpki::{self, Validity, Verdict};
use crate::source::history;
use crate::tree::Tree;

/// Check a network's files and show everything that is wrong with them
///
/// Each finding names its file, line and column, and says what to do. Nodes refuse a revision with findings, but for those
/// about who can read a secret or about the RPKI: these are for people alone. Nobody's signature is looked at.
/// Exit status: 0 nothing was found (warnings aside), 1 something was, 2 the files could not be read.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder, or a revision of the git repository that the current folder is in [default: desired-state if there
    /// is one, else the current folder]
    #[arg(value_name = "DIR|REV")]
    what: Option<String>,
    /// Say of each announced prefix whether it is RPKI-valid for our AS number (RFC 6811), by an RPKI validator's export:
    /// the JSON of Routinator (`routinator vrps --format json`), rpki-client (`-j`), OctoRPKI and those alike. Invalid is
    /// a finding; not found, or a maxLength that permits more than is announced (RFC 9319), is a warning
    #[arg(long, value_name = "FILE")]
    rpki: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: one object with the findings.
    Json,
}

/// What `shoestring check --format json` prints.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CheckReport")]
pub(super) struct Report {
    /// Everything that was found, in order of place; empty when nothing was.
    findings: Vec<Finding>,
    /// What works and should be better; only `--rpki` looks for it.
    warnings: Vec<Finding>,
    /// With `--rpki`, what the RPKI says about each announced prefix; empty when network.yaml cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    rpki: Option<Vec<Verdict>>,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let (tree, mut findings) = read(args.what.as_deref())?;
    let state = load::check(&tree);
    findings.extend(state.as_ref().err().into_iter().flatten().cloned());
    let preflight = args.rpki.as_deref().map(|path| preflight(&tree, path)).transpose()?;
    findings.extend(preflight.iter().flat_map(|preflight| &preflight.findings).cloned());
    findings.sort();
    let found = !findings.is_empty();
    match args.format {
        Format::Json => {
            let (warnings, rpki) =
                preflight.map(|Preflight { warnings, verdicts, .. }| (warnings, verdicts)).unzip();
            let report = Report { findings, warnings: warnings.unwrap_or_default(), rpki };
            println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
        }
        Format::Text => print!("{}", text(&tree, &findings, preflight.as_ref(), state.ok().as_ref())),
    }
    Ok(u8::from(found))
}

/// What a validator's export says about what the tree announces.
fn preflight(tree: &Tree, path: &Path) -> Result<Preflight, String> {
    // Without prefixes there is nothing to judge, and a finding that says why.
    let announced = Announced::of(tree);
    let prefixes = announced.as_ref().map(Announced::prefixes).unwrap_or_default();
    let vrps = export::read(path, |export| rpki::read(export, &prefixes))?;
    Ok(announced.map(|announced| announced.judge(&vrps)).unwrap_or_default())
}

/// The files to look at, and what was found wrong on the way to them.
fn read(what: Option<&str>) -> Result<(Tree, Vec<Finding>), String> {
    let folder = match what {
        Some(what) => Path::new(what),
        None if Path::new("desired-state").is_dir() => Path::new("desired-state"),
        None => Path::new("."),
    };
    match what {
        Some(what) if !folder.exists() => revision(what).map(|tree| (tree, Vec::new())),
        Some(_) | None => load::scan_folder(folder),
    }
}

/// The files of a revision. A repository that keeps the network in a folder of its own is understood too.
fn revision(what: &str) -> Result<Tree, String> {
    let wrong = |error: git2::Error| {
        format!("{what:?} is neither a folder nor a revision of the repository here: {}", error.message())
    };
    let repository = git2::Repository::discover(".").map_err(wrong)?;
    let commit =
        repository.revparse_single(what).and_then(|object| object.peel_to_commit()).map_err(wrong)?;
    let revision: Revision = commit.id().to_string().parse().map_err(|error| format!("{error}"))?;
    let tree = history::read_tree(&repository, revision, None).map_err(|error| error.to_string())?;
    const FOLDER: &str = "desired-state/";
    if tree.files.contains_key("network.yaml") || !tree.files.contains_key("desired-state/network.yaml") {
        return Ok(tree);
    }
    let files = tree.files.into_iter();
    Ok(Tree {
        files: files.filter_map(|(path, file)| Some((path.strip_prefix(FOLDER)?.into(), file))).collect(),
    })
}

fn text(
    tree: &Tree,
    findings: &[Finding],
    preflight: Option<&Preflight>,
    state: Option<&DesiredState>,
) -> String {
    let snippets = Snippets::new(std::io::stdout().is_terminal());
    let mut out: String = findings.iter().map(|finding| snippets.render(tree, finding) + "\n").collect();
    let files: BTreeSet<_> = findings.iter().map(|finding| &finding.path).collect();
    if let Some(Preflight { verdicts, warnings, .. }) = preflight {
        out.extend(warnings.iter().map(|warning| snippets.warning(tree, warning) + "\n"));
        out.extend(verdicts.iter().map(verdict));
        if verdicts.is_empty() {
            out.push_str("RPKI: not looked up, since network.yaml gives no AS number and prefix\n");
        }
    }
    match (findings.len(), state) {
        (0, Some(state)) => out.push_str(&format!(
            "no findings: {} nodes, {} peers, {} zones\n",
            state.nodes.len(),
            state.peers.len(),
            state.zones.len()
        )),
        (1, _) => out.push_str("1 finding\n"),
        (count, _) if files.len() == 1 => out.push_str(&format!("{count} findings in 1 file\n")),
        (count, _) => out.push_str(&format!("{count} findings in {} files\n", files.len())),
    }
    out
}

/// One line for a prefix.
fn verdict(Verdict { prefix, asn, validity, covering }: &Verdict) -> String {
    let validity = match validity {
        Validity::Valid => "valid",
        Validity::Invalid => "invalid",
        Validity::NotFound => "not found",
    };
    let covering: Vec<String> = covering.iter().map(ToString::to_string).collect();
    match covering.is_empty() {
        true => format!("RPKI: {prefix} from AS{asn} is {validity}\n"),
        false => format!("RPKI: {prefix} from AS{asn} is {validity}, covered by {}\n", covering.join(", ")),
    }
}
