//! Signatures of others, until there is a quorum for a height.

use chorale_types::{
    Attestation, Claim, DomainId, Epoch, EpochInfo, Evidence, Height, OutcomeVote, Scheme, Signatories, Signers,
    ValidatorIndex,
};
use std::collections::{BTreeMap, BTreeSet};

/// Heights above the last settled one for which signatures are kept.
pub(super) const HEIGHTS_AHEAD_MAX: u64 = 256;
/// Heights below the last one for which they are kept on a node that does not know itself which there are.
pub(super) const HEIGHTS_BEHIND_MAX: u64 = 1_024;

/// Signatures by height and validator: one of each.
#[derive(Debug)]
pub(super) struct Votes {
    domain: DomainId,
    heights: BTreeMap<Height, OfHeight>,
}

/// The signatures of one height.
#[derive(Debug, Default)]
struct OfHeight {
    kept: BTreeMap<(Epoch, ValidatorIndex), OutcomeVote>,
    /// Who contradicted itself, or signed falsely. Nothing more of it is looked at for this height: each time would cost
    /// verifications, and it could send contradictions for ever.
    caught: BTreeSet<(Epoch, ValidatorIndex)>,
}

/// What came of a quorum's signatures.
pub(super) enum Quorum {
    /// Not enough weight for any one root.
    NotYet,
    /// An attestation, verified.
    Attestation(Attestation),
}

impl Votes {
    /// No signatures yet, on outcomes of this domain.
    pub(super) const fn new(domain: DomainId) -> Self {
        Self { domain, heights: BTreeMap::new() }
    }

    /// Keeps a signature, not verified. Returns the one that the same validator signed for another root of the height: once,
    /// what contradicts it after that is dropped.
    pub(super) fn insert(&mut self, vote: OutcomeVote) -> Option<OutcomeVote> {
        let OfHeight { kept, caught } = self.heights.entry(vote.height).or_default();
        let author = (vote.epoch, vote.author);
        if caught.contains(&author) {
            return None;
        }
        let first = *kept.entry(author).or_insert(vote);
        let contradicts = first.root != vote.root;
        if contradicts {
            caught.insert(author);
        }
        contradicts.then_some(first)
    }

    /// Keeps this signature, which holds, instead of the validator's other one, which does not.
    pub(super) fn replace(&mut self, vote: OutcomeVote) {
        self.heights.entry(vote.height).or_default().kept.insert((vote.epoch, vote.author), vote);
    }

    /// Forgets all heights below this one, but those that are kept.
    pub(super) fn prune(&mut self, below: Height, is_kept: impl Fn(Height) -> bool) {
        let old: Vec<Height> =
            self.heights.range(..below).map(|(height, _)| *height).filter(|height| !is_kept(*height)).collect();
        for height in old {
            self.heights.remove(&height);
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
        let domain = self.domain;
        let Some(OfHeight { kept: votes, caught }) = self.heights.get_mut(&height) else { return Quorum::NotYet };
        let attests = |author| info.validators.get(author).is_some_and(|validator| validator.attests(domain));
        votes.retain(|(epoch, author), _| *epoch == info.epoch && attests(*author));
        let roots: BTreeSet<_> = votes.values().map(|vote| vote.root).collect();
        for root in roots {
            // Once with all, and once more without those that do not hold.
            for _ in 0..2 {
                let same: Vec<OutcomeVote> = votes.values().filter(|vote| vote.root == root).copied().collect();
                let signers = Signers::of(info.validators.len(), same.iter().map(|vote| vote.author));
                let weight = info.validators.weight_in(domain, &signers);
                if weight.is_none_or(|weight| weight < info.validators.quorum_of(domain)) {
                    break;
                }
                let signature = scheme.aggregate(same.iter().map(|vote| &vote.signature));
                let attestation = signature.map(|signature| Attestation {
                    domain,
                    epoch: info.epoch,
                    height,
                    root,
                    signers,
                    signature,
                });
                match attestation.filter(|attestation| attestation.verify(scheme, info).is_ok()) {
                    Some(attestation) => return Quorum::Attestation(attestation),
                    None => {
                        for vote in same.iter().filter(|vote| !holds(vote, info, scheme)) {
                            votes.remove(&(vote.epoch, vote.author));
                            caught.insert((vote.epoch, vote.author));
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

#[cfg(test)]
mod tests {
    use super::Votes;
    use chorale_types::{DomainId, Epoch, Height, OutcomeVote, Signature, ValidatorIndex, tagged_hash};

    fn vote(author: u16, height: u64, root: &str) -> OutcomeVote {
        OutcomeVote {
            domain: DomainId::ORDERING,
            epoch: Epoch(0),
            height: Height(height),
            root: tagged_hash("test/root", &[root.as_bytes()]),
            author: ValidatorIndex(author),
            signature: Signature([0xff; 48]),
        }
    }

    /// A validator may sign every height there is, also those without content, of which nothing else ever comes.
    #[test]
    fn signatures_far_behind_are_forgotten_but_of_what_is_waited_for() {
        let mut votes = Votes::new(DomainId::ORDERING);
        for height in 1..=9 {
            votes.insert(vote(3, height, "one"));
        }
        votes.prune(Height(7), |height| height == Height(2));
        assert_eq!(votes.heights.keys().map(|height| height.0).collect::<Vec<u64>>(), [2, 7, 8, 9]);
    }

    #[test]
    fn one_contradiction_of_a_validator_is_looked_at_for_a_height() {
        let mut votes = Votes::new(DomainId::ORDERING);
        let first = vote(3, 1, "one");
        assert_eq!(votes.insert(first), None);
        assert_eq!(votes.insert(first), None, "the same again is no contradiction");
        assert_eq!(votes.insert(vote(3, 1, "two")), Some(first));
        for root in ["two", "three", "four"] {
            assert_eq!(votes.insert(vote(3, 1, root)), None, "{root}");
        }
        assert_eq!(votes.insert(vote(2, 1, "one")), None);
        assert_eq!(votes.insert(vote(2, 1, "two")), Some(vote(2, 1, "one")), "another validator");
        assert_eq!(votes.insert(vote(3, 2, "one")), None);
        assert_eq!(votes.insert(vote(3, 2, "two")), Some(vote(3, 2, "one")), "another height");
    }
}
