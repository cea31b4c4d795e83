//! The value of a secret, from whoever has it or from the system's random numbers.

use std::io::IsTerminal;

use super::prompt;
use crate::keyring::{SecretKind, SecretValue};
use crate::names::SecretName;
use crate::secrets::given::{self, KeyTerms};

/// Octets of a TSIG key's secret below which it is easily guessed.
const SHORT: usize = 16;

/// Asks for a value: at the terminal if standard input is one, else from it.
pub(super) fn ask(kind: SecretKind, name: &SecretName, terms: KeyTerms) -> Result<SecretValue, String> {
    let text = if std::io::stdin().is_terminal() {
        let question = |again: &str| format!("{name}, {kind}{again} (not shown): ");
        let broken_off = || format!("nothing was set: no value was given for {name}");
        let text = prompt::ask(&question("")).ok_or_else(broken_off)?;
        // What nobody sees is typed twice.
        if kind == SecretKind::Password && prompt::ask(&question(", again")).ok_or_else(broken_off)? != text {
            return Err(format!("nothing was set: the two values for {name} differ"));
        }
        text
    } else {
        prompt::standard_input()?
    };
    let value = given::read(kind, name, terms, &text).map_err(|error| format!("{name}: {error}"))?;
    if let SecretValue::Tsig(key) = &value
        && key.secret.expose().len() < SHORT
    {
        eprintln!("warning: the secret of this key is shorter than {SHORT} octets: it can be guessed");
    }
    Ok(value)
}
