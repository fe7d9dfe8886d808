//! Reading events: `events.list`, `events.get`, `events.instances`.
//!
//! A listing is a [`Walk`] over what is stored, page by page; the methods here read parameters, judge tokens and put the
//! answer together.

use serde_json::{Value, json};

use super::{
    Caller,
    http::{ApiError, Request, Response},
    recurrence, render,
    selection::{Selection, Window, flag, instant, positive, wrong},
    state::{Calendar, Object, Role, World},
    sync::{Key, PageToken, SyncToken, full_sync_required, invalid_sync_token, request_digest},
    time::{self, Point},
    walk::{Item, Walk, computed, hidden_invitations},
};

/// The calendar that a caller means by an id or `primary`, and what it may do there.
///
/// # Errors
/// 404 `notFound` for a calendar that does not exist or that the caller cannot see (I02).
pub fn calendar_for(world: &World, caller: &Caller, id: &str) -> Result<(String, Role), ApiError> {
    let id = if id == "primary" { &caller.email } else { id };
    let calendar = world.calendars.get(id).ok_or_else(ApiError::not_found)?;
    let role = calendar.acl.get(&caller.email).ok_or_else(ApiError::not_found)?;
    Ok((calendar.id.clone(), *role))
}

/// `events.list`: a full listing, or with `syncToken` what has changed.
///
/// # Errors
/// 404 for the calendar; 400 for parameters (A04, A08, A09, A20–A22, B03, B04, B07, B10, B12); 410 (B08, B09, B22).
pub fn list(world: &mut World, caller: &Caller, calendar: &str, request: &Request) -> Result<Response, ApiError> {
    let (id, role) = calendar_for(world, caller, calendar)?;
    let calendar = &world.calendars[&id];
    let view = View::read(calendar, request)?;
    let selection = Selection::read(world, request, role)?;
    let sync = match request.param("syncToken") {
        Some(text) => Some(sync_token(world, calendar, &selection, request, text)?),
        None => None,
    };
    let hidden = if selection.show_hidden_invitations { hidden_invitations(world, calendar) } else { Vec::new() };
    let since = sync.as_ref().map(|token| token.since);
    let walk = Walk { world, calendar, role, selection: &selection, hidden: &hidden, since };
    let page = Page::read(world, calendar, &format!("list {id}"), request, || walk.newest())?;
    let (items, last) = if page.is_blank(world) { (Vec::new(), page.after.clone()) } else { walk.items(&page) };
    let rendered: Vec<Value> = items.iter().map(|item| walk.render(&view, item)).collect();
    let mut body = envelope(world, caller, calendar, role, rendered);
    match last {
        None if page.is_blank(world) => page.continue_with(&mut body, None),
        Some(after) => page.continue_with(&mut body, Some(after)),
        None if selection.can_sync() => {
            let token = SyncToken {
                calendar: id.clone(),
                epoch: page.epoch,
                since: page.at,
                issued: world.now().timestamp(),
                digest: selection.sync_digest(request),
            };
            body.insert("nextSyncToken".into(), token.encode().into());
        }
        None => {}
    }
    Ok(Response::json(200, &body.into()))
}

/// `events.get`: also a deleted event (D05), and an instance that is only computed (C07).
///
/// # Errors
/// 404 for the calendar and for an event that it never had, or a slot that is not in the series (C12).
pub fn get(
    world: &mut World,
    caller: &Caller,
    calendar: &str,
    event: &str,
    request: &Request,
) -> Result<Response, ApiError> {
    let (id, role) = calendar_for(world, caller, calendar)?;
    let calendar = &world.calendars[&id];
    let view = View::read(calendar, request)?;
    let (mut body, etag) = match calendar.events.get(event) {
        Some(stored) => (render::event(world, calendar, role, stored, &view.zone), stored.etag()),
        None => {
            let instance = recurrence::instance(calendar, event).ok_or_else(ApiError::not_found)?;
            let master = instance.get("recurringEventId").and_then(Value::as_str).unwrap_or_default();
            let master = &calendar.events[master];
            (render::computed(world, calendar, role, &instance, master, &view.zone), master.etag())
        }
    };
    // E03.
    let known = request.header("if-none-match").unwrap_or_default();
    if known == "*" || known.split(',').any(|given| given.trim() == etag) {
        return Ok(Response::empty(304).with_header("etag", &etag));
    }
    render::limit_attendees(&mut body, view.max_attendees);
    Ok(Response::json(200, &body).with_header("etag", &etag))
}

/// `events.instances`: the slots of one series with its exceptions in their places, ordered by slot. A single event has
/// none.
///
/// # Errors
/// 404 for the calendar and the event; 400 for parameters, among them `syncToken`, which this method does not have (C31).
pub fn instances(
    world: &mut World,
    caller: &Caller,
    calendar: &str,
    event: &str,
    request: &Request,
) -> Result<Response, ApiError> {
    let (id, role) = calendar_for(world, caller, calendar)?;
    let calendar = &world.calendars[&id];
    let view = View::read(calendar, request)?;
    if let Some(token) = request.param("syncToken") {
        return Err(wrong("syncToken", token));
    }
    let show_deleted = flag(request, "showDeleted")?.unwrap_or(false);
    let window = Window::read(request, true)?;
    let original = match request.param("originalStart") {
        Some(text) if text.len() == 10 && text.parse::<chrono::NaiveDate>().is_ok() => {
            Some(time::midnight(text.parse().unwrap_or_default(), time::zone(&calendar.time_zone)))
        }
        _ => instant(request, "originalStart")?,
    };
    let master = calendar.events.get(event).ok_or_else(ApiError::not_found)?;
    let page = Page::read(world, calendar, &format!("instances {id} {event}"), request, || world.last_change())?;
    let zone = &calendar.time_zone;
    let slot_of = |fields: &Object| Point::read(fields.get("originalStartTime"), zone).map(|slot| slot.instant(zone));

    let mut found: Vec<(Key, Item)> = Vec::new();
    if !master.cancelled() && recurrence::is_master(&master.fields) {
        let computed =
            computed(world, calendar, master, &window).into_iter().map(|fields| Item::computed(fields, master));
        // Ids of exceptions begin with their master's, those of guests' single occurrences included.
        let exceptions = calendar.events.values().filter(|stored| stored.text("recurringEventId") == Some(event));
        let stored = exceptions
            .filter(|stored| show_deleted || !stored.cancelled())
            .filter(|stored| window.admits_event(&stored.fields, zone))
            .map(Item::stored);
        for item in computed.chain(stored) {
            let slot = slot_of(item.fields());
            if original.is_none_or(|original| slot == Some(original)) {
                let rank = slot.map_or(0, |slot| slot.timestamp());
                found.push((Key { rank, event: item.id().to_owned(), instance: String::new() }, item));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let start = page.after.as_ref().map_or(0, |after| found.partition_point(|(key, _)| key <= after));
    let given: &[(Key, Item)] =
        if page.is_blank(world) { &[] } else { &found[start..found.len().min(start + page.size)] };
    let items = given.iter().map(|(_, item)| item.render(world, calendar, role, &view)).collect();
    let mut body = envelope(world, caller, calendar, role, items);
    if start + given.len() < found.len() || page.is_blank(world) {
        page.continue_with(&mut body, given.last().map(|(key, _)| key.clone()).or(page.after.clone()));
    }
    Ok(Response::json(200, &body.into()))
}

/// How a caller wants events written.
pub(super) struct View {
    pub(super) zone: String,
    pub(super) max_attendees: Option<usize>,
}

impl View {
    fn read(calendar: &Calendar, request: &Request) -> Result<Self, ApiError> {
        let zone = match request.param("timeZone") {
            Some(name) if name.parse::<chrono_tz::Tz>().is_err() => return Err(wrong("timeZone", name)),
            Some(name) => name.to_owned(),
            None => calendar.time_zone.clone(),
        };
        flag(request, "alwaysIncludeEmail")?;
        Ok(View { zone, max_attendees: positive(request, "maxAttendees")? })
    }
}

/// The page that is asked for.
pub(super) struct Page {
    pub(super) size: usize,
    digest: u64,
    epoch: u32,
    /// The newest change when the walk began.
    pub(super) at: u64,
    number: u32,
    /// The last item of the page before.
    pub(super) after: Option<Key>,
}

impl Page {
    /// Reads `maxResults` and `pageToken`; on a first page `newest` is where a later delta begins.
    fn read(
        world: &World,
        calendar: &Calendar,
        what: &str,
        request: &Request,
        newest: impl FnOnce() -> u64,
    ) -> Result<Self, ApiError> {
        let size = positive(request, "maxResults")?.unwrap_or(250).min(2500);
        let size = if world.settings.page_limit > 0 { size.min(world.settings.page_limit) } else { size };
        let digest = request_digest(what, request);
        let Some(text) = request.param("pageToken") else {
            return Ok(Page { size, digest, epoch: calendar.epoch, at: newest(), number: 0, after: None });
        };
        let PageToken { digest: expected, epoch, at, page: number, after } = PageToken::decode(text)?;
        if expected != digest && world.settings.strict_tokens {
            let message = "A page token belongs to the request it came from.";
            return Err(ApiError::new(400, "invalid", message).at("parameter", "pageToken"));
        }
        Ok(Page { size, digest: expected, epoch, at, number, after })
    }

    /// Whether this page is to be empty though more follow (A05): every other one, beginning with the first.
    fn is_blank(&self, world: &World) -> bool {
        world.settings.empty_pages && self.number.is_multiple_of(2)
    }

    fn continue_with(&self, body: &mut Object, after: Option<Key>) {
        let Page { digest, epoch, at, number, .. } = *self;
        let token = PageToken { digest, epoch, at, page: number + 1, after };
        body.insert("nextPageToken".into(), token.encode().into());
    }
}

/// Reads and judges a sync token.
fn sync_token(
    world: &World,
    calendar: &Calendar,
    selection: &Selection,
    request: &Request,
    text: &str,
) -> Result<SyncToken, ApiError> {
    let forbidden = [
        "iCalUID",
        "orderBy",
        "privateExtendedProperty",
        "q",
        "sharedExtendedProperty",
        "timeMin",
        "timeMax",
        "updatedMin",
    ];
    if forbidden.iter().any(|name| request.param(name).is_some()) || selection.show_deleted == Some(false) {
        let message = "Sync token cannot be used with other request restrictions";
        return Err(ApiError::new(400, "invalid", message).at("parameter", "syncToken"));
    }
    let token = SyncToken::decode(text)?;
    let fits = token.digest == selection.sync_digest(request) || !world.settings.strict_tokens;
    if token.calendar != calendar.id || !fits {
        return Err(invalid_sync_token());
    }
    let age_seconds = world.now().timestamp() - token.issued;
    if token.epoch != calendar.epoch || age_seconds >= world.settings.token_lifetime_seconds {
        return Err(full_sync_required());
    }
    Ok(token)
}

/// The answer around the items (A33).
fn envelope(world: &World, caller: &Caller, calendar: &Calendar, role: Role, items: Vec<Value>) -> Object {
    let updated_us = calendar.events.values().map(|stored| stored.updated_us).max();
    let newest = calendar.events.values().map(|stored| stored.change).max().unwrap_or(0);
    let reminders = match calendar.primary && calendar.owner == caller.email {
        true => json!([{"method": "popup", "minutes": 10}]),
        false => json!([]),
    };
    let mut body = Object::from_iter([
        ("kind".into(), "calendar#events".into()),
        ("etag".into(), format!("\"p33{newest:x}e{:x}\"", calendar.epoch).into()),
        ("summary".into(), calendar.summary.as_str().into()),
        ("updated".into(), render::timestamp(updated_us.unwrap_or(0)).into()),
        ("timeZone".into(), calendar.time_zone.as_str().into()),
        ("accessRole".into(), role.name().into()),
        ("defaultReminders".into(), reminders),
    ]);
    // A31.
    if !items.is_empty() || !world.settings.empty_items_omitted {
        body.insert("items".into(), items.into());
    }
    body
}
