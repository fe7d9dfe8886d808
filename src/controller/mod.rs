//! The loop: the one place where effects are put in order. A tick observes, plans, applies and settles, once for one user.
//!
//! ```text
//!   observe   Google ──► mirror and cursor, in one transaction
//!   snapshot  mirror, mappings, calendars ──► one value
//!   plan      pure; checked by a second opinion
//!   journal   what is about to be done (a dry run stops before it)
//!   apply     one Google call a step; mapping and mirror after each
//!   settle    when to look again
//! ```

pub mod accounts;
pub mod apply;
pub mod intent;
pub mod observe;
pub mod purge;
pub mod settle;
mod standing;
pub mod tick;
pub mod undo;

use std::sync::Arc;

use crate::{
    google::{client::Client, oauth::OAuth},
    model::{clock::Clock, snapshot::Policy},
    store::Store,
    vault::Vault,
};

/// Told how far a long piece of work is: steps done, steps in all.
pub type Progress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// The handles that a tick works with. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub store: Store,
    pub google: Client,
    pub oauth: OAuth,
    pub vault: Arc<Vault>,
    pub clock: Clock,
    pub policy: Policy,
    pub progress: Progress,
}
