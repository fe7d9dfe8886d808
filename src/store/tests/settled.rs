//! What people settled: flows, words, pauses, departures; and what was done, read again.

use std::collections::BTreeSet;

use chrono::{NaiveTime, TimeDelta, Weekday};

use super::*;
use crate::model::{
    body::Field,
    calendar::Standing,
    flow::{CustomFlow, Filter, Shape, State},
    run::Deed,
};

fn flow() -> CustomFlow {
    CustomFlow {
        source: ACME.into(),
        target: HOME.into(),
        face: Some(Face::Copy),
        filter: Filter {
            min_guests: Some(1),
            max_guests: Some(50),
            states: Some(vec![State::Firm, State::Tentative, State::Unanswered]),
            kinds: Some(vec![Kind::Ordinary, Kind::FocusTime]),
            title: Some("Canary pattern".into()),
            not_title: Some("^x".into()),
            weekdays: Some(vec![Weekday::Mon, Weekday::Sun]),
            hours: Some((NaiveTime::from_hms_opt(9, 0, 0).unwrap(), NaiveTime::from_hms_opt(17, 30, 0).unwrap())),
        },
        shape: Shape {
            title: Some("Away".into()),
            prefix: Some(String::new()),
            colour: Some("7".into()),
            visibility: Some(Visibility::Public),
            before: 15,
            after: 30,
            skip_if_covered: true,
        },
    }
}

#[tokio::test]
async fn a_declared_flow_comes_back_whole_and_sealed_and_turns_the_generation() {
    let desk = Desk::new().await;
    let before = desk.store.generation(desk.user).await.unwrap().unwrap();
    desk.store.set_flow(desk.user, &flow()).await.unwrap();
    assert_eq!(desk.snapshot().await.flows, [flow()]);
    assert_eq!(desk.store.generation(desk.user).await.unwrap(), Some(before + 1));
    assert!(!String::from_utf8_lossy(&desk.bytes()).contains("Canary"), "a pattern tells what meetings are called");
    let off = CustomFlow { face: None, filter: Filter::default(), shape: Shape::default(), ..flow() };
    desk.store.set_flow(desk.user, &off).await.unwrap();
    assert_eq!(desk.snapshot().await.flows, [off], "in the place of the one before");
    assert!(desk.store.drop_flow(desk.user, &ACME.into(), &HOME.into()).await.unwrap());
    assert!(!desk.store.drop_flow(desk.user, &ACME.into(), &HOME.into()).await.unwrap());
    assert!(desk.snapshot().await.flows.is_empty());
}

#[tokio::test]
async fn refusals_count_the_same_question_and_are_forgotten_by_success() {
    let desk = Desk::new().await;
    let key = copy_of("kickoff", Some("20260302"));
    let (one, two) = (body("one").digest(), body("two").digest());
    let told = async || desk.snapshot().await.refusals.get(&key).cloned();
    desk.store.refuse(desk.user, &key, one, "400").await.unwrap();
    let first = told().await.unwrap();
    assert_eq!((first.asked, first.tries, first.until), (one, 1, beginning() + TimeDelta::hours(1)));
    desk.store.refuse(desk.user, &key, one, "400").await.unwrap();
    assert_eq!(told().await.unwrap().until, beginning() + TimeDelta::hours(2));
    desk.store.refuse(desk.user, &key, two, "400").await.unwrap();
    assert_eq!(told().await.unwrap().tries, 1, "another question counts anew");
    for _ in 0..20 {
        desk.store.refuse(desk.user, &key, two, "400").await.unwrap();
    }
    assert!(told().await.unwrap().until <= beginning() + TimeDelta::days(1), "a day at most");
    let plan = desk.store.record_plan(&plan(desk.user), None).await.unwrap();
    let effect = Effect::default();
    let carried = Carried { calendar: desk.home, change: None, note: None, plan, step: 0, effect: &effect };
    desk.store.carried_out(desk.user, &key, carried).await.unwrap();
    assert_eq!(told().await, None);
}

#[tokio::test]
async fn an_approval_is_for_one_user_and_one_day() {
    let desk = Desk::new().await;
    let (bob, _) = person(&desk.store, "bob", "1002").await;
    let events = [(CalendarId::from(HOME), EventId::from("a"))];
    desk.store.approve(desk.user, &events).await.unwrap();
    assert_eq!(desk.snapshot().await.approved, BTreeSet::from(events.clone()));
    let others = desk.store.snapshot(bob, &BTreeMap::new(), Policy::default()).await.unwrap();
    assert!(others.approved.is_empty());
    desk.clock.advance(TimeDelta::hours(25));
    assert!(desk.snapshot().await.approved.is_empty());
}

#[tokio::test]
async fn a_calendar_is_left_once_with_what_stays_behind_and_keeps_its_rows() {
    let desk = Desk::new().await;
    desk.listing(desk.acme, true, "a1", vec![(Change::Live(Box::new(event("copy", 1))), ours(copy_of("x", None)))])
        .await;
    assert!(desk.store.leave_calendar(UserId(99), desk.acme).await.is_err(), "somebody else's");
    desk.store.leave_calendar(desk.user, desk.acme).await.unwrap();
    let rows = desk.store.calendars_of(desk.user).await.unwrap();
    let leaving: Vec<i64> = rows.iter().filter(|r| r.standing == Standing::Leaving).map(|r| r.number).collect();
    assert_eq!(leaving, [desk.acme]);
    let behind = desk.store.ours_on(desk.acme).await.unwrap();
    assert_eq!(behind, [EventId::from("copy")]);
    let end = async || desk.store.calendar_is_left(desk.user, desk.acme, HOME, &behind, "access was revoked").await;
    // The account is the user's own, by which they sign in.
    assert_eq!(end().await.unwrap(), None);
    assert_eq!(end().await.unwrap(), None, "a second time there is nothing to end");
    let left = desk.store.left_behind().await.unwrap();
    assert_eq!(left.len(), 1, "and nothing is listed twice");
    assert_eq!((left[0].calendar.as_str(), left[0].events.len()), (ACME, 1));
    assert_eq!(desk.store.calendars_of(desk.user).await.unwrap().len(), 1);
    assert_eq!(desk.state(desk.acme, "copy").await, "live", "its rows stay for the record");
    // Connected anew it is the same calendar, read from the start.
    let again = desk.store.connect_calendar(desk.user, desk.token, &ACME.into(), "Acme", Role::Client, "UTC").await;
    assert_eq!(again.unwrap(), desk.acme);
    assert_eq!(desk.cursor(desk.acme).await, None);
    desk.store.begin_removal(desk.user).await.unwrap();
    assert!(desk.store.calendars_of(desk.user).await.unwrap().iter().all(|r| r.standing == Standing::Leaving));
    desk.store.drop_user(desk.user).await.unwrap();
    assert_eq!(desk.store.user(desk.user).await.unwrap(), None);
    assert_eq!(desk.store.left_behind().await.unwrap().len(), 1, "what stays behind outlives the user");
}

#[tokio::test]
async fn pauses_are_kept_and_each_ends_by_itself() {
    let desk = Desk::new().await;
    let paused = async || {
        let row = desk.store.calendars_of(desk.user).await.unwrap().into_iter().find(|r| r.number == desk.acme);
        let user = desk.store.user(desk.user).await.unwrap().unwrap();
        (desk.store.is_paused().await.unwrap(), user.paused, row.unwrap().paused)
    };
    assert_eq!(paused().await, (false, false, false));
    desk.store.pause_all(true).await.unwrap();
    desk.store.pause_all(true).await.unwrap();
    desk.store.pause_user(desk.user, true).await.unwrap();
    desk.store.pause_calendar(desk.user, desk.acme, true).await.unwrap();
    assert_eq!(paused().await, (true, true, true));
    desk.store.pause_all(false).await.unwrap();
    assert_eq!(paused().await, (false, true, true));
    desk.store.pause_user(desk.user, false).await.unwrap();
    desk.store.pause_calendar(desk.user, desk.acme, false).await.unwrap();
    assert_eq!(paused().await, (false, false, false));
}

#[tokio::test]
async fn a_run_is_read_as_it_was_done() {
    let desk = Desk::new().await;
    let from = Box::new(body("before"));
    let to = Box::new(body("after"));
    let back = Action::WriteBack {
        event: "kickoff".into(),
        etag: Some("\"1\"".into()),
        incarnation: 4,
        fields: vec![Field::Title],
        from,
        to,
        seen: Digest::ABSENT,
    };
    let mut planned = plan(desk.user);
    planned.steps.push(step("e", back));
    let number = desk.store.record_plan(&planned, None).await.unwrap();
    assert_eq!(desk.store.run(number).await.unwrap().unwrap().done, [], "nothing is done yet");
    assert!(desk.store.runs(desk.user, 9).await.unwrap().is_empty());
    let effect = Effect { before: Some(body("before")), after: Some(body("after")) };
    for n in [1, 3] {
        let key = planned.steps[n].key.clone();
        let carried = Carried { calendar: desk.home, change: None, note: None, plan: number, step: n, effect: &effect };
        desk.store.carried_out(desk.user, &key, carried).await.unwrap();
    }
    let run = desk.store.run(number).await.unwrap().unwrap();
    assert_eq!((run.user, run.undoes, run.done.len()), (desk.user, None, 2));
    assert_eq!((&run.done[0].deed, &run.done[1].deed), (&Deed::Ours, &Deed::WroteBack(vec![Field::Title])));
    assert_eq!(run.done[1].key, planned.steps[3].key);
    assert_eq!((run.done[1].event.as_str(), run.done[1].incarnation), ("kickoff", 4));
    assert_eq!(run.done[1].effect, effect);
    let lines = desk.store.runs(desk.user, 9).await.unwrap();
    assert_eq!((lines.len(), lines[0].number, lines[0].done), (1, number, 2));
    let item = vault().item_ids("1001").item_id(&planned.steps[3].key);
    let written = desk.store.writes_of(&item, 9).await.unwrap();
    assert_eq!(written.len(), 1);
    assert_eq!((written[0].run, written[0].action.as_str()), (number, "write-back"));
    assert_eq!(written[0].outcome.as_deref(), Some("done"));
    assert_eq!(desk.store.run(number + 1).await.unwrap(), None);
}
