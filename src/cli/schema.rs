//! `shoestring schema`: JSON Schemas of what people and programs write and read.

use std::path::PathBuf;

use schemars::{Schema, generate::SchemaSettings};

use crate::config::LocalConfig;
use crate::desired::files::{NetworkFile, NodeFile, PeerFile, ZoneFile};
use crate::source::trust::TrustFile;

/// Write the JSON Schemas of all files that shoestring reads and all reports that it writes
///
/// An editor that knows the schema of a file completes and checks while one types.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder to write to; made if it is not there
    #[arg(value_name = "DIR", default_value = "schemas")]
    folder: PathBuf,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let failed = |path: &PathBuf, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(&args.folder).map_err(|error| failed(&args.folder, error))?;
    for (name, schema) in all() {
        let path = args.folder.join(format!("{name}.schema.json"));
        std::fs::write(&path, text(&schema)?).map_err(|error| failed(&path, error))?;
        println!("{}", path.display());
    }
    Ok(0)
}

/// Every schema there is, by name: one line each.
fn all() -> [(&'static str, Schema); 9] {
    [
        ("network", of::<NetworkFile>()),
        ("node", of::<NodeFile>()),
        ("peer", of::<PeerFile>()),
        ("zone", of::<ZoneFile>()),
        ("trust", of::<TrustFile>()),
        ("config", of::<LocalConfig>()),
        ("check", of::<super::check::Report>()),
        ("plan", of::<crate::review::Review>()),
        ("report", of::<crate::simulate::report::Report>()),
    ]
}

fn of<T: schemars::JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}

fn text(schema: &Schema) -> Result<String, String> {
    serde_json::to_string_pretty(schema).map(|text| text + "\n").map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_schemas_in_the_repository_are_fresh() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let mut wanted = BTreeSet::new();
        for (name, schema) in all() {
            let file = format!("{name}.schema.json");
            let there = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
            assert!(there == text(&schema).unwrap(), "schemas/{file} is stale: run `cargo run -- schema`");
            wanted.insert(file);
        }
        let there: BTreeSet<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(there, wanted, "schemas/ holds a file that is not generated");
    }
}
