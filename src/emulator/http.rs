//! HTTP messages as values: what the emulator's core takes and gives.
//!
//! The core is a function from a request to an answer, without sockets, so that a simulation can call it in process and
//! [`super::server`] can serve it on a port; both see the same bytes.

use serde_json::{Value, json};

/// One request. Header names are lower case; the path is still percent-encoded and starts with `/`; the query is decoded.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first query parameter of this name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All query parameters of this name, in order.
    pub fn params<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.query.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// A JSON answer.
    pub fn json(status: u16, value: &Value) -> Self {
        Response {
            status,
            headers: vec![("content-type".into(), "application/json; charset=UTF-8".into())],
            body: value.to_string().into_bytes(),
        }
    }

    /// An answer without a body (204, 304).
    pub fn empty(status: u16) -> Self {
        Response { status, headers: Vec::new(), body: Vec::new() }
    }

    /// The same answer with one more header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// A refusal in Google's format (guide "Handle API errors"):
/// `{"error":{"errors":[{domain, reason, message, locationType?, location?}], "code", "message"}}`.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    pub status: u16,
    pub domain: &'static str,
    pub reason: &'static str,
    pub message: String,
    /// `("parameter", "timeMax")`, `("header", "If-Match")`.
    pub location: Option<(&'static str, &'static str)>,
}

impl ApiError {
    /// A refusal in domain `global`, without a location.
    pub fn new(status: u16, reason: &'static str, message: impl Into<String>) -> Self {
        ApiError { status, domain: "global", reason, message: message.into(), location: None }
    }

    /// The same in another domain: `calendar`, `usageLimits`.
    pub fn domain(mut self, domain: &'static str) -> Self {
        self.domain = domain;
        self
    }

    /// The same with the place of the fault.
    pub fn at(mut self, kind: &'static str, name: &'static str) -> Self {
        self.location = Some((kind, name));
        self
    }

    /// 404 `notFound`: never existed, or not to be seen by this caller.
    pub fn not_found() -> Self {
        ApiError::new(404, "notFound", "Not Found")
    }

    /// The answer that carries this refusal.
    pub fn response(&self) -> Response {
        let mut item = json!({"domain": self.domain, "reason": self.reason, "message": self.message});
        if let Some((kind, name)) = self.location {
            item["locationType"] = kind.into();
            item["location"] = name.into();
        }
        let mut error = json!({"errors": [item], "code": self.status, "message": self.message});
        // Refusals of the front end carry the newer format as well (semantics §10, checklist K02).
        match self.reason {
            "authError" => error["status"] = "UNAUTHENTICATED".into(),
            "insufficientPermissions" => {
                error["status"] = "PERMISSION_DENIED".into();
                error["details"] = json!([{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                    "domain": "googleapis.com",
                    "metadata": {"service": "calendar-json.googleapis.com"},
                }]);
            }
            _ => {}
        }
        Response::json(self.status, &json!({"error": error}))
    }
}
