//! Ownership markers: the sealed reference on each event we make, which says that it is ours and of which item.
//!
//! ```text
//! v1.<installation>.<base64url(AES-256-GCM-SIV(user, origin calendar, origin event, slot, incarnation))>
//!                                              associated data: target calendar, event id
//! ```
//!
//! To anybody without our keys it says that this installation made the event, and nothing else: not which user, not which
//! calendar it derives from. The plain text is padded, so that the length does not tell either.
//!
//! Markers are deterministic: the same item has the same marker, so that writing it again changes nothing and two runs can be
//! compared byte by byte. The nonce is therefore fixed. GCM-SIV permits that: what encrypts is derived from the whole message,
//! and all a repeated nonce can show is that two messages with the same associated data are equal. The associated data names
//! the target calendar and the event id, which itself is a keyed hash of the item, so each message is unique anyway.

use aes_gcm_siv::{
    Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{NONCE_LENGTH, Vault, VaultError, parts};
use crate::model::{
    event::{OriginKey, Slot},
    id::{CalendarId, EventId},
    item::ItemKey,
};

/// What a marker proves about the event on which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadMarker {
    /// We made this very event, on this calendar, for this user.
    Ours { key: ItemKey, incarnation: u32 },
    /// We made it for another of our users.
    OtherUser,
    /// Another installation made it, or a later version of ours.
    OtherInstallation,
    /// The marker is ours, the event is not the one it was made for: a person copied, moved or split one of ours.
    NotOfThisEvent,
    /// Not a marker.
    Unreadable,
}

const VERSION: &str = "v1";
const INSTALLATION_LENGTH: usize = 8;
/// Lengths of the padded plain text. Nearly everything fits into the first; the last gives a marker of exactly the 1024
/// characters that Google takes as the value of an extended property.
const LENGTHS: [usize; 3] = [240, 480, 743];

impl Vault {
    /// The marker of an event of ours.
    ///
    /// # Errors
    /// [`VaultError::TooLongForMarker`] if the ids of the origin do not fit.
    pub fn marker(
        &self,
        user_subject: &str,
        key: &ItemKey,
        incarnation: u32,
        event: &EventId,
    ) -> Result<String, VaultError> {
        let ItemKey { target, origin: OriginKey { calendar, event: origin, instance } } = key;
        let slot = instance.map(|slot| slot.stamp()).unwrap_or_default();
        let mut plain = Vec::with_capacity(LENGTHS[0]);
        for text in [user_subject, calendar.as_str(), origin.as_str(), &slot] {
            let length = u16::try_from(text.len()).map_err(|_| VaultError::TooLongForMarker)?;
            plain.extend_from_slice(&length.to_le_bytes());
            plain.extend_from_slice(text.as_bytes());
        }
        plain.extend_from_slice(&incarnation.to_le_bytes());
        let length = LENGTHS.into_iter().find(|l| plain.len() <= *l).ok_or(VaultError::TooLongForMarker)?;
        plain.resize(length, 0);
        let sealed = self
            .markers
            .encrypt(&fixed_nonce(), Payload { msg: &plain, aad: &associated(target, event) })
            .expect("a marker is short");
        Ok(format!("{VERSION}.{}.{}", self.installation, URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// What the marker found on an event of a calendar says. For an instance without a marker of its own ask with the id of
    /// its series.
    ///
    /// An event is ours when the marker opens under its id and names an item whose id it bears; an exception within a series
    /// of ours may bear the series' id and its slot instead.
    pub fn read_marker(&self, user_subject: &str, calendar: &CalendarId, event: &EventId, marker: &str) -> ReadMarker {
        let Some((version, installation, sealed)) = form(marker) else { return ReadMarker::Unreadable };
        if version != VERSION || installation != self.installation {
            return ReadMarker::OtherInstallation;
        }
        let Ok(sealed) = URL_SAFE_NO_PAD.decode(sealed) else { return ReadMarker::NotOfThisEvent };
        let payload = Payload { msg: &sealed, aad: &associated(calendar, event) };
        let Ok(plain) = self.markers.decrypt(&fixed_nonce(), payload) else { return ReadMarker::NotOfThisEvent };
        let Some((user, origin, incarnation)) = reference(&plain) else { return ReadMarker::NotOfThisEvent };
        let key = ItemKey { target: calendar.clone(), origin };
        let ids = self.item_ids(user);
        let in_series = || {
            let (series, slot) = event.as_instance()?;
            (key.origin.instance == Some(slot)).then(|| ids.incarnation(&key.series(), &series)).flatten()
        };
        if ids.event_id(&key, incarnation) != *event && in_series().is_none() {
            return ReadMarker::NotOfThisEvent;
        }
        if user != user_subject {
            return ReadMarker::OtherUser;
        }
        ReadMarker::Ours { key, incarnation }
    }
}

fn fixed_nonce() -> Nonce {
    Nonce::from([0; NONCE_LENGTH])
}

fn associated(target: &CalendarId, event: &EventId) -> Vec<u8> {
    parts(&["marker/v1", target.as_str(), event.as_str()])
}

/// Version, installation and the sealed rest, if the text has the form of a marker.
fn form(marker: &str) -> Option<(&str, &str, &str)> {
    let mut fields = marker.split('.');
    let (version, installation, sealed) = (fields.next()?, fields.next()?, fields.next()?);
    let digits = version.strip_prefix('v')?;
    let well = fields.next().is_none()
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && installation.len() == INSTALLATION_LENGTH
        && installation.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v'))
        && !sealed.is_empty();
    well.then_some((version, installation, sealed))
}

/// User, origin and incarnation of an opened marker.
fn reference(plain: &[u8]) -> Option<(&str, OriginKey, u32)> {
    let mut rest = plain;
    let mut text = || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (text, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        rest = after;
        std::str::from_utf8(text).ok()
    };
    let (user, calendar, event, slot) = (text()?, text()?, text()?, text()?);
    let incarnation = u32::from_le_bytes(*rest.first_chunk()?);
    let instance = if slot.is_empty() { None } else { Some(Slot::from_stamp(slot)?) };
    Some((user, OriginKey { calendar: calendar.into(), event: event.into(), instance }, incarnation))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::vault, *};

    const USER: &str = "1001";

    fn key(calendar: &str, event: &str, slot: Option<&str>) -> ItemKey {
        ItemKey {
            target: "ada@home.example".into(),
            origin: OriginKey {
                calendar: calendar.into(),
                event: event.into(),
                instance: slot.and_then(Slot::from_stamp),
            },
        }
    }

    fn kickoff() -> ItemKey {
        key("ada@acme.example", "kickoff", Some("20260302T080000Z"))
    }

    /// The event id and marker of an item.
    fn made(key: &ItemKey, incarnation: u32) -> (EventId, String) {
        let event = vault().item_ids(USER).event_id(key, incarnation);
        let marker = vault().marker(USER, key, incarnation, &event).unwrap();
        (event, marker)
    }

    fn read(event: &EventId, marker: &str) -> ReadMarker {
        vault().read_marker(USER, &"ada@home.example".into(), event, marker)
    }

    #[test]
    fn markers_are_known_answers() {
        // Computed with Python's `cryptography` (AESGCMSIV, HKDF) and hmac.
        let (event, marker) = made(&kickoff(), 2);
        assert_eq!(event.as_str(), "br3j6ukb0k1rj1lkq1a5gvttbbnpd7f2tnsnnf3p2");
        assert_eq!(
            marker,
            "v1.ms8k7g8o.taO2bZdJ7GjiCxjTuVUdeQ0b__v2IWGYUMDukUiM08xyA_isG5TU1ly1AIq4HQSzHxQSFKf5n3W9KGyabqnSmNQ0Tauen\
             l6hItaSX-ttGSz9HD0UfiH26nSxNgmsguvWGAJmteP09VFGU9vVdnqr5CsvnyrDZ8n6fMTFl96Y0kxgfjvE9RHf5W-TyxRy8gIEdRYeQHSt\
             uFLkWRTwZx9roDKxssRHInrs2TcNXeM69pZSoi3M9OQWGxp6gIxK-ts9zUJBPSQlbj8n3lUF30Ix6dsS-YyXmAhrzom3JiRy5o_FDLFI0Ry\
             IxmNDIo9qbS6xoayJidyWr0w5mSkTDJWQ_w"
        );
        assert_eq!(read(&event, &marker), ReadMarker::Ours { key: kickoff(), incarnation: 2 });
    }

    #[test]
    fn a_marker_proves_nothing_on_another_event_or_calendar() {
        let (event, marker) = made(&kickoff(), 2);
        assert_eq!(read(&made(&kickoff(), 3).0, &marker), ReadMarker::NotOfThisEvent);
        assert_eq!(read(&"copied".into(), &marker), ReadMarker::NotOfThisEvent);
        let elsewhere = vault().read_marker(USER, &"ada@globex.example".into(), &event, &marker);
        assert_eq!(elsewhere, ReadMarker::NotOfThisEvent);
    }

    #[test]
    fn a_marker_sealed_for_an_event_with_a_foreign_id_is_not_believed() {
        let event = EventId::from("chosenbyhand");
        let marker = vault().marker(USER, &kickoff(), 2, &event).unwrap();
        assert_eq!(read(&event, &marker), ReadMarker::NotOfThisEvent);
    }

    #[test]
    fn an_exception_within_our_series_may_carry_a_marker_of_its_own() {
        let series = vault().item_ids(USER).event_id(&kickoff().series(), 0);
        let at = |stamp: &str| series.instance(&Slot::from_stamp(stamp).unwrap());
        let event = at("20260302T080000Z");
        let marker = vault().marker(USER, &kickoff(), 1, &event).unwrap();
        assert_eq!(read(&event, &marker), ReadMarker::Ours { key: kickoff(), incarnation: 1 });
        let other = at("20260309T080000Z");
        let marker = vault().marker(USER, &kickoff(), 1, &other).unwrap();
        assert_eq!(read(&other, &marker), ReadMarker::NotOfThisEvent);
    }

    #[test]
    fn a_marker_names_its_user_and_installation() {
        let (event, marker) = made(&kickoff(), 0);
        let calendar = "ada@home.example".into();
        assert_eq!(vault().read_marker("1002", &calendar, &event, &marker), ReadMarker::OtherUser);
        let other = Vault::from_keys([1; 32], [3; 32]);
        assert_eq!(other.read_marker(USER, &calendar, &event, &marker), ReadMarker::OtherInstallation);
        let later = marker.replacen("v1", "v2", 1);
        assert_eq!(read(&event, &later), ReadMarker::OtherInstallation);
    }

    #[test]
    fn a_new_encryption_key_changes_no_marker() {
        let (event, marker) = made(&kickoff(), 0);
        let rotated = Vault::from_keys([8; 32], [2; 32]);
        assert_eq!(rotated.marker(USER, &kickoff(), 0, &event).unwrap(), marker);
    }

    #[test]
    fn what_has_not_the_form_of_a_marker_is_unreadable() {
        let event = made(&kickoff(), 0).0;
        for marker in ["", "true", "v1.ms8k7g8o", "v1.ms8k7g8o.", "v1.MS8K7G8O.AAAA", "v.ms8k7g8o.AA"] {
            assert_eq!(read(&event, marker), ReadMarker::Unreadable, "{marker}");
        }
        let (event, marker) = made(&kickoff(), 0);
        assert_eq!(read(&event, &format!("{marker}.x")), ReadMarker::Unreadable);
    }

    #[test]
    fn a_damaged_marker_of_this_installation_is_of_no_event() {
        let (event, marker) = made(&kickoff(), 0);
        for cut in 1..=4 {
            assert_eq!(read(&event, &marker[..marker.len() - cut]), ReadMarker::NotOfThisEvent, "{cut}");
        }
        assert_eq!(read(&event, "v1.ms8k7g8o.@@"), ReadMarker::NotOfThisEvent);
    }

    #[test]
    fn the_length_of_a_marker_tells_nothing_and_fits_google() {
        let length = |calendar: usize, event: usize| {
            let key = key(&"c".repeat(calendar), &"e".repeat(event), Some("20260302T080000Z"));
            made(&key, 1).1.len()
        };
        assert_eq!(length(5, 5), 354);
        assert_eq!(length(91, 60), 354);
        assert_eq!(length(91, 200), 674);
        assert_eq!(length(91, 600), 1024);
        let all: std::collections::BTreeSet<usize> = (0..600).map(|event| length(91, event)).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [354, 674, 1024]);
    }

    #[test]
    fn an_origin_too_long_to_name_is_an_error() {
        let check = |event: usize| {
            let key = key("ada@acme.example", &"e".repeat(event), None);
            let event = vault().item_ids(USER).event_id(&key, 0);
            vault().marker(USER, &key, 0, &event)
        };
        // 743 bytes less four lengths, the incarnation, the subject and the calendar.
        assert_eq!(check(743 - 8 - 4 - 4 - 16).unwrap().len(), 1024);
        assert!(matches!(check(743 - 8 - 4 - 4 - 16 + 1), Err(VaultError::TooLongForMarker)));
        assert!(matches!(check(70_000), Err(VaultError::TooLongForMarker)));
    }
}
