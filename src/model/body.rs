//! What an event says: the part that we read, write and compare, in one canonical form.
//!
//! Bodies are canonical from birth (line ends, trimming, whole seconds, no zero length), so that no comparison later has to be
//! clever. Comparisons that must survive a restart go through [`Digest`].

use std::fmt;

use chrono::{DateTime, NaiveDate, SubsecRound, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

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
}

impl Body {
    /// The canonical form: `\n` line ends, no blank ends of texts, empty text is none, whole seconds, at least a minute or a
    /// day long (Google refuses less, checklist D23, M05).
    pub fn canonical(self) -> Self {
        let Body { title, description, location, when, recurrence, free, visibility, colour } = self;
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
        }
    }

    /// A fingerprint of all of it.
    pub fn digest(&self) -> Digest {
        let Body { title, description, location, when, recurrence, free, visibility, colour } = self;
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for text in [title, description, location, colour] {
            part(text.as_deref().unwrap_or("").as_bytes());
        }
        match when {
            When::Days { first, end } => part(format!("{first}/{end}").as_bytes()),
            When::Times { start, end, start_zone, end_zone } => {
                part(&start.timestamp().to_le_bytes());
                part(&end.timestamp().to_le_bytes());
                part(start_zone.as_deref().unwrap_or("").as_bytes());
                part(end_zone.as_deref().unwrap_or("").as_bytes());
            }
        }
        for line in recurrence {
            part(line.as_bytes());
        }
        part(&[u8::from(*free), *visibility as u8]);
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        Digest(short)
    }

    /// Whether Google shows what we asked for.
    pub fn meets(&self, shown: &Body) -> bool {
        self.changed(shown).is_empty()
    }

    /// The names of the fields in which `shown` is not what `self` asks for, as a person would call them.
    pub fn changed(&self, other: &Body) -> Vec<&'static str> {
        let Body { title, description, location, when, recurrence, free, visibility, colour } = self;
        [
            ("time", !when.meets(&other.when)),
            ("repetition", *recurrence != other.recurrence),
            ("title", *title != other.title),
            ("place", *location != other.location),
            ("description", *description != other.description),
            ("show as", *free != other.free),
            ("visibility", *visibility != other.visibility),
            ("colour", *colour != other.colour),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }

    /// How many fields [`Body::changed`] compares.
    pub const FIELDS: usize = 8;
}

fn text(text: Option<String>) -> Option<String> {
    let text = text?.replace("\r\n", "\n").replace('\r', "\n");
    let trimmed = text.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// A fingerprint of a [`Body`], or of its absence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Nothing should be there, or nothing is: a cancelled instance.
    pub const ABSENT: Digest = Digest([0; 16]);
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
        let changes: [(&str, fn(&mut Body)); Body::FIELDS] = [
            ("time", |b| b.when = body("x", "2026-03-02T08:00:00Z", "2026-03-02T10:00:00Z").when),
            ("repetition", |b| b.recurrence = vec!["RRULE:FREQ=DAILY".into()]),
            ("title", |b| b.title = None),
            ("place", |b| b.location = Some("x".into())),
            ("description", |b| b.description = Some("x".into())),
            ("show as", |b| b.free = true),
            ("visibility", |b| b.visibility = Visibility::Private),
            ("colour", |b| b.colour = Some("1".into())),
        ];
        for (name, change) in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(base.digest(), other.digest(), "{name}");
            assert_eq!(base.changed(&other), [name]);
        }
    }
}
