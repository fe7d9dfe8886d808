//! `freeBusy.query`: when calendars are busy, without a word about why (checklist I08–I11).

use chrono::{DateTime, Months, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::{
    Caller,
    http::{ApiError, Request, Response},
    recurrence::{at_slot, is_master, slots},
    state::{Calendar, Object, World},
    time::{end_instant, rfc3339, start_instant},
};

/// Calendars that one query may ask for.
const CALENDARS_MAX: usize = 50;
/// Months that one query may span: observed as "about three".
const MONTHS_MAX: u32 = 3;
/// Instances of one series looked at: a minutely series fills three months with fewer.
const INSTANCES_MAX: usize = 200_000;

/// A stretch of time, its end exclusive.
type Span = (DateTime<Utc>, DateTime<Utc>);

/// Answers the query.
///
/// # Errors
/// 400 for a missing or impossible range. What is wrong with one calendar stands with that calendar, in a 200.
pub fn query(world: &World, caller: &Caller, request: &Request) -> Result<Response, ApiError> {
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|_| ApiError::new(400, "parseError", "Parse Error"))?;
    let (from, to) = (bound(&body, "timeMin")?, bound(&body, "timeMax")?);
    if to <= from {
        let message = "The specified time range is empty.";
        return Err(ApiError::new(400, "timeRangeEmpty", message).domain("calendar").at("parameter", "timeMax"));
    }
    if from.checked_add_months(Months::new(MONTHS_MAX)).is_some_and(|end| to > end) {
        let message = "The requested time range is too long.";
        return Err(ApiError::new(400, "timeRangeTooLong", message).domain("calendar").at("parameter", "timeRange"));
    }
    let zone = match body["timeZone"].as_str() {
        None => Tz::UTC,
        Some(name) => name.parse().map_err(|_| ApiError::new(400, "invalid", "Invalid time zone"))?,
    };
    let items = body["items"].as_array().cloned().unwrap_or_default();
    let most = body["calendarExpansionMax"].as_u64().map_or(CALENDARS_MAX, |n| CALENDARS_MAX.min(n as usize));
    let failure = |reason: &str| json!({"errors": [{"domain": "global", "reason": reason}], "busy": []});
    let mut calendars = Map::new();
    for id in items.iter().filter_map(|item| item["id"].as_str()) {
        let own = if id == "primary" { caller.email.as_str() } else { id };
        let seen = world.calendars.get(own).filter(|c| c.acl.contains_key(&caller.email));
        let entry = match seen {
            // The reason is about the query, so it stands with every calendar of it.
            _ if items.len() > most => failure("tooManyCalendarsRequested"),
            None => failure("notFound"),
            Some(calendar) => {
                let busy = busy(calendar, from, to).into_iter();
                let busy = busy.map(|(start, end)| json!({"start": rfc3339(start, zone), "end": rfc3339(end, zone)}));
                json!({"busy": busy.collect::<Vec<_>>()})
            }
        };
        calendars.insert(id.into(), entry);
    }
    let utc = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let answer = json!({"kind": "calendar#freeBusy", "timeMin": utc(from), "timeMax": utc(to), "calendars": calendars});
    Ok(Response::json(200, &answer))
}

fn bound(body: &Value, name: &'static str) -> Result<DateTime<Utc>, ApiError> {
    let text = body[name].as_str().ok_or_else(|| ApiError::new(400, "required", "Required").at("parameter", name))?;
    let at = DateTime::parse_from_rfc3339(text);
    Ok(at.map_err(|_| ApiError::new(400, "badRequest", "Bad Request").at("parameter", name))?.to_utc())
}

/// When a calendar is busy between two instants: overlapping stretches joined, and cut to the range.
pub fn busy(calendar: &Calendar, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<Span> {
    let zone = &calendar.time_zone;
    let mut spans: Vec<Span> = Vec::new();
    let mut add = |event: &Object| {
        if let (Some(start), Some(end)) = (start_instant(event, zone), end_instant(event, zone))
            && start < to
            && end > from
        {
            spans.push((start.max(from), end.min(to)));
        }
    };
    for stored in calendar.events.values().filter(|s| !s.cancelled()) {
        let event = &stored.fields;
        if !is_master(event) {
            if blocks(calendar, event) {
                add(event);
            }
            continue;
        }
        if !blocks(calendar, event) {
            continue;
        }
        let length = start_instant(event, zone).zip(end_instant(event, zone)).map(|(start, end)| end - start);
        let reach = from - length.unwrap_or_default();
        for slot in slots(event, zone, reach, to, INSTANCES_MAX) {
            let instance = at_slot(event, zone, &slot);
            // What is stored in its place says for itself whether it blocks.
            let replaced = instance["id"].as_str().is_some_and(|id| calendar.events.contains_key(id));
            if !replaced {
                add(&instance);
            }
        }
    }
    spans.sort();
    let mut joined: Vec<Span> = Vec::new();
    for (start, end) in spans {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// Whether an event takes its time: not when it is shown as free, nor when the calendar's own person declined (I11).
fn blocks(calendar: &Calendar, event: &Object) -> bool {
    let own = |guest: &&Value| guest["email"] == calendar.id.as_str() || guest["self"] == true;
    let declined = event.get("attendees").and_then(Value::as_array).into_iter().flatten().find(own);
    let free_type = matches!(event.get("eventType").and_then(Value::as_str), Some("workingLocation" | "birthday"));
    event.get("transparency").and_then(Value::as_str) != Some("transparent")
        && !free_type
        && declined.is_none_or(|guest| guest["responseStatus"] != "declined")
}
