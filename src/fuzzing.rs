//! Fuzzing: for each way in for octets from outside, what holds whatever they are.
//!
//! Each function here takes octets and panics where something does not hold. `tests/fuzz` has a target of the same name
//! that calls it, and a folder of seeds, which the tests replay: what a fuzzer once found is kept there. Only built for
//! these two.

pub use crate::desired::fuzzing::desired;
pub use crate::dns::embedded::fuzzing::{answer, delta, kept, signed, transfer, zone_file};
pub use crate::health::fuzzing::beat;
pub use crate::routing::embedded::fuzzing::bgp;
pub use crate::source::fuzzing::upload_pack;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    type Property = fn(&[u8]);

    const PROPERTIES: [(&str, Property); 10] = [
        ("answer", super::answer),
        ("beat", super::beat),
        ("bgp", super::bgp),
        ("delta", super::delta),
        ("desired", super::desired),
        ("kept", super::kept),
        ("signed", super::signed),
        ("transfer", super::transfer),
        ("upload_pack", super::upload_pack),
        ("zone_file", super::zone_file),
    ];

    fn folder(of: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(of)
    }

    #[test]
    fn every_property_has_a_target_and_its_seeds_hold() {
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let targets: BTreeSet<_> =
            fs::read_dir(folder("targets")).unwrap().map(|entry| stem(entry.unwrap().path())).collect();
        assert_eq!(targets, PROPERTIES.map(|(name, _)| name.to_owned()).into());
        for (name, property) in PROPERTIES {
            let seeds: Vec<_> = fs::read_dir(folder("seeds").join(name)).unwrap().collect();
            assert!(!seeds.is_empty(), "{name} has no seeds");
            for seed in seeds {
                let path = seed.unwrap().path();
                println!("{}", path.display());
                let octets = fs::read(path).unwrap();
                property(&octets);
                for eighths in 0..8 {
                    property(&octets[..octets.len() * eighths / 8]);
                }
            }
        }
    }
}
