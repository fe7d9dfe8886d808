//! Items: what we keep on a calendar, how it is named, and the ids that follow from the name.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{
    body::{Body, Digest},
    event::{OriginKey, Slot},
    id::{CalendarId, Etag, EventId},
    secret::Secret,
};

/// The identity of one thing we keep somewhere: this origin, on that calendar.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    pub target: CalendarId,
    pub origin: OriginKey,
}

impl ItemKey {
    /// The key of the series of which this is an exception.
    pub fn series(&self) -> ItemKey {
        let origin = OriginKey { instance: None, ..self.origin.clone() };
        ItemKey { target: self.target.clone(), origin }
    }

    /// The key of the exception at `slot` of this series.
    pub fn at(&self, slot: Slot) -> ItemKey {
        let origin = OriginKey { instance: Some(slot), ..self.origin.clone() };
        ItemKey { target: self.target.clone(), origin }
    }
}

/// How an origin looks where it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Face {
    /// In full.
    Copy,
    /// `Busy`, and nothing else.
    Busy,
    /// `Busy (Personal)`, and nothing else.
    PersonalBusy,
}

impl Face {
    /// The word in plans, logs and the database.
    pub fn word(self) -> &'static str {
        match self {
            Face::Copy => "copy",
            Face::Busy => "busy",
            Face::PersonalBusy => "personal",
        }
    }

    /// The face of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Face::Copy, Face::Busy, Face::PersonalBusy].into_iter().find(|face| face.word() == word)
    }
}

/// What an event of ours was made for, as its marker or our own notes prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    pub key: ItemKey,
    pub incarnation: u32,
    /// The event is an instance of a series of ours, not an event of its own.
    pub in_series: bool,
}

/// An event of ours as Google shows it.
#[derive(Clone, Debug)]
pub struct Observed {
    pub event: EventId,
    pub incarnation: u32,
    /// An instance of a series of ours.
    pub in_series: bool,
    pub state: ObservedState,
}

/// Whether an event of ours is there. Absence is not a state.
#[derive(Clone, Debug)]
pub enum ObservedState {
    Live {
        etag: Etag,
        body: Body,
        digest: Digest,
        /// Whether the marker is still on it.
        marked: bool,
        /// Google's `updated`, RFC 3339 in UTC.
        updated: String,
    },
    /// Gone. `told`: Google itself called it cancelled; otherwise it only found nothing there.
    Gone { told: bool },
}

/// Makes event ids from item keys: keyed, so that nobody without the key can tell which origin an id belongs to, and
/// deterministic, so that a create can be repeated without a second event.
#[derive(Clone, Debug)]
pub struct ItemIds {
    key: Secret<[u8; 32]>,
    /// The stable subject of the user's home account.
    user: String,
}

/// Characters of an item id; what follows in an event id is the incarnation.
const ITEM_ID_LENGTH: usize = 40;

impl ItemIds {
    /// Ids of one user under one installation's key.
    pub fn new(key: Secret<[u8; 32]>, user: impl Into<String>) -> Self {
        ItemIds { key, user: user.into() }
    }

    /// The id of the item in all its incarnations: 40 characters of base32hex (200 bits of HMAC-SHA-256).
    pub fn item_id(&self, key: &ItemKey) -> String {
        let ItemKey { target, origin: OriginKey { calendar, event, instance } } = key;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.reveal()).expect("HMAC takes a key of any length");
        let slot = instance.map(|slot| slot.stamp()).unwrap_or_default();
        for part in ["item/v1", &self.user, target.as_str(), calendar.as_str(), event.as_str(), &slot] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        let mut text = data_encoding::BASE32HEX_NOPAD.encode(&mac.finalize().into_bytes()).to_ascii_lowercase();
        text.truncate(ITEM_ID_LENGTH);
        text
    }

    /// The event id of one incarnation. Google takes 5–1024 characters of `0-9a-v` (checklist D01, D02).
    pub fn event_id(&self, key: &ItemKey, incarnation: u32) -> EventId {
        EventId::from(format!("{}{incarnation}", self.item_id(key)))
    }

    /// The incarnation of an event id, if it is one of this item.
    pub fn incarnation(&self, key: &ItemKey, event: &EventId) -> Option<u32> {
        let digits = event.as_str().strip_prefix(&self.item_id(key))?;
        let number: u32 = digits.parse().ok()?;
        (number.to_string() == digits).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(instance: Option<&str>) -> ItemKey {
        ItemKey {
            target: "ada@home.example".into(),
            origin: OriginKey {
                calendar: "ada@acme.example".into(),
                event: "kickoff".into(),
                instance: instance.and_then(Slot::from_stamp),
            },
        }
    }

    #[test]
    fn ids_are_known_answers() {
        // Computed with Python's hmac and base64 over the same length-prefixed parts.
        let ids = ItemIds::new(Secret::new([7; 32]), "1001");
        assert_eq!(ids.event_id(&key(None), 0).as_str(), KNOWN_SINGLE);
        assert_eq!(ids.event_id(&key(Some("20260302T080000Z")), 12).as_str(), KNOWN_INSTANCE);
    }
    const KNOWN_SINGLE: &str = "u12320opgr7ni4hafes8ttaf9366b89a9kv2e9q80";
    const KNOWN_INSTANCE: &str = "38bah21kukp4ijfqb20tf38r6umm202oggttuhj012";

    #[test]
    fn an_event_id_tells_its_incarnation_to_who_has_the_key() {
        let ids = ItemIds::new(Secret::new([7; 32]), "1001");
        let id = ids.event_id(&key(None), 3);
        assert_eq!(ids.incarnation(&key(None), &id), Some(3));
        assert_eq!(ids.incarnation(&key(Some("20260302")), &id), None);
        assert_eq!(ItemIds::new(Secret::new([7; 32]), "1002").incarnation(&key(None), &id), None);
        assert_eq!(ids.incarnation(&key(None), &EventId::from(format!("{}03", ids.item_id(&key(None))))), None);
    }
}
