//! How often one may ask, by address. Whoever asks more often waits; what Google rings is not counted here (reliability W3).

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::HashMapStateStore,
};
use ipnet::IpNet;
use salvo::{Depot, FlowCtrl, Request, Response, handler};

use super::{Front, error::Refusal};

type Keyed = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>;

type Numbered = RateLimiter<i64, HashMapStateStore<i64>, DefaultClock>;

/// After so many questions those are forgotten who have not asked for long.
const SWEEP: u32 = 1_000;

/// All limits.
#[derive(Clone)]
pub struct Limits {
    trusted: Arc<Vec<IpNet>>,
    sign_in: Arc<Keyed>,
    unlock: Arc<Keyed>,
    pages: Arc<Keyed>,
    syncs: Arc<Numbered>,
    exports: Arc<Numbered>,
    asked: Arc<AtomicU32>,
}

fn per_minute(n: u32) -> Arc<Keyed> {
    let n = NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Arc::new(RateLimiter::hashmap(Quota::per_minute(n)))
}

impl Limits {
    /// The usual limits; addresses forwarded by `trusted` proxies count.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self::of(trusted, 1)
    }

    /// So many times the usual limits.
    pub fn of(trusted: Vec<IpNet>, times: u32) -> Self {
        Limits {
            trusted: Arc::new(trusted),
            sign_in: per_minute(10 * times),
            unlock: per_minute(5 * times),
            pages: per_minute(240 * times),
            syncs: Arc::new(RateLimiter::hashmap(Quota::per_minute(NonZeroU32::MIN))),
            exports: Arc::new(RateLimiter::hashmap(Quota::per_hour(NonZeroU32::MIN.saturating_add(2)))),
            asked: Arc::default(),
        }
    }

    /// Whose address counts: that of the connection, or the last one that a trusted proxy did not add itself.
    fn address(&self, req: &Request) -> IpAddr {
        let direct = req.remote_addr().clone().into_std().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |at| at.ip());
        let trusted = |ip: &IpAddr| self.trusted.iter().any(|net| net.contains(ip));
        let mut at = direct;
        if trusted(&direct) {
            let hops = req.headers().get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
            let hops: Vec<&str> = hops.flat_map(|text| text.split(',')).map(str::trim).collect();
            for hop in hops.iter().rev() {
                let Ok(ip) = hop.parse::<IpAddr>() else { break };
                at = ip;
                if !trusted(&ip) {
                    break;
                }
            }
        }
        match at.to_canonical() {
            // One customer has a whole network of these.
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX))),
            v4 => v4,
        }
    }

    /// Counts one more; seconds to wait if that is too many.
    fn count(&self, keyed: &Keyed, req: &Request) -> Result<(), u64> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.syncs.retain_recent();
            self.exports.retain_recent();
            for keyed in [&self.sign_in, &self.unlock, &self.pages] {
                keyed.retain_recent();
                keyed.shrink_to_fit();
            }
        }
        let now = DefaultClock::default().now();
        keyed.check_key(&self.address(req)).map_err(|until| until.wait_time_from(now).as_secs() + 1)
    }

    /// Counts a wish of a program that something be looked at now.
    ///
    /// # Errors
    /// A refusal for a second one within a minute.
    pub fn sync(&self, of: i64) -> Result<(), Refusal> {
        numbered(&self.syncs, of)
    }

    /// Counts a copy of the database that an admin takes.
    ///
    /// # Errors
    /// A refusal for a fourth one within an hour.
    pub fn export(&self, admin: i64) -> Result<(), Refusal> {
        numbered(&self.exports, admin)
    }

    /// Counts a try to guess the setup token.
    ///
    /// # Errors
    /// A refusal for one too many.
    pub fn unlock(&self, req: &Request) -> Result<(), Refusal> {
        self.count(&self.unlock, req).map_err(Refusal::too_often)
    }
}

fn numbered(limiter: &Numbered, of: i64) -> Result<(), Refusal> {
    let now = DefaultClock::default().now();
    limiter.check_key(&of).map_err(|until| Refusal::too_often(until.wait_time_from(now).as_secs() + 1))
}

/// Counts ways to Google and back.
#[handler]
pub async fn sign_ins(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    let limits = Front::of(depot).limits;
    if let Err(seconds) = limits.count(&limits.sign_in, req) {
        Refusal::too_often(seconds).answer(req, depot, res);
        ctrl.skip_rest();
    }
}

/// Counts everything else that people and programs ask.
#[handler]
pub async fn all(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    let limits = Front::of(depot).limits;
    if let Err(seconds) = limits.count(&limits.pages, req) {
        Refusal::too_often(seconds).answer(req, depot, res);
        ctrl.skip_rest();
    }
}
