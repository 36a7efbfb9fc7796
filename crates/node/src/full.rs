//! Full nodes: they follow the API of other nodes, settle everything themselves, and serve the same API. They are not on
//! the mesh, vote on nothing, and have no keys.
//!
//! # What is believed
//!
//! Nothing. A block is taken if a quorum of the validators of its epoch attests its outcome and the header is the one that
//! the outcome names; a payload, if it seals to the commitment of the header's certificate. Then the height is settled here,
//! and what comes out has to be the attested outcome: if it is not, the node stops and says so ([`Stopped::Diverged`]).
//! Who says something false is named in the log and not asked again; who does not answer is asked again later. A node
//! can still withhold, for as long as no other one that is followed is honest and reachable.
//!
//! # Speed
//!
//! A node that is behind asks for the next blocks while it settles one, so that it becomes level also over long distances.
//! It is ready as long as it has what those that it follows have.
//!
//! # Durability
//!
//! Payloads, header, attestation, and at the end of an epoch who validates next, are durable before a height is settled.
//! After a restart the heights above settlement's snapshot are asked for again.
//!
//! # What it hands on
//!
//! Submissions, the status of what is not settled yet, and the pool's figures are those of the nodes that it follows. It
//! sees no votes, so it knows of no evidence.

mod actor;
mod ahead;
mod block;
mod run;

pub use actor::Stopped;
pub use run::run;
