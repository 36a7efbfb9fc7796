//! The loop of a full node: one height after the other, from whichever node has it.

use super::{
    ahead::Ahead,
    block::{Block, check},
};
use crate::{
    attestation::{Closing, Verified},
    ports::{ChainEvent, Committed, Epochs, Position},
    reveal::{Revealed, RevealedPayload},
    runtime::Context,
    settlement,
    store::{HeaderStore, KeptPayload, PayloadStore},
    watch,
};
use chorale_api::ErrorCode;
use chorale_client::Nodes;
use chorale_foundation::{
    runtime::Error as RuntimeError,
    storage::{archive::Error as PayloadsError, journal::Error as HeadersError},
};
use chorale_light::{HandOver, Light, LightError};
use chorale_types::{Attestation, Digest, EpochInfo, Genesis, Header, Height, Outcome, codec::Shared};
use jsonrpsee::core::client::Error as CallError;
use std::{sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};
use tracing::{debug, error, info};

/// The pause between two looks at the tip.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The pause after none of the nodes had an answer.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// So many blocks in a row that were there already: this node is behind.
const BEHIND_HEIGHTS: u64 = 16;

/// Heights between two times that old payloads are let go.
const PRUNE_HEIGHTS: u64 = 64;

/// Why a full node stopped before it was shut down.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// Every node that is followed said something false.
    #[error("every node that this one follows said something false (see above): name others in `follow`")]
    AllFalse,
    /// What comes next is kept by none of the nodes any more.
    #[error(
        "height {height} is pruned on every node that this one follows ({message}): follow an archive node as well"
    )]
    Pruned {
        /// The height that comes next here.
        height: Height,
        /// What a node said.
        message: String,
    },
    /// Settling gave another outcome than a quorum attests.
    #[error(
        "at height {height} this node found the outcome {ours}, and a quorum of the stake attests {attested}: one of them \
         is wrong; keep the data folder and report it"
    )]
    Diverged {
        /// The height.
        height: Height,
        /// What came out here.
        ours: Digest,
        /// What is attested.
        attested: Digest,
    },
    /// A header here is not the one that a quorum attests.
    #[error("at height {0} the header on disk is not the one that a quorum of the stake attests")]
    OtherHeader(Height),
    /// The genesis does not lead to the next epoch as the attested outcome does.
    #[error("the validators after height {height}: {error}")]
    HandOver {
        /// The closing height.
        height: Height,
        /// What is wrong.
        error: LightError,
    },
    /// Headers on disk.
    #[error("headers on disk: {0}")]
    Headers(#[from] HeadersError),
    /// Payloads on disk.
    #[error("payloads on disk: {0}")]
    Payloads(#[from] PayloadsError),
    /// Syncing payloads.
    #[error("syncing payloads: {0}")]
    Sync(#[from] RuntimeError),
}

/// What the actor drives.
pub(super) struct Connections<E: Context> {
    pub(super) genesis: Arc<Genesis>,
    /// Whom to follow.
    pub(super) nodes: Nodes,
    pub(super) light: Light,
    pub(super) headers: HeaderStore<E>,
    pub(super) payloads: PayloadStore<E>,
    pub(super) retention_heights: u64,
    pub(super) settlement: settlement::Mailbox,
    pub(super) revealed: mpsc::Sender<Revealed>,
    pub(super) verified: Verified,
    pub(super) committed: watch::Sender<Height>,
    pub(super) position: watch::Sender<Position>,
    pub(super) events: broadcast::Sender<ChainEvent>,
    pub(super) epochs: Epochs,
    /// Whether this node has what those that it follows have.
    pub(super) level: watch::Sender<bool>,
    /// The last height that settlement has made durable.
    pub(super) settled: Height,
    /// What is attested of it.
    pub(super) attested: Option<Attestation>,
}

/// See the [module](self).
pub(super) struct Actor<E: Context> {
    context: E,
    on: Connections<E>,
    ahead: Ahead<E>,
    /// The last height that was settled here and is attested.
    last: Height,
}

impl<E: Context> Actor<E> {
    pub(super) fn new(context: E, on: Connections<E>) -> Self {
        let (last, ahead) = (on.settled, Ahead::new(context.child("blocks")));
        Self { context, on, ahead, last }
    }

    /// Runs until the node is shut down.
    pub(super) async fn run(mut self) -> Result<(), Stopped> {
        let mut stopped = self.context.stopped();
        // A node that stopped because it found something else than a quorum attests does not go on from that.
        if let Some(attested) = self.on.attested.take() {
            let Ok(ours) = self.on.settlement.outcome(attested.height).await else { return Ok(()) };
            compare(&ours, attested.root)?;
        }
        loop {
            let height = self.last.next();
            let block = tokio::select! {
                biased;
                _ = &mut stopped => return Ok(()),
                block = self.find(height) => block?,
            };
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(()),
                done = self.take(block) => if !done? { return Ok(()) },
            }
        }
    }

    /// The block of a height, as soon as one of the nodes has it attested.
    async fn find(&mut self, height: Height) -> Result<Block, Stopped> {
        let (mut silent, mut pruned) = (0, 0);
        loop {
            let Some(node) = self.on.nodes.current().cloned() else { return Err(Stopped::AllFalse) };
            let said = self.ahead.ask(&node, height).await;
            let is_pruned = matches!(&said, Err(CallError::Call(error)) if error.code() == ErrorCode::Pruned.code());
            // Only if all say so one after the other: one that lies about it must not speak for those away.
            pruned = if is_pruned { pruned + 1 } else { 0 };
            match said {
                Ok(answer) => match check(answer, height, &self.on.light) {
                    Ok(Some(block)) => {
                        self.ahead.had();
                        if self.ahead.row() > BEHIND_HEIGHTS {
                            self.level(false);
                        }
                        return Ok(block);
                    }
                    Ok(None) => {
                        silent = 0;
                        self.level(true);
                    }
                    Err(wrong) => {
                        self.on.nodes.drop_current(format!("height {height}: {wrong}"));
                        continue;
                    }
                },
                Err(CallError::Call(error)) if is_pruned && pruned >= self.on.nodes.len() => {
                    return Err(Stopped::Pruned { height, message: error.message().to_owned() });
                }
                Err(CallError::Call(error)) if error.code() == ErrorCode::NotYet.code() => {
                    silent = 0;
                    self.level(true);
                }
                Err(CallError::ParseError(wrong)) => {
                    self.on.nodes.drop_current(format!("height {height}: an answer that is none: {wrong}"));
                    continue;
                }
                Err(error) => {
                    debug!(url = %node.url, %height, %error, "a node has no answer");
                    silent += 1;
                }
            }
            // Who says that there is nothing yet may be withholding it.
            self.on.nodes.next_turn();
            self.ahead.forget();
            let all_are_silent = silent >= self.on.nodes.len();
            if all_are_silent {
                self.level(false);
            }
            self.context.sleep(if all_are_silent { RETRY_INTERVAL } else { POLL_INTERVAL }).await;
        }
    }

    /// Says whether this node is level with those that it follows.
    fn level(&self, is_level: bool) {
        self.on.level.send_if_modified(|level| std::mem::replace(level, is_level) != is_level);
    }

    /// Keeps a block with all that later ones are verified by, and then settles it. False: the node is being shut down.
    async fn take(&mut self, block: Block) -> Result<bool, Stopped> {
        let Block { header, outcome, attestation, payloads } = block;
        let height = header.height;
        for RevealedPayload { certificate, manifest, opened } in &payloads {
            let name = certificate.into();
            if self.on.payloads.get(&name).await?.is_none() {
                let kept = KeptPayload { manifest: (**manifest).clone(), opened: opened.clone() };
                self.on.payloads.put(height, &name, &kept).await?.await?;
            }
        }
        if height > self.on.headers.tip() {
            self.on.headers.append(Committed { header: header.clone(), proof: None }).await?;
            self.on.headers.sync().await?;
        } else if self.on.headers.headers().get(height).await.is_none_or(|known| known.header != header) {
            return Err(Stopped::OtherHeader(height));
        }
        let closing =
            outcome.next_validators.map(|_| Closing { outcome: outcome.clone(), attestation: attestation.clone() });
        if self.on.verified.keep(attestation.clone(), closing.clone()).await.is_err() {
            return Ok(false);
        }
        self.publish(height, &header);
        if self.on.revealed.send(Revealed { header, payloads }).await.is_err() {
            return Ok(false);
        }
        let mut settled = self.on.settlement.settled();
        if settled.wait_for(|settled| *settled >= height).await.is_err() {
            return Ok(false);
        }
        let Ok(ours) = self.on.settlement.outcome(height).await else { return Ok(false) };
        compare(&ours, outcome.root())?;
        if let Some(closing) = &closing {
            self.hand_over(closing)?;
        }
        if self.on.verified.announce(attestation).await.is_err() {
            return Ok(false);
        }
        self.last = height;
        if height.0.is_multiple_of(PRUNE_HEIGHTS) {
            self.on.payloads.prune(Height(height.0.saturating_sub(self.on.retention_heights))).await?;
        }
        Ok(true)
    }

    /// Says that a height is committed. After a restart some were before.
    fn publish(&self, height: Height, header: &Shared<Header>) {
        if height <= *self.on.committed.borrow() {
            return;
        }
        let view = header.view;
        self.on.position.send_modify(|position| position.view = view);
        self.on.committed.send_replace(height);
        let _ = self.on.events.send(ChainEvent::Committed { height, header: header.clone() });
    }

    /// Goes on to the next epoch.
    fn hand_over(&mut self, closing: &Closing) -> Result<(), Stopped> {
        let height = closing.outcome.height;
        let info = lead_on(&mut self.on.light, &self.on.genesis, closing)
            .map_err(|error| Stopped::HandOver { height, error })?;
        info!(epoch = %info.epoch, "an epoch began");
        self.on.epochs.insert(info.clone());
        self.on.position.send_modify(|position| position.epoch = info.clone());
        let _ = self.on.events.send(ChainEvent::EpochStarted { info });
        Ok(())
    }
}

/// Whether what came out here is what a quorum attests.
fn compare(ours: &Outcome, attested: Digest) -> Result<(), Stopped> {
    if ours.root() == attested {
        return Ok(());
    }
    let stopped = Stopped::Diverged { height: ours.height, ours: ours.root(), attested };
    error!(%stopped, "stopping");
    Err(stopped)
}

/// From an epoch to the next, whose validators the genesis fixes.
pub(super) fn lead_on(light: &mut Light, genesis: &Genesis, closing: &Closing) -> Result<Arc<EpochInfo>, LightError> {
    let Closing { outcome, attestation } = closing.clone();
    let start = EpochInfo::start_block(outcome.height, outcome.header);
    let next = genesis.epoch(outcome.epoch.next(), start).validators;
    light.hand_over(HandOver { outcome, attestation, next: Some(next) })?;
    Ok(Arc::new(light.last().clone()))
}
