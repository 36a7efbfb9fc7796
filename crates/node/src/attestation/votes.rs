//! Signatures of others, until there is a quorum for a height.

use chorale_types::{
    Attestation, Claim, Epoch, EpochInfo, Evidence, Height, OutcomeVote, Scheme, Signatories, Signers, ValidatorIndex,
};
use std::collections::{BTreeMap, BTreeSet};

/// Heights above the last settled one for which signatures are kept.
pub(super) const HEIGHTS_AHEAD_MAX: u64 = 256;

/// Signatures by height and validator: one of each.
#[derive(Debug, Default)]
pub(super) struct Votes {
    heights: BTreeMap<Height, BTreeMap<(Epoch, ValidatorIndex), OutcomeVote>>,
}

/// What came of a quorum's signatures.
pub(super) enum Quorum {
    /// Not enough weight for any one root.
    NotYet,
    /// An attestation, verified.
    Attestation(Attestation),
}

impl Votes {
    /// Keeps a signature, not verified. Returns the one that the same validator signed for another root of the height.
    pub(super) fn insert(&mut self, vote: OutcomeVote) -> Option<OutcomeVote> {
        let votes = self.heights.entry(vote.height).or_default();
        match votes.get(&(vote.epoch, vote.author)) {
            Some(first) => (first.root != vote.root).then_some(*first),
            None => {
                votes.insert((vote.epoch, vote.author), vote);
                None
            }
        }
    }

    /// Forgets a height.
    pub(super) fn remove(&mut self, height: Height) {
        self.heights.remove(&height);
    }

    /// Makes an attestation of what is here, if there is a quorum for one root, whichever it is. Signatures that do not
    /// hold are removed, and their authors told to `bad`.
    pub(super) fn attest<S: Scheme>(
        &mut self,
        height: Height,
        info: &EpochInfo,
        scheme: &S,
        bad: &mut Vec<ValidatorIndex>,
    ) -> Quorum {
        let Some(votes) = self.heights.get_mut(&height) else { return Quorum::NotYet };
        votes.retain(|(epoch, author), _| *epoch == info.epoch && info.validators.weight(*author) > 0);
        let roots: BTreeSet<_> = votes.values().map(|vote| vote.root).collect();
        for root in roots {
            // Once with all, and once more without those that do not hold.
            for _ in 0..2 {
                let same: Vec<OutcomeVote> = votes.values().filter(|vote| vote.root == root).copied().collect();
                let signers = Signers::of(info.validators.len(), same.iter().map(|vote| vote.author));
                if !info.validators.is_quorum(&signers) {
                    break;
                }
                let signature = scheme.aggregate(same.iter().map(|vote| &vote.signature));
                let attestation =
                    signature.map(|signature| Attestation { epoch: info.epoch, height, root, signers, signature });
                match attestation.filter(|attestation| attestation.verify(scheme, info).is_ok()) {
                    Some(attestation) => return Quorum::Attestation(attestation),
                    None => {
                        for vote in same.iter().filter(|vote| !holds(vote, info, scheme)) {
                            votes.remove(&(vote.epoch, vote.author));
                            bad.push(vote.author);
                        }
                    }
                }
            }
        }
        Quorum::NotYet
    }
}

/// Whether a single signature holds.
pub(super) fn holds<S: Scheme>(vote: &OutcomeVote, info: &EpochInfo, scheme: &S) -> bool {
    let signatories = Signatories::One(vote.author);
    let claim = Claim { signatories, statement: vote.statement(), signature: &vote.signature };
    scheme.verify(info.chain, info.epoch, &info.validators, &[claim])
}

/// Two roots of one height by one validator, if both signatures hold.
pub(super) fn evidence<S: Scheme>(
    first: &OutcomeVote,
    second: &OutcomeVote,
    info: &EpochInfo,
    scheme: &S,
) -> Option<Evidence> {
    let evidence = Evidence {
        epoch: info.epoch,
        offender: first.author,
        first: first.statement(),
        first_signature: first.signature,
        second: second.statement(),
        second_signature: second.signature,
    };
    let same = first.author == second.author && first.epoch == second.epoch;
    evidence.proves(scheme, info).filter(|_| same).map(|_| evidence)
}
