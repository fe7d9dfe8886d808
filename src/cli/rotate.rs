//! `busybridge rotate-key`.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{Ending, Failure, open_database, settings::Settings, store_failure};
use crate::{
    controller::rotation::{self, RotationError},
    model::clock::Clock,
    store::lock,
    vault::rotation::{Rotation, previous},
};

#[derive(Args)]
pub struct Arguments {
    /// Take the key of this file (32 bytes as one line of base64, readable by you alone) instead of making one
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Puts another encryption key in the place of the present one. A death at any moment leaves an installation that starts.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(arguments: &Arguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let key_file = &settings.key_file;
    let _held = match settings.database.exists() {
        true => Some(lock::hold(&settings.database).map_err(store_failure)?),
        // Opening it says what is missing.
        false => None,
    };
    let opened = open_database(settings, Clock::system()).await?;
    if opened.by_next {
        opened.settle(settings);
    }
    let rotation = Rotation::begin(key_file, arguments.to.as_deref())
        .map_err(|error| Failure { code: 3, sentence: error.to_string() })?;
    if rotation.vault().key_check() == opened.vault.key_check() {
        opened.store.close().await;
        let sentence = "that is the key which is in use already; nothing was changed".into();
        return Err(Failure { code: 6, sentence });
    }
    for step in rotation::STEPS {
        if let Err(error) = rotation::take(step, &rotation, &opened.store).await {
            opened.store.close().await;
            return Err(match error {
                RotationError::Store(error) => store_failure(error),
                RotationError::Vault(error) => Failure::failed(error),
            });
        }
    }
    opened.store.close().await;
    let text = format!(
        "The encryption key is another one now: keep a copy of {} and start the service. Nobody has to sign in again.\n\
         The old key stays as {} until then. Backups that were made before open with the old key alone: keep it with them.\n",
        key_file.display(),
        previous(key_file).display()
    );
    out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    Ok(0)
}
