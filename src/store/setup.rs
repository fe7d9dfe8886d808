//! The set-up that has begun, sealed as a whole, and its end: one transaction, after which there is an organization.

use serde::{Deserialize, Serialize};

use super::{Attempt, Store, StoreError, instant, people::NewUser, settings::StoredSmtp, stamp, tokens::AccountKind};
use crate::{
    model::{id::UserId, secret::Secret, smtp::Smtp, tokens::Tokens},
    vault::Place,
};

/// What was settled so far.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The welcome was read.
    pub begun: bool,
    /// Client id and secret, which Google knows.
    pub client: Option<(String, Secret<String>)>,
    pub admin: Option<FirstAdmin>,
    /// The first admin agreed to the domain.
    pub confirmed: bool,
    /// How mails are settled; none: not yet.
    pub mail: Option<Mail>,
    /// The encryption key was shown.
    pub key_shown: bool,
}

impl Draft {
    /// The step that is next, from 1 to 5 (specification, "Wizard Flow").
    pub fn next(&self) -> u8 {
        match self {
            Draft { begun: false, .. } => 1,
            Draft { client: None, .. } => 2,
            Draft { confirmed: false, .. } | Draft { admin: None, .. } => 3,
            Draft { mail: None, .. } => 4,
            _ => 5,
        }
    }
}

/// Who sets it up.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    pub subject: String,
    pub email: String,
    pub name: String,
    pub domain: String,
    pub tokens: Tokens,
}

/// How mails are to be sent.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// None: not at all, for now.
    pub smtp: Option<Smtp>,
    /// Who is told of what concerns admins, besides them.
    pub recipients: Vec<String>,
}

#[derive(Default, Serialize, Deserialize)]
struct StoredDraft {
    begun: bool,
    client: Option<(String, String)>,
    admin: Option<StoredAdmin>,
    confirmed: bool,
    mail: Option<StoredMail>,
    key_shown: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredAdmin {
    subject: String,
    email: String,
    name: String,
    domain: String,
    access: String,
    refresh: String,
    expires: String,
    scopes: String,
}

#[derive(Serialize, Deserialize)]
struct StoredMail {
    smtp: Option<StoredSmtp>,
    recipients: Vec<String>,
}

const DRAFT: &str = "setup";
const PLACE: Place = Place { table: "settings", column: "value_encrypted", row: DRAFT };

impl Store {
    /// The set-up that has begun; an empty one if none has.
    pub async fn setup_draft(&self) -> Result<Draft, StoreError> {
        let sealed: Option<Vec<u8>> = sqlx::query_scalar("SELECT value_encrypted FROM settings WHERE key = ?")
            .bind(DRAFT)
            .fetch_optional(&self.reader)
            .await
            .when("looking for a set-up that has begun")?;
        let Some(sealed) = sealed else { return Ok(Draft::default()) };
        let text = self.open_text(&PLACE, &sealed)?;
        let broken = || StoreError::Format { table: "settings" };
        let StoredDraft { begun, client, admin, confirmed, mail, key_shown } =
            serde_json::from_str(text.reveal()).map_err(|_| broken())?;
        let admin = admin
            .map(|admin| {
                let StoredAdmin { subject, email, name, domain, access, refresh, expires, scopes } = admin;
                let expires = instant("settings", &expires)?;
                let tokens = Tokens { access: Secret::new(access), refresh: Secret::new(refresh), expires, scopes };
                Ok::<_, StoreError>(FirstAdmin { subject, email, name, domain, tokens })
            })
            .transpose()?;
        let mail = mail
            .map(|StoredMail { smtp, recipients }| {
                Ok::<_, StoreError>(Mail { smtp: smtp.map(Smtp::try_from).transpose()?, recipients })
            })
            .transpose()?;
        let client = client.map(|(id, secret)| (id, Secret::new(secret)));
        Ok(Draft { begun, client, admin, confirmed, mail, key_shown })
    }

    /// Keeps what was settled so far.
    pub async fn put_setup_draft(&self, draft: &Draft) -> Result<(), StoreError> {
        let Draft { begun, client, admin, confirmed, mail, key_shown } = draft;
        let stored = StoredDraft {
            begun: *begun,
            client: client.as_ref().map(|(id, secret)| (id.clone(), secret.reveal().clone())),
            admin: admin.as_ref().map(|admin| {
                let FirstAdmin { subject, email, name, domain, tokens } = admin.clone();
                StoredAdmin {
                    subject,
                    email,
                    name,
                    domain,
                    access: tokens.access.reveal().clone(),
                    refresh: tokens.refresh.reveal().clone(),
                    expires: stamp(tokens.expires),
                    scopes: tokens.scopes,
                }
            }),
            confirmed: *confirmed,
            key_shown: *key_shown,
            mail: mail.as_ref().map(|Mail { smtp, recipients }| StoredMail {
                smtp: smtp.as_ref().map(StoredSmtp::from),
                recipients: recipients.clone(),
            }),
        };
        let text = serde_json::to_string(&stored).map_err(|_| StoreError::Format { table: "settings" })?;
        sqlx::query(
            "INSERT INTO settings (key, value_encrypted, updated_at) VALUES (?, ?, ?)
             ON CONFLICT (key) DO UPDATE SET value_encrypted = excluded.value_encrypted, updated_at = excluded.updated_at",
        )
        .bind(DRAFT)
        .bind(self.data_key.seal(&PLACE, text.as_bytes()))
        .bind(self.now())
        .execute(&self.writer)
        .await
        .when("keeping what was settled so far")?;
        Ok(())
    }

    /// Ends the set-up: the organization, its first admin and how mails are sent, all or nothing. None: somebody else did it first.
    ///
    /// # Errors
    /// [`StoreError::Format`] when the draft is not complete.
    pub async fn finish_setup(&self, draft: &Draft) -> Result<Option<UserId>, StoreError> {
        let incomplete = || StoreError::Format { table: "settings" };
        let (client_id, client_secret) = draft.client.as_ref().ok_or_else(incomplete)?;
        let FirstAdmin { subject, email, name, domain, tokens } = draft.admin.as_ref().ok_or_else(incomplete)?;
        let Mail { smtp, recipients } = draft.mail.as_ref().ok_or_else(incomplete)?;
        let mut transaction = self.write().await?;
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM organization")
            .fetch_one(&mut *transaction)
            .await
            .when("ending the set-up")?;
        if there > 0 {
            return Ok(None);
        }
        self.organization_in(&mut transaction, domain, client_id, client_secret).await?;
        let new = NewUser { email: email.clone(), subject: subject.clone(), name: name.clone(), admin: true };
        let user = self.user_in(&mut transaction, new).await?;
        self.token_in(&mut transaction, user, AccountKind::Home, email, tokens).await?;
        self.smtp_in(&mut transaction, smtp.as_ref()).await?;
        self.alert_recipients_in(&mut transaction, recipients).await?;
        sqlx::query("DELETE FROM settings WHERE key = ?")
            .bind(DRAFT)
            .execute(&mut *transaction)
            .await
            .when("ending the set-up")?;
        transaction.commit().await.when("ending the set-up")?;
        Ok(Some(user))
    }
}
