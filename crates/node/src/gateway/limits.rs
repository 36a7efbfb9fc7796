//! What one client may ask of a node in a second.
//!
//! Token buckets, one for requests and one for bytes, for every address. Pure: the clock is an input.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// Clients that are remembered. Above it, the one that has been silent for longest is forgotten, which gives it a full
/// bucket again: an attacker with as many addresses needs no such trick.
const CLIENTS_MAX: usize = 16 * 1024;

/// How many seconds' worth a client that was silent may ask for at once.
const BURST_S: u64 = 4;

/// What one client may ask for in a second; 0: as much as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests.
    pub requests: u64,
    /// Bytes of their parameters.
    pub bytes: u64,
}

/// A bucket, in thousandths of what it is filled with, so that milliseconds fill it evenly.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u64,
    per_second: u64,
}

impl Bucket {
    const fn full(per_second: u64) -> Self {
        Self { left: per_second.saturating_mul(BURST_S * 1_000), per_second }
    }

    fn fill(&mut self, ms: u64) {
        let full = Self::full(self.per_second).left;
        self.left = self.left.saturating_add(ms.saturating_mul(self.per_second)).min(full);
    }

    /// In how many milliseconds so much may be taken. More than the bucket holds may be taken when it is full.
    fn wait_ms(&self, amount: u64) -> u64 {
        if self.per_second == 0 {
            return 0;
        }
        let needed = amount.saturating_mul(1_000).min(Self::full(self.per_second).left);
        needed.saturating_sub(self.left).div_ceil(self.per_second)
    }

    const fn take(&mut self, amount: u64) {
        self.left = self.left.saturating_sub(amount.saturating_mul(1_000));
    }
}

/// What one may ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    requests: Bucket,
    bytes: Bucket,
    seen_ms: u64,
}

impl Allowance {
    /// Nothing was asked yet.
    pub(super) const fn new(limits: Limits, now_ms: u64) -> Self {
        Self { requests: Bucket::full(limits.requests), bytes: Bucket::full(limits.bytes), seen_ms: now_ms }
    }

    /// So many requests of so many bytes in all, at a time in milliseconds.
    ///
    /// # Errors
    ///
    /// That is too much, with the milliseconds after which it is not. That costs nothing.
    pub(super) fn ask(&mut self, requests: u64, bytes: u64, now_ms: u64) -> Result<(), u64> {
        let passed_ms = now_ms.saturating_sub(self.seen_ms);
        self.seen_ms = self.seen_ms.max(now_ms);
        self.requests.fill(passed_ms);
        self.bytes.fill(passed_ms);
        let wait_ms = self.requests.wait_ms(requests).max(self.bytes.wait_ms(bytes));
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        self.requests.take(requests);
        self.bytes.take(bytes);
        Ok(())
    }
}

/// The clients of a node.
#[derive(Debug)]
pub(super) struct Clients {
    limits: Limits,
    clients: BTreeMap<IpAddr, Allowance>,
    /// By the time they were seen last.
    silent: BTreeSet<(u64, IpAddr)>,
}

impl Clients {
    /// Nobody has asked yet.
    #[must_use]
    pub(super) const fn new(limits: Limits) -> Self {
        Self { limits, clients: BTreeMap::new(), silent: BTreeSet::new() }
    }

    /// A client sends so many requests of so many bytes in all, at a time in milliseconds.
    ///
    /// # Errors
    ///
    /// It has asked for too much, with the milliseconds after which it may ask again. That costs it nothing.
    pub(super) fn ask(&mut self, client: IpAddr, requests: u64, bytes: u64, now_ms: u64) -> Result<(), u64> {
        let address = network_of(client);
        let is_full = !self.clients.contains_key(&address) && self.clients.len() >= CLIENTS_MAX;
        if is_full && let Some((_, silent)) = self.silent.pop_first() {
            self.clients.remove(&silent);
        }
        let known = self.clients.entry(address).or_insert(Allowance::new(self.limits, now_ms));
        self.silent.remove(&(known.seen_ms, address));
        let answer = known.ask(requests, bytes, now_ms);
        self.silent.insert((known.seen_ms, address));
        answer
    }
}

/// One client has all addresses of an IPv6 network of 64 bits.
pub(super) fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST_S, CLIENTS_MAX, Clients, Limits};
    use std::net::{IpAddr, Ipv4Addr};

    fn client(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    /// How many of many requests of so many bytes are answered at a time.
    fn answered(clients: &mut Clients, number: u32, bytes: u64, now_ms: u64) -> u64 {
        (0..10_000).filter(|_| clients.ask(client(number), 1, bytes, now_ms).is_ok()).count() as u64
    }

    #[test]
    fn who_asks_too_often_is_told_when_to_ask_again() {
        let mut clients = Clients::new(Limits { requests: 10, bytes: 0 });
        assert_eq!(answered(&mut clients, 1, 1 << 40, 0), 10 * BURST_S);
        assert_eq!(clients.ask(client(1), 1, 0, 0), Err(100));
        assert_eq!(clients.ask(client(1), 1, 0, 99), Err(1));
        assert_eq!(answered(&mut clients, 1, 0, 100), 1);
        assert_eq!(answered(&mut clients, 1, 0, 1_100), 10);
        assert_eq!(answered(&mut clients, 1, 0, 1_000_000), 10 * BURST_S, "silence saves no more than a burst");
        assert_eq!(answered(&mut clients, 2, 0, 0), 10 * BURST_S, "and others are not concerned");
    }

    #[test]
    fn bytes_count_and_what_is_longer_than_a_burst_waits_for_a_full_one() {
        let mut clients = Clients::new(Limits { requests: 0, bytes: 1_000 });
        assert_eq!(answered(&mut clients, 1, 100, 0), 10 * BURST_S);
        assert_eq!(clients.ask(client(1), 1, 50, 0), Err(50));
        assert_eq!(clients.ask(client(1), 1, 1 << 40, 0), Err(1_000 * BURST_S));
        assert_eq!(clients.ask(client(1), 1, 1 << 40, 1_000 * BURST_S), Ok(()));
    }

    #[test]
    fn without_limits_everything_is_answered() {
        let mut clients = Clients::new(Limits { requests: 0, bytes: 0 });
        assert_eq!(answered(&mut clients, 1, u64::MAX, 0), 10_000);
    }

    #[test]
    fn a_network_is_one_client_and_the_table_is_bounded() {
        let mut clients = Clients::new(Limits { requests: 1, bytes: 0 });
        for host in 0..BURST_S {
            let address: IpAddr = format!("2001:db8::{host}").parse().unwrap();
            assert_eq!(clients.ask(address, 1, 0, 0), Ok(()));
        }
        assert!(clients.ask("2001:db8::ffff".parse().unwrap(), 1, 0, 0).is_err());
        assert_eq!(clients.ask("2001:db8:0:1::".parse().unwrap(), 1, 0, 0), Ok(()));
        for number in 0..=u32::try_from(CLIENTS_MAX).unwrap() {
            let _ = clients.ask(client(number), 1, 0, u64::from(number));
        }
        assert_eq!((clients.clients.len(), clients.silent.len()), (CLIENTS_MAX, CLIENTS_MAX));
    }
}
