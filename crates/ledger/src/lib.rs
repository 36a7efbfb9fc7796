//! Settlement: what committed headers and opened payloads mean.
//!
//! A pure function of all headers and payloads up to a height. Every validator computes it for itself, behind
//! consensus, and signs the [`Outcome`](chorale_types::Outcome); nothing here can be disputed, decided or late.
//!
//! # Rules of a height `h`
//!
//! 1. *Chain time* `T(h)` is the header's timestamp, but at least `T(h-1) + 1 ms` and at most
//!    `T(h-1) + time_step_max`: a leader that lies about the time moves it by one step, and after an outage it catches
//!    up.
//! 2. A payload whose commitment was ordered before is *void*. One that does not open, or is not what its manifest says,
//!    is *malformed*. Both are without effect.
//! 3. The units of the first payload, in its order, and then of the second, go into the lanes of their rollups, except:
//!    - a transaction that stands at this height already or, unless the rollup has nonces of its own, at one of the
//!      `dedup_window` heights before;
//!    - a bundle that was ordered before, at any height, or whose expiry is passed, or too far off for its id to be
//!      remembered until then;
//!    - what is for a rollup that the chain does not have, or that is suspended;
//!    - what is for the chain itself (rollup 0) and has no effect.
//!
//!    A bundle is left out whole. A copy of a leg elsewhere is a transaction of its own: it neither counts as the leg
//!    nor keeps the bundle out, so nobody can break a bundle by sending one of its legs first.
//! 4. The lane of a rollup names the height at which it had content before, and the registry the last one of each: a
//!    follower can tell that it skipped nothing.
//!
//! # Attested domains
//!
//! Attestations of what executed rollups became are ordered, as [`SystemItem`](chorale_types::SystemItem)s for rollup 0. A
//! height with content of a domain waits until one of it or a later height is ordered. If that takes more than
//! `attestation_lag_max` heights, all rollups of the domain are *suspended* by that rule: what is for them is left out, so
//! that whoever executes too slowly, or not at all, burdens nobody else. They go on when all that the
//! domain had before is attested, and their owner says so (a [`Resume`](chorale_types::Resume) for this suspension), or by themselves if they have none. Items
//! count from the next height on. Of each payload one attestation of each domain is looked at, and one word for each
//! rollup: nobody can make settlement check more signatures than that.
//!
//! # State
//!
//! The registry, chain time, the ids within the window, the ids of bundles until they expire, the commitments of the epoch,
//! and where domains stand. [`Outcome::ledger`](chorale_types::Outcome) is a digest of it, so a [`Snapshot`] from a stranger
//! can be checked against an attestation.
//!
//! Money comes later: nobody pays for anything yet.

mod config;
mod domains;
mod ledger;
mod places;
mod references;
mod settled;
mod snapshot;
#[cfg(test)]
mod tests;
mod units;
mod window;

pub use config::{Config, DomainRules, RollupRules};
pub use domains::{Refused, Standing};
pub use ledger::{Content, Ledger, SettleError};
pub use settled::{Included, Settled, SkipReason, Skipped};
pub use snapshot::{Head, RestoreError, Snapshot};
pub use window::OrderedTransactions;
