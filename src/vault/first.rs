//! The first two keys of an installation, made so that a death at any step costs nothing.
//!
//! ```text
//!   encryption.key.first, instance.key.first    1 written         3 renamed to encryption.key and instance.key
//!   database                                             2 made; belongs to them
//! ```
//!
//! As long as there is no database nothing is sealed with the drafts, and the next start makes others. As soon as there is one, it
//! belongs to them, and the next start goes on with them. Keys under their own names are therefore never without a database, unless
//! that was lost later, which a start can tell from this and refuses.

use std::{
    fs,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    Vault, VaultError,
    files::{beside, directory_of, instance_key_path, make_private_directory, read_key, remove, sync, write_key},
};

/// The encryption key and the instance key.
fn finals(encryption_key_path: &Path) -> [PathBuf; 2] {
    [encryption_key_path.to_owned(), instance_key_path(encryption_key_path)]
}

/// Where a key lies until the first start is done.
pub fn draft_of(path: &Path) -> PathBuf {
    beside(path, ".first")
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether a first start has begun and not come to its end: a draft is there, and its place is still free.
pub fn is_begun(encryption_key_path: &Path) -> bool {
    finals(encryption_key_path).iter().any(|path| !is_there(path) && is_there(&draft_of(path)))
}

/// The first step: both keys as drafts, readable by their owner alone, and the directory above them if it is missing. Drafts of
/// an earlier try are thrown away.
///
/// # Errors
/// If one of the keys exists, or a draft cannot be written. A failure leaves neither behind.
pub fn draft(encryption_key_path: &Path) -> Result<Vault, VaultError> {
    let paths = finals(encryption_key_path);
    if let Some(there) = paths.iter().find(|path| is_there(path)) {
        return Err(VaultError::AlreadyThere(there.clone()));
    }
    let mut keys = [Zeroizing::new([0; 32]), Zeroizing::new([0; 32])];
    for key in &mut keys {
        getrandom::fill(&mut key[..]).map_err(VaultError::NoRandomness)?;
    }
    let directory = directory_of(encryption_key_path);
    make_private_directory(directory).map_err(|e| VaultError::Write(directory.to_owned(), e))?;
    let drafts = paths.map(|path| draft_of(&path));
    for draft in &drafts {
        remove(draft)?;
    }
    let written = write_key(&drafts[0], &keys[0]).and_then(|()| write_key(&drafts[1], &keys[1]));
    // The names themselves must survive a power cut, too.
    if let Err(error) = written.and_then(|()| sync(encryption_key_path)) {
        // Nothing is sealed with it.
        let _ = remove(&drafts[0]);
        let _ = remove(&drafts[1]);
        return Err(error);
    }
    let [encryption, instance] = keys;
    Ok(Vault::from_keys(*encryption, *instance))
}

/// The keys of a first start that died when there was a database already: each in its place, or still a draft.
///
/// # Errors
/// As [`Vault::load`].
pub fn resume(encryption_key_path: &Path) -> Result<Vault, VaultError> {
    let [encryption, instance] = finals(encryption_key_path).map(|path| match is_there(&path) {
        true => read_key(&path),
        false => read_key(&draft_of(&path)),
    });
    Ok(Vault::from_keys(*encryption?, *instance?))
}

/// The last step, once the database belongs to them: the drafts take their places.
///
/// # Errors
/// If the files cannot be renamed.
pub fn keep(encryption_key_path: &Path) -> Result<(), VaultError> {
    for path in finals(encryption_key_path) {
        if is_there(&path) {
            continue;
        }
        fs::rename(draft_of(&path), &path).map_err(|e| VaultError::Write(path.clone(), e))?;
    }
    sync(encryption_key_path)
}

/// Throws away the drafts of a first start that failed before there was a database.
pub fn abandon(encryption_key_path: &Path) {
    for path in finals(encryption_key_path) {
        let _ = remove(&draft_of(&path));
    }
}
