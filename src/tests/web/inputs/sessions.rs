//! Rows 27–41: sessions that are made up, and requests that do not prove where they come from.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{Case, Facts, Who::*, case};
use crate::emulator::oauth::DEMO_CLIENT;

/// A token of this header and these claims, signed with `key` as `algorithm`, whatever the header says.
fn forged(header: &Value, claims: &Value, key: &[u8], algorithm: Algorithm) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(key), algorithm).unwrap();
    format!("{message}.{signature}")
}

pub fn cases(facts: &Facts) -> Vec<Case> {
    let payload = facts.bob.session.split('.').nth(1).unwrap_or_default();
    let good: Value =
        URL_SAFE_NO_PAD.decode(payload).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(json!({}));
    let usual = json!({"alg": "HS256", "typ": "session+jwt"});
    let signed = |header: &Value, claims: &Value| forged(header, claims, &facts.key, Algorithm::HS256);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        signed(&usual, &claims)
    };
    let head = |name: &str, value: Value| {
        let mut header = usual.clone();
        header[name] = value;
        signed(&header, &good)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        signed(&usual, &claims)
    };
    let unsigned = |header: Value| {
        let text = signed(&header, &good);
        text.rsplit_once('.').map(|(message, _)| format!("{message}.")).unwrap()
    };
    let keyed = |key: &[u8]| forged(&usual, &good, key, Algorithm::HS256);
    let now = facts.now;
    let own = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode("secret")});
    let tokens = vec![
        (28, "no algorithm", unsigned(json!({"alg": "none", "typ": "session+jwt"}))),
        (28, "no algorithm, in capitals", unsigned(json!({"alg": "NONE", "typ": "session+jwt"}))),
        (28, "no signature", unsigned(usual.clone())),
        (29, "no key", keyed(b"")),
        (29, "a guess", keyed(b"secret")),
        (29, "the client's id as key", keyed(DEMO_CLIENT.as_bytes())),
        (30, "called RS256", head("alg", json!("RS256"))),
        (30, "called ES256", head("alg", json!("ES256"))),
        (30, "called HS384", head("alg", json!("HS384"))),
        (
            30,
            "HS384 indeed",
            forged(&json!({"alg": "HS384", "typ": "session+jwt"}), &good, &facts.key, Algorithm::HS384),
        ),
        (
            31,
            "a path as the key's name",
            forged(
                &json!({"alg": "HS256", "typ": "session+jwt", "kid": "../../secrets/encryption.key"}),
                &good,
                b"secret",
                Algorithm::HS256,
            ),
        ),
        (
            31,
            "keys elsewhere",
            forged(
                &json!({"alg": "HS256", "typ": "session+jwt", "jku": format!("{}/certs", facts.url)}),
                &good,
                b"secret",
                Algorithm::HS256,
            ),
        ),
        (
            31,
            "its own key",
            forged(&json!({"alg": "HS256", "typ": "session+jwt", "jwk": own}), &good, b"secret", Algorithm::HS256),
        ),
        (32, "an end in words", with("exp", json!("9999999999"))),
        (32, "half an end", with("exp", json!(9_999_999_999.5))),
        (32, "a negative end", with("exp", json!(-1))),
        (32, "no end", without("exp")),
        (32, "an end of null", with("exp", Value::Null)),
        // Wrong, and harmless: the row of the session ends it all the same. Nobody but us can sign one.
        (33, "no kind", signed(&json!({"alg": "HS256"}), &good)),
        (33, "of another kind", head("typ", json!("JWT"))),
        (33, "of a kind for forms", head("typ", json!("csrf+jwt"))),
        (33, "another issuer", with("iss", json!("https://evil.example"))),
        (33, "another audience", with("aud", json!("others"))),
        (33, "another person", with("sub", json!("1"))),
        (33, "no person", without("sub")),
        (33, "another session", with("sid", json!("x"))),
        (34, "ended", with("exp", json!(now - 31))),
        (34, "of the future", with("iat", json!(now + 600))),
    ];
    let mut all: Vec<Case> = tokens
        .into_iter()
        .map(|(row, what, token)| {
            case(row, what).with("cookie", format!("__Host-session={token}")).is(401, "unauthenticated")
        })
        .collect();
    let pause = "/api/admin/sync/pause";
    let sync = format!("/api/client-calendars/{}/sync", facts.client);
    let form = "application/x-www-form-urlencoded";
    let csrf = &facts.bob.csrf;
    all.extend([
        case(27, "nobody").by(Nobody).is(401, "unauthenticated"),
        case(27, "nobody on a page")
            .by(Nobody)
            .send("GET", "/app")
            .is(303, "")
            .tells("location", "/app/login?next=%2Fapp"),
        case(38, "two cookies")
            .with("cookie", format!("__Host-session=x; __Host-session={}", facts.bob.session))
            .is(401, "unauthenticated"),
        case(38, "16 KB of cookie")
            .with("cookie", format!("__Host-session={}", "x".repeat(16 << 10)))
            .is(431, "")
            .bare(),
        case(38, "4 KB of cookie")
            .with("cookie", format!("__Host-session={}", "x".repeat(4 << 10)))
            .is(401, "unauthenticated"),
        case(39, "no proof").by(Ada).send("POST", pause).without("x-csrf-token").is(403, "csrf"),
        case(39, "another's proof").by(Ada).send("POST", pause).with("x-csrf-token", csrf).is(403, "csrf"),
        case(39, "the proof in the address")
            .by(Ada)
            .send("POST", format!("{pause}?csrf={0}&x-csrf-token={0}", facts.ada.csrf))
            .without("x-csrf-token")
            .is(403, "csrf"),
        case(39, "no proof on a page").send("POST", "/app/sync").body(form, "").is(403, "csrf"),
    ]);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        all.push(case(40, format!("{name} {value}")).by(Ada).send("POST", pause).with(name, value).is(403, "csrf"));
        let page = case(40, format!("{name} {value} on a page")).send("POST", "/app/sync").with(name, value);
        all.push(page.body(form, format!("csrf={csrf}")).is(403, "csrf"));
    }
    for (kind, body) in [
        (form, "calendar_id=bob%40home.example"),
        (
            "multipart/form-data; boundary=x",
            "--x\r\ncontent-disposition: form-data; name=\"calendar_id\"\r\n\r\na\r\n--x--",
        ),
        ("text/plain", "{\"calendar_id\":\"bob@home.example\",\"x\":\"=\"}"),
    ] {
        let case = case(41, kind).send("PUT", "/api/me/main-calendar").body(kind, body);
        all.push(case.is(415, "unsupported_media_type"));
    }
    // Without a proof it does not even come to that.
    all.push(
        case(41, "a form of another site").send("POST", sync).without("x-csrf-token").body(form, "a=b").is(403, "csrf"),
    );
    all
}
