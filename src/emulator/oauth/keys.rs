//! The keys that sign id tokens. They are made when first needed and kept in memory only.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

use super::forge::By;
use crate::emulator::http::Response;

/// One signing key.
#[derive(Clone)]
struct Key {
    /// Its name in the published set.
    kid: String,
    private: EncodingKey,
    public: Value,
}

/// The published keys, newest first; the newest signs.
#[derive(Clone, Default)]
pub(super) struct Keys {
    keys: Vec<Key>,
    made: u32,
}

impl Keys {
    /// Signs claims as an RS256 token.
    pub fn sign(&mut self, claims: &Value) -> String {
        let key = self.current();
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, claims, &key.private).expect("a fresh RSA key signs")
    }

    /// A JWT of this header and these claims, signed as `by` says, whatever the header claims.
    pub fn sign_as(&mut self, header: &Value, claims: &Value, by: By) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signed = |key: &EncodingKey, algorithm| {
            jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).expect("a key of our own making signs")
        };
        let signature = match by {
            By::Current => signed(&self.current().private, Algorithm::RS256),
            By::Other => {
                let mut others = Keys::default();
                signed(&others.current().private, Algorithm::RS256)
            }
            By::PublicKey => {
                let public = self.current().public.to_string();
                signed(&EncodingKey::from_secret(public.as_bytes()), Algorithm::HS256)
            }
            By::Nobody => String::new(),
        };
        format!("{message}.{signature}")
    }

    /// The header of what the current key signs.
    pub fn header(&mut self) -> Value {
        json!({"alg": "RS256", "typ": "JWT", "kid": self.current().kid})
    }

    /// The key set, with the lifetime that Google gives it.
    pub fn published(&mut self) -> Response {
        self.current();
        let keys: Vec<&Value> = self.keys.iter().map(|k| &k.public).collect();
        Response::json(200, &json!({"keys": keys})).with_header("cache-control", "public, max-age=21600")
    }

    /// Makes a new key. Google keeps the previous one published; `retire` drops it.
    pub fn rotate(&mut self, retire: bool) {
        self.current();
        self.add();
        self.keys.truncate(if retire { 1 } else { 2 });
    }

    fn current(&mut self) -> &Key {
        if self.keys.is_empty() {
            self.add();
        }
        &self.keys[0]
    }

    fn add(&mut self) {
        self.made += 1;
        let kid = format!("emulator-{}", self.made);
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("the machine makes an RSA key");
        let der: Pkcs8V1Der = pair.as_der().expect("an RSA key has a PKCS #8 form");
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            // PEM lines are of 64 characters (RFC 7468).
            STANDARD
                .encode(der.as_ref())
                .as_bytes()
                .chunks(64)
                .map(String::from_utf8_lossy)
                .collect::<Vec<_>>()
                .join("\n")
        );
        let private = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key of our own making");
        let jwk = Jwk::from_encoding_key(&private, Algorithm::RS256).expect("an RSA key has a modulus");
        let mut public = json!(jwk);
        public["kid"] = kid.clone().into();
        public["use"] = "sig".into();
        self.keys.insert(0, Key { kid, private, public });
    }
}
