//! What a person does to events in Google's own pages and no API call does: duplicate an event, change "this and following
//! events" (checklist C16–C18, C20, F11, F12), answer an invitation in the mail (G02).

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Core, guests,
    http::{ApiError, Request, Response},
    merge,
    recurrence::{self, Slot},
    series,
    state::{Object, World},
    time::{self, instant_of},
    write::{self, commit},
};

/// Answers `POST /_emulator/calendars/{id}/events/{event}/…` — `duplicate`, `split?at=STAMP`, `answer?status=accepted` —
/// with `{"id": …}` of the event that came of it; none for any other path. `segments` follow `/_emulator/`, decoded.
pub fn control(core: &mut Core, segments: &[&str], request: &Request) -> Option<Response> {
    let ["calendars", calendar, "events", event, deed] = segments else { return None };
    if request.method != "POST" {
        return None;
    }
    let world = &mut core.world;
    let outcome = match *deed {
        "duplicate" => ui_duplicate(world, calendar, event),
        "split" => ui_split(world, calendar, event, request.param("at").unwrap_or_default()),
        "answer" => {
            let status = request.param("status").unwrap_or("accepted");
            guests::answer_mail(world, calendar, event, status).map(|()| (*event).to_owned())
        }
        _ => return None,
    };
    Some(match outcome {
        Ok(id) => Response::json(200, &json!({"id": id})),
        Err(refusal) => refusal.response(),
    })
}

/// Duplicates an event or one occurrence, as the menu of the web pages does: everything is copied, private properties
/// included (F11), under a new id and iCalUID. Guests of one's own event are invited to the duplicate; somebody else's
/// event becomes one's own, without guests. Returns the new id.
///
/// # Errors
/// 404 for an event that the calendar does not have.
pub fn ui_duplicate(world: &mut World, calendar_id: &str, event_id: &str) -> Result<String, ApiError> {
    let target = series::find(world, calendar_id, event_id).filter(|t| !write::is_cancelled(&t.fields));
    let mut event = target.ok_or_else(ApiError::not_found)?.fields;
    let foreign = !guests::is_organizer(calendar_id, &event);
    for name in ["recurringEventId", "originalStartTime", "privateCopy", "locked", "source", "hangoutLink"] {
        event.remove(name);
    }
    event.remove("conferenceData");
    if foreign {
        event.remove("attendees");
        event.insert("organizer".into(), write::organizer(world, calendar_id));
    }
    for entry in event.get_mut("attendees").and_then(Value::as_array_mut).into_iter().flatten() {
        entry["responseStatus"] = "needsAction".into();
    }
    let id = world.new_event_id();
    event.insert("id".into(), id.as_str().into());
    event.insert("iCalUID".into(), format!("{id}@google.com").into());
    event.insert("creator".into(), json!({"email": world.calendars[calendar_id].owner}));
    event.insert("created".into(), write::created(world));
    event.insert("sequence".into(), json!(0));
    commit(world, calendar_id, None, event, true);
    Ok(id)
}

/// Splits a series at a slot, as "this and following events" does. The old master ends before the slot (UNTIL), a new one
/// `<base>_R<stamp>` goes on from there with the same private properties (F12), and exceptions from the slot on are
/// cancelled (C17). `slot_stamp` is the ending of the occurrence's id (`20260316T080000Z`, `20260316`). A split at the
/// first occurrence is an edit of the whole series and changes nothing here (C20). Returns the id of the master that holds
/// the slot.
///
/// # Errors
/// 404 for an unknown series or a slot that is not in it.
pub fn ui_split(world: &mut World, calendar_id: &str, master_id: &str, slot_stamp: &str) -> Result<String, ApiError> {
    let calendar = world.calendars.get(calendar_id).ok_or_else(ApiError::not_found)?;
    let zone = calendar.time_zone.clone();
    let master = calendar.events.get(master_id).filter(|s| !s.cancelled() && s.fields.contains_key("recurrence"));
    let old = master.ok_or_else(ApiError::not_found)?.fields.clone();
    let at = instant_of_stamp(slot_stamp, &zone).ok_or_else(ApiError::not_found)?;
    let slots = recurrence::slots(&old, &zone, None, Some(at + TimeDelta::seconds(1)), usize::MAX);
    let position =
        slots.iter().position(|slot| recurrence::stamp(slot) == slot_stamp).ok_or_else(ApiError::not_found)?;
    if position == 0 {
        return Ok(master_id.to_owned());
    }
    let (slot, previous) = (&slots[position], &slots[position - 1]);

    // A second split replaces the ending of the first (C18).
    let base = master_id.split_once("_R").map_or(master_id, |(base, _)| base);
    let id = format!("{base}_R{}", slot_stamp.trim_end_matches('Z'));
    let (before, after) = divide(&old, slot, previous, &zone);
    let mut first = old.clone();
    first.insert("recurrence".into(), before);
    let mut second = old.clone();
    second.insert("recurrence".into(), after);
    if let (Some(start), Some(end)) = (series::instant(old.get("start"), &zone), series::instant(old.get("end"), &zone))
    {
        series::place(&mut second, &old, slot, end - start);
    }
    second.insert("id".into(), id.as_str().into());
    second.insert("iCalUID".into(), format!("{id}@google.com").into());
    second.insert("created".into(), write::created(world));

    for exception in series::exceptions(world, calendar_id, master_id) {
        let late = series::instant(exception.get("originalStartTime"), &zone).is_some_and(|original| original >= at);
        if late && !write::is_cancelled(&exception) {
            let mut gone = exception.clone();
            gone.insert("status".into(), "cancelled".into());
            commit(world, calendar_id, Some(&exception), gone, true);
        }
    }
    commit(world, calendar_id, Some(&old), first, true);
    commit(world, calendar_id, None, second, true);
    Ok(id)
}

fn instant_of_stamp(stamp: &str, calendar_zone: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%SZ").map(|utc| utc.and_utc()).ok().or_else(|| {
        let day = NaiveDate::parse_from_str(stamp, "%Y%m%d").ok()?;
        Some(time::midnight(day, time::zone(calendar_zone)))
    })
}

/// The recurrence lines before a slot and from it on.
fn divide(master: &Object, slot: &Slot, previous: &Slot, calendar_zone: &str) -> (Value, Value) {
    let lines = master.get("recurrence").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for line in lines.iter().filter_map(Value::as_str) {
        let (head, value) = line.split_once(':').unwrap_or((line, ""));
        if head.starts_with("RRULE") || head.starts_with("EXRULE") {
            let parts = |drop: &[&str]| -> Vec<&str> {
                value.split(';').filter(|part| !drop.iter().any(|name| part.starts_with(name))).collect()
            };
            let mut ended = parts(&["UNTIL=", "COUNT="]).join(";");
            ended.push_str(&format!(";UNTIL={}", until(master, slot, previous, calendar_zone)));
            before.push(format!("{head}:{ended}"));
            match value.split(';').find_map(|part| part.strip_prefix("COUNT=")?.parse::<usize>().ok()) {
                Some(count) => {
                    let rest = count.saturating_sub(made_by_rule(master, line, slot, calendar_zone));
                    after.push(format!("{head}:{};COUNT={rest}", parts(&["COUNT="]).join(";")));
                }
                None => after.push(line.to_owned()),
            }
            continue;
        }
        // RDATE and EXDATE: each value goes to its side. A local time is meant in the series' zone.
        let named = head.split(';').find_map(|part| part.strip_prefix("TZID="));
        let zone = named.unwrap_or_else(|| series_zone(master, calendar_zone));
        let (early, late): (Vec<&str>, Vec<&str>) = value.split(',').partition(|date| is_before(date, zone, slot));
        for (dates, side) in [(early, &mut before), (late, &mut after)] {
            if !dates.is_empty() {
                side.push(format!("{head}:{}", dates.join(",")));
            }
        }
    }
    (before.into(), after.into())
}

/// The zone in which a series is expanded; an all-day one lies in its calendar's.
fn series_zone<'a>(master: &'a Object, calendar_zone: &'a str) -> &'a str {
    master.get("start").and_then(|s| s.get("timeZone")).and_then(Value::as_str).unwrap_or(calendar_zone)
}

/// Whether a value of RDATE or EXDATE lies before the slot; a bare day is compared with the slot's day.
fn is_before(value: &str, zone: &str, slot: &Slot) -> bool {
    let first = value.split('/').next().unwrap_or(value);
    if let Ok(day) = NaiveDate::parse_from_str(first, "%Y%m%d") {
        return day < slot.day.unwrap_or_else(|| slot.start.with_timezone(&time::zone(zone)).date_naive());
    }
    let instant = match NaiveDateTime::parse_from_str(first, "%Y%m%dT%H%M%S") {
        Ok(local) => Some(instant_of(local, time::zone(zone))),
        Err(_) => instant_of_stamp(first, zone),
    };
    instant.is_some_and(|instant| instant < slot.start)
}

/// How many occurrences the rule alone makes before the slot: EXDATEs count against COUNT, RDATEs do not.
fn made_by_rule(master: &Object, rule: &str, slot: &Slot, calendar_zone: &str) -> usize {
    let mut bare = master.clone();
    merge::patch(&mut bare, &Object::from_iter([("recurrence".into(), json!([rule]))]));
    recurrence::slots(&bare, calendar_zone, None, Some(slot.start), usize::MAX).len()
}

/// The end of the day before the slot in the series' zone, as Google writes it; on a day with an earlier occurrence, the
/// second before the slot.
fn until(master: &Object, slot: &Slot, previous: &Slot, calendar_zone: &str) -> String {
    if let Some(day) = slot.day {
        return (day - TimeDelta::days(1)).format("%Y%m%d").to_string();
    }
    let zone = time::zone(series_zone(master, calendar_zone));
    let midnight = time::midnight(slot.start.with_timezone(&zone).date_naive(), zone);
    let end = if previous.start < midnight { midnight } else { slot.start } - TimeDelta::seconds(1);
    end.format("%Y%m%dT%H%M%SZ").to_string()
}
