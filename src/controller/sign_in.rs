//! People's ways to Google and back: to set the service up, to use it, to connect an account.
//!
//! Invariants: a way is good once, in the browser and for the purpose and person for whom it began; an account is believed by the
//! issuer's signature alone; what Google gave but we may not use is given back, and nothing of it is kept.

use chrono::TimeDelta;
use url::Url;

use super::{App, accounts};
use crate::{
    google::{
        error::GoogleError,
        oauth::{Grant, Identity, Pending, Proof, SCOPES_READ, SCOPES_WRITE},
    },
    model::{calendar::Role, id::UserId, secret::Secret, tokens::Tokens},
    store::{
        StoreError,
        people::NewUser,
        sessions::{Found, Purpose, Way},
        setup::FirstAdmin,
        tokens::{AccountKind, TokenId},
    },
};

/// Why somebody could not sign in, or an account could not be connected.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("Google could not be asked. This is usually brief: try again in a minute")]
    Google(#[source] GoogleError),
    #[error("the set-up is not finished")]
    NotSetUp,
    #[error("this address is only for coming back from Google. Begin again from the page you came from")]
    BadRequest,
    #[error("this sign-in was used already or took longer than ten minutes. Begin again")]
    Unknown,
    #[error("this sign-in began in another browser or for another person. Begin again in this one")]
    Mismatch,
    #[error("you did not allow it at Google, so nothing has changed")]
    Denied,
    #[error("Google did not prove who you are, so you are not signed in. Begin again")]
    Identity(#[source] GoogleError),
    #[error("only accounts of {0} can be used here")]
    Domain(String),
    #[error(
        "this is not an account of a Google Workspace. Sign in with the account of your organization; a private one (gmail.com) cannot \
         set the service up"
    )]
    NotWorkspace,
    #[error("an admin has to release the address first, which belonged to another account before")]
    AddressTaken,
    #[error("this user is being removed; ask an admin")]
    Removing,
    #[error(
        "Google gave no lasting permission. Remove BusyBridge from the account's third-party access at Google, then connect again"
    )]
    NoRefreshToken,
    #[error("a permission is missing. Begin again, and leave all boxes ticked on Google's page")]
    MissingScope,
    #[error("this account is connected already, as {0}")]
    Connected(&'static str),
}

/// What somebody came back with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    pub code: Option<&'a str>,
    pub state: Option<&'a str>,
    pub error: Option<&'a str>,
    /// Who answers (RFC 9207).
    pub issuer: Option<&'a str>,
}

/// Where somebody came back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Home,
    Client,
    Personal,
}

impl Door {
    /// The path, which stands in Google's console (specification, "Wizard Flow").
    pub fn path(self) -> &'static str {
        match self {
            Door::Home => "/auth/callback",
            Door::Client => "/auth/connect-client/callback",
            Door::Personal => "/auth/connect-personal/callback",
        }
    }

    fn of(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Setup | Purpose::Home => Door::Home,
            Purpose::Client(_) => Door::Client,
            Purpose::Personal(_) => Door::Personal,
        }
    }
}

/// What coming back led to.
#[derive(Debug)]
pub enum Arrived {
    /// The first admin is known.
    Setup,
    /// This user may use the service.
    Home { user: UserId, next: Option<String> },
    /// This account is there to connect calendars of.
    Account { token: TokenId },
}

/// Begins a way to Google in a browser; gives where it leads.
///
/// # Errors
/// When Google cannot be reached, or the set-up has not come so far.
pub async fn begin(
    app: &App,
    purpose: Purpose,
    browser: &str,
    hint: Option<&str>,
    next: Option<&str>,
) -> Result<Url, SignInError> {
    let (client_id, _) = client(app, purpose).await?;
    let scopes = if matches!(purpose, Purpose::Personal(_)) { SCOPES_READ } else { SCOPES_WRITE };
    let redirect = format!("{}{}", app.policy.public_url, Door::of(purpose).path());
    let pending = app.oauth.authorization(&client_id, scopes, hint, &redirect).await.map_err(SignInError::Google)?;
    let Pending { url, state, proof: Proof { nonce, verifier, redirect_uri } } = pending;
    let way = Way { purpose, nonce, verifier, redirect_uri, next: next.map(str::to_owned) };
    app.store.begin_way(&state, browser, &way).await?;
    Ok(url)
}

/// Ends a way to Google at `door`, in a browser in which `user` is signed in.
///
/// # Errors
/// When anything is not as it began, or the account may not be used.
pub async fn finish(
    app: &App,
    door: Door,
    browser: &str,
    user: Option<UserId>,
    answer: Answer<'_>,
) -> Result<Arrived, SignInError> {
    let state = answer.state.ok_or(SignInError::BadRequest)?;
    if answer.code.is_none() && answer.error.is_none() {
        return Err(SignInError::BadRequest);
    }
    let way = match app.store.take_way(state, browser).await? {
        Found::Way(way) => way,
        Found::Unknown => return Err(SignInError::Unknown),
        Found::OtherBrowser => return Err(SignInError::Mismatch),
    };
    if Door::of(way.purpose) != door
        || matches!(way.purpose, Purpose::Client(of) | Purpose::Personal(of) if user != Some(of))
    {
        return Err(SignInError::Mismatch);
    }
    let ours = app.oauth.issuer();
    if answer.issuer.is_some_and(|issuer| issuer.trim_end_matches('/') != ours) {
        return Err(SignInError::Mismatch);
    }
    let code = match (answer.error, answer.code) {
        (None, Some(code)) => code,
        _ => return Err(SignInError::Denied),
    };
    let (client_id, secret) = client(app, way.purpose).await?;
    let Way { purpose, nonce, verifier, redirect_uri, next } = way;
    let proof = Proof { nonce, verifier, redirect_uri };
    let Grant { tokens, identity, lasting } = match app.oauth.exchange(&client_id, &secret, &proof, code).await {
        Ok(grant) => grant,
        Err(error @ GoogleError::Identity(_)) => return Err(SignInError::Identity(error)),
        Err(GoogleError::Revoked) => return Err(SignInError::Unknown),
        Err(error) => return Err(SignInError::Google(error)),
    };
    let arrived = match lasting {
        true => admit(app, purpose, &identity, &tokens, next).await,
        false => Err(SignInError::NoRefreshToken),
    };
    if arrived.is_err() {
        // What we may not use we do not keep. An account that was connected before keeps its own permission.
        give_back(app, &identity, &tokens).await;
    }
    arrived
}

async fn admit(
    app: &App,
    purpose: Purpose,
    identity: &Identity,
    tokens: &Tokens,
    next: Option<String>,
) -> Result<Arrived, SignInError> {
    let role = if matches!(purpose, Purpose::Personal(_)) { Role::Personal } else { Role::Client };
    if accounts::lacks_scope(&tokens.scopes, role) || !lists_calendars(&tokens.scopes) {
        return Err(SignInError::MissingScope);
    }
    match purpose {
        Purpose::Setup => {
            let domain = identity.hosted_domain.clone().filter(|domain| is_of(identity, domain));
            let domain = domain.ok_or(SignInError::NotWorkspace)?;
            let mut draft = app.store.setup_draft().await?;
            draft.confirmed = false;
            draft.admin = Some(FirstAdmin {
                subject: identity.subject.clone(),
                email: identity.email.clone(),
                name: identity.name.clone(),
                domain: domain.to_ascii_lowercase(),
                tokens: tokens.clone(),
            });
            app.store.put_setup_draft(&draft).await?;
            Ok(Arrived::Setup)
        }
        Purpose::Home => {
            let organization = app.store.organization().await?.ok_or(SignInError::NotSetUp)?;
            let at_home =
                identity.hosted_domain.as_deref().is_some_and(|hd| hd.eq_ignore_ascii_case(&organization.domain));
            if !at_home || !is_of(identity, &organization.domain) {
                return Err(SignInError::Domain(organization.domain));
            }
            let user = match app.store.user_by_subject(&identity.subject).await? {
                Some(user) if user.removing => return Err(SignInError::Removing),
                Some(user) => user.id,
                None if app.store.user_by_email(&identity.email).await?.is_some() => {
                    return Err(SignInError::AddressTaken);
                }
                None => {
                    let Identity { subject, email, name, .. } = identity.clone();
                    app.store.add_user(NewUser { email, subject, name, admin: false }).await?
                }
            };
            app.store.put_token(user, AccountKind::Home, &identity.email, tokens).await?;
            main_by_default(app, user).await;
            Ok(Arrived::Home { user, next })
        }
        Purpose::Client(user) | Purpose::Personal(user) => {
            let kind = if role == Role::Personal { AccountKind::Personal } else { AccountKind::Client };
            match app.store.account_kind(user, &identity.email).await? {
                Some(other) if other != kind => return Err(SignInError::Connected(in_words(other))),
                _ => {}
            }
            let token = app.store.put_token(user, kind, &identity.email, tokens).await?;
            Ok(Arrived::Account { token })
        }
    }
}

/// The main calendar is the home account's own until its user chooses another (specification, "Per-User Setup"). What Google does not
/// tell now is chosen on the dashboard.
pub async fn main_by_default(app: &App, user: UserId) {
    let chosen = async {
        let rows = app.store.calendars_of(user).await.ok()?;
        if rows.iter().any(|row| row.role == Role::Main) {
            return None;
        }
        let token = app.store.home_account(user).await.ok()??;
        let access = accounts::access(app, token).await.ok()?;
        let listed = app.google.calendars(&access).await.ok()?;
        let primary = listed.into_iter().find(|calendar| calendar.primary && calendar.writable)?;
        let (id, name, zone) = (&primary.id, &primary.name, &primary.zone);
        app.store.connect_calendar(user, token, id, name, Role::Main, zone).await.ok()
    };
    let _ = chosen.await;
}

/// Gives back what was granted, unless the account is in use by somebody: Google ends the whole consent.
async fn give_back(app: &App, identity: &Identity, tokens: &Tokens) {
    if !app.store.knows_account(&identity.email).await.unwrap_or(true) {
        let _ = app.oauth.revoke(tokens).await;
    }
}

async fn client(app: &App, purpose: Purpose) -> Result<(String, Secret<String>), SignInError> {
    match purpose {
        Purpose::Setup => app.store.setup_draft().await?.client.ok_or(SignInError::NotSetUp),
        _ => {
            let organization = app.store.organization().await?.ok_or(SignInError::NotSetUp)?;
            Ok((organization.client_id, organization.client_secret))
        }
    }
}

/// Whether the address is proven and of this domain.
fn is_of(identity: &Identity, domain: &str) -> bool {
    let of = identity.email.rsplit_once('@').map(|(_, domain)| domain);
    identity.email_verified && of.is_some_and(|of| of.eq_ignore_ascii_case(domain))
}

fn lists_calendars(scopes: &str) -> bool {
    const ANY: [&str; 3] = ["calendar", "calendar.calendarlist.readonly", "calendar.readonly"];
    let mut given = scopes.split_whitespace().filter_map(|scope| scope.rsplit('/').next());
    scopes.trim().is_empty() || given.any(|scope| ANY.contains(&scope))
}

fn in_words(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::Home => "your home account",
        AccountKind::Client => "a client's account",
        AccountKind::Personal => "a personal account",
    }
}

/// A sign-in this young is good for what cannot be taken back (reliability C5).
pub const FRESH: TimeDelta = TimeDelta::minutes(10);
