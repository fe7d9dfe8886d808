//! What is sealed: a marker proves one event on one calendar of one user, and what lies at rest opens in its own place alone.

use proptest::{collection::vec, prelude::*, sample::select};

use super::holds;
use crate::{
    model::{
        event::{OriginKey, Slot},
        id::{CalendarId, EventId},
        item::ItemKey,
    },
    vault::{Place, Vault, marker::ReadMarker},
};

/// Where and how somebody alters a text.
#[derive(Clone, Debug)]
enum Forgery {
    Byte(u16, char),
    Cut(u16),
    Longer(String),
    Whole(String),
    Twice,
}

fn forgery() -> impl Strategy<Value = Forgery> {
    prop_oneof![
        4 => (any::<u16>(), select("AZaz09-_.v+/= é".chars().collect::<Vec<_>>())).prop_map(|(at, to)| Forgery::Byte(at, to)),
        2 => any::<u16>().prop_map(Forgery::Cut),
        1 => "[A-Za-z0-9_.-]{0,8}".prop_map(Forgery::Longer),
        1 => prop_oneof![any::<String>(), "v[0-9]\\.[0-9a-v]{8}\\.[A-Za-z0-9_-]{0,400}"].prop_map(Forgery::Whole),
        1 => Just(Forgery::Twice),
    ]
}

fn forged(text: &str, forgery: &Forgery) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    match forgery {
        Forgery::Byte(at, to) => {
            let at = usize::from(*at) % letters.len();
            letters[at] = *to;
        }
        Forgery::Cut(at) => letters.truncate(usize::from(*at) % letters.len()),
        Forgery::Longer(more) => letters.extend(more.chars()),
        Forgery::Whole(other) => letters = other.chars().collect(),
        Forgery::Twice => letters.extend(text.chars()),
    }
    letters.into_iter().collect()
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => select(vec!["ada@acme.example", "ada@home.example", "kickoff", "", "a.b", "\u{0}"]).prop_map(str::to_owned),
        1 => any::<String>().prop_filter("fits into a marker", |text| text.len() < 200),
    ]
}

#[test]
fn a_marker_opens_on_the_event_and_calendar_that_it_was_made_for_and_nowhere_else() {
    let vault = Vault::from_keys([1; 32], [2; 32]);
    let stranger = Vault::from_keys([1; 32], [3; 32]);
    let slot = select(vec![None, Some("20260302T080000Z"), Some("20260302")]);
    let made = (name(), name(), name(), slot, any::<u32>());
    holds((made, forgery(), name(), name(), name()), |(made, forgery, calendar, event, user)| {
        let (own, origin_calendar, origin, slot, incarnation) = made;
        let key = ItemKey {
            target: "ada@globex.example".into(),
            origin: OriginKey {
                calendar: origin_calendar.as_str().into(),
                event: origin.as_str().into(),
                instance: slot.and_then(Slot::from_stamp),
            },
        };
        let id = vault.item_ids(&own).event_id(&key, incarnation);
        let marker = vault.marker(&own, &key, incarnation, &id).unwrap();
        let truth = ReadMarker::Ours { key: key.clone(), incarnation };
        let ours = |marker: &str, calendar: &CalendarId, event: &EventId, user: &str| {
            vault.read_marker(user, calendar, event, marker)
        };
        prop_assert_eq!(ours(&marker, &key.target, &id, &own), truth);
        let altered = forged(&marker, &forgery);
        if altered != marker {
            let read = ours(&altered, &key.target, &id, &own);
            prop_assert!(!matches!(read, ReadMarker::Ours { .. } | ReadMarker::OtherUser), "{:?}: {}", read, altered);
        }
        if CalendarId::from(calendar.as_str()) != key.target {
            prop_assert_eq!(ours(&marker, &calendar.as_str().into(), &id, &own), ReadMarker::NotOfThisEvent);
        }
        let moved = EventId::from(event.as_str());
        if moved != id {
            prop_assert_eq!(ours(&marker, &key.target, &moved, &own), ReadMarker::NotOfThisEvent);
        }
        // Its instances are copies of a person's, until the series itself says so.
        let instance = id.instance(&Slot::from_stamp("20260309T080000Z").unwrap());
        prop_assert_eq!(ours(&marker, &key.target, &instance, &own), ReadMarker::NotOfThisEvent);
        if user != own {
            prop_assert_eq!(ours(&marker, &key.target, &id, &user), ReadMarker::OtherUser);
        }
        prop_assert_eq!(stranger.read_marker(&own, &key.target, &id, &marker), ReadMarker::OtherInstallation);
        Ok(())
    });
}

fn place(row: &str) -> Place<'_> {
    Place { table: "oauth_tokens", column: "refresh_token", row }
}

#[test]
fn what_is_sealed_opens_whole_and_in_its_own_place() {
    let of = |key| {
        let vault = Vault::from_keys([key; 32], [2; 32]);
        vault.data_key(&vault.new_data_key().unwrap()).unwrap()
    };
    let (vault, other) = (of(1), of(9));
    let alteration = vec((any::<u16>(), any::<u8>()), 0..3);
    holds(
        (vec(any::<u8>(), 0..80), name(), name(), alteration, any::<u16>()),
        |(plain, row, elsewhere, bytes, cut)| {
            let sealed = vault.seal(&place(&row), &plain);
            prop_assert_eq!(vault.open(&place(&row), &sealed).ok(), Some(plain));
            prop_assert!(other.open(&place(&row), &sealed).is_err());
            if elsewhere != row {
                prop_assert!(vault.open(&place(&elsewhere), &sealed).is_err());
            }
            let beside = Place { column: "access_token", ..place(&row) };
            prop_assert!(vault.open(&beside, &sealed).is_err());
            let mut altered = sealed.clone();
            for (at, byte) in bytes {
                let at = usize::from(at) % altered.len();
                altered[at] = byte;
            }
            altered.truncate(altered.len() - usize::from(cut) % 3);
            if altered != sealed {
                prop_assert!(vault.open(&place(&row), &altered).is_err());
            }
            Ok(())
        },
    );
}
