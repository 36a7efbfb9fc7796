//! Who floods: the networks let nobody send faster than a channel's quota, and honest nodes stay far below it. Who fills
//! it second after second keeps others from being heard on the same connection's side, and is cut off.

use crate::{ports::Peers, runtime::now_ms};
use chorale_foundation::{
    cryptography::ed25519::PublicKey,
    p2p::{Message, Receiver},
    runtime::Clock,
};
use chorale_types::TimestampMs;
use std::{
    collections::BTreeMap,
    fmt,
    num::{NonZeroU32, NonZeroUsize},
};

/// Seconds in a row in which a peer fills the quota before it is cut off.
const SECONDS: u32 = 10;

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
        Self { quota, second: 0, peers: BTreeMap::new() }
    }

    /// Counts a message. Whether the peer floods; said once, until it has been quiet.
    fn count(&mut self, peer: &PublicKey, now: TimestampMs) -> bool {
        let second = now.0 / 1_000;
        if second != self.second {
            let is_next = second == self.second + 1;
            self.second = second;
            let full = self.quota - self.quota / 8;
            self.peers.retain(|_, rate| {
                let is_full = is_next && rate.messages >= full;
                *rate = Rate { messages: 0, full: if is_full { rate.full.saturating_add(1) } else { 0 } };
                is_full
            });
        }
        let rate = self.peers.entry(peer.clone()).or_default();
        rate.messages = rate.messages.saturating_add(1);
        rate.full == SECONDS && rate.messages == 1
    }
}

#[cfg(test)]
mod tests {
    use super::{Rates, SECONDS};
    use crate::tests::cluster::identity;
    use chorale_foundation::cryptography::{Signer as _, ed25519::PublicKey};
    use chorale_types::TimestampMs;

    const QUOTA: u32 = 100;

    /// So many messages within a second. How often it was said that the peer floods.
    fn send(rates: &mut Rates, peer: &PublicKey, second: u32, messages: u32) -> usize {
        let now = TimestampMs(u64::from(second) * 1_000 + 999);
        (0..messages).filter(|_| rates.count(peer, now)).count()
    }

    #[test]
    fn who_fills_the_quota_for_ten_seconds_floods_and_that_is_said_once() {
        let mut rates = Rates::new(QUOTA);
        let [flooder, honest] = [0, 1].map(|i| identity(i).public_key());
        let mut said = 0;
        for second in 0..3 * SECONDS {
            said += send(&mut rates, &flooder, second, QUOTA);
            assert_eq!(send(&mut rates, &honest, second, QUOTA / 2), 0);
        }
        assert_eq!(said, 1);
    }

    #[test]
    fn a_burst_and_a_pause_are_no_flood() {
        let mut rates = Rates::new(QUOTA);
        let peer = identity(0).public_key();
        for second in (0..10 * SECONDS).filter(|second| second % SECONDS != 0) {
            assert_eq!(send(&mut rates, &peer, second, QUOTA), 0);
        }
    }
}
