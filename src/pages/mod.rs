//! Views: typed pages filled into templates. So far: mails.
//!
//! Invariants: a template names nothing that its page does not have (that is an error, in every test); what goes into HTML is escaped.

pub mod mail;

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};

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

const TEMPLATES: &[(&str, &str)] = &[
    ("mail/alert.txt", include_str!("../../views/mail/alert.txt")),
    ("mail/alert.html", include_str!("../../views/mail/alert.html")),
];

fn render(name: &str, page: &impl serde::Serialize) -> String {
    let view = VIEWS.get_template(name).expect("each page names a template of the list");
    view.render(minijinja::value::Serde(page)).expect("each page has all that its template names, as a test proves")
}
