//! Carries out a plan. Nothing is decided here: ids, bodies and etags are in the plan, and whatever Google answers otherwise
//! than expected is noted in the mirror for the next plan to judge.
//!
//! Invariants: one target's failure stops no other target; every update and deletion carries the etag that the plan was
//! computed from; what Google answered is stored before the next call to that calendar. A crash between an effect and its
//! note is healed by the next observation, which finds the event by its marker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::try_join_all;
use tracing::warn;

use super::{
    App,
    accounts::{self, AccessError},
    observe,
};
use crate::{
    google::error::GoogleError,
    model::{
        body::{Body, Digest},
        event::{Change, Event, Owner},
        id::{Etag, EventId},
        item::{ItemKey, Provenance},
        mapping::{Mapping, Memory},
        plan::{Action, ErrorClass, Outcome, Plan, Skip, Step},
        secret::Secret,
        snapshot::Snapshot,
    },
    planner::order::is_inside_series,
    store::{StoreError, calendars::CalendarRow, people::User},
    vault::VaultError,
};

/// Carries out all steps; one outcome for each, in the plan's order.
///
/// # Errors
/// When our own database fails; Google's failures are outcomes.
pub async fn apply(app: &App, user: &User, snapshot: &Snapshot, plan: &Plan) -> Result<Vec<Outcome>, StoreError> {
    let rows = app.store.calendars_of(user.id).await?;
    let mut outcomes = vec![Outcome::Done; plan.steps.len()];
    remember(app, user, snapshot, plan).await?;
    // Noted before the first call: a tombstone found after a crash is then known as our own.
    let leaving: Vec<ItemKey> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::Delete { .. }))
        .map(|step| step.key.clone())
        .collect();
    if !leaving.is_empty() {
        app.store.mark_leaving(user.id, &leaving).await?;
    }
    let mut by_target: BTreeMap<i64, Vec<(usize, &Step)>> = BTreeMap::new();
    for (n, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.action.writes()) {
        let row = rows.iter().find(|row| row.id == step.key.target);
        match row {
            Some(row) => by_target.entry(row.number).or_default().push((n, step)),
            // Disconnected since the snapshot.
            None => outcomes[n] = Outcome::Skipped(Skip::ChangedMeanwhile),
        }
    }
    let total = by_target.values().map(Vec::len).sum();
    let done = AtomicUsize::new(0);
    let targets = by_target.iter().map(|(number, steps)| {
        let row = rows.iter().find(|row| row.number == *number).expect("grouped by the numbers of these rows");
        Target { app, user, row, done: &done, total }.carry_out(steps)
    });
    for (n, outcome) in try_join_all(targets).await?.into_iter().flatten() {
        outcomes[n] = outcome;
    }
    Ok(outcomes)
}

/// What changes in our memory alone, all at once.
async fn remember(app: &App, user: &User, snapshot: &Snapshot, plan: &Plan) -> Result<(), StoreError> {
    let notes: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| {
            let old = snapshot.mappings.get(&step.key);
            let mapping = match &step.action {
                Action::Adopt { event, incarnation, applied, shown } => Some(Mapping {
                    event: event.clone(),
                    incarnation: *incarnation,
                    applied: *applied,
                    shown: *shown,
                    memory: Memory::Kept,
                    alone: step.beside,
                }),
                Action::Dismiss { event, incarnation } => Some(Mapping {
                    event: event.clone(),
                    incarnation: *incarnation,
                    applied: old.map_or(Digest::ABSENT, |m| m.applied),
                    shown: old.map_or(Digest::ABSENT, |m| m.shown),
                    memory: Memory::Dismissed,
                    alone: step.beside,
                }),
                Action::Forget => None,
                Action::Create { .. }
                | Action::Update { .. }
                | Action::Amend { .. }
                | Action::Cancel { .. }
                | Action::Delete { .. } => return None,
            };
            Some((step.key.clone(), step.face, mapping))
        })
        .collect();
    if notes.is_empty() {
        return Ok(());
    }
    app.store.remember(user.id, &notes).await
}

/// What went wrong with one step.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Google(#[from] GoogleError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StepError {
    fn class(&self) -> ErrorClass {
        match self {
            StepError::Access(error) => error.class(),
            StepError::Google(error) => error.class(),
            StepError::Vault(_) => ErrorClass::Rejected,
            StepError::Store(_) => ErrorClass::Transient,
        }
    }
}

/// One calendar that is being written.
struct Target<'a> {
    app: &'a App,
    user: &'a User,
    row: &'a CalendarRow,
    done: &'a AtomicUsize,
    total: usize,
}

impl Target<'_> {
    async fn carry_out(self, steps: &[(usize, &Step)]) -> Result<Vec<(usize, Outcome)>, StoreError> {
        let mut outcomes = Vec::with_capacity(steps.len());
        let mut failed_series: BTreeSet<ItemKey> = BTreeSet::new();
        let mut stopped = false;
        for (n, step) in steps {
            let outcome = if stopped {
                Outcome::Skipped(Skip::AccountStopped)
            } else if is_inside_series(step) && failed_series.contains(&step.key.series()) {
                Outcome::Skipped(Skip::ParentFailed)
            } else {
                match self.step(step).await {
                    Ok(outcome) => outcome,
                    Err(StepError::Store(error) | StepError::Access(AccessError::Store(error))) => return Err(error),
                    Err(error) => {
                        let class = error.class();
                        warn!(calendar = self.row.number, ?class, "a step failed: {error}");
                        stopped = matches!(
                            class,
                            ErrorClass::Throttled | ErrorClass::Revoked | ErrorClass::Forbidden | ErrorClass::Missing
                        );
                        Outcome::Failed { class, message: error.to_string() }
                    }
                }
            };
            if outcome != Outcome::Done && !is_inside_series(step) {
                failed_series.insert(step.key.series());
            }
            outcomes.push((*n, outcome));
            (self.app.progress)(self.done.fetch_add(1, Ordering::Relaxed) + 1, self.total);
        }
        Ok(outcomes)
    }

    async fn step(&self, step: &Step) -> Result<Outcome, StepError> {
        let access = accounts::access(self.app, self.row.token).await?;
        match self.write(step, &access).await {
            Err(StepError::Google(error)) if error.is_unauthorized() => {
                let access = accounts::renewed(self.app, self.row.token).await?;
                self.write(step, &access).await
            }
            result => result,
        }
    }

    async fn write(&self, step: &Step, access: &Secret<String>) -> Result<Outcome, StepError> {
        let Target { app, row, .. } = self;
        let key = &step.key;
        match &step.action {
            Action::Create { event, incarnation, body } => {
                let marker = app.vault.marker(&self.user.subject, key, *incarnation, event)?;
                match app.google.insert(access, &row.id, event, &marker, body, &row.zone).await {
                    Ok(shown) => self.wrote(step, shown, *incarnation, body).await,
                    // An earlier attempt of ours got through, or its event was deleted and the id stays taken.
                    Err(error) if error.class() == ErrorClass::Exists => {
                        match app.google.get(access, &row.id, event, &row.zone).await {
                            Ok(change) => self.note(&change, key, *incarnation, false).await?,
                            // Taken, and not to be seen: time will tell.
                            Err(error) if error.class() == ErrorClass::AlreadyGone => {}
                            Err(error) => return Err(error.into()),
                        }
                        Ok(Outcome::Skipped(Skip::ChangedMeanwhile))
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Action::Update { event, etag, incarnation, from, to } => {
                self.patch(step, access, event, etag, *incarnation, Some(from), to, false).await
            }
            Action::Amend { event, incarnation, to } => {
                match app.google.get(access, &row.id, event, &row.zone).await {
                    Ok(Change::Live(seen)) => {
                        self.patch(step, access, event, &seen.etag, *incarnation, Some(&seen.body), to, false).await
                    }
                    Ok(Change::Gone { etag: Some(etag), .. }) => {
                        self.patch(step, access, event, &etag, *incarnation, None, to, true).await
                    }
                    Ok(Change::Gone { etag: None, .. }) => Ok(Outcome::Skipped(Skip::ChangedMeanwhile)),
                    // Our series has no such slot: the exception is to stand beside it.
                    Err(error) if error.class() == ErrorClass::AlreadyGone => {
                        let mapping = self.mapping(event, *incarnation, to.digest(), Digest::ABSENT, true);
                        app.store.remember(self.user.id, &[(key.clone(), step.face, Some(mapping))]).await?;
                        Ok(Outcome::Skipped(Skip::ChangedMeanwhile))
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Action::Cancel { event, incarnation } => match app.google.get(access, &row.id, event, &row.zone).await {
                Ok(Change::Live(seen)) => self.delete(step, access, event, &seen.etag, *incarnation).await,
                Ok(gone) => {
                    self.note(&gone, key, *incarnation, true).await?;
                    self.deleted(step, event, *incarnation).await
                }
                // No such slot: nothing to cancel.
                Err(error) if error.class() == ErrorClass::AlreadyGone => self.deleted(step, event, *incarnation).await,
                Err(error) => Err(error.into()),
            },
            Action::Delete { event, etag, incarnation } => self.delete(step, access, event, etag, *incarnation).await,
            Action::Adopt { .. } | Action::Dismiss { .. } | Action::Forget => Ok(Outcome::Done),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are one step taken apart")]
    async fn patch(
        &self,
        step: &Step,
        access: &Secret<String>,
        event: &EventId,
        etag: &Etag,
        incarnation: u32,
        from: Option<&Body>,
        to: &Body,
        revive: bool,
    ) -> Result<Outcome, StepError> {
        let Target { app, row, .. } = self;
        let marker = match is_inside_series(step).then(|| event.as_instance()).flatten() {
            Some((series, _)) => app.vault.marker(&self.user.subject, &step.key.series(), incarnation, &series)?,
            None => app.vault.marker(&self.user.subject, &step.key, incarnation, event)?,
        };
        match app.google.patch(access, &row.id, event, etag, &marker, from, to, revive, &row.zone).await {
            Ok(shown) => self.wrote(step, shown, incarnation, to).await,
            Err(error) if error.class() == ErrorClass::Precondition => Ok(Outcome::Skipped(Skip::ChangedMeanwhile)),
            Err(error) if error.class() == ErrorClass::AlreadyGone => {
                self.note(&gone(event), &step.key, incarnation, is_inside_series(step)).await?;
                Ok(Outcome::Skipped(Skip::ChangedMeanwhile))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(
        &self,
        step: &Step,
        access: &Secret<String>,
        event: &EventId,
        etag: &Etag,
        incarnation: u32,
    ) -> Result<Outcome, StepError> {
        match self.app.google.delete(access, &self.row.id, event, etag).await {
            Ok(()) => {}
            Err(error) if error.class() == ErrorClass::AlreadyGone => {}
            Err(error) if error.class() == ErrorClass::Precondition => {
                return Ok(Outcome::Skipped(Skip::ChangedMeanwhile));
            }
            Err(error) => return Err(error.into()),
        }
        self.note(&gone(event), &step.key, incarnation, is_inside_series(step)).await?;
        self.deleted(step, event, incarnation).await
    }

    /// Notes what Google now shows and that this is what was asked for.
    async fn wrote(&self, step: &Step, shown: Event, incarnation: u32, asked: &Body) -> Result<Outcome, StepError> {
        let mapping = self.mapping(&shown.id, incarnation, asked.digest(), shown.body.digest(), step.beside);
        let inside = is_inside_series(step);
        let owner = Owner::Ours(Provenance { key: step.key.clone(), incarnation, in_series: inside });
        let change = Change::Live(Box::new(shown));
        let note = (step.key.clone(), step.face, Some(mapping));
        self.app.store.put_with_mapping(self.row.number, &change, &owner, self.user.id, &note).await?;
        Ok(Outcome::Done)
    }

    /// Forgets the item; of a cancelled instance it stays noted that it is to be absent.
    async fn deleted(&self, step: &Step, event: &EventId, incarnation: u32) -> Result<Outcome, StepError> {
        let mapping =
            is_inside_series(step).then(|| self.mapping(event, incarnation, Digest::ABSENT, Digest::ABSENT, false));
        self.app.store.remember(self.user.id, &[(step.key.clone(), step.face, mapping)]).await?;
        Ok(Outcome::Done)
    }

    /// Notes what Google says of an event of ours, for the next plan.
    async fn note(&self, change: &Change, key: &ItemKey, incarnation: u32, in_series: bool) -> Result<(), StepError> {
        let provenance = Provenance { key: key.clone(), incarnation, in_series };
        let owners = BTreeMap::from([(change.id().clone(), Owner::Ours(provenance))]);
        let (change, owner) = observe::classify(&self.app.vault, self.user, self.row, change.clone(), &owners);
        self.app.store.put(self.row.number, &change, &owner).await?;
        Ok(())
    }

    fn mapping(&self, event: &EventId, incarnation: u32, applied: Digest, shown: Digest, alone: bool) -> Mapping {
        Mapping { event: event.clone(), incarnation, applied, shown, memory: Memory::Kept, alone }
    }
}

fn gone(event: &EventId) -> Change {
    Change::Gone { id: event.clone(), series: event.as_instance(), etag: None }
}
