//! Votes of one kind in one view, as they come in: counted at once, verified only together.

use crate::rules::Rules;
use chorale_types::{BlockReference, Claim, Scheme, Signatories, Signature, Signers, Statement, ValidatorIndex};

/// What became of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// It counts; the block has this much weight now.
    Counted(u64),
    /// Nothing new.
    Known,
    /// Its author voted for another block before.
    Conflict(BlockReference, Signature),
}

/// The votes of a view.
#[derive(Debug, Default)]
pub(crate) struct Ballot {
    cast: Vec<Option<(BlockReference, Signature)>>,
    tallies: Vec<(BlockReference, u64)>,
    /// Who sent a signature that does not hold: ignored from then on.
    ignored: Vec<ValidatorIndex>,
}

impl Ballot {
    /// Takes a vote in.
    pub(crate) fn add(
        &mut self,
        rules: &Rules,
        author: ValidatorIndex,
        block: BlockReference,
        signature: Signature,
    ) -> Cast {
        if self.cast.is_empty() {
            self.cast.resize(rules.validators(), None);
        }
        let Some(slot) = self.cast.get_mut(author.as_usize()) else { return Cast::Known };
        if let Some((before, signed)) = slot {
            return if *before == block { Cast::Known } else { Cast::Conflict(*before, *signed) };
        }
        if self.ignored.contains(&author) {
            return Cast::Known;
        }
        *slot = Some((block, signature));
        let weight = rules.weight(author);
        if let Some((_, tally)) = self.tallies.iter_mut().find(|(other, _)| *other == block) {
            *tally += weight;
            return Cast::Counted(*tally);
        }
        self.tallies.push((block, weight));
        Cast::Counted(weight)
    }

    /// What a validator voted for.
    pub(crate) fn of(&self, author: ValidatorIndex) -> Option<&(BlockReference, Signature)> {
        self.cast.get(author.as_usize())?.as_ref()
    }

    /// Adds the votes for a block up to a certificate, if with those that hold there is a quorum. Whose do not hold
    /// goes to `liars` and is ignored from now on.
    pub(crate) fn certify<S: Scheme>(
        &mut self,
        rules: &Rules,
        scheme: &S,
        block: BlockReference,
        statement: Statement,
        liars: &mut Vec<ValidatorIndex>,
    ) -> Option<(Signers, Signature)> {
        loop {
            let tally = self.tallies.iter().find(|(other, _)| *other == block).map_or(0, |(_, tally)| *tally);
            if tally < rules.quorum() {
                return None;
            }
            let votes: Vec<(ValidatorIndex, &Signature)> = (0u16..)
                .map(ValidatorIndex)
                .zip(&self.cast)
                .filter_map(|(author, cast)| cast.as_ref().map(|(voted, signature)| (author, *voted, signature)))
                .filter(|(_, voted, _)| *voted == block)
                .map(|(author, _, signature)| (author, signature))
                .collect();
            if let Some(aggregate) = aggregate(rules, scheme, statement, &votes) {
                return Some(aggregate);
            }
            let bad = bad(rules, scheme, statement, &votes);
            if bad.is_empty() {
                // Unreachable with a sound scheme: signatures that hold add up to one that holds.
                return None;
            }
            for author in bad {
                self.ignore(rules, author);
                liars.push(author);
            }
        }
    }

    fn ignore(&mut self, rules: &Rules, author: ValidatorIndex) {
        self.ignored.push(author);
        if let Some((block, _)) = self.cast.get_mut(author.as_usize()).and_then(Option::take)
            && let Some((_, tally)) = self.tallies.iter_mut().find(|(other, _)| *other == block)
        {
            *tally -= rules.weight(author);
        }
    }
}

/// Adds signatures over one statement up and verifies the sum once.
pub(crate) fn aggregate<S: Scheme>(
    rules: &Rules,
    scheme: &S,
    statement: Statement,
    votes: &[(ValidatorIndex, &Signature)],
) -> Option<(Signers, Signature)> {
    let signers = Signers::of(rules.validators(), votes.iter().map(|(author, _)| *author));
    let signature = scheme.aggregate(votes.iter().map(|(_, signature)| *signature))?;
    let claim = Claim { signatories: Signatories::All(&signers), statement, signature: &signature };
    let info = &rules.info;
    scheme.verify(info.chain, info.epoch, &info.validators, &[claim]).then_some((signers, signature))
}

/// Those whose signatures do not hold, by bisection: few bad ones cost few checks.
pub(crate) fn bad<S: Scheme>(
    rules: &Rules,
    scheme: &S,
    statement: Statement,
    votes: &[(ValidatorIndex, &Signature)],
) -> Vec<ValidatorIndex> {
    let claims: Vec<Claim<'_>> = votes
        .iter()
        .map(|(author, signature)| Claim { signatories: Signatories::One(*author), statement, signature })
        .collect();
    let info = &rules.info;
    if scheme.verify(info.chain, info.epoch, &info.validators, &claims) {
        return Vec::new();
    }
    if let [(author, _)] = votes {
        return vec![*author];
    }
    let (left, right) = votes.split_at(votes.len() / 2);
    let mut found = bad(rules, scheme, statement, left);
    found.extend(bad(rules, scheme, statement, right));
    found
}
