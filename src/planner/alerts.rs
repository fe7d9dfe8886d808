//! Which alerts are due, planned as events are: what is wrong now against what is open.
//!
//! | wrong now | open | step |
//! |---|---|---|
//! | yes | no | Raise, and tell, unless the same was told within the hour |
//! | yes | told within the day | – |
//! | yes | told longer ago | Remind |
//! | no | yes | Resolve |
//!
//! One alert of a type and calendar an hour (specification, "Alert Behavior"), whatever comes and goes meanwhile.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{
    alert::{AlertKind, Condition},
    id::UserId,
};

/// The same is not told again within this time.
const QUIET: TimeDelta = TimeDelta::hours(1);
/// What lasts is told again after this time.
const REMINDER: TimeDelta = TimeDelta::hours(24);

/// An alert that was raised before: open, or resolved within the last hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The number of the row.
    pub number: i64,
    pub kind: AlertKind,
    pub user: Option<UserId>,
    pub calendar: Option<i64>,
    pub told: DateTime<Utc>,
    pub open: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertStep {
    /// It is new; with `tell`, mails go out.
    Raise { condition: Condition, tell: bool },
    /// It lasts; mails go out again.
    Remind { number: i64, condition: Condition },
    /// It has ended.
    Resolve(i64),
}

/// Where an alert may be: its kind, whose it is, and the number of the calendar.
pub type Place = (AlertKind, Option<UserId>, Option<i64>);

/// The steps for what was looked at: `looked_at` says of which places `conditions` tells everything.
pub fn plan(
    conditions: &[Condition],
    known: &[Known],
    looked_at: &BTreeSet<Place>,
    now: DateTime<Utc>,
) -> Vec<AlertStep> {
    let mut steps = Vec::new();
    for condition in conditions {
        let same = |known: &&Known| {
            (known.kind, known.user, known.calendar) == (condition.kind, condition.user, condition.calendar)
        };
        let told = known.iter().filter(same).map(|known| known.told).max();
        match known.iter().filter(same).find(|known| known.open) {
            Some(open) if open.told + REMINDER <= now => {
                steps.push(AlertStep::Remind { number: open.number, condition: condition.clone() });
            }
            Some(_) => {}
            None => {
                let tell = told.is_none_or(|told| told + QUIET <= now);
                steps.push(AlertStep::Raise { condition: condition.clone(), tell });
            }
        }
    }
    for open in known.iter().filter(|known| known.open && looked_at.contains(&(known.kind, known.user, known.calendar)))
    {
        let lasts = conditions.iter().any(|c| (c.kind, c.user, c.calendar) == (open.kind, open.user, open.calendar));
        if !lasts {
            steps.push(AlertStep::Resolve(open.number));
        }
    }
    steps
}

/// Who is told: the affected user and the admins as the specification's table says, each once, as they want it.
pub fn recipients(
    condition: &Condition,
    people: &[(UserId, bool)],
    preferences: &BTreeSet<(UserId, AlertKind)>,
) -> Vec<UserId> {
    let concerned =
        |(user, admin): &&(UserId, bool)| *admin || !condition.kind.is_for_admins() && condition.user == Some(*user);
    let unwanted = |user: UserId| preferences.contains(&(user, condition.kind));
    people.iter().filter(concerned).map(|(user, _)| *user).filter(|user| !unwanted(*user)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn wrong(calendar: i64) -> Condition {
        Condition {
            kind: AlertKind::TokenRevoked,
            user: Some(UserId(1)),
            calendar: Some(calendar),
            detail: "access was revoked".into(),
        }
    }

    fn known(told: i64, open: bool) -> Known {
        let Condition { kind, user, calendar, .. } = wrong(7);
        Known { number: 3, kind, user, calendar, told: at(told), open }
    }

    fn steps(conditions: &[Condition], known: &[Known], now: i64) -> Vec<AlertStep> {
        plan(conditions, known, &BTreeSet::from([(AlertKind::TokenRevoked, Some(UserId(1)), Some(7))]), at(now))
    }

    #[test]
    fn one_mail_an_hour_a_reminder_a_day_and_an_end() {
        let raise = |tell| vec![AlertStep::Raise { condition: wrong(7), tell }];
        assert_eq!(steps(&[wrong(7)], &[], 0), raise(true));
        assert_eq!(steps(&[wrong(7)], &[known(0, true)], 23), []);
        assert_eq!(steps(&[wrong(7)], &[known(0, true)], 24), [AlertStep::Remind { number: 3, condition: wrong(7) }]);
        assert_eq!(steps(&[], &[known(0, true)], 1), [AlertStep::Resolve(3)]);
        assert_eq!(steps(&[wrong(7)], &[known(0, false)], 0), raise(false), "it came back within the hour");
        assert_eq!(steps(&[wrong(7)], &[known(0, false)], 1), raise(true));
        assert_eq!(steps(&[wrong(8)], &[known(0, true)], 0).len(), 2, "another calendar is another alert");
        let elsewhere = plan(&[], &[known(0, true)], &BTreeSet::new(), at(1));
        assert_eq!(elsewhere, [], "what was not looked at has not ended");
    }

    #[test]
    fn the_affected_person_and_admins_are_told_each_once_as_they_want_it() {
        let people = [(UserId(1), false), (UserId(2), true), (UserId(3), false)];
        let told = |condition: &Condition, unwanted: &[(UserId, AlertKind)]| {
            recipients(condition, &people, &unwanted.iter().copied().collect())
        };
        assert_eq!(told(&wrong(7), &[]), [UserId(1), UserId(2)]);
        let admin = Condition { user: Some(UserId(2)), ..wrong(7) };
        assert_eq!(told(&admin, &[]), [UserId(2)]);
        assert_eq!(
            told(&wrong(7), &[(UserId(1), AlertKind::TokenRevoked), (UserId(2), AlertKind::SyncFailures)]),
            [UserId(2)]
        );
        let webhook = Condition { kind: AlertKind::WebhookRegistrationFailed, ..wrong(7) };
        assert_eq!(told(&webhook, &[]), [UserId(2)]);
    }
}
