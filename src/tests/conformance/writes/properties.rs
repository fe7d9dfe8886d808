//! Section F: extended properties.

use serde_json::{Value, json};

use super::{BOB, invitation, meeting_with, with_fields};
use crate::tests::conformance::Google;

fn private(map: Value) -> Value {
    json!({"extendedProperties": {"private": map}})
}

#[tokio::test]
async fn f01_a_long_key_vanishes() {
    let google = Google::start().await;
    let (fits, long) = ("k".repeat(44), "k".repeat(45));
    let event = google.insert(meeting_with("abcde", private(json!({fits.as_str(): "1", long.as_str(): "2"})))).await;
    assert_eq!(event["extendedProperties"]["private"], json!({fits: "1"}));
    let event = google.insert(meeting_with("fghij", private(json!({long: "2"})))).await;
    assert_eq!(event.get("extendedProperties"), None);
}

#[tokio::test]
async fn f02_a_long_value_is_cut() {
    let google = Google::start().await;
    let event =
        google.insert(meeting_with("abcde", private(json!({"a": "é".repeat(1025), "b": "é".repeat(1024)})))).await;
    let properties = &event["extendedProperties"]["private"];
    assert_eq!(properties["a"].as_str().unwrap().chars().count(), 1024);
    assert_eq!(properties["b"].as_str().unwrap().chars().count(), 1024);
}

fn keys(n: usize, value: &str) -> Value {
    (0..n).map(|n| (format!("k{n}"), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn f03_properties_are_limited_over_all_copies() {
    let google = Google::start().await;
    let too_many = json!({"extendedProperties": {"private": keys(200, "v"), "shared": keys(101, "v")}});
    assert_eq!(google.ada("POST", "", meeting_with("abcde", too_many)).await.status, 400);
    let too_large = private(keys(33, &"v".repeat(1000)));
    assert_eq!(google.ada("POST", "", meeting_with("abcde", too_large)).await.status, 400);
    google.insert(with_fields(invitation("abcde"), private(keys(200, "v")))).await;
    assert_eq!(google.bob("PATCH", "/abcde", private(keys(101, "v"))).await.status, 400);
    assert_eq!(google.bob("PATCH", "/abcde", private(keys(100, "v"))).await.status, 200);
}

#[tokio::test]
async fn f04_a_private_property_stays_on_its_copy() {
    let google = Google::start().await;
    google.insert(with_fields(invitation("abcde"), private(json!({"tag": "ada"})))).await;
    assert_eq!(google.bobs("abcde").await.get("extendedProperties"), None);
    google.bob("PATCH", "/abcde", private(json!({"tag": "bob"}))).await;
    google.patch("abcde", json!({"summary": "Other"})).await;
    assert_eq!(google.read("abcde").await["extendedProperties"]["private"], json!({"tag": "ada"}));
    let bob = google.bobs("abcde").await;
    assert_eq!((&bob["summary"], &bob["extendedProperties"]["private"]), (&json!("Other"), &json!({"tag": "bob"})));
}

#[tokio::test]
async fn f05_a_shared_property_is_on_every_copy() {
    let google = Google::start().await;
    let shared = |map: Value| json!({"extendedProperties": {"shared": map}});
    google.insert(with_fields(invitation("abcde"), shared(json!({"a": "1"})))).await;
    assert_eq!(google.bobs("abcde").await["extendedProperties"]["shared"], json!({"a": "1"}));
    // Guests may edit them, too.
    google.bob("PATCH", "/abcde", shared(json!({"b": "2"}))).await;
    assert_eq!(google.read("abcde").await["extendedProperties"]["shared"], json!({"a": "1", "b": "2"}));
    assert_eq!(super::answer_of(&google.read("abcde").await, BOB), "needsAction");
}
