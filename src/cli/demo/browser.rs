//! The person's part of a sign-in, played: open Google's consent page, be sent back with a code. Everything else is done by
//! the product's own sign-in code.

use std::time::Duration;

use url::Url;

use crate::{
    cli::Failure,
    google::oauth::{Grant, OAuth, SCOPES_READ, SCOPES_WRITE},
    model::{calendar::Role, secret::Secret},
};

/// Signs in as `email`, with the permissions that the role of the calendar needs.
///
/// # Errors
/// A sentence for the operator.
pub async fn sign_in(
    oauth: &OAuth,
    client_id: &str,
    client_secret: &str,
    email: &str,
    role: Role,
) -> Result<Grant, Failure> {
    let scopes = if role == Role::Personal { SCOPES_READ } else { SCOPES_WRITE };
    // Nothing listens there: the answer is read off the redirection.
    let redirect = "http://127.0.0.1:1/auth/callback";
    let pending = oauth.authorization(client_id, scopes, Some(email), redirect).await.map_err(Failure::failed)?;
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .build()
        .map_err(Failure::failed)?;
    let answer = browser.get(pending.url.clone()).send().await.map_err(Failure::failed)?;
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
    let back = location.and_then(|text| Url::parse(text).ok());
    let back = back.ok_or_else(|| Failure::failed(format!("the emulator did not sign {email} in")))?;
    let value = |name: &str| back.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
    if value("state").as_deref() != Some(pending.state.as_str()) {
        return Err(Failure::failed("the emulator sent back another state"));
    }
    let code = value("code").ok_or_else(|| Failure::failed(format!("the emulator refused {email}")))?;
    let secret = Secret::new(client_secret.to_owned());
    oauth.exchange(client_id, &secret, &pending.proof, &code).await.map_err(Failure::failed)
}
