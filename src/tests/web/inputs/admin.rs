//! Rows 69–80: what admins' programs ask, and what is none of an admin's either. Row 94: the set-up that is done.

use serde_json::{Value, json};

use super::{Case, Facts, Who::*, case};

const SETTINGS: &str = "/api/admin/settings";

pub fn cases(facts: &Facts) -> Vec<Case> {
    let ask = |row, what: &str, method: &str, path: &str, body: Value| {
        case(row, what).by(Ada).send(method, path).json(body.to_string())
    };
    let reset = |what: &str, body: Value| ask(69, what, "POST", "/api/admin/factory-reset", body);
    let settings = |row, what: &str, body: Value| ask(row, what, "PUT", SETTINGS, body);
    // The word is asked for, and a young sign-in; a token between the two would only be carried along (C5).
    let mut all = vec![
        reset("nothing", json!({})).is(400, "confirmation_required"),
        reset("small letters", json!({"confirmation": "reset"})).is(400, "confirmation_required"),
        reset("a blank", json!({"confirmation": "RESET "})).is(400, "confirmation_required"),
        reset("wide letters", json!({"confirmation": "ＲＥＳＥＴ"})).is(400, "confirmation_required"),
        reset("no word", json!({"confirmation": true})).is(422, "invalid_type"),
        reset("a token", json!({"confirmation": "RESET", "token": "x"})).is(400, "unknown_field"),
        ask(71, "the last admin", "PUT", "/api/admin/users/1/admin", json!({"is_admin": false})).is(409, "last_admin"),
        case(71, "oneself").by(Ada).send("DELETE", "/api/admin/users/1").is(409, "self"),
        ask(71, "nobody", "PUT", "/api/admin/users/999/admin", json!({"is_admin": true})).is(404, "not_found"),
        ask(71, "a word for yes", "PUT", "/api/admin/users/2/admin", json!({"is_admin": "true"}))
            .is(422, "invalid_type"),
        ask(71, "a number for yes", "PUT", "/api/admin/users/2/admin", json!({"is_admin": 1})).is(422, "invalid_type"),
        case(73, "a calendar of somebody else")
            .by(Ada)
            .send("POST", format!("/api/admin/users/2/calendars/{}/disconnect", facts.others))
            .is(404, "not_found"),
        case(73, "a main calendar")
            .by(Ada)
            .send("POST", format!("/api/admin/users/2/calendars/{}/disconnect", facts.main))
            .is(409, "main_calendar"),
        settings(74, "a port of a word", json!({"smtp_port": "abc"})).is(422, "invalid_type"),
        settings(74, "fifty-one recipients", json!({"alert_emails": vec!["a@b.example"; 51]}))
            .is(422, "invalid_address"),
        settings(74, "10,001 recipients", json!({"alert_emails": vec!["a@b.example"; 10_001]}))
            .is(413, "body_too_large"),
        settings(74, "a recipient with more", json!({"alert_emails": ["a@b.example\r\nBcc: c@d.example"]}))
            .is(422, "invalid_address"),
        settings(75, "an id that is none", json!({"google_client_id": "12345"})).is(422, "credentials_rejected"),
        settings(75, "no secret", json!({"google_client_secret": ""})).is(422, "credentials_rejected"),
        settings(75, "a secret that Google does not know", json!({"google_client_secret": "not it"}))
            .is(422, "credentials_rejected"),
        settings(
            75,
            "an id that Google does not know",
            json!({"google_client_id": "nobody.apps.googleusercontent.com"}),
        )
        .is(422, "credentials_rejected"),
        settings(75, "two in one", json!({"google_client_id": "a b.apps.googleusercontent.com"}))
            .is(422, "credentials_rejected"),
        ask(76, "no mail server", "POST", "/api/admin/settings/test-email", json!({})).is(409, "no_mail_server"),
        case(78, "the head of an export").by(Ada).send("HEAD", "/api/admin/export").is(405, ""),
        case(80, "5 KB of filter")
            .by(Ada)
            .send("GET", format!("/api/admin/logs?action={}", "x".repeat(5_000)))
            .is(400, "invalid_query"),
        case(80, "a user that is none")
            .by(Ada)
            .send("GET", "/api/admin/logs?user=1%20OR%201=1")
            .is(400, "invalid_query"),
    ];
    for port in [0, 65_536, -1] {
        all.push(
            settings(74, "a port that is none", json!({"smtp_host": "mail.example", "smtp_port": port})).one_of(&[422]),
        );
    }
    for host in [
        "mail example",
        "http://mail.example/",
        "mail.example:25",
        "169.254.169.254",
        "2852039166",
        "0xA9FEA9FE",
        "0251.0376.0251.0376",
        "metadata.google.internal",
        "0.0.0.0",
        "255.255.255.255",
        "[::1]",
        "mail.example\r\nRCPT TO:<x>",
        "",
    ] {
        let body = json!({"smtp_host": host, "smtp_from_address": "b@home.example"});
        all.push(settings(74, host, body).is(422, "invalid_smtp"));
    }
    for from in ["nobody", "a@b.example\r\nBcc: evil@x.example", "a@b@c.example", "a@localhost", "<a@b.example>", ""] {
        let body = json!({"smtp_host": "mail.example", "smtp_from_address": from});
        all.push(settings(74, from, body).is(422, "invalid_smtp"));
    }
    for text in ["%25", "_", "%27%20OR%20%271%27=%271", "(a%2B)%2B%24", "%5C", "%00", "%F0%9F%98%80"] {
        let case = case(80, format!("the text {text}")).by(Ada).send("GET", format!("/api/admin/logs?action={text}"));
        all.push(case.is(200, ""));
    }
    for (method, path) in [
        ("POST", "/setup/step/1"),
        ("POST", "/setup/step/2"),
        ("POST", "/setup/step/5"),
        ("POST", "/setup/unlock"),
        ("POST", "//setup/step/2"),
        ("POST", "/%73etup/step/2"),
        ("POST", "/setup//step/2"),
        ("POST", "//setup/unlock"),
        ("GET", "//setup"),
        ("GET", "/%73etup"),
        ("GET", "/%73etup/sign-in"),
        ("GET", "//setup/unlock"),
    ] {
        // By the admin, in the browser that did the set-up a moment ago.
        let cookies = format!("__Host-session={}; __Host-browser={}", facts.ada.session, facts.unlocked);
        let case = case(94, "once more").by(Ada).send(method, path).with("cookie", cookies);
        let form = format!("csrf={}&client_id=x&client_secret=y", facts.ada.csrf);
        all.push(
            case.body("application/x-www-form-urlencoded", if method == "GET" { "".into() } else { form }).is(404, ""),
        );
    }
    all
}
