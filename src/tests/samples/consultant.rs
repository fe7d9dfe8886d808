//! Consultants' pages.

use super::{LONG, ODD, Sample, Who, at, nothing, plan, played, said, sample, shell, state};
use crate::pages::{
    Shell,
    consultant::{
        Answer, CalendarLine, CalendarPage, Choose, ColourLine, ColourName, Dashboard, Disconnect, DisconnectAll, Log,
        LogLine, Login, OfferedLine, PlanPage, PreferenceLine, Preview, ProgressLine, RunLine, RunPage, Settings,
        ShownLine, State, WaitingLine, WhyPage,
    },
    shell::{Said, Way},
};

/// A calendar of this name in this state.
pub fn line(number: i64, name: &str, personal: bool, state: State) -> CalendarLine {
    let lost = state.tone == "attention";
    let begun = !matches!(state.tone, "held" | "new");
    CalendarLine {
        number,
        name: name.into(),
        account: format!("ada@{}.example", name.split(' ').next().unwrap().to_lowercase()),
        personal,
        more: lost.then(|| "Its blocks stay as they are until you reconnect. Nothing has been lost.".into()),
        way: match state.tone {
            "attention" => Some(Way { href: "/auth/connect-client?account=x".into(), text: "Reconnect".into() }),
            "held" => Some(Way { href: "/app/calendars/3/preview".into(), text: "See what will change".into() }),
            _ => None,
        },
        blocks: if begun { 41 } else { 0 },
        read: begun.then(|| at(-2)),
        can_check: matches!(state.tone, "ok" | "late" | "failed"),
        can_leave: true,
        state,
    }
}

pub fn waiting(can_keep: bool) -> WaitingLine {
    let why = if can_keep {
        "you removed the copy of a meeting to which you invited others; removing it would cancel it for them, too"
    } else {
        "these are many at once, so nothing is removed before somebody has looked"
    };
    let n = if can_keep { 1 } else { 48 };
    WaitingLine { code: "c0de".into(), n, calendar: "Acme".into(), why, can_keep }
}

fn dashboard(whole: State, clients: Vec<CalendarLine>) -> Dashboard {
    let mut main = line(1, "Ada Byron", false, state("ok", "In sync."));
    main.can_leave = false;
    Dashboard {
        next: Some(at(3)),
        progress: None,
        live: "calm",
        main: Some(main),
        clients,
        personal: vec![line(9, "Family", true, state("ok", "In sync."))],
        waiting: Vec::new(),
        held: Vec::new(),
        left_behind: Vec::new(),
        dismissed: 0,
        state: whole,
    }
}

fn app(title: &str) -> Shell {
    shell(title, "/app", Who::Consultant)
}

fn dashboards() -> Vec<Sample> {
    let well = || line(2, "Acme", false, state("ok", "In sync."));
    let of = |tone: &'static str, text: &str| line(3, "Globex", false, state(tone, text));
    let marked = |whole: &State| {
        let mut shell = app("Dashboard");
        shell.mark = Some(format!("{} {}", whole.sign, whole.text));
        shell
    };
    let plain = |name: &str, whole: State, clients: Vec<CalendarLine>| {
        sample(&format!("consultant-dashboard--{name}"), app("Dashboard"), &dashboard(whole, clients))
    };
    let mut empty = dashboard(state("new", "Welcome. Connect your calendars to begin."), Vec::new());
    (empty.personal, empty.next) = (Vec::new(), None);
    let mut homeless = dashboard(state("attention", "Choose your main calendar."), Vec::new());
    (homeless.main, homeless.personal) = (None, Vec::new());
    let working = Dashboard {
        progress: Some(ProgressLine { done: 120, all: 480 }),
        live: "working",
        ..dashboard(state("working", "Making changes …"), vec![well(), of("new", "Connected just now.")])
    };
    let attention = state("attention", "1 calendar needs your attention.");
    let revoked = dashboard(attention.clone(), vec![well(), of("attention", "Access was revoked.")]);
    let failed = state("failed", "3 of the last changes failed. They are tried again by themselves.");
    let broken = dashboard(failed.clone(), vec![well(), of("ok", "In sync.")]);
    let held = state("held", "49 removals wait for your word.");
    let waits = Dashboard {
        waiting: vec![waiting(true), waiting(false)],
        held: vec![("access was revoked; they stay as they are".into(), 3)],
        left_behind: vec![
            "12 events of ours stay behind on a calendar that was disconnected: access has ended.".into(),
        ],
        dismissed: 4,
        ..dashboard(held.clone(), vec![well(), of("held", "Not begun: nothing is read or written yet.")])
    };
    let long = vec![line(2, LONG, false, state("ok", "In sync.")), line(3, ODD, false, state("late", "Late."))];
    let paused = state("paused", "Everything is paused. Nothing is read or written until it is resumed.");
    let sleeping = |text: &str| line(2, "Acme", false, state("paused", text));
    vec![
        sample("consultant-dashboard--empty", app("Dashboard"), &empty),
        sample("consultant-dashboard--homeless", app("Dashboard"), &homeless),
        plain("well", state("ok", "Everything is in sync."), vec![well(), of("ok", "In sync.")]),
        plain("long", state("ok", "Everything is in sync."), long),
        sample("consultant-dashboard--working", app("Dashboard"), &working),
        plain(
            "late",
            state("late", "Some calendars could not be checked just now."),
            vec![well(), of("late", "Google asked to slow down; it goes on by itself.")],
        ),
        sample("consultant-dashboard--attention", marked(&attention), &revoked),
        sample("consultant-dashboard--failed", marked(&failed), &broken),
        sample("consultant-dashboard--held", marked(&held), &waits),
        plain(
            "paused",
            paused,
            vec![sleeping("An admin paused everything."), of("working", "It is being disconnected.")],
        ),
        sample(
            "consultant-dashboard--said",
            said(app("Dashboard"), Said::well("It is checked now.")),
            &dashboard(state("ok", "Everything is in sync."), vec![well()]),
        ),
        sample(
            "consultant-dashboard--refused",
            said(app("Dashboard"), Said::wrong("Leave all boxes ticked on Google's page. Nothing was connected.")),
            &dashboard(state("ok", "Everything is in sync."), vec![well()]),
        ),
    ]
}

fn shown(when: &str, title: &str, repeats: bool, free: bool) -> ShownLine {
    let href = "/app/why?calendar=2&id=bb1234567890".into();
    ShownLine { when: when.into(), title: title.into(), repeats, free, href }
}

fn calendar(line: CalendarLine, role: &'static str) -> CalendarPage {
    let ours = vec![
        shown("Mon 2 Mar 09:00–10:00", "[BusyBridge] Busy", false, false),
        shown("every Tue 14:00–15:00", "[BusyBridge] Busy", true, false),
    ];
    let theirs = vec![shown("Tue 3 Mar 11:00–12:00", LONG, false, false), shown("Wed 4 Mar", ODD, false, true)];
    CalendarPage {
        role,
        zone: "Europe/Vienna".into(),
        paused: line.state.tone == "paused",
        connected: line.state.tone != "held",
        leaving: line.state.tone == "working",
        main: role == "main",
        n_ours: 212,
        n_theirs: theirs.len(),
        ours,
        theirs,
        pulse: vec![true, true, false, true, false, true, true],
        pulse_text: "5 of the last 7 checks went well.".into(),
        line,
    }
}

fn log(lines: Vec<LogLine>, filtered: bool, people: bool) -> Log {
    Log {
        heading: "Log",
        path: "/app/logs",
        zone: "Europe/Vienna".into(),
        older: (!lines.is_empty()).then(|| "/app/logs?before=12".into()),
        lines,
        filtered,
        status: if filtered { "failure".into() } else { String::new() },
        calendar: if filtered { "2".into() } else { String::new() },
        calendars: vec![(2, "Acme".into()), (3, LONG.into())],
        people: people.then(|| vec![(1, "ada@home.example".into()), (2, "bob@home.example".into())]),
        person: String::new(),
        action: if filtered { "insert".into() } else { String::new() },
        from: if filtered { "2026-03-01".into() } else { String::new() },
        to: String::new(),
    }
}

pub fn log_lines(person: bool) -> Vec<LogLine> {
    let line = |state: State, action: &str, details: &str| LogLine {
        at: at(-12),
        state,
        action: action.into(),
        calendar: Some("Acme".into()),
        person: person.then(|| "ada@home.example".into()),
        details: details.into(),
    };
    vec![
        line(state("ok", "done"), "create a block", "Mon 2 Mar 09:00–10:00"),
        line(
            state("failed", "failed"),
            "update a copy",
            "Google refused it: the calendar's usage limits are exceeded.",
        ),
        line(state("held", "held"), "delete a block", ODD),
        LogLine { calendar: None, ..line(state("new", "note"), "sign in", LONG) },
    ]
}

/// The log of everybody, for admins.
pub fn log_of_all() -> Log {
    Log { heading: "Logs", path: "/admin/logs", ..log(log_lines(true), false, true) }
}

fn settings(empty: bool) -> Settings {
    let preference = |word, text, wanted| PreferenceLine { word, text, wanted };
    Settings {
        main: (!empty).then(|| "Ada Byron".into()),
        preferences: vec![
            preference("token_revoked", "Access to one of my calendars has ended", true),
            preference("sync_failures", "A calendar cannot be read for an hour", false),
        ],
        colours: if empty {
            Vec::new()
        } else {
            vec![
                ColourLine { number: 2, name: "Acme".into(), colour: "7".into() },
                ColourLine { number: 3, name: LONG.into(), colour: String::new() },
            ]
        },
        palette: vec![ColourName { id: "7", name: "Peacock" }, ColourName { id: "11", name: "Tomato" }],
        tell_guests: !empty,
        dismissed: if empty { 0 } else { 3 },
        runs: if empty {
            Vec::new()
        } else {
            let run = |number, changes, undoes| RunLine { number, at: at(-30), changes, undoes, person: None };
            vec![run(12, 4, Some(11)), run(11, 1, None)]
        },
    }
}

pub fn samples() -> Vec<Sample> {
    let mut samples = dashboards();
    let login = |wrong: Option<&str>| Login {
        wrong: wrong.map(str::to_owned),
        href: "/auth/login?next=/app".into(),
        domain: "home.example".into(),
    };
    let nobody = || shell("Sign in", "/app/login", Who::Nobody);
    let refused = "This account is not of this organization. Sign in with one of home.example.";
    samples.push(sample("consultant-login--empty", nobody(), &login(None)));
    samples.push(sample("consultant-login--refused", nobody(), &login(Some(refused))));

    let offer =
        |id: &str, name: &str, primary, hindrance| OfferedLine { id: id.into(), name: name.into(), primary, hindrance };
    let choose = |offered, wrong: Option<&str>| Choose {
        heading: "Which calendar of ada@acme.example?".into(),
        text: "Its meetings appear on your main calendar, and your other commitments appear there as “Busy”.",
        action: "/app/connect/1".into(),
        button: "Look at what would change",
        offered,
        wrong: wrong.map(str::to_owned),
    };
    let offered = || {
        vec![
            offer("ada@acme.example", "Ada", true, None),
            offer("team@group.calendar.example", LONG, false, None),
            offer("rooms@acme.example", "Rooms", false, Some("you may only read it")),
            offer("home", "Ada Byron", false, Some("it is your main calendar")),
        ]
    };
    samples.push(sample("consultant-choose--well", app("Connect"), &choose(offered(), None)));
    samples.push(sample("consultant-choose--empty", app("Connect"), &choose(Vec::new(), None)));
    samples.push(sample("consultant-choose--wrong", app("Connect"), &choose(offered(), Some("Choose a calendar."))));

    let preview = |plan, trouble: Option<&str>| Preview {
        number: 3,
        name: "Acme".into(),
        plan,
        trouble: trouble.map(str::to_owned),
    };
    samples.push(sample("consultant-preview--well", app("What will change"), &preview(plan(true), None)));
    samples.push(sample("consultant-preview--empty", app("What will change"), &preview(nothing(), None)));
    let trouble = "Google could not be asked. This is usually brief and not a problem with your account.";
    samples.push(sample("consultant-preview--failed", app("What will change"), &preview(nothing(), Some(trouble))));

    for (name, page) in [
        ("well", calendar(line(2, "Acme", false, state("ok", "In sync.")), "client")),
        ("attention", calendar(line(2, LONG, false, state("attention", "Access was revoked.")), "client")),
        ("held", calendar(line(2, "Acme", false, state("held", "Not begun.")), "client")),
        ("paused", calendar(line(2, "Acme", false, state("paused", "Paused.")), "client")),
        ("working", calendar(line(2, "Acme", false, state("working", "It is being disconnected.")), "client")),
        ("late", calendar(line(2, ODD, false, state("late", "Google did not answer.")), "client")),
        (
            "empty",
            CalendarPage {
                ours: Vec::new(),
                n_ours: 0,
                theirs: Vec::new(),
                n_theirs: 0,
                pulse: Vec::new(),
                ..calendar(line(2, "Acme", false, state("new", "Connected just now.")), "client")
            },
        ),
        ("main", calendar(line(1, "Ada Byron", false, state("ok", "In sync.")), "main")),
        (
            "personal",
            CalendarPage {
                ours: Vec::new(),
                n_ours: 0,
                theirs: Vec::new(),
                n_theirs: 0,
                ..calendar(line(9, "Family", true, state("late", "It was not checked for a while.")), "personal")
            },
        ),
    ] {
        samples.push(sample(&format!("consultant-calendar--{name}"), app("Acme"), &page));
    }

    let sentences = || {
        vec![
            "41 events will leave your main calendar.".to_owned(),
            "82 blocks will leave your other calendars.".to_owned(),
            "Nothing changes in Acme itself except our 17 blocks.".to_owned(),
        ]
    };
    let leave = Disconnect { number: 2, name: LONG.into(), sentences: sentences() };
    samples.push(sample("consultant-disconnect--well", app("Disconnect"), &leave));
    let mut stuck = sentences();
    stuck.push("Acme cannot be read or written now, so what we made there may stay behind.".to_owned());
    let lost = Disconnect { number: 2, name: ODD.into(), sentences: stuck };
    samples.push(sample("consultant-disconnect--attention", app("Disconnect"), &lost));
    let all = DisconnectAll { sentences: sentences() };
    samples.push(sample("consultant-disconnect-all--well", app("Disconnect all"), &all));

    let why = WhyPage {
        heading: "Why is this here?".into(),
        answers: vec![
            Answer { name: None, lines: vec!["It is a block for an event of Acme.".into(), LONG.into()] },
            Answer { name: Some("Globex".into()), lines: vec![ODD.into()] },
        ],
        back: Way { href: "/app/calendars/2".into(), text: "Back".into() },
    };
    samples.push(sample("consultant-why--well", app("Why"), &why));

    let own = || shell("Settings", "/app/settings", Who::Consultant);
    samples.push(sample("consultant-settings--well", own(), &settings(false)));
    samples.push(sample("consultant-settings--empty", own(), &settings(true)));

    let run = |undo, undoes, left_alone: Vec<(usize, &'static str)>, trouble: Option<&str>| RunPage {
        number: 12,
        at: at(-90),
        plan: played(true),
        undoes,
        undo,
        left_alone,
        trouble: trouble.map(str::to_owned),
    };
    let left = vec![(2, "somebody changed them since")];
    samples.push(sample("consultant-run--well", own(), &run(plan(true), None, left, None)));
    samples.push(sample("consultant-run--empty", own(), &run(nothing(), Some(11), Vec::new(), None)));
    samples.push(sample("consultant-run--failed", own(), &run(nothing(), None, Vec::new(), Some(trouble))));

    let mut logs = shell("Log", "/app/logs", Who::Consultant);
    logs.wide = true;
    samples.push(sample("consultant-log--well", logs.clone(), &log(log_lines(false), false, false)));
    samples.push(sample("consultant-log--empty", logs.clone(), &log(Vec::new(), false, false)));
    samples.push(sample("consultant-log--nothing-found", logs, &log(Vec::new(), true, false)));

    let page = |plan, waiting: Vec<WaitingLine>| PlanPage {
        heading: "What would change now".into(),
        plan,
        waiting,
        action: "/app/answer".into(),
        back: Way { href: "/app".into(), text: "Back".into() },
    };
    samples.push(sample("consultant-plan--well", app("Plan"), &page(played(true), Vec::new())));
    samples.push(sample("consultant-plan--held", app("Plan"), &page(plan(true), vec![waiting(true), waiting(false)])));
    samples.push(sample("consultant-plan--empty", app("Plan"), &page(nothing(), Vec::new())));
    samples
}
