//! Rows 55–67: what people's programs ask.

use serde_json::json;

use super::{Case, Facts, Who::*, case};

const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "99999999999999999999",
    "9223372036854775807",
    "1.0",
    "0x1",
    "01",
    "+1",
    "%EF%BC%91",
    "1%20OR%201=1",
    "1;DROP%20TABLE%20users",
    "%27",
    "%00",
    "..%2f1",
];

pub fn cases(facts: &Facts) -> Vec<Case> {
    let main = |what: &str, id: &str| {
        case(55, what).send("PUT", "/api/me/main-calendar").json(json!({"calendar_id": id}).to_string())
    };
    let connect = |row, what: &str, token: i64, id: &str| {
        let body = json!({"token_id": token, "calendar_id": id}).to_string();
        case(row, what).send("POST", "/api/client-calendars").json(body)
    };
    let mut all = vec![
        main("nobody's", "nobody@x.example").is(422, "calendar_not_available"),
        main("another's", "ada@home.example").is(422, "calendar_not_available"),
        main("one to read only", "cyd@home.example").is(422, "not_writable"),
        main("a client's", "bob@globex.example").is(409, "calendar_in_use"),
        main("none", "").is(422, "calendar_not_available"),
        main("Google's word for the account's own", "primary").is(422, "calendar_not_available"),
        // It is looked at again, which is what somebody who says so wants; nothing is written.
        case(56, "the same as now")
            .send("PUT", "/api/me/main-calendar")
            .json(r#"{"calendar_id":"bob@home.example"}"#)
            .is(200, "")
            .stirs(),
        connect(57, "another's account", facts.others_token, "ada@acme.example").is(404, "not_found"),
        connect(57, "no account", 999, "bob@globex.example").is(404, "not_found"),
        connect(57, "a negative account", -1, "bob@globex.example").is(404, "not_found"),
        connect(57, "a personal account", facts.personal_token, "ada@gmail.example").is(409, "wrong_account_kind"),
        case(57, "a client's account as personal")
            .send("POST", "/api/personal-calendars")
            .json(json!({"token_id": facts.token, "calendar_id": "bob@globex.example"}).to_string())
            .is(409, "wrong_account_kind"),
        connect(58, "the same once more", facts.token, "bob@globex.example").is(409, "already_connected"),
        connect(59, "2,000 characters", facts.token, &"x".repeat(2_000)).is(422, "too_long"),
        connect(59, "a new line", facts.token, "bob@globex.example\n").is(422, "calendar_not_available"),
        connect(59, "an encoded NUL", facts.token, "bob@globex.example%00").is(422, "calendar_not_available"),
        connect(59, "a path", facts.token, "../../users/me/calendarList").is(422, "calendar_not_available"),
        connect(59, "quotes", facts.token, "' OR '1'='1").is(422, "calendar_not_available"),
    ];
    for id in NUMBERS.map(str::to_owned).into_iter().chain([facts.others.to_string(), facts.main.to_string()]) {
        let at = |method: &str, rest: &str| {
            case(60, format!("number {id}"))
                .send(method, format!("/api/client-calendars/{id}{rest}"))
                .is(404, "not_found")
        };
        all.extend([at("GET", "/status"), at("DELETE", ""), at("POST", "/sync"), at("POST", "/begin")]);
    }
    for id in NUMBERS {
        all.push(case(60, format!("run {id}")).send("GET", format!("/api/runs/{id}")).is(404, "not_found"));
    }
    for (path, id) in [("client-calendars", facts.personal), ("personal-calendars", facts.client)] {
        for (method, rest) in [("DELETE", ""), ("GET", "/status"), ("POST", "/sync"), ("POST", "/begin")] {
            let case = case(61, "one kind for the other").send(method, format!("/api/{path}/{id}{rest}"));
            all.push(case.is(404, "not_found"));
        }
    }
    for query in [
        "page=-1",
        "limit=0",
        "limit=-1",
        "limit=1000000",
        "limit=abc",
        "limit=18446744073709551616",
        "status=%27%20OR%201=1--",
        "from=2026-03-02&to=2026-03-01",
        "from=not-a-date",
        "from=2026-02-30",
        "to=%2B262143-01-01",
        "cursor=garbage",
        "before=x",
        "calendar=1%20OR%201=1",
        "user=1;",
        "action=%00%00&limit=x",
    ] {
        all.push(case(65, query).send("GET", format!("/api/sync/log?{query}")).is(400, "invalid_query"));
    }
    for query in [format!("calendar={}", facts.others), "user=1".into(), "before=-1".into(), "action=%25%5F".into()] {
        all.push(case(65, query.clone()).send("GET", format!("/api/sync/log?{query}")).is(200, ""));
    }
    all.push(case(65, "an odd filter of a page").send("GET", "/app/logs?status=%3Cscript%3E").is(400, "invalid_query"));
    let preferences = |what: &str, body: String| case(66, what).send("PUT", "/api/me/alert-preferences").json(body);
    let many =
        |n: usize| format!(r#"{{"preferences":[{}]}}"#, vec![r#"{"alert_type":"x","enabled":true}"#; n].join(","));
    let one =
        |kind: &str, enabled: &str| format!(r#"{{"preferences":[{{"alert_type":"{kind}","enabled":{enabled}}}]}}"#);
    all.extend([
        preferences("an unknown type", one("nonsense", "true")).is(422, "unknown_alert_type"),
        preferences("a word for yes", one("token_revoked", "\"yes\"")).is(422, "invalid_type"),
        preferences("a thousand", many(1_000)).is(422, "too_many"),
        preferences("10,000", many(10_000)).is(413, "body_too_large"),
        preferences("a right that is none of theirs", r#"{"preferences":[],"is_admin":true}"#.into())
            .is(400, "unknown_field"),
    ]);
    all.push(
        case(60, "somebody else's reason")
            .send("GET", format!("/api/why?calendar={}&event=x", facts.others))
            .is(404, "not_found"),
    );
    all.push(
        case(60, "nobody's number")
            .by(Nobody)
            .send("DELETE", format!("/api/client-calendars/{}", facts.client))
            .is(401, "unauthenticated"),
    );
    all
}
