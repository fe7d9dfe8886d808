//! The two key files, and everything that is sealed, derived or signed with them.
//!
//! | file | purpose | changes |
//! |---|---|---|
//! | `encryption.key` | sealing at rest: tokens, event details, the journal | may be rotated |
//! | `instance.key`, beside it | ids of our events and ownership markers | never: it is what proves that an event is ours |
//!
//! Each holds 32 bytes as one line of base64. Every purpose has a key of its own, derived by HKDF-SHA-256 without salt and with
//! the purpose in `info`, so that nothing learnt about one tells about another.
//!
//! Promises: a key file is never overwritten, and never read when others than its owner may read it. What is sealed opens in
//! its own place only (table, column, row), so that a ciphertext copied elsewhere is refused rather than believed.

pub mod marker;

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

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

/// Where something sealed lies. It opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub table: &'static str,
    pub column: &'static str,
    /// What names the row, and does not change while the row lives.
    pub row: &'a str,
}

/// Tells a later start whether the key files are still the same. Neither value tells anything of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCheck {
    pub encryption: String,
    pub instance: String,
}

/// The keys of one installation.
pub struct Vault {
    sealing: Aes256GcmSiv,
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

/// The first byte of what is sealed at rest.
const SEALED_VERSION: u8 = 1;
const NONCE_LENGTH: usize = 12;

impl Vault {
    /// Makes both key files, readable by their owner alone, and the directory above them if it is missing.
    ///
    /// # Errors
    /// If one of them exists, or cannot be written. A failure leaves neither behind.
    pub fn create(encryption_key_path: &Path) -> Result<Vault, VaultError> {
        let paths = [encryption_key_path.to_owned(), instance_key_path(encryption_key_path)];
        if let Some(there) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
            return Err(VaultError::AlreadyThere(there.clone()));
        }
        let mut keys = [Zeroizing::new([0; 32]), Zeroizing::new([0; 32])];
        for key in &mut keys {
            getrandom::fill(&mut key[..]).map_err(VaultError::NoRandomness)?;
        }
        let directory = directory_of(encryption_key_path);
        make_private_directory(directory).map_err(|e| VaultError::Write(directory.to_owned(), e))?;
        write_key(&paths[0], &keys[0])?;
        if let Err(error) = write_key(&paths[1], &keys[1]) {
            // Nothing was sealed with the first yet, and alone it would block the next try.
            let _ = fs::remove_file(&paths[0]);
            return Err(error);
        }
        // The names themselves must survive a power cut, too.
        File::open(directory).and_then(|d| d.sync_all()).map_err(|e| VaultError::Write(directory.to_owned(), e))?;
        let [encryption, instance] = keys;
        Ok(Vault::from_keys(*encryption, *instance))
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
            sealing: cipher(derive(&encryption, "sealing")),
            markers: cipher(derive(&instance, "markers")),
            ids: Secret::new(*derive(&instance, "item ids")),
            sessions: Secret::new(*derive(&encryption, "sessions")),
            installation: data_encoding::BASE32HEX_NOPAD.encode(&hint[..]).to_ascii_lowercase(),
            check: KeyCheck { encryption: check(&encryption), instance: check(&instance) },
        }
    }

    /// Seals bytes for one place. The nonce is random: the same bytes sealed twice look different.
    pub fn seal(&self, place: &Place, plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LENGTH];
        getrandom::fill(&mut nonce).expect("a running system gives random bytes");
        self.seal_with(nonce, place, plain)
    }

    fn seal_with(&self, nonce: [u8; NONCE_LENGTH], place: &Place, plain: &[u8]) -> Vec<u8> {
        let sealed = self
            .sealing
            .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: &place.associated() })
            .expect("nothing at rest is longer than 64 GiB");
        let mut bytes = Vec::with_capacity(1 + NONCE_LENGTH + sealed.len());
        bytes.push(SEALED_VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        bytes
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`VaultError::Refused`] if it was damaged, sealed elsewhere, or with another key; which of them cannot be told.
    pub fn open(&self, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let rest = sealed.strip_prefix(&[SEALED_VERSION]).ok_or(VaultError::Refused)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(VaultError::Refused)?;
        self.sealing
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: &place.associated() })
            .map_err(|_| VaultError::Refused)
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

    /// The key by which sessions of browsers are signed. It changes when the encryption key does.
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

impl Place<'_> {
    fn associated(&self) -> Vec<u8> {
        let Place { table, column, row } = self;
        parts(&["sealed/v1", table, column, row])
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

/// The instance key lies beside the encryption key.
fn instance_key_path(encryption_key_path: &Path) -> PathBuf {
    encryption_key_path.with_file_name("instance.key")
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn write_key(path: &Path, key: &[u8; 32]) -> Result<(), VaultError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => VaultError::AlreadyThere(path.to_owned()),
        _ => VaultError::Write(path.to_owned(), e),
    })?;
    let line = Zeroizing::new(format!("{}\n", *Zeroizing::new(STANDARD.encode(key))));
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| {
        // We made it a moment ago, and a key cut short is worse than none.
        let _ = fs::remove_file(path);
        VaultError::Write(path.to_owned(), e)
    })
}

fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let read = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => VaultError::Missing(path.to_owned()),
        _ => VaultError::Read(path.to_owned(), e),
    };
    let file = File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() {
        return Err(VaultError::NotAFile(path.to_owned()));
    }
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            return Err(VaultError::TooOpen(path.to_owned(), mode));
        }
    }
    let mut text = Zeroizing::new(Vec::new());
    // More than any key needs: a wrong path may lead to a large file.
    file.take(4096).read_to_end(&mut text).map_err(read)?;
    let bytes = STANDARD.decode(text.trim_ascii()).map_err(|_| VaultError::NotBase64(path.to_owned()))?;
    let bytes = Zeroizing::new(bytes);
    match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(key) => Ok(Zeroizing::new(key)),
        Err(_) => Err(VaultError::WrongSize(path.to_owned(), bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { table: "mirror_events", column: "event_sealed", row: "3/abc" };

    /// Keys `[1; 32]` and `[2; 32]`. Expected values in these tests were computed with Python's `cryptography`.
    pub(super) fn vault() -> Vault {
        Vault::from_keys([1; 32], [2; 32])
    }

    fn bytes(hex: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    #[test]
    fn the_cipher_is_that_of_rfc_8452() {
        // Appendix C.2, AEAD_AES_256_GCM_SIV: eight bytes without and with associated data.
        let mut key = [0; 32];
        key[0] = 1;
        let mut nonce = [0; 12];
        nonce[0] = 3;
        let cipher = Aes256GcmSiv::new(&key.into());
        let check = |msg: &str, aad: &str, expect: &str| {
            let payload = Payload { msg: &bytes(msg), aad: &bytes(aad) };
            assert_eq!(hex(&cipher.encrypt(&Nonce::from(nonce), payload).unwrap()), expect);
        };
        check("0100000000000000", "", "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28");
        check("0200000000000000", "01", "1de22967237a813291213f267e3b452f02d01ae33e4ec854");
    }

    #[test]
    fn sealing_is_a_known_answer() {
        let sealed = vault().seal_with(std::array::from_fn(|i| i as u8), &PLACE, b"Kick-off");
        let expect = "01000102030405060708090a0b5da29f63111e8a8b192066385650185fdeb7a71c1a4fa9a9";
        assert_eq!(hex(&sealed), expect);
        assert_eq!(vault().open(&PLACE, &sealed).unwrap(), b"Kick-off");
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
    fn the_same_bytes_sealed_twice_look_different() {
        assert_ne!(vault().seal(&PLACE, b"x"), vault().seal(&PLACE, b"x"));
    }

    #[test]
    fn what_was_sealed_opens_in_its_own_place_only() {
        let sealed = vault().seal(&PLACE, b"Kick-off");
        assert!(vault().open(&Place { row: "3/abd", ..PLACE }, &sealed).is_err());
        assert!(vault().open(&Place { column: "title", ..PLACE }, &sealed).is_err());
        assert!(vault().open(&Place { table: "plans", ..PLACE }, &sealed).is_err());
        // The borders between the three parts count, too.
        assert!(vault().open(&Place { column: "event_sealed3", row: "/abc", ..PLACE }, &sealed).is_err());
        assert!(Vault::from_keys([3; 32], [2; 32]).open(&PLACE, &sealed).is_err());
        assert_eq!(Vault::from_keys([1; 32], [3; 32]).open(&PLACE, &sealed).unwrap(), b"Kick-off");
    }

    #[test]
    fn a_damaged_ciphertext_is_refused_wherever_the_damage_is() {
        let sealed = vault().seal(&PLACE, b"Kick-off");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(vault().open(&PLACE, &damaged).is_err(), "byte {at}");
            assert!(vault().open(&PLACE, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn keys_made_are_keys_loaded() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("secrets/deep/encryption.key");
        let made = Vault::create(&path).unwrap();
        let loaded = Vault::load(&path).unwrap();
        assert_eq!(made.key_check(), loaded.key_check());
        assert_eq!(loaded.open(&PLACE, &made.seal(&PLACE, b"x")).unwrap(), b"x");
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
