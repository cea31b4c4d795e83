//! Given: a secret's value as people have it, and values that nobody has had.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use ssh_key::rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

use super::text::{self, TextError};
use crate::keyring::{CookieSecret, Secret, SecretKind, SecretValue, TsigAlgorithm, TsigKey};
use crate::names::{DomainName, SecretName};

/// How a TSIG key is to be called, where its value does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTerms {
    /// The name that both sides know it by; `None` for the secret's own.
    pub name: Option<DomainName>,
    /// Its algorithm; `None` for hmac-sha256.
    pub algorithm: Option<TsigAlgorithm>,
}

/// Reads a value as people have it: a password as it is; the secret of cookies in hexadecimal digits; a TSIG key in
/// base64, as `dig -y` takes it (`hmac-sha256:name:base64`), or as `tsig-keygen` prints it (`key "name" { … };`).
///
/// # Errors
/// What it is not. It is not quoted.
pub fn read(
    kind: SecretKind,
    name: &SecretName,
    terms: KeyTerms,
    given: &str,
) -> Result<SecretValue, TextError> {
    match kind {
        SecretKind::Password => text::password(given).map(SecretValue::Password),
        SecretKind::Cookie => {
            let current = text::cookie(given.trim())?;
            Ok(SecretValue::Cookie(CookieSecret { current, previous: None }))
        }
        SecretKind::Tsig => {
            let (said_name, said_algorithm, secret) = tsig(given.trim());
            let name = match (terms.name, said_name) {
                (Some(name), _) => name,
                (None, Some(said)) => text::key_name(said)?,
                (None, None) => text::own_name(name)?,
            };
            let algorithm = match (terms.algorithm, said_algorithm) {
                (Some(algorithm), _) => algorithm,
                (None, Some(said)) => text::algorithm(said)?,
                (None, None) => TsigAlgorithm::HmacSha256,
            };
            Ok(SecretValue::Tsig(TsigKey { name, algorithm, secret: text::tsig_secret(secret)? }))
        }
    }
}

/// Name, algorithm and secret, as far as they are there.
fn tsig(given: &str) -> (Option<&str>, Option<&str>, &str) {
    if let Some(rest) = given.strip_prefix("key") {
        let words =
            || rest.split(|c: char| c.is_whitespace() || "\"{};".contains(c)).filter(|word| !word.is_empty());
        let after = |word: &str| words().skip_while(|other| *other != word).nth(1);
        if let Some(secret) = after("secret") {
            return (words().next(), after("algorithm"), secret);
        }
    }
    match given.split(':').collect::<Vec<_>>()[..] {
        [algorithm, name, secret] => (Some(name), Some(algorithm), secret),
        [name, secret] => (Some(name), None, secret),
        _ => (None, None, given),
    }
}

/// A value that nobody has had. A TSIG key is as long as its algorithm's hash (RFC 8945 section 6).
///
/// # Errors
/// When the TSIG key cannot be called by the secret's own name.
pub fn generate(kind: SecretKind, name: &SecretName, terms: KeyTerms) -> Result<SecretValue, TextError> {
    Ok(match kind {
        SecretKind::Password => {
            // 24 octets are 32 characters, which every router's configuration takes.
            let octets = random(24);
            let text = Zeroizing::new(Base64UrlUnpadded::encode_string(octets.expose()));
            SecretValue::Password(text::password(&text)?)
        }
        SecretKind::Cookie => {
            SecretValue::Cookie(CookieSecret { current: random(text::COOKIE), previous: None })
        }
        SecretKind::Tsig => {
            let algorithm = terms.algorithm.unwrap_or(TsigAlgorithm::HmacSha256);
            let name = match terms.name {
                Some(name) => name,
                None => text::own_name(name)?,
            };
            SecretValue::Tsig(TsigKey { name, algorithm, secret: random(algorithm.octets()) })
        }
    })
}

/// The next value after this one: random, or `None` where somebody else has to agree on it first, as on a password.
/// Cookies made with the one before are still taken.
pub fn next(value: &SecretValue) -> Option<SecretValue> {
    match value {
        SecretValue::Tsig(key) => {
            let secret = random(key.algorithm.octets());
            Some(SecretValue::Tsig(TsigKey { secret, ..key.clone() }))
        }
        SecretValue::Cookie(cookie) => {
            let previous = Some(cookie.current.clone());
            Some(SecretValue::Cookie(CookieSecret { current: random(text::COOKIE), previous }))
        }
        SecretValue::Password(_) => None,
    }
}

fn random(octets: usize) -> Secret {
    let mut secret = vec![0; octets];
    OsRng.fill_bytes(&mut secret);
    Secret::new(secret)
}

impl TsigAlgorithm {
    /// Of its hash.
    fn octets(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

/// A TSIG key as a customer's name server takes it: `key "name" { algorithm …; secret "…"; };`.
pub fn clause(key: &TsigKey) -> Secret {
    let secret = Zeroizing::new(Base64::encode_string(key.secret.expose()));
    let (name, algorithm) = (&key.name, key.algorithm.word());
    let text =
        format!("key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{}\";\n}};\n", secret.as_str());
    Secret::new(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: KeyTerms = KeyTerms { name: None, algorithm: None };

    fn name() -> SecretName {
        "customer".parse().unwrap()
    }

    fn key(given: &str) -> (String, &'static str, Vec<u8>) {
        match read(SecretKind::Tsig, &name(), NONE, given) {
            Ok(SecretValue::Tsig(key)) => {
                (key.name.to_string(), key.algorithm.word(), key.secret.expose().to_vec())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_in_every_form() {
        let secret = b"0123456789abcdef".to_vec();
        let base64 = "MDEyMzQ1Njc4OWFiY2RlZg==";
        for (given, name, algorithm) in [
            (base64.to_owned(), "customer", "hmac-sha256"),
            (format!(" {base64}\n"), "customer", "hmac-sha256"),
            (format!("xfer.example:{base64}"), "xfer.example", "hmac-sha256"),
            (format!("hmac-sha512:xfer.example.:{base64}"), "xfer.example", "hmac-sha512"),
            (
                format!("key \"xfer.example\" {{\n\talgorithm hmac-sha384;\n\tsecret \"{base64}\";\n}};\n"),
                "xfer.example",
                "hmac-sha384",
            ),
            (format!("key a {{ secret {base64}; algorithm hmac-sha256; }};"), "a", "hmac-sha256"),
        ] {
            assert_eq!(key(&given), (name.to_owned(), algorithm, secret.clone()), "{given}");
        }
        let terms =
            KeyTerms { name: Some("own".parse().unwrap()), algorithm: Some(TsigAlgorithm::HmacSha512) };
        let Ok(SecretValue::Tsig(own)) = read(SecretKind::Tsig, &name(), terms, &format!("a:{base64}"))
        else {
            panic!("a key")
        };
        assert_eq!((own.name.to_string().as_str(), own.algorithm.word()), ("own", "hmac-sha512"));
        assert_eq!(
            key(std::str::from_utf8(clause(&own).expose()).unwrap()),
            ("own".to_owned(), "hmac-sha512", secret)
        );
        for bad in ["", "hunter2!", "hmac-md5:a:MDEy", "key", "key { secret }", "a:b:c:d"] {
            let error = read(SecretKind::Tsig, &name(), NONE, bad).expect_err(bad).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn generated_values_differ_and_are_read_back() {
        for kind in [SecretKind::Tsig, SecretKind::Password, SecretKind::Cookie] {
            let (one, two) = (generate(kind, &name(), NONE).unwrap(), generate(kind, &name(), NONE).unwrap());
            assert!(one != two && one.kind() == kind);
            assert_eq!(text::parse(&name(), text::write(&one).expose()), Ok(one.clone()));
            let next = next(&one);
            assert_eq!(next.is_none(), kind == SecretKind::Password);
            assert!(next.is_none_or(|next| next != one && next.kind() == kind));
        }
    }

    #[test]
    fn the_cookie_secret_before_is_kept() {
        let one = generate(SecretKind::Cookie, &name(), NONE).unwrap();
        let (SecretValue::Cookie(one), Some(SecretValue::Cookie(two))) = (one.clone(), next(&one)) else {
            panic!("cookies")
        };
        assert_eq!(two.previous, Some(one.current));
    }
}
