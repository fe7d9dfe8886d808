//! What there is to settle in a demo that goes on: people do at the emulator what people do, and the consultants find it on their pages.

use serde_json::{Value, json};

use super::Prepared;
use crate::{
    cli::{Failure, reconcile::settle_down},
    emulator::with,
};

/// A Google, as its people reach it.
pub struct Hands {
    origin: String,
    http: reqwest::Client,
}

impl Hands {
    /// # Errors
    /// When this machine gives no client.
    pub fn new(origin: String) -> Result<Self, Failure> {
        let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(10)).build();
        Ok(Hands { origin, http: http.map_err(Failure::failed)? })
    }

    /// One call by an account about its own calendar; `path` follows `/events`.
    ///
    /// # Errors
    /// When it is not carried out.
    pub async fn call(&self, account: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let url = format!("{}/calendar/v3/calendars/primary/events{path}", self.origin);
        let method = method.parse().map_err(Failure::failed)?;
        let mut request = self.http.request(method, url).bearer_auth(format!("dev:{account}"));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.and_then(reqwest::Response::error_for_status).map_err(Failure::failed)?;
        let text = answer.text().await.map_err(Failure::failed)?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// The event of this title on an account's calendar.
    async fn named(&self, account: &str, title: &str) -> Result<String, Failure> {
        let found = self.call(account, "GET", "?maxResults=2500", None).await?;
        let mut items = found["items"].as_array().into_iter().flatten();
        let event = items.find(|item| item["summary"].as_str().is_some_and(|summary| summary.ends_with(title)));
        let id = event.and_then(|event| event["id"].as_str());
        id.map(str::to_owned).ok_or_else(|| Failure::failed(format!("the demo has no meeting “{title}” at {account}")))
    }
}

/// Brings them about, in a consultancy that is in sync: a conflict, which is settled; a removal that waits for a word; an account
/// that took its access back.
///
/// # Errors
/// A sentence for the operator.
pub async fn bring_about(prepared: &Prepared) -> Result<(), Failure> {
    let hands = Hands::new(prepared.google.origin())?;
    let (home, acme) = ("ada@home.example", "ada@acme.example");
    // Both sides change the same thing before BusyBridge looks again.
    let copy = hands.named(home, "Retrospective").await?;
    let origin = hands.named(acme, "Retrospective").await?;
    let title = |text: &str| json!({"summary": text});
    hands.call(home, "PATCH", &format!("/{copy}"), Some(&title("Retrospective, short please"))).await?;
    hands.call(acme, "PATCH", &format!("/{origin}"), Some(&title("Retrospective and cake"))).await?;
    let ada = prepared.users.iter().find(|user| user.email == home);
    let ada = ada.ok_or_else(|| Failure::failed("the demo has no Ada"))?;
    settle_down(&prepared.app, ada).await?;
    let workshop = hands.named(home, "Design workshop").await?;
    hands.call(home, "DELETE", &format!("/{workshop}"), None).await?;
    with(&prepared.core, |core| core.oauth.revoke_account("bob@initech.example"));
    Ok(())
}
