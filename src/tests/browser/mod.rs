//! The pages in a real browser: Debian's Chromium, driven by its ChromeDriver. Where these are not installed the tests say loudly that
//! they were left out, and fail if `BROWSER_TESTS=required` asks for them.

mod journeys;
mod looks;
mod pictures;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use thirtyfour::{By, CapabilitiesHelper, ChromiumLikeCapabilities, DesiredCapabilities, Key, WebDriver, WebElement};
use tokio::sync::{Mutex, MutexGuard};

use super::web::until;

/// One browser at a time: they share two cores with everything else.
static TURN: Mutex<()> = Mutex::const_new(());

/// How long something may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it is there.
const LOOK: Duration = Duration::from_millis(50);

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
        Self::with(test, &[]).await
    }

    /// Starts one that runs no scripts of pages.
    pub async fn without_scripts(test: &str) -> Option<Self> {
        let chrome = Self::with(test, &["--blink-settings=scriptEnabled=false"]).await?;
        chrome.go("data:text/html,<p id=a>no script</p><script>a.textContent = 'a script'</script>").await;
        assert_eq!(chrome.text().await, "no script");
        Some(chrome)
    }

    async fn with(test: &str, more: &[&str]) -> Option<Self> {
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
        ]
        .iter()
        .chain(more)
        {
            wishes.add_arg(argument).unwrap();
        }
        wishes.set("goog:loggingPrefs", json!({"browser": "ALL", "performance": "ALL"})).unwrap();
        // A browser that does not come up in time on a busy machine is started once more.
        let server = format!("http://127.0.0.1:{port}");
        let driver = match WebDriver::new(server.as_str(), wishes.clone()).await {
            Ok(driver) => driver,
            Err(_) => WebDriver::new(server.as_str(), wishes).await.unwrap(),
        };
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
        let said = tokio::time::timeout(PATIENCE, async {
            while !self.text().await.contains(words) {
                tokio::time::sleep(LOOK).await;
            }
        });
        if said.await.is_err() {
            panic!("{} does not say “{words}” but: {}", self.url().await, self.text().await);
        }
    }

    /// Loads the page anew until it says this.
    pub async fn comes_to_read(&self, words: &str) {
        let said = tokio::time::timeout(PATIENCE, async {
            while !self.text().await.contains(words) {
                tokio::time::sleep(LOOK).await;
                let _ = self.driver.refresh().await;
            }
        });
        if said.await.is_err() {
            panic!("{} does not come to say “{words}” but: {}", self.url().await, self.text().await);
        }
    }

    async fn url(&self) -> String {
        self.driver.current_url().await.map_or_else(|error| error.to_string(), String::from)
    }

    /// Does something to the element at this path as soon as that is possible: a page may be on its way, or be renewed meanwhile.
    async fn to_element(&self, called: &str, path: &str, act: impl AsyncFn(&WebElement) -> bool) {
        let done = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Ok(element) = self.driver.find(By::XPath(path)).await
                    && act(&element).await
                {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        if done.await.is_err() {
            panic!("nothing is called “{called}” at {}: {}", self.url().await, self.text().await);
        }
    }

    /// Clicks the link or button of these words, as somebody with a mouse does.
    pub async fn click(&self, words: &str) {
        let named = format!("(@aria-label=\"{words}\" or normalize-space()=\"{words}\")");
        let path = format!("//button[not(@hidden) and not(@disabled) and {named}] | //a[{named}]");
        self.to_element(words, &path, async |element| element.click().await.is_ok()).await;
    }

    /// Ticks the box of this label.
    pub async fn tick(&self, label: &str) {
        let path = format!("//label[normalize-space()=\"{label}\"]/input[@type=\"checkbox\"]");
        self.to_element(label, &path, async |element| {
            element.is_selected().await.unwrap_or(false) || element.click().await.is_ok()
        })
        .await;
    }

    /// Writes into the field of this label.
    pub async fn fill(&self, label: &str, text: &str) {
        let path = format!("//input[@id=//label[normalize-space()=\"{label}\"]/@for]");
        self.to_element(label, &path, async |field| {
            field.clear().await.is_ok() && field.send_keys(text).await.is_ok() && self.value(field).await == text
        })
        .await;
    }

    async fn value(&self, field: &WebElement) -> String {
        field.prop("value").await.ok().flatten().unwrap_or_default()
    }

    /// Presses a key.
    pub async fn press(&self, key: Key) {
        self.driver.action_chain().send_keys(key).perform().await.unwrap();
    }

    /// What has the focus is called so.
    pub async fn focus(&self) -> String {
        let script = "const element = document.activeElement;
            const words = element.getAttribute('aria-label') || element.labels?.[0]?.textContent || element.textContent;
            return element === document.body ? '' : words.trim().replace(/\\s+/g, ' ');";
        self.run(script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Goes to what is called so with the tab key alone, and sees at each stop where that is.
    pub async fn tab_to(&self, words: &str) {
        let mut stops = Vec::new();
        while stops.last().is_none_or(|stop| stop != words) {
            assert!(stops.len() < 80, "“{words}” is not reached by the tab key: {stops:?}");
            self.press(Key::Tab).await;
            let script = "const element = document.activeElement;
                return element === document.body || getComputedStyle(element).outlineStyle !== 'none';";
            let stop = self.focus().await;
            assert!(self.run(script).await == Value::Bool(true), "the focus on “{stop}” is not seen");
            stops.push(stop);
        }
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
                    (found) => done([found.passes.length, found.violations.flatMap((one) =>
                        one.nodes.map((node) => `axe ${one.id}: ${node.html.slice(0, 120)} ${node.failureSummary}`))]),
                    (error) => done([0, [`axe: ${error}`]]));";
            let found = self.driver.execute_async(script, Vec::new()).await.unwrap().json().clone();
            assert!(found[0].as_u64().is_some_and(|rules| rules > 10), "axe-core looked at nothing: {found}");
            wrong.extend(found[1].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()));
        }
        wrong
    }

    /// What the browser complained about since it was asked last: violations of the policy, errors, and requests that went elsewhere
    /// than to `ours`; to `google` only whole pages may lead, which then ask for what they like.
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
            let by = event["params"]["documentURL"].as_str().unwrap_or_default();
            let within = |url: &str, origin: &str| url.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'));
            let of_google = within(url, google) && (page || within(by, google));
            if !(within(url, ours) || of_google || url.starts_with("data:")) {
                wrong.push(format!("a request to {url} by {by}"));
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
