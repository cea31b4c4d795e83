//! Text: a secret as it stands inside its encrypted file.
//!
//! ```yaml
//! tsig: { name: transfer.customer.example, algorithm: hmac-sha256, secret: <base64> }
//! password: "…"
//! cookie: { current: <32 hexadecimal digits>, previous: <32 hexadecimal digits> }
//! ```
//!
//! One of the three. The name of a TSIG key is what both sides know it by; left out, it is the secret's own name.
//! `previous` may be left out. No error quotes what was read: it says where, and what was expected.

use std::fmt::Write;

use base64ct::{Base64, Encoding};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::desired::files::yaml;
use crate::keyring::{CookieSecret, Secret, SecretValue, TsigAlgorithm, TsigKey};
use crate::names::{DomainName, SecretName};

/// The longest password that TCP MD5 takes, in octets (Linux, TCP_MD5SIG_MAXKEYLEN).
pub const PASSWORD_MAX: usize = 80;
/// The longest secret of a TSIG key, in octets. Longer ones are hashed down to far less (RFC 2104 section 2).
pub const TSIG_MAX: usize = 512;
/// The secret of DNS cookies, in octets: a key of SipHash-2-4 (RFC 9018 section 4.4).
pub const COOKIE: usize = 16;

/// What is wrong with a secret's text. It never holds any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(String);

fn wrong(what: &str) -> TextError {
    TextError(what.to_owned())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    tsig: Option<TsigText>,
    password: Option<String>,
    cookie: Option<CookieText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TsigText {
    name: Option<String>,
    algorithm: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CookieText {
    current: String,
    previous: Option<String>,
}

/// Reads the text of the secret that is called `name`.
pub fn parse(name: &SecretName, text: &[u8]) -> Result<SecretValue, TextError> {
    // The parser's own words may quote a wrong key or value, so only the place is kept of them.
    let document: Document = yaml::parse("", text).map_err(|finding| {
        let line = finding.position.map_or_else(String::new, |at| format!(" (line {})", at.line));
        TextError(format!("the text is not a secret's{line}: expected tsig, password or cookie"))
    })?;
    match document {
        Document { tsig: Some(TsigText { name: wire, algorithm, secret }), password: None, cookie: None } => {
            let secret = Zeroizing::new(secret);
            let wire = match wire {
                Some(wire) => key_name(&wire)?,
                None => own_name(name)?,
            };
            Ok(SecretValue::Tsig(TsigKey {
                name: wire,
                algorithm: self::algorithm(&algorithm)?,
                secret: tsig_secret(&secret)?,
            }))
        }
        Document { tsig: None, password: Some(text), cookie: None } => {
            password(&Zeroizing::new(text)).map(SecretValue::Password)
        }
        Document { tsig: None, password: None, cookie: Some(CookieText { current, previous }) } => {
            let (current, previous) = (Zeroizing::new(current), previous.map(Zeroizing::new));
            Ok(SecretValue::Cookie(CookieSecret {
                current: cookie(&current)?,
                previous: previous.map(|previous| cookie(&previous)).transpose()?,
            }))
        }
        Document { .. } => Err(wrong("the text is not exactly one of tsig, password and cookie")),
    }
}

/// Writes a secret's text.
pub fn write(value: &SecretValue) -> Secret {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    let written = match value {
        SecretValue::Tsig(TsigKey { name, algorithm, secret }) => {
            let secret = Zeroizing::new(Base64::encode_string(secret.expose()));
            let name = serde_json::Value::from(name.to_string());
            let (algorithm, secret) = (algorithm.word(), secret.as_str());
            writeln!(text, "tsig:\n  name: {name}\n  algorithm: {algorithm}\n  secret: {secret}")
        }
        SecretValue::Password(password) => {
            // Printable ASCII, so the two characters that mean something between quotes are the only ones to mark.
            text.push_str("password: \"");
            for octet in password.expose() {
                if matches!(octet, b'"' | b'\\') {
                    text.push('\\');
                }
                text.push(char::from(*octet));
            }
            writeln!(text, "\"")
        }
        SecretValue::Cookie(CookieSecret { current, previous }) => {
            let current = digits(current);
            writeln!(text, "cookie:\n  current: \"{}\"", current.as_str()).and_then(|()| match previous {
                Some(previous) => writeln!(text, "  previous: \"{}\"", digits(previous).as_str()),
                None => Ok(()),
            })
        }
    };
    written.expect("writing to a String cannot fail");
    Secret::new(std::mem::take(&mut *text).into_bytes())
}

impl TsigAlgorithm {
    /// As keys and messages name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }
}

/// The algorithm of this name.
pub fn algorithm(word: &str) -> Result<TsigAlgorithm, TextError> {
    [TsigAlgorithm::HmacSha256, TsigAlgorithm::HmacSha384, TsigAlgorithm::HmacSha512]
        .into_iter()
        .find(|algorithm| algorithm.word() == word)
        .ok_or_else(|| wrong("the TSIG algorithm is none of hmac-sha256, hmac-sha384 and hmac-sha512"))
}

/// The name that both sides know a key by.
pub fn key_name(text: &str) -> Result<DomainName, TextError> {
    let name: DomainName = text.parse().map_err(|_| wrong("the TSIG key's name is not a domain name"))?;
    match name == DomainName::root() {
        true => Err(wrong("the TSIG key's name is empty")),
        false => Ok(name),
    }
}

/// The same, where nothing else was said: the secret's own.
pub fn own_name(name: &SecretName) -> Result<DomainName, TextError> {
    key_name(name.as_str())
}

/// The secret of a TSIG key, from base64.
pub fn tsig_secret(text: &str) -> Result<Secret, TextError> {
    let octets = Base64::decode_vec(text).map_err(|_| wrong("the TSIG key's secret is not base64"))?;
    let secret = Secret::new(octets);
    match secret.expose().len() {
        0 => Err(wrong("the TSIG key's secret is empty")),
        1..=TSIG_MAX => Ok(secret),
        _ => Err(TextError(format!("the TSIG key's secret is longer than {TSIG_MAX} octets"))),
    }
}

/// A password, from the text that both sides type.
pub fn password(text: &str) -> Result<Secret, TextError> {
    if text.is_empty() || text.len() > PASSWORD_MAX {
        return Err(TextError(format!("a password of BGP sessions has 1 to {PASSWORD_MAX} characters")));
    }
    if !text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()) {
        return Err(wrong(
            "a password of BGP sessions has printable ASCII characters only: others reach the two sides' kernels as \
             different octets",
        ));
    }
    Ok(Secret::new(text.as_bytes().to_vec()))
}

/// The secret of DNS cookies, from hexadecimal digits.
pub fn cookie(text: &str) -> Result<Secret, TextError> {
    let wrong = || TextError(format!("a cookie secret has {} hexadecimal digits", 2 * COOKIE));
    if text.len() != 2 * COOKIE {
        return Err(wrong());
    }
    let digit = |octet: &u8| char::from(*octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let octet = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let octets: Option<Vec<u8>> = text.as_bytes().chunks(2).map(octet).collect();
    octets.map(Secret::new).ok_or_else(wrong)
}

fn digits(secret: &Secret) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * COOKIE));
    for octet in secret.expose() {
        write!(text, "{octet:02x}").expect("writing to a String cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> SecretName {
        "customer".parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let octets = |octets: &[u8]| Secret::new(octets.to_vec());
        let key = TsigKey {
            name: "transfer.customer.example".parse().unwrap(),
            algorithm: TsigAlgorithm::HmacSha384,
            secret: octets(&[0xfb; 48]),
        };
        let (current, previous) = (octets(&[0x0a; 16]), Some(octets(&[0xf0; 16])));
        for value in [
            SecretValue::Tsig(key),
            SecretValue::Password(octets(br#"a "b" \c: #{'} &d"#)),
            SecretValue::Password(octets(b"12345")),
            SecretValue::Password(octets(b" ~ ")),
            SecretValue::Cookie(CookieSecret { current: current.clone(), previous }),
            SecretValue::Cookie(CookieSecret { current, previous: None }),
        ] {
            let text = write(&value);
            assert_eq!(parse(&name(), text.expose()), Ok(value), "{:?}", text.expose().escape_ascii());
        }
    }

    #[test]
    fn a_key_is_called_as_the_secret_unless_it_says() {
        let text = b"tsig: { algorithm: hmac-sha256, secret: c2VjcmV0 }";
        let Ok(SecretValue::Tsig(key)) = parse(&name(), text) else { panic!("a key") };
        assert_eq!((key.name.to_string().as_str(), key.secret.expose()), ("customer", &b"secret"[..]));
    }

    #[test]
    fn no_error_quotes_what_was_read() {
        const VALUE: &str = "hunter2hunter2";
        for text in [
            VALUE.to_owned(),
            format!("{VALUE}: x"),
            format!("passwords: {VALUE}"),
            format!("password: [{VALUE}]"),
            format!("password: {VALUE}\npassword: {VALUE}"),
            format!("password: {VALUE}\ntsig: {VALUE}"),
            format!("password: {VALUE}\ncookie: {{ current: {VALUE} }}"),
            format!("password: \"{VALUE}\\n\""),
            format!("password: {VALUE}é"),
            format!("password: {}", VALUE.repeat(9)),
            "password: \"\"".to_owned(),
            format!("password: &{VALUE} x"),
            format!("password: !{VALUE} x"),
            format!("password: \"{VALUE}"),
            format!("tsig: {{ algorithm: {VALUE}, secret: c2VjcmV0 }}"),
            format!("tsig: {{ algorithm: hmac-sha256, secret: {VALUE}! }}"),
            "tsig: { algorithm: hmac-sha256, secret: \"\" }".to_owned(),
            format!("tsig: {{ algorithm: hmac-sha256, secret: {} }}", VALUE.repeat(80)),
            format!("tsig: {{ name: \"{VALUE} x\", algorithm: hmac-sha256, secret: c2VjcmV0 }}"),
            "tsig: { name: ., algorithm: hmac-sha256, secret: c2VjcmV0 }".to_owned(),
            format!("tsig: {{ algorithm: hmac-sha256, secret: c2VjcmV0, {VALUE}: x }}"),
            format!("cookie: {{ current: {VALUE} }}"),
            format!("cookie: {{ current: {VALUE}{VALUE}0000 }}"),
            format!("cookie: {{ current: \"{}\", previous: {VALUE} }}", "0".repeat(32)),
            "cookie: {}".to_owned(),
            String::new(),
            "\0".to_owned(),
        ] {
            let error = parse(&name(), text.as_bytes()).expect_err(&text).to_string();
            assert!(!error.contains("hunter2") && !error.is_empty(), "{text:?}: {error}");
        }
        assert!(parse(&name(), b"password: \xff").is_err());
    }
}
