//! The dashboard: is it well, what do I have, what can I do.

use chrono::TimeDelta;
use salvo::{Depot, Request, Response, handler, writing::Text};

use super::super::{
    Front,
    ctx::{self, Ctx},
    error::Refusal,
    see_other, session,
};
use crate::{
    controller::{
        board::{Doing, Seen},
        intent::{self, Word},
        queue::Scope,
        tick::{Mode, tick},
    },
    model::{
        calendar::{Role, Standing, Why},
        plan::HeldReason,
    },
    pages::{
        self,
        consultant::{CalendarLine, Dashboard, PlanPage, ProgressLine, State, WaitingLine},
        plan::PlanView,
        shell::Way,
    },
    planner::render::Lens,
    store::{calendars::CalendarRow, people::User},
};

/// A calendar that was not read for so long is late.
const LATE: TimeDelta = TimeDelta::minutes(45);
/// Steps of each calendar that a page prints.
pub const PRINTED: usize = 100;

/// How a calendar stands, with what that means.
pub fn state_of(
    front: &Front,
    user: &User,
    row: &CalendarRow,
    seen: &Seen,
    all_paused: bool,
) -> (State, Option<String>) {
    let now = front.app.clock.now();
    if row.standing == Standing::Leaving {
        let more = "What we made is removed first; then it leaves this list.".to_owned();
        return (State::new("working", "It is being disconnected."), Some(more));
    }
    if row.standing == Standing::Offered {
        let more = "Look at what would change, then begin.".to_owned();
        return (State::new("held", "Not begun: nothing is read or written yet."), Some(more));
    }
    if all_paused {
        return (State::new("paused", "An admin paused everything."), None);
    }
    if user.paused {
        return (State::new("paused", "Your calendars are paused."), None);
    }
    if row.paused {
        return (State::new("paused", "Paused: it is neither read nor written."), None);
    }
    match row.failed {
        Some(Why::Throttled) => (State::new("late", "Google asked to slow down; it goes on by itself."), None),
        Some(Why::Unreachable) => {
            let more = "This is usually brief and not a problem with your account.".to_owned();
            (State::new("late", "Google did not answer; it is tried again by itself."), Some(more))
        }
        Some(why) => {
            let text = match why {
                Why::Forbidden | Why::Missing => "Google no longer shows this calendar to the account.",
                Why::Scope => "A permission was not given.",
                Why::TooMany => "It has more events than are kept in sync.",
                Why::Lapsed => {
                    "Google ended the sign-in after seven days, as it does while the application is in testing."
                }
                _ => "Access was revoked.",
            };
            let more = match why {
                Why::Forbidden | Why::Missing => {
                    "Ask its owner for access again, or disconnect it. Nothing has been lost."
                }
                Why::TooMany => {
                    "Half a calendar would look like a whole one, so what was made of it stays as it is. Remove events \
                     that nobody needs, or disconnect it."
                }
                _ => "What stands there stays as it is until you connect it again. Nothing has been lost.",
            };
            (State::new("attention", text), Some(more.to_owned()))
        }
        None if !row.writable && row.role != Role::Personal => {
            let more =
                "Ask its owner for the right to make changes. Until then what stands there stays as it is.".to_owned();
            (State::new("attention", "The account may no longer write here."), Some(more))
        }
        None if row.cursor.is_none() => (State::new("new", "Connected just now; the first check is running."), None),
        None => match seen.read {
            Some(read) if now - read > LATE => (State::new("late", "It was not checked for a while."), None),
            _ => (State::new("ok", "In sync."), None),
        },
    }
}

/// One calendar for a list.
pub fn line(
    front: &Front,
    ctx: &Ctx,
    user: &User,
    row: &CalendarRow,
    blocks: u32,
    all_paused: bool,
    rows: &[CalendarRow],
) -> CalendarLine {
    let seen = front.desk.board.seen(row.number);
    let (state, more) = state_of(front, user, row, &seen, all_paused);
    let kind = if row.role == Role::Personal { "connect-personal" } else { "connect-client" };
    let again = if row.role == Role::Main {
        "/auth/login".to_owned()
    } else {
        format!("/auth/{kind}?account={}", super::super::error::urlencode(&row.account))
    };
    let offered = row.standing == Standing::Offered;
    let way = match (state.tone, row.failed) {
        ("attention", Some(Why::Revoked | Why::Lapsed | Why::Scope)) => {
            Some(Way { href: again, text: "Reconnect".into() })
        }
        _ if offered => {
            Some(Way { href: format!("/app/calendars/{}/preview", row.number), text: "See what will change".into() })
        }
        _ => None,
    };
    CalendarLine {
        number: row.number,
        name: row.name.clone(),
        account: row.account.clone(),
        personal: row.role == Role::Personal,
        can_leave: row.standing != Standing::Leaving && row.role != Role::Main,
        can_check: !row.paused && !all_paused && !user.paused && row.standing == Standing::Connected,
        state,
        more,
        blocks,
        read: seen.read.map(|read| ctx.when(read, ctx::zone(rows))),
        way,
    }
}

/// The whole in one sentence.
fn overall(lines: &[&CalendarLine], doing: &Doing, paused: bool) -> State {
    if paused {
        return State::new("paused", "Everything is paused. Nothing is read or written until it is resumed.");
    }
    let waiting: usize = doing.waiting.iter().map(|one| one.n).sum();
    let worst = lines.iter().max_by_key(|line| line.state.weight());
    let attention = lines.iter().filter(|line| line.state.tone == "attention").count();
    match worst {
        _ if attention == 1 => State::new("attention", "1 calendar needs your attention."),
        _ if attention > 1 => State::new("attention", format!("{attention} calendars need your attention.")),
        _ if doing.last.as_ref().is_some_and(|last| last.broken) => {
            State::new("failed", "The last check came to nothing; it is tried again by itself.")
        }
        _ if doing.running => State::new("working", "Making changes …"),
        _ if doing.last.as_ref().is_some_and(|last| last.failed > 0) => {
            let failed = doing.last.as_ref().map_or(0, |last| last.failed);
            State::new("failed", format!("{failed} of the last changes failed. They are tried again by themselves."))
        }
        _ if waiting == 1 => State::new("held", "1 removal waits for your word."),
        _ if waiting > 1 => State::new("held", format!("{waiting} removals wait for your word.")),
        None => State::new("new", "Welcome. Connect your calendars to begin."),
        Some(line) => match line.state.tone {
            "late" => State::new("late", "Some calendars could not be checked just now."),
            "held" => State::new("held", "A calendar waits for you to begin."),
            "new" => State::new("working", "The first check is running."),
            "working" => State::new("working", "A calendar is being disconnected."),
            _ => State::new("ok", "Everything is in sync."),
        },
    }
}

/// Shows it.
#[handler]
pub async fn show_dashboard(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let (front, user) = (&ctx.front, ctx.user());
    let rows = ctx.rows().await?;
    let blocks = front.app.store.blocks_of(user.id).await?;
    let all_paused = front.app.store.is_paused().await?;
    let doing = front.desk.board.doing(user.id);
    let all: Vec<(Role, CalendarLine)> = rows
        .iter()
        .map(|row| {
            let n = blocks.get(&row.number).copied().unwrap_or(0);
            (row.role, line(front, &ctx, user, row, n, all_paused, &rows))
        })
        .collect();
    let of = |role: Role| all.iter().filter(|(of, _)| *of == role).map(|(_, line)| line.clone()).collect::<Vec<_>>();
    let lines: Vec<&CalendarLine> = all.iter().map(|(_, line)| line).collect();
    let state = overall(&lines, &doing, all_paused || user.paused);
    let next = rows.iter().filter_map(|row| front.desk.board.seen(row.number).next).min();
    let working = matches!(state.tone, "working");
    let left_behind = front.app.store.left_behind().await?.into_iter().filter(|left| left.user == user.email);
    let page = Dashboard {
        next: next.filter(|_| state.tone != "paused").map(|at| ctx.when(at, ctx::zone(&rows))),
        progress: doing.progress.map(|(done, all)| ProgressLine { done, all }),
        live: if working { "working" } else { "calm" },
        main: of(Role::Main).into_iter().next(),
        clients: of(Role::Client),
        personal: of(Role::Personal),
        waiting: doing.waiting.iter().map(waiting_line).collect(),
        held: doing.held.clone(),
        left_behind: left_behind
            .map(|left| {
                format!(
                    "{} events of ours stay behind on a calendar that was disconnected: {}.",
                    left.events.len(),
                    left.why
                )
            })
            .collect(),
        dismissed: intent::dismissed(&front.app, user.id).await?.len(),
        state,
    };
    let mut shell = ctx.shell("Dashboard");
    if matches!(page.state.tone, "attention" | "failed" | "held") {
        shell.mark = Some(format!("{} {}", page.state.sign, page.state.text.trim_end_matches('.')));
    }
    shell.refresh = working.then_some(5);
    res.render(Text::Html(pages::html(&shell, &page)));
    Ok(())
}

/// Removals that wait, for a list.
pub fn waiting_line(one: &crate::controller::board::Waiting) -> WaitingLine {
    WaitingLine {
        code: one.code.clone(),
        n: one.n,
        calendar: one.calendar.clone(),
        why: match one.reason {
            HeldReason::OthersInvited => {
                "you removed the copy of a meeting to which you invited others; removing it would cancel it for them, too"
            }
            HeldReason::NotConnected => {
                "we made these for a calendar that is not connected here; connect it again, or they can go"
            }
            _ => "these are many at once, so nothing is removed before somebody has looked",
        },
        can_keep: one.reason == HeldReason::OthersInvited,
    }
}

/// Looks at everything now.
#[handler]
pub async fn check_now(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    ctx.ring(Scope::all());
    see_other(res, "/app?said=checking");
    Ok(())
}

/// Reads everything from the beginning.
#[handler]
pub async fn check_fully(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let rows = ctx.rows().await?;
    ctx.ring(rows.iter().fold(Scope::nothing(), |scope, row| scope.and(Scope::full(row.number))));
    see_other(res, "/app?said=reading");
    Ok(())
}

/// Takes the person's word about removals that wait.
#[handler]
pub async fn take_answer(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let form = session::form(depot);
    let word = match form.text("word") {
        "approve" => Word::Approve,
        "keep-away" => Word::KeepAway,
        "bring-back" => Word::BringBack,
        _ => return Err(Refusal::unfit("unknown_word", "Say what is to be done with them.")),
    };
    intent::answer(&ctx.front.app, ctx.id(), form.text("code"), word).await?;
    ctx.ring(Scope::all());
    see_other(res, "/app?said=answered");
    Ok(())
}

/// What would change now, and what waits.
#[handler]
pub async fn show_plan(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let plan = tick(&ctx.front.app, ctx.id(), Mode::DryRun).await?.plan;
    let page = PlanPage {
        heading: "What would change now".into(),
        plan: PlanView::new(&plan, Lens::Owner, PRINTED),
        waiting: crate::controller::board::waiting(&plan).iter().map(waiting_line).collect(),
        action: "/app/answer".into(),
        back: Way { href: "/app".into(), text: "Back".into() },
    };
    ctx.show(res, "Plan", &page);
    Ok(())
}
