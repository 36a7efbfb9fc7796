//! The judge: what must hold after every step of every run.
//!
//! It is written from the design, shares no logic with the state machine it judges, and sees what no node sees: all
//! messages, all disks, and who is honest. Where safety is at stake it does not wait for an attack to succeed: it counts
//! what honest validators have signed, gives the Byzantine ones every signature they could add, and asks whether the
//! forbidden certificate is *possible*.
//!
//! | file | rules |
//! | --- | --- |
//! | `signing` | no honest validator contradicts itself, in one life or over several |
//! | `durability` | nothing sent is ahead of the durable record; the record only moves forward |
//! | `certificates` | one certificate per view, a quorum behind each, every signer of it did sign |
//! | `hiding` | no quorum of timeouts can hide a block that is certified or committed |
//! | `chain` | one chain, without gap or repetition; `certified` is lost only if the leader is provably at fault |
//! | `calm` | in networks without faults: growth, one timeout per dead leader, no honest leader's view lost |

mod calm;
mod certificates;
mod chain;
mod durability;
mod hiding;
mod signing;

use crate::disk::Disk;
use chorale_hotstuff::Record;
use chorale_types::{
    BlockId, CommitProof, Entry, Epoch, EpochInfo, Evidence, Header, High, Message, Proposal, QuorumCertificate,
    Signers, Statement, Tip, ValidatorIndex, View, codec::Shared,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rule {
    /// An honest validator signs nothing that contradicts what it signed, and so cannot be framed.
    HonestSigning,
    /// A node that lost its record signs nothing in the epoch.
    SilenceAfterLoss,
    /// Nothing is sent that the disk does not remember.
    Durability,
    /// The record never goes back.
    Monotonicity,
    /// A fresh header that is voted for extends the certificate of the view before, or carries the timeouts that excuse
    /// it.
    JustifiedVotes,
    /// A view has one certificate.
    OneCertificatePerView,
    /// A certificate has a quorum, and each honest signer signed.
    GenuineCertificates,
    /// No quorum of timeouts hides what may be certified or committed.
    NothingHidden,
    /// All nodes commit prefixes of one chain.
    OneChain,
    /// Heights are committed one by one, each once.
    NoGap,
    /// Commits are proven, and by the rules.
    ProvenCommits,
    /// Only a fresh header's certificate makes a block `certified`.
    FreshCertified,
    /// A certified block is lost only if its leader signed two headers of the view.
    CertifiedKept,
    /// No honest validator is accused.
    NoFraming,
    /// The chain grows once the network is calm.
    Growth,
    /// A dead leader costs one timeout.
    OneTimeoutPerDeadLeader,
    /// An honest leader's view is not lost in a calm network.
    NoHonestViewLost,
    /// What is sent arrives as what it was.
    Codec,
    /// Epochs end with their closing block, the same for all.
    Epochs,
}

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule:?}: {what}")]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// What happened instead.
    pub what: String,
}

/// Whether everything holds.
pub type Verdict = Result<(), Broken>;

fn ensure(holds: bool, rule: Rule, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Broken { rule, what: what() }) }
}

/// One epoch as the oracle knows it.
#[derive(Debug)]
struct EpochState {
    info: EpochInfo,
    signing: signing::Signing,
    certificates: certificates::Certificates,
    hiding: hiding::Hiding,
}

/// The judge of one run. Nodes are numbered; an honest node's number is its index in every epoch's set.
#[derive(Debug)]
pub struct Oracle {
    byzantine: BTreeSet<ValidatorIndex>,
    epochs: BTreeMap<Epoch, EpochState>,
    /// Every header that anybody sent or stored.
    headers: BTreeMap<BlockId, Shared<Header>>,
    /// Headers by who signed them: more than one of a view is proof against its leader.
    tips: BTreeMap<(Epoch, View), BTreeSet<BlockId>>,
    /// Headers that were shown with a sufficient reason for what they extend.
    justified: BTreeSet<BlockId>,
    chain: chain::Chain,
    progress: BTreeMap<usize, durability::Progress>,
    /// The last record of each node: only what has changed is looked at.
    records: BTreeMap<usize, Record>,
    calm: calm::Calm,
}

impl Oracle {
    /// A judge who knows whom not to trust.
    #[must_use]
    pub fn new(first: &EpochInfo, byzantine: BTreeSet<ValidatorIndex>) -> Self {
        let mut oracle = Self {
            byzantine,
            epochs: BTreeMap::new(),
            headers: BTreeMap::new(),
            tips: BTreeMap::new(),
            justified: BTreeSet::new(),
            chain: chain::Chain::new(first.start),
            progress: BTreeMap::new(),
            records: BTreeMap::new(),
            calm: calm::Calm::default(),
        };
        oracle.add_epoch(first);
        oracle
    }

    /// Whether a validator is on nobody's side but its own.
    #[must_use]
    pub fn is_honest(&self, index: ValidatorIndex) -> bool {
        !self.byzantine.contains(&index)
    }

    fn add_epoch(&mut self, info: &EpochInfo) {
        self.epochs.entry(info.epoch).or_insert_with(|| EpochState {
            info: info.clone(),
            signing: signing::Signing::default(),
            certificates: certificates::Certificates::default(),
            hiding: hiding::Hiding::new(info, &self.byzantine),
        });
    }

    /// A node learnt that its epoch is over.
    pub fn epoch_ended(&mut self, node: usize, ended: Epoch, next: &EpochInfo) -> Verdict {
        let closing = self.epochs.get(&ended).map(|state| state.info.closing);
        ensure(Some(next.start.height) == closing, Rule::Epochs, || {
            format!("node {node} ended {ended:?} at {}, which closes at {closing:?}", next.start.height)
        })?;
        ensure(self.chain.is_committed(next.start.height, next.start.id), Rule::Epochs, || {
            format!("node {node} ended {ended:?} with {:?}, which is not committed", next.start.id)
        })?;
        self.add_epoch(next);
        Ok(())
    }

    /// An honest node is about to send this; `disk` is what it would find after a crash.
    pub fn sent(&mut self, node: usize, disk: &Disk, silent: bool, message: &Message) -> Verdict {
        self.learn(message);
        let index = crate::epochs::index_of(node);
        if let Some((author, statement)) = statement_of(message)
            && author == index
        {
            ensure(!silent, Rule::SilenceAfterLoss, || {
                format!("node {node} lost its record and signs {statement:?} all the same")
            })?;
            self.signed(message.epoch(), index, statement)?;
        }
        durability::check_sent(node, disk, message)?;
        self.check_certificates(message)
    }

    /// A Byzantine validator sent this.
    pub fn sent_by_byzantine(&mut self, message: &Message) {
        self.learn(message);
    }

    /// An honest node made its record durable: what is in it counts as signed.
    pub fn persisted(&mut self, node: usize, record: &Record) -> Verdict {
        self.progress.entry(node).or_default().check(node, record)?;
        let index = crate::epochs::index_of(node);
        let epoch = record.epoch;
        let before = self.records.insert(node, record.clone()).filter(|before| before.epoch == epoch);
        let before = before.unwrap_or_else(|| Record::start(&self.epochs[&epoch].info, record.committed));
        if let Some(Entry::TimedOut(certificate)) = record.entry.as_ref().filter(|_| record.entry != before.entry) {
            self.learn_high(&certificate.high);
            self.calm.timed_out(epoch, certificate.quorum.view);
        }
        if let Some(proposal) = record.proposal.as_ref().filter(|_| record.proposal != before.proposal) {
            self.learn_proposal(proposal);
            self.signed(epoch, index, proposal_statement(proposal))?;
        }
        if let Some(tip) = record.tip.as_ref().filter(|_| record.tip != before.tip) {
            self.learn_tip(tip);
        }
        if let Some(vote) = &record.vote {
            self.signed(epoch, index, vote.statement())?;
        }
        if let Some(vote) = &record.commit_vote {
            self.signed(epoch, index, vote.statement())?;
        }
        if let Some(timeout) = record.timeout.as_ref().filter(|_| record.timeout != before.timeout) {
            self.learn_high(&timeout.high);
            self.signed(epoch, index, timeout.statement())?;
        }
        Ok(())
    }

    /// A node entered a view.
    pub fn entered(&mut self, epoch: Epoch, view: View) {
        self.calm.entered(epoch, view);
    }

    /// A node calls a block certified.
    pub fn certified(&mut self, node: usize, certificate: &QuorumCertificate) -> Verdict {
        ensure(certificate.view == certificate.block.view, Rule::FreshCertified, || {
            format!(
                "node {node} calls {:?} certified by a vote on its reproposal in {}",
                certificate.block, certificate.view
            )
        })?;
        self.check_certificate(certificate)?;
        self.chain.certified(certificate.epoch, certificate.block);
        self.check_certified_kept()
    }

    /// A node commits blocks.
    pub fn committed(&mut self, node: usize, headers: &[Shared<Header>], proof: &CommitProof) -> Verdict {
        for header in headers {
            self.headers.entry(header.id()).or_insert_with(|| header.clone());
            let closing = self.epochs.get(&header.epoch).map(|state| state.info.closing);
            ensure(closing.is_some_and(|closing| header.height <= closing), Rule::Epochs, || {
                format!("node {node} commits {} of {:?}, which closes at {closing:?}", header.height, header.epoch)
            })?;
        }
        self.chain.committed(node, headers)?;
        self.check_proof(node, headers, proof)?;
        self.check_certified_kept()
    }

    /// A node lost its record: what it writes from now on starts anew.
    pub fn wiped(&mut self, node: usize) {
        self.progress.remove(&node);
        self.records.remove(&node);
    }

    /// A node starts again, knowing this much of the chain.
    pub fn restarted(&mut self, node: usize, committed: chorale_types::Height) {
        self.chain.restarted(node, committed);
    }

    /// A node holds evidence.
    pub fn evidence(&self, node: usize, evidence: &Evidence) -> Verdict {
        ensure(!self.is_honest(evidence.offender), Rule::NoFraming, || {
            format!("node {node} holds evidence against honest {}: {evidence:?}", evidence.offender)
        })?;
        ensure(evidence.fault().is_some(), Rule::NoFraming, || {
            format!("node {node} holds evidence of nothing: {evidence:?}")
        })
    }

    /// A node blames a peer.
    pub fn misbehaviour(&self, node: usize, peer: ValidatorIndex, what: &str) -> Verdict {
        ensure(!self.is_honest(peer), Rule::NoFraming, || format!("node {node} blames honest {peer}: {what}"))
    }

    /// How far node's chain goes.
    #[must_use]
    pub fn height_of(&self, node: usize) -> u64 {
        self.chain.height_of(node)
    }

    /// Views that ended with a timeout certificate.
    #[must_use]
    pub fn timeouts(&self) -> u64 {
        self.calm.timeouts()
    }

    /// The highest view entered, over all epochs added up.
    #[must_use]
    pub fn views(&self) -> u64 {
        self.calm.views()
    }

    /// Judges a finished run without faults but these dead nodes.
    pub fn check_calm(&self, dead: &BTreeSet<ValidatorIndex>) -> Verdict {
        for state in self.epochs.values() {
            self.calm.check(&state.info, dead)?;
        }
        Ok(())
    }

    fn signed(&mut self, epoch: Epoch, index: ValidatorIndex, statement: Statement) -> Verdict {
        if !self.is_honest(index) {
            return Ok(());
        }
        let Some(state) = self.epochs.get_mut(&epoch) else {
            return Err(Broken {
                rule: Rule::Epochs,
                what: format!("{index} signs in {epoch:?}, which nobody started"),
            });
        };
        if !state.signing.add(index, statement)? {
            return Ok(());
        }
        if let Statement::Vote { block, .. } = statement {
            ensure(self.justified.contains(&block.id), Rule::JustifiedVotes, || {
                format!("{index} votes for {block:?}, which nothing allows to extend view {}", block.parent)
            })?;
        }
        if let Some(block) = state.hiding.add(&state.signing, index, statement)?
            && block.parent.next() == block.view
            && let Some(header) = self.headers.get(&block.id)
        {
            // The block can be certified one view after its parent was: the parent can be committed.
            let parent = header.parent.block;
            state.hiding.committed(block.view, parent);
            if parent.height <= state.info.closing {
                self.chain.possible(parent)?;
            }
        }
        Ok(())
    }

    fn learn(&mut self, message: &Message) {
        match message {
            Message::Proposal(proposal) => self.learn_proposal(proposal),
            Message::Timeout(timeout) => {
                self.learn_high(&timeout.high);
                if let Some(Entry::TimedOut(certificate)) = &timeout.entry {
                    self.learn_high(&certificate.high);
                }
            }
            Message::Entry(Entry::TimedOut(certificate)) => self.learn_high(&certificate.high),
            _ => {}
        }
    }

    fn learn_proposal(&mut self, proposal: &Proposal) {
        if let Some(tip) = proposal.tip() {
            self.learn_tip(tip);
        }
    }

    fn learn_high(&mut self, high: &High) {
        if let High::Voted(tip) = high {
            self.learn_tip(tip);
        }
    }

    fn learn_tip(&mut self, tip: &Tip) {
        let id = tip.header.id();
        self.tips.entry((tip.header.epoch, tip.header.view)).or_default().insert(id);
        if self.is_justified(tip) {
            self.justified.insert(id);
        }
        self.headers.entry(id).or_insert_with(|| tip.header.clone());
    }
}

impl Oracle {
    /// Whether a header extends the certificate of the view before, or else what the timeouts of that view allow.
    fn is_justified(&self, tip: &Tip) -> bool {
        let (view, parent) = (tip.header.view, &tip.header.parent);
        let Some(state) = self.epochs.get(&tip.header.epoch) else { return false };
        if parent.view.next() == view {
            return tip.entry.is_none();
        }
        tip.entry.as_ref().is_some_and(|entry| {
            let members = state.info.validators.len();
            let named = entry.groups.iter().flat_map(|group| group.signers.iter());
            let signers = Signers::of(members, named.filter(|signer| signer.as_usize() < members));
            entry.view.next() == view
                && entry.rank() == Some(parent.rank())
                && state.info.validators.is_quorum(&signers)
        })
    }
}

/// What a message's author signed, if its author signs it as a whole.
fn statement_of(message: &Message) -> Option<(ValidatorIndex, Statement)> {
    Some(match message {
        Message::Vote(vote) => (vote.author, vote.statement()),
        Message::CommitVote(vote) => (vote.author, vote.statement()),
        Message::Timeout(timeout) => (timeout.author, timeout.statement()),
        Message::Proposal(proposal @ Proposal::Fresh(tip)) => (tip.header.author, proposal_statement(proposal)),
        _ => return None,
    })
}

fn proposal_statement(proposal: &Proposal) -> Statement {
    match proposal {
        Proposal::Fresh(tip) => Statement::Tip { view: tip.header.view, id: tip.header.id() },
        Proposal::Again(again) => {
            let id = proposal.tip().map_or(BlockId(chorale_types::tagged_hash("none", &[])), |tip| tip.header.id());
            Statement::Reproposal { view: proposal.view(), id, timeout: again.timeout.digest() }
        }
    }
}
