//! Chorale's consensus: header-only pipelined HotStuff as a pure state machine.
//!
//! [`Core`] decides what one node says and believes. It has no clock, socket, disk, thread or randomness: whoever owns
//! those gives it an [`Input`] and the time, and carries out its [`Output`]s in order. The same inputs always give the
//! same outputs.
//!
//! # Overview
//!
//! Two-chain, pipelined HotStuff ([Yin et al. 2019], [HotStuff-2, Malkhi and Nayak 2023]) with stake-weighted
//! certificates that name their signers, and MonadBFT's answer to tail-forking ([Jalalzai et al. 2025]): a leader that
//! times out costs no earlier leader its block. What is ordered are headers of a few hundred bytes. A header proves by
//! itself that it may be voted for, so it can always be proposed again, and there is no block recovery.
//!
//! Validators carry integer weights of sum `S`. Whatever counts, counts weight: a quorum is `Q = floor(2S/3) + 1`, an
//! honest share `H = floor(S/3) + 1`. Time is cut into *views*, each with one leader, and views into *epochs*, each with
//! one validator set. All signatures are bound to chain and epoch.
//!
//! ```text
//!  leader(v)          all                leader(v), leader(v+1)   all                  ...
//!  proposal(v) -----> vote(v) ---------> QC(v) broadcast -------> certified
//!                                        proposal(v+1) ---------> vote(v+1) ---> QC(v+1) ---> v committed
//! ```
//!
//! In message delays: a block every 2, certified everywhere at 3, committed at 5. With [`Votes::All`] certified at 2 and
//! committed at 3, which is the optimum.
//!
//! # Rules
//!
//! The *rank* of what a validator knows is compared lexicographically: a certificate of view `v` has `(v, 1, 0)`, a
//! header of view `v` that was voted for has `(v, 0, view of its parent)`. A header proposed again keeps its rank.
//!
//! 1. *Enter* (`learn`). Any valid QC or TC for this view or a later one, in any message, leads to the view after it.
//!    The highest QC ever verified is kept and never replaced by a lower one.
//! 2. *Propose* (`lead`), once per view. After a QC: a fresh header on it. After a TC whose best is a QC: a fresh header
//!    on that, with the timeouts as `entry`. After a TC whose best is a header: that header again.
//! 3. *Vote* (`vote`), once per view, for the first valid proposal, if the view was not given up. Only the timestamp of a
//!    fresh header is judged subjectively, and one that is ahead is voted for when the clock is there, if the view lasts
//!    so long. Whatever decides a vote on a reproposal, or the acceptance of a timeout, is stateless (`check`), or honest
//!    nodes could disagree and one bad header would stall the chain.
//! 4. *Certify* (`ballot`). Votes are counted as they come, added up at a quorum and verified once. If the sum does not
//!    hold, bisection finds the bad ones, whose senders are blamed and ignored for the view.
//! 5. *Certified*. A QC on a fresh header: lost only if the leader signed two headers of the view.
//! 6. *Commit* (`tree`). QC(v) on B and QC(v+1) on a child of B commit B and its ancestors. With [`Votes::All`] whoever
//!    learns QC(v) without having given up v or later also sends a commit vote, and a quorum of those commits.
//! 7. *Time out* (`giveup`, `timeouts`). When the timer fires or `H` gave the view up: no more vote in it, and the best
//!    that is known goes to all, unchanged until the view ends. `Q` timeouts are a TC. Of the reported bests only those
//!    above the verified ones are verified. Who is behind is answered with the entry certificate.
//! 8. *Timer* (`timer`). Base and three round trips, times 1.5 per view lost. A leader with nothing to order may hold
//!    that back for the idle interval, and everybody else waits as much longer, until somebody has something pending.
//! 9. *Synchronise* (`learn`). Headers missing below a proven commit are fetched and checked by their hashes.
//! 10. *Epochs* (`epochs`). Nothing above the closing height is committed. Whoever learns its commit tells all and answers
//!     everything said later in the epoch with the proof.
//!
//! *Evidence* (`accuse`): every contradiction of [`chorale_types::Fault`] that concerns consensus is detected from what
//! arrives, verified, and handed out once per validator and fault.
//!
//! # Durability
//!
//! [`Record`] is all that must survive. [`Output::Persist`] comes before everything in the step that it allows: the
//! signed messages, and also certificates and commits that may count this node's own vote. [`Output::PersistHeader`]
//! comes before the record that says that the header was voted for. A node without its record must be started with
//! [`Config::may_sign`] false: it follows until an epoch begins that it cannot have signed in (`signs`). After a restart
//! the core resends what it said last.
//!
//! # Wire format
//!
//! [`chorale_types::Message`], [`chorale_types::Statement`] and the canonical codec. [`Record`] is frozen by a golden file
//! in `fixtures/`.
//!
//! # Limits
//!
//! | what | bound |
//! | --- | --- |
//! | votes, commit votes, timeouts | one of each per validator and view |
//! | views for which they are kept | those not committed, at most 64 before and 8 after the current one |
//! | headers | [`Parameters::headers_ahead_max`] heights, and those voted for or below a proven commit |
//! | verified objects remembered | 4 per view and kind, 128 views |
//! | messages of the next epoch kept | 1024, 4 per peer |
//! | farewells of past epochs kept | 256; older ones are in the driver's archive ([`Output::Behind`]) |
//! | answers to stale messages | one per peer, view and half the base timeout |
//!
//! # Deviations from the papers
//!
//! - HotStuff-2 has leaders wait for a maximal delay after a timeout; here the TC proves the best of a quorum instead.
//! - MonadBFT endorses and recovers blocks, because they are large. Here the header itself is in the timeout.
//! - The third component of a rank is ours: without it an equivocating leader's header on an older parent could displace
//!   a block that is committed.
//! - A timeout whose best is a header of the view given up needs no `entry`: the header proves how the view was entered.
//!
//! # Hazards
//!
//! - [`Output::Committed`] at the end of an epoch may carry the proof of a descendant of the closing block. The
//!   `farewell` of [`Output::EpochEnded`] holds the certificates in between.
//! - The driver has to answer [`Output::WantContent`], be it with nothing: a leader does not propose before.
//! - [`Output::Conflict`] means that more than a third of the stake is faulty. There is nothing to do but to stop.
//!
//! [Yin et al. 2019]: https://arxiv.org/abs/1803.05069
//! [HotStuff-2, Malkhi and Nayak 2023]: https://eprint.iacr.org/2023/397
//! [Jalalzai et al. 2025]: https://arxiv.org/abs/2502.20692

mod accuse;
mod ballot;
mod check;
mod config;
mod core;
mod epochs;
mod giveup;
mod input;
mod invalid;
mod lead;
mod learn;
#[cfg(any(test, feature = "mocks"))]
pub mod mock;
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, dead_code, reason = "only that feature exports it"))]
mod mutation;
mod mutations;
mod output;
mod pools;
mod record;
mod rules;
mod signs;
mod timeouts;
mod timer;
mod tree;
mod verified;
mod vote;

pub use self::core::Core;
pub use config::{Config, Parameters, Votes};
pub use input::Input;
#[cfg(feature = "mutants")]
pub use mutation::Mutation;
pub use output::{Output, To};
pub use record::Record;

#[cfg(test)]
mod tests;
