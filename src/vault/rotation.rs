//! Another encryption key in the place of the present one: the part that is done to files.
//!
//! ```text
//!   encryption.key.next    the new key                     1 written          4 renamed to encryption.key
//!   encryption.key.prev    the old key, once more          2 written
//!   database               wraps the data key                        3 anew, with the new key
//! ```
//!
//! Before 3 the database belongs to `encryption.key`, after it to the new key, which until 4 is `encryption.key.next`. Whoever opens a
//! database takes the one that it belongs to, so that a death between any two steps costs nothing: the next start throws the new key
//! away, or finishes with it ([`settle`]).

use std::{
    fs,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    Vault, VaultError,
    files::{beside, instance_key_path, read_key, remove, sync, write_key},
};

/// A new encryption key on its way.
pub struct Rotation {
    path: PathBuf,
    new: Zeroizing<[u8; 32]>,
    vault: Vault,
}

impl Rotation {
    /// Takes a new key: that of a file, or one of its own making. Nothing is written yet.
    ///
    /// # Errors
    /// If there is no such key file, or it is broken.
    pub fn begin(encryption_key_path: &Path, from: Option<&Path>) -> Result<Rotation, VaultError> {
        let mut new = Zeroizing::new([0; 32]);
        match from {
            Some(file) => new = read_key(file)?,
            None => getrandom::fill(&mut new[..]).map_err(VaultError::NoRandomness)?,
        }
        let instance = read_key(&instance_key_path(encryption_key_path))?;
        let vault = Vault::from_keys(*new, *instance);
        Ok(Rotation { path: encryption_key_path.to_owned(), new, vault })
    }

    /// The keys as they will be.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The first step: the new key, beside the present one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_next(&self) -> Result<(), VaultError> {
        let next = next(&self.path);
        remove(&next)?;
        write_key(&next, &self.new)?;
        sync(&self.path)
    }

    /// The second step: the present key once more, for whoever has to open a backup that was made with it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep_previous(&self) -> Result<(), VaultError> {
        let previous = previous(&self.path);
        let key = read_key(&self.path)?;
        remove(&previous)?;
        write_key(&previous, &key)?;
        sync(&self.path)
    }

    /// The last step: the new key in the place of the old one.
    ///
    /// # Errors
    /// If the files cannot be renamed.
    pub fn replace(&self) -> Result<(), VaultError> {
        finish(&self.path)
    }
}

/// The keys with the new encryption key of a rotation that has not come to its end; none: there is no such key, or no whole one.
pub fn load_next(encryption_key_path: &Path) -> Option<Vault> {
    let new = read_key(&next(encryption_key_path)).ok()?;
    let instance = read_key(&instance_key_path(encryption_key_path)).ok()?;
    Some(Vault::from_keys(*new, *instance))
}

/// Where the old key of a rotation is kept.
pub fn previous(encryption_key_path: &Path) -> PathBuf {
    beside(encryption_key_path, ".prev")
}

/// What is left of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing.
    Clean,
    /// It died when the database belonged to the new key already, which is now in its place. The old one is kept until the next start.
    Finished,
    /// What it left is removed: a new key that nothing belongs to, or the old key of a rotation that went well.
    Cleared,
}

/// Settles a rotation at the start of the service, once the database is open: `by_next` says whether the new key opened it.
///
/// # Errors
/// If the files cannot be renamed or removed. They do no harm.
pub fn settle(encryption_key_path: &Path, by_next: bool) -> Result<Settled, VaultError> {
    if by_next {
        finish(encryption_key_path)?;
        return Ok(Settled::Finished);
    }
    let left = [next(encryption_key_path), previous(encryption_key_path)];
    if left.iter().all(|file| file.symlink_metadata().is_err()) {
        return Ok(Settled::Clean);
    }
    for file in &left {
        remove(file)?;
    }
    sync(encryption_key_path)?;
    Ok(Settled::Cleared)
}

fn finish(path: &Path) -> Result<(), VaultError> {
    fs::rename(next(path), path).map_err(|e| VaultError::Write(path.to_owned(), e))?;
    sync(path)
}

fn next(path: &Path) -> PathBuf {
    beside(path, ".next")
}
