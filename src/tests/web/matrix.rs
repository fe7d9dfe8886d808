//! All routes × {anonymous, user A, user B, admin} × {own, foreign, missing}: who may what (reliability E1). A route that is missing
//! from the table fails.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Browser, Page, Site, api::Program, until};
use crate::{model::id::UserId, web};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Anybody,
    /// Nobody any more, once the set-up is done.
    SetUp,
    Person,
    Admin,
}

use Who::{Admin, Anybody, Person, SetUp};

const TABLE: &[(Who, &str)] = &[
    (Anybody, "GET /"),
    (Anybody, "GET /assets/{hash}/{name}"),
    (Anybody, "GET /health"),
    (Anybody, "GET /ready"),
    (Anybody, "GET /metrics"),
    (Anybody, "POST /api/webhooks/google-calendar"),
    (Anybody, "GET /api/openapi.json"),
    (Anybody, "GET /api/docs"),
    (Anybody, "GET /app/login"),
    (Anybody, "GET /auth/login"),
    (Anybody, "GET /auth/callback"),
    (Anybody, "POST /auth/logout"),
    (SetUp, "GET /setup"),
    (SetUp, "GET /setup/unlock"),
    (SetUp, "POST /setup/unlock"),
    (SetUp, "GET /setup/sign-in"),
    (SetUp, "POST /setup/step/{step}"),
    (Person, "GET /auth/connect-client"),
    (Person, "GET /auth/connect-client/callback"),
    (Person, "GET /auth/connect-personal"),
    (Person, "GET /auth/connect-personal/callback"),
    (Person, "GET /app"),
    (Person, "GET /app/welcome"),
    (Person, "POST /app/sync"),
    (Person, "POST /app/sync/full"),
    (Person, "GET /app/plan"),
    (Person, "POST /app/answer"),
    (Person, "GET /app/main"),
    (Person, "POST /app/main"),
    (Person, "GET /app/connect/{token}"),
    (Person, "POST /app/connect/{token}"),
    (Person, "GET /app/why"),
    (Person, "GET /app/where"),
    (Person, "GET /app/calendars/{id}"),
    (Person, "GET /app/calendars/{id}/preview"),
    (Person, "POST /app/calendars/{id}/begin"),
    (Person, "POST /app/calendars/{id}/pause"),
    (Person, "POST /app/calendars/{id}/resume"),
    (Person, "POST /app/calendars/{id}/sync"),
    (Person, "GET /app/calendars/{id}/disconnect"),
    (Person, "POST /app/calendars/{id}/disconnect"),
    (Person, "GET /app/settings"),
    (Person, "POST /app/settings/alerts"),
    (Person, "POST /app/settings/guests"),
    (Person, "POST /app/settings/colours"),
    (Person, "POST /app/settings/bring-back"),
    (Person, "GET /app/disconnect-all"),
    (Person, "POST /app/disconnect-all"),
    (Person, "GET /app/runs/{run}"),
    (Person, "POST /app/runs/{run}/undo"),
    (Person, "GET /app/logs"),
    (Person, "GET /api/me"),
    (Person, "PUT /api/me/main-calendar"),
    (Person, "GET /api/me/calendars"),
    (Person, "GET /api/me/alert-preferences"),
    (Person, "PUT /api/me/alert-preferences"),
    (Person, "GET /api/accounts"),
    (Person, "GET /api/client-calendars"),
    (Person, "POST /api/client-calendars"),
    (Person, "DELETE /api/client-calendars/{id}"),
    (Person, "POST /api/client-calendars/{id}/sync"),
    (Person, "POST /api/client-calendars/{id}/begin"),
    (Person, "GET /api/client-calendars/{id}/status"),
    (Person, "GET /api/personal-calendars"),
    (Person, "POST /api/personal-calendars"),
    (Person, "DELETE /api/personal-calendars/{id}"),
    (Person, "POST /api/personal-calendars/{id}/sync"),
    (Person, "POST /api/personal-calendars/{id}/begin"),
    (Person, "GET /api/personal-calendars/{id}/status"),
    (Person, "GET /api/sync/status"),
    (Person, "GET /api/sync/log"),
    (Person, "POST /api/sync/full"),
    (Person, "GET /api/plan"),
    (Person, "POST /api/plan/answer"),
    (Person, "GET /api/why"),
    (Person, "GET /api/runs"),
    (Person, "GET /api/runs/{run}"),
    (Person, "POST /api/runs/{run}/undo"),
    (Admin, "GET /admin"),
    (Admin, "POST /admin/pause"),
    (Admin, "POST /admin/resume"),
    (Admin, "POST /admin/cleanup"),
    (Admin, "POST /admin/export"),
    (Admin, "GET /admin/users"),
    (Admin, "GET /admin/users/{id}"),
    (Admin, "GET /admin/users/{id}/plan"),
    (Admin, "POST /admin/users/{id}/approve"),
    (Admin, "POST /admin/users/{id}/sync"),
    (Admin, "POST /admin/users/{id}/pause"),
    (Admin, "POST /admin/users/{id}/resume"),
    (Admin, "POST /admin/users/{id}/force-reauth"),
    (Admin, "POST /admin/users/{id}/promote"),
    (Admin, "POST /admin/users/{id}/demote"),
    (Admin, "GET /admin/users/{id}/remove"),
    (Admin, "POST /admin/users/{id}/remove"),
    (Admin, "POST /admin/users/{id}/calendars/{calendar}/disconnect"),
    (Admin, "GET /admin/plans"),
    (Admin, "GET /admin/plans/{run}"),
    (Admin, "GET /admin/logs"),
    (Admin, "GET /admin/settings"),
    (Admin, "POST /admin/settings/credentials"),
    (Admin, "POST /admin/settings/mail"),
    (Admin, "GET /admin/reset"),
    (Admin, "POST /admin/reset"),
    (Admin, "GET /api/admin/health"),
    (Admin, "GET /api/admin/users"),
    (Admin, "GET /api/admin/users/{id}"),
    (Admin, "DELETE /api/admin/users/{id}"),
    (Admin, "POST /api/admin/users/{id}/sync"),
    (Admin, "POST /api/admin/users/{id}/force-reauth"),
    (Admin, "PUT /api/admin/users/{id}/admin"),
    (Admin, "GET /api/admin/users/{id}/plan"),
    (Admin, "POST /api/admin/users/{id}/approve"),
    (Admin, "POST /api/admin/users/{id}/calendars/{calendar}/disconnect"),
    (Admin, "GET /api/admin/logs"),
    (Admin, "GET /api/admin/plans"),
    (Admin, "POST /api/admin/sync/pause"),
    (Admin, "POST /api/admin/sync/resume"),
    (Admin, "POST /api/admin/cleanup"),
    (Admin, "GET /api/admin/settings"),
    (Admin, "PUT /api/admin/settings"),
    (Admin, "POST /api/admin/settings/test-email"),
    (Admin, "POST /api/admin/factory-reset"),
    (Admin, "GET /api/admin/export"),
];

/// What stands in addresses: of user A, and what is nobody's.
struct Ids {
    client: i64,
    personal: i64,
    token: i64,
    run: i64,
    user: i64,
}

impl Ids {
    fn fill(&self, path: &str) -> String {
        let id = match path {
            path if path.contains("/admin/") => self.user,
            path if path.contains("personal") => self.personal,
            _ => self.client,
        };
        path.replace("{id}", &id.to_string())
            .replace("{calendar}", &self.client.to_string())
            .replace("{token}", &self.token.to_string())
            .replace("{run}", &self.run.to_string())
            .replace("{step}", "2")
            .replace("{hash}/{name}", "x/y")
    }
}

/// One request as pages or programs make it, with whatever proof this browser has; no fields.
async fn ask(browser: &mut Browser, csrf: &str, method: &str, path: &str) -> Page {
    if path.starts_with("/api/") {
        let mut program = Program::of(browser).await;
        if program.csrf.is_empty() {
            program.csrf = csrf.to_owned();
        }
        let body = (method == "PUT" || method == "POST").then(|| Value::Object(Default::default()));
        let (status, text) = program.ask(method, path, body).await;
        return Page { status, path: path.into(), text: text.to_string(), ..Page::default() };
    }
    let form = [("csrf", csrf)];
    browser.ask(method, path, (method == "POST").then_some(&form[..])).await
}

/// An answer without what differs from one request to the next.
fn bare(page: &Page) -> (u16, String) {
    let text = page.text.split("request").map(|part| part.chars().skip(40).collect::<String>()).collect::<String>();
    (page.status, text)
}

async fn csrf_of(browser: &mut Browser) -> String {
    browser.go("/app").await.hidden("csrf")
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reaches_what_is_not_theirs() {
    let (site, mut admin) = Site::ready().await;
    let listed: BTreeSet<String> = web::listed().into_iter().map(|(method, path)| format!("{method} {path}")).collect();
    let known: BTreeSet<String> = TABLE.iter().map(|(_, route)| (*route).to_owned()).collect();
    assert_eq!(listed.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the table");
    assert_eq!(known.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "in the table alone");
    // User A has calendars and a run; user B has nothing; both are no admins.
    let mut a = site.browser();
    a.sign_in("bob@home.example").await;
    super::journeys::meet(&site, "bob@globex.example", "Kick-off").await;
    a.connect("client", "bob@globex.example").await;
    a.connect("personal", "ada@gmail.example").await;
    let user = UserId(2);
    until("a run", async || !site.app.store.runs(user, 1).await.unwrap().is_empty()).await;
    let mut b = site.browser();
    b.sign_in("cyd@home.example").await;
    let rows = site.app.store.calendars_of(user).await.unwrap();
    let own = Ids {
        client: rows[1].number,
        personal: rows[2].number,
        token: rows[1].token.0,
        run: site.app.store.runs(user, 1).await.unwrap()[0].number,
        user: user.0,
    };
    let missing = Ids { client: 999, personal: 999, token: 999, run: 999, user: 999 };
    let mut anonymous = site.browser();
    let (of_a, of_b, of_admin) = (csrf_of(&mut a).await, csrf_of(&mut b).await, csrf_of(&mut admin).await);
    let before = (site.app.store.figures().await.unwrap(), site.app.store.calendars_of(user).await.unwrap());
    let mut tried = 0;
    for (who, route) in TABLE {
        let (method, template) = route.split_once(' ').unwrap();
        let (api, get) = (template.starts_with("/api/"), method == "GET");
        let (path, lost) = (own.fill(template), missing.fill(template));
        let named = path != lost;
        // Without a session.
        let page = ask(&mut anonymous, "", method, &path).await;
        let expected = match who {
            Anybody => None,
            SetUp if get => Some(303),
            SetUp => Some(404),
            _ if api => Some(401),
            _ if get => Some(303),
            // A form that proves nothing is refused before anything else.
            _ => Some(403),
        };
        assert!(expected.is_none_or(|status| page.status == status), "{route}: {} {}", page.status, page.text);
        if expected == Some(303) && *who != SetUp {
            assert!(page.headers["location"].starts_with("/app/login"), "{route}: {:?}", page.headers);
        }
        tried += 1;
        // Another user, with a proof of their own: as if it were not there.
        if *who == Person && named {
            let foreign = ask(&mut b, &of_b, method, &path).await;
            let nothing = ask(&mut b, &of_b, method, &lost).await;
            assert_eq!(foreign.status, 404, "{route}: {}", foreign.text);
            assert_eq!(bare(&foreign), bare(&nothing), "{route}");
            tried += 2;
        }
        if *who == Admin {
            let refused = ask(&mut a, &of_a, method, &path).await;
            assert_eq!(refused.status, if api { 403 } else { 404 }, "{route}: {}", refused.text);
            tried += 1;
            if named {
                let nothing = ask(&mut admin, &of_admin, method, &lost).await;
                assert_eq!(nothing.status, 404, "{route}: {}", nothing.text);
                tried += 1;
            }
        }
        // Its owner, looking.
        if get && matches!(who, Person | Admin) && !template.contains("callback") && !template.ends_with("/export") {
            let (browser, proof) = if *who == Admin { (&mut admin, &of_admin) } else { (&mut a, &of_a) };
            let page = ask(browser, proof, method, &path).await;
            let fine = [200, 303].contains(&page.status) || ["/app/why", "/app/where", "/api/why"].contains(&template);
            assert!(fine, "{route}: {} {}", page.status, page.text);
            tried += 1;
        }
    }
    let after = (site.app.store.figures().await.unwrap(), site.app.store.calendars_of(user).await.unwrap());
    assert_eq!((after.0.users, after.0.calendars, after.0.ours), (before.0.users, before.0.calendars, before.0.ours));
    assert_eq!(
        after.1.iter().map(|row| (row.number, row.standing, row.paused)).collect::<Vec<_>>(),
        before.1.iter().map(|row| (row.number, row.standing, row.paused)).collect::<Vec<_>>()
    );
    assert!(tried > 250, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_are_none_name_nothing() {
    let (_site, ada) = Site::ready().await;
    let ada = Program::of(&ada).await;
    for id in
        ["0", "-1", "99999999999999999999", "1.0", "0x1", "%EF%BC%91", "1%20OR%201=1", "1;DROP%20TABLE%20users", "%27"]
    {
        for (method, path) in [
            ("GET", format!("/api/client-calendars/{id}/status")),
            ("DELETE", format!("/api/client-calendars/{id}")),
            ("POST", format!("/api/personal-calendars/{id}/sync")),
            ("GET", format!("/api/admin/users/{id}")),
            ("GET", format!("/api/runs/{id}")),
        ] {
            assert_eq!(ada.ask(method, &path, None).await.0, 404, "{method} {path}");
        }
    }
    // A main calendar's number is neither a client's nor a personal one's.
    assert_eq!(ada.ask("GET", "/api/client-calendars/1/status", None).await.0, 404);
    assert_eq!(ada.ask("DELETE", "/api/personal-calendars/1", None).await.0, 404);
}
