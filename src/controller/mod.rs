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
pub mod admin;
pub mod alerts;
pub mod apply;
pub mod bell;
pub mod board;
pub mod channels;
pub mod chores;
pub mod connect;
pub mod explain;
pub mod health;
pub mod intent;
pub mod metrics;
pub mod observe;
pub mod preview;
pub mod purge;
pub mod queue;
pub mod rotation;
pub mod service;
pub mod settle;
pub mod setup;
pub mod sign_in;
mod standing;
pub mod tick;
pub mod undo;
pub mod upkeep;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use crate::{
    google::{client::Client, oauth::OAuth},
    model::{clock::Clock, snapshot::Policy},
    store::Store,
    vault::Vault,
};

/// Waits for one after the other.
async fn in_turn<F: Future>(work: Vec<F>) -> Vec<F::Output> {
    let mut done = Vec::with_capacity(work.len());
    for one in work {
        done.push(one.await);
    }
    done
}

/// Told how far a long piece of work is: steps done, steps in all.
pub type Progress = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// Whether work is to end: what runs finishes the step in hand and begins no other. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    asked: AtomicBool,
    wake: Notify,
}

impl Stop {
    /// Asks for the end.
    pub fn ask(&self) {
        self.0.asked.store(true, Ordering::SeqCst);
        self.0.wake.notify_waiters();
    }

    /// Whether somebody did.
    pub fn is_asked(&self) -> bool {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Waits until somebody does.
    pub async fn asked(&self) {
        let wake = self.0.wake.notified();
        tokio::pin!(wake);
        wake.as_mut().enable();
        if !self.is_asked() {
            wake.await;
        }
    }
}

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
    pub stop: Stop,
    pub gates: accounts::Gates,
}
