//! Who floods a channel.
//!
//! The networks let nobody's messages through faster than a channel's quota. This node sends well below it to a peer
//! ([`Capped`]), whatever its clients and its peers make it say, and so does every honest one. Who fills the quota second
//! after second is cut off ([`Metered`]).

use crate::{ports::Peers, runtime::now_ms};
use chorale_foundation::{
    cryptography::ed25519::PublicKey,
    p2p::{LimitedSender, Message, Receiver, Recipients},
    runtime::Clock,
};
use chorale_types::TimestampMs;
use std::{
    collections::BTreeMap,
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Seconds in a row in which a peer fills the quota before it is cut off.
const SECONDS: u32 = 10;
/// After so many seconds without a message of anybody this node may have been stopped.
const GAP_SECONDS: u64 = 5;
/// For how long it then reads what has waited meanwhile, as fast as it is let.
const BACKLOG_SECONDS: u64 = 60;

/// A channel on which floods are noticed.
pub struct Metered<E, R> {
    clock: E,
    inner: R,
    channel: &'static str,
    peers: Peers,
    rates: Rates,
}

impl<E, R> Metered<E, R> {
    pub(super) const fn new(clock: E, inner: R, channel: &'static str, quota: NonZeroU32, peers: Peers) -> Self {
        Self { clock, inner, channel, peers, rates: Rates::new(quota.get()) }
    }
}

impl<E, R: fmt::Debug> fmt::Debug for Metered<E, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered").field("channel", &self.channel).field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<E: Clock, R: Receiver<PublicKey = PublicKey>> Receiver for Metered<E, R> {
    type Error = R::Error;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, R::Error> {
        let (peer, message) = self.inner.recv().await?;
        if self.rates.count(&peer, now_ms(&self.clock)) {
            let (channel, quota) = (self.channel, self.rates.quota);
            let reason = format!("floods the channel {channel}: about {quota} messages a second for {SECONDS} s");
            self.peers.block(&peer, &reason);
        }
        Ok((peer, message))
    }

    fn capacity(&self) -> NonZeroUsize {
        self.inner.capacity()
    }
}

/// Messages of each peer by the second.
#[derive(Debug)]
struct Rates {
    quota: u32,
    second: u64,
    /// Until then nobody floods.
    backlog_until: u64,
    peers: BTreeMap<PublicKey, Rate>,
}

#[derive(Debug, Default)]
struct Rate {
    /// In the current second.
    messages: u32,
    /// Full seconds in a row before it.
    full: u32,
}

impl Rates {
    const fn new(quota: u32) -> Self {
        Self { quota, second: 0, backlog_until: 0, peers: BTreeMap::new() }
    }

    /// Counts a message. Whether the peer floods; said once, until it has been quiet.
    fn count(&mut self, peer: &PublicKey, now: TimestampMs) -> bool {
        let second = now.0 / 1_000;
        if second != self.second {
            if self.second != 0 && second.abs_diff(self.second) > GAP_SECONDS {
                self.backlog_until = second + BACKLOG_SECONDS;
            }
            let counts = second == self.second + 1 && second >= self.backlog_until;
            self.second = second;
            let full = self.quota - self.quota / 8;
            self.peers.retain(|_, rate| {
                let is_full = counts && rate.messages >= full;
                *rate = Rate { messages: 0, full: if is_full { rate.full.saturating_add(1) } else { 0 } };
                is_full
            });
        }
        let rate = self.peers.entry(peer.clone()).or_default();
        rate.messages = rate.messages.saturating_add(1);
        rate.full == SECONDS && rate.messages == 1
    }
}

/// Sends at most so many messages to a peer in a second, and half as many to all; what is above that is not sent. So nobody
/// gets more than three quarters of the quota, and what counts as a flood is seven eighths.
pub struct Capped<E, S> {
    clock: Arc<E>,
    inner: S,
    sent: Arc<Mutex<Sent>>,
}

impl<E, S> Capped<E, S> {
    pub(super) fn new(clock: E, inner: S, cap: u32) -> Self {
        Self { clock: Arc::new(clock), inner, sent: Arc::new(Mutex::new(Sent::new(cap))) }
    }
}

impl<E, S: Clone> Clone for Capped<E, S> {
    fn clone(&self) -> Self {
        Self { clock: self.clock.clone(), inner: self.inner.clone(), sent: self.sent.clone() }
    }
}

impl<E, S> LimitedSender for Capped<E, S>
where
    E: Clock + Send + Sync + 'static,
    S: LimitedSender<PublicKey = PublicKey>,
{
    type PublicKey = PublicKey;
    type Checked<'a>
        = S::Checked<'a>
    where
        Self: 'a;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<S::Checked<'_>, SystemTime> {
        let now = now_ms(&*self.clock);
        let allowed = self.sent.lock().unwrap_or_else(PoisonError::into_inner).allow(recipients, now);
        let Some(allowed) = allowed else {
            return Err(UNIX_EPOCH + Duration::from_secs(now.0 / 1_000 + 1));
        };
        self.inner.check(allowed)
    }
}

/// What was sent in the current second.
#[derive(Debug)]
struct Sent {
    cap: u32,
    second: u64,
    to_all: u32,
    to: BTreeMap<PublicKey, u32>,
}

impl Sent {
    const fn new(cap: u32) -> Self {
        Self { cap, second: 0, to_all: 0, to: BTreeMap::new() }
    }

    /// Those of the recipients who may be sent one more message now, which counts as sent; none if nobody may.
    fn allow(&mut self, recipients: Recipients<PublicKey>, now: TimestampMs) -> Option<Recipients<PublicKey>> {
        let second = now.0 / 1_000;
        if second != self.second {
            (self.second, self.to_all) = (second, 0);
            self.to.clear();
        }
        match recipients {
            // Whatever one peer makes this node send to it: all others have to be told.
            Recipients::All => (self.to_all < self.cap / 2).then(|| {
                self.to_all += 1;
                Recipients::All
            }),
            Recipients::One(peer) => self.allow_one(&peer).then_some(Recipients::One(peer)),
            Recipients::Some(mut peers) => {
                peers.retain(|peer| self.allow_one(peer));
                (!peers.is_empty()).then_some(Recipients::Some(peers))
            }
        }
    }

    fn allow_one(&mut self, peer: &PublicKey) -> bool {
        let to = self.to.entry(peer.clone()).or_default();
        let is_allowed = self.to_all + *to < self.cap;
        *to += u32::from(is_allowed);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::{BACKLOG_SECONDS, Rates, SECONDS, Sent};
    use crate::tests::cluster::identity;
    use chorale_foundation::{
        cryptography::{Signer as _, ed25519::PublicKey},
        p2p::Recipients,
    };
    use chorale_types::TimestampMs;

    const QUOTA: u32 = 100;

    fn second(second: u32) -> TimestampMs {
        TimestampMs(u64::from(second) * 1_000 + 999)
    }

    /// So many messages within a second. How often it was said that the peer floods.
    fn send(rates: &mut Rates, peer: &PublicKey, at: u32, messages: u32) -> usize {
        (0..messages).filter(|_| rates.count(peer, second(at))).count()
    }

    #[test]
    fn who_fills_the_quota_for_ten_seconds_floods_and_that_is_said_once() {
        let mut rates = Rates::new(QUOTA);
        let [flooder, honest] = [0, 1].map(|i| identity(i).public_key());
        let mut said = 0;
        for at in 1..3 * SECONDS {
            said += send(&mut rates, &flooder, at, QUOTA);
            assert_eq!(send(&mut rates, &honest, at, QUOTA / 2), 0);
        }
        assert_eq!(said, 1);
    }

    #[test]
    fn a_burst_and_a_pause_are_no_flood() {
        let mut rates = Rates::new(QUOTA);
        let peer = identity(0).public_key();
        for at in (1..10 * SECONDS).filter(|at| at % SECONDS != 0) {
            assert_eq!(send(&mut rates, &peer, at, QUOTA), 0);
        }
    }

    #[test]
    fn what_waited_while_this_node_was_stopped_is_no_flood() {
        let mut rates = Rates::new(QUOTA);
        let peer = identity(0).public_key();
        send(&mut rates, &peer, 1, 1);
        let backlog = u32::try_from(BACKLOG_SECONDS).unwrap();
        let said = |rates: &mut Rates, seconds: std::ops::Range<u32>| -> usize {
            seconds.map(|at| send(rates, &peer, 1_000 + at, QUOTA)).sum()
        };
        assert_eq!(said(&mut rates, 0..backlog), 0);
        assert_eq!(said(&mut rates, backlog..backlog + 2 * SECONDS), 1, "it goes on");
    }

    #[test]
    fn no_peer_gets_what_counts_as_a_flood_and_none_keeps_others_from_being_told() {
        let mut sent = Sent::new(QUOTA / 2);
        let [one, other] = [0, 1].map(|i| identity(i).public_key());
        let count = |sent: &mut Sent, recipients: Recipients<PublicKey>, at| {
            (0..QUOTA).filter(|_| sent.allow(recipients.clone(), second(at)).is_some()).count()
        };
        assert_eq!(count(&mut sent, Recipients::One(one.clone()), 1), 50);
        assert_eq!(count(&mut sent, Recipients::All, 1), 25, "also if one peer has had its part");
        const { assert!(50 + 25 < QUOTA - QUOTA / 8) };
        let both = Recipients::Some(vec![one, other.clone()]);
        let Some(Recipients::Some(allowed)) = sent.allow(both, second(1)) else { panic!("one may be sent more") };
        assert_eq!(allowed, std::slice::from_ref(&other));
        assert_eq!(count(&mut sent, Recipients::All, 2), 25);
        assert_eq!(count(&mut sent, Recipients::One(other), 2), 25);
    }
}
