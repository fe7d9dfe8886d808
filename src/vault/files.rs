//! Key files: 32 bytes as one line of base64, readable by their owner alone, never overwritten.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::VaultError;

/// The instance key lies beside the encryption key.
pub(super) fn instance_key_path(encryption_key_path: &Path) -> PathBuf {
    encryption_key_path.with_file_name("instance.key")
}

pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file's path with this at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a file, if it is there.
pub(super) fn remove(file: &Path) -> Result<(), VaultError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(VaultError::Write(file.to_owned(), error)),
        _ => Ok(()),
    }
}

/// Makes the names in a file's directory survive a power cut.
pub(super) fn sync(path: &Path) -> Result<(), VaultError> {
    let directory = directory_of(path);
    File::open(directory).and_then(|d| d.sync_all()).map_err(|e| VaultError::Write(directory.to_owned(), e))
}

pub(super) fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

pub(super) fn write_key(path: &Path, key: &[u8; 32]) -> Result<(), VaultError> {
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

pub(super) fn read_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, VaultError> {
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
