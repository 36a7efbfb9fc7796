//! The loop: reports and peers' evidence in; disk, register and peers out.

use super::{Proven, REPEAT_MS, Register, Reporter};
use crate::{
    ports::{ChainHandle, Peers},
    runtime::Context,
    store::Log,
};
use chorale_foundation::{
    Bytes,
    codec::DecodeExt as _,
    cryptography::ed25519::PublicKey,
    p2p::{Receiver, Recipients, Sender},
    storage::journal::Error as StorageError,
};
use chorale_types::{
    Evidence, Height, NodeKey, Scheme, TimestampMs,
    codec::{Encode, decode},
};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{error, warn};

/// After so many repeats who is guilty is cut off again: the networks let everybody in again after ten minutes.
pub(super) const KEEP_OUT_REPEATS: u64 = 256;

/// Why the actor ended before the node was shut down.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The disk failed, or what is on it is damaged.
    #[error("evidence on disk: {0}")]
    Storage(#[from] StorageError),
}

/// What the actor is connected to.
pub struct Connections<S, N, R> {
    /// This node on the mesh.
    pub me: NodeKey,
    /// Verifies.
    pub scheme: S,
    /// Knows the epochs.
    pub chain: ChainHandle,
    /// Cuts off peers.
    pub peers: Peers,
    /// [`channel::EVIDENCE`](crate::mesh::channel::EVIDENCE).
    pub channel: (N, R),
}

/// What came of a piece of evidence.
enum Verdict {
    /// It is new, and holds.
    New(Box<Proven>),
    /// Known already, or of an epoch that is not known.
    Nothing,
    /// It proves nothing.
    Void,
}

/// See the [module](super).
pub struct Actor<E: Context, S, N, R> {
    context: E,
    me: NodeKey,
    scheme: S,
    chain: ChainHandle,
    peers: Peers,
    sender: N,
    receiver: R,
    reports: mpsc::Receiver<Evidence>,
    log: Log<E, Evidence>,
    register: Register,
    /// What is said again next, and when.
    turn: usize,
    /// How often something was repeated.
    repeats: u64,
    repeat_at: TimestampMs,
}

impl<E, S, N, R> Actor<E, S, N, R>
where
    E: Context,
    S: Scheme,
    N: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    /// Reads what was kept.
    ///
    /// # Errors
    ///
    /// The disk's, or damage.
    pub async fn open(
        context: E,
        partition: &str,
        connections: Connections<S, N, R>,
    ) -> Result<(Self, Reporter, Register), Stopped> {
        let Connections { me, scheme, chain, peers, channel: (sender, receiver) } = connections;
        let log = Log::open(context.child("log"), partition).await?;
        let register = Register::default();
        for number in (1..=log.tip().0).map(Height) {
            let Some(evidence): Option<Evidence> = log.get(number).await? else { continue };
            // It was verified before it was written; whose it is, the epoch says.
            match name(&chain, &evidence) {
                Some(proven) => register.insert(proven),
                None => warn!(epoch = %evidence.epoch, "left evidence out of an epoch that this node does not know"),
            }
        }
        let (reporter, reports) = Reporter::new();
        let (turn, repeats, repeat_at) = (0, 0, TimestampMs(0));
        let actor = Self {
            context,
            me,
            scheme,
            chain,
            peers,
            sender,
            receiver,
            reports,
            log,
            register: register.clone(),
            turn,
            repeats,
            repeat_at,
        };
        Ok((actor, reporter, register))
    }

    /// Runs until the node is shut down.
    ///
    /// # Errors
    ///
    /// See [`Stopped`].
    pub async fn run(mut self) -> Result<(), Stopped> {
        let mut stopped = self.context.stopped();
        loop {
            let wake = self.context.sleep(self.pause());
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(()),
                Some(evidence) = self.reports.recv() => {
                    if let Verdict::New(proven) = self.judge(evidence) {
                        self.keep(*proven).await?;
                    }
                }
                received = self.receiver.recv() => match received {
                    Ok((peer, bytes)) => self.receive(&peer, bytes.into()).await?,
                    Err(_) => return Ok(()),
                },
                () = wake => self.repeat(),
            }
        }
    }

    fn pause(&self) -> Duration {
        let now = self.context.now_ms();
        // A clock that was set back holds nothing up for longer than the interval.
        Duration::from_millis(self.repeat_at.0.saturating_sub(now.0).min(REPEAT_MS))
    }

    async fn receive(&mut self, peer: &PublicKey, bytes: Bytes) -> Result<(), Stopped> {
        match decode(bytes).map(|evidence| self.judge(evidence)) {
            Ok(Verdict::New(proven)) => self.keep(*proven).await?,
            Ok(Verdict::Nothing) => {}
            Ok(Verdict::Void) => self.peers.block(peer, "sent evidence that proves nothing"),
            Err(error) => self.peers.block(peer, &format!("sent bytes that are no evidence: {error}")),
        }
        Ok(())
    }

    fn judge(&self, evidence: Evidence) -> Verdict {
        let Some(info) = self.chain.epoch(evidence.epoch) else { return Verdict::Nothing };
        let Some(proven) = name(&self.chain, &evidence) else { return Verdict::Void };
        if !self.register.wants(proven.validator, evidence.epoch, proven.fault) {
            return Verdict::Nothing;
        }
        if evidence.proves(&self.scheme, &info).is_some() { Verdict::New(Box::new(proven)) } else { Verdict::Void }
    }

    async fn keep(&mut self, proven: Proven) -> Result<(), Stopped> {
        self.log.append(&proven.evidence).await?;
        self.log.sync().await?;
        self.register.insert(proven);
        let Proven { validator, fault, evidence } = proven;
        let validator = hex::encode(validator.0);
        error!(%validator, ?fault, epoch = %evidence.epoch, ?evidence, "a validator provably broke the rules");
        self.say(&evidence);
        if proven.validator == self.me {
            error!("this node's own keys did: do two nodes run with them? Stop them all but one");
        } else if let Some(peer) = peer_of(&proven) {
            self.peers.block(&peer, "provably broke the rules");
        }
        Ok(())
    }

    /// Cuts off whom the networks have let in again since, or this node since it was restarted. Who validates in the next
    /// epoch all the same is judged by that one.
    fn keep_out(&self, proven: &Proven) {
        let is_now = proven.evidence.epoch == self.chain.position.borrow().epoch.epoch;
        if let Some(peer) = peer_of(proven).filter(|_| is_now && proven.validator != self.me) {
            self.peers.keep_out(&peer);
        }
    }

    /// Says something again, each in its turn.
    fn repeat(&mut self) {
        self.repeat_at = TimestampMs(self.context.now_ms().0.saturating_add(REPEAT_MS));
        if self.repeats.is_multiple_of(KEEP_OUT_REPEATS) {
            self.register.list(0, usize::MAX).iter().for_each(|proven| self.keep_out(proven));
        }
        self.repeats += 1;
        if self.turn >= self.register.len() {
            self.turn = 0;
        }
        if let Some(proven) = self.register.list(self.turn, 1).first() {
            self.turn += 1;
            self.say(&proven.evidence);
        }
    }

    fn say(&mut self, evidence: &Evidence) {
        let _ = self.sender.send(Recipients::All, evidence.encode(), false);
    }
}

/// The validator on the mesh.
fn peer_of(proven: &Proven) -> Option<PublicKey> {
    PublicKey::decode(Bytes::copy_from_slice(&proven.validator.0)).ok()
}

/// Whom and what it accuses, signatures aside.
fn name(chain: &ChainHandle, evidence: &Evidence) -> Option<Proven> {
    let info = chain.epoch(evidence.epoch)?;
    let validator = info.validators.get(evidence.offender)?.node;
    Some(Proven { validator, fault: evidence.fault()?, evidence: *evidence })
}
