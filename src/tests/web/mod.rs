//! The pages and the API as browsers and programs meet them: over HTTP, against the emulator, with the service at work behind them.

mod api;
mod callbacks;
mod checklist;
mod doors;
mod inputs;
pub mod journeys;
mod matrix;
mod schema;
mod security;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use reqwest::redirect::Policy;
use tempfile::TempDir;
use url::Url;

use crate::{
    controller::{
        App, Stop,
        accounts::Gates,
        service::{self, Desk, Options},
    },
    emulator::{
        oauth::{DEMO_CLIENT, DEMO_SECRET},
        state::Account,
        with,
    },
    google::{Endpoints, client::Client, oauth::OAuth, throttle::Pace},
    model::{clock::Clock, snapshot::Policy as Wishes},
    store::Store,
    tests::world::World,
    vault::Vault,
    web::{self, Front, Limits},
};

/// An installation with its site, its service at work, and its Google.
pub struct Site {
    pub world: World,
    pub app: App,
    pub front: Front,
    pub url: String,
    _dir: TempDir,
    _running: web::Running,
}

/// Accounts of the demo's people, each with an empty calendar.
const ACCOUNTS: [(&str, Option<&str>); 8] = [
    ("ada@home.example", Some("home.example")),
    ("bob@home.example", Some("home.example")),
    ("cyd@home.example", Some("home.example")),
    ("ada@acme.example", Some("acme.example")),
    ("ada@globex.example", Some("globex.example")),
    ("bob@globex.example", Some("globex.example")),
    ("eve@evil.example", Some("evil.example")),
    ("ada@gmail.example", None),
];

impl Site {
    /// An installation that is not set up, and that lets a test ask as often as it likes.
    pub async fn fresh() -> Self {
        Self::with_limits(Limits::of(Vec::new(), 1000)).await
    }

    pub async fn with_limits(mut limits: Limits) -> Self {
        let world = World::at(Default::default(), Clock::manual(Clock::system().now())).await;
        for (email, domain) in ACCOUNTS {
            let account = Account {
                email: email.into(),
                name: email.split('@').next().unwrap().to_owned(),
                sub: format!("subject of {email}"),
                hosted_domain: domain.map(str::to_owned),
            };
            with(&world.core, |core| core.world.add_account(account, "Europe/Vienna"));
        }
        let dir = tempfile::tempdir().unwrap();
        let key_file = dir.path().join("secrets/encryption.key");
        let vault = Arc::new(Vault::create(&key_file).unwrap());
        let clock = world.clock.clone();
        let store = Store::open(&dir.path().join("calendar-sync.db"), vault.clone(), clock.clone()).await.unwrap();
        let api = format!("{}/calendar/v3", world.origin()).parse().unwrap();
        let endpoints = Endpoints::new(world.origin().parse().unwrap(), api).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://localhost:{port}");
        let app = App {
            store,
            google: Client::new(endpoints.clone(), clock.clone()).unwrap().with_pace(Pace::impatient()),
            oauth: OAuth::new(endpoints, clock.clone()).unwrap(),
            vault,
            clock,
            policy: Wishes { public_url: url.clone(), ..Wishes::default() },
            progress: Arc::new(|_, _| {}),
            stop: Stop::default(),
            gates: Gates::default(),
        };
        let desk = Desk::default();
        // Who sends half a body is not waited for long here.
        limits.patience = Duration::from_secs(2);
        let front = Front::new(app.clone(), desk.clone(), Arc::new(|_| {}), limits, key_file, None, false);
        let listen = format!("127.0.0.1:{port}").parse().unwrap();
        let running = web::serve(front.clone(), listen).await.unwrap();
        let options = Options {
            gather: Duration::from_millis(10),
            glance: Duration::from_millis(200),
            ..Options::new(None, chrono_tz::UTC)
        };
        tokio::spawn(service::serve(app.clone(), desk, options));
        Site { world, app, front, url, _dir: dir, _running: running }
    }

    /// One that ada@home.example has set up.
    pub async fn ready() -> (Self, Browser) {
        let site = Self::fresh().await;
        let mut ada = site.browser();
        ada.set_up("ada@home.example").await;
        (site, ada)
    }

    /// Somebody's browser, which knows nothing yet.
    pub fn browser(&self) -> Browser {
        let token = self.front.gate.token();
        let token = token.map(|token| token.reveal().clone()).unwrap_or_default();
        Browser { token, ..Browser::at(&self.url) }
    }
}

/// What a browser shows.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub status: u16,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Page {
    /// The value of a hidden field.
    pub fn hidden(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let at = self.text.find(&mark).unwrap_or_else(|| panic!("no field {name} in {}", self.text)) + mark.len();
        self.text[at..].split('"').next().unwrap().to_owned()
    }
}

/// A browser of somebody, who signs in at Google as `account` when asked.
pub struct Browser {
    url: String,
    pub jar: BTreeMap<String, String>,
    http: reqwest::Client,
    pub account: String,
    pub token: String,
    pub page: Page,
}

impl Browser {
    /// One that is to look at a site.
    pub fn at(url: &str) -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        Browser {
            url: url.to_owned(),
            jar: BTreeMap::new(),
            http,
            account: String::new(),
            token: String::new(),
            page: Page::default(),
        }
    }

    /// One request, without following anywhere.
    pub async fn ask(&mut self, method: &str, path: &str, form: Option<&[(&str, &str)]>) -> Page {
        let to = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let ours = to.starts_with(&self.url);
        let mut request = self.http.request(method.parse().unwrap(), &to);
        if ours && !self.jar.is_empty() {
            let cookies: Vec<String> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", cookies.join("; "));
        }
        if let Some(form) = form {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .header("origin", &self.url)
                .header("sec-fetch-site", "same-origin")
                .body(body);
        }
        let answer = request.send().await.unwrap();
        if ours {
            for cookie in answer.headers().get_all("set-cookie") {
                let text = cookie.to_str().unwrap();
                assert!(
                    text.starts_with("__Host-")
                        && text.contains("Secure; HttpOnly; SameSite=Lax")
                        && text.contains("Path=/"),
                    "{text}"
                );
                let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
                match value {
                    "" => self.jar.remove(name),
                    value => self.jar.insert(name.into(), value.into()),
                };
            }
        }
        let headers = answer.headers().iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap_or_default().to_owned()));
        let (status, path) = (answer.status().as_u16(), answer.url().path().to_owned());
        Page { status, path, headers: headers.collect(), text: answer.text().await.unwrap().replace("&#x2f;", "/") }
    }

    /// Goes somewhere, and on to where that leads, through Google if need be.
    pub async fn go(&mut self, path: &str) -> &Page {
        let mut page = self.ask("GET", path, None).await;
        for _ in 0..10 {
            let Some(to) = page.headers.get("location").filter(|_| (300..400).contains(&page.status)).cloned() else {
                break;
            };
            let to = if to.starts_with('/') { to } else { account_chosen(&to, &self.account) };
            page = self.ask("GET", &to, None).await;
        }
        self.page = page;
        &self.page
    }

    /// Sends a form of the page that is shown, and follows.
    pub async fn send(&mut self, action: &str, fields: &[(&str, &str)]) -> &Page {
        let csrf = self.page.hidden("csrf");
        let all: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        let page = self.ask("POST", action, Some(&all)).await;
        if page.status == 303 {
            let to = page.headers["location"].clone();
            self.go(&to).await;
        } else {
            self.page = page;
        }
        &self.page
    }

    /// Signs in as this account.
    pub async fn sign_in(&mut self, account: &str) -> &Page {
        self.account = account.into();
        self.go("/auth/login").await
    }

    /// Goes through the set-up as this account.
    pub async fn set_up(&mut self, account: &str) {
        self.account = account.into();
        let token = self.token.clone();
        self.go("/").await;
        self.send("/setup/unlock", &[("token", &token)]).await;
        self.send("/setup/step/1", &[]).await;
        self.send("/setup/step/2", &[("client_id", DEMO_CLIENT), ("client_secret", DEMO_SECRET)]).await;
        self.go("/setup/sign-in").await;
        self.send("/setup/step/3", &[]).await;
        self.send("/setup/step/4", &[("do", "skip")]).await;
        self.send("/setup/step/5", &[("saved", "yes")]).await;
        assert_eq!((self.page.status, self.page.path.as_str()), (200, "/app/welcome"), "{}", self.page.text);
    }

    /// Connects a calendar of an account, and begins.
    pub async fn connect(&mut self, kind: &str, account: &str) {
        self.account = account.into();
        self.go(&format!("/auth/connect-{kind}")).await;
        let action = self.page.path.clone();
        assert!(action.starts_with("/app/connect/"), "{action} {}", self.page.text);
        self.send(&action, &[("calendar_id", account)]).await;
        let preview = self.page.path.clone();
        assert!(preview.ends_with("/preview"), "{preview} {}", self.page.text);
        self.send(&preview.replace("/preview", "/begin"), &[]).await;
        assert_eq!(self.page.status, 200, "{}", self.page.text);
    }
}

/// Waits until something is so, for a minute: the machine may have other things to do.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..2400 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what} did not come about");
}

/// Google's consent page, on which this account is chosen.
fn account_chosen(url: &str, account: &str) -> String {
    let mut url = Url::parse(url).unwrap();
    if url.path().contains("/auth") && !url.query_pairs().any(|(name, _)| name == "code" || name == "error") {
        url.query_pairs_mut().append_pair("account", account);
    }
    url.into()
}
