//! Another encryption key in the place of the present one: the steps in their order. What each does to files is told in
//! [`crate::vault::rotation`]. The data key, event ids, markers and sessions stay what they are.

use crate::{
    store::{Store, StoreError},
    vault::{VaultError, rotation::Rotation},
};

/// Why it was not done, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A step. After each of them, and before, the installation can be started with exactly one of the two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    WriteNext,
    KeepPrevious,
    Commit,
    Replace,
}

/// All of them, in their order.
pub const STEPS: [Step; 4] = [Step::WriteNext, Step::KeepPrevious, Step::Commit, Step::Replace];

/// Does one step.
///
/// # Errors
/// If a file cannot be written, or the database refuses.
pub async fn take(step: Step, rotation: &Rotation, store: &Store) -> Result<(), RotationError> {
    match step {
        Step::WriteNext => rotation.write_next()?,
        Step::KeepPrevious => rotation.keep_previous()?,
        Step::Commit => store.belong_to(rotation.vault()).await?,
        Step::Replace => rotation.replace()?,
    }
    Ok(())
}
