//! Starts the actors that carry payloads: proposer, dispersal and reveal, which share one channel of the mesh.

use crate::{
    dispersal::{
        self,
        wire::{Inbox, Outbox},
    },
    ports::{ChainHandle, Peers},
    proposer::DueAttestations,
    proposer::{self, Pool},
    reveal::{self, OwnPayloads, Revealed},
    runtime::Context,
    store::PayloadStore,
    watch,
};
use chorale_foundation::{
    cryptography::ed25519::PublicKey,
    p2p::{Receiver, Sender},
    runtime::Handle,
};
use chorale_types::{BuilderId, Height, NodeKey, Scheme};
use tokio::sync::mpsc;
use tracing::error;

/// The longest payloads that a peer is answered in a second. It may have as many questions open: one that catches up asks
/// for those of several heights at once. More would let a few peers fill this node's line.
const ANSWERS_PER_SECOND: u64 = 4;
/// Bytes that a peer is answered in a second at least, where payloads are short: who was away must catch up.
const ANSWER_BYTES_PER_SECOND_MIN: u64 = 8 * 1024 * 1024;

/// What the actors are told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// See [`dispersal`].
    pub dispersal: dispersal::Config,
    /// See [`proposer`].
    pub proposer: proposer::Config,
    /// See [`reveal`].
    pub reveal: reveal::Config,
}

/// The limits of a chain, from its genesis, that payloads depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest payload.
    pub payload_bytes_max: u32,
    /// How long a view lasts before it is given up, without round trips, in milliseconds.
    pub timeout_base_ms: u64,
    /// When chunks are released.
    pub reveal_at: reveal::RevealAt,
    /// Heights whose payloads are kept.
    pub retention_heights: u64,
}

impl Config {
    /// Settings that fit the limits of a chain; files are named after `partition`.
    #[must_use]
    pub fn new(limits: Limits, partition: &str) -> Self {
        let Limits { payload_bytes_max, timeout_base_ms, reveal_at, retention_heights } = limits;
        let payload_bytes = u64::from(payload_bytes_max);
        Self {
            dispersal: dispersal::Config {
                limits: dispersal::Limits {
                    payload_bytes_max,
                    expiry_views_max: 64,
                    // How many payloads that is depends on this node's weight; custody sees to it that it is a few of
                    // each builder.
                    unordered_bytes_max: 256 * payload_bytes,
                },
                resend_after_ms: 500,
                retention_heights,
                partition: partition.into(),
            },
            proposer: proposer::Config {
                views_ahead: 3,
                expiry_views: 32,
                payload_bytes_max,
                // Well before anybody gives the view up.
                hold_ms_max: timeout_base_ms * 2 / 5,
                payloads_max: 8,
            },
            reveal: reveal::Config {
                at: reveal_at,
                patience: reveal::Patience { ask_after_ms: 200, ask_interval_ms_max: 2_000 },
                window_heights: 16,
                retention_heights,
                payload_bytes_max,
                answer_bytes_per_second: (ANSWERS_PER_SECOND * payload_bytes).max(ANSWER_BYTES_PER_SECOND_MIN),
                answer_bytes_max: payload_bytes,
            },
        }
    }
}

/// What the actors are connected to.
pub struct Connections<E: Context, S, P> {
    /// This node on the mesh.
    pub me: NodeKey,
    /// The id under which this node builds.
    pub builder: BuilderId,
    /// Signs and verifies acknowledgements.
    pub scheme: S,
    /// The chain as consensus drives it.
    pub chain: ChainHandle,
    /// Who is cut off for misbehaviour.
    pub peers: Peers,
    /// What waits to be ordered.
    pub pool: P,
    /// What has to be ordered for the chain itself.
    pub system: DueAttestations,
    /// To consensus.
    pub consensus: mpsc::Sender<proposer::Update>,
    /// Where opened payloads are kept.
    pub payloads: PayloadStore<E>,
    /// To settlement.
    pub settlement: mpsc::Sender<Revealed>,
    /// The last height that settlement has made durable, and whose content the pool knows.
    pub settled: watch::Receiver<Height>,
}

/// The actors, running.
pub struct Payloads {
    /// What consensus takes the content of its headers from.
    pub content: proposer::Content,
    /// Talks to dispersal.
    pub dispersal: dispersal::Mailbox,
    /// Completes when one of the actors stops, which none does before the node is shut down unless the disk fails.
    pub running: Handle<()>,
}

/// Why the actors could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Dispersal.
    #[error(transparent)]
    Dispersal(#[from] dispersal::Stopped),
}

/// Starts the actors on the mesh's channel for chunks.
///
/// # Errors
///
/// A disk that cannot be read.
pub async fn start<E, S, P>(
    context: E,
    config: Config,
    channel: (impl Sender<PublicKey = PublicKey>, impl Receiver<PublicKey = PublicKey>),
    connections: Connections<E, S, P>,
) -> Result<Payloads, Error>
where
    E: Context,
    S: Scheme + Clone + Send + Sync + 'static,
    P: Pool,
{
    let Connections { me, builder, scheme, chain, peers, pool, system, consensus, payloads, settlement, settled } =
        connections;
    let outbox = Outbox::new(channel.0, context.now_ms());
    let (dispersal, requests) = dispersal::Mailbox::new();
    // The inbox bounds what of each peer waits.
    let (for_dispersal, dispersal_incoming) = mpsc::unbounded_channel();
    let (for_reveal, reveal_incoming) = mpsc::unbounded_channel();
    let own = OwnPayloads::default();
    let message_bytes_max = dispersal::message::message_bytes_max(config.proposer.payload_bytes_max);
    let inbox = Inbox::new(peers.clone(), message_bytes_max, for_dispersal, for_reveal);

    let connections = dispersal::Connections {
        scheme,
        chain: chain.clone(),
        peers: peers.clone(),
        outbox: outbox.clone(),
        requests,
        incoming: dispersal_incoming,
        manifests: dispersal.manifests().clone(),
    };
    let dispersal_actor = dispersal::Actor::open(context.child("dispersal"), config.dispersal, connections).await?;
    let connections = reveal::Connections {
        me,
        chain: chain.clone(),
        peers,
        outbox,
        dispersal: dispersal.clone(),
        own: own.clone(),
        incoming: reveal_incoming,
        payloads,
        settlement,
        settled: *settled.borrow(),
    };
    let reveal_actor = reveal::Actor::new(context.child("reveal"), config.reveal, connections);
    let connections = proposer::Connections {
        chain,
        pool,
        system,
        dispersal: dispersal.clone(),
        own,
        revealed: settled,
        consensus,
        builder,
    };
    let (proposer_actor, content) = proposer::Actor::new(context.child("proposer"), config.proposer, connections);

    let running = context.child("payloads").spawn(move |context| async move {
        let inbox = context.child("inbox").spawn(move |_| inbox.run(channel.1));
        let dispersal = context.child("dispersal").spawn(move |_| dispersal_actor.run());
        let reveal = context.child("reveal").spawn(move |_| reveal_actor.run());
        let proposer = context.child("proposer").spawn(move |_| proposer_actor.run());
        tokio::select! {
            _ = inbox => {}
            stopped = dispersal => if let Ok(Err(reason)) = stopped {
                error!(%reason, "dispersal stopped");
            },
            stopped = reveal => if let Ok(Err(reason)) = stopped {
                error!(%reason, "reveal stopped");
            },
            _ = proposer => {}
        }
    });
    Ok(Payloads { content, dispersal, running })
}
