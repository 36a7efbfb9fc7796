//! A simulated network of peers who all reach each other.

use chorale_foundation::{
    cryptography::ed25519::PublicKey,
    p2p::simulated::{self, Link, Network, Oracle},
    runtime::{Supervisor as _, deterministic::Context},
    utils::{NZUsize, probability},
};
use std::time::Duration;

/// Starts it. Messages take ten milliseconds, and up to `jitter_ms` more or less.
pub(crate) async fn linked(context: &Context, peers: &[PublicKey], jitter_ms: u64) -> Oracle<PublicKey, Context> {
    let settings = simulated::Config {
        max_size: 1024 * 1024,
        max_peers_per_set: NZUsize!(16),
        disconnect_on_block: true,
        tracked_peer_sets: NZUsize!(1),
    };
    let (network, oracle) = Network::new_with_peers(context.child("network"), settings, peers.to_vec()).await;
    network.start();
    let (latency, jitter) = (Duration::from_millis(10), Duration::from_millis(jitter_ms));
    let link = Link { latency, jitter, success_rate: probability!(1.0) };
    for from in peers {
        for to in peers.iter().filter(|to| *to != from) {
            oracle.add_link(from.clone(), to.clone(), link.clone()).await.unwrap();
        }
    }
    oracle
}
