//! What the forms of the page do.

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::{Form, refused};
use crate::emulator::{
    Caller, Core,
    faults::{Fault, Kind},
    http::{ApiError, Request},
    series::{self, Target},
    state::Object,
    time::{self, Point, instant_of, rfc3339},
    write,
};

/// The longest title or list of guests that is taken.
const TEXT_MAX: usize = 1000;
/// Everybody's account at once.
pub const EVERYBODY: &str = "everybody";

/// Carries out one form. Gives the word under which the page tells of it. `zone` is the one of what was typed.
///
/// # Errors
/// What is wrong, as a sentence; nothing is changed then.
pub fn carry_out(core: &mut Core, deed: &str, form: &Form, zone: Tz) -> Result<&'static str, ApiError> {
    match deed {
        "create" => create(core, form, zone),
        "move" => change(core, form, zone),
        "delete" => delete(core, form),
        "answer" => answer(core, form),
        "break" => break_something(core, form),
        "mend" => mend(core, form),
        _ => Err(ApiError::not_found()),
    }
}

fn text<'a>(form: &'a Form, name: &str) -> Result<&'a str, ApiError> {
    let text = form.get(name).map_or("", |text| text.trim());
    if text.len() > TEXT_MAX { Err(refused(format!("That is too long for the field “{name}”."))) } else { Ok(text) }
}

/// The calendar that a form names, and somebody who may do everything there: its owner.
fn calendar(core: &Core, form: &Form) -> Result<(String, Caller), ApiError> {
    let id = text(form, "calendar")?;
    let calendar =
        core.world.calendars.get(id).ok_or_else(|| refused("There is no such calendar. Choose one of the list."))?;
    Ok((calendar.id.clone(), owner(&calendar.owner)))
}

/// An account in front of its own calendar.
pub fn owner(email: &str) -> Caller {
    Caller { email: email.to_owned(), scopes: vec!["https://www.googleapis.com/auth/calendar".into()], client: None }
}

fn request(body: &Value) -> Request {
    Request { body: body.to_string().into_bytes(), ..Request::default() }
}

fn day(form: &Form) -> Result<NaiveDate, ApiError> {
    let text = text(form, "day")?;
    // Far away, arithmetic ends before Google does.
    let near = |day: &NaiveDate| (1900..=2200).contains(&day.year());
    text.parse().ok().filter(near).ok_or_else(|| refused("Choose a day, for example 2026-03-02."))
}

fn hour(form: &Form, name: &str) -> Result<NaiveTime, ApiError> {
    let text = text(form, name)?;
    let read = NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"));
    read.map_err(|_| refused("Give hours as 09:30, both of them, or neither for a whole day."))
}

/// `start` and `end` as typed; whole days where no hours are given, `days` of them.
fn span(core: &Core, calendar: &str, form: &Form, zone: Tz, days: TimeDelta) -> Result<(Value, Value), ApiError> {
    let day = day(form)?;
    if text(form, "from")?.is_empty() && text(form, "to")?.is_empty() {
        // What was a time is none any more.
        let whole = |day: NaiveDate| json!({"date": day.to_string(), "dateTime": null, "timeZone": null});
        return Ok((whole(day), whole(day + days)));
    }
    let (from, to) = (hour(form, "from")?, hour(form, "to")?);
    if to <= from {
        return Err(refused("It ends before it begins. Give a later hour for its end."));
    }
    let own = time::zone(&core.world.calendars[calendar].time_zone);
    let at = |hour: NaiveTime| {
        let instant = instant_of(day.and_time(hour), zone);
        json!({"dateTime": rfc3339(instant, own), "timeZone": own.name(), "date": null})
    };
    Ok((at(from), at(to)))
}

fn create(core: &mut Core, form: &Form, zone: Tz) -> Result<&'static str, ApiError> {
    let (id, caller) = calendar(core, form)?;
    let (start, end) = span(core, &id, form, zone, TimeDelta::days(1))?;
    let mut event = json!({"start": start, "end": end});
    let title = text(form, "title")?;
    if !title.is_empty() {
        event["summary"] = title.into();
    }
    let rule = match text(form, "repeats")? {
        "" | "never" => None,
        "daily" => Some("RRULE:FREQ=DAILY"),
        "workdays" => Some("RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
        "weekly" => Some("RRULE:FREQ=WEEKLY"),
        _ => return Err(refused("It repeats never, daily, on workdays or weekly.")),
    };
    if let Some(rule) = rule {
        event["recurrence"] = json!([rule]);
    }
    let guest = text(form, "guest")?;
    if !guest.is_empty() {
        if !core.world.accounts.contains_key(guest) {
            return Err(refused("There is no such account to invite. Choose one of the list."));
        }
        event["attendees"] = json!([{"email": caller.email, "responseStatus": "accepted"}, {"email": guest}]);
    }
    write::insert(&mut core.world, &caller, &id, &request(&event))?;
    Ok("created")
}

/// The event that a form names, as it stands.
fn target(core: &Core, calendar: &str, form: &Form) -> Result<(String, Target), ApiError> {
    let id = text(form, "event")?.to_owned();
    let found = series::find(&core.world, calendar, &id).filter(|found| !write::is_cancelled(&found.fields));
    let found = found.ok_or_else(|| ApiError::new(404, "notFound", "This event is not there any more."))?;
    Ok((id, found))
}

fn change(core: &mut Core, form: &Form, zone: Tz) -> Result<&'static str, ApiError> {
    let (calendar, caller) = calendar(core, form)?;
    let (id, target) = target(core, &calendar, form)?;
    let (start, end) = span(core, &calendar, form, zone, whole_days(&target.fields))?;
    let body = json!({"summary": text(form, "title")?, "start": start, "end": end});
    write::patch(&mut core.world, &caller, &calendar, &id, &request(&body))?;
    Ok("moved")
}

/// How many days an event takes; one if it is no matter of days.
fn whole_days(event: &Object) -> TimeDelta {
    let day = |name: &str| match Point::read(event.get(name), "UTC") {
        Some(Point::Day(day)) => Some(day),
        _ => None,
    };
    match (day("start"), day("end")) {
        (Some(start), Some(end)) => end - start,
        _ => TimeDelta::days(1),
    }
}

fn delete(core: &mut Core, form: &Form) -> Result<&'static str, ApiError> {
    let (calendar, caller) = calendar(core, form)?;
    let (id, target) = target(core, &calendar, form)?;
    let series = target.fields.get("recurringEventId").and_then(Value::as_str).map(str::to_owned);
    let id = match (text(form, "which")?, series) {
        ("series", Some(series)) => series,
        ("" | "one", _) => id,
        _ => return Err(refused("Delete this one, or the series if it is one of a series.")),
    };
    write::delete(&mut core.world, &caller, &calendar, &id, &Request::default())?;
    Ok("deleted")
}

fn answer(core: &mut Core, form: &Form) -> Result<&'static str, ApiError> {
    let (calendar, caller) = calendar(core, form)?;
    let (id, target) = target(core, &calendar, form)?;
    let word = text(form, "answer")?;
    if !["accepted", "tentative", "declined"].contains(&word) {
        return Err(refused("One answers yes, perhaps or no."));
    }
    let mut guests = target.fields.get("attendees").cloned().unwrap_or(json!([]));
    let own = guests.as_array_mut().and_then(|guests| guests.iter_mut().find(|guest| guest["email"] == caller.email));
    let own = own.ok_or_else(|| refused("Nobody asked this account whether it comes."))?;
    own["responseStatus"] = word.into();
    write::patch(&mut core.world, &caller, &calendar, &id, &request(&json!({"attendees": guests})))?;
    Ok("answered")
}

fn break_something(core: &mut Core, form: &Form) -> Result<&'static str, ApiError> {
    let who = text(form, "account")?;
    let account = (who != EVERYBODY).then(|| who.to_owned());
    if let Some(account) = &account
        && !core.world.accounts.contains_key(account)
    {
        return Err(refused("There is no such account. Choose one of the list."));
    }
    let status = |status| Fault {
        path: Some("/calendar/".into()),
        account: account.clone(),
        status: Some(status),
        ..Fault::of(Kind::Status)
    };
    let fault = match (text(form, "what")?, &account) {
        ("revoke", None) => return Err(refused("Access is revoked account by account. Choose one.")),
        ("revoke", Some(account)) => {
            core.oauth.revoke_account(account);
            return Ok("revoked");
        }
        ("expire", account) => {
            let hit = |owner: &String| account.as_ref().is_none_or(|account| account == owner);
            core.world.calendars.values_mut().filter(|calendar| hit(&calendar.owner)).for_each(|c| c.epoch += 1);
            return Ok("expired");
        }
        ("limit", _) => Fault { retry_after: Some(5), ..status(429) },
        ("outage", _) => status(503),
        ("slow", account) => Fault {
            path: Some("/calendar/".into()),
            account: account.clone(),
            delay_ms: Some(2000),
            ..Fault::of(Kind::Delay)
        },
        _ => return Err(refused("There is nothing of that name to break.")),
    };
    core.faults.add(fault).map_err(refused)?;
    Ok("broken")
}

fn mend(core: &mut Core, form: &Form) -> Result<&'static str, ApiError> {
    match text(form, "fault")? {
        "all" => core.faults.clear(),
        number => {
            let found = number.parse().is_ok_and(|number| core.faults.remove(number));
            if !found {
                return Err(ApiError::new(404, "notFound", "That is mended already."));
            }
        }
    }
    Ok("mended")
}
