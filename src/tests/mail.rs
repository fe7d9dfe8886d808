//! Alerts from the trouble to the mail server, which is a real one on a socket.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use super::world::World;
use crate::{
    controller::{
        alerts::{self, Delivered},
        channels,
        tick::{Mode, tick},
    },
    mail::{self, MailError},
    model::{
        alert::AlertKind,
        calendar::Role,
        secret::Secret,
        smtp::{Security, Smtp},
    },
    pages::mail::Mail,
    store::alerts::NewMail,
};

/// A mail server: EHLO, AUTH, MAIL, RCPT, DATA; it answers each recipient with the next of its answers, the last for ever.
struct Server {
    port: u16,
    /// What was said to it, line by line.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = heard.clone();
        let answers: Vec<String> = answers.iter().map(|text| (*text).to_owned()).collect();
        let asked = Arc::new(Mutex::new(0));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (notes, answers, asked) = (notes.clone(), answers.clone(), asked.clone());
                tokio::spawn(async move {
                    let (read, mut write) = stream.into_split();
                    let mut lines = BufReader::new(read).lines();
                    let _ = write.write_all(b"220 mail.example ESMTP\r\n").await;
                    let mut in_data = false;
                    while let Ok(Some(line)) = lines.next_line().await {
                        notes.lock().unwrap().push(line.clone());
                        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
                        let answer = match word.as_str() {
                            _ if in_data && line != "." => continue,
                            _ if in_data => {
                                in_data = false;
                                "250 taken".to_owned()
                            }
                            "EHLO" => "250-mail.example\r\n250 AUTH PLAIN LOGIN".into(),
                            "RCPT" => {
                                let mut asked = asked.lock().unwrap();
                                *asked += 1;
                                answers[(*asked - 1).min(answers.len() - 1)].clone()
                            }
                            "DATA" => {
                                in_data = true;
                                "354 go on".into()
                            }
                            "QUIT" => "221 bye".into(),
                            _ => "250 well".into(),
                        };
                        if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Server { port, heard }
    }

    fn heard(&self) -> String {
        self.heard.lock().unwrap().join("\n")
    }

    fn smtp(&self, security: Security, password: Option<&str>) -> Smtp {
        Smtp {
            host: "127.0.0.1".into(),
            port: self.port,
            security,
            user: password.map(|_| "bridge".into()),
            password: password.map(|text| Secret::new(text.into())),
            from: "BusyBridge <bridge@home.example>".into(),
        }
    }
}

/// Ada, a consultant, whose account at Acme can be broken; and Grace, an admin.
async fn world() -> World {
    let mut world = World::new().await;
    let own = |name: &str, role| (name.to_owned(), format!("ada@{name}.example"), format!("ada@{name}.example"), role);
    world.add("ada", 0, &[own("home", Role::Main), own("acme", Role::Client)]).await;
    let new = crate::store::people::NewUser {
        email: "grace@home.example".into(),
        subject: "grace".into(),
        name: "Grace".into(),
        admin: true,
    };
    world.app("ada").store.add_user(new).await.unwrap();
    world
}

async fn reconcile(world: &World) {
    tick(world.app("ada"), world.people["ada"].user, Mode::Apply).await.unwrap();
}

async fn waiting(world: &World) -> Vec<String> {
    let mails = world.app("ada").store.mails_due(100).await.unwrap();
    mails.into_iter().map(|mail| format!("{}: {}", mail.recipient, mail.subject)).collect()
}

async fn open(world: &World) -> Vec<AlertKind> {
    let app = world.app("ada");
    let alerts = app.store.alerts(app.clock.now()).await.unwrap();
    alerts.into_iter().filter(|alert| alert.resolved.is_none()).map(|alert| alert.kind).collect()
}

async fn fault(world: &World, status: u16, reason: &str) {
    let fault = json!({"kind": "status", "status": status, "reason": reason, "account": "ada@acme.example"});
    assert_eq!(world.command("POST", "faults", fault).await.0, 200);
}

async fn heal(world: &World) {
    world.command("DELETE", "faults", json!(null)).await;
}

#[tokio::test]
async fn a_revoked_account_is_told_to_its_person_and_admins_once_and_ends() {
    let world = world().await;
    reconcile(&world).await;
    assert_eq!(waiting(&world).await, Vec::<String>::new());
    let writes = world.app("ada").store.changes_so_far().await.unwrap();
    reconcile(&world).await;
    assert_eq!(world.app("ada").store.changes_so_far().await.unwrap(), writes, "where all is well nothing is written");
    fault(&world, 401, "authError").await;
    for _ in 0..3 {
        reconcile(&world).await;
    }
    let mails = [
        "ada@home.example: [BusyBridge] acme: access has ended",
        "grace@home.example: [BusyBridge] acme: access has ended",
    ];
    assert_eq!(waiting(&world).await, mails);
    assert_eq!(open(&world).await, [AlertKind::TokenRevoked]);
    // What lasts is told again after a day, not before.
    world.clock.advance(TimeDelta::hours(23));
    reconcile(&world).await;
    assert_eq!(waiting(&world).await.len(), 2);
    world.clock.advance(TimeDelta::hours(1));
    reconcile(&world).await;
    assert_eq!(waiting(&world).await.len(), 4);
    heal(&world).await;
    let place = world.people["ada"].calendars["acme"].clone();
    world.token_of("ada", &place).await;
    reconcile(&world).await;
    assert_eq!(open(&world).await, []);
}

#[tokio::test]
async fn a_refused_calendar_and_five_failures_are_alerts_of_their_own() {
    let world = world().await;
    reconcile(&world).await;
    fault(&world, 403, "forbidden").await;
    reconcile(&world).await;
    assert_eq!(open(&world).await, [AlertKind::CalendarInaccessible]);
    heal(&world).await;
    reconcile(&world).await;
    assert_eq!(open(&world).await, []);
    fault(&world, 503, "backendError").await;
    for n in 1..=6 {
        reconcile(&world).await;
        let expected: &[AlertKind] = if n < 5 { &[] } else { &[AlertKind::SyncFailures] };
        assert_eq!(open(&world).await, expected, "{n} failures");
    }
    heal(&world).await;
    reconcile(&world).await;
    assert_eq!(open(&world).await, []);
}

#[tokio::test]
async fn what_comes_and_goes_within_the_hour_is_told_once() {
    let world = world().await;
    reconcile(&world).await;
    for _ in 0..5 {
        fault(&world, 403, "forbidden").await;
        reconcile(&world).await;
        heal(&world).await;
        reconcile(&world).await;
        world.clock.advance(TimeDelta::minutes(5));
    }
    assert_eq!(waiting(&world).await.len(), 2);
}

#[tokio::test]
async fn people_choose_what_they_are_told_and_webhooks_are_for_admins() {
    let world = world().await;
    let app = world.app("ada");
    let grace = app.store.users().await.unwrap().into_iter().find(|user| user.admin).unwrap().id;
    app.store.prefer_alert(grace, AlertKind::CalendarInaccessible, false).await.unwrap();
    fault(&world, 403, "forbidden").await;
    reconcile(&world).await;
    assert_eq!(waiting(&world).await, ["ada@home.example: [BusyBridge] acme: the calendar is out of reach"]);
    let user = world.people["ada"].user;
    let acme = app.store.calendars_of(user).await.unwrap().into_iter().find(|row| row.name == "acme").unwrap();
    let refused = |tries| channels::Done { refused: [(acme.number, tries)].into(), ..channels::Done::default() };
    for tries in 1..5 {
        alerts::after_channels(app, &refused(tries)).await.unwrap();
    }
    assert_eq!(waiting(&world).await[1..], ["grace@home.example: [BusyBridge] acme: changes are not announced"]);
    let well = channels::Done { well: vec![(user, acme.number)], ..channels::Done::default() };
    alerts::after_channels(app, &well).await.unwrap();
    assert_eq!(open(&world).await, [AlertKind::CalendarInaccessible]);
}

#[tokio::test]
async fn mails_go_out_with_both_forms_and_are_noted() {
    let world = world().await;
    let app = world.app("ada");
    fault(&world, 403, "forbidden").await;
    reconcile(&world).await;
    assert_eq!(alerts::deliver(app).await.unwrap(), Delivered::default(), "without a server they wait");
    let server = Server::start(&["250 well"]).await;
    app.store.set_smtp(Some(&server.smtp(Security::None, None))).await.unwrap();
    assert_eq!(alerts::deliver(app).await.unwrap(), Delivered { sent: 2, ..Delivered::default() });
    assert_eq!(alerts::deliver(app).await.unwrap(), Delivered::default(), "each once");
    let heard = server.heard();
    for word in [
        "RCPT TO:<ada@home.example>",
        "RCPT TO:<grace@home.example>",
        "Message-ID: <",
        "multipart/alternative",
        "text/plain",
        "text/html",
    ] {
        assert!(heard.contains(word), "{word}: {heard}");
    }
    assert_eq!(heard.matches("Person: ada@home.example").count(), 1, "for the admin alone");
    world.clock.advance(TimeDelta::days(8));
    heal(&world).await;
    reconcile(&world).await;
    assert_eq!(app.store.forget_alerts().await.unwrap(), 2);
}

#[tokio::test]
async fn a_busy_server_is_tried_three_times_and_a_refusal_once() {
    let world = world().await;
    let app = world.app("ada");
    fault(&world, 403, "forbidden").await;
    reconcile(&world).await;
    let server = Server::start(&["451 busy"]).await;
    app.store.set_smtp(Some(&server.smtp(Security::None, None))).await.unwrap();
    let again = Delivered { again: 2, ..Delivered::default() };
    assert_eq!(alerts::deliver(app).await.unwrap(), again);
    assert_eq!(alerts::deliver(app).await.unwrap(), Delivered::default(), "not at once");
    world.clock.advance(TimeDelta::minutes(5));
    assert_eq!(alerts::deliver(app).await.unwrap(), again);
    world.clock.advance(TimeDelta::minutes(30));
    assert_eq!(alerts::deliver(app).await.unwrap(), Delivered { given_up: 2, ..Delivered::default() });
    world.clock.advance(TimeDelta::days(1));
    reconcile(&world).await;
    let strict = Server::start(&["550 no such person", "250 well"]).await;
    app.store.set_smtp(Some(&strict.smtp(Security::None, None))).await.unwrap();
    assert_eq!(alerts::deliver(app).await.unwrap(), Delivered { sent: 1, given_up: 1, ..Delivered::default() });
    // Nobody there at all: later.
    world.clock.advance(TimeDelta::days(1));
    reconcile(&world).await;
    app.store.set_smtp(Some(&Smtp { port: 1, ..strict.smtp(Security::None, None) })).await.unwrap();
    assert_eq!(alerts::deliver(app).await.unwrap(), again);
}

#[tokio::test]
async fn a_password_never_goes_over_an_unencrypted_wire() {
    let server = Server::start(&["250 well"]).await;
    let mail = Mail { subject: "x".into(), text: "x".into(), html: "x".into() };
    let clear = mail::send(&server.smtp(Security::None, Some("canary")), "a@b.example", &mail).await;
    assert!(matches!(clear, Err(MailError::PasswordInTheClear)), "{clear:?}");
    // A server, or somebody between, that does not offer STARTTLS.
    let stripped = mail::send(&server.smtp(Security::StartTls, Some("canary")), "a@b.example", &mail).await;
    assert!(matches!(stripped, Err(MailError::Refused(_))), "{stripped:?}");
    assert!(!server.heard().contains("AUTH") && !server.heard().contains("MAIL"), "{}", server.heard());
    for (to, subject) in [("no address", "x"), ("a@b.example\r\nRCPT TO:<evil@example.com>", "x")] {
        let mail = Mail { subject: subject.into(), ..mail.clone() };
        let refused = mail::send(&server.smtp(Security::None, None), to, &mail).await;
        assert!(matches!(refused, Err(MailError::Address(_))), "{refused:?}");
    }
    assert!(!server.heard().contains("evil"));
}

#[tokio::test]
async fn a_storm_is_bounded_and_never_drives_out_what_only_a_person_can_mend() {
    let world = world().await;
    let app = world.app("ada");
    let mail = |n: usize| NewMail {
        recipient: "ada@home.example".into(),
        subject: format!("storm {n}"),
        text: String::new(),
        html: String::new(),
    };
    let condition = |kind, calendar| crate::model::alert::Condition {
        kind,
        user: Some(world.people["ada"].user),
        calendar,
        detail: String::new(),
    };
    app.store
        .raise_alert(&condition(AlertKind::TokenRevoked, None), &[NewMail { subject: "mend me".into(), ..mail(0) }])
        .await
        .unwrap();
    let storm: Vec<NewMail> = (0..1_100).map(mail).collect();
    app.store.raise_alert(&condition(AlertKind::SystemError, None), &storm).await.unwrap();
    let left = app.store.mails_due(2_000).await.unwrap();
    assert_eq!(left.len(), 1_000);
    assert_eq!((left[0].subject.as_str(), left[1].subject.as_str()), ("mend me", "storm 101"));
}
