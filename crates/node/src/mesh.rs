//! The mesh: authenticated and encrypted connections between validators.
//!
//! Two networks, each with its own connections: one carries the messages of consensus alone, so that megabytes on the
//! other never stand before a vote. Identities are ed25519 keys; who is not of an epoch's validators (or of the one
//! before) is refused. Who [floods](Metered) a channel is cut off.

mod flood;

pub use flood::{Capped, Metered};

use crate::{
    config::{ConfigError, Keys, NodeConfig},
    ports::Peers,
};
use chorale_foundation::{
    Bytes,
    codec::DecodeExt,
    cryptography::{
        ChaCha20Poly1305,
        ed25519::{PrivateKey, PublicKey},
    },
    p2p::{
        Address, AddressableManager as _, AddressableTrackedPeers,
        authenticated::lookup::{self, Network, Oracle, Receiver, Sender},
    },
    runtime::{Clock, Metrics, Network as RuntimeNetwork, Quota, Resolver, Spawner},
    stream::{
        cups::{self, Cups},
        sake::{self, Sake},
    },
    utils::{NZU32, NZUsize, ordered::Map},
};
use chorale_types::{EpochInfo, Genesis, NodeKey, limits::VALIDATORS_MAX};
use rand_core::CryptoRng;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

type Handshake = Cups<Sake<PrivateKey>, ChaCha20Poly1305>;

/// Bytes of one message of consensus at most: the longest timeout of the largest set ([`chorale_types::Timeout`]), and
/// room. A longer one could not be sent.
pub const ORDER_MESSAGE_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes of one bulk message at most; larger things travel in frames.
pub const BULK_MESSAGE_BYTES_MAX: u32 = 512 * 1024;

/// Messages that wait inside the network of consensus, for each peer and between its parts. Room for them is made at the
/// start.
const ORDER_MAILBOX_SIZE: NonZeroUsize = NZUsize!(1_024);
/// The same of the bulk network. Whatever waits for a peer that does not read stays in memory until the connection times
/// out, and here most of it are frames of payloads: 64 MiB, or the chunks of several payloads in the air.
const BULK_MAILBOX_SIZE: NonZeroUsize = NZUsize!(256);

/// Of a channel's quota, how much this node sends to a peer at most.
const SEND_PERCENT: u32 = 50;

/// How long a peer that misbehaved stays cut off.
const BLOCK_DURATION: Duration = Duration::from_secs(10 * 60);

/// Bulk channels.
pub mod channel {
    /// Sealed payloads: chunks, acknowledgements, reveal.
    pub const CHUNKS: u64 = 0;
    /// The shared mempool.
    pub const MEMPOOL: u64 = 1;
    /// Headers for who was away.
    pub const SYNC: u64 = 2;
    /// Signatures over outcomes.
    pub const ATTEST: u64 = 3;
    /// Proof of what validators must not do.
    pub const EVIDENCE: u64 = 4;
}

/// Where the two networks listen, or are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Consensus.
    pub order: SocketAddr,
    /// Everything else.
    pub bulk: SocketAddr,
}

/// What the mesh is told once.
#[derive(Clone)]
pub struct Config {
    /// This node's identity.
    pub identity: PrivateKey,
    /// Binds connections to the chain.
    pub namespace: Vec<u8>,
    /// Where to listen.
    pub listen: Addresses,
    /// Where peers are reached, by identity.
    pub peers: BTreeMap<NodeKey, Addresses>,
    /// Validators of an epoch at most, this node among them.
    pub peers_max: usize,
    /// How long a peer that misbehaved stays cut off.
    pub block_duration: Duration,
    /// How much of what others let through is sent at most. Who sends all of it for a while is cut off.
    pub send_percent: u32,
}

impl Config {
    /// The settings of a configured node.
    ///
    /// # Errors
    ///
    /// A peer's identity that is none, or stands twice.
    pub fn new(config: &NodeConfig, genesis: &Genesis, keys: &Keys) -> Result<Self, ConfigError> {
        let mut addresses =
            config.peers().map_err(|problem| ConfigError::Content { path: config.keys.clone(), problem })?;
        let listen = Addresses { order: config.listen_order, bulk: config.listen_bulk };
        addresses.insert(keys.node(), listen);
        Ok(Self {
            identity: keys.identity.clone(),
            namespace: [b"chorale/mesh/v2/".as_slice(), genesis.chain().as_ref()].concat(),
            listen,
            peers_max: addresses.len().min(VALIDATORS_MAX),
            peers: addresses,
            block_duration: BLOCK_DURATION,
            send_percent: SEND_PERCENT,
        })
    }
}

/// The channels between nodes: of the networks here, or of simulated ones.
pub struct Mesh<N, R> {
    /// The messages of consensus.
    pub order: (N, R),
    /// [`channel::CHUNKS`].
    pub chunks: (N, R),
    /// [`channel::MEMPOOL`].
    pub mempool: (N, R),
    /// [`channel::SYNC`].
    pub sync: (N, R),
    /// [`channel::ATTEST`].
    pub attest: (N, R),
    /// [`channel::EVIDENCE`].
    pub evidence: (N, R),
    /// Cuts off who misbehaves.
    pub peers: Peers,
    /// Changes who is connected; none where all are for ever.
    pub membership: Option<Membership>,
}

/// The mesh on sockets.
pub type SocketMesh<E> = Mesh<Capped<E, Sender<PublicKey, E>>, Metered<E, Receiver<PublicKey>>>;

/// Whom the mesh connects to, by epoch.
#[derive(Clone)]
pub struct Membership {
    oracles: [Oracle<PublicKey>; 2],
    addresses: BTreeMap<NodeKey, Addresses>,
}

impl Membership {
    /// Connects to the validators of an epoch; those of the one before stay connected.
    pub fn track(&mut self, info: &EpochInfo) {
        let known = |pick: fn(&Addresses) -> SocketAddr| {
            let peers = info.validators.iter().filter_map(|(_, validator)| {
                let key = PublicKey::decode(Bytes::copy_from_slice(&validator.node.0)).ok()?;
                let address = self.addresses.get(&validator.node)?;
                Some((key, Address::from(pick(address))))
            });
            AddressableTrackedPeers::primary(Map::from_iter_dedup(peers))
        };
        let (order, bulk) = (known(|addresses| addresses.order), known(|addresses| addresses.bulk));
        for (oracle, peers) in self.oracles.iter_mut().zip([order, bulk]) {
            let _ = oracle.track(info.epoch.0, peers);
        }
    }
}

impl<E> SocketMesh<E>
where
    E: Spawner + Clock + CryptoRng + RuntimeNetwork + Resolver + Metrics,
{
    /// Starts both networks. Nobody is connected before [`Membership::track`].
    #[must_use]
    pub fn start(context: &E, config: &Config) -> Self {
        let order = (ORDER_MESSAGE_BYTES_MAX, ORDER_MAILBOX_SIZE);
        let (mut order_network, order_oracle) =
            network(context.child("order"), config, b"order", config.listen.order, order);
        let bulk = (BULK_MESSAGE_BYTES_MAX, BULK_MAILBOX_SIZE);
        let (mut bulk_network, bulk_oracle) = network(context.child("bulk"), config, b"bulk", config.listen.bulk, bulk);
        let peers = Peers::new([order_oracle.clone(), bulk_oracle.clone()]);
        // Several times what an honest node sends to one peer. The networks make room for a second of it for every peer
        // that there may be, before any comes.
        let register = |network: &mut Network<E, Handshake>, number, name, per_second: NonZeroU32| {
            let (sender, receiver) = network.register(number, Quota::per_second(per_second));
            let cap = per_second.get().saturating_mul(config.send_percent) / 100;
            let sender = Capped::new(context.child(name), sender, cap);
            (sender, Metered::new(context.child(name), receiver, name, per_second, peers.clone()))
        };
        let order = register(&mut order_network, 0, "order", NZU32!(512));
        let chunks = register(&mut bulk_network, channel::CHUNKS, "chunks", NZU32!(1_024));
        let mempool = register(&mut bulk_network, channel::MEMPOOL, "mempool", NZU32!(512));
        let sync = register(&mut bulk_network, channel::SYNC, "sync", NZU32!(256));
        let attest = register(&mut bulk_network, channel::ATTEST, "attest", NZU32!(512));
        let evidence = register(&mut bulk_network, channel::EVIDENCE, "evidence", NZU32!(64));
        order_network.start();
        bulk_network.start();
        let membership = Membership { oracles: [order_oracle, bulk_oracle], addresses: config.peers.clone() };
        Self { order, chunks, mempool, sync, attest, evidence, peers, membership: Some(membership) }
    }
}

fn network<E>(
    context: E,
    config: &Config,
    name: &[u8],
    listen: SocketAddr,
    (message_bytes_max, mailbox_size): (u32, NonZeroUsize),
) -> (Network<E, Handshake>, Oracle<PublicKey>)
where
    E: Spawner + Clock + CryptoRng + RuntimeNetwork + Resolver + Metrics,
{
    let handshake = Cups::new(
        Sake {
            signer: config.identity.clone(),
            synchrony_bound: Duration::from_secs(5),
            max_handshake_age: Duration::from_secs(10),
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let namespace = [config.namespace.as_slice(), b"/", name].concat();
    // Validators behind one address (a laboratory, a devnet) are as welcome as any: keys decide, not addresses.
    let mut settings = lookup::Config::local(
        handshake,
        &namespace,
        listen,
        NZUsize!(config.peers_max),
        message_bytes_max,
        mailbox_size,
    );
    settings.bypass_ip_check = true;
    settings.block_duration = config.block_duration;
    settings.tracked_peer_sets = NZUsize!(2);
    Network::new(context, settings)
}

#[cfg(test)]
mod tests {
    use super::{BULK_MAILBOX_SIZE, ORDER_MESSAGE_BYTES_MAX};
    use crate::dispersal::frames::{FRAME_BODY_BYTES_MAX, FRAME_BYTES_MAX};
    use chorale_types::{
        Acknowledged, AvailabilityCertificate, BlockId, BlockReference, BuilderId, ChainId, Commitment, Digest, Entry,
        Epoch, Header, Height, High, Message, QuorumCertificate, Rank, RankKind, Signature, Signers, Timeout,
        TimeoutCertificate, TimeoutGroup, TimeoutQuorum, TimestampMs, Tip, ValidatorIndex, View,
        codec::{EncodeSize, List},
        limits::{HEADER_PAYLOADS_MAX, PAYLOAD_BYTES_MAX, VALIDATORS_MAX},
    };

    const DIGEST: Digest = Digest { 0: [7; 32] };
    const SIGNATURE: Signature = Signature([7; Signature::BYTES]);

    fn signers() -> Signers {
        Signers::of(VALIDATORS_MAX, (0..1024).map(ValidatorIndex))
    }

    fn certificate() -> QuorumCertificate {
        let block = BlockReference { view: View(1), parent: View(0), height: Height(1), id: BlockId(DIGEST) };
        QuorumCertificate { epoch: Epoch(0), view: View(1), block, signers: signers(), signature: SIGNATURE }
    }

    /// As many groups as there are validators, each with a rank of its own.
    fn quorum() -> TimeoutQuorum {
        let rank = |view| Rank { view: View(view), kind: RankKind::Certified, parent: View(0) };
        let group = |view| TimeoutGroup { rank: rank(view), signers: signers(), signature: SIGNATURE };
        let groups = List::new((0..VALIDATORS_MAX as u64).map(group).collect()).unwrap();
        TimeoutQuorum { epoch: Epoch(0), view: View(2_000), groups }
    }

    fn tip() -> Tip {
        let acknowledged = Acknowledged {
            builder: BuilderId(DIGEST),
            commitment: Commitment(DIGEST),
            length: 1,
            manifest: DIGEST,
            expiry: View(1),
        };
        let payload = AvailabilityCertificate { acknowledged, signers: signers(), signature: SIGNATURE };
        let header = Header {
            chain: ChainId(DIGEST),
            epoch: Epoch(0),
            view: View(2_001),
            height: Height(2),
            parent: certificate(),
            timestamp: TimestampMs(0),
            payloads: List::new(vec![payload; HEADER_PAYLOADS_MAX]).unwrap(),
            author: ValidatorIndex(0),
        };
        Tip { header: header.into(), entry: Some(quorum()), signature: SIGNATURE }
    }

    /// The network refuses to send a longer message, and does so with a panic.
    #[test]
    fn the_longest_message_of_the_largest_set_can_be_sent() {
        let entry = TimeoutCertificate { quorum: quorum(), high: High::Voted(tip()) };
        let timeout = Timeout {
            epoch: Epoch(0),
            view: View(2_001),
            high: High::Voted(tip()),
            author: ValidatorIndex(0),
            signature: SIGNATURE,
            entry: Some(Entry::TimedOut(entry)),
        };
        let bytes = Message::Timeout(timeout).encode_size() + 1;
        assert!(bytes > 500_000, "{bytes}");
        assert!(bytes <= ORDER_MESSAGE_BYTES_MAX as usize, "{bytes}");
    }

    #[test]
    fn a_peer_that_does_not_read_holds_some_tens_of_megabytes_and_one_that_does_gets_payloads() {
        const FRAMES: usize = BULK_MAILBOX_SIZE.get();
        const { assert!(FRAMES * FRAME_BYTES_MAX < 70_000_000) };
        const { assert!(FRAMES >= 8 * PAYLOAD_BYTES_MAX.div_ceil(FRAME_BODY_BYTES_MAX), "eight of the longest, whole") };
    }
}
