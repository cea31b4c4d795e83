//! Secrets: what stands encrypted in the repository, and who can read it.
//!
//! - A *value* (`keyring`) is a TSIG key, a password of BGP sessions, or the secret of DNS cookies.
//! - Its *text* (`text`) is a small YAML document; only encrypted does it ever reach a disk.

pub mod text;
