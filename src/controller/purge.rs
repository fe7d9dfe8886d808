//! Removes everything we ever wrote, by its markers alone: what stands at Google is asked, not our database, so that it works
//! without one, from an account's token and the keys.
//!
//! Invariant: only an event whose marker was sealed by these keys for this very event and calendar is deleted, under the version
//! that was seen. An event that a person copied or split off from one of ours is theirs.

use super::{
    App,
    accounts::{self, AccessError},
};
use crate::{
    google::{client::Client, error::GoogleError},
    model::{
        calendar::Role,
        event::{Change, Event, Owner},
        id::{CalendarId, EventId},
        item::Provenance,
        plan::ErrorClass,
        secret::Secret,
    },
    store::{StoreError, people::User},
    vault::{Vault, marker::ReadMarker},
};

/// Whose events go.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// Those made for the user with this stable subject.
    User(&'a str),
    /// Those made for anybody by this installation.
    Everybody,
}

/// What a sweep of one calendar came to.
#[derive(Debug, Default)]
pub struct Swept {
    /// How many of ours were found.
    pub found: usize,
    /// What is gone now, and of which item it was; none where it was another user's.
    pub removed: Vec<(EventId, Option<Provenance>)>,
    /// What could not be removed.
    pub behind: Vec<EventId>,
    /// Why; the last reason, where there are several.
    pub why: Option<String>,
}

/// Removes what is ours from one calendar; with `dry`, only counts it. What fails is in the answer, and a second sweep tries again.
///
/// # Errors
/// When the calendar cannot be listed; nothing is removed then.
pub async fn sweep(
    google: &Client,
    vault: &Vault,
    access: &Secret<String>,
    calendar: &CalendarId,
    whose: Whose<'_>,
    dry: bool,
) -> Result<Swept, GoogleError> {
    let mut swept = Swept::default();
    for event in google.tagged(access, calendar, "UTC").await? {
        let Some(provenance) = ours(vault, calendar, &event, whose) else { continue };
        swept.found += 1;
        if dry {
            continue;
        }
        match remove(google, access, calendar, &event).await {
            Ok(()) => swept.removed.push((event.id, provenance)),
            Err(error) => {
                swept.behind.push(event.id);
                swept.why = Some(error.to_string());
            }
        }
    }
    Ok(swept)
}

async fn remove(
    google: &Client,
    access: &Secret<String>,
    calendar: &CalendarId,
    event: &Event,
) -> Result<(), GoogleError> {
    let mut etag = event.etag.clone();
    for _ in 0..3 {
        match google.delete(access, calendar, &event.id, &etag, false).await {
            Ok(()) => return Ok(()),
            Err(error) if error.class() == ErrorClass::AlreadyGone => return Ok(()),
            // Changed since it was listed: it is still the event that its id and marker prove.
            Err(error) if error.class() == ErrorClass::Precondition => {
                match google.get(access, calendar, &event.id, "UTC").await? {
                    Change::Live(now) if now.marker == event.marker => etag = now.etag,
                    Change::Live(_) => return Err(error),
                    Change::Gone { .. } => return Ok(()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(GoogleError::Changed)
}

/// Of which item the event is, if it is an event of its own that we made; instances go with their series.
fn ours(vault: &Vault, calendar: &CalendarId, event: &Event, whose: Whose<'_>) -> Option<Option<Provenance>> {
    let marker = event.marker.as_deref().filter(|_| event.series.is_none())?;
    let subject = match whose {
        Whose::User(subject) => subject,
        Whose::Everybody => "",
    };
    match vault.read_marker(subject, calendar, &event.id, marker) {
        ReadMarker::Ours { key, incarnation } => Some(Some(Provenance { key, incarnation, in_series: false })),
        ReadMarker::OtherUser => matches!(whose, Whose::Everybody).then_some(None),
        _ => None,
    }
}

/// Why a calendar of a user could not be swept.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Google(#[from] GoogleError),
}

/// What the purge of one calendar came to.
#[derive(Debug)]
pub struct Purged {
    /// What the user calls the calendar.
    pub calendar: String,
    pub swept: Result<Swept, PurgeError>,
}

/// Removes everything that was made for a user from all calendars but the personal ones, where nothing ever was. The user is
/// silent afterwards, and nothing is remembered of the items, so that no removal is taken for the person's. What could not be
/// removed is listed as left behind.
///
/// # Errors
/// When our own database fails.
pub async fn user(app: &App, user: &User, dry: bool) -> Result<Vec<Purged>, StoreError> {
    if !dry {
        app.store.forget_items(user.id).await?;
    }
    let mut all = Vec::new();
    for row in app.store.calendars_of(user.id).await?.into_iter().filter(|row| row.role != Role::Personal) {
        let whose = Whose::User(&user.subject);
        let swept = async {
            let access = accounts::access(app, row.token).await?;
            Ok::<_, PurgeError>(sweep(&app.google, &app.vault, &access, &row.id, whose, dry).await?)
        };
        let swept = swept.await;
        for (event, provenance) in swept.iter().flat_map(|swept| &swept.removed) {
            let Some(provenance) = provenance else { continue };
            let gone = Change::Gone { id: event.clone(), series: None, etag: None, told: true };
            app.store.put(row.number, &gone, &Owner::Ours(provenance.clone())).await?;
        }
        match &swept {
            Ok(swept) if !swept.behind.is_empty() => {
                let why = swept.why.as_deref().unwrap_or("Google refuses");
                app.store.note_left_behind(&user.email, &row.id, &swept.behind, why).await?;
            }
            Err(PurgeError::Google(error)) if !dry => {
                let known = app.store.ours_on(row.number).await?;
                app.store.note_left_behind(&user.email, &row.id, &known, &error.to_string()).await?;
            }
            _ => {}
        }
        all.push(Purged { calendar: row.name, swept });
    }
    Ok(all)
}
