//! Pulls what changed at Google into the mirror, and decides once for each event whose it is.
//!
//! Invariants: rows and cursor are stored together, and only if the cursor is still the one that the listing began from. A
//! listing is complete or an error; an error changes nothing but how far we trust the mirror. What is missing from a full
//! listing is suspect, and becomes a tombstone only when Google says so of that very event.

#[cfg(test)]
use crate::model::mutant::{Mutant, planted};
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures::{StreamExt, future::join_all, stream};
use tracing::{debug, warn};

use super::{
    App,
    accounts::{self, AccessError},
    queue::Scope,
};
use crate::{
    google::{
        client::{Wanted, Worth},
        error::GoogleError,
    },
    model::{
        calendar::{Freshness, Role, Standing, Why},
        event::{Change, Event, Owner},
        id::{CalendarId, Cursor, EventId},
        item::Provenance,
        plan::ErrorClass,
        secret::Secret,
    },
    planner::horizon,
    store::{StoreError, calendars::CalendarRow, mirror::Listing, people::User, tokens::Account},
    vault::{Vault, marker::ReadMarker},
};

/// Suspects that one tick asks Google about, for each calendar.
const PROOFS: usize = 200;
/// Such questions in flight.
const PROOFS_AT_ONCE: usize = 4;

/// What went wrong with one calendar.
#[derive(Debug, thiserror::Error)]
enum ObserveError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Google(#[from] GoogleError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a permission was not given")]
    Scope,
}

impl ObserveError {
    fn why(&self) -> Option<Why> {
        let class = match self {
            ObserveError::Access(AccessError::Store(_)) | ObserveError::Store(_) => return None,
            ObserveError::Access(AccessError::Ended(why)) => return Some(*why),
            ObserveError::Scope => return Some(Why::Scope),
            ObserveError::Google(error) if error.is_missing_scope() => return Some(Why::Scope),
            ObserveError::Google(GoogleError::TooMany { .. }) => return Some(Why::TooMany),
            ObserveError::Access(error) => error.class(),
            ObserveError::Google(error) => error.class(),
        };
        Some(match class {
            ErrorClass::Revoked => Why::Revoked,
            ErrorClass::Forbidden => Why::Forbidden,
            ErrorClass::Missing | ErrorClass::AlreadyGone => Why::Missing,
            ErrorClass::Throttled => Why::Throttled,
            _ => Why::Unreachable,
        })
    }
}

/// What reading came to, by the calendars' numbers.
#[derive(Debug)]
pub struct Reading {
    /// How far the mirror of each of the user's calendars may be trusted now.
    pub freshness: BTreeMap<i64, Freshness>,
    /// Those of which Google told something that was not known.
    pub news: BTreeSet<i64>,
    /// How far Google had told us before.
    pub before: Cursors,
    /// How far it has told us now, by this reading alone: what somebody else stores meanwhile is news to the next one.
    pub after: Cursors,
}

/// How far Google has told us each calendar, by the calendars' numbers.
pub type Cursors = BTreeMap<i64, Option<Cursor>>;

/// Brings the mirror of the calendars in `scope` up to date; says of each calendar of the user how far it may be trusted now, of
/// the others as of their last reading. One calendar's failure is nobody else's. With `note`, failures in a row are counted; a dry
/// run does not.
///
/// # Errors
/// When our own database fails.
pub async fn observe(app: &App, user: &User, scope: &Scope, note: bool) -> Result<Reading, StoreError> {
    let calendars = taking_part(app, user).await?;
    let silent = user.paused || app.store.is_paused().await?;
    #[cfg(test)]
    let silent = silent && !planted(Mutant::PauseForgotten);
    let asked = |row: &CalendarRow| !silent && !row.paused && scope.reads(row.number);
    let accounts = match calendars.iter().any(asked) {
        true => app.store.accounts_of(user.id).await?,
        false => BTreeMap::new(),
    };
    let readings = calendars.iter().map(|row| async {
        if !asked(row) {
            return Ok((row.number, last_known(row, silent), false, row.cursor.clone()));
        }
        let account = accounts.get(&row.token).cloned();
        let freshness = match calendar(app, user, row, account, scope.reads_all_of(row.number)).await {
            Ok(Told { news, cursor }) => {
                if note && row.failures > 0 {
                    app.store.note_success(row.number).await?;
                }
                return Ok((row.number, Freshness::Current, news, cursor));
            }
            Err(error) => match error.why() {
                Some(why) => {
                    warn!(calendar = row.number, role = row.role.word(), "cannot be read: {error}");
                    if note {
                        app.store.note_failure(row.number, why).await?;
                    }
                    Freshness::Stale(why)
                }
                None => return Err(ours(error)),
            },
        };
        Ok((row.number, freshness, false, row.cursor.clone()))
    });
    let readings = match app.google.at_once() {
        1 => super::in_turn(readings.collect()).await,
        _ => join_all(readings).await,
    };
    let readings = readings.into_iter().collect::<Result<Vec<_>, StoreError>>()?;
    let freshness = readings.iter().map(|(number, freshness, ..)| (*number, *freshness)).collect();
    let news = readings.iter().filter(|(_, _, news, _)| *news).map(|(number, ..)| *number).collect();
    let after = readings.into_iter().map(|(number, .., cursor)| (number, cursor)).collect();
    let before = calendars.iter().map(|row| (row.number, row.cursor.clone())).collect();
    Ok(Reading { freshness, news, before, after })
}

/// Reads a calendar that takes part in nothing, for somebody who wants to know what its first sync would do.
///
/// # Errors
/// When our own database fails.
pub async fn observe_offered(app: &App, user: &User, row: &CalendarRow) -> Result<Freshness, StoreError> {
    let account = app.store.account(row.token).await?;
    match calendar(app, user, row, account, false).await {
        Ok(_) => Ok(Freshness::Current),
        Err(error) => error.why().map(Freshness::Stale).ok_or_else(|| ours(error)),
    }
}

fn ours(error: ObserveError) -> StoreError {
    match error {
        ObserveError::Store(error) | ObserveError::Access(AccessError::Store(error)) => error,
        ObserveError::Access(_) | ObserveError::Google(_) | ObserveError::Scope => {
            unreachable!("these have a reason at Google")
        }
    }
}

/// How far the mirror may be trusted when Google is not asked: as of the last complete reading.
///
/// # Errors
/// When our own database fails.
pub async fn as_of_last_time(app: &App, user: &User) -> Result<BTreeMap<i64, Freshness>, StoreError> {
    let calendars = taking_part(app, user).await?;
    let silent = user.paused || app.store.is_paused().await?;
    Ok(calendars.iter().map(|row| (row.number, last_known(row, silent))).collect())
}

/// The calendars of a user but for those that are only offered.
async fn taking_part(app: &App, user: &User) -> Result<Vec<CalendarRow>, StoreError> {
    let mut calendars = app.store.calendars_of(user.id).await?;
    calendars.retain(|row| row.standing != Standing::Offered);
    Ok(calendars)
}

/// How far a calendar may be trusted that is not read now.
fn last_known(row: &CalendarRow, silent: bool) -> Freshness {
    match (&row.cursor, row.failed) {
        _ if silent || row.paused => Freshness::Stale(Why::Paused),
        (_, Some(why)) => Freshness::Stale(why),
        (Some(_), None) => Freshness::Current,
        (None, None) => Freshness::Unseen,
    }
}

/// Reads one calendar: what changed, or with `full` everything, by which what a delta left out is found (anti-entropy).
/// Tells whether there was anything new.
async fn calendar(
    app: &App,
    user: &User,
    row: &CalendarRow,
    account: Option<Account>,
    full: bool,
) -> Result<Told, ObserveError> {
    if accounts::lacks_scope(&row.scopes, row.role) {
        return Err(ObserveError::Scope);
    }
    let mut access = accounts::access_of(app, row.token, account).await?;
    let mut cursor = row.cursor.clone();
    let mut renewed = false;
    let listing = loop {
        let from = cursor.as_ref().filter(|_| !full);
        let known = match from {
            Some(_) => BTreeSet::new(),
            None => app.store.known(row.number).await?,
        };
        let edge = app.clock.now() - app.policy.horizon;
        let worth = |change: &Change| worth(change, edge, from.is_none(), &known);
        // Whoever leaves takes everything along.
        let most = if row.standing == Standing::Leaving { usize::MAX } else { app.policy.events };
        match app.google.changes(&access, &row.id, from, Wanted { worth: &worth, most }).await {
            Ok(listing) => break listing,
            Err(error) if error.is_unauthorized() && !renewed => {
                renewed = true;
                access = accounts::renewed(app, row.token).await?;
            }
            Err(error) if error.class() == ErrorClass::CursorLost && cursor.is_some() && !full => {
                // The mirror stays: a lost cursor says nothing about any event.
                debug!(calendar = row.number, "the cursor is lost; listing from the beginning");
                if let Some(lost) = cursor.take() {
                    app.store.drop_cursor(row.number, &lost).await?;
                }
            }
            Err(error) => return Err(error.into()),
        }
    };
    if !listing.unreadable.is_empty() {
        warn!(
            calendar = row.number,
            events = listing.unreadable.len(),
            "some events make no sense and are passed over"
        );
    }
    if let Some(writable) = listing.writable.filter(|writable| *writable != row.writable) {
        app.store.set_writable(row.number, writable).await?;
    }
    if row.zone != listing.zone && !listing.zone.is_empty() {
        app.store.set_zone(row.number, &listing.zone).await?;
    }
    let mut owners = match listing.items.is_empty() {
        true => BTreeMap::new(),
        false => app.store.owners(row.number, &row.id, &named(&listing.items)).await?,
    };
    // The cursor of a listing that told nothing is not always stored.
    let told = if listing.items.is_empty() && !listing.full { cursor.clone() } else { Some(listing.next.clone()) };
    let changes = classify_all(&app.vault, user, row, listing.items, &mut owners);
    let committed = app
        .store
        .commit_listing(row.number, Listing { from: cursor, full: listing.full, next: listing.next, changes })
        .await;
    let (news, doubted) = match committed {
        Ok(committed) => {
            debug!(calendar = row.number, changed = committed.changed, suspects = committed.suspects, "observed");
            (committed.changed > 0, committed.suspects > 0)
        }
        // Another tick was quicker, and stored at least as much.
        Err(StoreError::Superseded) => (true, true),
        Err(error) => return Err(error.into()),
    };
    // A former series leaves its instances in doubt by a mere change.
    let proven = (row.doubted || doubted || news) && prove_suspects(app, user, row, &access).await?;
    Ok(Told { news: news || proven, cursor: told })
}

/// What reading one calendar came to.
struct Told {
    /// Something that was not known.
    news: bool,
    /// Where the next reading goes on.
    cursor: Option<Cursor>,
}

/// What a change is to us. History is nothing: a person's single event that ended before the `edge` and of which the mirror knows
/// nothing. Moved to a later day it comes as a change, and with a wider horizon with the next full listing.
fn worth(change: &Change, edge: DateTime<Utc>, full: bool, known: &BTreeSet<EventId>) -> Worth {
    let Change::Live(event) = change else { return Worth::Known };
    if horizon::body_in_scope(&event.body, edge) {
        return Worth::Managed;
    }
    let plain = event.series.is_none() && event.marker.is_none() && !event.tagged;
    if full && plain && !known.contains(&event.id) { Worth::Nothing } else { Worth::Known }
}

/// The events that changes are about, with their series.
fn named<'a>(changes: impl IntoIterator<Item = &'a Change>) -> BTreeSet<EventId> {
    let ids = |change: &Change| [Some(change.id().clone()), series_of(change).map(|(series, _)| series)];
    changes.into_iter().flat_map(ids).flatten().collect()
}

/// Asks Google about events that a full listing did not name; tells whether anything was learnt.
async fn prove_suspects(
    app: &App,
    user: &User,
    row: &CalendarRow,
    access: &Secret<String>,
) -> Result<bool, ObserveError> {
    let suspects = app.store.suspects(row.number, PROOFS).await?;
    #[cfg(test)]
    if planted(Mutant::SuspectsForgotten) {
        return Ok(false);
    }
    let mut learnt = false;
    let answers: Vec<_> = stream::iter(suspects)
        .map(|event| async move { (event.clone(), ask(app, row, access, &event).await) })
        .buffer_unordered(PROOFS_AT_ONCE.min(app.google.at_once()))
        .collect()
        .await;
    for (event, answer) in answers {
        match answer {
            Ok(change) => {
                let owners = app.store.owners(row.number, &row.id, &named([&change])).await?;
                let (change, owner) = classify(&app.vault, user, row, change, &owners);
                app.store.put(row.number, &change, &owner).await?;
                learnt = true;
            }
            // Stays suspect, and counts as present.
            Err(error) => debug!(calendar = row.number, ?event, "not proven gone: {error}"),
        }
    }
    Ok(learnt)
}

/// Asks Google about origins that events of ours name and that no listing told us of, as after the loss of our database; those on
/// calendars that were just read.
///
/// # Errors
/// When our own database fails.
pub async fn prove_origins(
    app: &App,
    user: &User,
    scope: &Scope,
    freshness: &BTreeMap<i64, Freshness>,
) -> Result<(), StoreError> {
    let unproven = app.store.unproven_origins(user.id, PROOFS).await?;
    if unproven.is_empty() {
        return Ok(());
    }
    let mut calendars = app.store.calendars_of(user.id).await?;
    calendars.retain(|row| scope.reads(row.number));
    for (number, event) in unproven {
        let Some(row) = calendars.iter().find(|row| row.number == number) else { continue };
        if freshness.get(&number) != Some(&Freshness::Current) {
            continue;
        }
        let Ok(access) = accounts::access(app, row.token).await else { continue };
        let Ok(change) = ask(app, row, &access, &event).await else { continue };
        // A live instance that is no exception would be stored as one, and grow old unseen.
        if matches!(&change, Change::Live(event) if event.series.is_some()) {
            continue;
        }
        let owners = app.store.owners(number, &row.id, &named([&change])).await?;
        let (change, owner) = classify(&app.vault, user, row, change, &owners);
        app.store.put(number, &change, &owner).await?;
    }
    Ok(())
}

/// What Google says of one event; that it never heard of it is an answer, too.
async fn ask(app: &App, row: &CalendarRow, access: &Secret<String>, event: &EventId) -> Result<Change, GoogleError> {
    #[cfg(test)]
    if planted(Mutant::EmptyMeansDeleted) {
        return Ok(Change::Gone { id: event.clone(), series: event.as_instance(), etag: None, told: false });
    }
    match app.google.get(access, &row.id, event, &row.zone).await {
        Err(error) if error.class() == ErrorClass::AlreadyGone => {
            Ok(Change::Gone { id: event.clone(), series: event.as_instance(), etag: None, told: false })
        }
        answer => answer,
    }
}

/// Classifies a whole listing. Series come first, so that sparse words about their instances find them.
fn classify_all(
    vault: &Vault,
    user: &User,
    row: &CalendarRow,
    mut changes: Vec<Change>,
    owners: &mut BTreeMap<EventId, Owner>,
) -> Vec<(Change, Owner)> {
    changes.sort_by_key(|change| series_of(change).is_some());
    changes
        .into_iter()
        .map(|change| {
            let (change, owner) = classify(vault, user, row, change, owners);
            if owner != Owner::Person {
                owners.insert(change.id().clone(), owner.clone());
            }
            (change, owner)
        })
        .collect()
}

/// Decides whose an event is, and leaves out what we have no use for.
pub(super) fn classify(
    vault: &Vault,
    user: &User,
    row: &CalendarRow,
    change: Change,
    owners: &BTreeMap<EventId, Owner>,
) -> (Change, Owner) {
    let owner = owner(vault, &user.subject, &row.id, &change, owners);
    let change = match change {
        Change::Live(event) if owner == Owner::Person => Change::Live(Box::new(needed(row.role, *event))),
        change => change,
    };
    (change, owner)
}

/// Ours is an event whose marker was sealed for this very event and calendar (or for the series of which it is an instance),
/// or which we know from earlier to be. An event with a marker that does not belong to it was duplicated or split off by a
/// person and is theirs.
fn owner(
    vault: &Vault,
    subject: &str,
    calendar: &CalendarId,
    change: &Change,
    owners: &BTreeMap<EventId, Owner>,
) -> Owner {
    let series = series_of(change);
    if let Change::Live(event) = change
        && let Some(marker) = &event.marker
    {
        match vault.read_marker(subject, calendar, &event.id, marker) {
            ReadMarker::Ours { key, incarnation } => {
                return Owner::Ours(Provenance { key, incarnation, in_series: false });
            }
            ReadMarker::OtherUser | ReadMarker::OtherInstallation => return Owner::Foreign,
            #[cfg(test)]
            ReadMarker::NotOfThisEvent if planted(Mutant::MarkerAloneOwns) => return Owner::Foreign,
            ReadMarker::NotOfThisEvent | ReadMarker::Unreadable => {}
        }
        if let Some((parent, slot)) = &series
            && let ReadMarker::Ours { key, incarnation } = vault.read_marker(subject, calendar, parent, marker)
        {
            return Owner::Ours(Provenance { key: key.at(*slot), incarnation, in_series: true });
        }
        if let Some((parent, _)) = &series
            && matches!(vault.read_marker(subject, calendar, parent, marker), ReadMarker::OtherUser)
        {
            return Owner::Foreign;
        }
    }
    if let Some(known) = owners.get(change.id()) {
        return known.clone();
    }
    if let Some((parent, slot)) = series
        && let Some(known) = owners.get(&parent)
    {
        return match known {
            Owner::Ours(Provenance { key, incarnation, in_series: _ }) => {
                Owner::Ours(Provenance { key: key.at(slot), incarnation: *incarnation, in_series: true })
            }
            other => other.clone(),
        };
    }
    match change {
        // The plain tag alone: another program of our kind made it.
        Change::Live(event) if event.tagged && event.marker.is_none() => Owner::Foreign,
        _ => Owner::Person,
    }
}

fn series_of(change: &Change) -> Option<(EventId, crate::model::event::Slot)> {
    match change {
        Change::Live(event) => event.series.clone(),
        Change::Gone { id, series, .. } => series.clone().or_else(|| id.as_instance()),
    }
}

/// What a flow from this calendar can need of an event, and no more: of a personal calendar no word, of main no details.
fn needed(role: Role, mut event: Event) -> Event {
    if role != Role::Client {
        event.body.description = None;
        event.body.location = None;
        event.guests = Vec::new();
        event.join_link = None;
    }
    if role == Role::Personal {
        event.body.title = None;
        event.body.colour = None;
    }
    event
}
