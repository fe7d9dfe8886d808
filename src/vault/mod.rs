//! The two key files, and everything that is sealed, derived or signed with them.
//!
//! | file | purpose | changes |
//! |---|---|---|
//! | `encryption.key` | wraps the data key, by which everything at rest is sealed: tokens, event details, the journal | may be rotated |
//! | `instance.key`, beside it | ids of our events, ownership markers, signatures of sessions | never: it is what proves that an event is ours |
//!
//! The data key lies in the database, wrapped ([`data_key`]): another encryption key wraps it anew, and nothing else changes
//! ([`rotation`]). Each file holds 32 bytes as one line of base64. Every purpose has a key of its own, derived by HKDF-SHA-256 without salt and with
//! the purpose in `info`, so that nothing learnt about one tells about another.
//!
//! Promises: a key file is never overwritten, and never read when others than its owner may read it. What is sealed opens in
//! its own place only (table, column, row), so that a ciphertext copied elsewhere is refused rather than believed.

pub mod data_key;
mod files;
pub mod first;
pub mod marker;
pub mod rotation;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use aes_gcm_siv::{Aes256GcmSiv, KeyInit};
use base64::{Engine, engine::general_purpose::STANDARD};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

pub use data_key::{DataKey, Place};
use files::{instance_key_path, read_key};

use crate::model::{item::ItemIds, secret::Secret};

/// Why a key cannot be made or used, or something sealed does not open.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("there is no key file at {0}. Create the keys first, or restore them from the backup of the secrets")]
    Missing(PathBuf),
    #[error("{0} is not a file. The key file must be a file of one line")]
    NotAFile(PathBuf),
    #[error("the key file {0} may be read by others (mode {1:o}). Allow it to its owner alone: chmod 600")]
    TooOpen(PathBuf, u32),
    #[error("the key file {0} is not base64. It must hold 32 bytes as one line of base64; restore it from the backup")]
    NotBase64(PathBuf),
    #[error("the key file {0} holds {1} bytes instead of 32. It was cut or replaced; restore it from the backup")]
    WrongSize(PathBuf, usize),
    #[error("the key file {0} cannot be read")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} exists already and is not overwritten, since what was sealed with it could never be opened again")]
    AlreadyThere(PathBuf),
    #[error("the key file {0} cannot be written")]
    Write(PathBuf, #[source] io::Error),
    #[error("the operating system gives no random bytes for a new key")]
    NoRandomness(#[source] getrandom::Error),
    #[error("something sealed does not open: it was damaged, moved from another place, or sealed with another key")]
    Refused,
    #[error("the id of the origin is too long to be named in a marker, which Google limits to 1024 characters")]
    TooLongForMarker,
}

/// Tells a later start whether the key files are still the same. Neither value tells anything of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCheck {
    pub encryption: String,
    pub instance: String,
}

/// The keys of one installation.
pub struct Vault {
    wrapping: Aes256GcmSiv,
    markers: Aes256GcmSiv,
    ids: Secret<[u8; 32]>,
    sessions: Secret<[u8; 32]>,
    installation: String,
    check: KeyCheck,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.installation)
    }
}

const NONCE_LENGTH: usize = 12;

impl Vault {
    /// Makes both key files, readable by their owner alone, and the directory above them if it is missing.
    ///
    /// # Errors
    /// As [`first::draft`] and [`first::keep`].
    pub fn create(encryption_key_path: &Path) -> Result<Vault, VaultError> {
        let vault = first::draft(encryption_key_path)?;
        first::keep(encryption_key_path)?;
        Ok(vault)
    }

    /// Reads both key files.
    ///
    /// # Errors
    /// One for each thing that can be wrong with a key file, saying what to do about it.
    pub fn load(encryption_key_path: &Path) -> Result<Vault, VaultError> {
        let encryption = read_key(encryption_key_path)?;
        let instance = read_key(&instance_key_path(encryption_key_path))?;
        Ok(Vault::from_keys(*encryption, *instance))
    }

    /// The vault of these two keys.
    pub fn from_keys(encryption: [u8; 32], instance: [u8; 32]) -> Vault {
        let (encryption, instance) = (Zeroizing::new(encryption), Zeroizing::new(instance));
        let cipher = |key: Zeroizing<[u8; 32]>| Aes256GcmSiv::new(&(*key).into());
        let hint: Zeroizing<[u8; 5]> = derive(&instance, "installation");
        let check = |key| hex(&derive::<16>(key, "key check")[..]);
        Vault {
            wrapping: cipher(derive(&encryption, "wrapping")),
            markers: cipher(derive(&instance, "markers")),
            ids: Secret::new(*derive(&instance, "item ids")),
            sessions: Secret::new(*derive(&instance, "sessions")),
            installation: data_encoding::BASE32HEX_NOPAD.encode(&hint[..]).to_ascii_lowercase(),
            check: KeyCheck { encryption: check(&encryption), instance: check(&instance) },
        }
    }

    /// The ids of one user's items; the subject is that of the home account, which never changes.
    pub fn item_ids(&self, user_subject: &str) -> ItemIds {
        ItemIds::new(self.ids.clone(), user_subject)
    }

    /// What markers call this installation in the open: eight characters, derived from the instance key.
    #[cfg(test)]
    pub fn installation(&self) -> &str {
        &self.installation
    }

    /// The key by which sessions of browsers are signed. Like the instance key it never changes.
    pub fn session_key(&self) -> &Secret<[u8; 32]> {
        &self.sessions
    }

    /// The text of the encryption key's file, for a person to keep.
    ///
    /// # Errors
    /// As [`Vault::load`].
    pub fn text_of(encryption_key_path: &Path) -> Result<Secret<String>, VaultError> {
        Ok(Secret::new(STANDARD.encode(*read_key(encryption_key_path)?)))
    }

    /// Whether neither key file is there.
    pub fn is_absent(encryption_key_path: &Path) -> bool {
        let paths = [encryption_key_path.to_owned(), instance_key_path(encryption_key_path)];
        paths.iter().all(|path| path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound))
    }

    /// What to store, to compare at a later start.
    pub fn key_check(&self) -> KeyCheck {
        self.check.clone()
    }
}

/// Texts, each after its length, so that no two lists of texts give the same bytes.
fn parts(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| (text.len() as u64).to_le_bytes().into_iter().chain(text.bytes())).collect()
}

fn derive<const N: usize>(key: &[u8; 32], purpose: &str) -> Zeroizing<[u8; N]> {
    let mut derived = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(None, key)
        .expand(format!("busybridge/v1/{purpose}").as_bytes(), &mut derived[..])
        .expect("HKDF gives up to 8160 bytes");
    derived
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Keys `[1; 32]` and `[2; 32]`. Expected values in these tests were computed with Python's `cryptography`.
    pub(super) fn vault() -> Vault {
        Vault::from_keys([1; 32], [2; 32])
    }

    #[test]
    fn derived_values_are_known_answers() {
        assert_eq!(vault().installation(), "ms8k7g8o");
        let KeyCheck { encryption, instance } = vault().key_check();
        assert_eq!(encryption, "0e13fff3238af14d77d3c2e8576d1000");
        assert_eq!(instance, "5ea48642a0a921ee9f11bd609c65d012");
    }

    #[test]
    fn the_key_check_tells_which_key_differs() {
        let (one, two) = (vault().key_check(), Vault::from_keys([9; 32], [2; 32]).key_check());
        assert_ne!(one.encryption, two.encryption);
        assert_eq!(one.instance, two.instance);
    }

    #[test]
    fn keys_made_are_keys_loaded() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("secrets/deep/encryption.key");
        let made = Vault::create(&path).unwrap();
        let loaded = Vault::load(&path).unwrap();
        assert_eq!(made.key_check(), loaded.key_check());
        assert_ne!(made.key_check(), Vault::create(&home.path().join("other/encryption.key")).unwrap().key_check());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&path), 0o600);
            assert_eq!(mode(&instance_key_path(&path)), 0o600);
            assert_eq!(mode(&home.path().join("secrets")), 0o700);
        }
    }

    #[test]
    fn no_key_is_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("encryption.key");
        Vault::create(&path).unwrap();
        let before = fs::read(instance_key_path(&path)).unwrap();
        assert!(matches!(Vault::create(&path), Err(VaultError::AlreadyThere(there)) if there == path));
        fs::remove_file(&path).unwrap();
        assert!(matches!(Vault::create(&path), Err(VaultError::AlreadyThere(there)) if there != path));
        assert!(!path.exists());
        assert_eq!(fs::read(instance_key_path(&path)).unwrap(), before);
    }

    #[test]
    fn each_broken_key_file_has_its_own_sentence() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("encryption.key");
        let check = |expect: fn(&VaultError) -> bool, sentence: &str| {
            let error = Vault::load(&path).unwrap_err();
            assert!(expect(&error), "{error:?}");
            assert!(error.to_string().contains(sentence), "{error}");
        };
        let put = |text: &[u8]| {
            fs::write(&path, text).unwrap();
            #[cfg(unix)]
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        };
        check(|e| matches!(e, VaultError::Missing(_)), "there is no key file");
        put(b"not base64!\n");
        check(|e| matches!(e, VaultError::NotBase64(_)), "is not base64");
        put(b"");
        check(|e| matches!(e, VaultError::WrongSize(_, 0)), "0 bytes instead of 32");
        put(STANDARD.encode([1; 31]).as_bytes());
        check(|e| matches!(e, VaultError::WrongSize(_, 31)), "31 bytes instead of 32");
        put(STANDARD.encode([1; 33]).as_bytes());
        check(|e| matches!(e, VaultError::WrongSize(_, 33)), "33 bytes instead of 32");
        put(STANDARD.encode([1; 32]).as_bytes());
        check(|e| matches!(e, VaultError::Missing(path) if path.ends_with("instance.key")), "there is no key file");
        #[cfg(unix)]
        {
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
            check(|e| matches!(e, VaultError::TooOpen(_, 0o640)), "mode 640");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        check(|e| matches!(e, VaultError::NotAFile(_)), "is not a file");
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(format!("{:?}", vault()), "Vault(ms8k7g8o)");
    }
}
