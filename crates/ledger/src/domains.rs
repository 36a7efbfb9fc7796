//! Domains of executed rollups: how far what they became is attested in the order, and who is suspended because it is not.

use crate::Config;
use chorale_types::{
    Attestation, Digest, DomainId, Height, Lane, Resume, RollupId, SystemItem,
    codec::List,
    codec_struct,
    limits::{ATTESTATION_LAG_HEIGHTS_MAX, DOMAINS_MAX, ROLLUPS_MAX},
    tagged_hash,
};
use std::collections::{BTreeMap, BTreeSet};

/// Heights with content that wait to be attested, of one domain: when the first is too old, no more content comes.
const WAITING_MAX: usize = 16_384 + 2;
const _: () = assert!(WAITING_MAX as u64 == ATTESTATION_LAG_HEIGHTS_MAX + 2, "heights that may wait");

/// Why an item for the chain itself is without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refused {
    /// Not an item.
    #[error("what is ordered for rollup 0 is no item of the chain")]
    Malformed,
    /// Not alone.
    #[error("a bundle has no legs for rollup 0")]
    Leg,
    /// Another item of its kind was looked at in the payload: each takes long to check.
    #[error("only the first attestation of a domain, and the first word for a rollup, in a payload is looked at")]
    NotFirst,
    /// Of a domain that nobody attests.
    #[error("the chain has no such domain, or nobody attests it")]
    Domain,
    /// Nothing new.
    #[error("the domain is attested up to a later height, or this one is not before the one that orders it")]
    NotNew,
    /// The signatures are not those of a quorum.
    #[error("the attestation does not hold")]
    Attestation,
    /// There is no such suspension.
    #[error("the rollup is not suspended since that height")]
    NotSuspended,
    /// Something waits to be attested.
    #[error("what the domain had before the suspension is not attested yet")]
    NotAttested,
    /// Somebody else signed.
    #[error("it is not signed by the rollup's owner")]
    Owner,
}

impl Refused {
    /// All of them. Their numbers are part of what is on disk.
    pub(crate) const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Leg,
        Self::NotFirst,
        Self::Domain,
        Self::NotNew,
        Self::Attestation,
        Self::NotSuspended,
        Self::NotAttested,
        Self::Owner,
    ];
}

/// How far a domain is attested in the order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    attested: Height,
    /// Heights with content that are not attested yet.
    waiting: BTreeSet<Height>,
}

/// What is known of all attested domains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Domains {
    rows: BTreeMap<DomainId, Row>,
    /// Suspended rollups, and since when.
    suspended: BTreeMap<RollupId, Height>,
}

/// Where a domain stands, for those who order attestations, and for who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The domain.
    pub domain: DomainId,
    /// The height of the last attestation that was ordered; 0 if there was none.
    pub attested: Height,
    /// The first height with content that is not attested in the order.
    pub waiting: Option<Height>,
    /// Its rollups that are suspended, and since when.
    pub suspended: Vec<(RollupId, Height)>,
}

/// A row of a [`Head`](crate::Head).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DomainRow {
    domain: DomainId,
    attested: Height,
    waiting: List<Height, WAITING_MAX>,
}
codec_struct!(DomainRow { domain, attested, waiting });

/// A suspended rollup of a [`Head`](crate::Head).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SuspendedRow {
    rollup: RollupId,
    since: Height,
}
codec_struct!(SuspendedRow { rollup, since });

/// All of [`Domains`], for a snapshot.
pub(crate) type Rows = (List<DomainRow, DOMAINS_MAX>, List<SuspendedRow, ROLLUPS_MAX>);

impl Domains {
    /// Nothing is attested, and nothing waits.
    pub(crate) fn new(config: &Config) -> Self {
        let rows = config.domains.keys().map(|domain| (*domain, Row::default())).collect();
        Self { rows, suspended: BTreeMap::new() }
    }

    /// Since when a rollup is suspended, if it is.
    pub(crate) fn suspended(&self, rollup: RollupId) -> Option<Height> {
        self.suspended.get(&rollup).copied()
    }

    /// Suspends the rollups of domains that are not attested in time, from this height on.
    pub(crate) fn suspend(&mut self, config: &Config, height: Height) {
        for (domain, rules) in &config.domains {
            let first = self.rows.get(domain).and_then(|row| row.waiting.first());
            if first.is_some_and(|first| first.0.saturating_add(rules.attestation_lag_max) < height.0) {
                for rollup in config.rollups_of(*domain) {
                    self.suspended.entry(rollup).or_insert(height);
                }
            }
        }
    }

    /// Whether an attestation says something new at a height; it is not verified yet.
    fn is_new(&self, attestation: &Attestation, height: Height) -> Result<(), Refused> {
        let row = self.rows.get(&attestation.domain).ok_or(Refused::Domain)?;
        let is_new = attestation.height > row.attested && attestation.height < height;
        is_new.then_some(()).ok_or(Refused::NotNew)
    }

    fn may_resume(&self, config: &Config, resume: &Resume) -> Result<(), Refused> {
        if self.suspended(resume.rollup) != Some(resume.since) {
            return Err(Refused::NotSuspended);
        }
        let rules = config.rollups.get(&resume.rollup).ok_or(Refused::NotSuspended)?;
        if !rules.domain.is_some_and(|domain| self.is_attested_before(domain, resume.since)) {
            return Err(Refused::NotAttested);
        }
        let signed = rules.owner.is_some() && resume.signer(config.chain) == rules.owner;
        signed.then_some(()).ok_or(Refused::Owner)
    }

    /// Whether all that a domain had before a height is attested. What its other rollups had since then does not matter: they
    /// may be busy.
    fn is_attested_before(&self, domain: DomainId, height: Height) -> bool {
        self.rows.get(&domain).is_some_and(|row| row.waiting.first().is_none_or(|first| *first >= height))
    }

    /// Applies what was ordered at a height, after all else of it was decided.
    pub(crate) fn apply(
        &mut self,
        config: &Config,
        height: Height,
        items: Vec<SystemItem>,
        lanes: &BTreeMap<RollupId, Lane>,
    ) {
        for item in items {
            match item {
                SystemItem::Attestation(attestation) => self.attest(config, &attestation),
                SystemItem::Resume(resume) => {
                    self.suspended.remove(&resume.rollup);
                }
            }
        }
        for rollup in lanes.keys() {
            let domain = config.rollups.get(rollup).and_then(|rules| rules.domain);
            if let Some(row) = domain.and_then(|domain| self.rows.get_mut(&domain)) {
                row.waiting.insert(height);
            }
        }
        // Nobody has to say so of those without an owner.
        let goes_on = |(rollup, since): &(&RollupId, &Height)| {
            let rules = config.rollups.get(*rollup).filter(|rules| rules.owner.is_none());
            rules.and_then(|rules| rules.domain).is_some_and(|domain| self.is_attested_before(domain, **since))
        };
        let on: Vec<RollupId> = self.suspended.iter().filter(goes_on).map(|(rollup, _)| *rollup).collect();
        for rollup in on {
            self.suspended.remove(&rollup);
        }
    }

    fn attest(&mut self, config: &Config, attestation: &Attestation) {
        let rules = config.domains.get(&attestation.domain);
        let Some((rules, row)) = rules.zip(self.rows.get_mut(&attestation.domain)) else { return };
        row.attested = attestation.height;
        let first_open = if rules.by_second { attestation.height } else { attestation.height.next() };
        row.waiting = row.waiting.split_off(&first_open);
    }

    /// Where all domains stand.
    pub(crate) fn standings(&self, config: &Config) -> Vec<Standing> {
        let standing = |(domain, row): (&DomainId, &Row)| {
            let suspended = config.rollups_of(*domain);
            let suspended = suspended.filter_map(|rollup| Some((rollup, self.suspended(rollup)?))).collect();
            Standing { domain: *domain, attested: row.attested, waiting: row.waiting.first().copied(), suspended }
        };
        self.rows.iter().map(standing).collect()
    }

    /// Binds all of it.
    pub(crate) fn digest(&self) -> Digest {
        let mut bytes = Vec::new();
        for (domain, row) in &self.rows {
            bytes.extend_from_slice(&domain.0.to_be_bytes());
            bytes.extend_from_slice(&row.attested.0.to_be_bytes());
            bytes.extend_from_slice(&(row.waiting.len() as u64).to_be_bytes());
            row.waiting.iter().for_each(|height| bytes.extend_from_slice(&height.0.to_be_bytes()));
        }
        for (rollup, since) in &self.suspended {
            bytes.extend_from_slice(&rollup.0.to_be_bytes());
            bytes.extend_from_slice(&since.0.to_be_bytes());
        }
        tagged_hash("chorale/domains/v1", &[&(self.rows.len() as u64).to_be_bytes(), &bytes])
    }

    /// As it is written down.
    pub(crate) fn rows(&self) -> Rows {
        let row = |(domain, row): (&DomainId, &Row)| DomainRow {
            domain: *domain,
            attested: row.attested,
            waiting: List::new(row.waiting.iter().copied().collect()).expect("content ends when the first is too old"),
        };
        let suspended = self.suspended.iter().map(|(rollup, since)| SuspendedRow { rollup: *rollup, since: *since });
        (
            List::new(self.rows.iter().map(row).collect()).expect("a genesis has few domains"),
            List::new(suspended.collect()).expect("a genesis has fewer rollups"),
        )
    }

    /// As it was written down; none if it is of other domains.
    pub(crate) fn restore(config: &Config, (rows, suspended): Rows) -> Option<Self> {
        let same = rows.iter().map(|row| row.domain).eq(config.domains.keys().copied());
        let known = suspended.iter().all(|row| config.rollups.contains_key(&row.rollup));
        let row = |row: DomainRow| {
            (row.domain, Row { attested: row.attested, waiting: row.waiting.iter().copied().collect() })
        };
        (same && known).then(|| Self {
            rows: rows.into_vec().into_iter().map(row).collect(),
            suspended: suspended.iter().map(|row| (row.rollup, row.since)).collect(),
        })
    }
}

/// Looks at items for the chain itself, of one height.
pub(crate) struct ForTheChain<'a> {
    domains: &'a Domains,
    attests: &'a dyn Fn(&Attestation) -> bool,
    /// What was looked at, by payload.
    attestations: BTreeSet<(u8, DomainId)>,
    words: BTreeSet<(u8, RollupId)>,
    /// Those with effect.
    pub(crate) taken: Vec<SystemItem>,
}

impl<'a> ForTheChain<'a> {
    pub(crate) fn new(domains: &'a Domains, attests: &'a dyn Fn(&Attestation) -> bool) -> Self {
        let (attestations, words) = (BTreeSet::new(), BTreeSet::new());
        Self { domains, attests, attestations, words, taken: Vec::new() }
    }

    pub(crate) const fn domains(&self) -> &Domains {
        self.domains
    }

    /// Takes an item of a payload, if it has an effect.
    pub(crate) fn take(&mut self, config: &Config, height: Height, payload: u8, data: &[u8]) -> Result<(), Refused> {
        let item = SystemItem::read(data).map_err(|_| Refused::Malformed)?;
        match &item {
            SystemItem::Attestation(attestation) => {
                self.domains.is_new(attestation, height)?;
                if self.has(|taken| matches!(taken, SystemItem::Attestation(it) if it.domain == attestation.domain))
                    || !self.attestations.insert((payload, attestation.domain))
                {
                    return Err(Refused::NotFirst);
                }
                if !(self.attests)(attestation) {
                    return Err(Refused::Attestation);
                }
            }
            SystemItem::Resume(resume) => {
                if self.domains.suspended(resume.rollup) != Some(resume.since) {
                    return Err(Refused::NotSuspended);
                }
                if self.has(|taken| matches!(taken, SystemItem::Resume(it) if it.rollup == resume.rollup))
                    || !self.words.insert((payload, resume.rollup))
                {
                    return Err(Refused::NotFirst);
                }
                self.domains.may_resume(config, resume)?;
            }
        }
        self.taken.push(item);
        Ok(())
    }

    fn has(&self, same: impl Fn(&SystemItem) -> bool) -> bool {
        self.taken.iter().any(same)
    }
}
