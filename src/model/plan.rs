//! A plan: everything one tick will do, decided.

use chrono::{DateTime, Utc};

use std::collections::BTreeMap;

use super::{
    body::{Answer, Body, Digest, Field, When},
    calendar::Why,
    id::{CalendarId, Etag, EventId, UserId},
    item::{Face, ItemKey},
};

/// What to do about one item. Ids, bodies and etags are final: who carries it out decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Insert under a given id.
    Create { event: EventId, incarnation: u32, body: Body },
    /// Patch the fields in which the bodies differ, and the marker.
    Update { event: EventId, etag: Etag, incarnation: u32, from: Body, to: Body },
    /// Give an instance of our series its own shape. It has none yet, so its etag must be read first.
    Amend { event: EventId, incarnation: u32, to: Body },
    /// Cancel an instance of our series. It has no shape of its own yet, so its etag must be read first.
    Cancel { event: EventId, incarnation: u32 },
    /// Delete an event, or cancel an instance, of ours.
    Delete { event: EventId, etag: Etag, incarnation: u32, from: Box<Body> },
    /// The person changed the copy: change these fields of its origin. `etag` is none where the origin is an instance without
    /// a shape of its own, which has to be read first and must then be as `from`. `seen` is what the copy shows.
    WriteBack {
        event: EventId,
        etag: Option<Etag>,
        incarnation: u32,
        fields: Vec<Field>,
        from: Box<Body>,
        to: Box<Body>,
        seen: Digest,
    },
    /// The person answered on the copy, or removed it: answer the invitation. `seen` is what the copy shows; none if it is gone.
    Respond {
        event: EventId,
        etag: Option<Etag>,
        incarnation: u32,
        from: Option<Answer>,
        to: Answer,
        seen: Option<Digest>,
    },
    /// The person removed the copy of a meeting that is theirs alone, or agreed to its end: delete the origin.
    Withdraw { event: EventId, etag: Option<Etag>, incarnation: u32 },
    /// Bring an origin back that was deleted for the person.
    Restore { event: EventId, incarnation: u32, body: Box<Body> },
    /// The rule of our series changes: whether it still has this instance is to be asked.
    Doubt { event: EventId, incarnation: u32 },
    /// It is as it should be; only our memory differs.
    Adopt { event: EventId, incarnation: u32, applied: Digest, shown: Digest },
    /// Remember that the person does not want it.
    Dismiss { event: EventId, incarnation: u32 },
    /// Remember nothing more of it.
    Forget,
}

/// What an action is, without what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    Create,
    Update,
    Amend,
    Cancel,
    Delete,
    WriteBack,
    Respond,
    Withdraw,
    Restore,
    Doubt,
    Adopt,
    Dismiss,
    Forget,
}

impl ActionKind {
    const ALL: [Self; 13] = [
        Self::Create,
        Self::Update,
        Self::Amend,
        Self::Cancel,
        Self::Delete,
        Self::WriteBack,
        Self::Respond,
        Self::Withdraw,
        Self::Restore,
        Self::Doubt,
        Self::Adopt,
        Self::Dismiss,
        Self::Forget,
    ];

    /// The word for the database and for figures.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Amend => "amend",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
            Self::WriteBack => "write-back",
            Self::Respond => "respond",
            Self::Withdraw => "withdraw",
            Self::Restore => "restore",
            Self::Doubt => "doubt",
            Self::Adopt => "adopt",
            Self::Dismiss => "dismiss",
            Self::Forget => "forget",
        }
    }

    /// The kind of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether Google will see it.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Doubt | Self::Adopt | Self::Dismiss | Self::Forget)
    }

    /// Whether it changes somebody's real event rather than one of ours.
    pub fn is_at_origin(self) -> bool {
        matches!(self, Self::WriteBack | Self::Respond | Self::Withdraw | Self::Restore)
    }
}

impl Action {
    /// Its kind.
    pub fn kind(&self) -> ActionKind {
        match self {
            Action::Create { .. } => ActionKind::Create,
            Action::Update { .. } => ActionKind::Update,
            Action::Amend { .. } => ActionKind::Amend,
            Action::Cancel { .. } => ActionKind::Cancel,
            Action::Delete { .. } => ActionKind::Delete,
            Action::WriteBack { .. } => ActionKind::WriteBack,
            Action::Respond { .. } => ActionKind::Respond,
            Action::Withdraw { .. } => ActionKind::Withdraw,
            Action::Restore { .. } => ActionKind::Restore,
            Action::Doubt { .. } => ActionKind::Doubt,
            Action::Adopt { .. } => ActionKind::Adopt,
            Action::Dismiss { .. } => ActionKind::Dismiss,
            Action::Forget => ActionKind::Forget,
        }
    }

    /// The word for the database and for figures.
    pub fn word(&self) -> &'static str {
        self.kind().word()
    }

    /// Whether Google will see it.
    pub fn writes(&self) -> bool {
        self.kind().writes()
    }

    /// Whether something disappears from a calendar.
    pub fn deletes(&self) -> bool {
        matches!(self, Action::Delete { .. } | Action::Cancel { .. } | Action::Withdraw { .. })
    }

    /// Whether it changes an origin rather than something of ours.
    pub fn is_at_origin(&self) -> bool {
        self.kind().is_at_origin()
    }

    /// The event that is written, or of which something is remembered; none for forgetting.
    pub fn event(&self) -> Option<&EventId> {
        match self {
            Action::Create { event, .. }
            | Action::Update { event, .. }
            | Action::Amend { event, .. }
            | Action::Cancel { event, .. }
            | Action::Delete { event, .. }
            | Action::WriteBack { event, .. }
            | Action::Respond { event, .. }
            | Action::Withdraw { event, .. }
            | Action::Restore { event, .. }
            | Action::Doubt { event, .. }
            | Action::Adopt { event, .. }
            | Action::Dismiss { event, .. } => Some(event),
            Action::Forget => None,
        }
    }

    /// What is asked of Google, to tell a new question from one that was refused; none for what only we remember.
    pub fn asked(&self) -> Option<Digest> {
        match self {
            Action::Create { body, .. } => Some(body.digest()),
            Action::Update { to, .. } | Action::Amend { to, .. } => Some(to.digest()),
            Action::WriteBack { to: body, .. } | Action::Restore { body, .. } => Some(body.digest()),
            Action::Cancel { .. } | Action::Delete { .. } | Action::Withdraw { .. } => Some(Digest::ABSENT),
            Action::Respond { to, .. } => {
                let mut asked = Digest::ABSENT;
                asked.answer(*to);
                Some(asked)
            }
            Action::Doubt { .. } | Action::Adopt { .. } | Action::Dismiss { .. } | Action::Forget => None,
        }
    }
}

/// Why. For people only: nothing is decided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    NewAtOrigin,
    ChangedAtOrigin,
    GoneAtOrigin,
    /// The origin is there, but declined, free, or of a kind that is not shown.
    NotWanted,
    /// Ours was changed by hand, where it may not be.
    Drifted,
    /// The person changed the copy.
    EditedByHand,
    /// The person changed the copy and somebody the origin, in the same field: the origin wins.
    Conflict,
    /// The person answered on the copy.
    Answered,
    /// Ours was removed by hand.
    Removed,
    /// The same meeting stands there already, or is shown from another calendar.
    SameMeeting,
    /// One of its calendars is to be left.
    CalendarLeaving,
    /// A person takes back an earlier run.
    Undone,
    /// Ours is out of sight without a tombstone.
    Vanished,
    /// Ours was found without our remembering it.
    FoundOurs,
    /// There are two of ours for one item.
    Duplicate,
    /// It left the span of time that is kept up to date, or both ends are gone.
    NothingLeft,
}

impl Reason {
    const ALL: [Self; 16] = [
        Self::NewAtOrigin,
        Self::ChangedAtOrigin,
        Self::GoneAtOrigin,
        Self::NotWanted,
        Self::Drifted,
        Self::EditedByHand,
        Self::Conflict,
        Self::Answered,
        Self::Removed,
        Self::SameMeeting,
        Self::CalendarLeaving,
        Self::Undone,
        Self::Vanished,
        Self::FoundOurs,
        Self::Duplicate,
        Self::NothingLeft,
    ];

    /// The word for the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::NewAtOrigin => "new-at-origin",
            Self::ChangedAtOrigin => "changed-at-origin",
            Self::GoneAtOrigin => "gone-at-origin",
            Self::NotWanted => "not-wanted",
            Self::Drifted => "drifted",
            Self::EditedByHand => "edited-by-hand",
            Self::Conflict => "conflict",
            Self::Answered => "answered",
            Self::Removed => "removed",
            Self::SameMeeting => "same-meeting",
            Self::CalendarLeaving => "calendar-leaving",
            Self::Undone => "undone",
            Self::Vanished => "vanished",
            Self::FoundOurs => "found-ours",
            Self::Duplicate => "duplicate",
            Self::NothingLeft => "nothing-left",
        }
    }

    /// The reason of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub key: ItemKey,
    pub face: Face,
    pub action: Action,
    pub reason: Reason,
    /// An exception that is kept as an event of its own, because the target's series has no such slot.
    pub beside: bool,
    /// For people: when it takes place, and its title at the origin.
    pub when: Option<When>,
    pub title: Option<String>,
    /// Of a step that takes something back: what is desired of the item now. It stays as it then is until something else is.
    pub undone: Option<Digest>,
}

impl Step {
    /// The calendar that is written.
    pub fn calendar(&self) -> &CalendarId {
        if self.action.is_at_origin() { &self.key.origin.calendar } else { &self.key.target }
    }
}

/// Why something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldReason {
    /// We do not see the calendar that would change.
    TargetNotCurrent,
    /// We do not see the calendar whose event would justify a deletion.
    OriginNotCurrent,
    /// Nothing proves that the origin is gone.
    OriginUnproven,
    /// The origin's calendar is none of the person's here, as after the loss of a database, so that nobody can be asked.
    NotConnected,
    /// Too many deletions at once.
    Brake,
    /// The person removed the copy of a meeting to which they invited others, or which stands on a calendar of others.
    OthersInvited,
    /// Somebody changes it again and again.
    GivenUp,
    /// Google would not take it; it is tried again later.
    Refused,
    /// The account may no longer write there.
    ReadOnly,
}

impl HeldReason {
    const ALL: [Self; 9] = [
        Self::TargetNotCurrent,
        Self::OriginNotCurrent,
        Self::OriginUnproven,
        Self::NotConnected,
        Self::Brake,
        Self::OthersInvited,
        Self::GivenUp,
        Self::Refused,
        Self::ReadOnly,
    ];

    /// The word for the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::TargetNotCurrent => "target-not-current",
            Self::OriginNotCurrent => "origin-not-current",
            Self::OriginUnproven => "origin-unproven",
            Self::NotConnected => "not-connected",
            Self::Brake => "brake",
            Self::OthersInvited => "others-invited",
            Self::GivenUp => "given-up",
            Self::Refused => "refused",
            Self::ReadOnly => "read-only",
        }
    }

    /// The reason of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }

    /// Whether a person's word lets it happen.
    pub fn waits_for_a_word(self) -> bool {
        matches!(self, Self::Brake | Self::OthersInvited | Self::NotConnected)
    }

    /// The sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            HeldReason::TargetNotCurrent => "the calendar cannot be read; they stay as they are",
            HeldReason::OriginNotCurrent => "the origin's calendar cannot be read; nothing is done on hearsay",
            HeldReason::OriginUnproven => "nothing proves that the origin is gone; they stay",
            HeldReason::NotConnected => "their calendar is not connected here; they wait for your word",
            HeldReason::Brake => "too many deletions at once; they wait for approval",
            HeldReason::OthersInvited => {
                "removing them would cancel a meeting for others, too; they wait for your word"
            }
            HeldReason::GivenUp => "put back three times today; left as they are until tomorrow",
            HeldReason::ReadOnly => "the account may no longer write there; they stay as they are",
            HeldReason::Refused => "Google refuses them; they are tried again later",
        }
    }
}

/// One thing that would be done, and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub step: Step,
    pub reason: HeldReason,
}

/// Something people should know although nothing is done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The name of the calendar.
    pub calendar: String,
    /// None: never read to the end.
    pub why: Option<Why>,
}

/// Everything one tick will do.
#[must_use = "a plan nobody reads or applies changes nothing"]
#[derive(Clone, Debug)]
pub struct Plan {
    pub user: UserId,
    pub email: String,
    /// The instant of the snapshot.
    pub at: DateTime<Utc>,
    /// What the user calls the calendars, for people.
    pub names: BTreeMap<CalendarId, String>,
    /// The zone in which times are printed: the main calendar's, an IANA name.
    pub zone: String,
    pub unreadable: Vec<Unreadable>,
    /// In the order in which they are to be carried out.
    pub steps: Vec<Step>,
    pub held: Vec<Held>,
    /// Items that are as they should be.
    pub in_sync: usize,
}

impl Plan {
    /// The plan in which nothing is to be done.
    pub fn nothing(user: UserId, email: String, at: DateTime<Utc>) -> Self {
        Plan {
            user,
            email,
            at,
            names: BTreeMap::new(),
            zone: "UTC".into(),
            unreadable: Vec::new(),
            steps: Vec::new(),
            held: Vec::new(),
            in_sync: 0,
        }
    }

    /// Whether nothing at all would be done, noted or held.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.held.is_empty()
    }

    /// Whether something would change at Google, or waits to.
    pub fn has_changes(&self) -> bool {
        !self.held.is_empty() || self.steps.iter().any(|step| step.action.writes())
    }
}

/// What a step changed at Google: for the journal, so that it can be told and taken back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// What stood there; none: nothing.
    pub before: Option<Body>,
    /// What stands there now; none: nothing.
    pub after: Option<Body>,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Skipped(Skip),
    Failed { class: ErrorClass, message: String },
}

impl Outcome {
    /// The word for the database and for figures.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Skipped(_) => "skipped",
            Outcome::Failed { .. } => "failed",
        }
    }
}

/// Why a step was not tried, or came to nothing without harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Somebody changed the event since we looked: look again.
    ChangedMeanwhile,
    /// Its series could not be made.
    ParentFailed,
    /// The account was stopped by an earlier answer.
    AccountStopped,
    /// Somebody wants something else since the plan was made.
    Superseded,
    /// The service is being stopped: it is planned again when it runs.
    Stopping,
}

/// What an error asks of us (design: errors become decisions in one table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Try again later.
    Transient,
    /// Google asked to slow down.
    Throttled,
    /// The cursor is worthless: list again.
    CursorLost,
    /// It is not there (any more).
    AlreadyGone,
    /// It changed since we looked.
    Precondition,
    /// The id is taken.
    Exists,
    /// The account's consent is gone.
    Revoked,
    /// This account may not.
    Forbidden,
    /// The calendar is not there.
    Missing,
    /// Google refuses this content.
    Rejected,
}
