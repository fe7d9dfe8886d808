//! What Google holds: accounts, calendars, events, and per calendar the order in which events changed.
//!
//! Events are plain JSON objects with Google's field names. Nothing here knows our model, our markers or our ids.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    calendars::{ListEntry, enlist},
    push::{self, Push},
    quota::Quota,
    settings::Settings,
};
use crate::model::clock::Clock;

/// A JSON object.
pub type Object = Map<String, Value>;

/// Access of an account to a calendar, weakest first (ACL roles of the discovery document).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    FreeBusyReader,
    Reader,
    /// Writes, but sees of private events only when they are, and cannot change those.
    WriterWithoutPrivateAccess,
    Writer,
    Owner,
}

impl Role {
    /// The role of this name in the API; none for `none` and unknown names.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "freeBusyReader" => Role::FreeBusyReader,
            "reader" => Role::Reader,
            "writerWithoutPrivateAccess" => Role::WriterWithoutPrivateAccess,
            "writer" => Role::Writer,
            "owner" => Role::Owner,
            _ => return None,
        })
    }

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Role::FreeBusyReader => "freeBusyReader",
            Role::Reader => "reader",
            Role::WriterWithoutPrivateAccess => "writerWithoutPrivateAccess",
            Role::Writer => "writer",
            Role::Owner => "owner",
        }
    }
}

/// A person's Google account.
#[derive(Clone, Debug)]
pub struct Account {
    pub email: String,
    pub name: String,
    /// The stable subject of id tokens.
    pub sub: String,
    /// The Workspace domain; none for a consumer account.
    pub hosted_domain: Option<String>,
}

/// One calendar.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub id: String,
    pub summary: String,
    /// IANA name.
    pub time_zone: String,
    /// The account whose primary calendar this is, or who created it.
    pub owner: String,
    /// True for the calendar whose id is the owner's address.
    pub primary: bool,
    /// Who may do what, by address; the owner is listed as [`Role::Owner`].
    pub acl: BTreeMap<String, Role>,
    pub events: BTreeMap<String, Stored>,
    /// Sync tokens of an older epoch are expired (410): grows when the ACL changes or by command.
    pub epoch: u32,
    /// `description` and `location`, where set.
    pub about: Object,
    /// When its own properties last changed, in the world's order of changes.
    pub change: u64,
}

/// One event with its place in the order of changes.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Google's JSON, without `etag` and `updated`, which are rendered from `updated_us`, and without what depends on the
    /// reader (`self` flags, offsets of another zone).
    pub fields: Object,
    /// Grows with every change in the world; a sync token names the last one seen.
    pub change: u64,
    /// Microseconds since 1970; the etag is twice this number (checklist E04).
    pub updated_us: i64,
    /// What makes the etag differ when `updated` stays (reminders only, E05).
    pub etag_us: i64,
}

impl Stored {
    /// Whether this is a tombstone or a cancelled instance.
    pub fn cancelled(&self) -> bool {
        self.fields.get("status").and_then(Value::as_str) == Some("cancelled")
    }

    /// A field as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    /// The etag as Google writes it, quotes included.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.etag_us * 2)
    }
}

/// Everything.
#[derive(Clone)]
pub struct World {
    pub settings: Settings,
    pub clock: Clock,
    /// By address, lower case.
    pub accounts: BTreeMap<String, Account>,
    /// By id.
    pub calendars: BTreeMap<String, Calendar>,
    /// Each account's calendar list: entries by account and calendar id.
    pub lists: BTreeMap<(String, String), ListEntry>,
    pub quota: Quota,
    /// Where events of an `iCalUID` stand or stood: calendar and id.
    pub uids: BTreeMap<String, BTreeSet<(String, String)>>,
    pub push: Push,
    /// Where each event that changed stands and when it begins, in seconds since 1970, for somebody who measures; none: nobody does.
    pub feed: Option<Vec<(String, i64)>>,
    last_change: u64,
    last_us: i64,
    last_id: u64,
}

impl World {
    /// A Google without accounts.
    pub fn new(settings: Settings, clock: Clock) -> Self {
        World {
            settings,
            clock,
            accounts: BTreeMap::new(),
            calendars: BTreeMap::new(),
            lists: BTreeMap::new(),
            quota: Quota::default(),
            uids: BTreeMap::new(),
            push: Push::default(),
            feed: None,
            last_change: 0,
            last_us: 0,
            last_id: 0,
        }
    }

    /// The present instant of this world.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The number of the latest change: what a new sync token remembers.
    pub fn last_change(&self) -> u64 {
        self.last_change
    }

    /// The number of a change that is about to be made.
    pub fn next_change(&mut self) -> u64 {
        self.last_change += 1;
        self.last_change
    }

    /// A fresh event id: 26 characters of base32hex (checklist D30), never repeated, a function of the world's history.
    pub fn new_event_id(&mut self) -> String {
        self.last_id += 1;
        let seed = self.last_id.wrapping_mul(0x9e37_79b9_7f4a_7c15) as u128;
        let mixed = (seed << 64 | u128::from(self.last_id)) ^ 0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f;
        let alphabet = b"0123456789abcdefghijklmnopqrstuv";
        (0..26).map(|i| alphabet[(mixed >> (i * 5) & 31) as usize] as char).collect()
    }

    /// Adds an account with its empty primary calendar.
    pub fn add_account(&mut self, account: Account, time_zone: &str) {
        let email = account.email.clone();
        self.calendars.insert(
            email.clone(),
            Calendar {
                id: email.clone(),
                summary: email.clone(),
                time_zone: time_zone.into(),
                owner: email.clone(),
                primary: true,
                acl: BTreeMap::from([(email.clone(), Role::Owner)]),
                events: BTreeMap::new(),
                epoch: 0,
                about: Object::new(),
                change: 0,
            },
        );
        enlist(self, &email, &email);
        self.accounts.insert(email, account);
    }

    /// Stores an event as the newest change of its calendar. `fields["id"]` names it. With `touch` false, `updated` stays
    /// as it was while the etag moves on (a change of reminders alone, E05).
    ///
    /// # Panics
    /// When the calendar does not exist or the event has no id: the caller has looked both up.
    pub fn record(&mut self, calendar: &str, fields: Object, touch: bool) {
        self.last_change += 1;
        // Strictly growing by a millisecond, which is what `updated` can tell, so that no two versions look alike even on a clock that
        // stands still or goes back.
        self.last_us = self.clock.now().timestamp_micros().max(self.last_us + 1000);
        let id = fields["id"].as_str().expect("a stored event has an id").to_owned();
        let events = &mut self.calendars.get_mut(calendar).expect("the calendar of a stored event").events;
        let updated_us = match events.get(&id) {
            Some(old) if !touch => old.updated_us,
            _ => self.last_us,
        };
        if let Some(uid) = fields.get("iCalUID").and_then(Value::as_str) {
            self.uids.entry(uid.to_owned()).or_default().insert((calendar.to_owned(), id.clone()));
        }
        let event = fields.clone();
        events.insert(id, Stored { fields, change: self.last_change, updated_us, etag_us: self.last_us });
        push::changed(self, calendar, &event);
        if let Some(feed) = &mut self.feed {
            let start = event.get("start").and_then(|start| start["dateTime"].as_str());
            let at = start.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            feed.extend(at.map(|at| (calendar.to_owned(), at.timestamp())));
        }
    }
}
