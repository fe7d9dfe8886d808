//! The whole demo in process: what a visitor finds, sign-in included, and that it ends without a trace.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    cli::{
        Ending,
        demo::{Arguments, live::play},
        settings::Settings,
    },
    tests::web::Browser,
};

/// What the demo prints.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Told {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A demo at work.
struct Demo {
    told: Told,
    task: JoinHandle<Ending>,
    end: oneshot::Sender<()>,
}

impl Demo {
    /// Begins, and waits for the greeting.
    async fn begin(arguments: Arguments) -> Self {
        let env = BTreeMap::from([("LISTEN".to_owned(), "127.0.0.1:0".to_owned())]);
        let settings = Settings::read(&env).unwrap();
        let told = Told::default();
        let (end, ended) = oneshot::channel();
        let mut out = told.clone();
        // With threads of its own, as a process has.
        let task = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let ended = async {
                let _ = ended.await;
            };
            runtime.block_on(play(&arguments, &settings, ended, &mut out))
        });
        let demo = Demo { told, task, end };
        demo.tells("Ctrl-C ends it").await;
        demo
    }

    async fn tells(&self, words: &str) {
        wait(words, async || {
            assert!(!self.task.is_finished(), "the demo ended: {}", self.told.text());
            self.told.text().contains(words)
        })
        .await;
    }

    /// The address in the line that begins so.
    fn address(&self, beginning: &str) -> String {
        let text = self.told.text();
        let line = text.lines().find(|line| line.starts_with(beginning)).unwrap();
        line.split_whitespace().last().unwrap().trim_end_matches('/').to_owned()
    }

    /// Ends it, and gives what it told.
    async fn stop(self) -> String {
        self.end.send(()).unwrap();
        let ending = tokio::task::spawn_blocking(|| self.task.join().unwrap()).await.unwrap();
        assert_eq!(ending.unwrap(), 0);
        self.told.text()
    }
}

/// Waits for something that takes as long as a machine with other things to do needs.
async fn wait(what: &str, mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..1200 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come about");
}

/// Waits until a page says this.
async fn shows(browser: &mut Browser, path: &str, words: &str) {
    wait(words, async || browser.go(path).await.text.contains(words)).await;
    assert_eq!(browser.page.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_finds_a_consultancy_at_work_with_something_to_settle_and_nothing_is_left_of_it() {
    let demo = Demo::begin(Arguments::default()).await;
    let (pages, google) = (demo.address("BusyBridge"), demo.address("The other side"));
    assert!(pages.starts_with("http://localhost:"), "{pages}");

    // The admin is a consultant as well, and is asked about a meeting with guests.
    let mut ada = Browser::at(&pages);
    ada.sign_in("ada@home.example").await;
    shows(&mut ada, "/app", "1 removal waits for your word.").await;
    for calendar in ["Acme", "Globex", "personal"] {
        assert!(ada.page.text.contains(&format!("<strong>{calendar}</strong>")), "{calendar}: {}", ada.page.text);
    }
    shows(&mut ada, "/app/logs", "conflict").await;
    assert_eq!(ada.go("/admin").await.status, 200);

    // The other consultant is no admin, and has an account to connect again.
    let mut bob = Browser::at(&pages);
    bob.sign_in("bob@home.example").await;
    shows(&mut bob, "/app", "1 calendar needs your attention.").await;
    assert!(bob.page.text.contains("Reconnect"), "{}", bob.page.text);
    assert_eq!(bob.go("/admin").await.status, 404);

    // What a client does arrives everywhere, as what it is there.
    let http = reqwest::Client::builder().build().unwrap();
    let day = "2031-03-05";
    let form = format!("calendar=ada%40acme.example&title=Told+by+the+page&day={day}&from=09%3A00&to=10%3A00");
    let made = http.post(format!("{google}/_emulator/page/create")).body(form).send().await.unwrap();
    assert!(made.status().is_success(), "{}", made.text().await.unwrap());
    for (account, title) in [("ada@home.example", "Told by the page"), ("ada@globex.example", "[BusyBridge] Busy")] {
        wait(title, async || {
            let url = format!(
                "{google}/calendar/v3/calendars/primary/events?timeMin={day}T07:59:00Z&timeMax={day}T08:01:00Z&singleEvents=true"
            );
            let answer = http.get(url).bearer_auth(format!("dev:{account}")).send().await.unwrap();
            let found: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            found["items"].as_array().is_some_and(|items| items.iter().any(|item| item["summary"] == title))
        })
        .await;
    }

    // Bob connects the account again, and all is well with it.
    bob.account = "bob@initech.example".into();
    let text = &bob.go("/app").await.text;
    let way = text.find("/auth/connect-client?account=").map(|at| text[at..].split('"').next().unwrap().to_owned());
    bob.go(&way.unwrap()).await;
    wait("Bob's peace", async || !bob.go("/app").await.text.contains("needs your attention")).await;

    let told = demo.stop().await;
    assert!(told.ends_with("Stopped; nothing is left behind.\n"), "{told}");
    assert!(http.get(&pages).send().await.is_err() && http.get(&google).send().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lively_demo_tells_what_happens_and_keeps_what_is_to_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let demo = Demo::begin(Arguments { lively: true, keep: Some(kept.clone()), ..Arguments::default() }).await;
    demo.tells("has a new meeting").await;
    let google = demo.address("The other side");
    let page = reqwest::get(google).await.unwrap().text().await.unwrap();
    let told = demo.stop().await;
    let line = told.lines().find(|line| line.contains("has a new meeting")).unwrap();
    let title = line.split(['“', '”']).nth(1).unwrap();
    assert!(page.contains(title), "{title}: {page}");
    assert!(told.contains("busybridge serve") && kept.join("calendar-sync.db").exists(), "{told}");
    assert!(kept.join("secrets/encryption.key").exists());
}
