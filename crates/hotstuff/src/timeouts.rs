//! The timeouts of one view, grouped by what their authors know.

use crate::{ballot, rules::Rules};
use chorale_types::{
    High, Rank, Scheme, Signature, Signers, Statement, TimeoutCertificate, TimeoutGroup, TimeoutQuorum, ValidatorIndex,
    View, codec::List,
};
use std::collections::BTreeMap;

/// The timeouts of a view.
#[derive(Debug, Default)]
pub(crate) struct Timeouts {
    cast: Vec<Option<(Rank, Signature)>>,
    weight: u64,
    ignored: Vec<ValidatorIndex>,
    /// The best that one of the authors knows, with its rank. It and its author's signature are verified, so it stays
    /// whatever turns out about the others.
    best: Option<(Rank, High)>,
}

/// What became of a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    Counted,
    Known,
    /// Its author reported another rank before.
    Conflict(Rank, Signature),
}

impl Timeouts {
    /// Weight of those who gave up.
    pub(crate) const fn weight(&self) -> u64 {
        self.weight
    }

    /// What a validator reported.
    pub(crate) fn of(&self, author: ValidatorIndex) -> Option<&(Rank, Signature)> {
        self.cast.get(author.as_usize())?.as_ref()
    }

    pub(crate) fn is_ignored(&self, author: ValidatorIndex) -> bool {
        self.ignored.contains(&author)
    }

    /// Whether a rank is above the best that is verified.
    pub(crate) fn is_news(&self, rank: Rank) -> bool {
        self.best.as_ref().is_none_or(|(best, _)| rank > *best)
    }

    /// The best of a timeout that is verified with its signature.
    pub(crate) fn set_best(&mut self, rank: Rank, high: &High) {
        if self.is_news(rank) {
            self.best = Some((rank, high.clone()));
        }
    }

    pub(crate) fn add(&mut self, rules: &Rules, author: ValidatorIndex, rank: Rank, signature: Signature) -> Cast {
        if self.cast.is_empty() {
            self.cast.resize(rules.validators(), None);
        }
        let Some(slot) = self.cast.get_mut(author.as_usize()) else { return Cast::Known };
        if let Some((before, signed)) = slot {
            return if *before == rank { Cast::Known } else { Cast::Conflict(*before, *signed) };
        }
        if self.ignored.contains(&author) {
            return Cast::Known;
        }
        *slot = Some((rank, signature));
        self.weight += rules.weight(author);
        Cast::Counted
    }

    /// Adds the timeouts up, if with those that hold there is a quorum.
    pub(crate) fn certify<S: Scheme>(
        &mut self,
        rules: &Rules,
        scheme: &S,
        view: View,
        liars: &mut Vec<ValidatorIndex>,
    ) -> Option<TimeoutCertificate> {
        while self.weight >= rules.quorum() {
            let mut groups: BTreeMap<Rank, Vec<(ValidatorIndex, &Signature)>> = BTreeMap::new();
            for (author, cast) in (0u16..).map(ValidatorIndex).zip(&self.cast) {
                if let Some((rank, signature)) = cast {
                    groups.entry(*rank).or_default().push((author, signature));
                }
            }
            match sum_up(rules, scheme, view, &groups) {
                Ok(groups) => return self.certificate(rules, view, groups),
                Err(bad) if bad.is_empty() => return None,
                Err(bad) => {
                    for author in bad {
                        self.ignore(rules, author);
                        liars.push(author);
                    }
                }
            }
        }
        None
    }

    fn certificate(&self, rules: &Rules, view: View, groups: Vec<TimeoutGroup>) -> Option<TimeoutCertificate> {
        let (best, high) = self.best.as_ref()?;
        let groups = List::new(groups).ok()?;
        let quorum = TimeoutQuorum { epoch: rules.info.epoch, view, groups };
        (quorum.rank() == Some(*best)).then(|| TimeoutCertificate { quorum, high: high.clone() })
    }

    fn ignore(&mut self, rules: &Rules, author: ValidatorIndex) {
        self.ignored.push(author);
        if self.cast.get_mut(author.as_usize()).and_then(Option::take).is_some() {
            self.weight -= rules.weight(author);
        }
    }
}

/// The groups of a certificate, highest rank first, or those whose signatures do not hold.
fn sum_up<S: Scheme>(
    rules: &Rules,
    scheme: &S,
    view: View,
    groups: &BTreeMap<Rank, Vec<(ValidatorIndex, &Signature)>>,
) -> Result<Vec<TimeoutGroup>, Vec<ValidatorIndex>> {
    let mut sums = Vec::with_capacity(groups.len());
    let mut liars = Vec::new();
    for (rank, timeouts) in groups.iter().rev() {
        let statement = Statement::Timeout { view, rank: *rank };
        match ballot::aggregate(rules, scheme, statement, timeouts) {
            Some((signers, signature)) => sums.push(TimeoutGroup { rank: *rank, signers, signature }),
            None => liars.extend(ballot::bad(rules, scheme, statement, timeouts)),
        }
    }
    let all: Signers = sums.iter().flat_map(|group| group.signers.iter()).fold(
        Signers::none(rules.validators()),
        |mut all, signer| {
            all.insert(signer);
            all
        },
    );
    if liars.is_empty() && rules.is_quorum(&all) { Ok(sums) } else { Err(liars) }
}
