//! Things that happen by themselves: every few seconds somebody makes, moves, cancels or answers a meeting, by Google's API as people's
//! programs do. Which, is drawn from one seeded source.

use std::time::Duration;

use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Europe::Vienna;
use serde_json::{Value, json};

use super::{troubles::Hands, week};
use crate::{cli::Failure, model::clock::Clock};

/// Who makes meetings on their own calendars.
const ACCOUNTS: [&str; 7] = [
    "ada@acme.example",
    "ada@globex.example",
    "ada@home.example",
    "ada@gmail.example",
    "bob@globex.example",
    "bob@home.example",
    "bob@gmail.example",
];
/// Who invites whom.
const INVITES: (&str, &str) = ("carol@acme.example", "ada@acme.example");
const TITLES: [&str; 12] = [
    "Coffee with the board",
    "Budget talk",
    "Design review",
    "Interview",
    "Rehearsal",
    "Release call",
    "Walk and talk",
    "Contract check",
    "Incident review",
    "Planning poker",
    "Handover",
    "Lunch and learn",
];
/// Meetings that stand at once at most; beyond, one is cancelled.
const STANDING: usize = 14;
/// Between two things that happen, in milliseconds: at least, and how much more at most.
const PAUSE: (u64, u64) = (2500, 3000);

/// A meeting that was made here.
struct Made {
    account: &'static str,
    id: String,
    title: &'static str,
    /// Somebody was asked whether they come.
    asked: bool,
}

/// What happens.
pub struct Lively {
    hands: Hands,
    clock: Clock,
    dice: u64,
    made: Vec<Made>,
}

impl Lively {
    /// At the emulator of this origin.
    ///
    /// # Errors
    /// When this machine gives no client.
    pub fn new(origin: String, clock: Clock) -> Result<Self, Failure> {
        Ok(Lively { hands: Hands::new(origin)?, clock, dice: 7, made: Vec::new() })
    }

    /// How long nothing happens now.
    pub fn pause(&mut self) -> Duration {
        Duration::from_millis(PAUSE.0 + self.roll(PAUSE.1))
    }

    /// One thing happens. Gives a line that tells it; none when Google refused, for example because it is broken just now.
    pub async fn happen(&mut self) -> Option<String> {
        let n = self.made.len();
        let dice = self.roll(10);
        match dice {
            _ if n < 3 => self.make().await,
            _ if n >= STANDING => self.cancel().await,
            0..=3 => self.make().await,
            4..=6 => self.shift().await,
            7 => self.cancel().await,
            _ => match self.made.iter().position(|made| made.asked) {
                Some(at) => self.answer(at).await,
                None => self.invite().await,
            },
        }
    }

    async fn make(&mut self) -> Option<String> {
        let account = self.pick(&ACCOUNTS);
        let (title, when) = (self.pick(&TITLES), self.when());
        let body = json!({"summary": title, "start": when.0, "end": when.1});
        let made = self.hands.call(account, "POST", "", Some(&body)).await.ok()?;
        self.made.push(Made { account, id: made["id"].as_str()?.to_owned(), title, asked: false });
        Some(format!("{account} has a new meeting, “{title}”, on {}", when.2))
    }

    async fn invite(&mut self) -> Option<String> {
        let (account, guest) = INVITES;
        let (title, when) = (self.pick(&TITLES), self.when());
        let guests = json!([{"email": account, "responseStatus": "accepted"}, {"email": guest}]);
        let body = json!({"summary": title, "start": when.0, "end": when.1, "attendees": guests});
        let made = self.hands.call(account, "POST", "", Some(&body)).await.ok()?;
        self.made.push(Made { account, id: made["id"].as_str()?.to_owned(), title, asked: true });
        Some(format!("{account} invites {guest} to “{title}”, on {}", when.2))
    }

    async fn answer(&mut self, at: usize) -> Option<String> {
        let guest = INVITES.1;
        let (id, title) = (self.made[at].id.clone(), self.made[at].title);
        self.made[at].asked = false;
        let mut event = self.hands.call(guest, "GET", &format!("/{id}"), None).await.ok()?;
        let word = self.pick(&["accepted", "tentative", "declined"]);
        let own = event["attendees"].as_array_mut()?.iter_mut().find(|one| one["email"] == guest)?;
        own["responseStatus"] = word.into();
        let body = json!({"attendees": event["attendees"]});
        self.hands.call(guest, "PATCH", &format!("/{id}"), Some(&body)).await.ok()?;
        Some(format!("{guest} answers “{title}”: {word}"))
    }

    async fn shift(&mut self) -> Option<String> {
        let at = usize::try_from(self.roll(self.made.len() as u64)).ok()?;
        let when = self.when();
        let Made { account, id, title, asked: _ } = &self.made[at];
        let (account, title) = (*account, *title);
        let body = json!({"start": when.0, "end": when.1});
        let moved = self.hands.call(account, "PATCH", &format!("/{id}"), Some(&body)).await;
        if moved.is_err() {
            // Somebody else removed it.
            self.made.remove(at);
        }
        moved.ok()?;
        Some(format!("{account} moves “{title}” to {}", when.2))
    }

    async fn cancel(&mut self) -> Option<String> {
        let at = usize::try_from(self.roll(self.made.len() as u64)).ok()?;
        let Made { account, id, title, asked: _ } = self.made.remove(at);
        self.hands.call(account, "DELETE", &format!("/{id}"), None).await.ok()?;
        Some(format!("{account} cancels “{title}”"))
    }

    /// Half an hour or more of a working day of this week, and how it is called.
    fn when(&mut self) -> (Value, Value, String) {
        let now = self.clock.now();
        let (monday, today) = (week::monday(now), now.with_timezone(&Vienna).date_naive());
        // What is over is no pleasure to watch.
        let first = u64::try_from((today - monday).num_days()).unwrap_or(0).min(4);
        let day: NaiveDate = monday + Days::new(first + self.roll(5 - first));
        let minutes = 8 * 60 + 30 * i64::try_from(self.roll(18)).unwrap_or(0);
        let start = day.and_time(NaiveTime::MIN) + TimeDelta::minutes(minutes);
        let end = start + TimeDelta::minutes(30 * (1 + i64::try_from(self.roll(3)).unwrap_or(0)));
        let time = |at: chrono::NaiveDateTime| json!({"dateTime": at.format("%Y-%m-%dT%H:%M:%S").to_string(), "timeZone": Vienna.name()});
        (time(start), time(end), start.format("%A at %H:%M").to_string())
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let at = self.roll(all.len() as u64);
        all[usize::try_from(at).unwrap_or(0)]
    }

    /// A number below `n` (splitmix64, as in Steele, Lea, Flood 2014).
    fn roll(&mut self, n: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }
}
