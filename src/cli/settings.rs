//! What the environment sets: read whole, checked whole, all mistakes told at once. Nothing of it changes while we run.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use chrono_tz::Tz;
use ipnet::IpNet;
use url::{Host, Url};

use crate::{
    google::Endpoints,
    model::{secret::Secret, snapshot::Policy},
};

/// The environment's settings (product description, "The contract that outsiders rely on").
#[derive(Clone, Debug)]
pub struct Settings {
    pub database: PathBuf,
    pub key_file: PathBuf,
    /// Without a slash at the end.
    pub public_url: String,
    /// Where the service listens.
    pub listen: SocketAddr,
    /// Whether Google is asked to ring. It can only where `public_url` is https.
    pub webhooks: bool,
    /// The zone of scheduled jobs.
    pub zone: Tz,
    pub log_level: String,
    pub log_json: bool,
    pub prefix: String,
    pub issuer: Url,
    pub api: Url,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// What the set-up begins with.
    pub client: Option<(String, Secret<String>)>,
}

/// Every variable that is read, the mail server's password included.
pub const VARIABLES: [&str; 15] = [
    "DATABASE_PATH",
    "ENCRYPTION_KEY_FILE",
    "PUBLIC_URL",
    "LISTEN",
    "ENABLE_WEBHOOKS",
    "TZ",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "MANAGED_EVENT_PREFIX",
    "TRUSTED_PROXIES",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "GOOGLE_ISSUER_URL",
    "GOOGLE_CALENDAR_API_URL",
    "SMTP_PASSWORD",
];

/// Variables that are not read, although somebody may think so: a sentence for each.
pub fn misspelt(env: &BTreeMap<String, String>) -> Vec<String> {
    let unknown = env.keys().filter(|name| !VARIABLES.contains(&name.as_str()));
    let told = unknown.filter_map(|name| {
        let meant = name.strip_prefix("BUSYBRIDGE_").unwrap_or(name);
        // Short names are too near to anything.
        let near = |known: &&&str| known.len() > 6 && strsim::levenshtein(meant, known) <= 2 || **known == meant;
        match VARIABLES.iter().find(near) {
            Some(known) => Some(format!("{name} is not read; the variable is called {known}")),
            None if meant != name => Some(format!("{name} is not read; there is no such variable")),
            None => None,
        }
    });
    told.collect()
}

impl Settings {
    /// Those that are right, with the defaults for those that are not.
    pub fn read_sound(env: &BTreeMap<String, String>) -> Self {
        let mut sound = env.clone();
        loop {
            let wrong = match Settings::read(&sound) {
                Ok(settings) => return settings,
                Err(wrong) => wrong,
            };
            // A sentence names its variable.
            sound.retain(|name, _| !wrong.iter().any(|sentence| sentence.split(' ').any(|word| word == name)));
        }
    }

    /// Reads the variables.
    ///
    /// # Errors
    /// One sentence for each variable that is wrong, naming it.
    pub fn read(env: &BTreeMap<String, String>) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let get = |name: &str, default: &str| match env.get(name).map(|value| value.trim()) {
            None | Some("") => default.to_owned(),
            Some(value) => value.to_owned(),
        };
        let mut url = |name: &str, default: &str| {
            let text = get(name, default);
            Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).or_else(
                || {
                    wrong.push(format!(
                        "{name} is not an address that begins with http:// or https://; write for example {default}"
                    ));
                    None
                },
            )
        };
        let public_url = url("PUBLIC_URL", "http://localhost:3000");
        let issuer = url("GOOGLE_ISSUER_URL", Endpoints::ISSUER);
        let api = url("GOOGLE_CALENDAR_API_URL", Endpoints::API);
        if let Some(public) = &public_url {
            let local = match public.host() {
                Some(Host::Domain(name)) => name == "localhost",
                Some(Host::Ipv4(ip)) => ip.is_loopback(),
                Some(Host::Ipv6(ip)) => ip.is_loopback(),
                None => false,
            };
            if public.scheme() == "http" && !local {
                wrong.push("PUBLIC_URL must begin with https:// unless it is on this machine".into());
            }
            let bare = public.path() == "/" && public.query().is_none() && public.fragment().is_none();
            if !bare || !public.username().is_empty() || public.password().is_some() {
                wrong.push("PUBLIC_URL must be a bare address without path, query or user name".into());
            }
            if public.port() == Some(0) || public.host_str().is_some_and(|host| host.contains('*')) {
                wrong.push("PUBLIC_URL must be one address at which people reach the service".into());
            }
        }
        if let (Some(issuer), Some(api)) = (&issuer, &api)
            && let Err(error) = Endpoints::new(issuer.clone(), api.clone())
        {
            wrong.push(error.to_string());
        }
        let database = PathBuf::from(get("DATABASE_PATH", "data/calendar-sync.db"));
        let key_file = PathBuf::from(get("ENCRYPTION_KEY_FILE", "secrets/encryption.key"));
        let name = database.to_string_lossy();
        if name == ":memory:" || name.starts_with("file:") || database.file_name().is_none() {
            wrong.push(format!("DATABASE_PATH must be the path of a file; {name:?} is none"));
        }
        if name.chars().chain(key_file.to_string_lossy().chars()).any(char::is_control) {
            wrong.push("DATABASE_PATH and ENCRYPTION_KEY_FILE must be paths without control characters".into());
        }
        let log_level = get("LOG_LEVEL", "info").to_ascii_lowercase();
        if !["error", "warn", "info", "debug", "trace"].contains(&log_level.as_str()) {
            wrong.push("LOG_LEVEL must be one of error, warn, info, debug and trace".into());
        }
        let log_format = get("LOG_FORMAT", "text");
        if !["text", "json"].contains(&log_format.as_str()) {
            wrong.push("LOG_FORMAT must be text or json".into());
        }
        let listen = get("LISTEN", "127.0.0.1:3000").parse::<SocketAddr>().ok().or_else(|| {
            wrong.push("LISTEN must be an address and a port, for example 127.0.0.1:3000 or [::]:3000".into());
            None
        });
        let zone = get("TZ", "UTC").parse::<Tz>().ok().or_else(|| {
            wrong.push("TZ must be the name of a time zone, for example Europe/Vienna".into());
            None
        });
        let webhooks = match get("ENABLE_WEBHOOKS", "").as_str() {
            "" => None,
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                wrong.push("ENABLE_WEBHOOKS must be true or false".into());
                None
            }
        };
        let prefix = get("MANAGED_EVENT_PREFIX", "[BusyBridge]");
        if prefix.chars().count() > 64 || prefix.chars().any(char::is_control) {
            wrong.push("MANAGED_EVENT_PREFIX must be at most 64 characters on one line".into());
        }
        let proxies = get("TRUSTED_PROXIES", "");
        let proxies = proxies.split([',', ' ']).filter(|one| !one.is_empty()).map(|one| {
            let net = one.parse::<IpNet>().ok();
            net.or_else(|| one.parse::<IpAddr>().ok().map(IpNet::from))
        });
        let trusted_proxies = proxies.collect::<Option<Vec<_>>>().unwrap_or_else(|| {
            wrong.push("TRUSTED_PROXIES must be addresses or networks, for example 127.0.0.1 or 10.0.0.0/8".into());
            Vec::new()
        });
        if trusted_proxies.iter().any(|net| net.prefix_len() == 0) {
            wrong.push("TRUSTED_PROXIES must not be everybody: name the addresses of your proxies".into());
        }
        let client = match (get("GOOGLE_CLIENT_ID", ""), get("GOOGLE_CLIENT_SECRET", "")) {
            (id, secret) if !id.is_empty() && !secret.is_empty() => Some((id, Secret::new(secret))),
            _ => None,
        };
        match (public_url, issuer, api, listen, zone) {
            (Some(public_url), Some(issuer), Some(api), Some(listen), Some(zone)) if wrong.is_empty() => Ok(Settings {
                webhooks: webhooks.unwrap_or(public_url.scheme() == "https"),
                listen,
                zone,
                database,
                key_file,
                public_url: public_url.as_str().trim_end_matches('/').to_owned(),
                log_level,
                log_json: log_format == "json",
                prefix,
                issuer,
                api,
                trusted_proxies,
                client,
            }),
            _ => Err(wrong),
        }
    }

    /// What the planner needs of them.
    pub fn policy(&self) -> Policy {
        Policy { prefix: self.prefix.clone(), public_url: self.public_url.clone(), ..Policy::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        Settings::read(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn nothing_set_means_the_documented_defaults() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.database, PathBuf::from("data/calendar-sync.db"));
        assert_eq!(settings.key_file, PathBuf::from("secrets/encryption.key"));
        assert_eq!(settings.public_url, "http://localhost:3000");
        assert_eq!(settings.prefix, "[BusyBridge]");
        assert_eq!(settings.issuer.as_str(), "https://accounts.google.com/");
        assert_eq!(settings.api.as_str(), "https://www.googleapis.com/calendar/v3");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let wrong =
            read(&[("LOG_LEVEL", "verbose"), ("PUBLIC_URL", "http://example.com/x"), ("GOOGLE_ISSUER_URL", "ftp://x")])
                .unwrap_err();
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert_eq!(read(&[("GOOGLE_ISSUER_URL", "https://idp.example")]).unwrap_err().len(), 1);
        for name in ["LOG_LEVEL", "PUBLIC_URL", "GOOGLE_ISSUER_URL"] {
            assert!(wrong.iter().any(|w| w.starts_with(name)), "{name}");
        }
    }

    #[test]
    fn what_is_right_is_read_beside_what_is_not() {
        let env = [("LOG_LEVEL", "verbose"), ("DATABASE_PATH", "a.db"), ("GOOGLE_ISSUER_URL", "https://idp.example")];
        let settings = Settings::read_sound(&env.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert_eq!((settings.log_level.as_str(), settings.database), ("info", PathBuf::from("a.db")));
    }

    #[test]
    fn a_variable_that_is_not_read_is_told() {
        let check = |name: &str, word: Option<&str>| {
            let told = misspelt(&[(name.to_owned(), "x".to_owned())].into());
            assert_eq!(told.len(), usize::from(word.is_some()), "{told:?}");
            assert!(told.iter().all(|told| told.contains(name) && told.contains(word.unwrap())), "{told:?}");
        };
        check("DATABSE_PATH", Some("DATABASE_PATH"));
        check("BUSYBRIDGE_TZ", Some("called TZ"));
        check("BUSYBRIDGE_COLOUR", Some("no such variable"));
        check("HOME", None);
        check("LISTEN_FDS", None);
        check("TRUSTED_PROXIES", None);
    }
}
