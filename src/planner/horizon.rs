//! Which events are recent enough to be kept up to date. No rule is ever expanded: where the end of a series cannot be read
//! off its text, the series counts as going on.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use crate::model::{
    body::Body,
    event::Slot,
    snapshot::{Family, Origin},
};

/// Whether an event (or the last instance of a series) ends after `edge`. Days are taken in UTC, so that the answer may be off
/// by the distance of the zone.
pub fn body_in_scope(body: &Body, edge: DateTime<Utc>) -> bool {
    if body.when.end() > edge {
        return true;
    }
    match last_day(body) {
        _ if body.recurrence.is_empty() => false,
        None => true,
        Some(day) => {
            // A day more than needed, for zones. What lies beyond all dates is after any edge.
            let length = body.when.end() - body.when.start() + TimeDelta::days(2);
            let last = day.and_time(chrono::NaiveTime::MIN).and_utc();
            last.checked_add_signed(length).is_none_or(|end| end > edge)
        }
    }
}

/// Whether a single event, a series or one of its exceptions ends after `edge`.
pub fn family_in_scope(family: &Family, edge: DateTime<Utc>) -> bool {
    let live = |origin: &Origin| matches!(origin, Origin::Live(event) if body_in_scope(&event.body, edge));
    family.head.as_ref().is_some_and(live) || family.exceptions.values().any(live)
}

/// Whether an instance that begins at `slot` can end after `edge`, given how long the series' instances are.
pub fn slot_in_scope(slot: &Slot, length: TimeDelta, edge: DateTime<Utc>) -> bool {
    let start = match slot {
        Slot::Day(day) => day.and_time(chrono::NaiveTime::MIN).and_utc(),
        Slot::At(at) => *at,
    };
    start.checked_add_signed(length).is_none_or(|end| end > edge)
}

/// Whether a series may have an instance at this slot, as far as its text tells: it has begun, and has not ended. No day is given
/// away: a series that a person cut in two ends right before the other half begins.
pub fn may_begin(series: &Body, slot: &Slot) -> bool {
    let start = series.when.start();
    let (day, begins, first) = match slot {
        Slot::Day(day) => (*day, *day >= start.date_naive(), *day == start.date_naive()),
        Slot::At(at) => (at.date_naive(), *at >= start, *at == start),
    };
    let near = |date: &str| self::day(date).is_none_or(|date| (date - day).num_days().abs() <= 1);
    let allows = |line: &String| match line.split_once(':') {
        Some((name, value)) => match name.split(';').next().unwrap_or(name) {
            "RRULE" => begins && rule_reaches(value, start, slot),
            "RDATE" => value.split(',').any(near),
            _ => false,
        },
        None => true,
    };
    first || series.recurrence.iter().any(allows)
}

/// Whether a rule may go on until this slot (RFC 5545 §3.3.10: UNTIL is inclusive, COUNT counts the start).
fn rule_reaches(rule: &str, start: DateTime<Utc>, slot: &Slot) -> bool {
    let part = |name: &str| part(rule, name);
    let instant = |text: &str| Some(NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok()?.and_utc());
    if let Some(until) = part("UNTIL") {
        return match (slot, instant(until), day(until)) {
            (Slot::Day(slot), _, Some(until)) => *slot <= until,
            (Slot::At(at), Some(until), _) => *at <= until,
            // A day in the zone of the series, which may lie a day off.
            (Slot::At(at), None, Some(until)) => until.succ_opt().is_none_or(|after| at.date_naive() <= after),
            (_, _, None) => true,
        };
    }
    let plain = rule.split(';').all(|p| ["FREQ", "COUNT", "INTERVAL", "WKST"].iter().any(|name| p.starts_with(name)));
    let period = match part("FREQ") {
        Some("DAILY") if plain => Some(1),
        Some("WEEKLY") if plain => Some(7),
        _ => None,
    };
    let number = |name: &str| part(name).map(str::parse::<i64>);
    let last = match (period, number("COUNT"), number("INTERVAL").unwrap_or(Ok(1))) {
        (Some(period), Some(Ok(count)), Ok(interval)) => {
            let days = count.checked_sub(1).and_then(|n| n.checked_mul(interval)).and_then(|n| n.checked_mul(period));
            days.and_then(TimeDelta::try_days).and_then(|span| start.checked_add_signed(span))
        }
        _ => None,
    };
    match (slot, last) {
        (Slot::Day(slot), Some(last)) => *slot <= last.date_naive(),
        // Clocks may be changed on the way.
        (Slot::At(at), Some(last)) => *at - last <= TimeDelta::hours(3),
        (Slot::Day(slot), None) => lax(rule, start, *slot),
        (Slot::At(at), None) => lax(rule, start, at.date_naive()),
    }
}

/// The value of one part of a rule.
fn part<'r>(rule: &'r str, name: &str) -> Option<&'r str> {
    rule.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// The same where only a span is known that a rule cannot outlast.
fn lax(rule: &str, start: DateTime<Utc>, day: NaiveDate) -> bool {
    rule_end(rule, start.date_naive()).and_then(|last| last.succ_opt()).is_none_or(|after| day <= after)
}

/// A day after which no instance begins; none when the rules go on for ever or do not tell.
fn last_day(body: &Body) -> Option<NaiveDate> {
    let start = body.when.start().date_naive();
    let mut last = start;
    for line in &body.recurrence {
        let (name, value) = line.split_once(':')?;
        match name.split(';').next().unwrap_or(name) {
            "RRULE" => last = last.max(rule_end(value, start)?),
            "RDATE" => {
                for date in value.split(',') {
                    last = last.max(day(date)?);
                }
            }
            _ => {}
        }
    }
    Some(last)
}

fn rule_end(rule: &str, start: NaiveDate) -> Option<NaiveDate> {
    let part = |name: &str| part(rule, name);
    if let Some(until) = part("UNTIL") {
        return day(until);
    }
    let count: i32 = part("COUNT")?.parse().ok()?;
    let interval: i32 = part("INTERVAL").map_or(Some(1), |i| i.parse().ok())?;
    // The span of `count` periods is the longest possible only for rules that skip no period.
    let plain = |allowed: &[&str]| {
        rule.split(';').all(|p| {
            let name = p.split('=').next().unwrap_or(p);
            ["FREQ", "COUNT", "INTERVAL", "WKST"].contains(&name) || allowed.contains(&name)
        })
    };
    let periods = count.checked_mul(interval)?;
    match part("FREQ")? {
        "DAILY" if plain(&[]) => start.checked_add_signed(TimeDelta::days(i64::from(periods))),
        "WEEKLY" if plain(&["BYDAY"]) => start.checked_add_signed(TimeDelta::weeks(i64::from(periods) + 1)),
        "MONTHLY" if plain(&[]) && start.day() <= 28 => {
            start.checked_add_months(chrono::Months::new(u32::try_from(periods).ok()?))
        }
        "YEARLY" if plain(&[]) && start.ordinal() < 60 => {
            start.checked_add_months(chrono::Months::new(u32::try_from(periods.checked_mul(12)?).ok()?))
        }
        _ => None,
    }
}

/// The day of `20260302` or `20260302T080000Z`; a period gives its start.
fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text.get(..8)?, "%Y%m%d").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::body::{Visibility, When};

    #[test]
    fn a_series_has_no_instance_after_its_end_or_before_its_start() {
        let check = |when: &When, rule: &str, slot: &str, expect: bool| {
            let body = Body { when: when.clone(), recurrence: vec![rule.to_owned()], ..plain() };
            assert_eq!(may_begin(&body, &Slot::from_stamp(slot).unwrap()), expect, "{rule} at {slot}");
        };
        let first: NaiveDate = "2026-03-13".parse().unwrap();
        let days = When::Days { first, end: first + TimeDelta::days(1) };
        let start = "2026-03-13T08:00:00Z".parse().unwrap();
        let (zone, end) = (Some("Europe/Vienna".to_owned()), start + TimeDelta::hours(1));
        let times = When::Times { start, end, start_zone: zone.clone(), end_zone: zone };
        for (rule, slot, expect) in [
            ("RRULE:FREQ=WEEKLY", "20260312", false),
            ("RRULE:FREQ=WEEKLY", "20991231", true),
            ("RRULE:FREQ=WEEKLY;UNTIL=20260402", "20260402", true),
            ("RRULE:FREQ=WEEKLY;UNTIL=20260402", "20260403", false),
            ("RRULE:FREQ=WEEKLY;COUNT=4", "20260403", true),
            ("RRULE:FREQ=WEEKLY;COUNT=4", "20260404", false),
            ("RRULE:FREQ=WEEKLY;COUNT=0", "20260313", true),
            ("RRULE:FREQ=WEEKLY;COUNT=-9223372036854775808", "20260320", true),
            ("RRULE:FREQ=DAILY;COUNT=2;BYMONTH=4", "20991231", true),
            ("RDATE;VALUE=DATE:20260301", "20260301", true),
            ("RDATE;VALUE=DATE:20260301", "20260501", false),
            ("EXDATE;VALUE=DATE:20260320", "20260320", false),
            ("nonsense", "20260501", true),
        ] {
            check(&days, rule, slot, expect);
        }
        for (rule, slot, expect) in [
            ("RRULE:FREQ=DAILY", "20260313T075959Z", false),
            ("RRULE:FREQ=DAILY;UNTIL=20260330T070000Z", "20260330T070000Z", true),
            ("RRULE:FREQ=DAILY;UNTIL=20260330T065959Z", "20260330T070000Z", false),
            // A day in a zone that is not known here.
            ("RRULE:FREQ=DAILY;UNTIL=20260330", "20260331T070000Z", true),
            ("RRULE:FREQ=DAILY;UNTIL=20260330", "20260401T070000Z", false),
            // Clocks go forward on 29 March.
            ("RRULE:FREQ=WEEKLY;COUNT=4", "20260403T070000Z", true),
            ("RRULE:FREQ=WEEKLY;COUNT=3", "20260403T070000Z", false),
            ("RRULE:FREQ=DAILY;INTERVAL=9223372036854775807;COUNT=9", "20991231T000000Z", true),
        ] {
            check(&times, rule, slot, expect);
        }
    }

    fn plain() -> Body {
        let first = NaiveDate::MIN;
        Body {
            title: None,
            description: None,
            location: None,
            when: When::Days { first, end: first },
            recurrence: Vec::new(),
            free: false,
            visibility: Visibility::Default,
            colour: None,
            answer: None,
        }
    }

    #[test]
    fn the_end_of_a_series_is_read_off_its_text_or_not_at_all() {
        let check = |start: &str, rules: &[&str], expect: Option<&str>| {
            let first: NaiveDate = start.parse().unwrap();
            let when = When::Days { first, end: first + TimeDelta::days(1) };
            let body = Body { when, recurrence: rules.iter().map(|r| (*r).to_owned()).collect(), ..plain() };
            assert_eq!(last_day(&body), expect.map(|e| e.parse().unwrap()), "{rules:?}");
        };
        check("2026-03-02", &["RRULE:FREQ=WEEKLY"], None);
        check("2026-03-02", &["RRULE:FREQ=WEEKLY;UNTIL=20260406T215959Z"], Some("2026-04-06"));
        check("2026-03-02", &["RRULE:FREQ=DAILY;COUNT=10;INTERVAL=2"], Some("2026-03-22"));
        check("2026-03-02", &["RRULE:FREQ=WEEKLY;COUNT=2;BYDAY=MO,WE"], Some("2026-03-23"));
        check("2026-03-31", &["RRULE:FREQ=MONTHLY;COUNT=2"], None);
        check("2026-03-02", &["RRULE:FREQ=DAILY;COUNT=3;BYMONTH=1"], None);
        check("2026-03-02", &["RDATE;VALUE=DATE:20260501,20260401"], Some("2026-05-01"));
        check("2026-03-02", &["RRULE:FREQ=DAILY;UNTIL=20260303", "RRULE:FREQ=YEARLY"], None);
        check("2026-03-02", &["RRULE:FREQ=DAILY;UNTIL=?"], None);
        check("2026-03-02", &["EXDATE;VALUE=DATE:20260303"], Some("2026-03-02"));
    }
}
