//! What a handler knows of its request: who asks, and how things are called for them.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use salvo::{Depot, Request, Response, writing::Text};

use super::{
    Front,
    error::Refusal,
    session::{self, Visitor},
    sign_in,
};
use crate::{
    controller::queue::Scope,
    model::{calendar::Role, id::UserId},
    pages::{
        self, Page, Shell,
        shell::{Person, Said, When},
    },
    store::{calendars::CalendarRow, people::User},
};

/// What a moment ago was done, by the word that the address carries.
const SAID: [(&str, &str); 21] = [
    ("checking", "Checking now."),
    ("connected", "The account is connected again. Checking now."),
    ("begun", "It begins. The first check is running."),
    ("main", "That is your main calendar now. Everything moves there."),
    ("leaving", "It is being disconnected. What we made is removed first."),
    ("leaving-all", "All calendars are being disconnected. What we made is removed first."),
    ("paused", "Paused: nothing is read or written until you resume."),
    ("resumed", "It goes on."),
    ("saved", "Saved."),
    ("answered", "Noted. It is done now."),
    ("brought-back", "They come back now."),
    ("taken-back", "Taken back, as far as it still stood."),
    ("reading", "Everything is read again now."),
    ("promoted", "The user is an admin now."),
    ("demoted", "The user is no admin any more."),
    ("removing", "The user is being removed. What we made is removed first."),
    ("reauth", "The user has to sign in and connect their accounts again."),
    ("cleaned", "What was old is forgotten."),
    ("sent", "The mail server took the test message."),
    ("approved", "Approved. It is done now."),
    ("undo-partly", "Some of it could not be taken back. Try again in a minute."),
];

/// A request of somebody who is signed in.
pub struct Ctx {
    pub front: Front,
    pub visitor: Visitor,
    path: String,
    said: Option<Said>,
}

impl Ctx {
    /// What is known of this request.
    ///
    /// # Errors
    /// A refusal for somebody who is not signed in.
    pub fn of(req: &Request, depot: &Depot) -> Result<Self, Refusal> {
        let visitor = session::who(depot).ok_or_else(Refusal::unauthenticated)?;
        let word = |name: &str| req.queries().get(name).cloned();
        let told = word("said").and_then(|said| SAID.iter().find(|(code, _)| *code == said));
        let refused = word("error").and_then(|code| sign_in::reason(&code));
        let said = told.map(|(_, text)| Said::well(*text)).or(refused.map(Said::wrong));
        Ok(Ctx { front: Front::of(depot), visitor, path: req.uri().path().to_owned(), said })
    }

    pub fn user(&self) -> &User {
        &self.visitor.user
    }

    pub fn id(&self) -> UserId {
        self.visitor.user.id
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.front.app.clock.now()
    }

    /// What stands around a page.
    pub fn shell(&self, title: impl Into<String>) -> Shell {
        let mut shell = Shell::new(title, &self.path);
        shell.person = Some(Person { email: self.user().email.clone(), admin: self.user().admin });
        shell.csrf = session::csrf(&self.front, &self.visitor.session);
        shell.said = self.said.clone();
        shell
    }

    /// Answers with a page.
    pub fn show(&self, res: &mut Response, title: impl Into<String>, page: &impl Page) {
        res.render(Text::Html(pages::html(&self.shell(title), page)));
    }

    /// The calendars of the person.
    ///
    /// # Errors
    /// When our database fails.
    pub async fn rows(&self) -> Result<Vec<CalendarRow>, Refusal> {
        Ok(self.front.app.store.calendars_of(self.id()).await?)
    }

    /// The calendar that the address names, if it is the person's.
    ///
    /// # Errors
    /// The same refusal for one that is missing and one that is somebody else's.
    pub async fn row(&self, req: &Request) -> Result<CalendarRow, Refusal> {
        let number = number(req, "id")?;
        self.rows().await?.into_iter().find(|row| row.number == number).ok_or_else(Refusal::missing)
    }

    /// Lets the service look at the person's calendars now.
    pub fn ring(&self, scope: Scope) {
        ring(&self.front, self.id(), scope);
    }

    /// An instant for this person's pages.
    pub fn when(&self, at: DateTime<Utc>, zone: Tz) -> When {
        When::new(at, self.now(), zone)
    }
}

/// Lets the service look at a user's calendars now.
pub fn ring(front: &Front, user: UserId, scope: Scope) {
    front.desk.bell.ring(user, scope, front.desk.moment());
}

/// The zone of the main calendar.
pub fn zone(rows: &[CalendarRow]) -> Tz {
    let main = rows.iter().find(|row| row.role == Role::Main).or(rows.first());
    main.and_then(|row| row.zone.parse().ok()).unwrap_or(Tz::UTC)
}

/// A number in the address.
///
/// # Errors
/// What is no number names nothing.
pub fn number(req: &Request, name: &str) -> Result<i64, Refusal> {
    let text = req.params().get(name).cloned().unwrap_or_default();
    let plain =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or_else(Refusal::missing)
}
