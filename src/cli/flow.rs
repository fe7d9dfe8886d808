//! `busybridge flow`: declares what of one calendar is shown on another, and how.

use std::io::Write;

use chrono::{NaiveTime, Weekday};
use clap::{Args, ValueEnum};

use super::{
    Ending, Failure, open,
    settings::Settings,
    standing::{calendar, say, user},
};
use crate::{
    controller::{App, intent},
    model::{
        body::Visibility,
        calendar::Role,
        clock::Clock,
        event::Kind,
        flow::{CustomFlow, Filter, Shape, State},
        item::Face,
    },
    store::{calendars::CalendarRow, people::User},
};

#[derive(Args)]
pub struct Arguments {
    /// The user's address
    #[arg(long, value_name = "EMAIL")]
    pub user: String,
    #[command(flatten)]
    pub flow: FlowArguments,
}

/// One flow in words.
#[derive(Args)]
pub struct FlowArguments {
    /// Where events come from, by its name or Google's id
    pub source: String,
    /// Where they are shown
    pub target: String,
    /// The usual flow between the two counts again
    #[arg(long, conflicts_with = "off")]
    usual: bool,
    /// Nothing flows
    #[arg(long)]
    off: bool,
    /// On main: only that the time is taken, instead of a client's meetings in full
    #[arg(long)]
    busy: bool,
    /// Only events with at least so many people besides the user
    #[arg(long, value_name = "N")]
    min_guests: Option<u32>,
    /// Only events with at most so many people besides the user
    #[arg(long, value_name = "N")]
    max_guests: Option<u32>,
    /// Only events in these states
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATES")]
    states: Option<Vec<SpokenState>>,
    /// Only events of these types
    #[arg(long, value_enum, value_delimiter = ',', value_name = "TYPES")]
    types: Option<Vec<SpokenKind>>,
    /// Only events whose title matches this regular expression
    #[arg(long, value_name = "REGEX")]
    title: Option<String>,
    /// No events whose title matches this regular expression
    #[arg(long, value_name = "REGEX")]
    not_title: Option<String>,
    /// Only events that begin on these days: mon,tue,…
    #[arg(long, value_delimiter = ',', value_name = "DAYS")]
    days: Option<Vec<Weekday>>,
    /// Only events that touch these hours: 09:00-17:30
    #[arg(long, value_parser = hours, value_name = "FROM-UNTIL")]
    hours: Option<(NaiveTime, NaiveTime)>,
    /// Blocks begin so many minutes before
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=720), value_name = "MINUTES")]
    before: u16,
    /// Blocks end so many minutes after
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=720), value_name = "MINUTES")]
    after: u16,
    /// No block where the target is taken already by single events of its own
    #[arg(long)]
    skip_if_covered: bool,
    /// Blocks say this instead of "Busy"
    #[arg(long = "as", value_name = "WORDS")]
    words: Option<String>,
    /// Put before the title
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Google's colour of the event palette, 1 to 11
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=11), value_name = "N")]
    colour: Option<u8>,
    /// Who may see it
    #[arg(long, value_enum)]
    visibility: Option<SpokenVisibility>,
}

#[derive(Clone, Copy, ValueEnum)]
enum SpokenState {
    Firm,
    Tentative,
    Unanswered,
}

#[derive(Clone, Copy, ValueEnum)]
enum SpokenKind {
    Ordinary,
    OutOfOffice,
    FocusTime,
    FromGmail,
}

#[derive(Clone, Copy, ValueEnum)]
enum SpokenVisibility {
    Default,
    Public,
    Private,
}

fn hours(text: &str) -> Result<(NaiveTime, NaiveTime), String> {
    let parsed = text.split_once('-').and_then(|(from, until)| {
        let time = |text: &str| NaiveTime::parse_from_str(text.trim(), "%H:%M").ok();
        Some((time(from)?, time(until)?))
    });
    match parsed {
        Some((from, until)) if from < until => Ok((from, until)),
        _ => Err("hours are given as 09:00-17:30, the first before the second".into()),
    }
}

/// Declares a flow, or takes it back.
///
/// # Errors
/// A sentence for the operator.
pub async fn run(arguments: &Arguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let user = user(&app, &arguments.user).await?;
    let text = declare(&app, &user, &arguments.flow).await?;
    say(out, &text)?;
    app.store.close().await;
    Ok(0)
}

/// Declares what the arguments say; tells it.
///
/// # Errors
/// A sentence for the operator.
pub async fn declare(app: &App, user: &User, arguments: &FlowArguments) -> Result<String, Failure> {
    let source = calendar(app, user, &arguments.source).await?;
    let target = calendar(app, user, &arguments.target).await?;
    if arguments.usual {
        let was = app.store.drop_flow(user.id, &source.id, &target.id).await.map_err(Failure::failed)?;
        let before = if was { "the declared one is taken back" } else { "nothing was declared" };
        return Ok(format!("{} → {}: the usual flow; {before}\n", source.name, target.name));
    }
    let flow = flow(arguments, &source, &target);
    intent::declare_flow(app, user.id, &flow).await.map_err(Failure::usage)?;
    let what = flow.face.map_or("nothing", |face| face.word());
    Ok(format!("{} → {}: {what}\n", source.name, target.name))
}

fn flow(arguments: &FlowArguments, source: &CalendarRow, target: &CalendarRow) -> CustomFlow {
    let face = match (source.role, target.role) {
        _ if arguments.off => None,
        (Role::Personal, _) => Some(Face::PersonalBusy),
        (Role::Client, Role::Main) if !arguments.busy => Some(Face::Copy),
        _ => Some(Face::Busy),
    };
    let state = |state: &SpokenState| match state {
        SpokenState::Firm => State::Firm,
        SpokenState::Tentative => State::Tentative,
        SpokenState::Unanswered => State::Unanswered,
    };
    let kind = |kind: &SpokenKind| match kind {
        SpokenKind::Ordinary => Kind::Ordinary,
        SpokenKind::OutOfOffice => Kind::OutOfOffice,
        SpokenKind::FocusTime => Kind::FocusTime,
        SpokenKind::FromGmail => Kind::FromGmail,
    };
    CustomFlow {
        source: source.id.clone(),
        target: target.id.clone(),
        face,
        filter: Filter {
            min_guests: arguments.min_guests,
            max_guests: arguments.max_guests,
            states: arguments.states.as_ref().map(|states| states.iter().map(state).collect()),
            kinds: arguments.types.as_ref().map(|kinds| kinds.iter().map(kind).collect()),
            title: arguments.title.clone(),
            not_title: arguments.not_title.clone(),
            weekdays: arguments.days.clone(),
            hours: arguments.hours,
        },
        shape: Shape {
            title: arguments.words.clone(),
            prefix: arguments.prefix.clone(),
            colour: arguments.colour.map(|colour| colour.to_string()),
            visibility: arguments.visibility.map(|visibility| match visibility {
                SpokenVisibility::Default => Visibility::Default,
                SpokenVisibility::Public => Visibility::Public,
                SpokenVisibility::Private => Visibility::Private,
            }),
            before: arguments.before,
            after: arguments.after,
            skip_if_covered: arguments.skip_if_covered,
        },
    }
}
