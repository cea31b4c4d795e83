//! Secrets of a simulated network: nobody here has the real ones, so each gets a new value, under the same name. The
//! nodes have them by the way that they would have the real ones by; the customers' primaries and the peers demand them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::draft::Draft;
use super::{Context, SimulationError};
use crate::desired::audience::Audience;
use crate::desired::load;
use crate::desired::needs::needs;
use crate::keyring::{Keyring, SecretValue};
use crate::names::SecretName;
use crate::secrets::given::{KeyTerms, generate};
use crate::secrets::{Header, sealed};
use crate::source::trust::{PATH, Trust};

/// Gives every secret a new value, encrypted to those who need it. The operator and the nodes have their keys.
pub(crate) fn replace(draft: &mut Draft) -> Result<Arc<Keyring>, SimulationError> {
    let operation = || "make new secrets".into();
    let first = |findings: Vec<crate::finding::Finding>| {
        findings.first().map(ToString::to_string).unwrap_or_default()
    };
    let state = load::values(&draft.tree()).map_err(first).context(operation)?;
    let key = |path: &str| draft.files.get(path).cloned();
    let trust = Trust::parse(&key(PATH).unwrap_or_default(), &key).map_err(first).context(operation)?;
    let needs = needs(&state);
    let mut values: BTreeMap<SecretName, Arc<SecretValue>> = BTreeMap::new();
    for (name, secret) in &state.secrets {
        let operation = || format!("make a new secret {name}");
        let kind = Header::parse(&secret.octets).context(operation)?.kind;
        let value = generate(kind, name, KeyTerms { name: None, algorithm: None }).context(operation)?;
        let readers = Audience::of(name, &state, &needs, &trust).recipients().into_iter().cloned().collect();
        draft.write(secret.path.clone(), sealed::seal(&value, &readers).context(operation)?);
        values.insert(name.clone(), Arc::new(value));
    }
    let keyring = Keyring::default();
    keyring.replace(values);
    Ok(Arc::new(keyring))
}
