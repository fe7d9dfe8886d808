//! The stored format of an event: JSON with short names, sealed by whoever stores it. The model knows nothing of it, so that
//! neither binds the other; a new field of the model does not compile here until it has a place.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{
    body::{Answer, Body, Visibility, When},
    event::{Event, Guest, Kind, Rights, Slot},
};

#[derive(Serialize, Deserialize)]
struct Stored {
    id: String,
    etag: String,
    updated: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    series: Option<(String, String)>,
    kind: String,
    body: StoredBody,
    tentative: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    uid: String,
    organizer: bool,
    others: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    guests: Vec<(String, String, bool)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    join: Option<String>,
    editable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
    tagged: bool,
}

/// A body as stored, in the mirror and in the journal.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    when: StoredWhen,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recurrence: Vec<String>,
    free: bool,
    visibility: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    colour: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

/// A time as stored. The end is exclusive.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum StoredWhen {
    Days {
        first: NaiveDate,
        end: NaiveDate,
    },
    Times {
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start_zone: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end_zone: Option<String>,
    },
}

/// Pairs each value with its stored word.
macro_rules! words {
    ($write:ident, $read:ident, $type:ty, { $($value:path = $word:literal),+ $(,)? }) => {
        pub(super) fn $write(value: $type) -> &'static str {
            match value { $($value => $word),+ }
        }

        pub(super) fn $read(word: &str) -> Option<$type> {
            match word { $($word => Some($value),)+ _ => None }
        }
    };
}

words!(kind_word, kind, Kind, {
    Kind::Ordinary = "ordinary",
    Kind::OutOfOffice = "out-of-office",
    Kind::FocusTime = "focus-time",
    Kind::FromGmail = "from-gmail",
    Kind::WorkingLocation = "working-location",
    Kind::Birthday = "birthday",
});
words!(answer_word, answer, Answer, {
    Answer::None = "none",
    Answer::Declined = "declined",
    Answer::Maybe = "maybe",
    Answer::Accepted = "accepted",
});
words!(visibility_word, visibility, Visibility, {
    Visibility::Default = "default",
    Visibility::Public = "public",
    Visibility::Private = "private",
});

/// The stored bytes of an event.
pub(super) fn to_bytes(event: &Event) -> Vec<u8> {
    let Event {
        id,
        etag,
        updated,
        series,
        kind,
        body,
        tentative,
        uid,
        organizer,
        others,
        guests,
        join_link,
        rights,
        marker,
        tagged,
    } = event;
    let stored = Stored {
        id: id.as_str().into(),
        etag: etag.as_str().into(),
        updated: updated.clone(),
        series: series.as_ref().map(|(series, slot)| (series.as_str().into(), slot.stamp())),
        kind: kind_word(*kind).into(),
        body: body.into(),
        tentative: *tentative,
        uid: uid.clone(),
        organizer: *organizer,
        others: *others,
        guests: guests
            .iter()
            .map(|Guest { name, answer, own }| (name.clone(), answer_word(*answer).into(), *own))
            .collect(),
        join: join_link.clone(),
        editable: *rights == Rights::Editable,
        marker: marker.clone(),
        tagged: *tagged,
    };
    serde_json::to_vec(&stored).expect("a struct of text, numbers and lists is JSON")
}

/// The event of stored bytes; none if they are of another format.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<Event> {
    let Stored {
        id,
        etag,
        updated,
        series,
        kind: word,
        body,
        tentative,
        uid,
        organizer,
        others,
        guests,
        join,
        editable,
        marker,
        tagged,
    } = serde_json::from_slice(bytes).ok()?;
    let guest = |(name, word, own): (String, String, bool)| Some(Guest { name, answer: answer(&word)?, own });
    Some(Event {
        id: id.into(),
        etag: etag.into(),
        updated,
        series: match series {
            Some((series, stamp)) => Some((series.into(), Slot::from_stamp(&stamp)?)),
            None => None,
        },
        kind: kind(&word)?,
        body: body.into_model()?,
        tentative,
        uid,
        organizer,
        others,
        guests: guests.into_iter().map(guest).collect::<Option<_>>()?,
        join_link: join,
        rights: if editable { Rights::Editable } else { Rights::ReadOnly },
        marker,
        tagged,
    })
}

impl From<&Body> for StoredBody {
    fn from(body: &Body) -> Self {
        let Body { title, description, location, when, recurrence, free, visibility, colour, answer } = body;
        StoredBody {
            title: title.clone(),
            description: description.clone(),
            location: location.clone(),
            when: when.into(),
            recurrence: recurrence.clone(),
            free: *free,
            visibility: visibility_word(*visibility).into(),
            colour: colour.clone(),
            answer: answer.map(|a| answer_word(a).into()),
        }
    }
}

impl StoredBody {
    pub(super) fn into_model(self) -> Option<Body> {
        let StoredBody {
            title,
            description,
            location,
            when,
            recurrence,
            free,
            visibility: word,
            colour,
            answer: answered,
        } = self;
        let answer = match answered {
            Some(word) => Some(answer(&word)?),
            None => None,
        };
        let when = when.into();
        Some(Body {
            title,
            description,
            location,
            when,
            recurrence,
            free,
            visibility: visibility(&word)?,
            colour,
            answer,
        })
    }
}

impl From<&When> for StoredWhen {
    fn from(when: &When) -> Self {
        match when.clone() {
            When::Days { first, end } => StoredWhen::Days { first, end },
            When::Times { start, end, start_zone, end_zone } => StoredWhen::Times { start, end, start_zone, end_zone },
        }
    }
}

impl From<StoredWhen> for When {
    fn from(when: StoredWhen) -> Self {
        match when {
            StoredWhen::Days { first, end } => When::Days { first, end },
            StoredWhen::Times { start, end, start_zone, end_zone } => When::Times { start, end, start_zone, end_zone },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_an_event_comes_back() {
        let times = When::Times {
            start: "2026-03-02T08:00:00Z".parse().unwrap(),
            end: "2026-03-02T09:00:00Z".parse().unwrap(),
            start_zone: Some("Europe/Vienna".into()),
            end_zone: Some("Asia/Tokyo".into()),
        };
        let days = When::Days { first: "2026-03-02".parse().unwrap(), end: "2026-03-04".parse().unwrap() };
        for when in [times, days] {
            let event = Event {
                id: "abc_20260302T080000Z".into(),
                etag: "\"17\"".into(),
                updated: "2026-03-01T08:00:00.000Z".into(),
                series: Some(("abc".into(), Slot::from_stamp("20260302T080000Z").unwrap())),
                kind: Kind::FromGmail,
                body: Body {
                    title: Some("t".into()),
                    description: Some("d".into()),
                    location: Some("l".into()),
                    when,
                    recurrence: vec!["RRULE:FREQ=DAILY".into()],
                    free: true,
                    visibility: Visibility::Private,
                    colour: Some("7".into()),
                    answer: Some(Answer::Maybe),
                },
                tentative: true,
                uid: "abc@google.com".into(),
                organizer: true,
                others: 3,
                guests: vec![Guest { name: "Bob".into(), answer: Answer::Declined, own: true }],
                join_link: Some("https://meet.example/x".into()),
                rights: Rights::Editable,
                marker: Some("v1.x.y".into()),
                tagged: true,
            };
            assert_eq!(from_bytes(&to_bytes(&event)), Some(event));
        }
    }
}
