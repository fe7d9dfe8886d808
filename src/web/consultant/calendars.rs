//! Calendars: choosing, beginning, looking at, pausing and leaving them.

use salvo::{Depot, Request, Response, handler, http::StatusCode};

use super::{
    super::{
        ctx::{self, Ctx},
        error::{Refusal, sentence, urlencode},
        see_other, session,
    },
    dashboard,
};
use crate::{
    controller::{
        connect::{self, ChoiceError, Offered},
        explain::{self, Shown},
        preview,
        queue::Scope,
    },
    model::{
        calendar::{Role, Standing},
        event::Slot,
        id::EventId,
    },
    pages::{
        consultant::{Answer, CalendarPage, Choose, Disconnect, OfferedLine, Preview, ShownLine, WhyPage},
        plan::PlanView,
        shell::Way,
    },
    planner::render::Lens,
    store::{
        calendars::CalendarRow,
        tokens::{AccountKind, TokenId},
    },
};

/// Things of a calendar that are listed.
const LISTED: usize = 50;

impl From<ChoiceError> for Refusal {
    fn from(error: ChoiceError) -> Self {
        let text = sentence(&error);
        match error {
            ChoiceError::Store(error) => error.into(),
            ChoiceError::Access(error) => error.into(),
            ChoiceError::Google(_) => super::super::error::google(),
            ChoiceError::NoAccount => Refusal::missing(),
            ChoiceError::WrongKind => Refusal::conflict("wrong_account_kind", text),
            ChoiceError::NotOffered => Refusal::unfit("calendar_not_available", text).of_field("calendar_id"),
            ChoiceError::NotWritable => Refusal::unfit("not_writable", text).of_field("calendar_id"),
            ChoiceError::Connected => Refusal::conflict("already_connected", text),
            ChoiceError::InUse => Refusal::conflict("calendar_in_use", text),
        }
    }
}

fn offered_line(one: &Offered, role: Role) -> OfferedLine {
    let hindrance = match one.used {
        Some(used) if used == role && role == Role::Main => None,
        Some(Role::Main) => Some("your main calendar"),
        Some(_) => Some("connected already"),
        None if !one.writable && role != Role::Personal => Some("the account may only read it"),
        None => None,
    };
    OfferedLine { id: one.id.as_str().to_owned(), name: one.name.clone(), primary: one.primary, hindrance }
}

/// The choice of the main calendar.
#[handler]
pub async fn show_main_choice(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    render_main(&ctx, res, None).await
}

async fn render_main(ctx: &Ctx, res: &mut Response, wrong: Option<String>) -> Result<(), Refusal> {
    let app = &ctx.front.app;
    let Some(token) = app.store.home_account(ctx.id()).await? else {
        return Err(
            Refusal::conflict("needs_reauth", "Sign in again first.").with_way("/auth/login?next=/app/main", "Sign in")
        );
    };
    let offered = connect::offered(app, ctx.id(), token).await?;
    let page = Choose {
        heading: "Your main calendar".into(),
        text: "It is the one on which you see everything. If you choose another, everything we made moves there.",
        action: "/app/main".into(),
        button: "Make it my main calendar",
        offered: offered.iter().map(|one| offered_line(one, Role::Main)).collect(),
        wrong,
    };
    ctx.show(res, "Main calendar", &page);
    Ok(())
}

/// Makes a calendar the main one.
#[handler]
pub async fn choose_main(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let app = &ctx.front.app;
    let token = app.store.home_account(ctx.id()).await?.ok_or_else(Refusal::missing)?;
    let form = session::form(depot);
    match connect::choose(app, ctx.id(), token, form.text("calendar_id"), Role::Main).await {
        Ok(_) => {
            ctx.ring(Scope::all());
            see_other(res, "/app?said=main");
            Ok(())
        }
        Err(error @ (ChoiceError::NotOffered | ChoiceError::NotWritable | ChoiceError::InUse)) => {
            res.status_code(StatusCode::UNPROCESSABLE_ENTITY);
            render_main(&ctx, res, Some(sentence(&error))).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The account that the address names, with what it is for.
async fn account(ctx: &Ctx, req: &Request) -> Result<(TokenId, Role, String), Refusal> {
    let token = TokenId(ctx::number(req, "token")?);
    match ctx.front.app.store.account_of(ctx.id(), token).await? {
        Some((AccountKind::Client, email)) => Ok((token, Role::Client, email)),
        Some((AccountKind::Personal, email)) => Ok((token, Role::Personal, email)),
        Some((AccountKind::Home, _)) | None => Err(Refusal::missing()),
    }
}

/// The choice of a calendar of an account that was just connected.
#[handler]
pub async fn show_choice(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let (token, role, email) = account(&ctx, req).await?;
    render_offer(&ctx, res, token, role, &email, None).await
}

async fn render_offer(
    ctx: &Ctx,
    res: &mut Response,
    token: TokenId,
    role: Role,
    email: &str,
    wrong: Option<String>,
) -> Result<(), Refusal> {
    let offered = connect::offered(&ctx.front.app, ctx.id(), token).await?;
    let text = match role {
        Role::Personal => "Its events appear elsewhere only as “Busy (Personal)”. Nothing is ever written to it.",
        _ => {
            "Its meetings appear in full on your main calendar, and your other time as “Busy” on it. You see what would change before anything is written."
        }
    };
    let page = Choose {
        heading: format!("Which calendar of {email}?"),
        text,
        action: format!("/app/connect/{}", token.0),
        button: "Connect",
        offered: offered.iter().map(|one| offered_line(one, role)).collect(),
        wrong,
    };
    ctx.show(res, "Connect a calendar", &page);
    Ok(())
}

/// Connects a calendar of an account, which takes part in nothing at first.
#[handler]
pub async fn choose_one(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let (token, role, email) = account(&ctx, req).await?;
    let form = session::form(depot);
    match connect::choose(&ctx.front.app, ctx.id(), token, form.text("calendar_id"), role).await {
        Ok(number) => {
            see_other(res, &format!("/app/calendars/{number}/preview"));
            Ok(())
        }
        Err(
            error @ (ChoiceError::NotOffered | ChoiceError::NotWritable | ChoiceError::Connected | ChoiceError::InUse),
        ) => {
            res.status_code(StatusCode::UNPROCESSABLE_ENTITY);
            render_offer(&ctx, res, token, role, &email, Some(sentence(&error))).await
        }
        Err(error) => Err(error.into()),
    }
}

/// What the first sync would do.
#[handler]
pub async fn show_preview(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = ctx.row(req).await?;
    if row.standing != Standing::Offered {
        see_other(res, &format!("/app/calendars/{}", row.number));
        return Ok(());
    }
    let plan = preview::of_beginning(&ctx.front.app, ctx.user(), &row).await?;
    let unread = plan.unreadable.iter().find(|one| one.calendar == row.name);
    let trouble = unread.map(|one| {
        let why = one.why.map_or("it was never read to the end", |why| why.sentence());
        format!("{} cannot be read: {why}. What would change is therefore not known yet.", row.name)
    });
    let name = row.name.clone();
    let page =
        Preview { number: row.number, name, plan: PlanView::new(&plan, Lens::Owner, dashboard::PRINTED), trouble };
    ctx.show(res, "What will change", &page);
    Ok(())
}

/// Begins to keep a calendar in sync.
#[handler]
pub async fn begin_syncing(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = ctx.row(req).await?;
    ctx.front.app.store.begin_calendar(ctx.id(), row.number).await?;
    ctx.ring(Scope::all());
    see_other(res, "/app?said=begun");
    Ok(())
}

/// Silence for one calendar.
#[handler]
pub async fn pause_one(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = ctx.row(req).await?;
    if row.role == Role::Main {
        return Err(Refusal::conflict("main_calendar", "The main calendar cannot be paused alone."));
    }
    ctx.front.app.store.pause_calendar(ctx.id(), row.number, true).await?;
    see_other(res, &format!("/app/calendars/{}?said=paused", row.number));
    Ok(())
}

/// The end of a calendar's silence.
#[handler]
pub async fn resume_one(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = ctx.row(req).await?;
    ctx.front.app.store.pause_calendar(ctx.id(), row.number, false).await?;
    ctx.ring(Scope::all());
    see_other(res, &format!("/app/calendars/{}?said=resumed", row.number));
    Ok(())
}

/// Looks at one calendar now.
#[handler]
pub async fn check_one(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = ctx.row(req).await?;
    ctx.ring(Scope::one(row.number));
    see_other(res, "/app?said=checking");
    Ok(())
}

fn shown_line(row: &CalendarRow, shown: &Shown, ours: bool) -> ShownLine {
    let event = urlencode(shown.event.as_str());
    let slot = shown.slot.map(|slot| format!("&slot={}", slot.stamp())).unwrap_or_default();
    let href = match ours {
        true => format!("/app/why?calendar={}&event={event}", row.number),
        false => format!("/app/where?calendar={}&event={event}{slot}", row.number),
    };
    ShownLine { when: shown.when.clone(), title: shown.title.clone(), repeats: shown.repeats, free: shown.free, href }
}

/// One calendar and what stands there.
#[handler]
pub async fn show_one(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = ctx.row(req).await?;
    let (front, rows) = (&ctx.front, ctx.rows().await?);
    let blocks = front.app.store.blocks_of(ctx.id()).await?;
    let paused = front.app.store.is_paused().await?;
    let n = blocks.get(&row.number).copied().unwrap_or(0);
    let line = dashboard::line(front, &ctx, ctx.user(), &row, n, paused, &rows);
    let content = explain::content(&front.app, ctx.user(), &row, LISTED).await?;
    let pulse: Vec<bool> = front.desk.board.seen(row.number).pulse.into_iter().collect();
    let failed = pulse.iter().filter(|well| !**well).count();
    let page = CalendarPage {
        role: match row.role {
            Role::Main => "Main calendar",
            Role::Client => "Client calendar",
            Role::Personal => "Personal calendar, read only",
        },
        zone: row.zone.clone(),
        paused: row.paused,
        connected: row.standing == Standing::Connected,
        leaving: row.standing == Standing::Leaving,
        main: row.role == Role::Main,
        ours: content.ours.iter().map(|one| shown_line(&row, one, true)).collect(),
        n_ours: content.n_ours,
        theirs: content.theirs.iter().map(|one| shown_line(&row, one, false)).collect(),
        n_theirs: content.n_theirs,
        pulse_text: format!("{} of the last {} readings went well", pulse.len() - failed, pulse.len()),
        pulse,
        line,
    };
    ctx.show(res, row.name.clone(), &page);
    Ok(())
}

/// What leaving a calendar means, in sentences.
pub async fn consequence(ctx: &Ctx, row: &CalendarRow) -> Result<Vec<String>, Refusal> {
    let leaving = preview::of_leaving(&ctx.front.app, ctx.user(), row).await?;
    let events = |n: usize| if n == 1 { "1 event".to_owned() } else { format!("{n} events") };
    let mut sentences: Vec<String> =
        leaving.elsewhere.iter().map(|(name, n)| format!("{} will leave {name}.", events(*n))).collect();
    sentences.push(match (row.role, leaving.here) {
        (Role::Personal, _) => format!("Nothing changes in {} itself: nothing was ever written there.", row.name),
        (_, 0) => format!("Nothing changes in {} itself.", row.name),
        (_, n) => format!("Nothing changes in {} itself except that {} of ours leave it.", row.name, events(n)),
    });
    if leaving.stuck && row.role != Role::Personal {
        sentences.push(format!(
            "{} cannot be read or written now, so what we made there may stay behind. Connect it again first to have it removed.",
            row.name
        ));
    }
    Ok(sentences)
}

/// Asks whether a calendar is to be left.
#[handler]
pub async fn ask_to_leave(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = ctx.row(req).await?;
    if row.role == Role::Main {
        see_other(res, "/app/main");
        return Ok(());
    }
    let sentences = consequence(&ctx, &row).await?;
    ctx.show(
        res,
        format!("Disconnect {}", row.name),
        &Disconnect { number: row.number, name: row.name.clone(), sentences },
    );
    Ok(())
}

/// Leaves a calendar.
#[handler]
pub async fn leave_one(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let row = ctx.row(req).await?;
    if row.role == Role::Main {
        return Err(
            Refusal::conflict("main_calendar", "Choose another main calendar instead.").with_way("/app/main", "Choose")
        );
    }
    ctx.front.app.store.leave_calendar(ctx.id(), row.number).await?;
    ctx.ring(Scope::all());
    see_other(res, "/app?said=leaving");
    Ok(())
}

/// The calendar and event that a question names.
async fn asked(ctx: &Ctx, req: &Request) -> Result<(CalendarRow, EventId, Option<Slot>), Refusal> {
    let word = |name: &str| req.queries().get(name).cloned().unwrap_or_default();
    let number: i64 = word("calendar").parse().map_err(|_| Refusal::missing())?;
    let row = ctx.rows().await?.into_iter().find(|row| row.number == number).ok_or_else(Refusal::missing)?;
    let event = word("event");
    if event.is_empty() || event.len() > 1024 {
        return Err(Refusal::missing());
    }
    let slot = match word("slot").as_str() {
        "" => None,
        text => Some(Slot::from_stamp(text).ok_or_else(Refusal::missing)?),
    };
    Ok((row, EventId::from(event.as_str()), slot))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Why something of ours is on a calendar.
#[handler]
pub async fn show_why(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let (row, event, _) = asked(&ctx, req).await?;
    let text = explain::why(&ctx.front.app, ctx.user(), &row, &event).await?;
    let text = text.unwrap_or_else(|| "It is none of ours: a person made it, or it is gone.".into());
    let page = WhyPage {
        heading: format!("Why is this on {}?", row.name),
        answers: vec![Answer { name: None, lines: lines(&text) }],
        back: Way { href: format!("/app/calendars/{}", row.number), text: format!("Back to {}", row.name) },
    };
    ctx.show(res, "Why is this here?", &page);
    Ok(())
}

/// Where an event of a calendar shows, and why not.
#[handler]
pub async fn show_where(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let ctx = Ctx::of(req, depot)?;
    let (row, event, slot) = asked(&ctx, req).await?;
    let spread = explain::spread(&ctx.front.app, ctx.user(), &row, &event, slot).await?;
    let page = WhyPage {
        heading: format!("Where does this event of {} show?", row.name),
        answers: spread.into_iter().map(|(name, text)| Answer { name: Some(name), lines: lines(&text) }).collect(),
        back: Way { href: format!("/app/calendars/{}", row.number), text: format!("Back to {}", row.name) },
    };
    ctx.show(res, "Where does it show?", &page);
    Ok(())
}
