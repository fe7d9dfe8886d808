//! Names of things. Google's ids are opaque text; a calendar's id is usually an address, so none of them goes into a log.

use std::{fmt, sync::Arc};

/// A consultant, by the number of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub i64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text, as Google writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name(text.into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id! {
    /// A calendar, by Google's id, never the alias `primary`. It stays the same when our database is lost, which the number
    /// of a row does not; logs say the number.
    CalendarId
}
text_id! {
    /// An event within its calendar, by Google's id.
    EventId
}
text_id! {
    /// A version of an event, quotes included.
    Etag
}
text_id! {
    /// How far Google has told us a calendar: its sync token.
    Cursor
}

impl EventId {
    /// Characters of an id that we make; Google's own are shorter.
    pub const OURS: usize = 41;

    /// The id of the instance of this series at `slot` (checklist C03, C04).
    pub fn instance(&self, slot: &super::event::Slot) -> EventId {
        EventId::from(format!("{}_{}", self.0, slot.stamp()))
    }

    /// The series and slot which an instance's id names, if it has that form. A split series (`base_R20260302T080000`) is
    /// not an instance.
    pub fn as_instance(&self) -> Option<(EventId, super::event::Slot)> {
        let (series, stamp) = self.0.rsplit_once('_')?;
        let slot = super::event::Slot::from_stamp(stamp)?;
        (!series.is_empty()).then(|| (EventId::from(series), slot))
    }
}
