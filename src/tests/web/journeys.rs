//! Ways through the pages, from beginning to end.

use serde_json::json;

use super::{Site, until};
use crate::emulator::with;

/// Titles on a calendar, as its owner sees them.
pub async fn titles(site: &Site, account: &str) -> Vec<String> {
    let items = with(&site.world.core, |core| {
        let calendar = &core.world.calendars[account];
        calendar.events.values().map(|event| json!(event.fields)).collect::<Vec<_>>()
    });
    let live = items.iter().filter(|item| item["status"] != "cancelled");
    let mut titles: Vec<String> = live.map(|item| item["summary"].as_str().unwrap_or_default().to_owned()).collect();
    titles.sort();
    titles
}

/// A meeting of an hour on somebody's own calendar, tomorrow.
pub async fn meet(site: &Site, account: &str, title: &str) {
    let at =
        |hours: i64| json!({"dateTime": (site.app.clock.now() + chrono::TimeDelta::hours(24 + hours)).to_rfc3339()});
    let url = format!("{}/calendar/v3/calendars/primary/events", site.world.origin());
    let http = reqwest::Client::builder().build().unwrap();
    let body = json!({"summary": title, "start": at(0), "end": at(1)}).to_string();
    let request = http.post(url).header("authorization", format!("Bearer dev:{account}"));
    assert_eq!(request.header("content-type", "application/json").body(body).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_visit_to_the_first_synced_event_and_away_again() {
    let (site, mut ada) = Site::ready().await;
    ada.go("/app").await;
    assert!(ada.page.text.contains("Main calendar") && ada.page.text.contains("ada@home.example"), "{}", ada.page.text);
    meet(&site, "ada@acme.example", "Kick-off").await;
    ada.account = "ada@acme.example".into();
    ada.go("/auth/connect-client").await;
    let action = ada.page.path.clone();
    ada.send(&action, &[("calendar_id", "ada@acme.example")]).await;
    // What would happen is shown before anything does.
    assert!(ada.page.text.contains("What will change") && ada.page.text.contains("Kick-off"), "{}", ada.page.text);
    assert!(titles(&site, "ada@home.example").await.is_empty());
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(titles(&site, "ada@home.example").await.is_empty(), "silent until its person begins");
    let begin = ada.page.path.replace("/preview", "/begin");
    ada.send(&begin, &[]).await;
    until("the copy", async || titles(&site, "ada@home.example").await == ["Kick-off"]).await;
    ada.connect("client", "ada@globex.example").await;
    ada.connect("personal", "ada@gmail.example").await;
    until("the block", async || titles(&site, "ada@globex.example").await == ["[BusyBridge] Busy"]).await;
    assert!(titles(&site, "ada@gmail.example").await.is_empty());
    until("the page says so", async || {
        ada.go("/app").await;
        ada.page.text.contains("Everything is in sync.")
    })
    .await;
    // What each client sees, and why.
    let number = site.app.store.calendars_of(crate::model::id::UserId(1)).await.unwrap();
    let globex = number.iter().find(|row| row.account == "ada@globex.example").unwrap().number;
    ada.go(&format!("/app/calendars/{globex}")).await;
    assert!(ada.page.text.contains("[BusyBridge] Busy") && !ada.page.text.contains("Kick-off"), "{}", ada.page.text);
    let why = ada.page.text.split("href=\"/app/why?").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    ada.go(&format!("/app/why?{why}")).await;
    assert!(
        ada.page.text.contains("It is a block for an event") && ada.page.text.contains("Kick-off"),
        "{}",
        ada.page.text
    );
    // Away again, with the consequence in numbers.
    let acme = number.iter().find(|row| row.account == "ada@acme.example").unwrap().number;
    ada.go(&format!("/app/calendars/{acme}/disconnect")).await;
    assert!(ada.page.text.contains("1 event will leave"), "{}", ada.page.text);
    ada.send(&format!("/app/calendars/{acme}/disconnect"), &[]).await;
    until("what was ours leaves", async || {
        titles(&site, "ada@home.example").await.is_empty() && titles(&site, "ada@globex.example").await.is_empty()
    })
    .await;
    assert_eq!(titles(&site, "ada@acme.example").await, ["Kick-off"]);
    ada.go("/app").await;
    ada.send("/auth/logout", &[]).await;
    assert_eq!(ada.page.path, "/app/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_looks_after_a_colleague() {
    let (site, mut ada) = Site::ready().await;
    let mut bob = site.browser();
    bob.sign_in("bob@home.example").await;
    assert_eq!((bob.page.status, bob.page.path.as_str()), (200, "/app"), "{}", bob.page.text);
    meet(&site, "bob@home.example", "Lunch").await;
    bob.connect("client", "bob@globex.example").await;
    until("the block", async || titles(&site, "bob@globex.example").await.len() == 1).await;
    // Who is no admin learns nothing of their pages.
    assert_eq!(bob.go("/admin").await.status, 404);
    ada.go("/admin/users?q=bob").await;
    assert!(
        ada.page.text.contains("bob@home.example") && !ada.page.text.contains("/admin/users/1"),
        "{}",
        ada.page.text
    );
    for path in
        ["/admin", "/admin/users/2", "/admin/users/2/plan", "/admin/plans", "/admin/plans/1", "/admin/logs?user=2"]
    {
        ada.go(path).await;
        assert_eq!(
            (ada.page.status, ada.page.path.as_str()),
            (200, path.split('?').next().unwrap()),
            "{}",
            ada.page.text
        );
        assert!(!ada.page.text.contains("Lunch"), "{path}: an admin sees no titles");
    }
    // Of a run an admin sees each step, and how it went; its owner also what it was about.
    ada.go("/admin/plans/1").await;
    assert!(ada.page.text.contains("Create: </span>busy") && ada.page.text.contains("✓ done"), "{}", ada.page.text);
    bob.go("/app/runs/1").await;
    assert!(bob.page.text.contains("<strong>Lunch</strong>") && bob.page.text.contains("✓ done"), "{}", bob.page.text);
    // A pause is silence, and its end is not.
    ada.go("/admin").await;
    ada.send("/admin/pause", &[]).await;
    assert!(ada.page.text.contains("Everything is paused."), "{}", ada.page.text);
    meet(&site, "bob@home.example", "Tea").await;
    bob.go("/app").await;
    assert!(bob.page.text.contains("Everything is paused"), "{}", bob.page.text);
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(titles(&site, "bob@globex.example").await.len(), 1);
    ada.send("/admin/resume", &[]).await;
    until("the second block", async || titles(&site, "bob@globex.example").await.len() == 2).await;
    // Rights come and go at once, and the last admin stays one.
    ada.go("/admin/users/2").await;
    ada.send("/admin/users/2/promote", &[]).await;
    assert_eq!(bob.go("/admin").await.status, 200);
    ada.send("/admin/users/2/demote", &[]).await;
    assert_eq!(bob.go("/admin").await.status, 404);
    ada.go("/admin/users/1").await;
    assert_eq!(ada.send("/admin/users/1/demote", &[]).await.status, 409);
    // A forced sign-in ends the session at once.
    ada.go("/admin/users/2").await;
    ada.send("/admin/users/2/force-reauth", &[]).await;
    assert_eq!(bob.go("/app").await.path, "/app/login");
    // Gone, with everything we made.
    ada.go("/admin/users/2/remove").await;
    ada.send("/admin/users/2/remove", &[]).await;
    until("bob is gone", async || site.app.store.users().await.unwrap().len() == 1).await;
    assert!(site.app.store.left_behind().await.unwrap().len() == 1, "his accounts were ended first, and that is told");
    ada.go("/admin").await;
    assert!(ada.page.text.contains("stay behind on a calendar of bob@home.example"), "{}", ada.page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_factory_reset_leaves_no_trace_and_begins_anew() {
    let (site, mut ada) = Site::ready().await;
    meet(&site, "ada@acme.example", "Kick-off").await;
    ada.connect("client", "ada@acme.example").await;
    until("the copy", async || titles(&site, "ada@home.example").await == ["Kick-off"]).await;
    // A copy to take away, without what would let anybody in.
    ada.go("/admin").await;
    let csrf = ada.page.hidden("csrf");
    let copy = ada.ask("POST", "/admin/export", Some(&[("csrf", csrf.as_str())])).await;
    assert!(copy.status == 200 && copy.text.starts_with("SQLite format 3"), "{}", copy.status);
    assert!(copy.headers["content-disposition"].starts_with("attachment; filename=\"busybridge-"));
    ada.go("/admin/reset").await;
    for wrong in ["", "reset", "RESET!", "ＲＥＳＥＴ"] {
        assert_eq!(ada.send("/admin/reset", &[("confirmation", wrong)]).await.status, 400, "{wrong}");
    }
    assert_eq!(titles(&site, "ada@home.example").await, ["Kick-off"]);
    let before = site.front.gate.token();
    assert!(before.is_none(), "used");
    ada.send("/admin/reset", &[("confirmation", "RESET")]).await;
    assert_eq!(ada.page.path, "/setup/unlock", "{}", ada.page.text);
    assert!(titles(&site, "ada@home.example").await.is_empty());
    assert_eq!(titles(&site, "ada@acme.example").await, ["Kick-off"]);
    assert!(site.app.store.users().await.unwrap().is_empty() && site.app.store.organization().await.unwrap().is_none());
    // And it can be set up again.
    let mut again = site.browser();
    again.set_up("bob@home.example").await;
}
