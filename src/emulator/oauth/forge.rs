//! Answers to a code that are wrong, by command: what an attacker, or a broken issuer, would send. They are what Google never gives,
//! so that whoever relies on its signature can be tried.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::Keys;

/// Who signs an id token.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    #[default]
    Current,
    /// A key that is published nowhere.
    Other,
    /// HMAC with the published key as its secret.
    PublicKey,
    /// There is no signature.
    Nobody,
}

/// What is wrong with the next answer. In all maps, `null` takes a member away.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Forgery {
    /// Members of the id token's header.
    header: Map<String, Value>,
    /// Claims of the id token, which are signed.
    claims: Map<String, Value>,
    /// Claims that are put in after signing.
    tampered: Map<String, Value>,
    signed_by: By,
    /// Members of the answer itself.
    answer: Map<String, Value>,
}

impl Forgery {
    /// Makes the answer wrong.
    pub(super) fn apply(self, answer: &mut Value, keys: &mut Keys) {
        let Forgery { header, claims, tampered, signed_by, answer: members } = self;
        let token = answer["id_token"].as_str().unwrap_or_default();
        let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
        let mut said: Value = serde_json::from_slice(&payload).unwrap_or_default();
        if said.is_object() {
            let mut head = keys.header();
            merge(&mut head, header);
            merge(&mut said, claims);
            let mut made = keys.sign_as(&head, &said, signed_by);
            if !tampered.is_empty() {
                merge(&mut said, tampered);
                let parts: Vec<&str> = made.split('.').collect();
                made = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(said.to_string()), parts[2]);
            }
            answer["id_token"] = made.into();
        }
        merge(answer, members);
    }
}

fn merge(into: &mut Value, members: Map<String, Value>) {
    let Some(object) = into.as_object_mut() else { return };
    for (name, value) in members {
        if value.is_null() {
            object.remove(&name);
        } else {
            object.insert(name, value);
        }
    }
}
