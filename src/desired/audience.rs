//! Audience: who must be able to read a secret: the nodes whose slices name it, and the operators, who are those that
//! may change it.

use std::collections::BTreeSet;

use super::model::{DesiredState, Node};
use super::needs::{Needs, Use};
use crate::names::{PrincipalName, SecretName};
use crate::secrets::Recipient;
use crate::source::trust::Trust;

/// Who must be able to read one secret.
pub struct Audience<'a> {
    /// The nodes, and what each needs it for.
    pub nodes: Vec<(&'a Node, Vec<Use<'a>>)>,
    /// The operators, and the keys of each. Somebody who signs with keys that decrypt nothing has none.
    pub operators: Vec<(&'a PrincipalName, &'a BTreeSet<Recipient>)>,
}

impl<'a> Audience<'a> {
    /// Of the secret of this name.
    pub fn of(name: &SecretName, state: &'a DesiredState, needs: &Needs<'a>, trust: &'a Trust) -> Self {
        let nodes = needs.get(name).into_iter().flatten();
        let nodes = nodes.filter_map(|(node, uses)| Some((state.nodes.get(*node)?, uses.clone())));
        let operators = trust.signers_of(&path(name)).into_iter();
        let operators = operators.filter_map(|operator| trust.recipients.get_key_value(operator));
        Self { nodes: nodes.collect(), operators: operators.collect() }
    }

    /// Everybody's keys.
    pub fn recipients(&self) -> BTreeSet<&'a Recipient> {
        let nodes = self.nodes.iter().filter_map(|(node, _)| node.age_recipient.as_ref());
        nodes.chain(self.operators.iter().flat_map(|(_, keys)| *keys)).collect()
    }
}

/// Where the secret of this name stands.
pub fn path(name: &SecretName) -> String {
    format!("secrets/{name}.age")
}
