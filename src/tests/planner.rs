//! The planner over random histories, without a Google: people change their calendars, calendars cannot be read, answers get
//! lost, the database is lost, time passes. After every plan its promises are checked; in the end everything must stand as an
//! oracle says that knows only the specification.
//!
//! All choices come from a tape of numbers, on which 0 is always the dull choice, so that a failing history shrinks.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError},
};

use crate::{
    model::{
        body::{Answer, Body, Digest, Visibility, When},
        calendar::{Calendar, Freshness, Role, Standing, Why},
        event::{Event, Guest, Kind, OriginKey, Rights, Slot},
        id::{CalendarId, Etag, EventId, UserId},
        item::{ItemIds, ItemKey, Observed, ObservedState},
        mapping::{Mapping, Memory},
        plan::{Action, HeldReason, Plan, Step},
        secret::Secret,
        snapshot::{Family, Origin, Policy, Snapshot},
    },
    planner::{self, check::check, order::is_inside_series},
};

const MAIN: &str = "ada@home.example";
const ACME: &str = "ada@acme.example";
const GLOBEX: &str = "ada@globex.example";
const OWN: &str = "ada@gmail.example";
const CALENDARS: [(&str, Role); 4] =
    [(MAIN, Role::Main), (ACME, Role::Client), (GLOBEX, Role::Client), (OWN, Role::Personal)];
/// Stands in every text that a person writes, and must stand in no block.
const CANARY: &str = "canary";

/// Choices, one after the other; when they are used up, all that follow are dull.
struct Tape<'a>(std::slice::Iter<'a, u32>);

impl Tape<'_> {
    fn pick(&mut self, n: u32) -> u32 {
        self.0.next().copied().unwrap_or(0) % n
    }

    /// True once in `n` times.
    fn one_in(&mut self, n: u32) -> bool {
        self.pick(n) == n - 1
    }
}

/// An event of ours at Google; without a body it is cancelled.
#[derive(Clone)]
struct Ours {
    key: ItemKey,
    incarnation: u32,
    in_series: bool,
    version: u64,
    body: Option<Body>,
}

/// What stands at Google, or what we last saw of it.
#[derive(Clone, Default)]
struct Google {
    origins: BTreeMap<CalendarId, BTreeMap<EventId, Family>>,
    ours: BTreeMap<(CalendarId, EventId), Ours>,
}

struct Sim {
    truth: Google,
    seen: Google,
    mappings: BTreeMap<ItemKey, Mapping>,
    broken: BTreeSet<CalendarId>,
    now: DateTime<Utc>,
    made: u32,
    version: u64,
    policy: Policy,
    ids: ItemIds,
}

impl Sim {
    fn new() -> Self {
        let now = "2026-03-01T08:00:00Z".parse().unwrap();
        let origins = CALENDARS.iter().map(|(id, _)| (CalendarId::from(*id), BTreeMap::new())).collect();
        let truth = Google { origins, ours: BTreeMap::new() };
        Sim {
            seen: truth.clone(),
            truth,
            mappings: BTreeMap::new(),
            broken: BTreeSet::new(),
            now,
            made: 0,
            version: 0,
            policy: Policy::default(),
            ids: ItemIds::new(Secret::new([7; 32]), "1001"),
        }
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    // What people do.

    fn person_acts(&mut self, tape: &mut Tape) {
        let calendar = CalendarId::from(CALENDARS[tape.pick(4) as usize].0);
        let known: Vec<EventId> = self.truth.origins[&calendar].keys().cloned().collect();
        match tape.pick(8) {
            1..=3 => self.make(&calendar, tape),
            4 if !known.is_empty() => self.change(&calendar, &known[tape.pick(known.len() as u32) as usize], tape),
            5 if !known.is_empty() => self.except(&calendar, &known[tape.pick(known.len() as u32) as usize], tape),
            6 if !known.is_empty() => {
                let event = &known[tape.pick(known.len() as u32) as usize];
                let families = self.truth.origins.get_mut(&calendar).unwrap();
                families.insert(event.clone(), Family { head: Some(Origin::Gone), exceptions: BTreeMap::new() });
            }
            7 => self.meddle(tape),
            _ => {}
        }
    }

    fn make(&mut self, calendar: &CalendarId, tape: &mut Tape) {
        self.made += 1;
        let id = EventId::from(format!("event{}", self.made));
        let event = self.event(&id, tape, None);
        let family = Family { head: Some(Origin::Live(Box::new(event))), exceptions: BTreeMap::new() };
        self.truth.origins.get_mut(calendar).unwrap().insert(id, family);
    }

    fn event(&mut self, id: &EventId, tape: &mut Tape, series: Option<(EventId, Slot)>) -> Event {
        let day: NaiveDate = "2026-03-02".parse::<NaiveDate>().unwrap() + TimeDelta::days(i64::from(tape.pick(12)));
        let days = match &series {
            Some((_, Slot::Day(_))) => true,
            Some((_, Slot::At(_))) => false,
            None => tape.one_in(4),
        };
        let when = if days {
            When::Days { first: day, end: day + TimeDelta::days(1 + i64::from(tape.pick(2))) }
        } else {
            let start = day.and_hms_opt(8 + tape.pick(8), 0, 0).unwrap().and_utc();
            let zone = Some("Europe/Vienna".to_owned());
            When::Times { start, end: start + TimeDelta::hours(1), start_zone: zone.clone(), end_zone: zone }
        };
        let repeats = series.is_none() && tape.one_in(3);
        let rule = ["RRULE:FREQ=WEEKLY", "RRULE:FREQ=DAILY;COUNT=5"][tape.pick(2) as usize];
        let kind = if tape.one_in(8) { Kind::WorkingLocation } else { Kind::Ordinary };
        let answer = [None, None, Some(Answer::Accepted), Some(Answer::Declined), Some(Answer::None)];
        let version = self.next_version();
        Event {
            id: id.clone(),
            etag: Etag::from(format!("\"{version}\"")),
            updated: format!("{version:020}"),
            series,
            kind,
            body: Body {
                title: Some(format!("{CANARY} title {version}")),
                description: Some(format!("{CANARY} text {version}")),
                location: Some(format!("{CANARY} place")),
                when,
                recurrence: if repeats { vec![rule.to_owned()] } else { Vec::new() },
                free: tape.one_in(5),
                visibility: Visibility::Default,
                colour: None,
                answer: answer[tape.pick(5) as usize],
            }
            .canonical(),
            tentative: false,
            uid: format!("{}@google.com", id.as_str()),
            organizer: false,
            others: 1,
            guests: vec![Guest { name: format!("{CANARY} guest"), answer: Answer::Accepted, own: false }],
            join_link: None,
            rights: Rights::Editable,
            marker: None,
            tagged: false,
        }
    }

    fn change(&mut self, calendar: &CalendarId, id: &EventId, tape: &mut Tape) {
        let mut event = self.event(id, tape, None);
        let family = self.truth.origins.get_mut(calendar).unwrap().get_mut(id).unwrap();
        let Some(Origin::Live(old)) = &family.head else { return };
        if !old.body.recurrence.is_empty() {
            // Times of a series stay: what becomes of exceptions then is Google's affair, and the scenarios'.
            event.body.when = old.body.when.clone();
            event.body.recurrence = old.body.recurrence.clone();
        } else {
            event.body.recurrence = Vec::new();
        }
        family.head = Some(Origin::Live(Box::new(event)));
    }

    fn except(&mut self, calendar: &CalendarId, id: &EventId, tape: &mut Tape) {
        let Some(Origin::Live(head)) = self.truth.origins[calendar][id].head.clone() else { return };
        if head.body.recurrence.is_empty() {
            return;
        }
        // The second or third occurrence of either rule.
        let step = if head.body.recurrence[0].contains("WEEKLY") { 7 } else { 1 };
        let distance = TimeDelta::days(step * i64::from(1 + tape.pick(2)));
        let slot = match &head.body.when {
            When::Days { first, .. } => Slot::Day(*first + distance),
            When::Times { start, .. } => Slot::At(*start + distance),
        };
        let exception = if tape.one_in(3) {
            Origin::Gone
        } else {
            let event = self.event(&id.instance(&slot), tape, Some((id.clone(), slot)));
            Origin::Live(Box::new(event))
        };
        let family = self.truth.origins.get_mut(calendar).unwrap().get_mut(id).unwrap();
        family.exceptions.insert(slot, exception);
    }

    /// Somebody lays hands on one of ours.
    fn meddle(&mut self, tape: &mut Tape) {
        let blocks: Vec<_> = self
            .truth
            .ours
            .iter()
            .filter(|(_, ours)| ours.body.is_some() && ours.key.target.as_str() != MAIN)
            .map(|(name, _)| name.clone())
            .collect();
        if blocks.is_empty() {
            return;
        }
        let name = &blocks[tape.pick(blocks.len() as u32) as usize];
        let version = self.next_version();
        let removed = tape.one_in(2);
        let ours = self.truth.ours.get_mut(name).unwrap();
        ours.version = version;
        if removed {
            ours.body = None;
        } else if let Some(body) = &mut ours.body {
            body.location = Some("somewhere".into());
        }
        let in_series = ours.in_series;
        if removed && !in_series {
            self.drop_instances(name);
        }
    }

    fn drop_instances(&mut self, (calendar, series): &(CalendarId, EventId)) {
        self.truth.ours.retain(|(c, event), _| {
            !(c == calendar && event.as_instance().is_some_and(|(parent, _)| parent == *series))
        });
    }

    // What we see and do.

    fn observe(&mut self) {
        for (id, _) in CALENDARS {
            let id = CalendarId::from(id);
            if self.broken.contains(&id) {
                continue;
            }
            self.seen.origins.insert(id.clone(), self.truth.origins[&id].clone());
            for (name, ours) in self.truth.ours.iter().filter(|((calendar, _), _)| *calendar == id) {
                self.seen.ours.insert(name.clone(), ours.clone());
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let calendars = CALENDARS.iter().enumerate().map(|(n, (id, role))| {
            let id = CalendarId::from(*id);
            let freshness = match self.broken.contains(&id) {
                true => Freshness::Stale(Why::Unreachable),
                false => Freshness::Current,
            };
            let calendar = Calendar {
                id: id.clone(),
                number: n as i64,
                name: id.as_str().into(),
                role: *role,
                standing: Standing::Connected,
                freshness,
                zone: "Europe/Vienna".into(),
                writable: true,
                own: true,
            };
            (id, calendar)
        });
        let mut observed: BTreeMap<ItemKey, Vec<Observed>> = BTreeMap::new();
        for ((_, event), ours) in &self.seen.ours {
            let state = match &ours.body {
                None => ObservedState::Gone { told: true },
                Some(body) => ObservedState::Live {
                    etag: Etag::from(ours.version.to_string()),
                    digest: body.digest(),
                    body: body.clone(),
                    marked: true,
                    updated: format!("{:020}", ours.version),
                },
            };
            let one =
                Observed { event: event.clone(), incarnation: ours.incarnation, in_series: ours.in_series, state };
            observed.entry(ours.key.clone()).or_default().push(one);
        }
        Snapshot {
            user: UserId(1),
            email: MAIN.into(),
            now: self.now,
            calendars: calendars.collect(),
            origins: self.seen.origins.clone(),
            observed,
            mappings: self.mappings.clone(),
            foreign: BTreeSet::new(),
            refusals: BTreeMap::new(),
            flows: Vec::new(),
            approved: BTreeSet::new(),
            generation: 0,
            policy: self.policy.clone(),
            ids: self.ids.clone(),
        }
    }

    /// Carries a plan out as the executor and Google do; some steps are lost before or after their effect.
    fn apply(&mut self, plan: &Plan, tape: &mut Tape) {
        let mut missing: BTreeSet<ItemKey> = BTreeSet::new();
        for step in
            plan.steps.iter().filter(|step| matches!(step.action, Action::Delete { .. } | Action::Cancel { .. }))
        {
            let event = step.action.event().expect("a deletion has an event").clone();
            let mapping = self.mappings.entry(step.key.clone()).or_insert(Mapping {
                event,
                incarnation: 0,
                applied: Digest::ABSENT,
                shown: Digest::ABSENT,
                memory: Memory::Leaving,
                alone: step.beside,
                restored: Vec::new(),
                since: self.now,
            });
            mapping.memory = Memory::Leaving;
        }
        for step in &plan.steps {
            let (lost_before, lost_after) = (tape.one_in(9), tape.one_in(9));
            if step.action.writes() && (lost_before || is_inside_series(step) && missing.contains(&step.key.series())) {
                missing.insert(step.key.series());
                continue;
            }
            self.carry_out(step, lost_after);
        }
    }

    fn carry_out(&mut self, step: &Step, lost: bool) {
        let target = step.key.target.clone();
        let since = self.now;
        let keep = |event: &EventId, incarnation: u32, applied: Digest, shown: Digest| Mapping {
            event: event.clone(),
            incarnation,
            applied,
            shown,
            memory: Memory::Kept,
            alone: step.beside,
            restored: Vec::new(),
            since,
        };
        match &step.action {
            Action::Create { event, incarnation, body } => {
                let name = (target, event.clone());
                if let Some(there) = self.truth.ours.get(&name) {
                    self.seen.ours.insert(name, there.clone());
                    return;
                }
                self.put(step, event, *incarnation, body, lost, keep);
            }
            Action::Update { event, etag, incarnation, to, .. } => {
                if self.truth.ours.get(&(target, event.clone())).map(|o| o.version.to_string())
                    != Some(etag.as_str().into())
                {
                    return;
                }
                self.put(step, event, *incarnation, to, lost, keep);
            }
            Action::Amend { event, incarnation, to } => self.put(step, event, *incarnation, to, lost, keep),
            Action::Cancel { event, incarnation } | Action::Delete { event, incarnation, .. } => {
                let name = (target, event.clone());
                let in_series = is_inside_series(step);
                if let (Action::Delete { etag, .. }, Some(there)) = (&step.action, self.truth.ours.get(&name))
                    && there.version.to_string() != etag.as_str()
                {
                    return;
                }
                let version = self.next_version();
                let gone = Ours { key: step.key.clone(), incarnation: *incarnation, in_series, version, body: None };
                self.truth.ours.insert(name.clone(), gone.clone());
                if !in_series {
                    self.drop_instances(&name);
                }
                if lost {
                    return;
                }
                self.seen.ours.insert(name, gone);
                match in_series {
                    true => self
                        .mappings
                        .insert(step.key.clone(), keep(event, *incarnation, Digest::ABSENT, Digest::ABSENT)),
                    false => self.mappings.remove(&step.key),
                };
            }
            Action::Adopt { event, incarnation, applied, shown } => {
                self.mappings.insert(step.key.clone(), keep(event, *incarnation, *applied, *shown));
            }
            Action::Dismiss { event, incarnation } => {
                let mut mapping = keep(event, *incarnation, Digest::ABSENT, Digest::ABSENT);
                mapping.memory = Memory::Dismissed;
                self.mappings.insert(step.key.clone(), mapping);
            }
            Action::Doubt { event, incarnation } => {
                let mapping = keep(event, *incarnation, Digest::UNKNOWN, Digest::UNKNOWN);
                self.mappings.insert(step.key.clone(), mapping);
            }
            Action::Forget => {
                self.mappings.remove(&step.key);
            }
            Action::WriteBack { .. } | Action::Respond { .. } | Action::Withdraw { .. } | Action::Restore { .. } => {
                unreachable!("nobody touches a copy in these histories")
            }
        }
    }

    fn put(
        &mut self,
        step: &Step,
        event: &EventId,
        incarnation: u32,
        asked: &Body,
        lost: bool,
        keep: impl Fn(&EventId, u32, Digest, Digest) -> Mapping,
    ) {
        let mut shown = asked.clone();
        // Where we name no zone, Google shows the calendar's.
        if let When::Times { start_zone, end_zone, .. } = &mut shown.when {
            start_zone.get_or_insert_with(|| "Europe/Vienna".into());
            end_zone.get_or_insert_with(|| "Europe/Vienna".into());
        }
        let version = self.next_version();
        let ours = Ours {
            key: step.key.clone(),
            incarnation,
            in_series: is_inside_series(step),
            version,
            body: Some(shown.clone()),
        };
        let name = (step.key.target.clone(), event.clone());
        self.truth.ours.insert(name.clone(), ours.clone());
        if !lost {
            self.seen.ours.insert(name, ours);
            self.mappings.insert(step.key.clone(), keep(event, incarnation, asked.digest(), shown.digest()));
        }
    }

    /// The database is gone: nothing is remembered, and a listing names no tombstones of events of their own.
    fn lose_database(&mut self, proven: bool) {
        self.mappings.clear();
        self.seen = Google {
            origins: self.seen.origins.keys().map(|id| (id.clone(), BTreeMap::new())).collect(),
            ..Google::default()
        };
        self.observe();
        self.seen.ours.retain(|_, ours| ours.body.is_some() || ours.in_series);
        // Origins that ours name and that no listing has are asked about one by one, unless Google does not answer just then.
        let named: BTreeSet<OriginKey> = self.seen.ours.values().map(|ours| ours.key.series().origin).collect();
        for (calendar, families) in &mut self.seen.origins {
            families.retain(|event, family| {
                let key = OriginKey { calendar: calendar.clone(), event: event.clone(), instance: None };
                !matches!(family.head, Some(Origin::Gone)) || proven && named.contains(&key)
            });
        }
    }
}

/// The promises that hold for every plan, whatever it was made from.
fn promises(snapshot: &Snapshot, plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert_eq!(format!("{plan:?}"), format!("{:?}", planner::plan(snapshot)), "equal snapshots, equal plans");
    prop_assert_eq!(check(snapshot, plan), Vec::<String>::new());
    let current = |id: &CalendarId| snapshot.calendars[id].freshness == Freshness::Current;
    let mut deletions: BTreeMap<&CalendarId, usize> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.action.writes()) {
        let ItemKey { target, origin } = &step.key;
        prop_assert!(target.as_str() != OWN, "a personal calendar is never written");
        prop_assert!(current(target), "what cannot be read is not written");
        if step.action.deletes() {
            prop_assert!(current(&origin.calendar), "nothing disappears unless its origin is seen");
            prop_assert!(snapshot.origins[&origin.calendar].contains_key(&origin.event), "nor unless it is known");
        }
        if matches!(step.action, Action::Delete { .. }) {
            *deletions.entry(target).or_default() += 1;
        }
        let body = match &step.action {
            Action::Create { body, .. } | Action::Update { to: body, .. } | Action::Amend { to: body, .. } => body,
            _ => continue,
        };
        let told = format!("{body:?}");
        let may_tell = target.as_str() == MAIN && origin.calendar.as_str() != OWN;
        prop_assert!(may_tell || !told.contains(CANARY) && !told.contains('@'), "a block tells nothing: {told}");
    }
    for (target, n) in deletions {
        let kept = snapshot.observed.iter().filter(|(key, _)| key.target == *target).flat_map(|(_, o)| o);
        let kept = kept.filter(|o| matches!(o.state, ObservedState::Live { .. })).count();
        prop_assert!(n <= snapshot.policy.brake_count || n * 100 <= kept * snapshot.policy.brake_percent, "the brake");
    }
    Ok(())
}

/// What a calendar shows of us: series and single events as (time, rule, title, free), and for each series the slots at
/// which it differs from its rule (none: nothing there).
type Shown = BTreeMap<(String, Option<String>), (String, BTreeMap<Slot, Option<String>>)>;

/// What stands at Google.
fn shown(sim: &Sim, target: &str) -> Shown {
    let mut shown = Shown::new();
    let live = sim.truth.ours.iter().filter(|((calendar, _), _)| calendar.as_str() == target);
    for ((_, event), ours) in live.clone() {
        let (Some(body), false) = (&ours.body, ours.in_series) else { continue };
        let name = (
            format!("{}/{}", ours.key.origin.calendar.as_str(), ours.key.origin.event.as_str()),
            ours.key.origin.instance.map(|slot| slot.stamp()),
        );
        let mut exceptions = BTreeMap::new();
        for ((_, instance), exception) in live.clone() {
            let Some((series, slot)) = instance.as_instance().filter(|_| exception.in_series) else { continue };
            let plain = time_at(body, &slot);
            let said = exception.body.as_ref().map(face);
            if series == *event && said.as_ref() != Some(&plain) {
                exceptions.insert(slot, said);
            }
        }
        let twice = shown.insert(name, (format!("{} {:?}", face(body), body.recurrence), exceptions));
        assert!(twice.is_none(), "two events for one item");
    }
    shown
}

/// What should stand there: the specification, in nested loops.
fn expected(sim: &Sim, target: &str, role: Role) -> Shown {
    let mut expected = Shown::new();
    for (source, source_role) in CALENDARS {
        let full = source_role == Role::Client && role == Role::Main;
        if source == target || role == Role::Personal || source_role == Role::Main && role == Role::Main {
            continue;
        }
        let counts = |event: &Event| {
            event.kind != Kind::WorkingLocation
                && event.body.answer != Some(Answer::Declined)
                && (full || !event.body.free)
        };
        let looks = |event: &Event| match full {
            true => face(&event.body),
            false => {
                let words = if source_role == Role::Personal { "Busy (Personal)" } else { "Busy" };
                format!("{} [BusyBridge] {words} false", time(&event.body.when))
            }
        };
        for (id, family) in &sim.truth.origins[&CalendarId::from(source)] {
            let Some(Origin::Live(head)) = &family.head else { continue };
            let name = format!("{source}/{}", id.as_str());
            if counts(head) {
                let mut exceptions = BTreeMap::new();
                for (slot, exception) in &family.exceptions {
                    let said = match exception {
                        Origin::Live(event) if counts(event) => Some(looks(event)),
                        _ => None,
                    };
                    let mut plain = (**head).clone();
                    plain.body.when = moved(&head.body.when, slot);
                    if said.as_ref() != Some(&looks(&plain)) {
                        exceptions.insert(*slot, said);
                    }
                }
                expected.insert((name, None), (format!("{} {:?}", looks(head), head.body.recurrence), exceptions));
            } else {
                for (slot, exception) in &family.exceptions {
                    if let Origin::Live(event) = exception
                        && counts(event)
                    {
                        expected.insert(
                            (name.clone(), Some(slot.stamp())),
                            (format!("{} []", looks(event)), BTreeMap::new()),
                        );
                    }
                }
            }
        }
    }
    expected
}

fn face(body: &Body) -> String {
    format!("{} {} {}", time(&body.when), body.title.as_deref().unwrap_or(""), body.free)
}

fn time(when: &When) -> String {
    match when {
        When::Days { first, end } => format!("{first}..{end}"),
        When::Times { start, end, .. } => format!("{start}..{end}"),
    }
}

fn moved(when: &When, slot: &Slot) -> When {
    match (when, slot) {
        (When::Days { first, end }, Slot::Day(day)) => When::Days { first: *day, end: *day + (*end - *first) },
        (When::Times { start, end, .. }, Slot::At(at)) => {
            When::Times { start: *at, end: *at + (*end - *start), start_zone: None, end_zone: None }
        }
        _ => when.clone(),
    }
}

fn time_at(series: &Body, slot: &Slot) -> String {
    face(&Body { when: moved(&series.when, slot), ..series.clone() })
}

/// Plays one history to its end.
fn history(tape: &[u32]) -> Result<(), TestCaseError> {
    let mut tape = Tape(tape.iter());
    let mut sim = Sim::new();
    for _ in 0..10 {
        for _ in 0..=tape.pick(4) {
            sim.person_acts(&mut tape);
        }
        sim.broken = CALENDARS.iter().filter(|_| tape.one_in(8)).map(|(id, _)| CalendarId::from(*id)).collect();
        sim.observe();
        if tape.one_in(6) {
            let proven = !tape.one_in(2);
            sim.lose_database(proven);
        }
        let snapshot = sim.snapshot();
        let plan = planner::plan(&snapshot);
        promises(&snapshot, &plan)?;
        sim.apply(&plan, &mut tape);
    }
    // Quiet: all can be read, nothing is lost, and nobody stands on the brake.
    sim.broken.clear();
    sim.policy.brake_count = usize::MAX;
    let mut calm = Tape([].iter());
    for _ in 0..6 {
        sim.observe();
        let snapshot = sim.snapshot();
        let plan = planner::plan(&snapshot);
        promises(&snapshot, &plan)?;
        if plan.steps.is_empty() {
            break;
        }
        sim.apply(&plan, &mut calm);
    }
    sim.observe();
    let last = planner::plan(&sim.snapshot());
    prop_assert!(last.steps.is_empty(), "it does not come to rest: {:?}", last.steps);
    prop_assert!(
        last.held.iter().all(|held| matches!(held.reason, HeldReason::OriginUnproven | HeldReason::NotConnected)),
        "{:?}",
        last.held
    );
    for (id, role) in CALENDARS {
        prop_assert_eq!(shown(&sim, id), expected(&sim, id, role), "{} shows something else", id);
    }
    Ok(())
}

#[test]
fn whatever_happens_plans_keep_their_promises_and_everything_comes_to_rest_as_specified() {
    let config = Config { cases: 400, failure_persistence: None, max_shrink_iters: 4000, ..Config::default() };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let tapes = proptest::collection::vec(0_u32..10_000, 0..600);
    if let Err(error) = runner.run(&tapes, |tape| history(&tape)) {
        panic!("{error}");
    }
}
