//! The set-up, step by step, as it is and where something is wrong.

use super::{LONG, Sample, Who, sample, shell};
use crate::pages::setup::{
    Admin, Credentials, Done, Fields, Key, Mail, SmtpFields, Unlock, Welcome, nothing_wrong, steps,
};

fn smtp() -> SmtpFields {
    SmtpFields {
        host: "smtp.home.example".into(),
        port: "587".into(),
        security: "starttls".into(),
        username: "busybridge".into(),
        password_hint: "A password is kept. Leave this empty to keep it.",
        from: "busybridge@home.example".into(),
        recipients: "ops@home.example, it@home.example".into(),
        wrong: nothing_wrong(),
    }
}

/// The form with each field wrong.
pub fn smtp_wrong() -> SmtpFields {
    let wrong = nothing_wrong().into_keys().map(|name| (name, Some("This makes no sense. Write it anew.".into())));
    SmtpFields { host: LONG.into(), port: "99999".into(), from: "nobody".into(), wrong: wrong.collect(), ..smtp() }
}

/// The form as it is kept.
pub fn smtp_kept() -> SmtpFields {
    smtp()
}

pub fn samples() -> Vec<Sample> {
    let shell = || shell("Set-up", "/setup", Who::Nobody);
    let addresses = || {
        ["callback", "connect-client/callback", "connect-personal/callback"]
            .map(|path| format!("https://calendars.a-rather-long-name-of-a-consultancy.example/auth/{path}"))
            .to_vec()
    };
    let credentials = |client_id: &str, wrong: Fields| Credentials {
        steps: steps(2, 2),
        addresses: addresses(),
        client_id: client_id.into(),
        has_secret: !client_id.is_empty(),
        wrong,
    };
    let id = "123456789012-abcdefghijklmnopqrstuvwxyz012345.apps.googleusercontent.com";
    let refused = Fields {
        client_id: Some("Google does not know this client id. Copy it from the credentials page.".into()),
        client_secret: Some("The secret does not belong to this client id.".into()),
    };
    let admin = |email: Option<&str>, wrong: Option<&str>| Admin {
        steps: steps(3, 3),
        email: email.map(str::to_owned),
        domain: email.map(|_| "home.example".into()),
        wrong: wrong.map(str::to_owned),
    };
    let mail = |smtp: SmtpFields, sent: Option<&str>, failed: Option<&str>| Mail {
        steps: steps(4, 4),
        smtp,
        sent: sent.map(str::to_owned),
        failed: failed.map(str::to_owned),
    };
    let key = |key: Option<&str>, wrong: Option<&str>| Key {
        steps: steps(5, 5),
        key: key.map(str::to_owned),
        wrong: wrong.map(str::to_owned),
    };
    let wrong = "This is not the setup token. It stands in the service's log; each start prints a new one.";
    vec![
        sample("setup-unlock--empty", shell(), &Unlock { wrong: None }),
        sample("setup-unlock--wrong", shell(), &Unlock { wrong: Some(wrong.into()) }),
        sample("setup-welcome--first", shell(), &Welcome { steps: steps(1, 1) }),
        sample("setup-credentials--empty", shell(), &credentials("", Fields::default())),
        sample("setup-credentials--kept", shell(), &credentials(id, Fields::default())),
        sample("setup-credentials--wrong", shell(), &credentials(id, refused)),
        sample("setup-admin--empty", shell(), &admin(None, None)),
        sample("setup-admin--well", shell(), &admin(Some("augusta-ada.king-noel@home.example"), None)),
        sample("setup-admin--wrong", shell(), &admin(None, Some("This is a private account, of no organization."))),
        sample("setup-mail--empty", shell(), &mail(SmtpFields::kept(None, &[]), None, None)),
        sample("setup-mail--sent", shell(), &mail(smtp(), Some("A message is on its way to you."), None)),
        sample("setup-mail--failed", shell(), &mail(smtp(), None, Some("The mail server refused the password."))),
        sample("setup-mail--wrong", shell(), &mail(smtp_wrong(), None, None)),
        sample("setup-key--shown", shell(), &key(Some("bm90IGEga2V5LCBidXQgYXMgbG9uZyBhcyBvbmUgaXMuLi4="), None)),
        sample("setup-key--hidden", shell(), &key(None, None)),
        sample("setup-key--wrong", shell(), &key(None, Some("Tick the box when you have saved the key."))),
        sample("setup-done--done", shell_done(), &Done { steps: steps(6, 7) }),
    ]
}

fn shell_done() -> crate::pages::Shell {
    shell("Done", "/app/welcome", Who::Admin)
}
