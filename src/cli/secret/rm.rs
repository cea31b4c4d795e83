use super::folder::{self, Folder};
use crate::names::SecretName;

/// Remove a secret that no file names any more
#[derive(clap::Args)]
pub(super) struct Args {
    /// The secret's name
    name: SecretName,
    #[command(flatten)]
    folder: folder::Args,
}

pub(super) fn run(args: &Args) -> Result<u8, String> {
    let Args { name, folder } = args;
    let folder = Folder::open(folder)?;
    folder.sealed(name)?;
    let references = folder.references(name);
    if !references.is_empty() {
        let files: Vec<&str> = references.iter().map(|(path, _)| path.as_str()).collect();
        return Err(format!("{name} is still named: remove it first from {}", files.join(", ")));
    }
    let path = folder.file(name);
    std::fs::remove_file(&path).map_err(|error| format!("remove {}: {error}", path.display()))?;
    eprintln!(
        "removed {}; the history of the repository keeps it, for those who could read it",
        path.display()
    );
    Ok(0)
}
