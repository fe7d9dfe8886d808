//! Push: channels that are told when a calendar's events change (guide "Push notifications", checklist J).
//!
//! The core holds no socket: a change leaves messages here, each with the instant at which it is due, and the server takes those that
//! are due, delivers them and says how that went. What is left to chance is drawn from one seeded source, so that a run repeats.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use url::{Host, Url};

use super::{
    Caller,
    http::{ApiError, Request, Response},
    listing::calendar_for,
    selection::EVENT_TYPES,
    state::{Object, World},
};

/// The longest life of a channel, which is also the usual one (J02, J03).
const LIFE_MAX: TimeDelta = TimeDelta::days(7);
/// Deliveries of one message at most (J07).
const TRIES: u32 = 5;

/// All channels and undelivered messages.
#[derive(Clone, Debug, Default)]
pub struct Push {
    channels: BTreeMap<String, Channel>,
    /// Ids that were ever used (J09).
    used: std::collections::BTreeSet<String>,
    outbox: VecDeque<Message>,
    dice: u64,
}

#[derive(Clone, Debug)]
struct Channel {
    calendar: String,
    account: String,
    /// The application that opened it.
    client: Option<String>,
    address: String,
    token: Option<String>,
    resource: String,
    resource_uri: String,
    expires: DateTime<Utc>,
    /// Empty: all.
    event_types: Vec<String>,
    number: u64,
    stopped: bool,
}

#[derive(Clone, Debug)]
struct Message {
    channel: String,
    number: u64,
    state: &'static str,
    due: DateTime<Utc>,
    tries: u32,
}

/// One request to a receiver: a POST without a body.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub address: String,
    pub headers: Vec<(&'static str, String)>,
    message: Message,
}

/// `events.watch`.
///
/// # Errors
/// 404 for the calendar; 400 for an id, token, type or address that will not do (J01, J09–J11).
pub fn watch(world: &mut World, caller: &Caller, calendar: &str, request: &Request) -> Result<Response, ApiError> {
    let (calendar, _) = calendar_for(world, caller, calendar)?;
    if calendar.ends_with("#holiday@group.v.calendar.google.com") || calendar.contains("#contacts@") {
        let message = "Push notifications are not supported by this resource.";
        return Err(ApiError::new(400, "pushNotSupportedForRequestedResource", message));
    }
    let body: Object =
        serde_json::from_slice(&request.body).map_err(|_| ApiError::new(400, "parseError", "Parse Error"))?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let required = |name: &str| text(name).ok_or_else(|| ApiError::new(400, "required", format!("Required: {name}")));
    let (id, address) = (required("id")?, required("address")?);
    if !matches!(required("type")?, "web_hook" | "webhook") {
        return Err(ApiError::new(400, "invalid", "Unknown channel type"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_+/=".contains(c);
    if id.is_empty() || id.len() > 64 || !id.chars().all(allowed) {
        return Err(ApiError::new(400, "invalid", "Channel id not compliant"));
    }
    let token = text("token").map(str::to_owned);
    if token.as_ref().is_some_and(|token| token.len() > 256) {
        return Err(ApiError::new(400, "invalid", "Channel token too long"));
    }
    if !may_ring(address, world.settings.push_to_loopback) {
        let message = format!("WebHook callback must be HTTPS: {address}");
        return Err(ApiError::new(400, "push.webhookUrlNotHttps", message));
    }
    if world.push.used.contains(id) {
        return Err(ApiError::new(400, "channelIdNotUnique", format!("Channel id {id} not unique")));
    }
    let event_types: Vec<String> = request.params("eventTypes").map(str::to_owned).collect();
    if event_types.iter().any(|given| !EVENT_TYPES.contains(&given.as_str())) {
        return Err(ApiError::new(400, "invalid", "Invalid value for eventTypes").at("parameter", "eventTypes"));
    }
    let now = world.now();
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let by_ttl = body.get("params").and_then(|params| number(&params["ttl"])).map(TimeDelta::seconds);
    let by_end = body.get("expiration").and_then(number).and_then(DateTime::from_timestamp_millis).map(|end| end - now);
    let life = by_ttl.into_iter().chain(by_end).min().unwrap_or(LIFE_MAX).min(LIFE_MAX);
    if life <= TimeDelta::zero() {
        return Err(ApiError::new(400, "invalid", "The channel would have expired already"));
    }
    let expires = now + life;
    let resource = format!("r{:016x}", fingerprint(&format!("{calendar}?{}", event_types.join(","))));
    let resource_uri = format!("https://www.googleapis.com/calendar/v3/calendars/{calendar}/events?alt=json");
    let channel = Channel {
        calendar,
        account: caller.email.clone(),
        client: caller.client.clone(),
        address: address.to_owned(),
        token: token.clone(),
        resource: resource.clone(),
        resource_uri: resource_uri.clone(),
        expires,
        event_types,
        number: 1,
        stopped: false,
    };
    world.push.used.insert(id.to_owned());
    world.push.channels.insert(id.to_owned(), channel);
    world.push.outbox.push_back(Message { channel: id.to_owned(), number: 1, state: "sync", due: now, tries: 0 });
    let mut answer = json!({
        "kind": "api#channel", "id": id, "resourceId": resource, "resourceUri": resource_uri,
        "expiration": expires.timestamp_millis().to_string(),
    });
    if let Some(token) = token {
        answer["token"] = token.into();
    }
    Ok(Response::json(200, &answer))
}

/// `channels.stop`: only the application and account that opened a channel may close it (J14, J15).
///
/// # Errors
/// 404 for a channel that is not known, not open, or somebody else's.
pub fn stop(world: &mut World, caller: &Caller, request: &Request) -> Result<Response, ApiError> {
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|_| ApiError::new(400, "parseError", "Parse Error"))?;
    let (id, resource) = (body["id"].as_str().unwrap_or_default(), body["resourceId"].as_str().unwrap_or_default());
    let now = world.now();
    let unknown = || ApiError::new(404, "notFound", format!("Channel '{id}' not found for project"));
    let channel = world.push.channels.get_mut(id).ok_or_else(unknown)?;
    let own = channel.account == caller.email && channel.client == caller.client;
    if !own || channel.resource != resource || channel.stopped || channel.expires <= now {
        return Err(unknown());
    }
    channel.stopped = true;
    Ok(Response { status: 204, headers: Vec::new(), body: Vec::new() })
}

/// Whether messages may go to this address: https, or, where that is allowed, http on this machine.
fn may_ring(address: &str, loopback: bool) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && local && loopback
}

/// Tells everybody who watches a calendar that one of its events changed.
pub fn changed(world: &mut World, calendar: &str, event: &Object) {
    let now = world.now();
    let kind = event.get("eventType").and_then(Value::as_str).unwrap_or("default");
    let (drop, twice) = (world.settings.push_drop_permille, world.settings.push_duplicate_permille);
    let (delay, batched) = (world.settings.push_delay_seconds, world.settings.push_batched);
    let Push { channels, outbox, dice, .. } = &mut world.push;
    for (id, channel) in channels.iter_mut().filter(|(_, channel)| channel.calendar == calendar) {
        let filtered = !channel.event_types.is_empty() && !channel.event_types.iter().any(|wanted| wanted == kind);
        if channel.stopped || channel.expires <= now || filtered {
            continue;
        }
        // Numbers grow, and not by one (J06).
        channel.number += 1 + roll(dice, 3);
        if batched && outbox.iter().any(|m| m.channel == *id && m.state == "exists" && m.tries == 0) {
            continue;
        }
        if roll(dice, 1000) < u64::from(drop) {
            continue;
        }
        let wait = TimeDelta::seconds(i64::try_from(roll(dice, u64::from(delay) + 1)).unwrap_or(0));
        let message =
            Message { channel: id.clone(), number: channel.number, state: "exists", due: now + wait, tries: 0 };
        if roll(dice, 1000) < u64::from(twice) {
            outbox.push_back(message.clone());
        }
        outbox.push_back(message);
    }
}

/// Takes the messages that are due. A channel that has ended, or whose account lost the calendar, is silent (J13).
pub fn take_due(world: &mut World) -> Vec<Delivery> {
    let now = world.now();
    let (due, later): (VecDeque<_>, VecDeque<_>) =
        std::mem::take(&mut world.push.outbox).into_iter().partition(|message| message.due <= now);
    world.push.outbox = later;
    let deliver = |message: Message| {
        let channel = world.push.channels.get(&message.channel)?;
        let seen = world.calendars.get(&channel.calendar).is_some_and(|c| c.acl.contains_key(&channel.account));
        if channel.stopped || channel.expires <= now || !seen {
            return None;
        }
        let expires = channel.expires.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers = vec![
            ("x-goog-channel-id", message.channel.clone()),
            ("x-goog-channel-expiration", expires),
            ("x-goog-message-number", message.number.to_string()),
            ("x-goog-resource-id", channel.resource.clone()),
            ("x-goog-resource-state", message.state.to_owned()),
            ("x-goog-resource-uri", channel.resource_uri.clone()),
        ];
        headers.extend(channel.token.clone().map(|token| ("x-goog-channel-token", token)));
        Some(Delivery { address: channel.address.clone(), headers, message })
    };
    due.into_iter().filter_map(deliver).collect()
}

/// Whether any message waits.
pub fn is_waiting(world: &World) -> bool {
    !world.push.outbox.is_empty()
}

/// Says how a delivery went: a status, or no answer. Some failures are tried again with growing waits, all else is over (J07, J08).
pub fn went(world: &mut World, delivery: Delivery, status: Option<u16>) {
    let Message { tries, .. } = delivery.message;
    if matches!(status, None | Some(500 | 502 | 503 | 504)) && tries + 1 < TRIES {
        let due = world.now() + TimeDelta::seconds(1 << tries);
        world.push.outbox.push_back(Message { tries: tries + 1, due, ..delivery.message });
    }
}

/// A number below `n` (SplitMix64).
fn roll(dice: &mut u64, n: u64) -> u64 {
    *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *dice;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % n
}

fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
