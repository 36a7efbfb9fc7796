//! Following rollups, height by height.

mod seconds;
#[cfg(test)]
mod tests;

pub use seconds::FollowedSecond;

use crate::{
    nodes::{Dropped, Node, Nodes},
    watched::{Ahead, Watched, check_bundles},
};
use chorale_api::{ChoraleApiClient as _, ErrorCode, HexBytes, LaneAnswer, LaneBundles, LastContentAnswer};
use chorale_light::{Attested, Claim, FollowError, HandOver, Light};
use chorale_types::{
    Attestation, BundleId, Epoch, Genesis, Height, Lane, OrderedBundle, Outcome, RollupId, codec::decode,
};
use futures::future::join_all;
use jsonrpsee::core::client::Error;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tracing::debug;

/// How to follow.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The pause between two looks at the tip.
    pub poll_interval: Duration,
    /// The pause after a node did not answer.
    pub retry_interval: Duration,
    /// Rounds over all nodes, without an answer from any, after which following fails; never if there is none.
    pub silent_rounds_max: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_millis(50),
            retry_interval: Duration::from_millis(500),
            silent_rounds_max: Some(20),
        }
    }
}

/// What the rollups were given at one height: all of it, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The attested outcome of the height.
    pub attested: Attested,
    /// The lanes of those with content, by rollup; at least one.
    pub lanes: Vec<Lane>,
    /// The bundles that have legs in them.
    pub bundles: Vec<OrderedBundle>,
}

/// Why following stopped.
#[derive(Debug, thiserror::Error)]
pub enum FollowFailed {
    /// Every node said something false.
    #[error("every node said something false, the last one: {}", .0.last().map_or("", |dropped| dropped.reason.as_str()))]
    AllDropped(Vec<Dropped>),
    /// No node answers.
    #[error("no node answers; the last one said: {0}")]
    Unreachable(String),
    /// A quorum contradicts itself: no node is at fault, and none can be believed about this chain any more.
    #[error("the chain has forked: {0}")]
    Forked(FollowError),
    /// What comes next is kept by none of the nodes any more.
    #[error("what follows height {after} is pruned on all nodes ({message}): name an archive node, or begin later")]
    Pruned {
        /// The last height that is here.
        after: Height,
        /// What a node said.
        message: String,
    },
}

/// What went wrong with one node.
pub(crate) enum Fault {
    /// It does not answer, or cannot now.
    Silent(String),
    /// It does not keep this any more.
    Pruned(String),
    /// It said something false.
    False(String),
    /// It showed that a quorum contradicts itself.
    Forked(FollowError),
}

impl Fault {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Call(object) if object.code() == ErrorCode::Pruned.code() => {
                Self::Pruned(object.message().to_owned())
            }
            Error::ParseError(error) => Self::False(format!("an answer that is none: {error}")),
            other => Self::Silent(other.to_string()),
        }
    }

    fn of_lane(error: FollowError) -> Self {
        match error {
            FollowError::Contradiction { .. } => Self::Forked(error),
            lie => Self::False(lie.to_string()),
        }
    }
}

/// Follows rollups through some nodes: one, or those that are executed together.
#[derive(Debug)]
pub struct Follower {
    config: Config,
    nodes: Nodes,
    light: Light,
    rollups: BTreeMap<RollupId, Watched>,
    last: Height,
    level: watch::Sender<bool>,
    alive: watch::Sender<Instant>,
    second: seconds::Open,
    hints: Hints,
    /// The last outcome that was verified, as it came: rollups with content at one height are shown the same one.
    verified: Option<(HexBytes, HexBytes, Attested)>,
}

/// What the current node said on the way about the next content after a height of a rollup, if there is any: not verified,
/// and used once. So that it takes one turn, and not two, to go on by a height.
type Hints = BTreeMap<RollupId, (Height, Option<u64>)>;

/// How long what was asked has been in vain.
#[derive(Default)]
struct Patience {
    silent: u32,
    pruned: usize,
    idle: usize,
}

impl Follower {
    /// Follows `rollups`, which are some of the genesis, on from the height up to which all is known, with content of
    /// theirs or without; from the start with height 0.
    #[must_use]
    pub fn new(
        genesis: &Genesis,
        rollups: impl IntoIterator<Item = RollupId>,
        last: Height,
        nodes: Nodes,
        config: Config,
    ) -> Self {
        let light = Light::new(genesis.first_epoch(), genesis.parameters().epoch_heights);
        let rollups = rollups.into_iter().map(|rollup| (rollup, Watched::new(rollup, last))).collect();
        Self {
            config,
            nodes,
            light,
            rollups,
            last,
            level: watch::Sender::new(false),
            alive: watch::Sender::new(Instant::now()),
            second: seconds::Open::default(),
            hints: Hints::new(),
            verified: None,
        }
    }

    /// The last height with content that was handed out, or where it started: keep it, and go on from it.
    #[must_use]
    pub const fn last(&self) -> Height {
        self.last
    }

    /// Whether all nodes have said since the start, one after the other, that there is nothing more: what is followed is
    /// level with the chain, as far as they tell.
    #[must_use]
    pub fn level(&self) -> watch::Receiver<bool> {
        self.level.subscribe()
    }

    /// When content was handed out last, or all nodes said, one after the other, that there is no more.
    #[must_use]
    pub fn alive(&self) -> watch::Receiver<Instant> {
        self.alive.subscribe()
    }

    /// The nodes, with those that were dropped.
    #[must_use]
    pub const fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The next height with content, as soon as it is attested. Each once, in order, none left out.
    ///
    /// # Errors
    ///
    /// There is no node left that could say more, or the chain has forked.
    pub async fn next(&mut self) -> Result<Followed, FollowFailed> {
        let mut patience = Patience::default();
        loop {
            let asked = self.ask().await;
            if let Some(followed) = self.bear(asked, &mut patience).await? {
                return Ok(followed);
            }
        }
    }

    /// What was asked for; or none, after a pause or a turn to the next node, if it has to be asked again.
    async fn bear<T>(
        &mut self,
        asked: Result<Option<T>, Fault>,
        Patience { silent, pruned, idle }: &mut Patience,
    ) -> Result<Option<T>, FollowFailed> {
        if self.nodes.is_empty() && !matches!(asked, Ok(Some(_))) {
            return Err(FollowFailed::AllDropped(self.nodes.dropped().to_vec()));
        }
        if let Ok(Some(answer)) = asked {
            self.alive.send_replace(Instant::now());
            return Ok(Some(answer));
        }
        // Another node is asked, or the same one again, about what may be otherwise by now.
        self.hints.clear();
        match asked {
            Ok(Some(_)) => {}
            Ok(None) => {
                (*silent, *pruned) = (0, 0);
                // Of what one rollup has ahead another may only not be known far enough.
                *idle += usize::from(self.rollups.values().all(|watched| watched.ahead().is_none()));
                if *idle >= self.nodes.len() {
                    self.level.send_replace(true);
                    self.alive.send_replace(Instant::now());
                }
                // Who says that there is nothing may be withholding it.
                self.nodes.next_turn();
                tokio::time::sleep(self.config.poll_interval).await;
            }
            Err(Fault::False(reason)) => self.nodes.drop_current(reason),
            Err(Fault::Forked(error)) => return Err(FollowFailed::Forked(error)),
            Err(Fault::Pruned(message)) => {
                *pruned += 1;
                if *pruned >= self.nodes.len() {
                    return Err(FollowFailed::Pruned { after: self.last(), message });
                }
                self.nodes.next_turn();
            }
            Err(Fault::Silent(message)) => {
                debug!(%message, "a node does not answer");
                // Only if all say so one after the other: one that lies about it must not speak for those away.
                *pruned = 0;
                *silent += 1;
                let rounds = *silent / u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).max(1);
                if self.config.silent_rounds_max.is_some_and(|max| rounds >= max) {
                    return Err(FollowFailed::Unreachable(message));
                }
                self.nodes.next_turn();
                tokio::time::sleep(self.config.retry_interval).await;
            }
        }
        Ok(None)
    }

    /// Asks the current node for the next height; none if there is none yet, or it is not attested yet.
    async fn ask(&mut self) -> Result<Option<Followed>, Fault> {
        let Some(node) = self.nodes.current().cloned() else { return Ok(None) };
        let waiting = self.rollups.iter().filter(|(_, watched)| watched.ahead().is_none());
        let waiting: Vec<(RollupId, Height)> = waiting.map(|(rollup, watched)| (*rollup, watched.last())).collect();
        let told = waiting.into_iter().map(|(rollup, last)| {
            let hint = self.hints.remove(&rollup).filter(|(after, _)| *after == last).map(|(_, next)| next);
            next_lane(&node, rollup, last, hint)
        });
        let mut refused = None;
        for told in join_all(told).await {
            match told {
                Ok(Some(Told { rollup, lane, hint })) => {
                    self.hints.extend(hint.map(|hint| (rollup, hint)));
                    self.take_lane(&node, rollup, lane).await?;
                }
                Ok(None) => {}
                // What came of the others need not be fetched again.
                Err(fault) => refused = refused.or(Some(fault)),
            }
        }
        if let Some(fault) = refused {
            return Err(fault);
        }
        let heights = self.rollups.values().filter_map(Watched::ahead).map(|ahead| ahead.attested.height());
        let Some(height) = heights.min() else { return Ok(None) };
        // Content of one rollup must not be missed while another one goes on: a bundle may touch both.
        let unsure = self.rollups.iter().filter(|(_, watched)| !watched.is_complete(height));
        for rollup in unsure.map(|(rollup, _)| *rollup).collect::<Vec<RollupId>>() {
            self.ask_last_content(&node, rollup).await?;
        }
        if self.rollups.values().all(|watched| watched.is_complete(height)) {
            return self.hand_out(height).map(Some);
        }
        // The node is not far enough, or something came between two questions.
        Ok(None)
    }

    /// Takes what is said to be the next lane of a rollup, if it is attested.
    async fn take_lane(&mut self, node: &Node, rollup: RollupId, answer: LaneAnswer) -> Result<(), Fault> {
        let LaneAnswer { height, outcome, attestation, claim, bundles, .. } = answer;
        let Some(attestation) = attestation else { return Ok(()) };
        let attested = self.verify(node, outcome, attestation).await?;
        let Claim::Lane(claim) = decoded("claim", claim)? else {
            return Err(Fault::False(format!("height {height} is said to have content, and no lane is shown")));
        };
        let bundles: LaneBundles = decoded("bundles", bundles)?;
        let bundles = check_bundles(&claim.lane, bundles).map_err(|error| Fault::False(error.to_string()))?;
        self.watched(rollup).follow(attested, claim, bundles).map_err(Fault::of_lane)
    }

    /// Asks when a rollup last had content: it may have had none for long.
    async fn ask_last_content(&mut self, node: &Node, rollup: RollupId) -> Result<(), Fault> {
        let answer = node.client.last_content(rollup.0).await.map_err(|error| match Fault::of(&error) {
            // It is asked as of now: what is kept of the past does not matter.
            Fault::Pruned(message) => Fault::Silent(message),
            fault => fault,
        })?;
        let LastContentAnswer { outcome, attestation, claim, .. } = answer;
        let tip = self.verify(node, outcome, attestation).await?;
        let Claim::Registry(proof) = decoded("claim", claim)? else {
            return Err(Fault::False(format!(
                "when rollup {rollup} last had content is asked, and something else shown"
            )));
        };
        match self.watched(rollup).at_tip(&tip, &proof) {
            // There is more, or the node is not as far as another one was: both are no lies.
            Ok(()) | Err(FollowError::Behind { .. } | FollowError::OldTip { .. }) => Ok(()),
            Err(error) => Err(Fault::of_lane(error)),
        }
    }

    /// Verifies an outcome, with the hand-overs up to its epoch.
    async fn verify(&mut self, node: &Node, outcome: HexBytes, attestation: HexBytes) -> Result<Attested, Fault> {
        if let Some((known, by, attested)) = &self.verified
            && (known, by) == (&outcome, &attestation)
        {
            return Ok(attested.clone());
        }
        let (known, by) = (outcome.clone(), attestation.clone());
        let outcome: Outcome = decoded("outcome", outcome)?;
        let attestation: Attestation = decoded("attestation", attestation)?;
        lead_to(&mut self.light, node, outcome.epoch).await?;
        let attested = self.light.verify(&outcome, &attestation).map_err(|error| Fault::False(error.to_string()))?;
        self.verified = Some((known, by, attested.clone()));
        Ok(attested)
    }

    /// All that the rollups have at a height.
    fn hand_out(&mut self, height: Height) -> Result<Followed, Fault> {
        let mut all: Vec<Ahead> = self.rollups.values_mut().filter_map(|watched| watched.take(height)).collect();
        let attested = all[0].attested.clone();
        if all.iter().any(|ahead| ahead.attested.outcome() != attested.outcome()) {
            return Err(Fault::Forked(FollowError::Contradiction { height, last: self.last }));
        }
        let mut bundles: BTreeMap<BundleId, OrderedBundle> = BTreeMap::new();
        for bundle in all.iter_mut().flat_map(|ahead| ahead.bundles.drain(..)) {
            bundles.insert(bundle.id, bundle);
        }
        self.last = height;
        let lanes = all.into_iter().map(|ahead| ahead.lane).collect();
        Ok(Followed { attested, lanes, bundles: bundles.into_values().collect() })
    }

    fn watched(&mut self, rollup: RollupId) -> &mut Watched {
        self.rollups.get_mut(&rollup).expect("only what is followed is asked for")
    }
}

/// What a node says is the next lane of a rollup, and what comes after it.
struct Told {
    rollup: RollupId,
    lane: LaneAnswer,
    hint: Option<(Height, Option<u64>)>,
}

/// Asks for the next lane of a rollup after a height, and on the way for the content after that. `hint`: what the node said
/// before.
async fn next_lane(
    node: &Node,
    rollup: RollupId,
    last: Height,
    hint: Option<Option<u64>>,
) -> Result<Option<Told>, Fault> {
    let next = match hint {
        Some(next) => next,
        None => node.client.next_content(rollup.0, last.0).await.map_err(|error| Fault::of(&error))?,
    };
    let Some(height) = next else { return Ok(None) };
    let (lane, after) = tokio::join!(node.client.lane(rollup.0, height), node.client.next_content(rollup.0, height));
    let lane = lane.map_err(|error| Fault::of(&error))?;
    // What it does not answer now is asked again.
    Ok(Some(Told { rollup, lane, hint: after.ok().map(|after| (Height(height), after)) }))
}

/// Has a node lead to the validators of an epoch.
pub(crate) async fn lead_to(light: &mut Light, node: &Node, epoch: Epoch) -> Result<(), Fault> {
    while light.last().epoch < epoch {
        let last = light.last().epoch;
        let hand_over = node.client.hand_over(last.0).await.map_err(|error| Fault::of(&error))?;
        let hand_over: HandOver = decoded("hand-over", hand_over)?;
        light.hand_over(hand_over).map_err(|error| Fault::False(error.to_string()))?;
    }
    Ok(())
}

pub(crate) fn decoded<T: chorale_types::codec::Read<Cfg = ()>>(what: &str, bytes: HexBytes) -> Result<T, Fault> {
    decode(bytes.0).map_err(|error| Fault::False(format!("{what}: {error}")))
}
