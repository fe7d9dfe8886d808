//! The pages in a real browser: Debian's Chromium, driven by its ChromeDriver. Where these are not installed the tests say loudly that
//! they were left out, and fail if `BROWSER_TESTS=required` asks for them.

mod journeys;
mod looks;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use thirtyfour::{By, CapabilitiesHelper, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver};
use tokio::sync::{Mutex, MutexGuard};

use super::web::until;

/// One browser at a time: they share two cores with everything else.
static TURN: Mutex<()> = Mutex::const_new(());

/// A browser with an empty profile.
pub struct Chrome {
    pub driver: WebDriver,
    _driver: Process,
    _turn: MutexGuard<'static, ()>,
}

/// ChromeDriver and the browsers that it started; they die together.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// Where a program lies.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Where photographs go: beside what the compiler makes.
pub fn photographs() -> PathBuf {
    let folder = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("photographs");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

impl Chrome {
    /// Starts one; none: it is not installed, which is said.
    pub async fn start(test: &str) -> Option<Self> {
        let (Some(driver), Some(browser)) = (program("chromedriver"), program("chromium")) else {
            let required = std::env::var("BROWSER_TESTS").is_ok_and(|word| word == "required");
            assert!(!required, "BROWSER_TESTS=required, and chromium or chromedriver is not installed");
            // Not by a macro: what those print is not shown when a test passes.
            let text = format!(
                "\n**** LEFT OUT: {test}. It needs a browser: apt-get install chromium chromium-driver ****\n\n"
            );
            let _ = std::io::stderr().write_all(text.as_bytes());
            return None;
        };
        let turn = TURN.lock().await;
        let mut child = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let process = Process(child);
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("successfully on port ")?.1.trim_end_matches('.').to_owned()))
            .expect("ChromeDriver says where it listens");
        let mut wishes = DesiredCapabilities::chrome();
        wishes.set_binary(browser.to_str().unwrap()).unwrap();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--hide-scrollbars",
            "--window-size=1280,900",
        ] {
            wishes.add_arg(argument).unwrap();
        }
        wishes.set("goog:loggingPrefs", json!({"browser": "ALL", "performance": "ALL"})).unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), wishes).await.unwrap();
        Some(Chrome { driver, _driver: process, _turn: turn })
    }

    /// Ends it properly.
    pub async fn quit(self) {
        self.driver.quit().await.unwrap();
    }

    pub async fn go(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// What is to be read on the page.
    pub async fn text(&self) -> String {
        match self.driver.find(By::Tag("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// The path of the page.
    pub async fn path(&self) -> String {
        self.driver.current_url().await.unwrap().path().to_owned()
    }

    /// Waits until the page says this.
    pub async fn reads(&self, words: &str) {
        for _ in 0..400 {
            if self.text().await.contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let url = self.driver.current_url().await.unwrap();
        panic!("{url} does not say “{words}” but: {}", self.text().await);
    }

    /// Clicks the link or button of these words, as somebody with a mouse does.
    pub async fn click(&self, words: &str) {
        let named = format!("(@aria-label=\"{words}\" or normalize-space()=\"{words}\")");
        let path = format!("//button[not(@hidden) and {named}] | //a[{named}]");
        let found = self.driver.find(By::XPath(path.as_str())).await;
        let Ok(element) = found else { panic!("nothing is called “{words}” in: {}", self.text().await) };
        element.scroll_into_view().await.unwrap();
        element.click().await.unwrap();
    }

    /// Writes into the field of this label.
    pub async fn fill(&self, label: &str, text: &str) {
        let path = format!("//input[@id=//label[normalize-space()=\"{label}\"]/@for]");
        let field = self.driver.find(By::XPath(path.as_str())).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Runs a script on the page.
    pub async fn run(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    pub async fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(method, parameters).await.unwrap()
    }

    /// A window so wide and high, in light or dark.
    pub async fn window(&self, width: u32, height: u32, dark: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// What is wrong with the page as it is shown now, by our own list, and by axe-core where `AXE_CORE` says where it lies.
    pub async fn audit(&self) -> Vec<String> {
        let found = self.run(include_str!("audit.js")).await;
        assert!(found["measured"].as_u64().is_some_and(|n| n > 3), "the audit measured nothing: {found}");
        let mut wrong: Vec<String> =
            found["wrong"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect();
        if let Some(file) = std::env::var_os("AXE_CORE") {
            let axe = std::fs::read_to_string(file).unwrap();
            self.run(&axe.replace("define.amd", "false")).await;
            let script = "const done = arguments[arguments.length - 1];
                axe.run(document, { resultTypes: ['violations'] }).then(
                    (found) => done(found.violations.flatMap((one) =>
                        one.nodes.map((node) => `axe ${one.id}: ${node.html.slice(0, 120)} ${node.failureSummary}`))),
                    (error) => done([`axe: ${error}`]));";
            let found = self.driver.execute_async(script, Vec::new()).await.unwrap().json().clone();
            wrong.extend(found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()));
        }
        wrong
    }

    /// What the browser complained about since it was asked last: violations of the policy, errors, and requests that went elsewhere
    /// than to `ours`; to `google` only whole pages may lead.
    pub async fn complaints(&self, ours: &str, google: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for entry in self.driver.get_log("browser").await.unwrap() {
            let expected = entry.message.contains("status of 4");
            if !expected && (entry.level == "SEVERE" || entry.message.contains("Content Security Policy")) {
                wrong.push(format!("{}: {}", entry.level, entry.message));
            }
        }
        for entry in self.driver.get_log("performance").await.unwrap() {
            let event: Value = serde_json::from_str(&entry.message).unwrap();
            let event = &event["message"];
            if event["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let url = event["params"]["request"]["url"].as_str().unwrap_or_default();
            let page = event["params"]["type"] == "Document";
            let within = |origin: &str| url.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'));
            if !(within(ours) || page && within(google) || url.starts_with("data:")) {
                wrong.push(format!("a request to {url} by {}", event["params"]["documentURL"]));
            }
        }
        wrong
    }

    /// Photographs the whole page.
    pub async fn photograph(&self, file: &Path) {
        let parameters = json!({"format": "png", "captureBeyondViewport": true});
        let data = self.devtools("Page.captureScreenshot", parameters).await;
        let text = data["data"].as_str().unwrap();
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
        assert!(bytes.len() > 1_000, "{} is empty", file.display());
        std::fs::write(file, bytes).unwrap();
    }
}
