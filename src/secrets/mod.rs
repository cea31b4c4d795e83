//! Secrets: what stands encrypted in the repository, and who can read it.
//!
//! - A *value* (`keyring`) is a TSIG key, a password of BGP sessions, or the secret of DNS cookies.
//! - It is *given* (`given`) by people in the forms that other programs print, or made at random.
//! - Its *text* (`text`) is a small YAML document; only encrypted does it ever reach a disk.
//! - *Sealed* (`sealed`) it is `secrets/<name>.age`, a file of age, whose *header* (`header`) names its *readers*.
//! - A *recipient* is a public key, of a node or of an operator; an *identity* is its private half.

pub mod given;
pub mod header;
pub mod identity;
pub mod recipient;
pub mod sealed;
pub mod text;

pub use header::Header;
pub use identity::Identity;
pub use recipient::Recipient;
