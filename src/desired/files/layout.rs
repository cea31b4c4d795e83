//! Layout: what a path in the repository means.

use std::str::FromStr;

use crate::names::{AccountName, DomainName, NodeName, PeerName, SecretName};

/// What a file is, by its path alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `network.yaml`.
    Network,
    /// `trust.yaml`.
    Trust,
    /// `nodes/<node>.yaml`.
    Node(NodeName),
    /// `peers/<node>/<peer>.yaml`.
    Peer(NodeName, PeerName),
    /// `zones/<account>/<zone>.yaml`.
    Zone(AccountName, DomainName),
    /// `zones/<account>/<zone>.zone`.
    Records(AccountName, DomainName),
    /// `secrets/<name>.age`.
    Secret(SecretName),
    /// `keys/…`: OpenPGP keys that `trust.yaml` names.
    Key,
    /// For people and their tools: a README, or a dot file.
    Ignored,
}

/// What a file is, or why it has no place in a network's repository.
pub(crate) fn classify(path: &str) -> Result<Kind, String> {
    let parts: Vec<&str> = path.split('/').collect();
    let file = parts.last().copied().unwrap_or_default();
    let dotted = |part: &str| part.starts_with('.') && !part.starts_with("..");
    // Tools' own files are not ours to judge: .gitignore, .github/workflows/check.yaml.
    if parts.first().is_some_and(|first| dotted(first))
        || dotted(file) && !file.ends_with(".yaml") && !file.ends_with(".zone")
        || file == "README"
        || file.starts_with("README.")
        || file.starts_with("LICENSE")
        || file == "CODEOWNERS"
    {
        return Ok(Kind::Ignored);
    }
    let yaml = file.strip_suffix(".yaml");
    match (&parts[..], yaml) {
        (["network.yaml"], _) => Ok(Kind::Network),
        (["trust.yaml"], _) => Ok(Kind::Trust),
        (["nodes", _], Some(node)) => Ok(Kind::Node(name(node)?)),
        (["peers", node, _], Some(peer)) => Ok(Kind::Peer(name(node)?, name(peer)?)),
        (["zones", account, _], Some(zone)) => Ok(Kind::Zone(name(account)?, zone_name(zone)?)),
        (["zones", account, _], None) => match file.strip_suffix(".zone") {
            Some(zone) => Ok(Kind::Records(name(account)?, zone_name(zone)?)),
            None => Err(unexpected(path)),
        },
        (["secrets", _], None) => match file.strip_suffix(".age") {
            Some(secret) => Ok(Kind::Secret(name(secret)?)),
            None => Err(unexpected(path)),
        },
        (["keys", _, ..], _) => Ok(Kind::Key),
        _ => Err(unexpected(path)),
    }
}

fn name<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: ToString,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A zone's name as a file has it: the one way to write it, so that no two files name one zone.
fn zone_name(text: &str) -> Result<DomainName, String> {
    let zone: DomainName = name(text)?;
    if zone == DomainName::root() {
        return Err("the root is not a zone that a network can serve".to_owned());
    }
    match zone.to_string() {
        written if written == text => Ok(zone),
        written => Err(format!("the zone's name must be written {written:?} here")),
    }
}

fn unexpected(path: &str) -> String {
    if path.ends_with(".yml") {
        return "the files of a network end in .yaml".to_owned();
    }
    "a network's repository has no such file".to_owned()
}

/// What a repository may hold, for a hint.
pub(crate) const EXPECTED: &str = "expected network.yaml, trust.yaml, nodes/<node>.yaml, \
    peers/<node>/<peer>.yaml, zones/<account>/<zone>.yaml and .zone, secrets/<name>.age, keys/*, README* or dot files";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_a_file_is() {
        assert_eq!(classify("network.yaml"), Ok(Kind::Network));
        assert_eq!(classify("nodes/a.yaml"), Ok(Kind::Node("a".parse().unwrap())));
        assert_eq!(
            classify("zones/mike/example.com.zone"),
            Ok(Kind::Records("mike".parse().unwrap(), "example.com".parse().unwrap()))
        );
        for ignored in ["README.md", ".gitignore", ".github/workflows/x.yaml", "zones/README"] {
            assert_eq!(classify(ignored), Ok(Kind::Ignored), "{ignored}");
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for bad in [
            "",
            "nodes",
            "nodes/A.yaml",
            "nodes/a.yml",
            "nodes/a/b.yaml",
            "peers/a.yaml",
            "zones/example.com.yaml",
            "zones/mike/Example.com.yaml",
            "zones/mike/example.com..yaml",
            "zones/mike/..yaml",
            "zones/mike/.yaml",
            "zones/.mike/example.com.yaml",
            "zones/mike/a b.yaml",
            "zones/../network.yaml",
            "zones/mike/x\";\n.yaml",
            "secrets/a.txt",
            "other/network.yaml",
            "network.yaml/x",
        ] {
            assert!(classify(bad).is_err(), "{bad:?} {:?}", classify(bad));
        }
    }
}
