//! Views: typed pages filled into templates, and the files that they refer to.
//!
//! Invariants: a template names nothing that its page does not have (that is an error, in every test); what goes into HTML is escaped;
//! a page arrives ready to print, with nothing left to decide but *is there one*.

pub mod admin;
pub mod api;
pub mod consultant;
pub mod mail;
pub mod plan;
pub mod setup;
pub mod shell;

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use shell::Shell;

/// A page of the service.
pub trait Page: Serialize {
    /// Its template, below `views/`.
    const FILE: &'static str;
}

/// A page in its shell, as HTML.
pub fn html<P: Page>(shell: &Shell, page: &P) -> String {
    #[derive(Serialize)]
    struct Whole<'a, P> {
        shell: &'a Shell,
        page: &'a P,
    }
    render(P::FILE, &Whole { shell, page })
}

/// A file that pages refer to, by an address that changes with its content.
pub struct Asset {
    pub name: &'static str,
    pub kind: &'static str,
    pub content: &'static str,
}

/// All such files.
pub const ASSETS: [Asset; 4] = [
    Asset {
        name: "busybridge.css",
        kind: "text/css; charset=utf-8",
        content: include_str!("../../views/assets/busybridge.css"),
    },
    Asset {
        name: "busybridge.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("../../views/assets/busybridge.js"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", content: include_str!("../../views/assets/icon.svg") },
    Asset {
        name: "icon-attention.svg",
        kind: "image/svg+xml",
        content: include_str!("../../views/assets/icon-attention.svg"),
    },
];

impl Asset {
    /// Its path.
    pub fn path(&self) -> String {
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(self.content.as_bytes())[..6]);
        format!("/assets/{hash}/{}", self.name)
    }
}

/// All templates, by name. HTML is escaped by the ending of its name.
static VIEWS: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut views = Environment::new();
    views.set_undefined_behavior(UndefinedBehavior::Strict);
    views.set_auto_escape_callback(|name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None });
    for (name, text) in TEMPLATES {
        views.add_template(name, text).expect("the templates are parsed by a test");
    }
    views
});

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../views/", $name)))),*]
    };
}

pub(crate) const TEMPLATES: &[(&str, &str)] = templates![
    "layout.html",
    "message.html",
    "api.html",
    "parts/plan.html",
    "parts/smtp.html",
    "setup/steps.html",
    "setup/unlock.html",
    "setup/welcome.html",
    "setup/credentials.html",
    "setup/admin.html",
    "setup/mail.html",
    "setup/key.html",
    "setup/done.html",
    "consultant/login.html",
    "consultant/dashboard.html",
    "consultant/choose.html",
    "consultant/preview.html",
    "consultant/calendar.html",
    "consultant/disconnect.html",
    "consultant/disconnect-all.html",
    "consultant/why.html",
    "consultant/settings.html",
    "consultant/run.html",
    "consultant/log.html",
    "consultant/plan.html",
    "admin/status.html",
    "admin/users.html",
    "admin/user.html",
    "admin/remove-user.html",
    "admin/plans.html",
    "admin/run.html",
    "admin/settings.html",
    "admin/reset.html",
    "mail/alert.txt",
    "mail/alert.html",
];

fn render(name: &str, page: &impl Serialize) -> String {
    let view = VIEWS.get_template(name).expect("each page names a template of the list");
    view.render(minijinja::value::Serde(page)).expect("each page has all that its template names, as a test proves")
}
