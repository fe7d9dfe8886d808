//! How often one may ask, by address. Whoever asks more often waits; what Google rings is not counted here (reliability W3).

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
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
/// Addresses that are kept at most. Beyond, all are forgotten: whoever has so many is not slowed down by counting them.
const ADDRESSES_MAX: usize = 50_000;
/// A request's body may take so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Counts by address, in bounded memory.
struct ByAddress {
    quota: Quota,
    keyed: Mutex<Arc<Keyed>>,
}

impl ByAddress {
    fn keyed(&self) -> Arc<Keyed> {
        self.keyed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets those who have not asked for long, and everybody if that does not help.
    fn sweep(&self) {
        let keyed = self.keyed();
        keyed.retain_recent();
        keyed.shrink_to_fit();
        if keyed.len() > ADDRESSES_MAX {
            *self.keyed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(RateLimiter::hashmap(self.quota));
        }
    }
}

/// All limits.
#[derive(Clone)]
pub struct Limits {
    trusted: Arc<Vec<IpNet>>,
    sign_in: Arc<ByAddress>,
    unlock: Arc<ByAddress>,
    pages: Arc<ByAddress>,
    syncs: Arc<Numbered>,
    exports: Arc<Numbered>,
    test_mails: Arc<Numbered>,
    asked: Arc<AtomicU32>,
    /// A request's body may take so long.
    pub patience: Duration,
}

fn per_minute(n: u32) -> Arc<ByAddress> {
    let quota = Quota::per_minute(NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN));
    Arc::new(ByAddress { quota, keyed: Mutex::new(Arc::new(RateLimiter::hashmap(quota))) })
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
            test_mails: Arc::new(RateLimiter::hashmap(Quota::per_hour(NonZeroU32::MIN.saturating_add(9)))),
            asked: Arc::default(),
            patience: PATIENCE,
        }
    }

    /// The address of the connection.
    fn direct(req: &Request) -> IpAddr {
        req.remote_addr().clone().into_std().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |at| at.ip()).to_canonical()
    }

    fn trusts(&self, ip: &IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(ip))
    }

    /// Whether a proxy that is trusted sends this request.
    pub fn by_proxy(&self, req: &Request) -> bool {
        self.trusts(&Self::direct(req))
    }

    /// Whose address counts: that of the connection, or the last one that a trusted proxy did not add itself.
    fn address(&self, req: &Request) -> IpAddr {
        let direct = Self::direct(req);
        let mut at = direct;
        if self.trusts(&direct) {
            let hops = req.headers().get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
            let hops: Vec<&str> = hops.flat_map(|text| text.split(',')).map(str::trim).collect();
            for hop in hops.iter().rev() {
                let Ok(ip) = hop.parse::<IpAddr>() else { break };
                at = ip.to_canonical();
                if !self.trusts(&at) {
                    break;
                }
            }
        }
        network(at)
    }

    /// Counts one more; seconds to wait if that is too many.
    fn count(&self, by: &ByAddress, of: IpAddr) -> Result<(), u64> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            for numbered in [&self.syncs, &self.exports, &self.test_mails] {
                numbered.retain_recent();
            }
            for by in [&self.sign_in, &self.unlock, &self.pages] {
                by.sweep();
            }
        }
        let now = DefaultClock::default().now();
        by.keyed().check_key(&of).map_err(|until| until.wait_time_from(now).as_secs() + 1)
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

    /// Counts a test message that an admin sends.
    ///
    /// # Errors
    /// A refusal for an eleventh one within an hour: the test is no tool to look for mail servers.
    pub fn test_mail(&self, admin: i64) -> Result<(), Refusal> {
        numbered(&self.test_mails, admin)
    }

    /// Counts a try to guess the setup token.
    ///
    /// # Errors
    /// A refusal for one too many.
    pub fn unlock(&self, req: &Request) -> Result<(), Refusal> {
        self.count(&self.unlock, self.address(req)).map_err(Refusal::too_often)
    }
}

/// One customer has a whole network of the newer addresses, and counts as one.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX))),
        v4 => v4,
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
    if let Err(seconds) = limits.count(&limits.sign_in, limits.address(req)) {
        Refusal::too_often(seconds).answer(req, depot, res);
        ctrl.skip_rest();
    }
}

/// Counts everything else that people and programs ask.
#[handler]
pub async fn all(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    let limits = Front::of(depot).limits;
    if let Err(seconds) = limits.count(&limits.pages, limits.address(req)) {
        Refusal::too_often(seconds).answer(req, depot, res);
        ctrl.skip_rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_addresses_ask_few_are_kept() {
        let limits = Limits::new(Vec::new());
        let mut most = 0;
        for n in 0..200_000_u32 {
            // A network of its own for each, and many addresses of one.
            let of = network(IpAddr::V6(Ipv6Addr::from((u128::from(n) << 64) | 7)));
            assert_eq!(limits.count(&limits.sign_in, of), Ok(()));
            if n % 1_000 == 0 {
                most = most.max(limits.sign_in.keyed().len());
            }
        }
        assert!(most <= ADDRESSES_MAX + 2 * SWEEP as usize, "{most}");
        let one = |n: u128| network(IpAddr::V6(Ipv6Addr::from((1_u128 << 100) | n)));
        let refused = (0..20).filter(|n| limits.count(&limits.sign_in, one(*n)).is_err()).count();
        assert_eq!(refused, 10, "one network counts as one");
    }
}
