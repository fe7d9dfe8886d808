//! What a person may want: to leave a calendar or to choose another main one, to be removed, to be silent, to agree to a removal,
//! to have a dismissed copy back, to declare a flow. An intent changes what is wanted, in one transaction; the next ticks do the
//! rest, and go on after a crash at any point.

use super::{
    App,
    tick::{Mode, TickError, tick},
};
use crate::{
    model::{
        calendar::Role,
        flow::CustomFlow,
        id::{CalendarId, UserId},
        item::{Face, ItemKey},
        mapping::{Mapping, Memory},
        plan::{Action, Held},
        snapshot::{Policy, Snapshot},
    },
    planner::{approval, flows},
    store::{StoreError, tokens::TokenId},
};

/// Why something that was wanted cannot be.
#[derive(Debug, thiserror::Error)]
pub enum IntentError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tick(#[from] TickError),
    #[error(
        "nothing waits under this code. What waits may have changed since you looked: look at the plan again, and use the \
         code it names now"
    )]
    NothingWaits,
    #[error("this flow is not possible: {0}")]
    Flow(&'static str),
}

/// What a person says to a removal that waits for their word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Remove exactly these.
    Approve,
    /// The copies stay away, and nothing is removed at the origin.
    KeepAway,
    /// The copies come back.
    BringBack,
}

/// Makes a calendar the main one. The one before is left: copies and blocks move, each made anew before the old one goes.
///
/// # Errors
/// When the account is not the user's, or our database fails.
pub async fn choose_main(
    app: &App,
    user: UserId,
    token: TokenId,
    calendar: &CalendarId,
    name: &str,
    zone: &str,
) -> Result<(), IntentError> {
    // In this order, so that a crash in between leaves a user without a main calendar, never with two.
    app.store.leave_main(user, calendar).await?;
    app.store.connect_calendar(user, token, calendar, name, Role::Main, zone).await?;
    Ok(())
}

/// Declares a flow.
///
/// # Errors
/// [`IntentError::Flow`] when it would show what must not be shown.
pub async fn declare_flow(app: &App, user: UserId, flow: &CustomFlow) -> Result<(), IntentError> {
    let snapshot = known(app, user).await?;
    if let Some(objection) = flows::objection(flow, &snapshot.calendars) {
        return Err(IntentError::Flow(objection));
    }
    Ok(app.store.set_flow(user, flow).await?)
}

/// Settles the colour which meetings of one calendar have on another; none: that of the origin.
///
/// # Errors
/// When our database fails.
pub async fn colour(
    app: &App,
    user: UserId,
    source: &CalendarId,
    target: &CalendarId,
    colour: Option<String>,
) -> Result<(), IntentError> {
    let snapshot = known(app, user).await?;
    let declared = snapshot.flows.iter().find(|flow| flow.source == *source && flow.target == *target);
    match declared {
        None if colour.is_none() => Ok(()),
        Some(flow) if flow.shape.colour == colour => Ok(()),
        declared => {
            let usual = CustomFlow::usual(source, target, Face::Copy);
            let mut flow = declared.cloned().unwrap_or_else(|| usual.clone());
            flow.shape.colour = colour;
            // What is as usual need not be declared.
            if flow == usual {
                app.store.drop_flow(user, source, target).await?;
                return Ok(());
            }
            declare_flow(app, user, &flow).await
        }
    }
}

/// Says a person's word about removals that wait under `code`; gives their number.
///
/// # Errors
/// [`IntentError::NothingWaits`] when the plan holds something else by now.
pub async fn answer(app: &App, user: UserId, code: &str, word: Word) -> Result<usize, IntentError> {
    let plan = tick(app, user, Mode::DryRun).await?.plan;
    let waiting = approval::waiting(&plan);
    let found = waiting.iter().find(|waiting| waiting.code == code).ok_or(IntentError::NothingWaits)?;
    let held: Vec<&Held> = plan.held.iter().filter(|held| found.holds(held)).collect();
    match word {
        Word::Approve => app.store.approve(user, &found.events).await?,
        Word::KeepAway | Word::BringBack => {
            let memory = if word == Word::KeepAway { Memory::Dismissed } else { Memory::Leaving };
            let snapshot = known(app, user).await?;
            let notes: Vec<_> = held
                .iter()
                .filter(|held| held.step.action.is_at_origin())
                .filter_map(|held| {
                    let key = &held.step.key;
                    let mapping = settled(&snapshot, key, &held.step.action, memory)?;
                    Some((key.clone(), held.step.face, Some(mapping)))
                })
                .collect();
            if notes.is_empty() {
                return Err(IntentError::NothingWaits);
            }
            app.store.remember(user, &notes).await?;
        }
    }
    Ok(held.len())
}

/// The mapping of a removed copy with another memory; an occurrence without a mapping of its own gets one.
fn settled(snapshot: &Snapshot, key: &ItemKey, action: &Action, memory: Memory) -> Option<Mapping> {
    if let Some(mapping) = snapshot.mappings.get(key) {
        return Some(Mapping { memory, ..mapping.clone() });
    }
    let (Action::Withdraw { incarnation, .. } | Action::Respond { incarnation, .. }) = action else { return None };
    let series = snapshot.mappings.get(&key.series())?;
    let event = series.event.instance(&key.origin.instance?);
    Some(Mapping { event, incarnation: *incarnation, memory, since: snapshot.now, ..series.clone() })
}

/// Copies that a person removed and that stay away, for them to choose from.
///
/// # Errors
/// When our database fails.
pub async fn dismissed(app: &App, user: UserId) -> Result<Vec<ItemKey>, IntentError> {
    let snapshot = known(app, user).await?;
    let dismissed = snapshot.mappings.into_iter().filter(|(_, mapping)| mapping.memory == Memory::Dismissed);
    Ok(dismissed.map(|(key, _)| key).collect())
}

/// Lets dismissed copies come back with the next tick; gives their number.
///
/// # Errors
/// When our database fails.
pub async fn bring_back(app: &App, user: UserId, keys: &[ItemKey]) -> Result<usize, IntentError> {
    Ok(app.store.bring_back(user, keys).await?)
}

/// What is known without asking Google.
async fn known(app: &App, user: UserId) -> Result<Snapshot, StoreError> {
    app.store.snapshot(user, &std::collections::BTreeMap::new(), Policy::default()).await
}
