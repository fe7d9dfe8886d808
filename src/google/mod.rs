//! Google: the only place that knows how it is spoken to. What leaves this module are our nouns and [`error::GoogleError`];
//! what is hidden here are HTTP, JSON, paging, tokens of all sorts, and how often one may ask.
//!
//! Every write carries `sendUpdates=none` and no guests; every change and deletion carries the etag it was computed from.

pub mod budget;
pub mod client;
pub mod error;
pub mod oauth;
pub mod throttle;
pub mod transport;
mod wire;

pub use wire::Desk;
#[cfg(test)]
pub use wire::{change, new_event};

use url::{Host, Url};

use error::GoogleError;

/// Where Google is: the real one, or an emulator on this machine.
#[derive(Clone, Debug)]
pub struct Endpoints {
    pub issuer: Url,
    pub api: Url,
    emulator: bool,
}

impl Endpoints {
    /// Google's OpenID issuer.
    pub const ISSUER: &'static str = "https://accounts.google.com";
    /// Google's Calendar API.
    pub const API: &'static str = "https://www.googleapis.com/calendar/v3";

    /// Checks that both addresses are Google's, or both on this machine.
    ///
    /// # Errors
    /// When one is neither: tokens must reach nobody else.
    pub fn new(issuer: Url, api: Url) -> Result<Self, GoogleError> {
        let is = |url: &Url, google: &str| url.as_str().trim_end_matches('/') == google;
        let real = is(&issuer, Self::ISSUER) && is(&api, Self::API);
        let emulator = is_local(&issuer) && is_local(&api);
        if !real && !emulator {
            return Err(GoogleError::Elsewhere);
        }
        Ok(Endpoints { issuer, api, emulator })
    }

    /// Whether this is an emulator, whose patience has no limit.
    pub fn is_emulator(&self) -> bool {
        self.emulator
    }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
