//! Zone statements, as we write them and as BIND keeps them.
//!
//! BIND puts the clauses of a statement in an order of its own, and words some values anew. So neither text is compared,
//! but what both say: their words without quotes, addresses as we print them, keys by the secrets that they come from,
//! clauses sorted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::dns::external::{Place, zone_file_name};
use crate::dns::{NotifyTarget, TransferClient, TransferSource, ZoneConfig, ZoneRecords};
use crate::names::{DomainName, SecretName};

/// The statement of a zone but for its name, in braces. `key` names the key that a secret holds.
pub(super) fn render(
    place: &Place,
    zone: &ZoneConfig,
    key: impl Fn(&SecretName) -> Result<String, String>,
) -> Result<String, String> {
    let ZoneConfig { name, source, notify, transfer_to, is_private } = zone;
    let key = |secret: &Option<SecretName>| -> Result<String, String> {
        secret.as_ref().map_or(Ok(String::new()), |secret| Ok(format!(" key \"{}\"", key(secret)?)))
    };
    let mut text = "{".to_owned();
    let mut clause = |clause: &str| {
        let _ = write!(text, " {clause};");
    };
    match source {
        ZoneRecords::File { .. } => {
            clause("type primary");
            clause(&format!("file \"{}\"", place.zone_file(name).display()));
            // What transfers may bring is no limit to what the repository holds.
            clause("max-records 0");
        }
        ZoneRecords::Transfer(sources) => {
            clause("type secondary");
            clause(&format!("file \"{}\"", place.data().join(zone_file_name(name)).display()));
            let mut primaries = String::new();
            for TransferSource { address, from: _, tsig_key } in sources {
                let (ip, port) = (address.ip(), address.port());
                let _ = write!(primaries, " {ip} port {port}{};", key(tsig_key)?);
            }
            clause(&format!("primaries {{{primaries} }}"));
            let sources = sources.iter().map(|source| (source.address.ip(), source.from));
            own_addresses("transfer-source", sources).iter().for_each(|source| clause(source));
        }
    }
    if !notify.is_empty() {
        let mut targets = String::new();
        for NotifyTarget { address, from: _, tsig_key } in notify.iter() {
            let (ip, port) = (address.ip(), address.port());
            let _ = write!(targets, " {ip} port {port}{};", key(tsig_key)?);
        }
        clause("notify explicit");
        clause(&format!("also-notify {{{targets} }}"));
        let targets = notify.iter().map(|target| (target.address.ip(), target.from));
        own_addresses("notify-source", targets).iter().for_each(|source| clause(source));
    }
    let mut clients = format!(" {};", IpNet::from(place.local.ip()));
    for TransferClient { network, tsig_key } in transfer_to.iter() {
        let key = key(tsig_key)?;
        match network.map(|network| network.trunc()) {
            Some(network) if key.is_empty() => _ = write!(clients, " {network};"),
            // A list ends at its first match, so that who is elsewhere is sent away before the key is looked at.
            Some(network) => _ = write!(clients, " {{ !{{ !{network}; any; }};{key}; }};"),
            None if key.is_empty() => {}
            None => _ = write!(clients, "{key};"),
        }
    }
    clause(&format!("allow-transfer {{{clients} }}"));
    if *is_private {
        clause(&format!("allow-query {{{clients} }}"));
    }
    text.push_str(" }");
    Ok(text)
}

/// Our own address to speak from, for each family. BIND has one of a family for each zone: where others want the kernel's
/// choice, all get that, which is the mesh loopback into the mesh all the same.
fn own_addresses(option: &str, ends: impl Iterator<Item = (IpAddr, Option<IpAddr>)>) -> Vec<String> {
    let mut wanted: [BTreeSet<Option<IpAddr>>; 2] = Default::default();
    for (to, from) in ends {
        let from = from.filter(|from| from.is_ipv6() == to.is_ipv6());
        wanted[usize::from(to.is_ipv6())].insert(from);
    }
    let sole = |(wanted, suffix): (BTreeSet<Option<IpAddr>>, &str)| {
        let first = wanted.first().copied().flatten().filter(|_| wanted.len() == 1)?;
        Some(format!("{option}{suffix} {first}"))
    };
    wanted.into_iter().zip(["", "-v6"]).filter_map(sole).collect()
}

/// The form of a zone.
pub(super) fn form(place: &Place, zone: &ZoneConfig) -> String {
    let text = render(place, zone, |secret| Ok(secret.to_string()));
    // Every secret has a name.
    canonical(&tokens(&text.unwrap_or_default()), |name| format!("secret {name}"))
}

/// The zones of a list of statements, with their forms. A key that is none of ours is part of the form by its own name.
pub(super) fn zones(text: &str, secrets: &BTreeMap<DomainName, SecretName>) -> BTreeMap<DomainName, String> {
    let secret = |name: &str| {
        let secret = name.parse().ok().and_then(|name: DomainName| secrets.get(&name));
        secret.map_or_else(|| format!("name {name}"), |secret| format!("secret {secret}"))
    };
    let zone = |line: &str| {
        let tokens = tokens(line);
        match tokens.split_first_chunk() {
            Some(([Token::Word("zone"), Token::Word(name)], rest)) => {
                Some((name.parse().ok()?, canonical(rest, secret)))
            }
            _ => None,
        }
    };
    text.lines().filter_map(zone).collect()
}

/// Whether a statement is that of a zone whose records come from a file.
pub(super) fn is_primary(text: &str) -> bool {
    tokens(text)
        .windows(2)
        .any(|pair| matches!(pair, [Token::Word("type"), Token::Word("primary" | "master")]))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// With or without quotes, of which there are none here.
    Word(&'a str),
    /// A brace, a semicolon or an exclamation mark.
    Mark(char),
}

/// The tokens of a text. A backslash keeps its meaning for whoever reads the word.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let is_mark = |c: char| matches!(c, '{' | '}' | ';' | '!');
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = quoted.find(|c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let (word, after) = quoted.split_at(end.unwrap_or(quoted.len()));
            tokens.push(Token::Word(word));
            rest = after.strip_prefix('"').unwrap_or(after);
        } else if is_mark(first) {
            tokens.push(Token::Mark(first));
            rest = &rest[first.len_utf8()..];
        } else {
            let end = rest.find(|c: char| is_mark(c) || c == '"' || c.is_whitespace()).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            tokens.push(Token::Word(word));
            rest = after;
        }
        rest = rest.trim_start();
    }
    tokens
}

/// What a statement says, in one wording. `key` says what a key is called.
fn canonical(tokens: &[Token<'_>], key: impl Fn(&str) -> String) -> String {
    let mut clauses = BTreeSet::new();
    let mut clause = String::new();
    let mut depth = 0;
    let mut is_key = false;
    for token in tokens {
        match token {
            Token::Mark('{') if depth == 0 => depth = 1,
            Token::Mark('}') if depth == 1 => depth = 0,
            Token::Mark(';') if depth <= 1 => drop(clauses.insert(std::mem::take(&mut clause))),
            Token::Mark(mark) => {
                depth += i32::from(*mark == '{') - i32::from(*mark == '}');
                clause.push(*mark);
            }
            Token::Word(word) => {
                let word = if is_key { key(word) } else { usual(word) };
                let _ = write!(clause, " {word}");
            }
        }
        is_key = *token == Token::Word("key");
    }
    clauses.insert(clause);
    clauses.into_iter().filter(|clause| !clause.is_empty()).collect::<Vec<_>>().join(";")
}

/// A word, an address or prefix as we print it.
fn usual(word: &str) -> String {
    let address = word.parse().map(|address: IpAddr| address.to_string());
    let network = || word.parse().map(|network: IpNet| network.to_string());
    address.or_else(|_| network()).unwrap_or_else(|_| word.to_owned())
}
