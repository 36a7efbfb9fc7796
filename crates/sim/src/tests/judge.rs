//! The judge: each rule can fail, and what is allowed does not.

use crate::{
    Disk, Profile, SimConfig,
    epochs::{Epochs, index_of},
    oracle::{Oracle, Rule, Verdict},
    run,
};
use chorale_hotstuff::Record;
use chorale_types::{
    BlockReference, CommitCertificate, CommitPair, CommitProof, CommitVote, EpochInfo, Evidence, Header, High, Message,
    Proposal, QuorumCertificate, Rank, RankKind, Signature, Signers, Statement, Timeout, TimeoutGroup, TimeoutQuorum,
    Tip, View, Vote,
    codec::{List, Shared},
};
use std::collections::BTreeSet;

/// Four equal validators, of whom the last is Byzantine: certificates need three, two of them honest.
struct Court {
    info: EpochInfo,
    oracle: Oracle,
}

fn court() -> Court {
    let epochs = Epochs::new(1, vec![1; 4], 3);
    let info = epochs.first().clone();
    Court { oracle: Oracle::new(&info, BTreeSet::from([index_of(3)])), info }
}

fn breaks(verdict: &Verdict, rule: Rule) {
    assert_eq!(verdict.as_ref().map_err(|broken| broken.rule), Err(rule), "{verdict:?}");
}

impl Court {
    fn header(&self, view: u64, parent: &QuorumCertificate, timestamp: u64) -> Shared<Header> {
        Shared::new(Header {
            chain: self.info.chain,
            epoch: self.info.epoch,
            view: View(view),
            height: parent.block.height.next(),
            parent: parent.clone(),
            timestamp: chorale_types::TimestampMs(timestamp),
            payloads: List::new(Vec::new()).unwrap(),
            author: self.info.leader(View(view)),
        })
    }

    fn record(&self, view: u64) -> Record {
        Record { view: View(view), ..Record::start(&self.info, self.info.start) }
    }

    fn vote(&mut self, node: usize, view: u64, block: BlockReference) -> Verdict {
        let vote = self.vote_of(node, view, block);
        let record = Record { vote: Some(vote), ..self.record(view) };
        self.oracle.persisted(node, &record)
    }

    fn vote_of(&self, node: usize, view: u64, block: BlockReference) -> Vote {
        let (epoch, author) = (self.info.epoch, index_of(node));
        Vote { epoch, view: View(view), block, author, signature: Signature::NONE }
    }

    fn commit_vote(&mut self, node: usize, view: u64, block: BlockReference) -> Verdict {
        let (epoch, author) = (self.info.epoch, index_of(node));
        let vote = CommitVote { epoch, view: View(view), block, author, signature: Signature::NONE };
        let record = Record { commit_vote: Some(vote), ..self.record(view + 1) };
        self.oracle.persisted(node, &record)
    }

    fn timeout(&mut self, node: usize, view: u64, high: High) -> Verdict {
        let (epoch, author, signature) = (self.info.epoch, index_of(node), Signature::NONE);
        let timeout = Timeout { epoch, view: View(view), high, author, signature, entry: None };
        let record = Record { timeout: Some(timeout), ..self.record(view) };
        self.oracle.persisted(node, &record)
    }

    /// A certificate by 0, 1 and the Byzantine one.
    fn certificate(&self, view: u64, block: BlockReference) -> QuorumCertificate {
        let signers = Signers::of(4, [0, 1, 3].map(index_of));
        QuorumCertificate { epoch: self.info.epoch, view: View(view), block, signers, signature: Signature::NONE }
    }

    /// A header of this view that 0 and 1 vote for, certified.
    fn certified(&mut self, view: u64, parent: &QuorumCertificate) -> (Shared<Header>, QuorumCertificate) {
        let header = self.header(view, parent, view);
        self.see(&header);
        self.vote(0, view, header.reference()).unwrap();
        self.vote(1, view, header.reference()).unwrap();
        let certificate = self.certificate(view, header.reference());
        (header, certificate)
    }

    fn see(&mut self, header: &Shared<Header>) {
        let (epoch, view) = (self.info.epoch, header.view);
        let excused = header.parent.view.next() != view;
        let entry = excused.then(|| {
            let signers = Signers::of(4, [0, 1, 2].map(index_of));
            let group = TimeoutGroup { rank: header.parent.rank(), signers, signature: Signature::NONE };
            let groups = List::new(vec![group]).unwrap();
            TimeoutQuorum { epoch, view: View(view.0 - 1), groups }
        });
        let tip = Tip { header: header.clone(), entry, signature: Signature::NONE };
        self.oracle.sent_by_byzantine(&Message::Proposal(Proposal::Fresh(tip)));
    }

    /// A header of view 2 that everybody has seen.
    fn shown(&mut self, timestamp: u64) -> BlockReference {
        let header = self.header(2, &self.start(), timestamp);
        self.see(&header);
        header.reference()
    }

    fn start(&self) -> QuorumCertificate {
        self.info.start_certificate()
    }
}

fn pair(block: &QuorumCertificate, child: &QuorumCertificate) -> CommitProof {
    CommitProof::Pair(CommitPair { block: block.clone(), child: child.clone() })
}

#[test]
fn honest_validators_do_not_contradict_themselves() {
    let start = court().start();
    let low = High::Certified(start);
    let case = |say: &dyn Fn(&mut Court, BlockReference) -> Verdict| {
        let mut court = court();
        let block = court.shown(1);
        say(&mut court, block)
    };
    breaks(
        &case(&|court, block| {
            court.vote(0, 2, block)?;
            let other = court.shown(2);
            court.vote(0, 2, other)
        }),
        Rule::HonestSigning,
    );
    breaks(
        &case(&|court, block| {
            court.timeout(0, 2, low.clone())?;
            court.vote(0, 2, block)
        }),
        Rule::HonestSigning,
    );
    breaks(
        &case(&|court, block| {
            court.vote(0, 2, block)?;
            court.timeout(0, 2, low.clone())
        }),
        Rule::HonestSigning,
    );
    breaks(
        &case(&|court, block| {
            court.commit_vote(0, 2, block)?;
            court.timeout(0, 3, low.clone())
        }),
        Rule::HonestSigning,
    );
    breaks(
        &case(&|court, block| {
            court.timeout(0, 3, low.clone())?;
            court.commit_vote(0, 3, block)
        }),
        Rule::HonestSigning,
    );
    let repeated = case(&|court, block| {
        court.vote(0, 2, block)?;
        court.vote(0, 2, block)?;
        court.timeout(1, 2, low.clone())?;
        court.timeout(1, 2, low.clone())
    });
    assert_eq!(repeated, Ok(()));
}

#[test]
fn votes_are_for_headers_that_say_what_they_extend_and_why() {
    let mut court = court();
    let header = court.header(2, &court.start(), 1);
    let tip = Tip { header: header.clone(), entry: None, signature: Signature::NONE };
    court.oracle.sent_by_byzantine(&Message::Proposal(Proposal::Fresh(tip)));
    breaks(&court.vote(0, 2, header.reference()), Rule::JustifiedVotes);
    court.see(&header);
    assert_eq!(court.vote(1, 2, header.reference()), Ok(()));
}

#[test]
fn what_is_sent_is_on_the_disk() {
    let mut court = court();
    let header = court.header(1, &court.start(), 1);
    court.see(&header);
    let vote = court.vote_of(0, 1, header.reference());
    let mut disk = Disk::new(court.info.start);
    breaks(&court.oracle.sent(0, &disk, false, &Message::Vote(vote)), Rule::Durability);
    disk.write(crate::Write::Record(Box::new(Record { vote: Some(vote), ..court.record(1) })));
    disk.sync();
    breaks(&court.oracle.sent(0, &disk, false, &Message::Vote(vote)), Rule::Durability);
    disk.write(crate::Write::Header(header));
    breaks(&court.oracle.sent(0, &disk, false, &Message::Vote(vote)), Rule::Durability);
    disk.sync();
    assert_eq!(court.oracle.sent(0, &disk, false, &Message::Vote(vote)), Ok(()));
    breaks(&court.oracle.sent(0, &disk, true, &Message::Vote(vote)), Rule::SilenceAfterLoss);
}

#[test]
fn records_do_not_go_back() {
    let mut court = court();
    let (_, first) = court.certified(1, &court.start());
    let record = Record { high: first, ..court.record(3) };
    assert_eq!(court.oracle.persisted(2, &record), Ok(()));
    breaks(&court.oracle.persisted(2, &Record { view: View(2), ..record.clone() }), Rule::Monotonicity);
    breaks(&court.oracle.persisted(2, &Record { high: court.start(), ..record }), Rule::Monotonicity);
}

#[test]
fn certificates_are_one_per_view_and_genuine() {
    let mut court = court();
    let (_, first) = court.certified(1, &court.start());
    assert_eq!(court.oracle.certified(0, &first), Ok(()));
    let other = court.header(1, &court.start(), 9).reference();
    breaks(&court.oracle.certified(0, &court.certificate(1, other)), Rule::OneCertificatePerView);
    breaks(&court.oracle.certified(0, &court.certificate(2, first.block)), Rule::FreshCertified);
    let strangers = QuorumCertificate { signers: Signers::of(4, [0, 2, 3].map(index_of)), ..first.clone() };
    breaks(&court.oracle.certified(0, &strangers), Rule::GenuineCertificates);
    let few = QuorumCertificate { signers: Signers::of(4, [0, 1].map(index_of)), ..first };
    breaks(&court.oracle.certified(0, &few), Rule::GenuineCertificates);
}

#[test]
fn a_quorum_of_timeouts_hides_nothing() {
    let mut court = court();
    let (_, first) = court.certified(1, &court.start());
    court.certified(2, &first);
    // One honest validator that knows less is in the minority, two and the Byzantine one are not.
    court.timeout(2, 2, High::Certified(first.clone())).unwrap();
    court.timeout(2, 3, High::Certified(first.clone())).unwrap();
    breaks(&court.timeout(1, 3, High::Certified(first)), Rule::NothingHidden);
}

#[test]
fn one_chain_without_gaps() {
    let mut court = court();
    let (one, first) = court.certified(1, &court.start());
    let (two, second) = court.certified(2, &first);
    let (_, third) = court.certified(3, &second);
    let oracle = &mut court.oracle;
    breaks(&oracle.committed(0, std::slice::from_ref(&two), &pair(&second, &third)), Rule::NoGap);
    assert_eq!(oracle.committed(0, std::slice::from_ref(&one), &pair(&first, &second)), Ok(()));
    breaks(&oracle.committed(0, std::slice::from_ref(&one), &pair(&first, &second)), Rule::NoGap);
    assert_eq!(oracle.committed(1, &[one, two], &pair(&second, &third)), Ok(()));
    let other = court.header(1, &court.start(), 9);
    breaks(&court.oracle.committed(2, &[other], &pair(&first, &second)), Rule::OneChain);
}

#[test]
fn commits_are_proven_by_consecutive_views() {
    let mut court = court();
    let (one, first) = court.certified(1, &court.start());
    let (_, third) = court.certified(3, &first);
    breaks(&court.oracle.committed(0, std::slice::from_ref(&one), &pair(&first, &third)), Rule::ProvenCommits);
    let signers = first.signers.clone();
    let (epoch, block, signature) = (first.epoch, first.block, first.signature);
    let direct = CommitProof::Direct(CommitCertificate { epoch, view: View(1), block, signers, signature });
    breaks(&court.oracle.committed(1, &[one], &direct), Rule::GenuineCertificates);
}

#[test]
fn nothing_above_the_closing_height_is_committed() {
    let mut court = court();
    let mut parent = court.start();
    let mut headers = Vec::new();
    for view in 1..=4 {
        let (header, certificate) = court.certified(view, &parent);
        headers.push(header);
        parent = certificate;
    }
    let (_, last) = court.certified(5, &parent);
    breaks(&court.oracle.committed(0, &headers, &pair(&parent, &last)), Rule::Epochs);
}

#[test]
fn certified_blocks_are_lost_only_by_guilty_leaders() {
    let lose = |equivocation: bool| {
        let mut court = court();
        let start = court.start();
        let (_, lost) = court.certified(1, &start);
        court.oracle.certified(0, &lost)?;
        if equivocation {
            let other = court.header(1, &start, 7);
            court.see(&other);
        }
        let (kept, second) = court.certified(2, &start);
        let (_, third) = court.certified(3, &second);
        court.oracle.committed(0, &[kept], &pair(&second, &third))
    };
    breaks(&lose(false), Rule::CertifiedKept);
    assert_eq!(lose(true), Ok(()));
}

#[test]
fn nobody_honest_is_accused() {
    let court = court();
    let rank = Rank { view: View(1), kind: RankKind::Certified, parent: View(0) };
    let evidence = |offender: usize, second: Statement| Evidence {
        epoch: court.info.epoch,
        offender: index_of(offender),
        first: Statement::Timeout { view: View(2), rank },
        first_signature: Signature::NONE,
        second,
        second_signature: Signature::NONE,
    };
    let contradiction = Statement::Timeout { view: View(2), rank: Rank { view: View(0), ..rank } };
    assert_eq!(court.oracle.evidence(0, &evidence(3, contradiction)), Ok(()));
    breaks(&court.oracle.evidence(0, &evidence(2, contradiction)), Rule::NoFraming);
    breaks(&court.oracle.evidence(0, &evidence(3, Statement::Timeout { view: View(2), rank })), Rule::NoFraming);
    breaks(&court.oracle.misbehaviour(0, index_of(1), "nothing"), Rule::NoFraming);
    assert_eq!(court.oracle.misbehaviour(0, index_of(3), "noise"), Ok(()));
}

#[test]
fn every_lost_view_is_a_dead_leader_s() {
    let mut court = court();
    court.oracle.entered(court.info.epoch, View(2));
    let leader = court.info.leader(View(1));
    assert_eq!(court.oracle.check_calm(&BTreeSet::new()), Ok(()));
    breaks(&court.oracle.check_calm(&BTreeSet::from([leader])), Rule::OneTimeoutPerDeadLeader);
}

#[test]
fn a_chain_that_does_not_grow_is_noticed() {
    let report = run(&SimConfig { duration_ms: 20, ..SimConfig::new(Profile::Lan, 1) });
    assert_eq!(report.violation.map(|violation| violation.rule), Some(Rule::Growth));
}
