//! Which events are recent enough to be kept up to date. No rule is ever expanded: where the end of a series cannot be read
//! off its text, the series counts as going on.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};

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

/// Whether a series may have an instance at this slot, as far as its text tells: it has begun, and has not ended.
pub fn may_begin(series: &Body, slot: &Slot) -> bool {
    let day = match slot {
        Slot::Day(day) => *day,
        Slot::At(at) => at.date_naive(),
    };
    let begun = series.when.start().date_naive().pred_opt().is_none_or(|before| day >= before);
    begun && last_day(series).and_then(|last| last.succ_opt()).is_none_or(|after| day <= after)
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
    let part = |name: &str| rule.split(';').find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
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
    fn the_end_of_a_series_is_read_off_its_text_or_not_at_all() {
        let check = |start: &str, rules: &[&str], expect: Option<&str>| {
            let first: NaiveDate = start.parse().unwrap();
            let body = Body {
                title: None,
                description: None,
                location: None,
                when: When::Days { first, end: first + TimeDelta::days(1) },
                recurrence: rules.iter().map(|r| (*r).to_owned()).collect(),
                free: false,
                visibility: Visibility::Default,
                colour: None,
                answer: None,
            };
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
