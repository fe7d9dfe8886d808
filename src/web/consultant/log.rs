//! The log with its filters: a filtered view is a link.

use chrono::{NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use salvo::{Depot, Request, Response, handler};

use super::super::{
    ctx::{self, Ctx},
    error::{Refusal, urlencode},
};
use crate::{
    model::id::UserId,
    pages::consultant::{Log, LogLine, State},
    store::{
        calendars::CalendarRow,
        log::{LogFilter, Logged},
    },
};

/// Lines of a page.
const LINES: usize = 50;

/// What the address asks for.
pub struct Asked {
    pub filter: LogFilter,
    pub status: String,
    pub action: String,
    pub calendar: String,
    pub person: String,
    pub from: String,
    pub to: String,
}

/// Reads the filters of an address, in this zone.
///
/// # Errors
/// A refusal for what makes no sense.
pub fn asked(req: &Request, zone: Tz) -> Result<Asked, Refusal> {
    let bad =
        |field| Refusal::malformed("invalid_query", "A filter makes no sense. Choose from the form.").of_field(field);
    let word = |name: &str| req.queries().get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let (status, action, calendar, person) = (word("status"), word("action"), word("calendar"), word("user"));
    let (from, to, before) = (word("from"), word("to"), word("before"));
    let number = |text: &str, field| match text {
        "" => Ok(None),
        text => text.parse::<i64>().map(Some).map_err(|_| bad(field)),
    };
    let day = |text: &str, field, later: i64| match text {
        "" => Ok::<_, Refusal>(None),
        text => {
            let day: NaiveDate = text.parse().map_err(|_| bad(field))?;
            let day = day.checked_add_signed(TimeDelta::days(later)).ok_or_else(|| bad(field))?;
            let local = zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest().ok_or_else(|| bad(field))?;
            Ok(Some(local.with_timezone(&Utc)))
        }
    };
    if !["", "success", "warning", "failure"].contains(&status.as_str()) {
        return Err(bad("status"));
    }
    if action.len() > 100 {
        return Err(bad("action"));
    }
    let filter = LogFilter {
        user: number(&person, "user")?.map(UserId),
        calendar: number(&calendar, "calendar")?,
        status: Some(status.clone()).filter(|text| !text.is_empty()),
        action: Some(action.clone()).filter(|text| !text.is_empty()),
        from: day(&from, "from", 0)?,
        to: day(&to, "to", 1)?,
        before: number(&before, "before")?,
    };
    if let (Some(from), Some(to)) = (filter.from, filter.to)
        && from >= to
    {
        return Err(bad("to"));
    }
    Ok(Asked { filter, status, action, calendar, person, from, to })
}

/// One line for people.
pub fn line(ctx: &Ctx, logged: &Logged, zone: Tz, person: Option<String>) -> LogLine {
    let state = match logged.status.as_str() {
        "success" => State::new("ok", "Success"),
        "warning" => State::new("late", "Warning"),
        _ => State::new("failed", "Failure"),
    };
    let details = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&logged.details);
    let details = details.unwrap_or_default().into_iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{} {value}", name.replace('_', " "))
    });
    LogLine {
        at: ctx.when(logged.at, zone),
        state,
        action: logged.action.clone(),
        calendar: logged.calendar_name.clone(),
        person,
        details: details.collect::<Vec<_>>().join(", "),
    }
}

/// The address of what is older.
pub fn older(path: &str, asked: &Asked, last: Option<&Logged>, full: bool) -> Option<String> {
    let last = last.filter(|_| full)?;
    let parts = [
        ("status", &asked.status),
        ("action", &asked.action),
        ("calendar", &asked.calendar),
        ("user", &asked.person),
        ("from", &asked.from),
        ("to", &asked.to),
    ];
    let kept =
        parts.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name}={}&", urlencode(text)));
    Some(format!("{path}?{}before={}", kept.collect::<String>(), last.number))
}

/// Shows it.
#[handler]
pub async fn show_log(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let rows: Vec<CalendarRow> = ctx.rows().await?;
    let zone = ctx::zone(&rows);
    let mut asked = asked(req, zone)?;
    asked.filter.user = Some(ctx.id());
    asked.person = String::new();
    let lines = ctx.front.app.store.log_lines(&asked.filter, LINES).await?;
    let page = Log {
        heading: "Log",
        path: "/app/logs",
        zone: zone.name().to_owned(),
        older: older("/app/logs", &asked, lines.last(), lines.len() == LINES),
        lines: lines.iter().map(|one| line(&ctx, one, zone, None)).collect(),
        filtered: req.uri().query().is_some(),
        calendars: rows.iter().map(|row| (row.number, row.name.clone())).collect(),
        people: None,
        person: String::new(),
        status: asked.status,
        calendar: asked.calendar,
        action: asked.action,
        from: asked.from,
        to: asked.to,
    };
    ctx.show(res, "Log", &page);
    Ok(())
}
