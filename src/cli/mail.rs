//! `busybridge mail` and `busybridge alerts`: until there are pages, and for scripts after.

use std::io::Write;

use chrono::TimeDelta;
use clap::{Args, Subcommand, ValueEnum};

use super::{Ending, Failure, open, reconcile::Who, reconcile::users, settings::Settings};
use crate::{
    mail::{self, MailError},
    model::{
        alert::AlertKind,
        clock::Clock,
        secret::Secret,
        smtp::{Security, Smtp},
    },
    pages::mail::AlertMail,
};

#[derive(Args)]
pub struct MailArguments {
    #[command(subcommand)]
    command: MailCommand,
}

#[derive(Subcommand)]
enum MailCommand {
    /// Settles the mail server; a password is read from the variable SMTP_PASSWORD
    Set(SetArguments),
    /// Shows the settings, without the password
    Show,
    /// Sends a test message
    Test {
        /// The recipient
        to: String,
    },
    /// Sends no mails any more
    Off,
}

#[derive(Args)]
struct SetArguments {
    #[arg(long)]
    host: String,
    #[arg(long, default_value_t = 587)]
    port: u16,
    #[arg(long, value_enum, default_value_t = Encryption::Starttls)]
    security: Encryption,
    #[arg(long)]
    user: Option<String>,
    /// The sender's address
    #[arg(long)]
    from: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Encryption {
    Starttls,
    Tls,
    None,
}

#[derive(Args)]
pub struct AlertsArguments {
    /// Settles what a person wants: their address, a type, and on or off
    #[arg(long, num_args = 3, value_names = ["EMAIL", "TYPE", "ON_OR_OFF"])]
    prefer: Option<Vec<String>>,
}

/// Settles or shows the mail server, or tries it.
///
/// # Errors
/// A sentence for the operator.
pub async fn mail(
    arguments: &MailArguments,
    password: Option<&str>,
    settings: &Settings,
    out: &mut (dyn Write + Send),
) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let text = match &arguments.command {
        MailCommand::Set(SetArguments { host, port, security, user, from }) => {
            let security = match security {
                Encryption::Starttls => Security::StartTls,
                Encryption::Tls => Security::Tls,
                Encryption::None => Security::None,
            };
            let password = password.filter(|text| !text.is_empty()).map(|text| Secret::new(text.to_owned()));
            if password.is_some() && security == Security::None {
                return Err(Failure::usage(MailError::PasswordInTheClear));
            }
            let smtp =
                Smtp { host: host.clone(), port: *port, security, user: user.clone(), password, from: from.clone() };
            app.store.set_smtp(Some(&smtp)).await.map_err(Failure::failed)?;
            format!("Mails go through {host}:{port}. Try it with `busybridge mail test ADDRESS`.\n")
        }
        MailCommand::Show => match app.store.smtp().await.map_err(Failure::failed)? {
            Some(Smtp { host, port, security, user, password, from }) => format!(
                "{host}:{port}, {security:?}, user {}, password {}, from {from}\n",
                user.as_deref().unwrap_or("none"),
                if password.is_some() { "set" } else { "none" }
            ),
            None => "No mail server is set; alerts wait here and are not sent.\n".into(),
        },
        MailCommand::Test { to } => {
            let smtp = app.store.smtp().await.map_err(Failure::failed)?;
            let smtp = smtp.ok_or_else(|| Failure::usage("no mail server is set; use `busybridge mail set` first"))?;
            let now = app.clock.now();
            let page = AlertMail::new(AlertKind::SystemError, None, None, "this is a test", now, &settings.public_url);
            let mut mail = page.render();
            mail.subject = "[BusyBridge] a test message".into();
            mail::send(&smtp, to, &mail).await.map_err(Failure::failed)?;
            format!("The mail server took the message for {to}.\n")
        }
        MailCommand::Off => {
            app.store.set_smtp(None).await.map_err(Failure::failed)?;
            "No mails are sent any more.\n".into()
        }
    };
    app.store.close().await;
    out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    Ok(0)
}

/// Lists alerts, or settles who wants which.
///
/// # Errors
/// A sentence for the operator.
pub async fn alerts(arguments: &AlertsArguments, settings: &Settings, out: &mut (dyn Write + Send)) -> Ending {
    let app = open(settings, Clock::system()).await?;
    let text = match arguments.prefer.as_deref() {
        Some([email, kind, wanted]) => {
            let user = users(&app, &Who::user(email)).await?.remove(0);
            let words: Vec<&str> = AlertKind::ALL.iter().map(|kind| kind.word()).collect();
            let kind = AlertKind::from_word(kind)
                .ok_or_else(|| Failure::usage(format!("{kind} is no type of alert; there are {}", words.join(", "))))?;
            let wanted = match wanted.as_str() {
                "on" => true,
                "off" => false,
                _ => return Err(Failure::usage("say on or off")),
            };
            app.store.prefer_alert(user.id, kind, wanted).await.map_err(Failure::failed)?;
            "Settled.\n".into()
        }
        _ => {
            let rows = app.store.alerts(app.clock.now() - TimeDelta::days(7)).await.map_err(Failure::failed)?;
            let mut text = String::new();
            for row in &rows {
                let state =
                    row.resolved.map_or("open".into(), |at| format!("resolved {}", at.format("%Y-%m-%d %H:%M UTC")));
                let calendar = row.calendar.map_or(String::new(), |number| format!("  calendar {number}"));
                text.push_str(&format!(
                    "{}  {:<8} {:<28}{calendar}  {}  ({state})\n",
                    row.raised.format("%Y-%m-%d %H:%M UTC"),
                    row.kind.severity().word(),
                    row.kind.word(),
                    row.message,
                ));
            }
            if rows.is_empty() { "No alerts in the last seven days.\n".into() } else { text }
        }
    };
    app.store.close().await;
    out.write_all(text.as_bytes()).map_err(Failure::failed)?;
    Ok(0)
}
