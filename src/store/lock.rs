//! One service for one database. The operating system keeps the lock, so that it ends with the process, however that dies, and no
//! clock is asked.
//!
//! The lock is courtesy to quotas, not what correctness rests on: commands of the operator write beside the service, and two
//! writers meet in compare-and-swap, etags and event ids.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use super::StoreError;

/// Held until it is dropped.
#[derive(Debug)]
pub struct Held {
    _file: File,
}

/// Takes the lock of a database.
///
/// # Errors
/// [`StoreError::Served`] while another process has it.
pub fn hold(database: &Path) -> Result<Held, StoreError> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(|error| StoreError::File(path.clone(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(Held { _file: file }),
        Err(TryLockError::WouldBlock) => Err(StoreError::Served(database.to_owned())),
        Err(TryLockError::Error(error)) => Err(StoreError::File(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_it_and_it_ends_with_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a.db");
        let held = hold(&database).unwrap();
        assert!(matches!(hold(&database), Err(StoreError::Served(path)) if path == database));
        drop(held);
        hold(&database).unwrap();
    }
}
