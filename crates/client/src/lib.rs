//! Follow rollups through any nodes, believing none of them.
//!
//! A [`Follower`] asks [`Nodes`] for the heights at which its rollups have content, one after the other, and verifies each
//! from the genesis alone: attestation, hand-overs between epochs, the lanes, and that nothing was left out before them, of
//! any of the rollups. A
//! node that does not answer is asked again later; one that says something false is never asked again, and named.
//!
//! # What a node can still do
//!
//! Withhold. Every look at the tip goes to the next node, so that one that says "nothing yet" holds nobody up for longer
//! than a turn, as long as one other node is honest and reachable.

mod executed;
mod follower;
mod nodes;
mod watched;

pub use executed::AttestationFollower;
pub use follower::{Config, FollowFailed, Followed, FollowedSecond, Follower};
pub use nodes::{Dropped, Node, Nodes, UrlError};
