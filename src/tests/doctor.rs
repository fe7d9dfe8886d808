//! What `busybridge doctor` finds, on installations that are well and on such as are not.

use std::fs;

use serde_json::json;

use super::{
    cli::{Ran, run},
    operator::Installed,
    upkeep::Kept,
};
use crate::{emulator, model::secret::Secret, store::lock};

/// What it says of one thing.
fn line(ran: &Ran, name: &str) -> String {
    let found = ran.out.lines().find(|line| line[3..].trim_start().starts_with(name));
    found.unwrap_or_else(|| panic!("nothing is said of {name}: {}{}", ran.out, ran.err)).to_owned()
}

#[tokio::test]
async fn the_doctor_tells_each_trouble_with_its_remedy() {
    let kept = Kept::new().await;
    let ran = kept.run(&["doctor", "--offline"]).await;
    for name in ["settings", "keys", "database", "clock", "set-up", "pause", "disk", "service", "webhooks"] {
        assert!(line(&ran, name).starts_with('✓'), "{}", ran.out);
    }
    assert!(ran.code == 0 && ran.out.ends_with("All is well.\n"), "{}", ran.out);
    assert!(!ran.out.contains("ada@"), "{}", ran.out);
    assert_eq!(kept.run(&["pause"]).await.code, 0);
    let (held, key) =
        (lock::hold(kept.path("calendar-sync.db").as_ref()).unwrap(), kept.path("secrets/encryption.key"));
    let ran = kept.run(&["doctor", "--offline"]).await;
    assert!(line(&ran, "pause").contains("busybridge resume"), "{}", ran.out);
    assert!(line(&ran, "service").starts_with('✕'), "it is held and does not answer: {}", ran.out);
    drop(held);
    fs::write(&key, "short").unwrap();
    let ran = kept.run(&["doctor", "--offline"]).await;
    assert!(line(&ran, "keys").contains("is not base64") && line(&ran, "database").starts_with('✕'), "{}", ran.out);
    // With Google gone, everything else is told all the same.
    let ran = run(
        &["doctor"],
        &[
            ("DATABASE_PATH", "/nowhere/at/all.db"),
            ("ENCRYPTION_KEY_FILE", &key),
            ("GOOGLE_ISSUER_URL", "http://127.0.0.1:1"),
            ("GOOGLE_CALENDAR_API_URL", "http://127.0.0.1:1/calendar/v3"),
        ],
    )
    .await;
    assert!(line(&ran, "disk").starts_with('✕') && line(&ran, "Google").starts_with('✕'), "{}", ran.out);
    assert!(ran.code == 1 && ran.out.contains("things are wrong"), "{}", ran.out);
}

#[tokio::test]
async fn google_is_asked_for_what_only_google_knows() {
    let installed = Installed::new().await;
    let ran = installed.run(&["doctor"]).await;
    assert!(line(&ran, "client").starts_with('✓') && line(&ran, "Google").starts_with('✓'), "{}", ran.out);
    assert!(ran.code == 0 && !ran.out.contains("accounts"), "{}", ran.out);
    // A consent that was taken back, while the access token still lasts.
    emulator::with(&installed.world.core, |core| core.oauth.revoke_account("ada@globex.example"));
    let ran = installed.run(&["doctor"]).await;
    let (code, accounts) = (ran.code, ran.out.lines().filter(|line| line.contains("accounts")).count());
    assert_eq!((code, accounts), (1, 1), "{}", ran.out);
    assert!(line(&ran, "accounts").contains("signs in again") && !ran.out.contains("globex"), "{}", ran.out);
    // Again, now that it is known, and without asking.
    assert!(line(&installed.run(&["doctor", "--offline"]).await, "accounts").starts_with('✕'));
    // Something stands in the place of Google's API.
    let fault = json!({"kind": "status", "path": "/calendar/v3/users/me/calendarList", "status": 502});
    emulator::with(&installed.world.core, |core| core.faults.add(serde_json::from_value(fault).unwrap())).unwrap();
    let ran = installed.run(&["doctor"]).await;
    assert!(line(&ran, "Google").contains("502"), "{}", ran.out);
}

#[tokio::test]
async fn a_client_that_google_does_not_know_is_told() {
    let installed = Installed::new().await;
    let store = installed.store().await;
    store.set_organization("home.example", "nobody", &Secret::new("secret".into())).await.unwrap();
    store.close().await;
    let ran = installed.run(&["doctor"]).await;
    assert!(line(&ran, "client").contains("does not accept the client id"), "{}", ran.out);
}
