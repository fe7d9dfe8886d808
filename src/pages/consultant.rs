//! Consultants' pages.

use serde::Serialize;

use super::Page;

#[derive(Debug, Serialize)]
pub struct Login {
    pub wrong: Option<String>,
    pub href: String,
    pub domain: String,
}

impl Page for Login {
    const FILE: &'static str = "consultant/login.html";
}
