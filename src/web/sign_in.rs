//! Signing in and out, and connecting accounts: ways to Google and back.

use salvo::{Depot, Request, Response, handler, writing::Text};

use super::{
    Front,
    error::{Refusal, sentence},
    see_other, session, setup,
};
use crate::{
    controller::sign_in::{self, Answer, Arrived, Door, SignInError},
    pages::{self, Shell, consultant::Login},
    store::sessions::Purpose,
};

/// Reasons that the page for signing in explains. The words are fixed: nothing is repeated from an address.
const REASONS: [(&str, &str); 8] = [
    ("access_denied", "You did not allow it at Google, so nothing has changed."),
    ("domain", "That account is not of this organization. Sign in with your account at work."),
    ("missing_scope", "A permission is missing. Sign in again, and leave all boxes ticked on Google's page."),
    (
        "no_refresh_token",
        "Google gave no lasting permission. Remove BusyBridge from your account's third-party access at Google, then sign in again.",
    ),
    ("address_taken", "Your address belonged to another account before. An admin has to release it."),
    ("removing", "Your user is being removed. Ask an admin."),
    ("google_unavailable", "Google did not answer. This is usually brief: try again in a minute."),
    ("account_already_connected", "That account is connected already, for something else."),
];

/// What a reason means, for a page.
pub fn reason(code: &str) -> Option<&'static str> {
    REASONS.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}

/// The page on which one signs in.
#[handler]
pub async fn login(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let front = Front::of(depot);
    if session::who(depot).is_some() {
        see_other(res, "/app");
        return Ok(());
    }
    let organization = front.app.store.organization().await?;
    let next = req.query::<String>("next").and_then(|next| inner_path(&next));
    let page = Login {
        wrong: req.query::<String>("error").and_then(|code| reason(&code)).map(str::to_owned),
        href: next.map_or("/auth/login".into(), |next| format!("/auth/login?next={}", super::error::urlencode(&next))),
        domain: organization.map(|organization| organization.domain).unwrap_or_default(),
    };
    res.render(Text::Html(pages::html(&Shell::new("Sign in", req.uri().path()), &page)));
    Ok(())
}

/// Leads to Google, to sign in.
#[handler]
pub async fn begin(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let front = Front::of(depot);
    let browser = session::browser(req, res);
    let next = req.query::<String>("next").and_then(|next| inner_path(&next));
    // Somebody who is to prove themselves once more is not asked who they are.
    let hint = session::who(depot).map(|visitor| visitor.user.email);
    match sign_in::begin(&front.app, Purpose::Home, &browser, hint.as_deref(), next.as_deref()).await {
        Ok(url) => see_other(res, url.as_str()),
        Err(SignInError::Google(_)) => see_other(res, "/app/login?error=google_unavailable"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Leads to Google, to connect a client's account.
#[handler]
pub async fn connect_client(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    connect(req, depot, res, Purpose::Client).await
}

/// Leads to Google, to connect a private account.
#[handler]
pub async fn connect_personal(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    connect(req, depot, res, Purpose::Personal).await
}

async fn connect(
    req: &mut Request,
    depot: &mut Depot,
    res: &mut Response,
    purpose: fn(crate::model::id::UserId) -> Purpose,
) -> Result<(), Refusal> {
    let front = Front::of(depot);
    let visitor = session::who(depot).ok_or_else(Refusal::unauthenticated)?;
    let browser = session::browser(req, res);
    // An account whose permission ended is connected anew; its address is one of this user's own.
    let hint = req.query::<String>("account").filter(|text| text.len() <= 254 && text.contains('@'));
    match sign_in::begin(&front.app, purpose(visitor.user.id), &browser, hint.as_deref(), None).await {
        Ok(url) => see_other(res, url.as_str()),
        Err(SignInError::Google(_)) => see_other(res, "/app?error=google_unavailable"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Back from Google after signing in.
#[handler]
pub async fn home(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    arrive(req, depot, res, Door::Home).await
}

/// Back from Google with a client's account.
#[handler]
pub async fn client(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    arrive(req, depot, res, Door::Client).await
}

/// Back from Google with a private account.
#[handler]
pub async fn personal(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    arrive(req, depot, res, Door::Personal).await
}

async fn arrive(req: &mut Request, depot: &mut Depot, res: &mut Response, door: Door) -> Result<(), Refusal> {
    let front = Front::of(depot);
    let once = |name: &str| match req.queries().get_vec(name).map(Vec::as_slice) {
        None => Ok(None),
        Some([one]) if one.len() <= 4096 => Ok(Some(one.clone())),
        Some(_) => Err(Refusal::from(SignInError::BadRequest)),
    };
    let (code, state, error, issuer) = (once("code")?, once("state")?, once("error")?, once("iss")?);
    let odd = req.queries().iter().any(|(name, _)| name.contains('['));
    if odd {
        return Err(SignInError::BadRequest.into());
    }
    let answer =
        Answer { code: code.as_deref(), state: state.as_deref(), error: error.as_deref(), issuer: issuer.as_deref() };
    let user = session::who(depot).map(|visitor| visitor.user.id);
    let browser = session::known_browser(req).unwrap_or_default().to_owned();
    match sign_in::finish(&front.app, door, &browser, user, answer).await {
        Ok(Arrived::Setup) => see_other(res, "/setup"),
        Ok(Arrived::Home { user, next }) => {
            session::begin(&front, req, res, user).await?;
            see_other(res, &next.and_then(|next| inner_path(&next)).unwrap_or_else(|| "/app".into()));
        }
        Ok(Arrived::Account { token }) => see_other(res, &format!("/app/connect/{}", token.0)),
        // What the person can mend is told where they began.
        Err(
            error @ (SignInError::Denied
            | SignInError::Domain(_)
            | SignInError::MissingScope
            | SignInError::NoRefreshToken
            | SignInError::AddressTaken
            | SignInError::Removing
            | SignInError::Connected(_)
            | SignInError::Google(_)),
        ) => {
            let told = sentence(&error);
            let code = Refusal::from(error).code();
            if front.is_configured() {
                let page = if door == Door::Home { "/app/login" } else { "/app" };
                see_other(res, &format!("{page}?error={code}"));
            } else {
                setup::told(&front, told);
                see_other(res, "/setup");
            }
        }
        Err(error @ SignInError::NotWorkspace) => {
            setup::told(&front, sentence(&error));
            return Err(Refusal::from(error).with_way("/setup", "Back to the set-up"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Ends the session.
#[handler]
pub async fn logout(req: &mut Request, depot: &mut Depot, res: &mut Response) -> Result<(), Refusal> {
    let _ = req;
    let front = Front::of(depot);
    if let Some(visitor) = session::who(depot) {
        session::end(&front, &visitor, res).await?;
    }
    see_other(res, "/app/login");
    Ok(())
}

/// A path of our own pages, if it is one and nothing else (reliability A11).
pub fn inner_path(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let odd = text.len() > 512
        || text.chars().any(|c| c.is_control() || c == '\\' || c.is_whitespace())
        || lower.contains("%2f")
        || lower.contains("%5c")
        || lower.contains("%0")
        || text.contains("//")
        || text.contains("..");
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let ours = ["/app", "/admin"].iter().any(|root| path == *root || path.starts_with(&format!("{root}/")));
    (ours && !odd).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_lead_nowhere_but_to_our_own_pages() {
        for good in ["/app", "/app/logs?status=failure", "/admin/users/3"] {
            assert_eq!(inner_path(good).as_deref(), Some(good));
        }
        for bad in [
            "//evil",
            "/\\evil",
            "https://evil",
            "%2F%2Fevil",
            "/%5cevil",
            "javascript:alert(1)",
            "/app%0d%0aSet-Cookie:x=1",
            "/app/../../evil",
            "/api/admin/export",
            "/application",
            "/app//evil",
            "",
        ] {
            assert_eq!(inner_path(bad), None, "{bad}");
        }
        assert_eq!(inner_path(&format!("/app/{}", "x".repeat(8_000))), None);
    }
}
