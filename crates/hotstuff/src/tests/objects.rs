//! Objects of consensus made by hand, signed by whomever the test wants.

use crate::mock::MockScheme;
use chorale_types::{
    Acknowledged, AvailabilityCertificate, BlockId, BlockReference, ChainId, CommitCertificate, CommitProof,
    CommitVote, Commitment, ConsensusSecret, Entry, Epoch, EpochInfo, Header, Height, High, NodeKey, QuorumCertificate,
    Rank, Scheme, Signature, Signers, Statement, Timeout, TimeoutCertificate, TimeoutGroup, TimeoutQuorum, TimestampMs,
    Tip, Validator, ValidatorIndex, ValidatorSet, View, Vote, codec::List, tagged_hash,
};
use std::collections::BTreeMap;

/// The hand that makes objects of one epoch.
#[derive(Clone, Debug)]
pub(super) struct Maker {
    pub(super) info: EpochInfo,
}

pub(super) fn validators(weights: &[u16]) -> ValidatorSet {
    let of = |(index, weight): (usize, &u16)| {
        let seed = tagged_hash("test/key", &[&index.to_be_bytes()]);
        Validator::new(NodeKey(seed.0), ConsensusSecret::from_seed(seed.0).public(), *weight)
    };
    ValidatorSet::new(weights.iter().enumerate().map(of).collect()).unwrap()
}

pub(super) fn epoch(weights: &[u16], closing: u64) -> EpochInfo {
    let genesis = BlockId(tagged_hash("test/genesis", &[]));
    EpochInfo {
        chain: ChainId(tagged_hash("test/chain", &[])),
        epoch: Epoch(0),
        validators: validators(weights),
        start: EpochInfo::start_block(Height(0), genesis),
        closing: Height(closing),
    }
}

pub(super) fn everybody(maker: &Maker) -> Vec<u16> {
    (0..u16::try_from(maker.info.validators.len()).unwrap()).collect()
}

impl Maker {
    pub(super) fn new(info: EpochInfo) -> Self {
        Self { info }
    }

    pub(super) fn sign(&self, by: u16, statement: &Statement) -> Signature {
        MockScheme::new(ValidatorIndex(by)).sign(self.info.chain, self.info.epoch, statement)
    }

    fn sum(&self, by: &[u16], statement: &Statement) -> (Signers, Signature) {
        let signatures: Vec<Signature> = by.iter().map(|index| self.sign(*index, statement)).collect();
        let signers = Signers::of(self.info.validators.len(), by.iter().copied().map(ValidatorIndex));
        (signers, MockScheme::new(ValidatorIndex(0)).aggregate(&signatures).unwrap())
    }

    pub(super) fn leader(&self, view: u64) -> u16 {
        self.info.leader(View(view)).0
    }

    pub(super) fn header(&self, view: u64, parent: &QuorumCertificate) -> Header {
        Header {
            chain: self.info.chain,
            epoch: self.info.epoch,
            view: View(view),
            height: parent.block.height.next(),
            parent: parent.clone(),
            timestamp: TimestampMs(1000),
            payloads: List::default(),
            author: self.info.leader(View(view)),
        }
    }

    pub(super) fn payload(&self, by: u16, number: u8) -> AvailabilityCertificate {
        let acknowledged = Acknowledged {
            builder: self.info.validators.get(ValidatorIndex(by)).unwrap().builder(),
            commitment: Commitment(tagged_hash("test/commitment", &[&[number]])),
            length: 100,
            manifest: tagged_hash("test/manifest", &[&[number]]),
            expiry: View(1_000_000),
        };
        let (signers, signature) = self.sum(&everybody(self), &Statement::Acknowledgement(acknowledged));
        AvailabilityCertificate { acknowledged, signers, signature }
    }

    pub(super) fn tip_of(&self, header: Header, entry: Option<TimeoutQuorum>) -> Tip {
        let signature = self.sign(header.author.0, &Statement::Tip { view: header.view, id: header.id() });
        Tip { header: header.into(), entry, signature }
    }

    pub(super) fn tip(&self, view: u64, parent: &QuorumCertificate, entry: Option<&TimeoutCertificate>) -> Tip {
        self.tip_of(self.header(view, parent), entry.map(|certificate| certificate.quorum.clone()))
    }

    pub(super) fn certificate(&self, view: u64, block: BlockReference, by: &[u16]) -> QuorumCertificate {
        let (signers, signature) = self.sum(by, &Statement::Vote { view: View(view), block });
        QuorumCertificate { epoch: self.info.epoch, view: View(view), block, signers, signature }
    }

    /// What everybody's commit votes for a block, certified in its own view, prove.
    pub(super) fn direct(&self, block: BlockReference) -> CommitProof {
        let (epoch, view) = (self.info.epoch, block.view);
        let (signers, signature) = self.sum(&everybody(self), &Statement::CommitVote { view, block });
        CommitProof::Direct(CommitCertificate { epoch, view, block, signers, signature })
    }

    pub(super) fn start(&self) -> QuorumCertificate {
        self.info.start_certificate()
    }

    /// Fresh headers of consecutive views from `view` on, each on the certificate of the one before.
    pub(super) fn chain(&self, parent: &QuorumCertificate, view: u64, length: u64) -> Vec<(Tip, QuorumCertificate)> {
        let mut parent = parent.clone();
        (view..view + length)
            .map(|view| {
                let tip = self.tip(view, &parent, None);
                parent = self.certificate(view, tip.header.reference(), &everybody(self));
                (tip, parent.clone())
            })
            .collect()
    }

    pub(super) fn vote(&self, by: u16, view: u64, block: BlockReference) -> Vote {
        let view = View(view);
        let signature = self.sign(by, &Statement::Vote { view, block });
        Vote { epoch: self.info.epoch, view, block, author: ValidatorIndex(by), signature }
    }

    pub(super) fn commit_vote(&self, by: u16, view: u64, block: BlockReference) -> CommitVote {
        let view = View(view);
        let signature = self.sign(by, &Statement::CommitVote { view, block });
        CommitVote { epoch: self.info.epoch, view, block, author: ValidatorIndex(by), signature }
    }

    pub(super) fn timeout(&self, by: u16, view: u64, high: High, entry: Option<Entry>) -> Timeout {
        let view = View(view);
        let signature = self.sign(by, &Statement::Timeout { view, rank: high.rank() });
        Timeout { epoch: self.info.epoch, view, high, author: ValidatorIndex(by), signature, entry }
    }

    pub(super) fn timeouts(&self, view: u64, known: &[(u16, High)]) -> TimeoutCertificate {
        let mut groups: BTreeMap<Rank, Vec<u16>> = BTreeMap::new();
        for (by, high) in known {
            groups.entry(high.rank()).or_default().push(*by);
        }
        let groups = groups.into_iter().rev().map(|(rank, by)| {
            let (signers, signature) = self.sum(&by, &Statement::Timeout { view: View(view), rank });
            TimeoutGroup { rank, signers, signature }
        });
        let quorum =
            TimeoutQuorum { epoch: self.info.epoch, view: View(view), groups: List::new(groups.collect()).unwrap() };
        let high = known.iter().map(|(_, high)| high).max_by_key(|high| high.rank()).unwrap().clone();
        TimeoutCertificate { quorum, high }
    }
}
