//! Tests that only rows of the security checklist need; [`super::checklist`] says which row is tried where.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    Site,
    api::Program,
    inputs::{self, PROTECTED, at_rest, changed, exchange, fingerprint, inhabited},
    until,
};
use crate::{
    controller::{App, service::Desk},
    emulator::with,
    model::{id::UserId, snapshot::Policy},
    store::channels::ChannelRow,
    web::{self, Front, Limits},
};

/// The same installation under another address, behind a proxy that is trusted.
async fn behind_a_proxy(site: &Site, url: &str) -> (web::Running, String) {
    let app = App { policy: Policy { public_url: url.into(), ..site.app.policy.clone() }, ..site.app.clone() };
    let limits = Limits::of(vec!["127.0.0.0/8".parse().unwrap()], 1000);
    let front =
        Front::new(app, site.front.desk.clone(), Arc::new(|_| {}), limits, site.front.key_file.clone(), None, true);
    let running = web::serve(front, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let host = running.address.to_string();
    (running, host)
}

async fn get(host: &str, path: &str, headers: &str) -> inputs::Answer {
    let request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    exchange(host, request.as_bytes()).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_the_clear_is_refused() {
    let (site, _ada) = Site::ready().await;
    let (_running, host) = behind_a_proxy(&site, "https://sync.example").await;
    let clear = "host: sync.example\r\nx-forwarded-proto: http\r\n";
    let api = get(&host, "/api/me", clear).await;
    let text = String::from_utf8_lossy(&api.body).into_owned();
    assert!(api.status == 400 && text.contains("https_required"), "{text}");
    let page = get(&host, "/app/logs?status=failure", clear).await;
    assert_eq!(
        (page.status, page.header("location")),
        (308, Some("https://sync.example/app/logs?status=failure")),
        "to ourselves and nowhere else"
    );
    let page = get(&host, "//evil.example/", clear).await;
    assert_eq!((page.status, page.header("location")), (308, Some("https://sync.example//evil.example/")));
    assert_eq!(get(&host, "/health", clear).await.status, 200);
    // Encrypted, under whatever name the proxy has for us.
    let fine = get(&host, "/api/me", "host: busybridge:3000\r\nx-forwarded-proto: https\r\n").await;
    assert_eq!(
        (fine.status, fine.header("strict-transport-security")),
        (401, Some("max-age=63072000; includeSubDomains"))
    );
    let wrong = get(&host, "/api/me", "x-forwarded-proto: https\r\n").await;
    assert_eq!(wrong.status, 400, "even a proxy says for whom it asks");
    // Nobody else's word counts.
    let own = site.url.trim_start_matches("http://");
    assert_eq!(get(own, "/api/me", &format!("host: {own}\r\nx-forwarded-proto: http\r\n")).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_what_protects_it() {
    let (site, facts, _ada, _bob) = inhabited().await;
    let (_running, https) = behind_a_proxy(&site, "https://sync.example").await;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let people = [("", ""), (facts.bob.session.as_str(), facts.bob.csrf.as_str()), (&facts.ada.session, "wrong")];
    let mut routes: BTreeSet<(String, String)> = web::listed().into_iter().collect();
    for (_, path) in web::listed() {
        // What is there for nobody, and what is not there at all.
        routes.insert(("PATCH".into(), path.clone()));
        routes.insert(("GET".into(), format!("{path}/nothing")));
    }
    for (method, template) in &routes {
        let path = template.replace("{hash}/{name}", "x/y").replace("{step}", "2");
        let path = ["{id}", "{calendar}", "{token}", "{run}"].iter().fold(path, |path, name| path.replace(name, "999"));
        for (session, csrf) in people {
            for host in [&facts.host, &https] {
                if *host == https && !session.is_empty() {
                    continue;
                }
                let request = format!(
                    "{method} {path} HTTP/1.1\r\nhost: {}\r\ncookie: __Host-session={session}\r\nx-csrf-token: {csrf}\r\n\
                     origin: https://evil.example\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                    facts.host
                );
                let answer = exchange(host, request.as_bytes()).await.expect("an answer");
                let name = format!("{method} {path}: {}", answer.status);
                for header in PROTECTED {
                    assert!(answer.header(header).is_some(), "{name}: no {header}");
                }
                let policy = answer.header("content-security-policy").unwrap();
                assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{name}");
                assert!(!policy.contains("unsafe") && !policy.contains('*'), "{name}: {policy}");
                assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{name}");
                assert_eq!(answer.header("strict-transport-security").is_some(), *host == https, "{name}");
                assert!(!answer.headers.iter().any(|(name, _)| name.starts_with("access-control-")), "{name}");
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
                assert_ne!(answer.status, 500, "{name}");
                if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
                    let text = String::from_utf8_lossy(&answer.body);
                    assert!(!text.contains(" style=") && !text.contains(" onclick="), "{name}");
                    let inline = text.split("<script").skip(1).any(|tag| !tag.trim_start().starts_with("src="));
                    assert!(!inline, "{name}");
                }
                *statuses.entry(answer.status).or_default() += 1;
            }
        }
    }
    for status in [200, 303, 401, 403, 404, 405] {
        assert!(statuses.contains_key(&status), "{status} was not seen: {statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_finish_at_once_make_one_admin() {
    let site = Site::fresh().await;
    let mut ada = site.browser();
    ada.account = "ada@home.example".into();
    let token = ada.token.clone();
    ada.go("/").await;
    ada.send("/setup/unlock", &[("token", &token)]).await;
    ada.send("/setup/step/1", &[]).await;
    let client =
        [("client_id", crate::emulator::oauth::DEMO_CLIENT), ("client_secret", crate::emulator::oauth::DEMO_SECRET)];
    ada.send("/setup/step/2", &client).await;
    ada.go("/setup/sign-in").await;
    ada.send("/setup/step/3", &[]).await;
    ada.send("/setup/step/4", &[("do", "skip")]).await;
    let body = format!("saved=yes&csrf={}", ada.page.hidden("csrf"));
    let host = site.url.trim_start_matches("http://");
    let request = format!(
        "POST /setup/step/5 HTTP/1.1\r\nhost: {host}\r\ncookie: __Host-browser={}\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        ada.jar["__Host-browser"],
        body.len()
    );
    let answers = futures::future::join_all((0..8).map(|_| exchange(host, request.as_bytes()))).await;
    let statuses: Vec<u16> = answers.into_iter().map(|answer| answer.expect("an answer").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [303, 401, 403, 404, 409].contains(status)), "{statuses:?}");
    let users = site.app.store.users().await.unwrap();
    assert!(users.len() == 1 && users[0].admin);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_what_it_stood_for() {
    let (site, ada) = Site::ready().await;
    let ada = Program::of(&ada).await;
    let mut bob = site.browser();
    bob.sign_in("bob@home.example").await;
    let first = bob.jar["__Host-session"].clone();
    let before = site.browser();
    let status = async |cookie: &str, path: &str| {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let request = http.get(format!("{}{path}", site.url)).header("cookie", format!("__Host-session={cookie}"));
        request.send().await.unwrap().status().as_u16()
    };
    drop(before);
    // A sign-in makes a new session, and ends the one that the browser had.
    bob.sign_in("bob@home.example").await;
    let second = bob.jar["__Host-session"].clone();
    assert_ne!(first, second);
    assert_eq!((status(&first, "/api/me").await, status(&second, "/api/me").await), (401, 200));
    // A right counts while it is there.
    assert_eq!(status(&second, "/api/admin/users").await, 403);
    let right = |is_admin: bool| Some(json!({"is_admin": is_admin}));
    assert_eq!(ada.ask("PUT", "/api/admin/users/2/admin", right(true)).await.0, 200);
    assert_eq!(status(&second, "/api/admin/users").await, 200);
    assert_eq!(ada.ask("PUT", "/api/admin/users/2/admin", right(false)).await.0, 200);
    assert_eq!((status(&second, "/api/admin/users").await, status(&second, "/admin").await), (403, 404));
    // Forced to sign in anew.
    assert_eq!(ada.ask("POST", "/api/admin/users/2/force-reauth", None).await.0, 200);
    assert_eq!(status(&second, "/api/me").await, 401);
    // And removed: at once, once, and for good.
    bob.sign_in("bob@home.example").await;
    let third = bob.jar["__Host-session"].clone();
    assert_eq!(status(&third, "/api/me").await, 200);
    let tab = Program::of(&bob).await;
    assert_eq!(ada.ask("DELETE", "/api/admin/users/2", None).await.0, 202);
    let again = ada.ask("DELETE", "/api/admin/users/2", None).await.0;
    assert!([202, 404].contains(&again), "{again}");
    assert_eq!(status(&third, "/api/me").await, 401);
    let body = Some(json!({"calendar_id": "bob@home.example"}));
    assert_eq!(tab.ask("PUT", "/api/me/main-calendar", body).await.0, 401, "no resurrection");
    until("bob is gone", async || site.app.store.users().await.unwrap().len() == 1).await;
    assert_eq!(ada.ask("DELETE", "/api/admin/users/2", None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_twice_is_done_once() {
    let (site, mut ada) = Site::ready().await;
    ada.account = "ada@acme.example".into();
    ada.go("/auth/connect-client").await;
    let program = Program::of(&ada).await;
    let (_, accounts) = program.ask("GET", "/api/accounts", None).await;
    let token = accounts.as_array().unwrap().iter().find(|one| one["kind"] == "client").unwrap()["id"].clone();
    // Row 58: many at once connect one.
    let body = json!({"token_id": token, "calendar_id": "ada@acme.example"});
    let asked = (0..8).map(|_| program.ask("POST", "/api/client-calendars", Some(body.clone())));
    let answers = futures::future::join_all(asked).await;
    let made = answers.iter().filter(|(status, _)| *status == 201).count();
    let refused =
        answers.iter().filter(|(status, text)| *status == 409 && text["error"]["code"] == "already_connected");
    assert_eq!((made, refused.count()), (1, 7), "{answers:?}");
    let (_, listed) = program.ask("GET", "/api/client-calendars", None).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let path = format!("/api/client-calendars/{}", listed[0]["id"]);
    assert_eq!(program.ask("POST", &format!("{path}/begin"), None).await.0, 202);
    // Row 77: silence and its end, as often as one likes.
    let turns = (0..40).map(|n| {
        let way = if n % 2 == 0 { "pause" } else { "resume" };
        program.ask("POST", if way == "pause" { "/api/admin/sync/pause" } else { "/api/admin/sync/resume" }, None)
    });
    assert!(futures::future::join_all(turns).await.iter().all(|(status, _)| *status == 200));
    assert_eq!(program.ask("POST", "/api/admin/sync/pause", None).await.0, 200);
    // Row 63: not while paused, then once, then not so soon.
    let code = |answer: (u16, Value)| (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default().to_owned());
    assert_eq!(code(program.ask("POST", &format!("{path}/sync"), None).await), (409, "paused".into()));
    assert_eq!(program.ask("POST", "/api/admin/sync/resume", None).await.0, 200);
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(program.ask("POST", &format!("{path}/sync"), None).await.0);
    }
    assert_eq!((statuses[0], &statuses[1..]), (202, &[429; 9][..]));
    // Row 64.
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(program.ask("POST", "/api/sync/full", None).await.0);
    }
    assert_eq!((statuses[0], &statuses[1..]), (202, &[429; 4][..]));
    // Row 62: left once.
    assert_eq!(program.ask("DELETE", &path, None).await.0, 202);
    let again = program.ask("DELETE", &path, None).await.0;
    assert!([202, 404].contains(&again), "{again}");
    let sync = code(program.ask("POST", &format!("{path}/sync"), None).await);
    assert!([(409, "disconnecting".into()), (404, "not_found".into())].contains(&sync), "{sync:?}");
    until("it is left", async || program.ask("GET", &format!("{path}/status"), None).await.0 == 404).await;
    // An account whose permission ended has to be connected again first.
    let again = program.ask("POST", "/api/client-calendars", Some(body)).await;
    assert!([201, 404, 409].contains(&again.0), "{again:?}");
    let _ = site;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_took_its_permission_back_is_not_checked_by_hand() {
    let (site, facts, _ada, bob) = inhabited().await;
    let bob = Program::of(&bob).await;
    let path = format!("/api/client-calendars/{}", facts.client);
    assert_eq!(bob.ask("POST", &format!("{path}/begin"), None).await.0, 202);
    at_rest(&site).await;
    site.world.command("POST", "revoke", json!({"account": "bob@globex.example"})).await;
    // Whoever asks first is heard; the answer of Google to it is what the next one is told.
    assert_eq!(bob.ask("POST", "/api/sync/full", None).await.0, 202);
    let mut answer = (0, Value::Null);
    until("it is known", async || {
        answer = bob.ask("POST", &format!("{path}/sync"), None).await;
        answer.0 == 409
    })
    .await;
    assert_eq!(answer.1["error"]["code"], "needs_reauth", "{answer:?}");
    assert!(answer.1["error"]["message"].as_str().unwrap().contains("Connect the account again"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_without_google_forgets_nothing() {
    let (site, _facts, ada, _bob) = inhabited().await;
    let ada = Program::of(&ada).await;
    super::journeys::meet(&site, "ada@acme.example", "Kick-off").await;
    until("a copy", async || {
        let _ = ada.ask("POST", "/api/sync/full", None).await;
        with(&site.world.core, |core| !core.world.calendars["ada@home.example"].events.is_empty())
    })
    .await;
    let before = at_rest(&site).await;
    let away = json!({"kind": "status", "status": 503, "path": "/calendar/v3/"});
    assert_eq!(site.world.command("POST", "faults", away).await.0, 200);
    let word = json!({"confirmation": "RESET"});
    let refused = ada.ask("POST", "/api/admin/factory-reset", Some(word)).await;
    assert_eq!((refused.0, &refused.1["error"]["code"]), (409, &json!("remote_cleanup_incomplete")), "{refused:?}");
    site.world.command("DELETE", "faults", json!(null)).await;
    let after = at_rest(&site).await;
    // Everybody is paused, so that nothing is written meanwhile; nothing and nobody is forgotten.
    assert_eq!(site.app.store.users().await.unwrap().len(), 2);
    for table in ["oauth_tokens", "client_calendars", "organization"] {
        assert!(before.contains_key(table), "{table}");
        assert_eq!(before.get(table), after.get(table), "{table}");
    }
    assert!(site.front.is_configured());
    // Permissions are not given back before the end, so that the same wish succeeds when Google answers again.
    let again = ada.ask("POST", "/api/admin/factory-reset", Some(json!({"confirmation": "RESET"}))).await;
    assert_eq!(again.0, 200, "{again:?}");
    let left = with(&site.world.core, |core| {
        let events = &core.world.calendars["ada@home.example"].events;
        events.values().filter(|event| json!(event.fields)["status"] != "cancelled").count()
    });
    assert_eq!((left, site.front.is_configured()), (0, false));
}

/// A mail server that says this to whoever comes, and then nothing; gives its port and what it heard.
async fn mail_server(greeting: &'static str, then: &'static str) -> (u16, Arc<std::sync::Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = heard.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let _ = stream.write_all(greeting.as_bytes()).await;
                let mut part = [0; 1024];
                while let Ok(n @ 1..) = stream.read(&mut part).await {
                    told.lock().unwrap().extend_from_slice(&part[..n]);
                    let _ = stream.write_all(then.as_bytes()).await;
                }
            });
        }
    });
    (port, heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_none_is_told_by_its_class() {
    let (site, ada) = Site::ready().await;
    let ada = Program::of(&ada).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (silent, _) = mail_server("", "").await;
    let (plain, heard) = mail_server("220 secret-banner ESMTP\r\n", "250 secret-banner\r\n").await;
    let (ssh, _) = mail_server("SSH-2.0-OpenSSH_9.2p1 secret-banner\r\n", "").await;
    for (what, port) in [("nothing", closed), ("silence", silent), ("no encryption", plain), ("another protocol", ssh)]
    {
        let body = json!({
            "smtp_host": "localhost", "smtp_port": port, "smtp_security": "starttls", "smtp_username": "u",
            "smtp_password": "hush-hush", "smtp_from_address": "b@home.example",
        });
        assert_eq!(ada.ask("PUT", "/api/admin/settings", Some(body)).await.0, 200, "{what}");
        let begun = Instant::now();
        let refused = ada.ask("POST", "/api/admin/settings/test-email", None).await;
        assert_eq!((refused.0, &refused.1["error"]["code"]), (422, &json!("mail_refused")), "{what}: {refused:?}");
        let text = refused.1.to_string();
        assert!(!text.contains("secret-banner") && !text.contains("hush"), "{what}: {text}");
        // Far from the sixty seconds that it would otherwise be.
        assert!(begun.elapsed() < Duration::from_secs(45), "{what}");
    }
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    assert!(heard.contains("EHLO") && !heard.contains("AUTH") && !heard.contains("MAIL"), "{heard}");
    // The test is no tool to look for open ports.
    let mut statuses = Vec::new();
    let body = json!({"smtp_port": closed});
    assert_eq!(ada.ask("PUT", "/api/admin/settings", Some(body)).await.0, 200);
    for _ in 0..10 {
        statuses.push(ada.ask("POST", "/api/admin/settings/test-email", None).await.0);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let _ = site;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_the_database_are_few() {
    let (site, ada) = Site::ready().await;
    let host = site.url.trim_start_matches("http://").to_owned();
    let cookie = format!("host: {host}\r\ncookie: __Host-session={}\r\n", ada.jar["__Host-session"]);
    let directory = site.app.store.path().parent().unwrap().to_owned();
    let files = || {
        let names = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.contains("export")).count()
    };
    // Without room nothing is begun.
    site.app.store.spare(u64::MAX);
    let refused = get(&host, "/api/admin/export", &cookie).await;
    let text = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(refused.status == 503 && text.contains("disk_full"), "{} {text}", refused.status);
    site.app.store.spare(0);
    let mut statuses = vec![refused.status];
    let mut copy = Vec::new();
    for _ in 0..4 {
        let answer = get(&host, "/api/admin/export", &cookie).await;
        statuses.push(answer.status);
        if answer.status == 200 {
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(answer.header("content-disposition").unwrap().starts_with("attachment; filename=\"busybridge-"));
            copy = answer.body;
        }
    }
    assert!(statuses.contains(&200) && statuses.last() == Some(&429), "{statuses:?}");
    assert_eq!(files(), 0, "nothing of it stays on the disk");
    // Whole, and without what would let anybody in.
    let file = directory.join("looked-at.db");
    std::fs::write(&file, &copy).unwrap();
    use sqlx::Connection;
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    for (question, answer) in [
        ("PRAGMA integrity_check", "ok"),
        ("SELECT count(*) || '' FROM users", "1"),
        ("SELECT count(*) || '' FROM sessions", "0"),
        ("SELECT count(*) || '' FROM sign_ins", "0"),
        ("SELECT count(*) || '' FROM webhook_channels", "0"),
    ] {
        let (text,): (String,) = sqlx::query_as(question).fetch_one(&mut connection).await.unwrap();
        assert_eq!(text, answer, "{question}");
    }
    let key = std::fs::read_to_string(&site.front.key_file).unwrap();
    assert!(!copy.windows(key.trim().len()).any(|part| part == key.trim().as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumped_forgets_nothing() {
    let (site, mut ada) = Site::ready().await;
    site.app.clock.advance(TimeDelta::days(3_650));
    ada.sign_in("ada@home.example").await;
    let program = Program::of(&ada).await;
    let before = at_rest(&site).await;
    let refused = program.ask("POST", "/api/admin/cleanup", None).await;
    assert_eq!((refused.0, &refused.1["error"]["code"]), (409, &json!("clock_jump")), "{refused:?}");
    assert_eq!(changed(&before, &fingerprint(&site).await), BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_keeps_nobody_waiting() {
    let (site, ada) = Site::ready().await;
    let host = site.url.trim_start_matches("http://").to_owned();
    let at = host.replace("localhost", "127.0.0.1");
    // Six hundred who begin and never end.
    let mut slow = Vec::new();
    for n in 0..600 {
        let mut stream = TcpStream::connect(&at).await.unwrap();
        let head = if n % 2 == 0 { "GET /app HTTP/1.1\r\nhost: x" } else { "" };
        let _ = stream.write_all(head.as_bytes()).await;
        slow.push(stream);
    }
    let ok = tokio::time::timeout(Duration::from_secs(20), get(&host, "/health", &format!("host: {host}\r\n"))).await;
    assert_eq!(ok.expect("it answers while they wait").status, 200);
    // Half a body is not waited for longer than a person would.
    let request = format!(
        "PUT /api/me/main-calendar HTTP/1.1\r\nhost: {host}\r\ncookie: __Host-session={}\r\nx-csrf-token: {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        ada.jar["__Host-session"],
        Program::of(&ada).await.csrf
    );
    let answer = exchange(&host, request.as_bytes()).await.expect("an answer");
    assert_eq!((answer.status, answer.answers), (408, 1), "{}", String::from_utf8_lossy(&answer.body));
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_person_would_write_keeps_nobody_waiting() {
    let (site, _facts, ada, _bob) = inhabited().await;
    let ada = Program::of(&ada).await;
    let start = site.app.clock.now() + TimeDelta::days(1);
    let at = |hours: i64| json!({"dateTime": (start + TimeDelta::hours(hours)).to_rfc3339(), "timeZone": "UTC"});
    let exdates: String =
        (0..2_000).map(|n| format!(",{}", (start + TimeDelta::days(n)).format("%Y%m%dT%H%M%SZ"))).collect();
    let one = |title: &str, more: Value| {
        let mut event = json!({"summary": title, "start": at(0), "end": at(1)});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let guests: Vec<Value> = (0..190).map(|n| json!({"email": format!("guest{n}@elsewhere.example")})).collect();
    let events = vec![
        one("every second", json!({"recurrence": ["RRULE:FREQ=SECONDLY"]})),
        one(
            "every second for ever, by position",
            json!({"recurrence": ["RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=-1,1,2,3,-2"]}),
        ),
        one("many exceptions", json!({"recurrence": ["RRULE:FREQ=DAILY", format!("EXDATE:{}", &exdates[1..])]})),
        one("a million times", json!({"recurrence": ["RRULE:FREQ=MINUTELY;COUNT=1000000"]})),
        one(&"t".repeat(1_000), json!({"description": "d".repeat(8_000)})),
        one("many guests", json!({"attendees": guests})),
        one("\u{202e}reversed\u{0301}\u{1f469}\u{200d}\u{1f469}", json!({"location": "a\u{7}b\tc"})),
        one("two hundred years", json!({"end": {"dateTime": "2226-01-01T00:00:00Z"}})),
        one("no time at all", json!({"end": at(0)})),
        one("the last year", json!({"start": {"date": "9998-12-30"}, "end": {"date": "9998-12-31"}})),
        one("the first year", json!({"start": {"date": "0001-01-01"}, "end": {"date": "0001-01-02"}})),
    ];
    let http = reqwest::Client::builder().build().unwrap();
    let url = format!("{}/calendar/v3/calendars/primary/events", site.world.origin());
    let mut taken = 0;
    for event in &events {
        let request = http.post(&url).header("authorization", "Bearer dev:ada@acme.example");
        let answer = request.header("content-type", "application/json").body(event.to_string()).send().await.unwrap();
        taken += usize::from(answer.status() == 200);
    }
    assert!(taken >= 6, "Google takes {taken} of them");
    // An ordinary meeting after all that.
    super::journeys::meet(&site, "ada@acme.example", "Kick-off").await;
    assert_eq!(ada.ask("POST", "/api/sync/full", None).await.0, 202);
    until("the ordinary meeting is copied", async || {
        with(&site.world.core, |core| {
            let events = core.world.calendars["ada@home.example"].events.values();
            events
                .map(|event| json!(event.fields))
                .any(|event| event["summary"].as_str().is_some_and(|t| t.contains("Kick-off")))
        })
    })
    .await;
    at_rest(&site).await;
    // And nothing is written over and over.
    let writes = with(&site.world.core, |core| core.writes.len());
    site.front.desk.bell.ring(UserId(1), crate::controller::queue::Scope::all(), site.front.desk.moment());
    at_rest(&site).await;
    assert_eq!(with(&site.world.core, |core| core.writes.len()), writes);
    for path in ["/api/plan", "/api/sync/status"] {
        assert_eq!(ada.ask("GET", path, None).await.0, 200, "{path}");
    }
    for path in ["/app", "/app/plan", "/app/calendars/2"] {
        let request = ada.request("GET", path).send().await.unwrap();
        assert_eq!(request.status(), 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_a_thousand_calendars_offers_them() {
    let (site, ada) = Site::ready().await;
    with(&site.world.core, |core| {
        for n in 0..1_000 {
            let id = format!("team{n}@home.example");
            let account = crate::emulator::state::Account {
                email: id.clone(),
                name: format!("Team {n}"),
                sub: format!("subject of {id}"),
                hosted_domain: Some("home.example".into()),
            };
            core.world.add_account(account, "Europe/Vienna");
            let calendar = core.world.calendars.get_mut(&id).unwrap();
            calendar.acl.insert("ada@home.example".into(), crate::emulator::state::Role::Writer);
            crate::emulator::calendars::enlist(&mut core.world, "ada@home.example", &id);
        }
    });
    let program = Program::of(&ada).await;
    let (status, offered) = program.ask("GET", "/api/me/calendars", None).await;
    assert_eq!((status, offered.as_array().unwrap().len()), (200, 1_001));
    let page = program.request("GET", "/app/main").send().await.unwrap();
    assert_eq!(page.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_calendars_ring_from_one_address() {
    let (site, _ada) = Site::ready().await;
    // The usual limits, and a bell that nobody listens to.
    let (desk, user) = (Desk::default(), UserId(1));
    let now = site.app.clock.now();
    let channel = |number: i64| ChannelRow {
        number,
        user,
        calendar: number,
        id: format!("channel-{number}"),
        token_hash: Sha256::digest(b"secret").into(),
        resource: "resource".into(),
        opened: now,
        ends: now + TimeDelta::days(7),
        rang: None,
    };
    desk.bell.know((1..=500).map(channel).collect());
    let limits = Limits::new(Vec::new());
    let front =
        Front::new(site.app.clone(), desk.clone(), Arc::new(|_| {}), limits, site.front.key_file.clone(), None, true);
    let running = web::serve(front, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}/api/webhooks/google-calendar", running.address);
    let http = reqwest::Client::builder().build().unwrap();
    let ring = async |number: i64, token: &str| {
        let request = http.post(&url).header("content-length", "0").header("x-goog-channel-token", token);
        let request = request.header("x-goog-channel-id", format!("channel-{number}"));
        let request = request.header("x-goog-resource-id", "resource").header("x-goog-resource-state", "exists");
        request.send().await.unwrap().status().as_u16()
    };
    let begun = Instant::now();
    let lanes = (0..10).map(|lane| async move {
        for n in 0..50 {
            assert_eq!(ring(1 + lane * 50 + n, "secret").await, 204);
        }
    });
    futures::future::join_all(lanes).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let marks = desk.bell.take();
    assert_eq!(marks.len(), 1);
    let marked = (1..=501).filter(|number| marks[0].scope.reads(*number)).count();
    assert_eq!(marked, 500);
    // Who does not know the secret marks nothing, however often.
    for number in 1..=500 {
        assert_eq!(ring(number, "guessed").await, 204);
    }
    assert_eq!(desk.bell.take(), []);
}
