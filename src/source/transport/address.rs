//! Address: where a repository is, parsed once, so that no part of it can be taken for an option or a command.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::super::SourceError;

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Address {
    /// A folder on this machine: a bare repository, or a checkout.
    Local(PathBuf),
    /// `https://`, or `http://` on the loopback interface; without the final slash.
    Http(String),
    /// `ssh://` or scp-style.
    Ssh(Ssh),
}

/// A repository behind a secure shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Ssh {
    /// Letters, digits and `._+-`, with no `-` at the start; `None` leaves it to the user's configuration.
    pub(super) user: Option<String>,
    /// A name or an address; no `-` at the start.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// As the other side's shell would have it, unquoted.
    pub(super) path: String,
}

impl FromStr for Address {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        parse(text).map_err(|why| SourceError::Address { address: redacted(text), why })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Http(url) => f.write_str(url),
            Self::Ssh(Ssh { user, host, port, path }) => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                if host.contains(':') {
                    write!(f, "[{host}]")?
                } else {
                    f.write_str(host)?
                }
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                write!(f, "{}{path}", if path.starts_with('/') { "" } else { "/" })
            }
        }
    }
}

fn parse(text: &str) -> Result<Address, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("it has a control character".to_owned());
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme {
            "file" => local_url(rest),
            "https" => http(scheme, rest),
            "http" => http(scheme, rest),
            "ssh" | "git+ssh" | "ssh+git" => ssh_url(rest),
            _ => Err(format!("{scheme}:// is not supported")),
        };
    }
    // As git has it: host:path, unless a slash comes before the first colon.
    match text.split_once(':') {
        Some((host, path)) if !host.contains('/') => scp(text, host, path),
        _ => Ok(Address::Local(PathBuf::from(text))),
    }
}

fn local_url(rest: &str) -> Result<Address, String> {
    let path = match rest.find('/') {
        Some(at) if at == 0 || &rest[..at] == "localhost" => &rest[at..],
        _ => return Err("write file:///path, with three slashes".to_owned()),
    };
    Ok(Address::Local(PathBuf::from(decoded(path)?)))
}

fn http(scheme: &str, rest: &str) -> Result<Address, String> {
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(
            "no credentials belong into it; fetch a repository that not everybody may read over ssh://"
                .to_owned(),
        );
    }
    if rest.contains(['?', '#', ' ', '"', '\\']) {
        return Err("it has a character that no address of a repository has".to_owned());
    }
    let (host, port) = host_and_port(authority)?;
    if scheme == "http" && !is_loopback(&host) {
        return Err("http:// is allowed to this machine only; write https://".to_owned());
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Ok(Address::Http(format!("{scheme}://{host}{port}{}", path.trim_end_matches('/'))))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn ssh_url(rest: &str) -> Result<Address, String> {
    let (authority, path) = rest.split_at(rest.find('/').ok_or("it has no path")?);
    let (user, host) = user_and_host(authority);
    let (host, port) = host_and_port(host)?;
    let path = decoded(path)?;
    // As git has it: /~user/path is below that user's home.
    let path = if path.starts_with("/~") { path[1..].to_owned() } else { path };
    ssh(user, host, port, path)
}

fn scp(text: &str, host: &str, path: &str) -> Result<Address, String> {
    let (user, host) = user_and_host(host);
    // [address]:path, or user@[address]:path
    if host.starts_with('[') {
        let (_, rest) = text.split_once('[').ok_or("it has no host")?;
        let (host, path) = rest.split_once("]:").ok_or("the bracket is not closed")?;
        return ssh(user, host.to_owned(), None, path.to_owned());
    }
    ssh(user, host.to_owned(), None, path.to_owned())
}

fn ssh(user: Option<&str>, host: String, port: Option<u16>, path: String) -> Result<Address, String> {
    // A host or path that starts with '-' could be taken for an option of ssh or of git-upload-pack.
    let plain = |text: &str, more: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    if let Some(user) = user
        && !plain(user, "._+-")
    {
        return Err(format!("{user:?} is not the name of a user"));
    }
    if !plain(&host, "._-:%") {
        return Err(format!("{host:?} is not the name of a host"));
    }
    if path.is_empty() || path == "/" || path.starts_with(['-', ':']) {
        return Err(format!("{path:?} is not the path of a repository"));
    }
    Ok(Address::Ssh(Ssh { user: user.map(str::to_owned), host, port, path }))
}

fn user_and_host(authority: &str) -> (Option<&str>, &str) {
    match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
            (host, rest.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    let port = port.map(|port| port.parse().map_err(|_| format!("{port:?} is not a port"))).transpose()?;
    Ok((host.to_owned(), port))
}

/// Undoes `%41` and the like.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || "a percent sign in it is not followed by two hexadecimal digits".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().ok_or_else(wrong)?, rest.next().ok_or_else(wrong)?];
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(wrong);
        bytes.push(u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).map_err(|_| wrong())?);
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.chars().any(char::is_control) {
        return Err("it has a control character".to_owned());
    }
    Ok(text)
}

/// Without what may be a password, for an error.
fn redacted(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &text[..scheme], &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match text.parse::<Address>() {
            Ok(Address::Local(path)) => format!("local {}", path.display()),
            Ok(Address::Http(url)) => url,
            Ok(Address::Ssh(Ssh { user, host, port, path })) => {
                format!("ssh {user:?} {host} {port:?} {path}")
            }
            Err(error) => format!("error {error}"),
        }
    }

    #[test]
    fn every_kind_is_read() {
        for (text, expected) in [
            ("/srv/net.git", "local /srv/net.git"),
            ("../net.git", "local ../net.git"),
            ("./a:b", "local ./a:b"),
            ("file:///srv/a%20b.git", "local /srv/a b.git"),
            ("https://git.example.org/net.git/", "https://git.example.org/net.git"),
            ("https://[2001:db8::1]:8443/net", "https://[2001:db8::1]:8443/net"),
            ("http://127.0.0.1:8080/net", "http://127.0.0.1:8080/net"),
            (
                "ssh://git@git.example.org:2222/net.git",
                r#"ssh Some("git") git.example.org Some(2222) /net.git"#,
            ),
            ("ssh://git.example.org/~nat/net", "ssh None git.example.org None ~nat/net"),
            ("git@git.example.org:net.git", r#"ssh Some("git") git.example.org None net.git"#),
            ("git@[2001:db8::1]:net.git", r#"ssh Some("git") 2001:db8::1 None net.git"#),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn nothing_passes_for_an_option_or_a_command() {
        for text in [
            "",
            "ssh://-oProxyCommand=id/x",
            "ssh://git@-oProxyCommand=id/x",
            "ssh://-l@host/x",
            "-oProxyCommand=id:x",
            "host:-upload-pack",
            "host:",
            "ssh://host/",
            "ssh://ho$(id)st/x",
            "a b:x",
            "ext::sh -c id",
            "git://git.example.org/net",
            "http://git.example.org/net",
            "http://127.0.0.1.example.org/net",
            "https://nat:secret@git.example.org/net",
            "https://git.example.org:port/net",
            "https:///net",
            "file://server/share",
            "file:///a%00b",
            "file:///a%zz",
            "/srv/a\nb",
        ] {
            assert!(read(text).starts_with("error"), "{text}: {}", read(text));
        }
        assert!(!read("https://nat:secret@git.example.org/net").contains("secret"));
    }
}
