//! The query parameters of the writing methods (discovery document, `events.insert` and its siblings).

use super::{
    http::{ApiError, Request},
    state::Object,
};

/// What a client says it understands.
#[derive(Clone, Debug, Default)]
pub struct WriteParams {
    /// `conferenceDataVersion=1`: `conferenceData` of the body counts.
    pub conferences: bool,
    /// `eventLabelVersion=1`: `eventLabelId` of the body counts, and `colorId` does not (E16).
    pub labels: bool,
    /// `supportsAttachments=true`: `attachments` of the body count.
    pub attachments: bool,
    /// `maxAttendees`: answers with more attendees show the participant alone.
    pub max_attendees: Option<usize>,
}

impl WriteParams {
    /// Reads and checks them; `sendUpdates` is checked and otherwise without effect, since there is no mail here (E22).
    ///
    /// # Errors
    /// 400 `invalidParameter` with the parameter's name.
    pub fn read(request: &Request) -> Result<Self, ApiError> {
        if let Some(value) = request.param("sendUpdates")
            && !["all", "externalOnly", "none"].contains(&value)
        {
            return Err(wrong("sendUpdates", value));
        }
        for name in ["sendNotifications", "alwaysIncludeEmail"] {
            flag(request, name)?;
        }
        Ok(WriteParams {
            conferences: integer(request, "conferenceDataVersion", 0, 1)? == Some(1),
            labels: integer(request, "eventLabelVersion", 0, 1)? == Some(1),
            attachments: flag(request, "supportsAttachments")?,
            max_attendees: integer(request, "maxAttendees", 1, i32::MAX)?.and_then(|n| usize::try_from(n).ok()),
        })
    }

    /// The fields that this client's body does not speak of, whatever stands there.
    pub fn unheard(&self) -> Vec<&'static str> {
        let mut unheard = vec![if self.labels { "colorId" } else { "eventLabelId" }];
        if !self.conferences {
            unheard.extend(["conferenceData", "hangoutLink"]);
        }
        if !self.attachments {
            unheard.push("attachments");
        }
        unheard
    }

    /// Drops them from a body.
    pub fn hear(&self, body: &mut Object) {
        for name in self.unheard() {
            body.remove(name);
        }
    }
}

fn integer(request: &Request, name: &'static str, least: i32, most: i32) -> Result<Option<i32>, ApiError> {
    match request.param(name) {
        None => Ok(None),
        Some(text) => match text.parse::<i32>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(wrong(name, text)),
        },
    }
}

fn flag(request: &Request, name: &'static str) -> Result<bool, ApiError> {
    match request.param(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(text) => Err(wrong(name, text)),
    }
}

fn wrong(name: &'static str, value: &str) -> ApiError {
    ApiError::new(400, "invalidParameter", format!("Invalid value '{value}' for parameter {name}."))
        .at("parameter", name)
}
