//! Following a rollup, height by height.

use crate::nodes::{Dropped, Nodes};
use chorale_api::{ChoraleApiClient as _, ErrorCode, HexBytes, LaneAnswer};
use chorale_light::{Attested, Claim, FollowError, HandOver, LaneClaim, LaneFollower, Light};
use chorale_types::{Attestation, Genesis, Height, Lane, Outcome, RollupId, codec::decode};
use jsonrpsee::core::client::Error;
use std::time::Duration;
use tracing::debug;

/// Rounds over all nodes, without an answer from any, after which following fails.
const SILENT_ROUNDS_MAX: u32 = 20;

/// How to follow.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The pause between two looks at the tip.
    pub poll_interval: Duration,
    /// The pause after a node did not answer.
    pub retry_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { poll_interval: Duration::from_millis(50), retry_interval: Duration::from_millis(500) }
    }
}

/// What a rollup was given at one height: all of it, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The attested outcome of the height.
    pub attested: Attested,
    /// The lane.
    pub lane: Lane,
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
enum Fault {
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
    fn of(error: &Error) -> Self {
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

/// Follows one rollup through some nodes.
#[derive(Debug)]
pub struct Follower {
    config: Config,
    nodes: Nodes,
    light: Light,
    lanes: LaneFollower,
}

impl Follower {
    /// Follows `rollup`, which is one of the genesis, on from the height up to which all is known, with content of the
    /// rollup or without; from the start with height 0.
    #[must_use]
    pub fn new(genesis: &Genesis, rollup: RollupId, last: Height, nodes: Nodes, config: Config) -> Self {
        let light = Light::new(genesis.first_epoch(), genesis.parameters().epoch_heights);
        Self { config, nodes, light, lanes: LaneFollower::new(rollup, last) }
    }

    /// The last height with content that was handed out, or where it started: keep it, and go on from it.
    #[must_use]
    pub const fn last(&self) -> Height {
        self.lanes.last()
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
        let (mut silent, mut pruned) = (0, 0);
        loop {
            if self.nodes.is_empty() {
                return Err(FollowFailed::AllDropped(self.nodes.dropped().to_vec()));
            }
            match self.ask().await {
                Ok(Some(followed)) => return Ok(followed),
                Ok(None) => {
                    (silent, pruned) = (0, 0);
                    // Who says that there is nothing may be withholding it.
                    self.nodes.next_turn();
                    tokio::time::sleep(self.config.poll_interval).await;
                }
                Err(Fault::False(reason)) => self.nodes.drop_current(reason),
                Err(Fault::Forked(error)) => return Err(FollowFailed::Forked(error)),
                Err(Fault::Pruned(message)) => {
                    pruned += 1;
                    if pruned >= self.nodes.len() {
                        return Err(FollowFailed::Pruned { after: self.last(), message });
                    }
                    self.nodes.next_turn();
                }
                Err(Fault::Silent(message)) => {
                    debug!(%message, "a node does not answer");
                    // Only if all say so one after the other: one that lies about it must not speak for those away.
                    pruned = 0;
                    silent += 1;
                    if silent >= SILENT_ROUNDS_MAX * u32::try_from(self.nodes.len()).unwrap_or(u32::MAX) {
                        return Err(FollowFailed::Unreachable(message));
                    }
                    self.nodes.next_turn();
                    tokio::time::sleep(self.config.retry_interval).await;
                }
            }
        }
    }

    /// Asks the current node for the next height; none if there is none yet, or it is not attested yet.
    async fn ask(&mut self) -> Result<Option<Followed>, Fault> {
        let Some(node) = self.nodes.current().cloned() else { return Ok(None) };
        let (rollup, last) = (self.lanes.rollup(), self.lanes.last());
        let next = node.client.next_content(rollup.0, last.0).await.map_err(|error| Fault::of(&error))?;
        let Some(height) = next else { return Ok(None) };
        let answer = node.client.lane(rollup.0, height).await.map_err(|error| Fault::of(&error))?;
        let LaneAnswer { outcome, attestation, claim, .. } = answer;
        let Some(attestation) = attestation else { return Ok(None) };
        let outcome: Outcome = decoded("outcome", outcome)?;
        let attestation: Attestation = decoded("attestation", attestation)?;
        while self.light.last().epoch < outcome.epoch {
            let epoch = self.light.last().epoch;
            let hand_over = node.client.hand_over(epoch.0).await.map_err(|error| Fault::of(&error))?;
            let hand_over: HandOver = decoded("hand-over", hand_over)?;
            self.light.hand_over(hand_over).map_err(|error| Fault::False(error.to_string()))?;
        }
        let attested = self.light.verify(&outcome, &attestation).map_err(|error| Fault::False(error.to_string()))?;
        let Claim::Lane(LaneClaim { lane, proof }) = decoded("claim", claim)? else {
            return Err(Fault::False(format!("height {height} is said to have content, and no lane is shown")));
        };
        self.lanes.follow(&attested, &lane, &proof).map_err(Fault::of_lane)?;
        Ok(Some(Followed { attested, lane }))
    }
}

fn decoded<T: chorale_types::codec::Read<Cfg = ()>>(what: &str, bytes: HexBytes) -> Result<T, Fault> {
    decode(bytes.0).map_err(|error| Fault::False(format!("{what}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_shows_a_fork_is_not_dropped_for_it() {
        let fork = FollowError::Contradiction { height: Height(7), last: Height(4) };
        assert!(matches!(Fault::of_lane(fork), Fault::Forked(error) if error == fork));
        let lie = FollowError::Skipped { height: Height(7), previous: Height(4), last: Height(3) };
        assert!(matches!(Fault::of_lane(lie), Fault::False(_)));
    }
}
