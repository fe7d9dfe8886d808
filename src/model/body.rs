//! What an event says: the part that we read, write and compare, in one canonical form.
//!
//! Bodies are canonical from birth (line ends, trimming, whole seconds, no zero length), so that no comparison later has to be
//! clever. Comparisons that must survive a restart go through [`Digest`].

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, TimeDelta, Utc};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// When an event takes place. The end is exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Whole days, in whatever zone the reader lives.
    Days { first: NaiveDate, end: NaiveDate },
    /// Instants, whole seconds. The zones are IANA names and only say how the times are shown and how a series repeats.
    Times { start: DateTime<Utc>, end: DateTime<Utc>, start_zone: Option<String>, end_zone: Option<String> },
}

impl When {
    /// Whether this is whole days.
    pub fn is_days(&self) -> bool {
        matches!(self, When::Days { .. })
    }

    /// The first instant, with days taken in UTC: exact enough to sort and to compare with the horizon.
    pub fn start(&self) -> DateTime<Utc> {
        match self {
            When::Days { first, .. } => midnight(*first),
            When::Times { start, .. } => *start,
        }
    }

    /// Whether Google shows what we asked for. Where we asked for no zone, Google shows the calendar's own.
    pub fn meets(&self, shown: &When) -> bool {
        let zone = |asked: &Option<String>, shown: &Option<String>| asked.is_none() || asked == shown;
        match (self, shown) {
            (When::Days { .. }, When::Days { .. }) => self == shown,
            (
                When::Times { start, end, start_zone, end_zone },
                When::Times { start: s, end: e, start_zone: sz, end_zone: ez },
            ) => start == s && end == e && zone(start_zone, sz) && zone(end_zone, ez),
            _ => false,
        }
    }

    /// The first instant after the end, with days taken in UTC.
    pub fn end(&self) -> DateTime<Utc> {
        match self {
            When::Days { end, .. } => midnight(*end),
            When::Times { end, .. } => *end,
        }
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// Who may see the details of an event on a shared calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Default,
    Public,
    /// Also Google's `confidential`, which reads as private (checklist H14).
    Private,
}

/// How somebody answered an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    None,
    Declined,
    Maybe,
    Accepted,
}

impl Answer {
    /// Google's `responseStatus`.
    pub fn word(self) -> &'static str {
        match self {
            Answer::None => "needsAction",
            Answer::Declined => "declined",
            Answer::Maybe => "tentative",
            Answer::Accepted => "accepted",
        }
    }

    /// The answer of a word; unknown words are no answer.
    pub fn from_word(word: &str) -> Self {
        [Answer::Declined, Answer::Maybe, Answer::Accepted]
            .into_iter()
            .find(|a| a.word() == word)
            .unwrap_or(Answer::None)
    }
}

/// One part of a [`Body`] that is compared and written by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Time,
    Repetition,
    Title,
    Place,
    Description,
    ShowAs,
    Visibility,
    Colour,
    Answer,
}

impl Field {
    /// All of them, in the order of their declaration.
    pub const ALL: [Field; 9] = [
        Field::Time,
        Field::Repetition,
        Field::Title,
        Field::Place,
        Field::Description,
        Field::ShowAs,
        Field::Visibility,
        Field::Colour,
        Field::Answer,
    ];

    /// What a person calls it.
    pub fn word(self) -> &'static str {
        match self {
            Field::Time => "time",
            Field::Repetition => "repetition",
            Field::Title => "title",
            Field::Place => "place",
            Field::Description => "description",
            Field::ShowAs => "show as",
            Field::Visibility => "visibility",
            Field::Colour => "colour",
            Field::Answer => "answer",
        }
    }
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub title: Option<String>,
    pub description: Option<String>,
    pub location: Option<String>,
    pub when: When,
    /// RRULE, EXRULE, RDATE and EXDATE lines as Google gives them; empty for a single event or an instance.
    pub recurrence: Vec<String>,
    /// Shown as free: blocks nobody.
    pub free: bool,
    pub visibility: Visibility,
    /// Google's `colorId` of the event palette.
    pub colour: Option<String>,
    /// How the account whose calendar this is answered; none when it is not a guest.
    pub answer: Option<Answer>,
}

impl Body {
    /// The canonical form: `\n` line ends, no blank ends of texts, empty text is none, whole seconds, at least a minute or a
    /// day long (Google refuses less, checklist D23, M05).
    pub fn canonical(self) -> Self {
        let Body { title, description, location, when, recurrence, free, visibility, colour, answer } = self;
        let when = match when {
            When::Days { first, end } => When::Days { first, end: end.max(first + TimeDelta::days(1)) },
            When::Times { start, end, start_zone, end_zone } => {
                let (start, end) = (start.trunc_subsecs(0), end.trunc_subsecs(0));
                let end = if end > start { end } else { start + TimeDelta::minutes(1) };
                When::Times { start, end, start_zone, end_zone }
            }
        };
        Body {
            title: text(title),
            description: text(description),
            location: text(location),
            when,
            recurrence: recurrence.into_iter().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect(),
            free,
            visibility,
            colour: text(colour),
            answer,
        }
    }

    /// A fingerprint of each field.
    pub fn digest(&self) -> Digest {
        let Body { title, description, location, when, recurrence, free, visibility, colour, answer } = self;
        let text = |text: &Option<String>| text.as_ref().map_or(1, |text| xxh3_64(text.as_bytes()));
        let mut time = Xxh3::new();
        match when {
            When::Days { first, end } => {
                time.update(&first.num_days_from_ce().to_le_bytes());
                time.update(&end.num_days_from_ce().to_le_bytes());
            }
            When::Times { start, end, start_zone, end_zone } => {
                time.update(&start.timestamp().to_le_bytes());
                time.update(&end.timestamp().to_le_bytes());
                for zone in [start_zone, end_zone] {
                    time.update(zone.as_deref().unwrap_or("").as_bytes());
                    time.update(&[0]);
                }
            }
        }
        let mut rules = Xxh3::new();
        for line in recurrence {
            rules.update(line.as_bytes());
            rules.update(b"\n");
        }
        // In the order of `Field::ALL`.
        let parts = [
            time.digest(),
            rules.digest(),
            text(title),
            text(location),
            text(description),
            u64::from(*free) + 1,
            *visibility as u64 + 1,
            text(colour),
            answer.map_or(1, |answer| answer as u64 + 2),
        ];
        // Zero is for what is absent.
        Digest(parts.map(|part| part.max(1)))
    }

    /// Whether Google shows what we asked for.
    pub fn meets(&self, shown: &Body) -> bool {
        self.changed(shown).is_empty()
    }

    /// The fields in which `shown` is not what `self` asks for.
    pub fn changed(&self, other: &Body) -> Vec<Field> {
        let Body { title, description, location, when, recurrence, free, visibility, colour, answer } = self;
        [
            (Field::Time, !when.meets(&other.when)),
            (Field::Repetition, *recurrence != other.recurrence),
            (Field::Title, *title != other.title),
            (Field::Place, *location != other.location),
            (Field::Description, *description != other.description),
            (Field::ShowAs, *free != other.free),
            (Field::Visibility, *visibility != other.visibility),
            (Field::Colour, *colour != other.colour),
            (Field::Answer, *answer != other.answer),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }

    /// Takes one field over from another body.
    pub fn take(&mut self, field: Field, from: &Body) {
        match field {
            Field::Time => self.when = from.when.clone(),
            Field::Repetition => self.recurrence = from.recurrence.clone(),
            Field::Title => self.title = from.title.clone(),
            Field::Place => self.location = from.location.clone(),
            Field::Description => self.description = from.description.clone(),
            Field::ShowAs => self.free = from.free,
            Field::Visibility => self.visibility = from.visibility,
            Field::Colour => self.colour = from.colour.clone(),
            Field::Answer => self.answer = from.answer,
        }
    }
}

fn text(text: Option<String>) -> Option<String> {
    let text = text?.replace("\r\n", "\n").replace('\r', "\n");
    let trimmed = text.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// A fingerprint of each field of a [`Body`], in the order of [`Field::ALL`]; or of its absence. Not cryptographic: it tells
/// edits, it keeps no secret, and wherever it is stored it is sealed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u64; Field::ALL.len()]);

impl Digest {
    /// Nothing should be there, or nothing is: a cancelled instance.
    pub const ABSENT: Digest = Digest([0; Field::ALL.len()]);
    /// Nobody has asked or looked: differs from every body and from absence.
    pub const UNKNOWN: Digest = Digest([0, 0, 0, 0, 0, 0, 0, 0, u64::MAX]);
    /// How many bytes it takes where it is stored.
    pub const LENGTH: usize = 8 * Field::ALL.len();

    /// The fields in which two bodies differ.
    pub fn changed(&self, other: &Digest) -> Vec<Field> {
        Field::ALL.into_iter().filter(|field| self.0[*field as usize] != other.0[*field as usize]).collect()
    }

    /// Takes one field over from another digest.
    pub fn take(&mut self, field: Field, from: &Digest) {
        self.0[field as usize] = from.0[field as usize];
    }

    /// Sets the answer's part.
    pub fn answer(&mut self, answer: Answer) {
        self.0[Field::Answer as usize] = answer as u64 + 2;
    }

    /// As it is stored.
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.iter().flat_map(|part| part.to_le_bytes()).collect()
    }

    /// The digest of stored bytes; none if they are of another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (parts, rest) = bytes.as_chunks::<8>();
        let parts: [[u8; 8]; Field::ALL.len()] = parts.try_into().ok()?;
        rest.is_empty().then(|| Digest(parts.map(u64::from_le_bytes)))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| write!(f, "{:04x}", part & 0xffff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(title: &str, start: &str, end: &str) -> Body {
        Body {
            title: Some(title.into()),
            description: None,
            location: None,
            when: When::Times {
                start: start.parse().unwrap(),
                end: end.parse().unwrap(),
                start_zone: None,
                end_zone: None,
            },
            recurrence: Vec::new(),
            free: false,
            visibility: Visibility::Default,
            colour: None,
            answer: None,
        }
    }

    #[test]
    fn line_ends_blank_ends_and_fractions_make_no_difference() {
        let one = body("  Call\r\nhome ", "2026-03-02T08:00:00.9Z", "2026-03-02T09:00:00Z").canonical();
        let two = body("Call\nhome", "2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z").canonical();
        assert_eq!(one, two);
        assert_eq!(one.digest(), two.digest());
    }

    #[test]
    fn an_event_without_length_gets_a_minute() {
        let body = body("x", "2026-03-02T08:00:00Z", "2026-03-02T08:00:00Z").canonical();
        assert_eq!((body.when.end() - body.when.start()).num_seconds(), 60);
    }

    #[test]
    fn each_field_changes_the_digest_and_is_named() {
        let base = body("x", "2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z");
        let changes: [(Field, fn(&mut Body)); Field::ALL.len()] = [
            (Field::Time, |b| b.when = body("x", "2026-03-02T08:00:00Z", "2026-03-02T10:00:00Z").when),
            (Field::Repetition, |b| b.recurrence = vec!["RRULE:FREQ=DAILY".into()]),
            (Field::Title, |b| b.title = None),
            (Field::Place, |b| b.location = Some("x".into())),
            (Field::Description, |b| b.description = Some("x".into())),
            (Field::ShowAs, |b| b.free = true),
            (Field::Visibility, |b| b.visibility = Visibility::Private),
            (Field::Colour, |b| b.colour = Some("1".into())),
            (Field::Answer, |b| b.answer = Some(Answer::None)),
        ];
        for (field, change) in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_eq!(base.changed(&other), [field]);
            assert_eq!(base.digest().changed(&other.digest()), [field]);
            let mut taken = base.clone();
            taken.take(field, &other);
            assert_eq!(taken, other);
        }
    }

    #[test]
    fn a_digest_is_stored_and_read_again() {
        let digest = body("x", "2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z").digest();
        assert_eq!(digest.to_bytes().len(), Digest::LENGTH);
        assert_eq!(Digest::from_bytes(&digest.to_bytes()), Some(digest));
        assert_eq!(Digest::from_bytes(&digest.to_bytes()[1..]), None);
        for special in [Digest::ABSENT, Digest::UNKNOWN] {
            assert_eq!(digest.changed(&special).len(), Field::ALL.len());
        }
        assert_ne!(Digest::ABSENT, Digest::UNKNOWN);
    }
}
