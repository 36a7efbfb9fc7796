//! Following by the second: which heights share one, and which height ended it.
//!
//! The height that closes a second is the first one of a later second, with content or without. It is proved: the outcome of
//! the height before it, or the last content, is still in the second, its own is later, and both are attested. Chain time
//! rises with every height, so there is one such height, whoever is asked and whenever.

use super::{Fault, FollowFailed, Followed, Follower, Patience};
use crate::nodes::Node;
use chorale_api::{ChoraleApiClient as _, LaneAnswer};
use chorale_light::Attested;
use chorale_types::Height;

/// What the rollups were given in one second of chain time: all of it, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedSecond {
    /// The heights with content, in order; at least one. A second has a thousand heights at most.
    pub heights: Vec<Followed>,
    /// The first height of a later second. It may have content, which is then part of the next one.
    pub closing: Attested,
}

/// A second that is not closed yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    heights: Vec<Followed>,
    /// The first content of a later second.
    later: Option<Followed>,
}

impl Follower {
    /// The next second with content, as soon as the height that closes it is attested. Each once, in order, nothing left
    /// out. Whoever uses this uses it alone, without [`Follower::next`]; it can be dropped at any time and called again.
    ///
    /// To go on later, a follower starts at the height before [the closing one](FollowedSecond::closing), which may have
    /// content of the next second.
    ///
    /// # Errors
    ///
    /// As [`Follower::next`].
    pub async fn next_second(&mut self) -> Result<FollowedSecond, FollowFailed> {
        let mut patience = Patience::default();
        loop {
            let asked = self.ask_second().await;
            if let Some(second) = self.bear(asked, &mut patience).await? {
                return Ok(second);
            }
        }
    }

    /// Asks the current node for what is left of the open second, and for its end.
    async fn ask_second(&mut self) -> Result<Option<FollowedSecond>, Fault> {
        while self.second.later.is_none() {
            let Some(followed) = self.ask().await? else { break };
            match self.second.heights.last() {
                Some(last) if second_of(&last.attested) != second_of(&followed.attested) => {
                    self.second.later = Some(followed);
                }
                _ => self.second.heights.push(followed),
            }
        }
        let Some(last) = self.second.heights.last().map(|followed| followed.attested.clone()) else { return Ok(None) };
        let Some(node) = self.nodes.current().cloned() else { return Ok(None) };
        let later = match &self.second.later {
            Some(followed) => Some(followed.attested.clone()),
            None => self.ask_tip(&node).await?.filter(|tip| second_of(tip) > second_of(&last)),
        };
        let Some(later) = later else { return Ok(None) };
        let Some(closing) = self.ask_closing(&node, &last, later).await? else { return Ok(None) };
        let heights = std::mem::replace(&mut self.second.heights, self.second.later.take().into_iter().collect());
        Ok(Some(FollowedSecond { heights, closing }))
    }

    /// The last outcome that is known to have no content before it that is not here, for while there is no more.
    async fn ask_tip(&mut self, node: &Node) -> Result<Option<Attested>, Fault> {
        if self.rollups.values().any(|watched| watched.ahead().is_some()) {
            // Its turn comes when the others are known as far.
            return Ok(None);
        }
        for rollup in self.rollups.keys().copied().collect::<Vec<_>>() {
            self.ask_last_content(node, rollup).await?;
        }
        let tips: Option<Vec<&Attested>> = self.rollups.values().map(|watched| watched.tip()).collect();
        Ok(tips.and_then(|tips| tips.into_iter().min_by_key(|tip| tip.height()).cloned()))
    }

    /// The first height after `last` whose second is later; `later` is one. None if a height between is not attested yet
    /// where it was asked.
    async fn ask_closing(&mut self, node: &Node, last: &Attested, later: Attested) -> Result<Option<Attested>, Fault> {
        let (mut before, mut closing) = (last.height().0, later);
        // It is a few heights away, however long the chain has been idle.
        let mut step = 1;
        while closing.height().0 > before + 1 {
            let height = before + step.min((closing.height().0 - before) / 2);
            let Some(outcome) = self.ask_outcome(node, Height(height)).await? else { return Ok(None) };
            if second_of(&outcome) > second_of(last) {
                closing = outcome;
            } else {
                (before, step) = (height, step * 2);
            }
        }
        Ok(Some(closing))
    }

    /// The outcome of a height; none if it is not attested where it was asked.
    async fn ask_outcome(&mut self, node: &Node, height: Height) -> Result<Option<Attested>, Fault> {
        let rollup = self.rollups.keys().next().expect("a follower follows some rollup").0;
        let answer = node.client.lane(rollup, height.0).await.map_err(|error| Fault::of(&error))?;
        let LaneAnswer { outcome, attestation: Some(attestation), .. } = answer else { return Ok(None) };
        let attested = self.verify(node, outcome, attestation).await?;
        if attested.height() != height {
            let message = format!("height {height} is asked for, and height {} shown", attested.height());
            return Err(Fault::False(message));
        }
        Ok(Some(attested))
    }
}

const fn second_of(attested: &Attested) -> u64 {
    attested.timestamp().second()
}
