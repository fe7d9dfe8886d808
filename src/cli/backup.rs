//! `busybridge backup` and `restore`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::{Ending, Failure, load_keys, open, settings::Settings, store_failure};
use crate::{
    model::clock::Clock,
    store::{Store, lock},
    vault::Vault,
};

#[derive(Args)]
pub struct BackupArguments {
    /// The file to write; it must not be there yet
    file: PathBuf,
}

#[derive(Args)]
pub struct RestoreArguments {
    /// A copy made by `busybridge backup` or by the daily backup
    #[arg(required_unless_present = "without_backup", conflicts_with = "without_backup")]
    file: Option<PathBuf>,
    /// Restore although it is another organization's
    #[arg(long)]
    force: bool,
    /// Begin with an empty database for the keys that are there, when the database and every copy of it are lost
    #[arg(long, conflicts_with = "force")]
    without_backup: bool,
}

/// Writes a consistent copy of the database, also while the service runs.
///
/// # Errors
/// A sentence for the operator.
pub async fn backup(arguments: &BackupArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let done = app.store.back_up(&arguments.file).await.map_err(Failure::failed);
    app.store.close().await;
    done?;
    let text = format!(
        "The database is copied to {}. Without the key files beside {} it opens nothing: keep a copy of both, apart.\n",
        arguments.file.display(),
        settings.key_file.display()
    );
    out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    Ok(0)
}

/// Puts a copy in the place of the database. Everything is verified first; what was there stays beside it; the service starts paused.
///
/// # Errors
/// A sentence for the operator. Nothing was changed then.
pub async fn restore(arguments: &RestoreArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let clock = Clock::system();
    let vault = Arc::new(load_keys(settings)?);
    let database = &settings.database;
    if let Some(file) = arguments.file.as_ref().filter(|file| !file.is_file()) {
        return Err(Failure::usage(format!("there is no file {}", file.display())));
    }
    if let Some(parent) = database.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|error| Failure::usage(format!("{}: {error}", parent.display())))?;
    }
    let _held = lock::hold(database).map_err(store_failure)?;
    let passing = beside(database, "restoring");
    let made = match &arguments.file {
        Some(file) => prepare(file, &passing, arguments.force, database, &vault, &clock).await,
        None => begin_anew(&passing, database, &vault, &clock).await,
    };
    if let Err(failure) = made {
        remove(&passing);
        return Err(failure);
    }
    let stamp = clock.now().format("%Y%m%dT%H%M%SZ");
    let before = beside(database, &format!("before-restore-{stamp}"));
    replace(database, &passing, &before)
        .map_err(|error| Failure::failed(format!("the database could not be replaced: {error}")))?;
    if arguments.file.is_none() {
        let text = format!(
            "There is an empty database at {} for the keys that are there. Start the service and set it up as the first time; let \
             everybody sign in and connect the calendars that they had. What was made there before is recognized by its markers and kept; \
             what belongs to a calendar that is not connected yet waits for a word.\n",
            database.display()
        );
        out.write_all(text.as_bytes()).map_err(Failure::failed)?;
        return Ok(0);
    }
    let kept = if before.exists() {
        format!(" What was there before is kept as {}.", before.display())
    } else {
        String::new()
    };
    let text = format!(
        "The database is restored, and everything is paused.{kept}\nLook at what would happen with `busybridge resume` and \
         `busybridge plan --all`; until you resume, nothing is read or written at Google.\n"
    );
    out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    Ok(0)
}

/// Makes an empty database where there is none.
async fn begin_anew(passing: &Path, database: &Path, vault: &Arc<Vault>, clock: &Clock) -> Result<(), Failure> {
    let log = with(database, "-wal");
    if let Some(there) = [database, &log].into_iter().find(|path| path.exists()) {
        return Err(Failure {
            code: 6,
            sentence: format!("{} is there; move it away first if nothing of it can be rescued", there.display()),
        });
    }
    remove(passing);
    let store = Store::open(passing, vault.clone(), clock.clone()).await.map_err(store_failure)?;
    store.close().await;
    Ok(())
}

/// Copies the file, verifies the copy and pauses it.
async fn prepare(
    file: &Path,
    passing: &Path,
    force: bool,
    database: &Path,
    vault: &Arc<Vault>,
    clock: &Clock,
) -> Result<(), Failure> {
    remove(passing);
    copy_private(file, passing)
        .map_err(|error| Failure::failed(format!("{} cannot be copied: {error}", file.display())))?;
    let store = Store::open_existing(passing, vault.clone(), clock.clone()).await.map_err(store_failure)?;
    let checked = async {
        store.check().await.map_err(store_failure)?;
        let theirs = store.organization().await.map_err(store_failure)?.map(|organization| organization.domain);
        let ours = match Store::open_existing(database, vault.clone(), clock.clone()).await {
            Ok(current) => {
                let organization = current.organization().await.map_err(store_failure)?;
                current.close().await;
                organization.map(|organization| organization.domain)
            }
            // What cannot be opened is what is being replaced.
            Err(_) => None,
        };
        if let (Some(ours), Some(theirs)) = (&ours, &theirs)
            && ours != theirs
            && !force
        {
            return Err(Failure {
                code: 6,
                sentence: format!(
                    "{} belongs to the organization {theirs}, and this installation to {ours}; nothing was changed. Say --force if \
                     you mean it",
                    file.display()
                ),
            });
        }
        store.expect_absences().await.map_err(store_failure)?;
        store.pause_all(true).await.map_err(store_failure)
    };
    let checked = checked.await;
    store.close().await;
    checked
}

/// Copies a file so that its owner alone may read the copy.
fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut target = options.open(to)?;
    io::copy(&mut fs::File::open(from)?, &mut target)?;
    target.sync_all()
}

/// Keeps what is there under another name, and puts the restored database into its place in one step. What was not merged into the old
/// file when it was last closed is kept beside it, and must not be found beside the new one.
fn replace(database: &Path, passing: &Path, before: &Path) -> io::Result<()> {
    if database.exists() {
        fs::hard_link(database, before)?;
    }
    for side in ["-wal", "-shm"] {
        let from = with(database, side);
        if from.exists() {
            fs::copy(&from, with(before, side))?;
            fs::remove_file(&from)?;
        }
    }
    fs::rename(passing, database)?;
    let parent = database.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent)?.sync_all()
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn beside(database: &Path, word: &str) -> PathBuf {
    with(database, &format!(".{word}"))
}

fn remove(passing: &Path) {
    for side in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(with(passing, side));
    }
}
