//! The loop: questions of consensus and of peers in, answers out.

use super::{
    chain,
    message::{ANSWER_BYTES_MAX, Answer, Ask, HEADERS_MAX, Message},
};
use crate::{
    consensus::Want,
    dispersal::keys::peer_of,
    ports::{ChainHandle, Peers},
    runtime::Context,
};
use chorale_foundation::{
    Bytes,
    cryptography::ed25519::PublicKey,
    p2p::{Receiver, Recipients, Sender},
};
use chorale_types::{
    BlockId, Header, Height, NodeKey, TimestampMs, ValidatorIndex,
    codec::{Encode, EncodeSize, List, decode},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::mpsc;
use tracing::debug;

/// How long a peer may take to answer.
const ANSWER_TIMEOUT_MS: u64 = 1_000;
/// How long to wait before the next peer is asked when one had nothing.
const RETRY_MS: u64 = 50;
/// Peers asked in vain for one block before consensus has to ask again: it may have learnt of a better one.
const ATTEMPTS_MAX: u32 = 32;
/// Bytes that one peer is sent in one second at most, but for the last answer.
const BYTES_PER_SECOND: usize = 8 * 1024 * 1024;

/// What the actor is connected to.
pub struct Connections<N, R> {
    /// This node.
    pub me: NodeKey,
    /// The headers that others are told of.
    pub chain: ChainHandle,
    /// The channel.
    pub channel: (N, R),
    /// Cuts off peers.
    pub peers: Peers,
    /// What consensus misses.
    pub wants: mpsc::Receiver<Want>,
    /// What was found.
    pub found: mpsc::Sender<Vec<Header>>,
}

/// A question that is open.
struct Open {
    want: Want,
    ask: Ask,
    /// Who was asked.
    peer: Option<PublicKey>,
    /// When the next peer is asked.
    due: TimestampMs,
    attempts: u32,
}

/// See the [module](super).
pub struct Actor<E, N, R> {
    context: E,
    me: NodeKey,
    chain: ChainHandle,
    sender: N,
    receiver: R,
    peers: Peers,
    wants: mpsc::Receiver<Want>,
    found: mpsc::Sender<Vec<Header>>,
    open: Option<Open>,
    /// Counts questions; who is asked follows from it, so that all peers take turns.
    number: u64,
    second: u64,
    spent: BTreeMap<PublicKey, usize>,
}

impl<E, N, R> Actor<E, N, R>
where
    E: Context,
    N: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    /// An actor with nothing to do yet.
    #[must_use]
    pub fn new(context: E, connections: Connections<N, R>) -> Self {
        let Connections { me, chain, channel: (sender, receiver), peers, wants, found } = connections;
        let (second, spent) = (0, BTreeMap::new());
        // Not the numbers of before a restart: an answer to one of those must not be taken for one to another question.
        let number = context.now_ms().0 << 16;
        Self { context, me, chain, sender, receiver, peers, wants, found, open: None, number, second, spent }
    }

    /// Runs until the node is shut down.
    pub async fn run(mut self) {
        let mut stopped = self.context.stopped();
        loop {
            let pause = self.pause();
            let wake = async {
                match pause {
                    Some(pause) => self.context.sleep(pause).await,
                    None => futures::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                () = wake => self.ask_next(),
                want = self.wants.recv() => match want {
                    Some(want) => self.want(want),
                    None => return,
                },
                received = self.receiver.recv() => match received {
                    Ok((peer, bytes)) => self.receive(peer, bytes.into()).await,
                    Err(_) => return,
                },
            }
        }
    }

    fn pause(&self) -> Option<Duration> {
        let due = self.open.as_ref()?.due;
        Some(Duration::from_millis(due.0.saturating_sub(self.context.now_ms().0)))
    }

    fn want(&mut self, want: Want) {
        // Asked again while the question is open: consensus is less patient than the network.
        if self.open.as_ref().is_some_and(|open| open.want == want) {
            return;
        }
        let ask = Ask { number: 0, id: want.id, height: want.height, above: want.above };
        self.open = Some(Open { want, ask, peer: None, due: self.context.now_ms(), attempts: 0 });
        self.ask_next();
    }

    /// Asks the next peer.
    fn ask_next(&mut self) {
        let now = self.context.now_ms();
        let Some(open) = &mut self.open else { return };
        if open.attempts >= ATTEMPTS_MAX {
            self.open = None;
            return;
        }
        self.number += 1;
        open.attempts += 1;
        open.ask.number = self.number;
        open.due = TimestampMs(now.0 + RETRY_MS);
        open.peer = None;
        let epoch = self.chain.position.borrow().epoch.clone();
        let turn = self.number % epoch.validators.len() as u64;
        let index = ValidatorIndex(u16::try_from(turn).expect("a set holds at most 1024"));
        let is_me = epoch.validators.get(index).is_some_and(|validator| validator.node == self.me);
        let Some(peer) = peer_of(&epoch, index).filter(|_| !is_me) else {
            open.due = now;
            return;
        };
        let message = Message::Ask(open.ask).encode();
        if !self.sender.send(Recipients::One(peer.clone()), message, false).is_empty() {
            debug!(to = %index, height = %open.ask.height, above = %open.ask.above, "asks for headers");
            open.due = TimestampMs(now.0 + ANSWER_TIMEOUT_MS);
            open.peer = Some(peer);
        }
    }

    async fn receive(&mut self, peer: PublicKey, bytes: Bytes) {
        match decode::<Message>(bytes) {
            Ok(Message::Ask(ask)) => self.answer(peer, &ask).await,
            Ok(Message::Answer(answer)) => self.answered(&peer, answer).await,
            Err(error) => self.peers.block(&peer, &format!("sent bytes that are no question about headers: {error}")),
        }
    }

    async fn answer(&mut self, peer: PublicKey, ask: &Ask) {
        let second = self.context.now_ms().0 / 1000;
        if second != self.second {
            self.second = second;
            self.spent.clear();
        }
        if self.spent.get(&peer).is_some_and(|spent| *spent >= BYTES_PER_SECOND) {
            debug!(%peer, "left a question about headers unanswered: too many in this second");
            return;
        }
        let headers = ancestors(&self.chain, ask).await;
        let answer = Message::Answer(Answer { number: ask.number, headers });
        let bytes = answer.encode();
        *self.spent.entry(peer.clone()).or_default() += bytes.len();
        let _ = self.sender.send(Recipients::One(peer), bytes, false);
    }

    async fn answered(&mut self, peer: &PublicKey, answer: Answer) {
        let Some(open) = &mut self.open else { return };
        // Late answers to earlier questions are no fault.
        if open.peer.as_ref() != Some(peer) || open.ask.number != answer.number {
            return;
        }
        let headers = answer.headers.into_vec();
        if let Err(wrong) = chain::check(&open.ask, &headers) {
            self.peers.block(peer, &format!("answered a question about headers wrongly: {wrong}"));
            self.ask_next();
        } else if headers.is_empty() {
            open.peer = None;
            open.due = TimestampMs(self.context.now_ms().0 + RETRY_MS);
        } else {
            self.open = None;
            // Consensus takes its time only while the disk syncs.
            let _ = self.found.send(headers).await;
        }
    }
}

/// The header asked for and its ancestors, as many as fit into an answer. Those above the committed ones count too: it may
/// be that nobody has all that is needed to commit, because a leader showed each of its headers to some.
async fn ancestors(chain: &ChainHandle, ask: &Ask) -> List<Header, HEADERS_MAX> {
    let mut headers = Vec::new();
    let (mut bytes, mut height, mut id) = (0, ask.height, ask.id);
    while height > ask.above && headers.len() < HEADERS_MAX {
        let Some(header) = find(chain, height, &id).await else { break };
        bytes += header.encode_size();
        if bytes > ANSWER_BYTES_MAX {
            break;
        }
        id = header.parent.block.id;
        headers.push(header);
        let Some(below) = height.0.checked_sub(1) else { break };
        height = Height(below);
    }
    List::new(headers).expect("counted above")
}

async fn find(chain: &ChainHandle, height: Height, id: &BlockId) -> Option<Header> {
    if let Some(header) = chain.headers.uncommitted(height, id) {
        return Some(header.unshared());
    }
    let committed = chain.headers.get(height).await?.header;
    (committed.id() == *id).then(|| committed.unshared())
}
