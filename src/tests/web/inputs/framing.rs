//! Rows 1–26: how a request is put together, whatever it asks for.

use std::io::Write;

use super::{Case, Facts, Who::*, case};

const MAIN: &str = "/api/me/main-calendar";

pub fn cases(facts: &Facts) -> Vec<Case> {
    let put = |row, what: &str| case(row, what).send("PUT", MAIN);
    let named = |text: &str| format!(r#"{{"calendar_id":"{text}"}}"#);
    let good = named("bob@home.example");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(good.as_bytes()).unwrap();
    let Facts { host, bob, .. } = facts;
    let head = |method: &str, path: &str, rest: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncookie: __Host-session={}\r\nx-csrf-token: {}\r\n\
             content-type: application/json\r\n{rest}\r\n",
            bob.session, bob.csrf
        )
    };
    let raw = |row, what: &str, text: String| case(row, what).send("PUT", MAIN).raw(text);
    let mut all = vec![
        put(1, "half an object").json(r#"{"calendar_id":"#).is(400, "invalid_json"),
        put(2, "nothing").json("").is(400, "invalid_json"),
        put(3, "JSON called text").body("text/plain", good.clone()).is(415, "unsupported_media_type"),
        put(4, "JSON called nothing").body("", good.clone()).is(415, "unsupported_media_type"),
        put(5, "one byte too much").json(named(&"x".repeat(65_537 - 18))).is(413, "body_too_large"),
        raw(6, "ten gigabytes promised", head("PUT", MAIN, "content-length: 10000000000\r\n") + "0123456789")
            .is(413, "body_too_large"),
        put(7, "10,000 brackets").json("[".repeat(10_000)).is(400, "invalid_json"),
        put(8, "a key twice").json(r#"{"calendar_id":"a","calendar_id":"b"}"#).is(400, "invalid_json"),
        put(9, "a field that is none").json(r#"{"calendar_id":"a","is_admin":true}"#).is(400, "unknown_field"),
        put(10, "a number for a text").json(r#"{"calendar_id":5}"#).is(422, "invalid_type"),
        put(11, "a byte that is no text").json(&b"{\"calendar_id\":\"\xff\"}"[..]).is(400, "invalid_json"),
        put(12, "NUL").json(named(r"\u0000")).is(422, "invalid_text"),
        put(13, "half a character").json(named(r"\ud800")).is(400, "invalid_json"),
        put(14, "60 KB of name").json(named(&"x".repeat(60_000))).is(422, "too_long"),
        put(15, "compressed")
            .json(gzip.finish().unwrap())
            .with("content-encoding", "gzip")
            .is(415, "unsupported_media_type"),
        // The chunks count (RFC 9112 §6.1), and the connection ends: what follows them is no request.
        raw(
            16,
            "two lengths",
            head("PUT", MAIN, "content-length: 5\r\ntransfer-encoding: chunked\r\n")
                + "0\r\n\r\n"
                + head("GET", "/api/admin/users", "").as_str(),
        )
        .is(400, "invalid_json"),
        raw(16, "chunked, then not", head("PUT", MAIN, "transfer-encoding: chunked, identity\r\n") + "0\r\n\r\n")
            .is(400, "")
            .bare(),
        raw(16, "two different lengths", head("PUT", MAIN, "content-length: 5\r\ncontent-length: 6\r\n") + "{}")
            .is(400, "")
            .bare(),
        // The largest number there is promises what never comes; nothing is set aside for it, and it is waited for only so long.
        raw(
            17,
            "a chunk of 2^64-1",
            head("PUT", MAIN, "transfer-encoding: chunked\r\nconnection: close\r\n") + "FFFFFFFFFFFFFFFF\r\n0123456789",
        )
        .one_of(&[400, 408, 413]),
        raw(
            17,
            "a chunk of more",
            head("PUT", MAIN, "transfer-encoding: chunked\r\nconnection: close\r\n")
                + "FFFFFFFFFFFFFFFFF\r\n0123456789",
        )
        .is(400, "incomplete_body"),
        case(18, "a head of 64 KB").with("x-long", "x".repeat(64 << 10)).is(431, "").bare(),
        raw(18, "300 headers", head("GET", "/api/me", &(0..300).map(|n| format!("x-{n}: y\r\n")).collect::<String>()))
            .is(431, "")
            .bare(),
        case(19, "TRACE").by(Nobody).send("TRACE", "/").with("x-echo", "mirrored").is(405, ""),
        case(19, "CONNECT").by(Nobody).send("CONNECT", "x:1").one_of(&[400, 404, 405]),
        case(19, "FOO").by(Nobody).send("FOO", "/").is(405, ""),
        case(20, "sign out by GET").send("GET", "/auth/logout").is(405, "").tells("allow", "POST"),
        case(20, "read all by GET").send("GET", "/api/sync/full").is(405, "method_not_allowed").tells("allow", "POST"),
        case(20, "read one by GET")
            .send("GET", format!("/api/client-calendars/{}/sync", facts.client))
            .is(405, "method_not_allowed")
            .tells("allow", "POST"),
        case(21, "another method in a header")
            .send("POST", format!("/api/client-calendars/{}", facts.client))
            .with("x-http-method-override", "DELETE")
            .json("{}")
            .is(405, "method_not_allowed"),
        case(23, "no host").without("host").is(400, "bad_host"),
        case(23, "two hosts").with("host", host.clone()).with("host", "evil.example").is(400, "bad_host"),
        case(23, "another host").with("host", "evil.example").is(421, "misdirected"),
        case(23, "a host with more in it").with("host", format!("{host}@evil.example")).is(400, "bad_host"),
        case(23, "another host on a page").send("GET", "/app").with("host", "evil.example").is(421, "misdirected"),
        case(25, "a part of a page").send("GET", "/app").with("range", "bytes=0-").is(200, ""),
        case(25, "a part of an export")
            .by(Ada)
            .send("GET", "/api/admin/export")
            .with("range", "bytes=0-")
            .is(200, "")
            .stirs(),
        case(26, "only if it was not there").with("if-none-match", "*").is(200, ""),
        case(26, "as XML").with("accept", "application/xml").one_of(&[200, 406]),
        case(26, "in a language that is none").with("accept-language", "\u{fe}\u{ff}, q=9;;;").one_of(&[200, 406]),
    ];
    for (what, body) in [("null", "null"), ("a list", "[]"), ("a text", "\"x\"")] {
        all.push(put(10, what).json(body).is(400, "invalid_type"));
    }
    for path in [
        "/api/%2e%2e/admin/users",
        "/api//admin/users",
        "/API/admin/users",
        "/api/admin/users/",
        "/api/admin/users%00",
        "/%61pi/admin/users",
        "//api/admin/users",
        "/api/./admin/users",
        "/api/admin;x=1/users",
        "/api/me/../admin/users",
        "/%61dmin",
        "//admin/users",
        "/admin%2fusers",
        "http://evil.example/api/admin/users",
    ] {
        all.push(case(22, "an odd spelling").send("GET", path).one_of(&[403, 404]));
        // Who is nobody is told to sign in, at most.
        all.push(case(22, "an odd spelling by nobody").by(Nobody).send("GET", path).one_of(&[303, 401, 404]));
    }
    all
}
