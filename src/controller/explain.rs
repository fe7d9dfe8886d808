//! What stands where, and why, for its owner: answers come from the planner's own decisions.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{App, observe};
use crate::{
    model::{
        body::When,
        calendar::Role,
        event::{OriginKey, Slot},
        id::{CalendarId, EventId},
        item::{ItemKey, ObservedState},
        snapshot::{Origin, Snapshot},
    },
    planner::{
        render::{self, Lens},
        why,
    },
    store::{StoreError, calendars::CalendarRow, people::User},
};

/// Writes of one item that are told.
const TOLD: usize = 20;

/// Something that stands on a calendar.
#[derive(Clone, Debug)]
pub struct Shown {
    pub event: EventId,
    pub slot: Option<Slot>,
    pub title: String,
    pub when: String,
    pub start: DateTime<Utc>,
    pub repeats: bool,
    pub free: bool,
}

/// What a calendar holds that is still to come, at most `limit` of each: what we keep there, and what people made.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub ours: Vec<Shown>,
    pub theirs: Vec<Shown>,
    /// How many there are in all.
    pub n_ours: usize,
    pub n_theirs: usize,
}

/// What a calendar holds.
///
/// # Errors
/// When our own database fails.
pub async fn content(app: &App, user: &User, row: &CalendarRow, limit: usize) -> Result<Content, StoreError> {
    let snapshot = known(app, user).await?;
    let (zone, from) = (zone_of(&snapshot), snapshot.now - TimeDelta::hours(12));
    let shown = |event: &EventId, slot: Option<Slot>, body: &crate::model::body::Body| Shown {
        event: event.clone(),
        slot,
        title: body.title.clone().unwrap_or_else(|| "(untitled)".into()),
        when: render::span(&body.when, zone, snapshot.now),
        start: start(&body.when),
        repeats: !body.recurrence.is_empty(),
        free: body.free,
    };
    let mut content = Content::default();
    for (key, observed) in snapshot.observed.iter().filter(|(key, _)| key.target == row.id) {
        for one in observed {
            if let ObservedState::Live { body, .. } = &one.state {
                content.ours.push(shown(&one.event, key.origin.instance, body));
            }
        }
    }
    for (event, family) in snapshot.origins.get(&row.id).into_iter().flatten() {
        let live = |origin: &Origin| match origin {
            Origin::Live(event) => Some(event.body.clone()),
            Origin::Gone => None,
        };
        content.theirs.extend(family.head.as_ref().and_then(live).map(|body| shown(event, None, &body)));
        for (slot, origin) in &family.exceptions {
            content.theirs.extend(live(origin).map(|body| shown(event, Some(*slot), &body)));
        }
    }
    (content.n_ours, content.n_theirs) = (content.ours.len(), content.theirs.len());
    for list in [&mut content.ours, &mut content.theirs] {
        // What repeats goes on, whenever it began.
        list.retain(|shown| shown.repeats || shown.start >= from);
        list.sort_by(|a, b| (a.start, &a.event).cmp(&(b.start, &b.event)));
        list.truncate(limit);
    }
    Ok(content)
}

fn start(when: &When) -> DateTime<Utc> {
    when.start()
}

/// Why an event of ours stands on a calendar, a sentence a line; none: it is none of ours.
///
/// # Errors
/// When our own database fails.
pub async fn why(app: &App, user: &User, row: &CalendarRow, event: &EventId) -> Result<Option<String>, StoreError> {
    let snapshot = known(app, user).await?;
    let Some(because) = why::why(&snapshot, &row.id, event) else { return Ok(None) };
    let written = app.store.writes_of(&snapshot.ids.item_id(&because.key), TOLD).await?;
    Ok(Some(why::because(&snapshot, &because, &written, Lens::Owner)))
}

/// What of an event of one calendar is to be seen on each of the others, and why not: name and sentences.
///
/// # Errors
/// When our own database fails.
pub async fn spread(
    app: &App,
    user: &User,
    row: &CalendarRow,
    event: &EventId,
    slot: Option<Slot>,
) -> Result<Vec<(String, String)>, StoreError> {
    let snapshot = known(app, user).await?;
    let origin = OriginKey { calendar: row.id.clone(), event: event.clone(), instance: slot };
    let mut told = Vec::new();
    let mut targets: Vec<(&CalendarId, &str)> =
        snapshot.calendars.values().map(|calendar| (&calendar.id, calendar.name.as_str())).collect();
    targets.retain(|(id, _)| **id != row.id);
    targets.sort_by_key(|(_, name)| *name);
    for (target, name) in targets {
        let absence = why::why_not(&snapshot, &origin, target);
        let key = ItemKey { target: target.clone(), origin: origin.clone() };
        let written = app.store.writes_of(&snapshot.ids.item_id(&key), TOLD).await?;
        let history = why::history(&written, zone_of(&snapshot), snapshot.now);
        told.push((name.to_owned(), format!("{}\n{history}", why::absence(&snapshot, &absence))));
    }
    Ok(told)
}

/// The colours that a person chose for calendars on their main one.
///
/// # Errors
/// When our own database fails.
pub async fn colours(app: &App, user: &User) -> Result<BTreeMap<CalendarId, String>, StoreError> {
    let snapshot = known(app, user).await?;
    let main = snapshot.calendars.values().find(|calendar| calendar.role == Role::Main);
    let Some(main) = main.map(|calendar| calendar.id.clone()) else { return Ok(BTreeMap::new()) };
    let flows = snapshot.flows.into_iter().filter(|flow| flow.target == main);
    Ok(flows.filter_map(|flow| Some((flow.source, flow.shape.colour?))).collect())
}

/// What is known without asking Google.
async fn known(app: &App, user: &User) -> Result<Snapshot, StoreError> {
    let freshness = observe::as_of_last_time(app, user).await?;
    app.store.snapshot(user.id, &freshness, app.policy.clone()).await
}

/// The zone of the main calendar.
fn zone_of(snapshot: &Snapshot) -> Tz {
    let main = snapshot.calendars.values().find(|calendar| calendar.role == Role::Main);
    main.and_then(|calendar| calendar.zone.parse().ok()).unwrap_or(Tz::UTC)
}
