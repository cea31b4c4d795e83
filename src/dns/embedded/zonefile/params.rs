//! The service parameters of SVCB and HTTPS (RFC 9460 section 2.1 and appendix A, RFC 9461, RFC 9540).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::fields::{Cursor, wrong};
use super::lexer::Token;
use super::{Fault, text};

/// The keys that have names: what they are, by number.
const KEYS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];

/// Reads `key=value` to the end of the record.
pub(super) fn data(cursor: &mut Cursor<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let mut params = BTreeMap::new();
    for token in cursor.rest() {
        let (name, value) = token.raw.split_once('=').unwrap_or((token.raw, ""));
        let key = key(name)
            .filter(|_| !token.quoted)
            .ok_or_else(|| wrong(token, "a service parameter, key=value"))?;
        let value = octets(key, value, token)?;
        if params.insert(key, value).is_some() {
            return Err(Fault::at(token.at, format!("the parameter {} stands twice", text::shown(name))));
        }
    }
    // RFC 9460 section 8: what is mandatory must be there, and is not itself.
    let mandatory = params.get(&0).map(|value| value.as_chunks::<2>().0.to_vec()).unwrap_or_default();
    if let Some(missing) = mandatory.into_iter().map(u16::from_be_bytes).find(|key| !params.contains_key(key))
    {
        let named = KEYS.get(usize::from(missing)).map_or(format!("key{missing}"), |name| (*name).to_owned());
        return Err(Fault::at(cursor.end_at(), format!("{named} is mandatory, but not there")));
    }
    for (key, value) in params {
        data.extend(key.to_be_bytes());
        // A token is at most as long as an entry, but a value must fit its length field.
        let length = u16::try_from(value.len())
            .map_err(|_| Fault::at(cursor.end_at(), "a service parameter is longer than 65535 octets"))?;
        data.extend(length.to_be_bytes());
        data.extend(value);
    }
    Ok(())
}

fn key(name: &str) -> Option<u16> {
    if let Some(at) = KEYS.iter().position(|key| *key == name) {
        return u16::try_from(at).ok();
    }
    let digits = name.strip_prefix("key")?;
    let plain = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

fn octets(key: u16, value: &str, token: &Token<'_>) -> Result<Vec<u8>, Fault> {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let value = text::string(inner).map_err(|why| {
        Fault::at(token.at, format!("{} is not a service parameter: {why}", text::shown(token.raw)))
    })?;
    let list = || std::str::from_utf8(&value).ok().filter(|list| !list.is_empty());
    let (expected, octets) = match key {
        0 => ("keys, as in mandatory=alpn,port", list().and_then(mandatory)),
        1 => ("protocols, as in alpn=h2,h3", protocols(&value)),
        2 | 8 => ("no value", value.is_empty().then(Vec::new)),
        3 => {
            let port = |text: &str| text.parse::<u16>().ok().map(|port| port.to_be_bytes().to_vec());
            ("a port, as in port=8443", list().and_then(port))
        }
        4 => {
            let address = |text: &str| text.parse::<Ipv4Addr>().ok().map(|address| address.octets());
            ("IPv4 addresses, as in ipv4hint=192.0.2.1", list().and_then(|list| joined(list, address)))
        }
        5 => ("octets in base64", std::str::from_utf8(&value).ok().and_then(text::base64)),
        6 => {
            let address = |text: &str| text.parse::<Ipv6Addr>().ok().map(|address| address.octets());
            ("IPv6 addresses, as in ipv6hint=2001:db8::1", list().and_then(|list| joined(list, address)))
        }
        _ => ("a value", Some(value.clone())),
    };
    octets.ok_or_else(|| wrong(token, expected))
}

fn joined<const N: usize>(list: &str, octets: impl Fn(&str) -> Option<[u8; N]>) -> Option<Vec<u8>> {
    let items: Option<Vec<[u8; N]>> = list.split(',').map(octets).collect();
    items.map(|items| items.concat())
}

fn mandatory(list: &str) -> Option<Vec<u8>> {
    let mut keys: Vec<u16> = list.split(',').map(key).collect::<Option<_>>()?;
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    let valid = keys.len() == count && !keys.contains(&0);
    valid.then(|| keys.iter().flat_map(|key| key.to_be_bytes()).collect())
}

/// RFC 9460 appendix A.1: items between commas; a backslash before a comma or a backslash makes it part of the item.
fn protocols(value: &[u8]) -> Option<Vec<u8>> {
    let mut items = vec![Vec::new()];
    let mut rest = value.iter();
    while let Some(&octet) = rest.next() {
        match octet {
            b',' => items.push(Vec::new()),
            octet => {
                let octet = if octet == b'\\' { *rest.next()? } else { octet };
                items.last_mut()?.push(octet);
            }
        }
    }
    let mut octets = Vec::new();
    for item in items {
        octets.push(u8::try_from(item.len()).ok().filter(|length| *length > 0)?);
        octets.extend(item);
    }
    Some(octets)
}
