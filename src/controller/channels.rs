//! Opens and closes webhook channels as [`crate::planner::channels`] plans it.
//!
//! Invariants: the token of a channel is known to Google and, as a hash, to us, and to nobody else; a channel is noted before its
//! notifications count; what cannot be opened now is asked again later and later, and the calendar is read by the timetable
//! meanwhile. A crash between opening and noting leaves a channel that nobody listens to and that ends by itself.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tracing::{debug, warn};

use super::{
    App,
    accounts::{self, AccessError},
    bell::Bell,
};
use crate::{
    google::{client::Watch, error::GoogleError},
    model::{id::UserId, secret::Secret},
    planner::channels::{self, ChannelStep},
    store::{
        StoreError,
        channels::{ChannelRow, NewChannel},
    },
};

/// What channels are asked to live; Google may give less.
const LIFE: TimeDelta = TimeDelta::days(7);

/// Channels that are opened or closed at once.
const AT_ONCE: usize = 4;

/// What came of bringing channels in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub opened: usize,
    pub closed: usize,
    /// Calendars that have a channel.
    pub well: Vec<(UserId, i64)>,
    /// Calendars for which no channel could be opened, and how often in a row.
    pub refused: BTreeMap<i64, u32>,
}

/// Why a channel could not be opened or closed.
#[derive(Debug, thiserror::Error)]
enum ChannelError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Google(#[from] GoogleError),
    #[error("this machine gives no random numbers")]
    Random,
}

/// Brings channels in order: every connected calendar has one that rings at `address`. `doubted` are calendars of which a reading
/// found what no channel had told, with the time of it. Without an address all channels are closed. Writes nothing where all is
/// in order.
///
/// # Errors
/// When our own database fails; what Google refuses is in the answer.
pub async fn bring_in_order(
    app: &App,
    bell: &Bell,
    address: Option<&str>,
    doubted: &BTreeMap<i64, DateTime<Utc>>,
) -> Result<Done, StoreError> {
    let mut wanting = match address {
        Some(_) if !app.store.is_paused().await? => app.store.wanting_channels().await?,
        // A pause is silence, and what Google opened ends by itself.
        Some(_) => return Ok(Done::default()),
        None => Vec::new(),
    };
    for one in &mut wanting {
        one.doubted = doubted.get(&one.calendar).copied();
    }
    let rows = app.store.channels().await?;
    let planned: Vec<_> = rows.iter().map(ChannelRow::planned).collect();
    let steps = channels::plan(&wanting, &planned, app.clock.now());
    let (quiet, address) = (steps.is_empty(), address.unwrap_or_default());
    let work = steps.into_iter().map(|step| one(app, step, &rows, address));
    // One account that Google keeps waiting holds up no other.
    let mut work = stream::iter(work).buffer_unordered(AT_ONCE.min(app.google.at_once()));
    let mut done = Done::default();
    while let Some(came) = work.next().await {
        match came? {
            Came::Opened => done.opened += 1,
            Came::Closed => done.closed += 1,
            Came::Refused(calendar, tries) => {
                done.refused.insert(calendar, tries);
            }
            Came::Nothing => {}
        }
    }
    drop(work);
    let rows = if quiet { rows } else { app.store.channels().await? };
    done.well = rows.iter().map(|row| (row.user, row.calendar)).collect();
    bell.know(rows);
    Ok(done)
}

/// What came of one step.
enum Came {
    Opened,
    Closed,
    /// The calendar, and how often in a row.
    Refused(i64, u32),
    Nothing,
}

async fn one(app: &App, step: ChannelStep, rows: &[ChannelRow], address: &str) -> Result<Came, StoreError> {
    if app.stop.is_asked() {
        return Ok(Came::Nothing);
    }
    match step {
        ChannelStep::Open(calendar) => match open(app, calendar, address).await {
            Ok(()) => Ok(Came::Opened),
            Err(ChannelError::Store(error) | ChannelError::Access(AccessError::Store(error))) => Err(error),
            Err(error) => Ok(Came::Refused(calendar, refused(app, calendar, &error).await?)),
        },
        ChannelStep::Close(number) => match rows.iter().find(|row| row.number == number) {
            Some(row) => close(app, row).await.map(|()| Came::Closed),
            None => Ok(Came::Nothing),
        },
        ChannelStep::Drop(number) => app.store.drop_channel(number).await.map(|()| Came::Nothing),
    }
}

async fn open(app: &App, calendar: i64, address: &str) -> Result<(), ChannelError> {
    let Some(row) = app.store.calendar(calendar).await? else { return Ok(()) };
    let (id, token) = (random()?, random()?);
    let access = accounts::access(app, row.token).await?;
    let watch = Watch { id: id.clone(), address: address.to_owned(), token: Secret::new(token.clone()), life: LIFE };
    let watched = app.google.watch(&access, &row.id, &watch).await?;
    let token_hash = Sha256::digest(token.as_bytes()).into();
    let new = NewChannel { calendar, id: &id, token_hash, resource: &watched.resource, ends: watched.ends };
    app.store.channel_opened(&new).await?;
    debug!(calendar, "a webhook channel is open");
    Ok(())
}

/// Closes a channel at Google as far as that is possible, and forgets it: one that rings on for nobody ends by itself.
async fn close(app: &App, row: &ChannelRow) -> Result<(), StoreError> {
    let token = app.store.token_of_calendar(row.calendar).await?;
    if let Some(token) = token
        && let Ok(access) = accounts::access(app, token).await
        && let Err(error) = app.google.stop(&access, &row.id, &row.resource).await
    {
        debug!(calendar = row.calendar, "a webhook channel could not be closed, and ends by itself: {error}");
    }
    app.store.drop_channel(row.number).await
}

/// Notes that no channel could be opened; gives how often in a row.
async fn refused(app: &App, calendar: i64, error: &ChannelError) -> Result<u32, StoreError> {
    let never = matches!(error, ChannelError::Google(error) if error.is_push_unsupported());
    let before = app.store.channel_trouble(calendar).await?;
    let wait = match never {
        true => TimeDelta::days(30),
        // 1, 2, 4 … minutes, at most six hours.
        false => TimeDelta::minutes(1i64 << before.min(9)).min(TimeDelta::hours(6)),
    };
    warn!(calendar, "no webhook channel can be opened; the calendar is read every few minutes meanwhile: {error}");
    let tries = app.store.channel_refused(calendar, &error.to_string(), wait).await?;
    // A calendar that never rings is nobody's trouble.
    Ok(if never { 0 } else { tries })
}

/// 256 bits that nobody can guess, as text.
fn random() -> Result<String, ChannelError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| ChannelError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
