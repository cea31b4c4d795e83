//! `shoestring peer match`: peer files for an AS that is at the same exchanges as our nodes.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::export;
use crate::desired::load;
use crate::exchange::{Directory, Proposal, propose};
use crate::names::{Asn, NameError};

/// Propose peer files for an AS that is at the same exchanges as our nodes
///
/// Reads what you have saved of PeeringDB (answers of its API: net, netixlan, ixlan, ixpfx) or of exchanges (IX-F member
/// exports, versions 0.6 to 1.0); nothing is asked over the network. For each edge with an address on the same peering
/// LAN, and each router of the AS there, a peer file is printed, ready to review: nothing in it that is not in the data,
/// and together with the network's files it passes `shoestring check`. What cannot be proposed is said on standard
/// error. Exit status: 0 something was proposed, 1 nothing, 2 a file could not be read or written.
///
/// For example: curl -o net.json 'https://www.peeringdb.com/api/net?asn=64511&depth=2' &&
/// shoestring peer match 64511 --from net.json
#[derive(clap::Args)]
pub(super) struct Args {
    /// The AS number to peer with
    #[arg(value_parser = asn)]
    asn: Asn,
    /// JSON files with the data, of either kind (repeatable)
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    from: Vec<PathBuf>,
    /// Write the files too, each to peers/NODE/NAME.yaml; one that exists is never touched
    #[arg(long)]
    write: bool,
    /// The folder of the network's files [default: desired-state if there is one, else the current folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn asn(text: &str) -> Result<Asn, String> {
    let digits = text.strip_prefix("AS").unwrap_or(text);
    let number: u32 = digits.parse().map_err(|_| "expected a number, such as 64496".to_owned())?;
    number.try_into().map_err(|error: NameError| error.to_string())
}

pub(super) fn run(args: &Args) -> Result<u8, String> {
    let folder = match &args.dir {
        Some(dir) => dir.as_path(),
        None if Path::new("desired-state").is_dir() => Path::new("desired-state"),
        None => Path::new("."),
    };
    let tree = load::read_folder(folder)?;
    let state = load::read(&tree).map_err(|findings| {
        let first = findings.first().map(ToString::to_string).unwrap_or_default();
        format!("{}: {first}; `shoestring check` shows everything, put it right first", folder.display())
    })?;
    if args.asn == state.network.asn {
        return Err(format!("AS{} is the network's own AS number", args.asn));
    }
    let mut directory = Directory::default();
    for path in &args.from {
        export::read(path, |export| directory.read(export, args.asn))?;
    }
    let ports = directory.ports(args.asn);
    let proposals = propose(&tree, &state, &ports, args.asn);
    for Proposal { path, text, .. } in &proposals.files {
        println!("# {path}\n{text}");
    }
    proposals.notes.iter().for_each(|note| eprintln!("not proposed: {note}"));
    if proposals.files.is_empty() && proposals.notes.is_empty() {
        let why = match ports.is_empty() {
            true => "the data has no port of it",
            false => "none of our edges has an address on a LAN that it is on",
        };
        eprintln!("nothing to propose for AS{}: {why}", args.asn);
    }
    if args.write {
        proposals.files.iter().try_for_each(|proposal| write(folder, proposal))?;
    }
    Ok(u8::from(proposals.files.is_empty()))
}

/// Writes a file that does not exist.
fn write(folder: &Path, Proposal { path, text, .. }: &Proposal) -> Result<(), String> {
    let file = folder.join(path);
    let failed = |error: std::io::Error| format!("write {}: {error}", file.display());
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut open = OpenOptions::new().write(true).create_new(true).open(&file).map_err(failed)?;
    open.write_all(text.as_bytes()).map_err(failed)?;
    eprintln!("wrote {}", file.display());
    Ok(())
}
