//! The JSON API: what it gives, what it takes, and what it refuses.

use serde_json::{Value, json};

use super::{Browser, Site, until};

/// A program that acts for the person of a browser.
pub struct Program<'a> {
    pub browser: &'a Browser,
    pub csrf: String,
    http: reqwest::Client,
}

impl<'a> Program<'a> {
    pub async fn of(browser: &'a Browser) -> Self {
        // A connection that the server is about to close is not used again.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        super::schema::learn(&browser.url).await;
        let mut program = Program { browser, csrf: String::new(), http };
        let (status, me) = program.ask("GET", "/api/me", None).await;
        if status == 200 {
            program.csrf = me["csrf_token"].as_str().unwrap().to_owned();
        }
        program
    }

    /// A request as it should be.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let cookies: Vec<String> = self.browser.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.browser.url));
        let request = if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) };
        if self.csrf.is_empty() { request } else { request.header("x-csrf-token", &self.csrf) }
    }

    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let (status, told) = answer(request).await;
        super::schema::check(method, path, status, &told);
        (status, told)
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    for (name, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-store")] {
        assert_eq!(answer.headers()[name], value);
    }
    assert!(answer.headers().contains_key("content-security-policy"));
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_connects_looks_and_takes_back() {
    let (site, mut ada) = Site::ready().await;
    super::journeys::meet(&site, "ada@acme.example", "Kick-off").await;
    ada.account = "ada@acme.example".into();
    ada.go("/auth/connect-client").await;
    let ada = Program::of(&ada).await;
    let (_, accounts) = ada.ask("GET", "/api/accounts", None).await;
    let token = accounts.as_array().unwrap().iter().find(|one| one["kind"] == "client").unwrap()["id"].clone();
    let (_, offered) = ada.ask("GET", &format!("/api/me/calendars?token_id={token}"), None).await;
    assert_eq!((&offered[0]["id"], &offered[0]["writable"]), (&json!("ada@acme.example"), &json!(true)));
    let body = json!({"token_id": token, "calendar_id": "ada@acme.example"});
    let (status, acme) = ada.ask("POST", "/api/client-calendars", Some(body.clone())).await;
    assert_eq!((status, &acme["standing"]), (201, &json!("offered")), "{acme}");
    assert_eq!(code(&ada.ask("POST", "/api/client-calendars", Some(body)).await), (409, "already_connected"));
    let path = format!("/api/client-calendars/{}", acme["id"]);
    assert_eq!(code(&ada.ask("POST", &format!("{path}/sync"), None).await), (409, "not_begun"));
    assert_eq!(ada.ask("POST", &format!("{path}/begin"), None).await.0, 202);
    until("in sync", async || {
        let (_, status) = ada.ask("GET", "/api/sync/status", None).await;
        status["calendars"][0]["events"] == 1 && status["running"] == false
    })
    .await;
    let (_, plan) = ada.ask("GET", "/api/plan", None).await;
    assert!(
        plan["summary"].as_str().unwrap().starts_with("In sync.") && !plan.to_string().contains("Kick-off"),
        "{plan}"
    );
    let (_, runs) = ada.ask("GET", "/api/runs", None).await;
    let run = format!("/api/runs/{}", runs[0]["id"]);
    let (_, told) = ada.ask("GET", &run, None).await;
    assert_eq!((&told["changes"], &told["undo"]["changes"]), (&json!(1), &json!(1)), "{told}");
    let (_, undone) = ada.ask("POST", &format!("{run}/undo"), None).await;
    assert_eq!(undone, json!({"done": 1, "failed": 0, "left_alone": 0}));
    assert_eq!(ada.ask("POST", &format!("{path}/sync"), None).await.0, 202);
    assert_eq!(code(&ada.ask("POST", &format!("{path}/sync"), None).await), (429, "too_many_requests"));
    let (_, log) = ada.ask("GET", "/api/sync/log?status=success&limit=1", None).await;
    assert!(log["lines"].as_array().unwrap().len() == 1 && log["older"].is_i64() || log["older"].is_null(), "{log}");
    assert_eq!(ada.ask("DELETE", &path, None).await.0, 202);
    until("it is left", async || ada.ask("GET", &format!("{path}/status"), None).await.0 == 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_program_sees_no_titles_and_changes_settings() {
    let (site, ada) = Site::ready().await;
    let ada = Program::of(&ada).await;
    let mut bob = site.browser();
    bob.sign_in("bob@home.example").await;
    let (_, health) = ada.ask("GET", "/api/admin/health", None).await;
    assert_eq!(
        (&health["status"], &health["users"], &health["paused"]),
        (&json!("ok"), &json!(2), &json!(false)),
        "{health}"
    );
    let (_, users) = ada.ask("GET", "/api/admin/users", None).await;
    assert_eq!(users.as_array().unwrap().len(), 2);
    assert_eq!(ada.ask("POST", "/api/admin/sync/pause", None).await.1["paused"], true);
    assert_eq!(ada.ask("POST", "/api/admin/sync/pause", None).await.1["paused"], true);
    assert_eq!(ada.ask("POST", "/api/admin/sync/resume", None).await.1["paused"], false);
    let settings = json!({"smtp_host": "mail.example", "smtp_username": "u", "smtp_password": "hush", "smtp_from_address": "b@home.example"});
    let (status, told) = ada.ask("PUT", "/api/admin/settings", Some(settings)).await;
    assert_eq!((status, &told["smtp_password"], &told["smtp_port"]), (200, &json!("********"), &json!(587)), "{told}");
    let (_, told) =
        ada.ask("PUT", "/api/admin/settings", Some(json!({"smtp_password": "********", "smtp_port": 465}))).await;
    assert_eq!((&told["smtp_password"], &told["smtp_port"]), (&json!("********"), &json!(465)));
    assert_eq!(site.app.store.smtp().await.unwrap().unwrap().password.unwrap().reveal(), "hush");
    for (body, field) in [
        (json!({"smtp_port": 0}), "smtp_port"),
        (json!({"smtp_host": "http://x/"}), "smtp_host"),
        (json!({"smtp_from_address": "a@b.example\r\nBcc: evil@x"}), "smtp_from_address"),
        (json!({"alert_emails": ["nobody"]}), "alert_emails"),
        (json!({"google_client_id": "12345"}), "google_client_id"),
        (json!({"google_client_id": "nobody.apps.googleusercontent.com"}), "google_client_id"),
    ] {
        let refused = ada.ask("PUT", "/api/admin/settings", Some(body.clone())).await;
        assert_eq!((refused.0, &refused.1["error"]["field"]), (422, &json!(field)), "{body} {refused:?}");
    }
    assert_eq!(ada.ask("PUT", "/api/admin/users/2/admin", Some(json!({"is_admin": true}))).await.1["is_admin"], true);
    assert_eq!(ada.ask("PUT", "/api/admin/users/2/admin", Some(json!({"is_admin": false}))).await.1["is_admin"], false);
    assert_eq!(
        code(&ada.ask("PUT", "/api/admin/users/1/admin", Some(json!({"is_admin": false}))).await),
        (409, "last_admin")
    );
    assert_eq!(code(&ada.ask("DELETE", "/api/admin/users/1", None).await), (409, "self"));
    let refused = ada.ask("POST", "/api/admin/factory-reset", Some(json!({}))).await;
    assert_eq!(code(&refused), (400, "confirmation_required"));
    assert_eq!(ada.ask("DELETE", "/api/admin/users/2", None).await.0, 202);
    until("bob is gone", async || ada.ask("GET", "/api/admin/users/2", None).await.0 == 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_every_path_of_the_specification() {
    let (_site, ada) = Site::ready().await;
    let ada = Program::of(&ada).await;
    let (status, document) = ada.ask("GET", "/api/openapi.json", None).await;
    assert_eq!(
        (status, document["openapi"].as_str().unwrap().starts_with("3.1")),
        (200, true),
        "{}",
        document["openapi"]
    );
    for line in "GET /api/me|PUT /api/me/main-calendar|GET /api/me/calendars|GET /api/me/alert-preferences\
        |PUT /api/me/alert-preferences|GET /api/client-calendars|POST /api/client-calendars|DELETE /api/client-calendars/{id}\
        |POST /api/client-calendars/{id}/sync|GET /api/client-calendars/{id}/status|GET /api/personal-calendars\
        |POST /api/personal-calendars|DELETE /api/personal-calendars/{id}|POST /api/personal-calendars/{id}/sync\
        |GET /api/personal-calendars/{id}/status|GET /api/sync/status|GET /api/sync/log|POST /api/sync/full\
        |GET /api/admin/health|GET /api/admin/users|GET /api/admin/users/{id}|POST /api/admin/users/{id}/sync\
        |POST /api/admin/users/{id}/force-reauth|DELETE /api/admin/users/{id}|PUT /api/admin/users/{id}/admin\
        |POST /api/admin/users/{id}/calendars/{calendar}/disconnect|GET /api/admin/logs|POST /api/admin/sync/pause\
        |POST /api/admin/sync/resume|POST /api/admin/cleanup|GET /api/admin/settings|PUT /api/admin/settings\
        |POST /api/admin/settings/test-email|POST /api/admin/factory-reset|GET /api/admin/export"
        .split('|')
    {
        let (method, path) = line.trim().split_once(' ').unwrap();
        let operation = &document["paths"][path][method.to_lowercase()];
        assert!(operation["summary"].is_string(), "{line}");
    }
    let page = reqwest::get(format!("{}/api/docs", ada.browser.url)).await.unwrap().text().await.unwrap();
    assert!(page.contains("alert-preferences") && page.contains("WhichCalendar"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_understood_strictly() {
    let (_site, ada) = Site::ready().await;
    let ada = Program::of(&ada).await;
    let path = "/api/me/main-calendar";
    let good = r#"{"calendar_id":"ada@home.example"}"#;
    let long = format!(r#"{{"calendar_id":"{}"}}"#, "x".repeat(60_000));
    let huge = format!(r#"{{"calendar_id":"{}"}}"#, "x".repeat(65_537));
    let deep = "[".repeat(10_000);
    let cases: [(&[u8], &str, u16, &str); 16] = [
        (good.as_bytes(), "application/json", 200, ""),
        (br#"{"calendar_id":"#, "application/json", 400, "invalid_json"),
        (b"", "application/json", 400, "invalid_json"),
        (good.as_bytes(), "text/plain", 415, "unsupported_media_type"),
        (good.as_bytes(), "", 415, "unsupported_media_type"),
        (good.as_bytes(), "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (deep.as_bytes(), "application/json", 400, "invalid_json"),
        (br#"{"calendar_id":"a","calendar_id":"b"}"#, "application/json", 400, "invalid_json"),
        (br#"{"calendar_id":"a","is_admin":true}"#, "application/json", 400, "unknown_field"),
        (br#"{"calendar_id":5}"#, "application/json", 422, "invalid_type"),
        (br#"{}"#, "application/json", 422, "invalid_type"),
        (b"null", "application/json", 400, "invalid_type"),
        (b"\"x\"", "application/json", 400, "invalid_type"),
        (b"{\"calendar_id\":\"\xff\"}", "application/json", 400, "invalid_json"),
        (br#"{"calendar_id":"\u0000"}"#, "application/json", 422, "invalid_text"),
        (br#"{"calendar_id":"\ud800"}"#, "application/json", 400, "invalid_json"),
    ];
    for (body, kind, status, word) in cases {
        let mut request = ada.request("PUT", path).body(body.to_vec());
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        let refused = answer(request).await;
        assert_eq!(
            code(&refused),
            (status, word),
            "{} {refused:?}",
            String::from_utf8_lossy(&body[..body.len().min(80)])
        );
    }
    // Who sends too much may find the connection closed before the answer is read.
    let refused = ada.request("PUT", path).header("content-type", "application/json").body(huge).send().await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 413));
    let refused = ada.request("PUT", path).header("content-type", "application/json").body(long);
    assert_eq!(code(&answer(refused).await), (422, "too_long"));
    for calendar in ["", "nobody@x.example", "primary\n", "../../etc/passwd"] {
        let refused = ada.ask("PUT", path, Some(json!({"calendar_id": calendar}))).await;
        assert_eq!(code(&refused), (422, "calendar_not_available"), "{calendar}");
    }
}
