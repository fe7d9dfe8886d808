//! Carries out a plan. Nothing is decided here: ids, bodies and etags are in the plan, and whatever Google answers otherwise
//! than expected is noted in the mirror for the next plan to judge.
//!
//! Invariants: one target's failure stops no other target; every update and deletion carries the etag that the plan was
//! computed from; what Google answered is stored before the next call to that calendar. A crash between an effect and its
//! note is healed by the next observation, which finds the event by its marker.

#[cfg(test)]
use crate::model::mutant::{Mutant, planted};
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
    google::{Desk, error::GoogleError},
    model::{
        body::{Body, Digest, Field},
        event::{Change, Event, Owner},
        id::{Etag, EventId},
        item::{ItemKey, ObservedState, Provenance},
        mapping::{Mapping, Memory},
        plan::{Action, Effect, ErrorClass, Outcome, Plan, Reason, Skip, Step},
        secret::Secret,
        snapshot::{Origin, Snapshot},
    },
    planner::order::is_inside_series,
    store::{StoreError, calendars::CalendarRow, mappings::Carried, people::User},
    vault::VaultError,
};

/// Carries out all steps of a plan that is written down as `journal`; one outcome for each, in the plan's order.
///
/// # Errors
/// When our own database fails; Google's failures are outcomes.
pub async fn apply(
    app: &App,
    user: &User,
    snapshot: &Snapshot,
    plan: &Plan,
    journal: i64,
) -> Result<Vec<Outcome>, StoreError> {
    let rows = app.store.calendars_of(user.id).await?;
    let mut outcomes = vec![Outcome::Done; plan.steps.len()];
    remember(app, user, snapshot, plan).await?;
    let mut by_calendar: BTreeMap<i64, Vec<(usize, &Step)>> = BTreeMap::new();
    for (n, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.action.writes()) {
        let row = rows.iter().find(|row| row.id == *step.calendar());
        match row {
            Some(row) => by_calendar.entry(row.number).or_default().push((n, step)),
            // Disconnected since the snapshot.
            None => outcomes[n] = Outcome::Skipped(Skip::Superseded),
        }
    }
    let total = by_calendar.values().map(Vec::len).sum();
    let done = AtomicUsize::new(0);
    let targets = by_calendar.iter().map(|(number, steps)| {
        let row = rows.iter().find(|row| row.number == *number).expect("grouped by the numbers of these rows");
        Target { app, user, snapshot, row, journal, done: &done, total }.carry_out(steps)
    });
    let done_by_target = match app.google.at_once() {
        1 => super::in_turn(targets.collect()).await.into_iter().collect::<Result<Vec<_>, _>>()?,
        _ => try_join_all(targets).await?,
    };
    for (n, outcome) in done_by_target.into_iter().flatten() {
        outcomes[n] = outcome;
    }
    // What was carried out is written down already, each with its effect.
    let rest: Vec<_> = outcomes
        .iter()
        .enumerate()
        .filter(|(n, outcome)| **outcome != Outcome::Done || !plan.steps[*n].action.writes())
        .map(|(n, outcome)| (n, outcome.clone()))
        .collect();
    app.store.record_outcomes(journal, &rest).await?;
    Ok(outcomes)
}

/// What changes in our memory alone, and what has to be noted before the first call: a tombstone found after a crash is known as
/// our own only if the deletion was noted before.
async fn remember(app: &App, user: &User, snapshot: &Snapshot, plan: &Plan) -> Result<(), StoreError> {
    let notes: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| {
            let old = snapshot.mappings.get(&step.key);
            let (event, incarnation, applied, shown, memory) = match &step.action {
                Action::Adopt { event, incarnation, applied, shown } => {
                    (event, incarnation, *applied, *shown, Memory::Kept)
                }
                Action::Doubt { event, incarnation } => {
                    (event, incarnation, Digest::UNKNOWN, Digest::UNKNOWN, Memory::Kept)
                }
                Action::Dismiss { event, incarnation } => {
                    let known = |of: fn(&Mapping) -> Digest| old.map_or(Digest::ABSENT, of);
                    (event, incarnation, known(|m| m.applied), known(|m| m.shown), Memory::Dismissed)
                }
                Action::Delete { event, incarnation, .. } | Action::Cancel { event, incarnation }
                    if step.reason != Reason::Duplicate =>
                {
                    let known = |of: fn(&Mapping) -> Digest| old.map_or(Digest::ABSENT, of);
                    (event, incarnation, known(|m| m.applied), known(|m| m.shown), Memory::Leaving)
                }
                // Should the answer be lost, what it then shows is our doing and nobody's edit: in these fields the origin counts.
                Action::Update { event, incarnation, from, to, .. } => {
                    let mut applied = old.map_or(Digest::UNKNOWN, |m| m.applied);
                    for field in to.changed(from) {
                        applied.take(field, &Digest::UNKNOWN);
                    }
                    (event, incarnation, applied, old.map_or(Digest::UNKNOWN, |m| m.shown), Memory::Kept)
                }
                Action::Amend { event, incarnation, .. } => {
                    (event, incarnation, Digest::UNKNOWN, old.map_or(Digest::UNKNOWN, |m| m.shown), Memory::Kept)
                }
                Action::Forget => return Some((step.key.clone(), step.face, None)),
                _ => return None,
            };
            let mapping = Mapping {
                event: event.clone(),
                incarnation: *incarnation,
                applied,
                shown,
                memory,
                // What is to be asked for is asked for inside its series.
                alone: step.beside && !matches!(step.action, Action::Doubt { .. }),
                restored: old.map(|m| m.restored_lately(snapshot.now)).unwrap_or_default(),
                since: old.map_or(snapshot.now, |m| m.since),
            };
            Some((step.key.clone(), step.face, Some(mapping)))
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
    snapshot: &'a Snapshot,
    row: &'a CalendarRow,
    journal: i64,
    done: &'a AtomicUsize,
    total: usize,
}

/// One step with its place in the plan.
type Numbered<'a> = (usize, &'a Step);

impl Target<'_> {
    async fn carry_out(self, steps: &[Numbered<'_>]) -> Result<Vec<(usize, Outcome)>, StoreError> {
        let mut outcomes = Vec::with_capacity(steps.len());
        let mut failed_series: BTreeSet<ItemKey> = BTreeSet::new();
        let mut stopped = false;
        #[cfg(test)]
        if planted(Mutant::SweptByTitle)
            && let Ok(access) = accounts::access(self.app, self.row.token).await
        {
            for (event, family) in self.snapshot.origins.get(&self.row.id).into_iter().flatten() {
                if let Some(Origin::Live(live)) = &family.head
                    && live.body.title.as_deref().is_some_and(|title| title.starts_with("[BusyBridge]"))
                {
                    let _ = self.app.google.delete(&access, &self.row.id, event, &live.etag, false).await;
                }
            }
        }
        for (n, step) in steps {
            let outcome = if stopped {
                Outcome::Skipped(Skip::AccountStopped)
            } else if self.app.stop.is_asked() {
                Outcome::Skipped(Skip::Stopping)
            } else if is_inside_series(step) && failed_series.contains(&step.key.series()) {
                Outcome::Skipped(Skip::ParentFailed)
            } else if self.app.store.generation(self.user.id).await? != Some(self.snapshot.generation) {
                // Somebody disconnected, paused or declared something meanwhile.
                Outcome::Skipped(Skip::Superseded)
            } else {
                match self.step((*n, step)).await {
                    Ok(outcome) => outcome,
                    Err(StepError::Store(error) | StepError::Access(AccessError::Store(error))) => return Err(error),
                    Err(error) => {
                        let class = error.class();
                        warn!(calendar = self.row.number, ?class, "a step failed: {error}");
                        stopped = matches!(
                            class,
                            ErrorClass::Throttled | ErrorClass::Revoked | ErrorClass::Forbidden | ErrorClass::Missing
                        );
                        let message = error.to_string();
                        if let (ErrorClass::Rejected, Some(asked)) = (class, step.action.asked()) {
                            self.app.store.refuse(self.user.id, &step.key, asked, &message).await?;
                        }
                        Outcome::Failed { class, message }
                    }
                }
            };
            if outcome != Outcome::Done && !is_inside_series(step) && !step.action.is_at_origin() {
                failed_series.insert(step.key.series());
            }
            outcomes.push((*n, outcome));
            (self.app.progress)(self.done.fetch_add(1, Ordering::Relaxed) + 1, self.total);
        }
        Ok(outcomes)
    }

    async fn step(&self, step: Numbered<'_>) -> Result<Outcome, StepError> {
        let access = accounts::access(self.app, self.row.token).await?;
        match self.write(step, &access).await {
            Err(StepError::Google(error)) if error.is_unauthorized() => {
                let access = accounts::renewed(self.app, self.row.token).await?;
                self.write(step, &access).await
            }
            result => result,
        }
    }

    fn desk(&self) -> Desk<'_> {
        Desk { zone: &self.row.zone, account: &self.row.account }
    }

    async fn write(&self, numbered: Numbered<'_>, access: &Secret<String>) -> Result<Outcome, StepError> {
        let Target { app, row, .. } = self;
        let (_, step) = numbered;
        let key = &step.key;
        match &step.action {
            Action::Create { event, incarnation, body } => {
                let marker = app.vault.marker(&self.user.subject, key, *incarnation, event)?;
                match app.google.insert(access, &row.id, event, &marker, body, self.desk()).await {
                    Ok(shown) => self.wrote(numbered, None, shown, *incarnation, body).await,
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
                self.patch(numbered, access, event, etag, *incarnation, Some(from), to, false).await
            }
            Action::Amend { event, incarnation, to } => {
                match app.google.get(access, &row.id, event, &row.zone).await {
                    // It is as it should be without our doing.
                    Ok(Change::Live(seen)) if to.meets(&seen.body) && seen.marker.is_some() => {
                        self.found(numbered, &seen, *incarnation, to).await
                    }
                    Ok(Change::Live(seen)) => {
                        self.patch(numbered, access, event, &seen.etag, *incarnation, Some(&seen.body), to, false).await
                    }
                    Ok(Change::Gone { etag: Some(etag), .. }) => {
                        self.patch(numbered, access, event, &etag, *incarnation, None, to, true).await
                    }
                    Ok(Change::Gone { etag: None, .. }) => Ok(Outcome::Skipped(Skip::ChangedMeanwhile)),
                    // The whole series went meanwhile; it is seen with the next reading.
                    Err(error)
                        if error.class() == ErrorClass::AlreadyGone && !self.has_series(access, event).await? =>
                    {
                        Ok(Outcome::Skipped(Skip::ChangedMeanwhile))
                    }
                    // Our series has no such slot: the exception is to stand beside it.
                    Err(error) if error.class() == ErrorClass::AlreadyGone => {
                        let mapping = self.mapping(step, event, *incarnation, to.digest(), Digest::ABSENT, true);
                        app.store.remember(self.user.id, &[(key.clone(), step.face, Some(mapping))]).await?;
                        Ok(Outcome::Skipped(Skip::ChangedMeanwhile))
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Action::Cancel { event, incarnation } => match app.google.get(access, &row.id, event, &row.zone).await {
                Ok(Change::Live(seen)) => {
                    self.delete(numbered, access, event, &seen.etag, *incarnation, &seen.body).await
                }
                Ok(gone) => self.deleted(numbered, event, *incarnation, Some(&gone), None).await,
                // No such slot: nothing to cancel.
                Err(error) if error.class() == ErrorClass::AlreadyGone => {
                    self.deleted(numbered, event, *incarnation, None, None).await
                }
                Err(error) => Err(error.into()),
            },
            Action::Delete { event, etag, incarnation, from } => {
                self.delete(numbered, access, event, etag, *incarnation, from).await
            }
            Action::WriteBack { event, etag, fields, from, to, seen, .. } => {
                let etag = match etag {
                    Some(etag) => etag.clone(),
                    None => match self.instance(access, event).await? {
                        // Still as when the person changed its copy.
                        Some(found) if !from.changed(&found.body).iter().any(|field| fields.contains(field)) => {
                            found.etag
                        }
                        _ => return Ok(Outcome::Skipped(Skip::ChangedMeanwhile)),
                    },
                };
                let tell = self.tells(key);
                let answer = app.google.edit(access, &row.id, event, &etag, fields, from, to, tell, self.desk()).await;
                let Some(shown) = self.at_origin(event, answer).await? else {
                    return Ok(Outcome::Skipped(Skip::ChangedMeanwhile));
                };
                let effect = Effect { before: Some((**from).clone()), after: Some(shown.body.clone()) };
                self.carried_back(numbered, Change::Live(Box::new(shown)), Some((fields, *seen)), effect).await
            }
            Action::Respond { event, etag, to, seen, .. } => {
                let tell = self.tells(key);
                let answer = app.google.respond(access, &row.id, event, etag.as_ref(), *to, tell, &row.zone).await;
                let Some((before, after)) = self.at_origin(event, answer).await? else {
                    return Ok(Outcome::Skipped(Skip::ChangedMeanwhile));
                };
                let effect = Effect { before: Some(before.body), after: Some(after.body.clone()) };
                let seen = seen.map(|seen| (&[Field::Answer][..], seen));
                self.carried_back(numbered, Change::Live(Box::new(after)), seen, effect).await
            }
            Action::Withdraw { event, etag, .. } => {
                let (etag, before) = match (etag, self.origin_body(key)) {
                    (Some(etag), before) => (etag.clone(), before),
                    (None, _) => match self.instance(access, event).await? {
                        Some(found) => (found.etag, Some(found.body)),
                        None => return Ok(Outcome::Skipped(Skip::ChangedMeanwhile)),
                    },
                };
                let answer = app.google.delete(access, &row.id, event, &etag, self.tells(key)).await;
                if self.at_origin(event, answer).await?.is_none() {
                    return Ok(Outcome::Skipped(Skip::ChangedMeanwhile));
                }
                self.carried_back(numbered, gone(event, true), None, Effect { before, after: None }).await
            }
            Action::Restore { event, .. } => {
                let answer = app.google.restore(access, &row.id, event, &row.zone).await;
                let Some(shown) = self.at_origin(event, answer).await? else {
                    return Ok(Outcome::Skipped(Skip::ChangedMeanwhile));
                };
                let effect = Effect { before: None, after: Some(shown.body.clone()) };
                self.carried_back(numbered, Change::Live(Box::new(shown)), None, effect).await
            }
            Action::Doubt { .. } | Action::Adopt { .. } | Action::Dismiss { .. } | Action::Forget => Ok(Outcome::Done),
        }
    }

    /// Whether the series of an instance stands.
    async fn has_series(&self, access: &Secret<String>, instance: &EventId) -> Result<bool, StepError> {
        let Some((series, _)) = instance.as_instance() else { return Ok(false) };
        match self.app.google.get(access, &self.row.id, &series, &self.row.zone).await {
            Ok(change) => Ok(matches!(change, Change::Live(_))),
            Err(error) if error.class() == ErrorClass::AlreadyGone => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The instance of a person's series as it is now; none if it is not there, which is noted.
    async fn instance(&self, access: &Secret<String>, event: &EventId) -> Result<Option<Event>, StepError> {
        let answer = self.app.google.get(access, &self.row.id, event, &self.row.zone).await;
        match self.at_origin(event, answer).await? {
            Some(Change::Live(seen)) => Ok(Some(*seen)),
            Some(gone) => {
                self.put_origin(gone).await?;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// What a call to an origin came to; none if it has to be looked at again.
    async fn at_origin<T>(&self, event: &EventId, answer: Result<T, GoogleError>) -> Result<Option<T>, StepError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.class() == ErrorClass::Precondition => Ok(None),
            Err(error) if error.class() == ErrorClass::AlreadyGone => {
                self.put_origin(gone(event, false)).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn put_origin(&self, change: Change) -> Result<(), StepError> {
        let (change, owner) = observe::classify(&self.app.vault, self.user, self.row, change, &BTreeMap::new());
        Ok(self.app.store.put(self.row.number, &change, &owner).await?)
    }

    /// Notes what an origin shows after a person's doing was carried to it, and which fields of the copy are thereby known.
    async fn carried_back(
        &self,
        (n, step): Numbered<'_>,
        change: Change,
        seen: Option<(&[Field], Digest)>,
        effect: Effect,
    ) -> Result<Outcome, StepError> {
        let (change, owner) = observe::classify(&self.app.vault, self.user, self.row, change, &BTreeMap::new());
        let old = self.snapshot.mappings.get(&step.key);
        let note = match (seen, old) {
            (Some((fields, seen)), Some(old)) => {
                let mut mapping = old.clone();
                for field in fields {
                    mapping.shown.take(*field, &seen);
                }
                Some((step.key.clone(), step.face, Some(mapping)))
            }
            // An instance that had no shape of its own before the person gave it one.
            (Some((_, seen)), None) => self.copy_seen(&step.key, seen).map(|(event, incarnation, body)| {
                let mapping = self.mapping(step, &event, incarnation, body, seen, false);
                (step.key.clone(), step.face, Some(mapping))
            }),
            (None, _) => None,
        };
        let carried = Carried {
            calendar: self.row.number,
            change: Some((&change, &owner)),
            note: note.as_ref(),
            plan: self.journal,
            step: n,
            effect: &effect,
        };
        self.app.store.carried_out(self.user.id, &step.key, carried).await?;
        Ok(Outcome::Done)
    }

    /// The copy that shows this, and what it was last asked to show as far as that is known.
    fn copy_seen(&self, key: &ItemKey, seen: Digest) -> Option<(EventId, u32, Digest)> {
        let observed = self.snapshot.observed.get(key)?;
        let copy =
            observed.iter().find(|o| matches!(&o.state, ObservedState::Live { digest, .. } if *digest == seen))?;
        Some((copy.event.clone(), copy.incarnation, Digest::UNKNOWN))
    }

    fn origin_event(&self, key: &ItemKey) -> Option<&Event> {
        let family = self.snapshot.origins.get(&key.origin.calendar)?.get(&key.origin.event)?;
        let exception = key.origin.instance.and_then(|slot| family.exceptions.get(&slot));
        match exception.or(family.head.as_ref())? {
            Origin::Live(event) => Some(event),
            Origin::Gone => None,
        }
    }

    fn origin_body(&self, key: &ItemKey) -> Option<Body> {
        self.origin_event(key).map(|event| event.body.clone())
    }

    /// Whether others are to be told what the person did to the meeting.
    fn tells(&self, key: &ItemKey) -> bool {
        self.snapshot.policy.tell_guests && self.origin_event(key).is_some_and(|event| event.others > 0)
    }

    #[expect(clippy::too_many_arguments, reason = "they are one step taken apart")]
    async fn patch(
        &self,
        numbered: Numbered<'_>,
        access: &Secret<String>,
        event: &EventId,
        etag: &Etag,
        incarnation: u32,
        from: Option<&Body>,
        to: &Body,
        revive: bool,
    ) -> Result<Outcome, StepError> {
        let Target { app, row, .. } = self;
        let (_, step) = numbered;
        let marker = match is_inside_series(step).then(|| event.as_instance()).flatten() {
            Some((series, _)) => app.vault.marker(&self.user.subject, &step.key.series(), incarnation, &series)?,
            None => app.vault.marker(&self.user.subject, &step.key, incarnation, event)?,
        };
        let answer = app.google.patch(access, &row.id, event, etag, &marker, from, to, revive, self.desk()).await;
        #[cfg(test)]
        if answer.is_err() && !is_inside_series(step) && planted(Mutant::CreateOnAnyError) {
            let twin = self.snapshot.ids.event_id(&step.key, incarnation + 1);
            let marker = app.vault.marker(&self.user.subject, &step.key, incarnation + 1, &twin)?;
            let _ = app.google.insert(access, &row.id, &twin, &marker, to, self.desk()).await;
        }
        match answer {
            Ok(shown) => self.wrote(numbered, from, shown, incarnation, to).await,
            Err(error) if error.class() == ErrorClass::Precondition => Ok(Outcome::Skipped(Skip::ChangedMeanwhile)),
            Err(error) if error.class() == ErrorClass::AlreadyGone => {
                self.note(&gone(event, false), &step.key, incarnation, is_inside_series(step)).await?;
                Ok(Outcome::Skipped(Skip::ChangedMeanwhile))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(
        &self,
        numbered: Numbered<'_>,
        access: &Secret<String>,
        event: &EventId,
        etag: &Etag,
        incarnation: u32,
        before: &Body,
    ) -> Result<Outcome, StepError> {
        #[cfg(test)]
        if planted(Mutant::ForgottenFirst) {
            self.deleted(numbered, event, incarnation, Some(&gone(event, true)), Some(before)).await?;
        }
        match self.app.google.delete(access, &self.row.id, event, etag, false).await {
            Ok(()) => {}
            Err(error) if error.class() == ErrorClass::AlreadyGone => {}
            #[cfg(test)]
            Err(error)
                if matches!(error.class(), ErrorClass::Throttled | ErrorClass::Forbidden)
                    && planted(Mutant::ForbiddenAsDeleted) => {}
            Err(error) if error.class() == ErrorClass::Precondition => {
                return Ok(Outcome::Skipped(Skip::ChangedMeanwhile));
            }
            Err(error) => return Err(error.into()),
        }
        self.deleted(numbered, event, incarnation, Some(&gone(event, true)), Some(before)).await
    }

    /// Notes what Google now shows and that this is what was asked for.
    async fn wrote(
        &self,
        (n, step): Numbered<'_>,
        before: Option<&Body>,
        shown: Event,
        incarnation: u32,
        asked: &Body,
    ) -> Result<Outcome, StepError> {
        let mapping = self.mapping(step, &shown.id, incarnation, asked.digest(), shown.body.digest(), step.beside);
        let owner = Owner::Ours(self.provenance(&step.key, &shown.id, incarnation, is_inside_series(step)));
        let effect = Effect { before: before.cloned(), after: Some(shown.body.clone()) };
        let change = Change::Live(Box::new(shown));
        let note = (step.key.clone(), step.face, Some(mapping));
        let carried = Carried {
            calendar: self.row.number,
            change: Some((&change, &owner)),
            note: Some(&note),
            plan: self.journal,
            step: n,
            effect: &effect,
        };
        self.app.store.carried_out(self.user.id, &step.key, carried).await?;
        Ok(Outcome::Done)
    }

    /// Notes that an instance is as was asked, as its series says. It is not put into the mirror: no listing names an instance
    /// without a shape of its own, and it would grow old there.
    async fn found(
        &self,
        (n, step): Numbered<'_>,
        seen: &Event,
        incarnation: u32,
        asked: &Body,
    ) -> Result<Outcome, StepError> {
        let mapping = self.mapping(step, &seen.id, incarnation, asked.digest(), seen.body.digest(), step.beside);
        let note = (step.key.clone(), step.face, Some(mapping));
        let carried = Carried {
            calendar: self.row.number,
            change: None,
            note: Some(&note),
            plan: self.journal,
            step: n,
            effect: &Effect::default(),
        };
        self.app.store.carried_out(self.user.id, &step.key, carried).await?;
        Ok(Outcome::Done)
    }

    /// Forgets the item; of a cancelled instance it stays noted that it is to be absent.
    async fn deleted(
        &self,
        (n, step): Numbered<'_>,
        event: &EventId,
        incarnation: u32,
        change: Option<&Change>,
        before: Option<&Body>,
    ) -> Result<Outcome, StepError> {
        let inside = is_inside_series(step);
        let absent = || self.mapping(step, event, incarnation, Digest::ABSENT, Digest::ABSENT, false);
        let note = (step.key.clone(), step.face, (inside || step.undone.is_some()).then(absent));
        let owner = Owner::Ours(self.provenance(&step.key, event, incarnation, inside));
        let carried = Carried {
            calendar: self.row.number,
            change: change.map(|change| (change, &owner)),
            // Of a twin nothing is remembered that could be forgotten.
            note: (step.reason != Reason::Duplicate).then_some(&note),
            plan: self.journal,
            step: n,
            effect: &Effect { before: before.cloned(), after: None },
        };
        self.app.store.carried_out(self.user.id, &step.key, carried).await?;
        Ok(Outcome::Done)
    }

    /// Notes what Google says of an event of ours, for the next plan.
    async fn note(&self, change: &Change, key: &ItemKey, incarnation: u32, in_series: bool) -> Result<(), StepError> {
        let provenance = self.provenance(key, change.id(), incarnation, in_series);
        let owners = BTreeMap::from([(change.id().clone(), Owner::Ours(provenance))]);
        let (change, owner) = observe::classify(&self.app.vault, self.user, self.row, change.clone(), &owners);
        self.app.store.put(self.row.number, &change, &owner).await?;
        Ok(())
    }

    /// Of which item an event of ours is, as a listing would tell: an instance is named by the slot at which it stands here.
    fn provenance(&self, key: &ItemKey, event: &EventId, incarnation: u32, in_series: bool) -> Provenance {
        let slot = event.as_instance().filter(|_| in_series).map(|(_, slot)| slot);
        Provenance { key: slot.map_or(key.clone(), |slot| key.at(slot)), incarnation, in_series }
    }

    fn mapping(
        &self,
        step: &Step,
        event: &EventId,
        incarnation: u32,
        applied: Digest,
        shown: Digest,
        alone: bool,
    ) -> Mapping {
        let now = self.app.clock.now();
        let old = self.snapshot.mappings.get(&step.key);
        #[cfg(test)]
        let shown = old.filter(|_| planted(Mutant::EchoAsEdit)).map_or(shown, |m| m.shown);
        let mut restored = old.map(|m| m.restored_lately(now)).unwrap_or_default();
        if matches!(step.reason, Reason::Drifted | Reason::Removed | Reason::Vanished) && !step.action.is_at_origin() {
            restored.push(now);
        }
        let since = old.map_or(now, |m| m.since);
        // What is taken back stays as it then is, while what is desired now stays desired.
        let (memory, applied) = step.undone.map_or((Memory::Kept, applied), |desired| (Memory::Undone, desired));
        Mapping { event: event.clone(), incarnation, applied, shown, memory, alone, restored, since }
    }
}

fn gone(event: &EventId, told: bool) -> Change {
    Change::Gone { id: event.clone(), series: event.as_instance(), etag: None, told }
}
