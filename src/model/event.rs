//! An event as Google shows it, and an origin: an event that a person made.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use super::{
    body::{Answer, Body},
    id::{CalendarId, Etag, EventId},
};

/// The start which a series' rule gives to one instance. It stays when the instance moves (Google: `originalStartTime`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    Day(NaiveDate),
    At(DateTime<Utc>),
}

impl Slot {
    /// As in an instance's id: `20260302` or `20260302T080000Z` (checklist C03, C04).
    pub fn stamp(&self) -> String {
        match self {
            Slot::Day(day) => day.format("%Y%m%d").to_string(),
            Slot::At(at) => at.format("%Y%m%dT%H%M%SZ").to_string(),
        }
    }

    /// The slot of a stamp.
    pub fn from_stamp(stamp: &str) -> Option<Self> {
        match stamp.len() {
            8 => NaiveDate::parse_from_str(stamp, "%Y%m%d").ok().map(Slot::Day),
            16 => {
                let at = NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%SZ").ok()?;
                Some(Slot::At(at.and_utc()))
            }
            _ => None,
        }
    }
}

/// Which event of which calendar something derives from. An exception is named by its series and slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginKey {
    pub calendar: CalendarId,
    pub event: EventId,
    pub instance: Option<Slot>,
}

/// What Google calls `eventType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Also every type Google may add: it counts by its transparency, like an ordinary event.
    Ordinary,
    OutOfOffice,
    FocusTime,
    FromGmail,
    WorkingLocation,
    Birthday,
}

/// One guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The name, or else the address.
    pub name: String,
    pub answer: Answer,
    /// The account whose calendar this is.
    pub own: bool,
}

/// What the user may change at the origin. Unknown means [`Rights::ReadOnly`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    Editable,
    ReadOnly,
}

/// One live event as Google shows it, ours or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: EventId,
    pub etag: Etag,
    /// Google's `updated`, RFC 3339 in UTC: later versions compare greater.
    pub updated: String,
    /// For an exception: its series and slot.
    pub series: Option<(EventId, Slot)>,
    pub kind: Kind,
    pub body: Body,
    /// The event itself is only planned.
    pub tentative: bool,
    /// Google's `iCalUID`: the same for one meeting on all calendars, and for all instances of a series. Empty if Google gave none.
    pub uid: String,
    /// The calendar on which this is organizes it.
    pub organizer: bool,
    /// People invited besides the account whose calendar this is; rooms are no people. Where Google leaves guests out, at least 1.
    pub others: u32,
    pub guests: Vec<Guest>,
    /// Where one joins by video.
    pub join_link: Option<String>,
    pub rights: Rights,
    /// The raw ownership marker, if the event carries one.
    pub marker: Option<String>,
    /// The plain tag `calendarSyncEngine=true`.
    pub tagged: bool,
}

/// What a listing says of one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Live(Box<Event>),
    /// Cancelled: a tombstone, or a cancelled instance with its series and slot.
    Gone {
        id: EventId,
        series: Option<(EventId, Slot)>,
        /// Where Google gave one: needed to bring an instance back.
        etag: Option<Etag>,
        /// Google calls it cancelled; otherwise it found nothing.
        told: bool,
    },
}

impl Change {
    /// The event of which something is said.
    pub fn id(&self) -> &EventId {
        match self {
            Change::Live(event) => &event.id,
            Change::Gone { id, .. } => id,
        }
    }
}

/// Whose event this is. Decided once, when it is observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A person, or a program that we know nothing of: an origin.
    Person,
    /// Provably made by us for this user.
    Ours(super::item::Provenance),
    /// Made by another installation, or for another of our users: neither copied nor touched.
    Foreign,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_id_names_its_series_and_slot() {
        let check = |id: &str, expect: Option<(&str, &str)>| {
            let found = EventId::from(id).as_instance();
            let found = found.as_ref().map(|(series, slot)| (series.as_str(), slot.stamp()));
            assert_eq!(found, expect.map(|(series, stamp)| (series, stamp.to_owned())), "{id}");
        };
        check("abc_20260302T080000Z", Some(("abc", "20260302T080000Z")));
        check("abc_20260302", Some(("abc", "20260302")));
        check("_60q30_20260302", Some(("_60q30", "20260302")));
        check("abc_R20260302T080000", None);
        check("abc_R20260302T080000_20260309T080000Z", Some(("abc_R20260302T080000", "20260309T080000Z")));
        check("abc", None);
        check("_20260302", None);
        check("abc_20261302", None);
    }
}
