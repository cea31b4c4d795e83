//! The trust file as it is written: its fields, from which the JSON Schema is made.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::Spanned;

use crate::names::PrincipalName;

/// `trust.yaml`: who may sign what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// Goes up by exactly one with each change of this file.
    #[schemars(with = "u64", range(min = 1))]
    pub version: Spanned<u64>,
    /// The people who sign, by name.
    pub principals: BTreeMap<PrincipalName, PrincipalFile>,
    /// Who may change which paths. A path that no rule matches may not be changed by anybody. Of the rules that
    /// match a path every one must be met, with one exception for accounts: see a rule's description.
    pub rules: Vec<RuleFile>,
    /// Fingerprints of keys that are no longer believed: `SHA256:…` of an SSH key, hexadecimal of an OpenPGP key or
    /// subkey. Applies to every commit that a node has not yet applied, also to those before this entry.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub revoked: Vec<Spanned<String>>,
}

/// One of the people who sign. Several keys of one person count once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalFile {
    /// SSH public keys as in `authorized_keys`, or `openpgp: keys/<name>.asc` for an OpenPGP key in this repository.
    /// A change of such a key file is also judged as a change of `trust.yaml`.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub keys: Vec<Spanned<String>>,
    /// What the secrets that this person may change are encrypted to, beside the nodes' keys: age1…, or an SSH key
    /// ssh-ed25519 …. Left out, it is those of `keys` that are of the kind ssh-ed25519.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub age_recipients: Vec<Spanned<String>>,
}

/// Who may change the paths that match. Every rule that matches a path must be met, by `need` different people among
/// its signers. One exception, for accounts: below `zones/<account>/`, the rules whose pattern names that account
/// and the more general ones are alternatives, and it is enough that either all of the former or all of the latter
/// are met; the number needed is then the greatest `need` of them all. So with `zones/**` for nat and claire and
/// `zones/mike/**` for mike, each of the three alone may change the zones of mike, and a rule for an account can
/// give its zones to more people and ask for more signatures, but not for fewer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Patterns of paths: `*` stands for any text within one segment, `**` for any number of segments (at the end of
    /// a pattern for at least one). Nothing else has a meaning.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub paths: Vec<Spanned<String>>,
    /// Who may sign, by their names under `principals`.
    #[schemars(with = "Vec<PrincipalName>", length(min = 1))]
    pub signers: Vec<Spanned<String>>,
    /// How many of them must.
    #[schemars(with = "u32", range(min = 1))]
    pub need: Spanned<u32>,
}
