//! `shoestring plan`: what a change would do to the network.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::ValueEnum;

use crate::config::Pin;
use crate::desired::load::{read, read_folder};
use crate::desired::model::DesiredState;
use crate::names::Revision;
use crate::review::{self, Review, SignatureReview};
use crate::source::history::read_tree;
use crate::source::hygiene::Limits;
use crate::source::verify::{Terms, verify};
use crate::tree::Tree;

/// Show what a change would do, on which node and why
///
/// Compares two revisions of the network's repository, or a revision with the files as they are now, without asking
/// any node: zones and their records, every node's actions in order, the configuration that it would be given, BGP
/// session by session, findings, and who still has to sign. Exit status: 0 nodes would take it, 1 they would refuse
/// it, 2 it could not be looked at.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// BASE..HEAD, two revisions; or BASE alone, to compare with the files as they are now
    #[arg(default_value = "HEAD")]
    range: String,
    /// The network's repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    repository: PathBuf,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For a terminal
    Text,
    /// For a pull request
    Markdown,
    /// For a program; the schema is `schemas/plan.schema.json`
    Json,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let git = git2::Repository::open(&args.repository).map_err(|error| {
        format!("{} is no git repository: {}", args.repository.display(), error.message())
    })?;
    let (base, head) = match args.range.split_once("..") {
        Some((base, head)) => (base, Some(head)),
        None => (args.range.as_str(), None),
    };
    let base_revision = resolve(&git, base)?;
    let base_state = state(&git, base_revision).map_err(|findings| {
        format!(
            "the base {base} has findings itself: {}",
            findings.first().map(ToString::to_string).unwrap_or_default()
        )
    })?;
    let head_revision = head.map(|head| resolve(&git, head)).transpose()?;
    let head_tree = match head_revision {
        Some(revision) => tree(&git, revision)?,
        None => folder(&git, &args.repository)?,
    };

    let mut review = match read(&head_tree) {
        Ok(head) => review::review(Some(&base_state), &head),
        Err(findings) => Review { findings, ..Review::default() },
    };
    review.base = format!("{base} ({})", base_revision.short());
    review.head = match (head, head_revision) {
        (Some(head), Some(revision)) => format!("{head} ({})", revision.short()),
        _ => format!("the files in {}", args.repository.display()),
    };
    if let Some(head) = head_revision {
        review.signatures = signatures(&git, &base_state, base_revision, head)?;
    }

    match args.format {
        Format::Text => print!("{}", review::text(&review)),
        Format::Markdown => print!("{}", review::markdown(&review)),
        Format::Json => {
            println!("{}", serde_json::to_string_pretty(&review).map_err(|error| error.to_string())?)
        }
    }
    let refused = review.signatures.iter().any(|commit| commit.refused.is_some());
    Ok(u8::from(refused || !review.findings.is_empty()))
}

fn resolve(git: &git2::Repository, revision: &str) -> Result<Revision, String> {
    let commit = git.revparse_single(revision).and_then(|object| object.peel_to_commit());
    let commit = commit.map_err(|error| format!("{revision:?} is no commit here: {}", error.message()))?;
    Ok(revision_of(commit.id()))
}

fn revision_of(id: git2::Oid) -> Revision {
    let mut revision = [0; 20];
    revision.copy_from_slice(id.as_bytes());
    Revision(revision)
}

fn tree(git: &git2::Repository, revision: Revision) -> Result<Tree, String> {
    read_tree(git, revision, None).map_err(|error| error.to_string())
}

fn state(git: &git2::Repository, revision: Revision) -> Result<DesiredState, Vec<crate::finding::Finding>> {
    let whole = |message: String| {
        vec![crate::finding::Finding { path: revision.to_string(), position: None, message, hint: None }]
    };
    read(&tree(git, revision).map_err(whole)?)
}

/// The files as they are now. A file that differs from the last commit counts as changed by the next one, so that the
/// serials are those that a commit would give.
fn folder(git: &git2::Repository, path: &Path) -> Result<Tree, String> {
    let mut now = read_folder(path)?;
    let head = tree(git, resolve(git, "HEAD")?)?;
    let next = head.files.values().map(|file| file.changed).max().unwrap_or(0) + 1;
    for (path, file) in &mut now.files {
        file.changed = match head.files.get(path) {
            Some(before) if before.bytes == file.bytes => before.changed,
            Some(_) | None => next,
        };
    }
    Ok(now)
}

/// How nodes that have applied the base would judge the commits up to the head.
fn signatures(
    git: &git2::Repository,
    base_state: &DesiredState,
    base: Revision,
    head: Revision,
) -> Result<Vec<SignatureReview>, String> {
    let terms = Terms {
        network: base_state.network.name.clone(),
        pin: Pin::Root(base),
        limits: Limits::default(),
        now: SystemTime::now(),
    };
    let verification = verify(git, &terms, Some(base), head).map_err(|error| error.to_string())?;
    let accepted = verification.judged.iter().map(|judged| SignatureReview {
        revision: judged.revision.to_string(),
        signer: Some(judged.signer.to_string()),
        refused: None,
    });
    let refused = verification.refused.iter().map(|refusal| SignatureReview {
        revision: refusal.revision.to_string(),
        signer: None,
        refused: Some(format!("refused by {}: {}", refusal.rule, refusal.why)),
    });
    Ok(accepted.chain(refused).collect())
}
