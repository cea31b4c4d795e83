//! Sealed: a secret as it stands in the repository, encrypted to its readers. A file of age in its binary form, which
//! any age program decrypts.

use std::collections::{BTreeSet, HashSet};
use std::io::{Read, Write};

use age::{DecryptError, EncryptError};
use age_core::format::{FileKey, Stanza};
use zeroize::Zeroizing;

use super::header::{Header, HeaderError, KIND, READER};
use super::identity::Identity;
use super::recipient::Recipient;
use super::text::{self, TextError};
use crate::keyring::{SecretKind, SecretValue};
use crate::names::SecretName;

/// More than the text of any secret, in octets.
const MOST: usize = 8 * 1024;

/// Encrypts a secret to all of these.
///
/// # Errors
/// When there are none.
pub fn seal(value: &SecretValue, readers: &BTreeSet<Recipient>) -> Result<Vec<u8>, String> {
    if readers.is_empty() {
        return Err("there is nobody to encrypt it to".to_owned());
    }
    let kind = Says(KIND, vec![value.kind().word().to_owned()]);
    let readers: Vec<Named<'_>> = readers.iter().map(Named).collect();
    let all = std::iter::once(&kind as &dyn age::Recipient)
        .chain(readers.iter().map(|reader| reader as &dyn age::Recipient));
    let mut file = Vec::new();
    let encryptor = age::Encryptor::with_recipients(all).map_err(|error| error.to_string())?;
    let written = encryptor.wrap_output(&mut file).and_then(|mut writer| {
        writer.write_all(text::write(value).expose())?;
        writer.finish()
    });
    written.map_err(|error| error.to_string())?;
    Ok(file)
}

/// A stanza that only says something.
struct Says(&'static str, Vec<String>);

impl age::Recipient for Says {
    fn wrap_file_key(&self, _: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let stanza = Stanza { tag: self.0.to_owned(), args: self.1.clone(), body: Vec::new() };
        Ok((vec![stanza], HashSet::new()))
    }
}

/// A reader with its name before it.
struct Named<'a>(&'a Recipient);

impl age::Recipient for Named<'_> {
    fn wrap_file_key(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let name = Says(READER, self.0.to_string().split(' ').map(str::to_owned).collect());
        let (mut stanzas, labels) = name.wrap_file_key(key)?;
        stanzas.extend(self.0.encryptor().wrap_file_key(key)?.0);
        Ok((stanzas, labels))
    }
}

/// Why a secret could not be decrypted. It never holds any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The file is none of ours.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// None of the keys that were tried is among its readers.
    #[error("it is not encrypted to {0}")]
    NotForUs(String),
    /// It names a key among its readers that does not decrypt it.
    #[error("it names {0} among its readers and is not encrypted to it")]
    Lies(Recipient),
    /// It was cut off or changed.
    #[error("the file is damaged")]
    Damaged,
    /// It decrypts to something else.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It is for something else than it says.
    #[error("it says that it is {said}, and is {is}")]
    Kind {
        /// By its header.
        said: SecretKind,
        /// By its text.
        is: SecretKind,
    },
}

/// Decrypts the secret of this name with one of these keys.
///
/// # Errors
/// When none of them decrypts it, or it is no secret.
pub fn open(name: &SecretName, file: &[u8], identities: &[Identity]) -> Result<SecretValue, OpenError> {
    let header = Header::parse(file)?;
    let damaged = |_| OpenError::Damaged;
    let decryptor = age::Decryptor::new_buffered(file).map_err(|_| OpenError::Damaged)?;
    let keys = identities.iter().map(Identity::decryptor);
    let reader = decryptor.decrypt(keys).map_err(|error| {
        if !matches!(error, DecryptError::NoMatchingKeys) {
            return OpenError::Damaged;
        }
        let own: Vec<&Recipient> = identities.iter().map(Identity::recipient).collect();
        match header.readers.into_iter().find(|(reader, _)| own.contains(&reader)) {
            Some((reader, _)) => OpenError::Lies(reader),
            None => OpenError::NotForUs(own.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")),
        }
    })?;
    let mut plain = Zeroizing::new(Vec::with_capacity(MOST + 1));
    // To its end, where it is seen whether any was cut off.
    reader.take(MOST as u64 + 1).read_to_end(&mut plain).map_err(damaged)?;
    if plain.len() > MOST {
        return Err(OpenError::Damaged);
    }
    let value = text::parse(name, &plain)?;
    match value.kind() == header.kind {
        true => Ok(value),
        false => Err(OpenError::Kind { said: header.kind, is: value.kind() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keyring::Secret;

    fn password() -> SecretValue {
        SecretValue::Password(Secret::new(b"hunter2".to_vec()))
    }

    fn name() -> SecretName {
        "transit".parse().unwrap()
    }

    fn ssh() -> Identity {
        let key = crate::source::sign::new_key("test").unwrap();
        Identity::parse(key.to_openssh(ssh_key::LineEnding::LF).unwrap().as_bytes(), |_| None)
            .unwrap()
            .remove(0)
    }

    fn readers(identities: &[&Identity]) -> BTreeSet<Recipient> {
        identities.iter().map(|identity| identity.recipient().clone()).collect()
    }

    #[test]
    fn each_reader_can_read_it_and_nobody_else() {
        let (one, two, other) = (Identity::generate().unwrap(), ssh(), Identity::generate().unwrap());
        let file = seal(&password(), &readers(&[&one, &two])).unwrap();
        let header = Header::parse(&file).unwrap();
        assert_eq!(header.kind, SecretKind::Password);
        assert_eq!(
            header.readers.into_iter().map(|(reader, _)| reader).collect::<BTreeSet<_>>(),
            readers(&[&one, &two])
        );
        assert!(matches!(open(&name(), &file, std::slice::from_ref(&other)), Err(OpenError::NotForUs(_))));
        assert!(open(&name(), &file, &[]).is_err());
        for identity in [one, two] {
            assert_eq!(open(&name(), &file, &[identity]), Ok(password()));
        }
        assert!(seal(&password(), &BTreeSet::new()).is_err());
    }

    /// The lines of a file's header, and the rest.
    fn edited(file: &[u8], edit: impl Fn(&str) -> String) -> Vec<u8> {
        let end = file.windows(4).position(|octets| octets == b"--- ").unwrap();
        let mut edited = edit(std::str::from_utf8(&file[..end]).unwrap()).into_bytes();
        edited.extend(&file[end..]);
        edited
    }

    #[test]
    fn a_header_that_lies_is_noticed() {
        let (one, two) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let file = seal(&password(), &readers(&[&one])).unwrap();
        let (is, said) = (one.recipient().to_string(), two.recipient().to_string());
        // By who is named and cannot read it, and by who can, through the MAC.
        let lying = edited(&file, |header| header.replace(&is, &said));
        assert_eq!(open(&name(), &lying, &[two]), Err(OpenError::Lies(said.parse().unwrap())));
        assert_eq!(open(&name(), &lying, std::slice::from_ref(&one)), Err(OpenError::Damaged));
        let lying = edited(&file, |header| header.replace("kind password", "kind tsig"));
        assert_eq!(Header::parse(&lying).unwrap().kind, SecretKind::Tsig);
        assert_eq!(open(&name(), &lying, &[one]), Err(OpenError::Damaged));
        // By everybody: a reader who is not named, and an SSH key that is not the one named.
        let (mine, other) = (ssh(), ssh());
        let file = seal(&password(), &readers(&[&mine])).unwrap();
        let why = |file: &[u8]| Header::parse(file).unwrap_err().why;
        let unnamed =
            edited(&file, |header| header.replace(&format!("-> {READER} {}\n\n", mine.recipient()), ""));
        assert!(why(&unnamed).contains("not named"), "{}", why(&unnamed));
        let lying = edited(&file, |header| {
            header.replace(&mine.recipient().to_string(), &other.recipient().to_string())
        });
        assert!(why(&lying).contains("not encrypted to"), "{}", why(&lying));
    }

    #[test]
    fn what_age_alone_wrote_is_told_apart() {
        let one = Identity::generate().unwrap();
        let encryptor = one.recipient().encryptor();
        let mut file = Vec::new();
        let all = std::iter::once(&*encryptor as &dyn age::Recipient);
        let mut writer = age::Encryptor::with_recipients(all).unwrap().wrap_output(&mut file).unwrap();
        writer.write_all(b"password: hunter2\n").unwrap();
        writer.finish().unwrap();
        let error = Header::parse(&file).unwrap_err();
        assert!(error.why.contains("not named") && error.line == 2, "{error:?}");
        assert!(Header::parse(b"-----BEGIN AGE ENCRYPTED FILE-----\n").is_err());
    }

    #[test]
    fn a_file_that_was_cut_off_is_damaged() {
        let one = [Identity::generate().unwrap()];
        let file = seal(&password(), &readers(&one.each_ref())).unwrap();
        for end in 0..file.len() {
            assert!(open(&name(), &file[..end], &one).is_err(), "{end}");
        }
    }

    proptest! {
        /// Whatever a file holds, reading it ends, without a panic; and a changed octet is never passed over.
        #[test]
        fn no_change_goes_unnoticed(at in 0..1000usize, octet in any::<u8>(), keep in any::<bool>()) {
            let one = [Identity::generate().unwrap()];
            let mut file = seal(&password(), &readers(&one.each_ref())).unwrap();
            let at = at % file.len();
            let changed = file[at] != octet;
            file[at] = octet;
            if !keep {
                file.truncate(at + 1);
            }
            let opened = open(&name(), &file, &one);
            prop_assert!(opened.is_err() || opened == Ok(password()) && !changed);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut file = b"age-encryption.org/v1\n-> shoestring/kind tsig\n\n-> ".to_vec();
            file.extend(bytes);
            let _ = Header::parse(&file);
            let _ = open(&name(), &file, &[]);
        }
    }
}
