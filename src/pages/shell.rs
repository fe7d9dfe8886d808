//! What stands around every page.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Serialize;

use super::{ASSETS, Page};

/// Around a page: title, navigation, whose it is.
#[derive(Clone, Debug, Serialize)]
pub struct Shell {
    pub title: String,
    /// In front of the title in the browser's tab; none: nothing needs attention.
    pub mark: Option<String>,
    pub person: Option<Person>,
    nav: Vec<Link>,
    admin_nav: Vec<Link>,
    pub said: Option<Said>,
    /// Proves that a form is ours.
    pub csrf: String,
    /// Seconds after which a browser without scripts looks again.
    pub refresh: Option<u32>,
    pub wide: bool,
    assets: Paths,
}

/// Who looks.
#[derive(Clone, Debug, Serialize)]
pub struct Person {
    pub email: String,
    pub admin: bool,
}

/// A way to another page.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    pub href: &'static str,
    pub text: &'static str,
    pub here: bool,
}

/// What was done a moment ago, or refused.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    pub text: String,
    tone: &'static str,
    role: &'static str,
}

impl Said {
    /// Something that went well.
    pub fn well(text: impl Into<String>) -> Self {
        Said { text: text.into(), tone: "ok", role: "status" }
    }

    /// Something that was refused, or went wrong.
    pub fn wrong(text: impl Into<String>) -> Self {
        Said { text: text.into(), tone: "error", role: "alert" }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Paths {
    style: String,
    script: String,
    icon: String,
    icon_attention: String,
}

const NAV: [(&str, &str); 3] = [("/app", "Dashboard"), ("/app/logs", "Log"), ("/app/settings", "Settings")];
const ADMIN_NAV: [(&str, &str); 5] = [
    ("/admin", "Status"),
    ("/admin/users", "Users"),
    ("/admin/plans", "Plans"),
    ("/admin/logs", "Logs"),
    ("/admin/settings", "Administration"),
];

impl Shell {
    /// Around a page of this title at `path`.
    pub fn new(title: impl Into<String>, path: &str) -> Self {
        let links = |all: &[(&'static str, &'static str)]| {
            // The longest address that the path begins with is where one is.
            let here = all.iter().filter(|(href, _)| path == *href || path.starts_with(&format!("{href}/")));
            let here = here.map(|(href, _)| href.len()).max();
            all.iter()
                .map(|(href, text)| Link { href, text, here: here == Some(href.len()) && path.starts_with(href) })
                .collect()
        };
        let [style, script, icon, icon_attention] = ASSETS.each_ref().map(|asset| asset.path());
        Shell {
            title: title.into(),
            mark: None,
            person: None,
            nav: links(&NAV),
            admin_nav: links(&ADMIN_NAV),
            said: None,
            csrf: String::new(),
            refresh: None,
            wide: false,
            assets: Paths { style, script, icon, icon_attention },
        }
    }
}

/// An instant for people: exact for machines and on asking, relative for reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct When {
    pub iso: String,
    pub exact: String,
    pub relative: String,
}

impl When {
    /// `at`, seen from `now` in `zone`.
    pub fn new(at: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> Self {
        When {
            iso: at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            exact: at.with_timezone(&zone).format("%-d %B %Y, %H:%M:%S %Z").to_string(),
            relative: relative(at - now),
        }
    }
}

/// A distance in time for people.
fn relative(ahead: TimeDelta) -> String {
    let (seconds, past) = (ahead.num_seconds().abs(), ahead < TimeDelta::zero());
    let (n, unit) = match seconds {
        0..=44 => return if past { "just now".into() } else { "in a moment".into() },
        45..=3_569 => ((seconds + 30) / 60, "minute"),
        3_570..=84_599 => ((seconds + 1_800) / 3_600, "hour"),
        _ => ((seconds + 43_200) / 86_400, "day"),
    };
    let plural = if n == 1 { "" } else { "s" };
    if past { format!("{n} {unit}{plural} ago") } else { format!("in {n} {unit}{plural}") }
}

/// A page that only says something.
#[derive(Debug, Serialize)]
pub struct Message {
    pub heading: String,
    pub text: String,
    pub link: Option<Way>,
    /// For whoever helps.
    pub code: Option<&'static str>,
    pub request: Option<String>,
}

/// A way on.
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    pub href: String,
    pub text: String,
}

impl Page for Message {
    const FILE: &'static str = "message.html";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_told_as_people_do() {
        for (seconds, text) in [
            (-10, "just now"),
            (-50, "1 minute ago"),
            (-120, "2 minutes ago"),
            (-3_600, "1 hour ago"),
            (-86_400, "1 day ago"),
            (5, "in a moment"),
            (180, "in 3 minutes"),
            (7_200, "in 2 hours"),
        ] {
            assert_eq!(relative(TimeDelta::seconds(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn one_is_in_one_place() {
        let here = |path: &str| {
            let shell = Shell::new("x", path);
            shell.nav.iter().chain(&shell.admin_nav).filter(|link| link.here).map(|link| link.text).collect::<Vec<_>>()
        };
        assert_eq!(here("/app"), ["Dashboard"]);
        assert_eq!(here("/app/calendars/3"), ["Dashboard"]);
        assert_eq!(here("/app/logs"), ["Log"]);
        assert_eq!(here("/admin/users/3"), ["Users"]);
        assert!(here("/setup").is_empty() && here("/application").is_empty());
    }
}
