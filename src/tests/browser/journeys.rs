//! Ways through the pages in a browser, as people go them. Each ends with a browser that has nothing to complain about: no violation
//! of the policy, no error, no request that left the site.

use thirtyfour::Key;

use super::{Chrome, until};
use crate::{
    emulator::{
        oauth::{DEMO_CLIENT, DEMO_SECRET},
        with,
    },
    model::id::UserId,
    tests::web::{
        Browser, Site,
        journeys::{meet, titles},
    },
};

/// Chooses an account on Google's page.
async fn choose_account(chrome: &Chrome, email: &str) {
    chrome.reads("Choose an account").await;
    let name = email.split('@').next().unwrap();
    chrome.click(&format!("{name} <{email}>")).await;
}

/// Signs in from the first page.
async fn sign_in(chrome: &Chrome, site: &Site, email: &str) {
    chrome.go(&site.url).await;
    chrome.click("Sign in with Google").await;
    choose_account(chrome, email).await;
    chrome.reads("Client calendars").await;
}

/// Connects the calendar of an account, up to what would change.
async fn connect(chrome: &Chrome, kind: &str, email: &str) {
    chrome.click(&format!("Connect a {kind} calendar")).await;
    choose_account(chrome, email).await;
    chrome.reads(&format!("Which calendar of {email}?")).await;
    chrome.click("Connect").await;
    chrome.reads("What will change with").await;
}

/// The browser has nothing to complain about.
async fn content(chrome: Chrome, site: &Site) {
    let wrong = chrome.complaints(&site.url, &site.world.origin()).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    chrome.quit().await;
}

/// What a user calls the calendar of this account, and its number.
async fn calendar(site: &Site, user: i64, account: &str) -> (String, i64) {
    let rows = site.app.store.calendars_of(UserId(user)).await.unwrap();
    let row = rows.into_iter().find(|row| row.account == account).unwrap();
    (row.name, row.number)
}

/// Lets somebody meet fifteen times at a client, and the client call all of that off while they look away.
async fn call_off_fifteen(site: &Site, user: i64, person: &mut Browser, client: &str, home: &str) {
    for n in 1..=15 {
        meet(site, client, &format!("Meeting {n}")).await;
    }
    person.connect("client", client).await;
    until("the copies", async || titles(site, home).await.len() == 15).await;
    let (_, number) = calendar(site, user, client).await;
    person.go(&format!("/app/calendars/{number}")).await;
    person.send(&format!("/app/calendars/{number}/pause"), &[]).await;
    let events: Vec<String> =
        with(&site.world.core, |core| core.world.calendars[client].events.keys().map(ToString::to_string).collect());
    let http = reqwest::Client::builder().build().unwrap();
    for event in events {
        let url = format!("{}/calendar/v3/calendars/primary/events/{event}", site.world.origin());
        let request = http.delete(url).header("authorization", format!("Bearer dev:{client}"));
        assert_eq!(request.send().await.unwrap().status(), 204);
    }
    person.send(&format!("/app/calendars/{number}/resume"), &[]).await;
}

/// Ticks that have ended so far.
fn ticks(site: &Site) -> u64 {
    let text = site.front.desk.metrics.text();
    let counts = text.lines().filter(|line| line.starts_with("busybridge_ticks_total"));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_visit_through_the_set_up_to_the_first_synced_event() {
    let Some(chrome) = Chrome::start("from the first visit to the first synced event").await else { return };
    let site = Site::fresh().await;
    meet(&site, "ada@acme.example", "Kick-off").await;
    chrome.go(&site.url).await;
    chrome.reads("Only somebody who can read its log may set it up").await;
    chrome.fill("Setup token", "WRONG").await;
    chrome.click("Go on").await;
    chrome.reads("This is not the token").await;
    let token = site.front.gate.token().unwrap().reveal().clone();
    chrome.fill("Setup token", &token).await;
    chrome.click("Go on").await;
    // One.
    chrome.reads("What you need").await;
    chrome.click("Get started").await;
    // Two.
    chrome.reads("Test and go on").await;
    let addresses =
        chrome.run("return [...document.querySelectorAll('input[readonly]')].map((one) => one.value)").await;
    let wanted = ["callback", "connect-client/callback", "connect-personal/callback"]
        .map(|end| format!("{}/auth/{end}", site.url));
    assert_eq!(addresses, serde_json::json!(wanted));
    chrome.fill("Client id", DEMO_CLIENT).await;
    chrome.fill("Client secret", "not-this-one").await;
    chrome.click("Test and go on").await;
    chrome.reads("Google does not know this client id with this secret").await;
    chrome.fill("Client secret", DEMO_SECRET).await;
    chrome.click("Test and go on").await;
    // Three, by way of Google.
    chrome.click("Sign in with Google").await;
    choose_account(&chrome, "ada@home.example").await;
    chrome.reads("This will restrict the service to accounts of home.example").await;
    chrome.click("Confirm and go on").await;
    // Four.
    chrome.reads("BusyBridge tells by mail").await;
    chrome.click("Skip").await;
    // Five: the way on opens when the key is said to be kept.
    chrome.reads("The encryption key").await;
    let shown = chrome.run("return document.getElementById('key').value").await;
    assert!(shown.as_str().is_some_and(|key| key.len() >= 40), "{shown}");
    assert_eq!(chrome.run("return document.getElementById('finish').disabled").await, true);
    chrome.tick("I have saved this encryption key").await;
    chrome.click("Complete the set-up").await;
    // Six.
    chrome.reads("BusyBridge is set up").await;
    chrome.click("Go to the dashboard").await;
    chrome.reads("You have not connected a client's calendar").await;
    assert!(chrome.text().await.contains("ada@home.example"), "the main calendar is chosen already");
    connect(&chrome, "client", "ada@acme.example").await;
    let preview = chrome.text().await;
    assert!(preview.contains("Nothing has been written yet") && preview.contains("Kick-off"), "{preview}");
    assert!(titles(&site, "ada@home.example").await.is_empty(), "nothing is written before its person begins");
    chrome.click("Begin").await;
    until("the copy", async || titles(&site, "ada@home.example").await == ["Kick-off"]).await;
    chrome.comes_to_read("Everything is in sync.").await;
    // The set-up is closed for good.
    chrome.go(&format!("{}/setup", site.url)).await;
    assert_eq!(chrome.path().await, "/app");
    content(chrome, &site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_is_connected_and_left_again_without_any_script() {
    let Some(chrome) = Chrome::without_scripts("connecting and disconnecting").await else { return };
    let (site, _) = Site::ready().await;
    meet(&site, "ada@acme.example", "Kick-off").await;
    sign_in(&chrome, &site, "ada@home.example").await;
    connect(&chrome, "client", "ada@acme.example").await;
    chrome.click("Begin").await;
    until("the copy", async || titles(&site, "ada@home.example").await == ["Kick-off"]).await;
    chrome.comes_to_read("Everything is in sync.").await;
    connect(&chrome, "client", "ada@globex.example").await;
    chrome.click("Begin").await;
    until("the block", async || titles(&site, "ada@globex.example").await == ["[BusyBridge] Busy"]).await;
    chrome.comes_to_read("Everything is in sync.").await;
    // What leaving means is said in numbers first, and nothing happens by looking at it.
    let (home, _) = calendar(&site, 1, "ada@home.example").await;
    let (acme, _) = calendar(&site, 1, "ada@acme.example").await;
    let (globex, _) = calendar(&site, 1, "ada@globex.example").await;
    chrome.click(&format!("Disconnect {acme}")).await;
    chrome.reads(&format!("Disconnect {acme}?")).await;
    let page = chrome.text().await;
    for sentence in [
        format!("1 event will leave {home}."),
        format!("1 event will leave {globex}."),
        format!("Nothing changes in {acme} itself."),
    ] {
        assert!(page.contains(&sentence), "{sentence} is not in {page}");
    }
    assert_eq!(titles(&site, "ada@home.example").await, ["Kick-off"]);
    chrome.click(&format!("Disconnect {acme}")).await;
    chrome.reads("It is being disconnected.").await;
    until("what was ours leaves", async || {
        titles(&site, "ada@home.example").await.is_empty() && titles(&site, "ada@globex.example").await.is_empty()
    })
    .await;
    assert_eq!(titles(&site, "ada@acme.example").await, ["Kick-off"], "what was theirs stays");
    chrome.comes_to_read("Everything is in sync.").await;
    let page = chrome.text().await;
    assert!(!page.contains("ada@acme.example") && page.contains("ada@globex.example"), "{page}");
    content(chrome, &site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_that_are_held_are_approved_by_their_owner_and_by_an_admin() {
    let Some(chrome) = Chrome::start("approving held removals").await else { return };
    let (site, mut ada) = Site::ready().await;
    call_off_fifteen(&site, 1, &mut ada, "ada@acme.example", "ada@home.example").await;
    let mut bob = site.browser();
    bob.sign_in("bob@home.example").await;
    call_off_fifteen(&site, 2, &mut bob, "bob@globex.example", "bob@home.example").await;
    // The owner.
    sign_in(&chrome, &site, "ada@home.example").await;
    chrome.comes_to_read("15 removals wait for your word.").await;
    let title = chrome.driver.title().await.unwrap();
    assert_eq!(title, "‖ 15 removals wait for your word – Dashboard – BusyBridge");
    chrome.click("Look at them").await;
    chrome.reads("A dry run: nothing has been changed.").await;
    assert_eq!(titles(&site, "ada@home.example").await.len(), 15, "looking removes nothing");
    chrome.click("Back").await;
    chrome.click("Remove these 15").await;
    chrome.reads("Noted. It is done now.").await;
    until("the removals", async || titles(&site, "ada@home.example").await.is_empty()).await;
    chrome.comes_to_read("Everything is in sync.").await;
    assert_eq!(titles(&site, "bob@home.example").await.len(), 15, "a word counts for one person only");
    // An admin, for somebody else, of whose meetings they learn no more than how many.
    chrome.click("Status").await;
    chrome.comes_to_read("15 removals of bob@home.example wait for approval.").await;
    chrome.click("Look at them").await;
    chrome.reads("What would change for bob@home.example").await;
    let page = chrome.text().await;
    assert!(!page.contains("Meeting 1"), "{page}");
    chrome.click("Approve these 15 removals").await;
    chrome.reads("Approved. It is done now.").await;
    until("the removals", async || titles(&site, "bob@home.example").await.is_empty()).await;
    content(chrome, &site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_signed_out_leaves_nothing_behind_to_go_back_to() {
    let Some(chrome) = Chrome::start("signing out").await else { return };
    let (site, _) = Site::ready().await;
    sign_in(&chrome, &site, "ada@home.example").await;
    chrome.click("Settings").await;
    chrome.reads("Tell me by mail when").await;
    assert!(chrome.driver.get_named_cookie("__Host-session").await.is_ok());
    chrome.click("Sign out").await;
    let outside = async || {
        chrome.reads("Only accounts of home.example can sign in.").await;
        assert_eq!(chrome.path().await, "/app/login");
        let page = chrome.text().await;
        assert!(!page.contains("ada@home.example") && !page.contains("Tell me by mail"), "{page}");
        assert!(chrome.driver.get_named_cookie("__Host-session").await.is_err());
    };
    outside().await;
    // The way back through the history, twice, and looking anew.
    for _ in 0..2 {
        chrome.driver.back().await.unwrap();
        outside().await;
    }
    chrome.driver.refresh().await.unwrap();
    outside().await;
    chrome.go(&format!("{}/app/settings", site.url)).await;
    outside().await;
    content(chrome, &site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_pauses_and_resumes_everything_with_the_keyboard_alone() {
    let Some(chrome) = Chrome::start("an admin's pause, by keyboard").await else { return };
    let (site, mut ada) = Site::ready().await;
    meet(&site, "ada@acme.example", "Kick-off").await;
    ada.connect("client", "ada@acme.example").await;
    until("the copy", async || titles(&site, "ada@home.example").await == ["Kick-off"]).await;
    let enter = async |words: &str| {
        chrome.tab_to(words).await;
        chrome.press(Key::Enter).await;
    };
    chrome.go(&site.url).await;
    chrome.reads("Sign in with Google").await;
    // The first stop leads past what stands around every page.
    for first in ["Sign in with Google", "Check now"] {
        chrome.press(Key::Tab).await;
        assert_eq!(chrome.focus().await, "To the content");
        chrome.press(Key::Enter).await;
        chrome.press(Key::Tab).await;
        assert_eq!(chrome.focus().await, first);
        if first == "Sign in with Google" {
            chrome.press(Key::Enter).await;
            chrome.reads("Choose an account").await;
            enter("ada <ada@home.example>").await;
            chrome.reads("Client calendars").await;
        }
    }
    enter("Status").await;
    chrome.reads("Pause everything").await;
    enter("Pause everything").await;
    chrome.reads("Everything is paused.").await;
    // Silence: a check that somebody asks for is made, and neither reads nor writes.
    meet(&site, "ada@acme.example", "Review").await;
    enter("Dashboard").await;
    chrome.reads("Nothing is read or written until it is resumed.").await;
    let before = ticks(&site);
    enter("Check now").await;
    until("the check", async || ticks(&site) > before).await;
    assert_eq!(titles(&site, "ada@home.example").await, ["Kick-off"]);
    enter("Status").await;
    chrome.reads("Resume everything").await;
    enter("Resume everything").await;
    chrome.reads("Pause everything").await;
    until("the second copy", async || titles(&site, "ada@home.example").await == ["Kick-off", "Review"]).await;
    enter("Sign out").await;
    chrome.reads("Only accounts of home.example can sign in.").await;
    content(chrome, &site).await;
}
