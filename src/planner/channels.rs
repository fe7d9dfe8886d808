//! Webhook channels, planned as events are: what is wanted against what is there.
//!
//! ```text
//!  calendar   channel                          step
//!  ─────────  ───────────────────────────────  ────────────────────────────────────────────
//!  wanted     none that lives on               Open, unless Google refused lately
//!  wanted     one past two thirds of its life  Open another; both ring for a while
//!  wanted     one that is doubted              the same
//!  wanted     an older one beside a newer      Close, once the newer one has stood a while
//!  not        any                              Close
//!  any        one that has ended               Drop: Google has forgotten it, too
//! ```
//!
//! Google does not renew a channel and does not say that one ends (guide "Push notifications"), so that a new one is opened while
//! the old one still rings. Polling goes on whatever becomes of channels.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::channel::{Channel, Wanting};

/// How long an old channel goes on beside a new one.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChannelStep {
    /// Open a channel for this calendar.
    Open(i64),
    /// Close the channel in this row.
    Close(i64),
    /// Forget the channel in this row, which has ended.
    Drop(i64),
}

/// The steps, openings first, so that a calendar is never without a channel for want of order.
pub fn plan(wanting: &[Wanting], channels: &[Channel], now: DateTime<Utc>) -> Vec<ChannelStep> {
    let mut steps = Vec::new();
    let mut living: BTreeMap<i64, Vec<&Channel>> = BTreeMap::new();
    for channel in channels {
        match channel.ends <= now {
            true => steps.push(ChannelStep::Drop(channel.number)),
            false => living.entry(channel.calendar).or_default().push(channel),
        }
    }
    for Wanting { calendar, again_at, doubted } in wanting {
        let mut own = living.remove(calendar).unwrap_or_default();
        own.sort_by_key(|channel| (channel.opened, channel.number));
        let good = own.iter().rposition(|channel| {
            let doubt = doubted.is_some_and(|doubted| channel.opened < doubted);
            !doubt && now < renewal(channel)
        });
        match good {
            None if again_at.is_none_or(|again| again <= now) => steps.push(ChannelStep::Open(*calendar)),
            Some(newest) if own[newest].opened + OVERLAP <= now => {
                steps.extend(own[..newest].iter().map(|older| ChannelStep::Close(older.number)));
            }
            _ => {}
        }
    }
    steps.extend(living.into_values().flatten().map(|channel| ChannelStep::Close(channel.number)));
    steps.sort();
    steps
}

/// When a channel gets a successor: after two thirds of its life, some sooner and some later, so that not all come at once.
fn renewal(channel: &Channel) -> DateTime<Utc> {
    let life = channel.ends - channel.opened;
    // A tenth to either side, by the number of the row.
    let sway = channel.number.rem_euclid(21) - 10;
    channel.opened + life * 2 / 3 + life * i32::try_from(sway).unwrap_or(0) / 100
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        ChannelStep::{Close, Drop, Open},
        *,
    };

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn wants(calendar: i64) -> Wanting {
        Wanting { calendar, again_at: None, doubted: None }
    }

    /// A channel for a week, whose row has the number 10 and so no sway.
    fn week(calendar: i64, opened: i64) -> Channel {
        Channel { number: 10 + 21 * opened, calendar, opened: at(opened), ends: at(opened + 168) }
    }

    #[test]
    fn each_wanting_calendar_gets_one_and_others_lose_theirs() {
        assert_eq!(plan(&[wants(1), wants(2)], &[week(1, 0), week(3, 0)], at(1)), [Open(2), Close(10)]);
    }

    #[test]
    fn a_successor_comes_before_the_end_and_the_old_one_goes_after_a_while() {
        let old = week(1, 0);
        assert_eq!(plan(&[wants(1)], std::slice::from_ref(&old), at(111)), []);
        assert_eq!(plan(&[wants(1)], std::slice::from_ref(&old), at(113)), [Open(1)]);
        let both = [old, week(1, 113)];
        assert_eq!(plan(&[wants(1)], &both, at(113)), []);
        assert_eq!(plan(&[wants(1)], &both, at(114)), [Close(10)]);
        assert_eq!(
            plan(&[wants(1)], &both, at(168)),
            [Close(10 + 21 * 113), Drop(10)].into_iter().skip(1).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_doubted_channel_is_replaced_once() {
        let doubting = Wanting { doubted: Some(at(5)), ..wants(1) };
        assert_eq!(plan(std::slice::from_ref(&doubting), &[week(1, 0)], at(6)), [Open(1)]);
        assert_eq!(plan(&[doubting], &[week(1, 0), week(1, 6)], at(6)), []);
    }

    #[test]
    fn what_google_refuses_is_asked_again_when_it_is_time() {
        let refused = Wanting { again_at: Some(at(9)), ..wants(1) };
        assert_eq!(plan(std::slice::from_ref(&refused), &[], at(8)), []);
        assert_eq!(plan(&[refused], &[], at(9)), [Open(1)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Carried out hour by hour for a month, no calendar is ever without a channel that lives, and none has three.
        #[test]
        fn a_calendar_is_never_without(first in 0i64..1000, lives in prop::collection::vec(2i64..168, 1..6)) {
            let (mut channels, mut number) = (Vec::<Channel>::new(), first);
            for hour in 0..720 {
                for step in plan(&[wants(1)], &channels, at(hour)) {
                    match step {
                        Open(calendar) => {
                            number += 1;
                            let life = lives[usize::try_from(number).unwrap() % lives.len()];
                            channels.push(Channel { number, calendar, opened: at(hour), ends: at(hour + life) });
                        }
                        Close(n) | Drop(n) => channels.retain(|channel| channel.number != n),
                    }
                }
                prop_assert!(channels.iter().any(|channel| channel.ends > at(hour)), "none in hour {hour}");
                prop_assert!(channels.len() <= 2, "{channels:?}");
            }
        }
    }
}
