//! Admins' pages, and the API's description.

use super::{LONG, ODD, Sample, Who, at, consultant, nothing, plan, played, sample, setup, shell, state};
use crate::{
    model::alert::AlertKind,
    pages::{
        Shell,
        admin::{
            AlertLine, AnyRunLine, Figure, Plans, RemoveUser, Reset, RunPage, Settings, Status, UserLine, UserPage,
            Users,
        },
        api::Docs,
        consultant::{PlanPage, State},
        setup::{Fields, SmtpFields},
        shell::Way,
    },
};

fn user(number: i64, email: &str, admin: bool, state: State) -> UserLine {
    UserLine {
        number,
        email: email.into(),
        name: if number == 2 { ODD.into() } else { "Ada Byron".into() },
        admin,
        calendars: 5,
        signed_in: (number != 3).then(|| at(-600)),
        state,
    }
}

fn status(state: State, paused: bool, alerts: Vec<AlertLine>) -> Status {
    let figure = |name, value: &str, bad| Figure { name, value: value.into(), bad };
    Status {
        state,
        figures: vec![
            figure("users", "42", false),
            figure("calendars", "210", false),
            figure("events of ours", "31,415", false),
            figure("failures of the last day", "17", !alerts.is_empty()),
            figure("users in the queue", "0", false),
            figure("calls of today's budget", "12 %", false),
        ],
        paused,
        waiting: if alerts.is_empty() { Vec::new() } else { vec![(1, "ada@home.example".into(), 48)] },
        left_behind: if alerts.is_empty() {
            Vec::new()
        } else {
            vec!["17 events stay behind on a calendar of bob@home.example: access has ended.".into()]
        },
        alerts,
    }
}

fn alerts() -> Vec<AlertLine> {
    AlertKind::ALL
        .into_iter()
        .map(|kind| AlertLine {
            state: state(if kind == AlertKind::SystemError { "ok" } else { "attention" }, kind.sentence()),
            person: Some("augusta-ada.king-noel@home.example".into()),
            calendar: Some(LONG.into()),
            message: ODD.into(),
            advice: kind.advice(),
            raised: at(-60),
            resolved: (kind == AlertKind::SystemError).then(|| at(-5)),
        })
        .collect()
}

fn settings(smtp: SmtpFields, client_wrong: Fields, sent: Option<&str>, failed: Option<&str>) -> Settings {
    Settings {
        domain: "home.example".into(),
        client_id: "123456789012-abcdefghijklmnopqrstuvwxyz012345.apps.googleusercontent.com".into(),
        client_wrong,
        has_smtp: !smtp.host.is_empty(),
        smtp,
        sent: sent.map(str::to_owned),
        failed: failed.map(str::to_owned),
        paused: false,
    }
}

pub fn samples() -> Vec<Sample> {
    let admin = |title: &str, path: &str| -> Shell { shell(title, path, Who::Admin) };
    let wide = |title: &str, path: &str| {
        let mut shell = admin(title, path);
        shell.wide = true;
        shell
    };
    let mut samples = Vec::new();
    let top = || admin("Status", "/admin");
    let well = || state("ok", "Everything is in sync.");
    let attention = state("attention", "2 calendars cannot be read.");
    let paused = state("paused", "Everything is paused.");
    samples.push(sample("admin-status--well", top(), &status(well(), false, Vec::new())));
    samples.push(sample("admin-status--attention", top(), &status(attention, false, alerts())));
    samples.push(sample("admin-status--paused", top(), &status(paused, true, Vec::new())));
    let full = state("failed", "The service is not well: disk full.");
    samples.push(sample("admin-status--failed", top(), &status(full, false, Vec::new())));
    let held = Status { waiting: vec![(1, LONG.into(), 1)], ..status(well(), false, Vec::new()) };
    samples.push(sample("admin-status--held", top(), &held));

    let people = || admin("Users", "/admin/users");
    let listed = vec![
        user(1, "augusta-ada.king-noel@home.example", true, well()),
        user(2, "bob@home.example", false, state("attention", "Access to globex has ended.")),
        user(3, "cyd@home.example", false, state("paused", "Paused.")),
        user(4, "dan@home.example", false, state("working", "Is being removed.")),
    ];
    samples.push(sample("admin-users--well", people(), &Users { users: listed, search: String::new(), all: 4 }));
    samples.push(sample("admin-users--empty", people(), &Users { users: Vec::new(), search: ODD.into(), all: 4 }));

    let one = |line: UserLine, paused: bool, own: bool| UserPage {
        removing: line.state.tone == "working",
        line,
        paused,
        own,
        calendars: vec![
            consultant::line(2, "Acme", false, well()),
            consultant::line(3, LONG, false, state("attention", "Access was revoked.")),
            consultant::line(9, "A personal calendar", true, state("late", "It was not checked for a while.")),
        ],
        log: consultant::log_lines(false),
        zone: "Europe/Vienna".into(),
    };
    let bob = |tone, text| user(2, "bob@home.example", false, state(tone, text));
    samples.push(sample("admin-user--well", people(), &one(user(1, "ada@home.example", true, well()), false, true)));
    samples.push(sample(
        "admin-user--attention",
        people(),
        &one(bob("attention", "1 calendar needs them."), false, false),
    ));
    samples.push(sample("admin-user--paused", people(), &one(bob("paused", "Paused."), true, false)));
    samples.push(sample("admin-user--late", people(), &one(bob("late", "Acme: Google did not answer."), false, false)));
    samples.push(sample("admin-user--working", people(), &one(bob("working", "being removed"), false, false)));
    let blank = UserPage {
        calendars: Vec::new(),
        log: Vec::new(),
        ..one(bob("new", "No calendar is connected."), false, false)
    };
    samples.push(sample("admin-user--empty", people(), &blank));

    let remove = RemoveUser {
        number: 2,
        email: "bob@home.example".into(),
        sentences: vec!["41 events of ours are removed from 3 calendars.".into(), "Then they are forgotten.".into()],
    };
    samples.push(sample("admin-remove-user--well", people(), &remove));

    let run = |number, failed| AnyRunLine {
        number,
        at: at(-number),
        person: "augusta-ada.king-noel@home.example".into(),
        undoes: (number == 12).then_some(11),
        done: 120,
        skipped: 2,
        failed,
        held: 48,
    };
    let plans = |runs: Vec<AnyRunLine>, waiting| Plans {
        users: vec![(1, "ada@home.example".into()), (2, "bob@home.example".into())],
        waiting,
        older: (!runs.is_empty()).then(|| "/admin/plans?before=11".into()),
        runs,
        zone: "Europe/Vienna".into(),
    };
    let waits = vec![(1, "ada@home.example".into(), 48)];
    samples.push(sample(
        "admin-plans--held",
        wide("Plans", "/admin/plans"),
        &plans(vec![run(12, 0), run(11, 3)], waits),
    ));
    samples.push(sample("admin-plans--empty", wide("Plans", "/admin/plans"), &plans(Vec::new(), Vec::new())));
    let done = plans(vec![run(12, 0)], Vec::new());
    samples.push(sample("admin-plans--well", wide("Plans", "/admin/plans"), &done));
    let run = |undoes, plan| RunPage { number: 12, person: LONG.into(), at: at(-90), undoes, plan };
    samples.push(sample("admin-run--empty", wide("Run 12", "/admin/plans/12"), &run(Some(11), nothing())));
    samples.push(sample("admin-run--well", wide("Run 12", "/admin/plans/12"), &run(None, plan(false))));
    let page = run(None, played(false));
    samples.push(sample("admin-run--failed", wide("Run 12", "/admin/plans/12"), &page));
    let dry = PlanPage {
        heading: "What would change for bob@home.example".into(),
        plan: plan(false),
        waiting: vec![consultant::waiting(false)],
        action: "/admin/users/2/approve".into(),
        back: Way { href: "/admin/users/2".into(), text: "Back".into() },
    };
    samples.push(sample("consultant-plan--for-admins", admin("Plan", "/admin/users/2/plan"), &dry));
    samples.push(sample("consultant-log--for-admins", wide("Logs", "/admin/logs"), &consultant::log_of_all()));

    let own = || admin("Administration", "/admin/settings");
    let none = || SmtpFields::kept(None, &[]);
    let refused = Fields { client_id: None, client_secret: Some("Google refused it; the old one stays.".into()) };
    for (name, page) in [
        ("well", settings(setup::smtp_kept(), Fields::default(), Some("A message is on its way to you."), None)),
        ("empty", settings(none(), Fields::default(), None, None)),
        ("failed", settings(setup::smtp_kept(), refused, None, Some("The mail server does not answer."))),
        ("wrong", settings(setup::smtp_wrong(), Fields::default(), None, None)),
    ] {
        samples.push(sample(&format!("admin-settings--{name}"), own(), &page));
    }
    let reset = |wrong: Option<&str>, stuck: Vec<(String, String, String)>| Reset {
        wrong: wrong.map(str::to_owned),
        stuck,
        users: 42,
        ours: 31_415,
    };
    let stuck = vec![("bob@home.example".into(), "17 events on globex".into(), "access has ended".into())];
    let document = serde_json::json!({
        "info": {"version": "1"},
        "paths": {"/api/client-calendars/{id}": {"delete": {
            "tags": ["calendars"],
            "summary": "Disconnects it.",
            "description": LONG,
            "parameters": [{"name": "id", "schema": {"type": "integer"}, "description": "Its number."}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/a.Choice"}}}},
            "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/a.Job"}}}}},
        }}},
        "components": {"schemas": {
            "a.Choice": {"description": ODD, "properties": {"calendar_id": {"type": "string", "description": LONG}}},
            "a.Job": {"properties": {"states": {"type": "array", "items": {"type": "string"}}}},
        }},
    });
    samples.push(sample("api--well", shell("API", "/api/docs", Who::Consultant), &Docs::new(&document)));
    samples.push(sample("admin-reset--well", own(), &reset(None, Vec::new())));
    samples.push(sample("admin-reset--failed", own(), &reset(Some("Some of it could not be removed."), stuck)));
    samples
}
