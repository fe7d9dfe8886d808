//! Events that Google holds before anybody asks: what a seed file or a test puts on a calendar.

use serde_json::{Value, json};

use super::{
    guests,
    http::ApiError,
    kinds, merge, recurrence, series, shape,
    state::{Object, World},
    validate::{self, Strictness, moment},
    write,
};

/// Stores an event, given as Google's JSON, as if this calendar's owner had made it or been invited to it.
///
/// Beyond what `events.insert` takes: any id that Google itself could have, an iCalUID, a foreign organizer, the owner among
/// the attendees with an answer, `status: cancelled` (then even without times), a sequence, `created`, `creator`, `locked`,
/// every event type, and an exception by `recurringEventId` with `originalStartTime`, whose id is derived when absent.
/// Guests with accounts here get their copies when the event's organizer is this very calendar. Returns the id.
///
/// # Errors
/// 404 for an unknown calendar, 409 for an id that it has already, 400 as `events.insert`.
pub fn seed(world: &mut World, calendar_id: &str, event: Object) -> Result<String, ApiError> {
    let calendar = world.calendars.get(calendar_id).ok_or_else(ApiError::not_found)?;
    let (zone, owner) = (calendar.time_zone.clone(), calendar.owner.clone());
    let mut event = merge::without_nulls(&shape::seeded(&event)?);
    let original = match event.get("originalStartTime") {
        Some(_) => Some(moment(event.get("originalStartTime"), "original start", &zone)?),
        None => None,
    };
    if let Some(original) = &original {
        event.insert("originalStartTime".into(), original.json());
    }
    let series_id = write::text(&event, "recurringEventId").map(str::to_owned);
    let id = match (write::text(&event, "id"), &series_id, &original) {
        (Some(id), ..) => id.to_owned(),
        (None, Some(series), Some(original)) => format!("{series}_{}", series::stamp(original)),
        (None, Some(_), None) => return Err(ApiError::new(400, "required", "Missing original start time.")),
        (None, None, _) => world.new_event_id(),
    };
    if id.is_empty() || id.len() > 1024 || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-@.".contains(&b)) {
        return Err(ApiError::new(400, "invalid", "Invalid resource id value."));
    }
    let calendar = &world.calendars[calendar_id];
    // A cancelled occurrence may be given by its slot alone.
    if write::is_cancelled(&event)
        && !event.contains_key("start")
        && let Some(mut whole) = recurrence::instance(calendar, &id)
    {
        merge::patch(&mut whole, &event);
        event = whole;
    }
    if calendar.events.contains_key(&id) {
        return Err(ApiError::new(409, "duplicate", format!("The calendar has an event {id} already.")));
    }
    let uid = series_id.and_then(|series| calendar.events.get(&series)?.text("iCalUID").map(str::to_owned));
    event.entry("iCalUID").or_insert_with(|| uid.unwrap_or_else(|| format!("{id}@google.com")).into());
    event.insert("id".into(), id.as_str().into());
    let organizer = match kinds::of(&event) {
        "outOfOffice" => json!({"email": kinds::NOBODY}),
        _ => write::organizer(world, calendar_id),
    };
    event.entry("organizer").or_insert(organizer);
    event.entry("eventType").or_insert("default".into());
    event.entry("creator").or_insert_with(|| json!({"email": owner}));
    event.entry("created").or_insert_with(|| write::created(world));
    event.entry("sequence").or_insert(json!(0));
    event.remove("attendeesOmitted");
    if let Some(Value::String(email)) = event.get_mut("organizer").and_then(|o| o.get_mut("email")) {
        *email = email.to_lowercase();
    }
    if event.contains_key("start") || !write::is_cancelled(&event) {
        write::check(world, calendar_id, &mut event, Strictness::Held)?;
        kinds::held(&mut event)?;
    }
    validate::property_limits(&event, guests::private_load(world, calendar_id, &event))?;
    if guests::is_organizer(calendar_id, &event) {
        write::commit(world, calendar_id, None, event, true);
    } else {
        series::store(world, calendar_id, event, true);
    }
    Ok(id)
}
