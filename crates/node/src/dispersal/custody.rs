//! Which chunks a validator takes, and when it lets them go.
//!
//! An acknowledgement promises that the chunks stay until the payload can no longer be ordered, or until it is ordered,
//! opened and kept elsewhere. So there is a bound on what is taken, never an eviction of what was. Each builder has its
//! own part of that bound: one that disperses without end fills its own part and nobody else's. How many payloads a part
//! has room for depends on how much of each this node holds, so a few are taken even if they are more than the part.

use chorale_dispersal::ValidatorChunks;
use chorale_types::{Acknowledged, BuilderId, Commitment, Epoch, EpochInfo, Header, Height, View, codec::EncodeSize};
use std::{collections::BTreeMap, sync::Arc};

/// Payloads of one builder with one expiry view that are held before they are ordered.
pub const UNORDERED_PER_VIEW_MAX: usize = 2;

/// Payloads of one builder that are held before they are ordered, whatever part of the bound they take. With many
/// validators a part is short, and who has much weight gets up to all chunks of a payload, which are three times as long
/// as the payload: it would refuse the only payload of an honest builder.
pub const UNORDERED_PER_BUILDER_MIN: usize = 4;

/// The bounds of custody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest payload of the chain, before sealing.
    pub payload_bytes_max: u32,
    /// How many views from now a payload may expire at the latest.
    pub expiry_views_max: u64,
    /// Bytes of chunks and manifests of payloads that are not ordered, over all builders: each has the same part, or room
    /// for [`UNORDERED_PER_BUILDER_MIN`] payloads if that is more.
    pub unordered_bytes_max: u64,
}

/// Why chunks are not taken, though nothing need be wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Sealed for another epoch's validators.
    #[error("sealed for epoch {actual}, this is epoch {expected}")]
    Epoch {
        /// The epoch of this node.
        expected: Epoch,
        /// That of the payload.
        actual: Epoch,
    },
    /// It can no longer be ordered, or could be for too long.
    #[error("expires in view {expiry}; from view {view} it has to be within {views_max} views")]
    Expiry {
        /// The payload's.
        expiry: View,
        /// The view of this node.
        view: View,
        /// How far ahead is allowed.
        views_max: u64,
    },
    /// Too long for this chain.
    #[error("a payload of {actual} bytes, at most {max} are allowed")]
    Length {
        /// Its length.
        actual: u32,
        /// What is allowed.
        max: u32,
    },
    /// The commitment is held with another manifest or expiry. A second acknowledgement would let one payload be
    /// certified in two ways.
    #[error("acknowledged with another manifest or expiry")]
    Conflict,
    /// Two payloads of this builder with this expiry are held.
    #[error("{UNORDERED_PER_VIEW_MAX} payloads with this expiry view are held")]
    PerView,
    /// The builder's part of the storage bound is used up.
    #[error("{held} bytes of the builder are held; with {more} more it would be above its {max}")]
    Storage {
        /// Bytes held of it.
        held: u64,
        /// Bytes offered.
        more: u64,
        /// Its part.
        max: u64,
    },
}

/// What to do with chunks that are not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Check, store, acknowledge.
    New,
    /// Held already: the acknowledgement was lost; send it again.
    Held,
}

/// One payload's chunks.
#[derive(Clone, Debug)]
pub struct Held<L> {
    /// The epoch whose validators it is sealed for.
    pub epoch: Epoch,
    /// What was, or is about to be, acknowledged.
    pub acknowledged: Acknowledged,
    /// Where the chunks are.
    pub location: L,
    bytes: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No committed header references it.
    Unordered,
    /// The header of this height does.
    Ordered(Height),
}

/// All chunks that a validator holds, by payload. `L` says where the bytes are; nothing here touches them.
#[derive(Clone, Debug)]
pub struct Custody<L> {
    limits: Limits,
    epoch: Arc<EpochInfo>,
    held: BTreeMap<Commitment, Held<L>>,
}

impl<L> Custody<L> {
    /// Holds nothing.
    #[must_use]
    pub const fn new(limits: Limits, epoch: Arc<EpochInfo>) -> Self {
        Self { limits, epoch, held: BTreeMap::new() }
    }

    /// Whether chunks may be taken from the builder `builder` (the validator that sent them) while this node is in
    /// `view`. Nothing is computed from the chunks; [`ValidatorChunks::check`] is for afterwards.
    ///
    /// # Errors
    ///
    /// See [`Refusal`]. A refusal is no proof of misbehaviour: views and epochs differ between honest nodes.
    pub fn admit(
        &self,
        epoch: Epoch,
        acknowledged: &Acknowledged,
        more: u64,
        view: View,
    ) -> Result<Admission, Refusal> {
        if epoch != self.epoch.epoch {
            return Err(Refusal::Epoch { expected: self.epoch.epoch, actual: epoch });
        }
        if let Some(held) = self.held.get(&acknowledged.commitment) {
            let same = held.epoch == epoch && held.acknowledged == *acknowledged;
            return if same { Ok(Admission::Held) } else { Err(Refusal::Conflict) };
        }
        let (expiry, views_max) = (acknowledged.expiry, self.limits.expiry_views_max);
        if expiry < view || expiry.0 - view.0 > views_max {
            return Err(Refusal::Expiry { expiry, view, views_max });
        }
        if acknowledged.length > self.limits.payload_bytes_max {
            return Err(Refusal::Length { actual: acknowledged.length, max: self.limits.payload_bytes_max });
        }
        if self.unordered(acknowledged.builder).filter(|held| held.acknowledged.expiry == expiry).count()
            >= UNORDERED_PER_VIEW_MAX
        {
            return Err(Refusal::PerView);
        }
        self.check_room(acknowledged.builder, more)?;
        Ok(Admission::New)
    }

    fn check_room(&self, builder: BuilderId, more: u64) -> Result<(), Refusal> {
        if self.unordered(builder).count() < UNORDERED_PER_BUILDER_MIN {
            // Bounded too: by this node's share of so many of the longest payloads.
            return Ok(());
        }
        let held: u64 = self.unordered(builder).map(|held| held.bytes).sum();
        let max = self.limits.unordered_bytes_max / self.epoch.validators.len() as u64;
        if held + more > max {
            return Err(Refusal::Storage { held, more, max });
        }
        Ok(())
    }

    fn unordered(&self, builder: BuilderId) -> impl Iterator<Item = &Held<L>> {
        self.held.values().filter(move |held| held.stage == Stage::Unordered && held.acknowledged.builder == builder)
    }

    /// Takes chunks that were admitted.
    pub fn insert(&mut self, epoch: Epoch, acknowledged: Acknowledged, location: L, bytes: u64) {
        let held = Held { epoch, acknowledged, location, bytes, stage: Stage::Unordered };
        self.held.insert(acknowledged.commitment, held);
    }

    /// What is held of a payload.
    #[must_use]
    pub fn get(&self, commitment: &Commitment) -> Option<&Held<L>> {
        self.held.get(commitment)
    }

    /// The chunks of a payload that may be shown to others: it is ordered.
    #[must_use]
    pub fn ordered(&self, commitment: &Commitment) -> Option<&Held<L>> {
        self.held.get(commitment).filter(|held| held.stage != Stage::Unordered)
    }

    /// All that is held.
    pub fn iter(&self) -> impl Iterator<Item = &Held<L>> {
        self.held.values()
    }

    /// A header is committed: what it references stays until it is settled, and what can no longer be referenced goes.
    /// Headers come in the order of their heights. Returns the payloads let go.
    pub fn committed(&mut self, header: &Header) -> Vec<Commitment> {
        for certificate in header.payloads.iter() {
            if let Some(held) = self.held.get_mut(&certificate.commitment())
                && held.stage == Stage::Unordered
            {
                held.stage = Stage::Ordered(header.height);
            }
        }
        // Views rise along a chain, so after this header comes none of an earlier view.
        self.drop_where(|held| {
            let past = (held.epoch, held.acknowledged.expiry) < (header.epoch, header.view);
            held.stage == Stage::Unordered && past
        })
    }

    /// An epoch starts; payloads sealed for an earlier one that are not ordered by now never will be.
    pub fn enter(&mut self, epoch: Arc<EpochInfo>) -> Vec<Commitment> {
        let number = epoch.epoch;
        self.epoch = epoch;
        self.drop_where(|held| held.stage == Stage::Unordered && held.epoch < number)
    }

    /// Payloads ordered up to this height are opened and kept elsewhere, except those that `keep` names: what opened to
    /// nothing can be shown to others by its chunks only.
    pub fn settled(&mut self, height: Height, keep: impl Fn(&Commitment) -> bool) -> Vec<Commitment> {
        self.drop_where(|held| {
            matches!(held.stage, Stage::Ordered(at) if at <= height) && !keep(&held.acknowledged.commitment)
        })
    }

    fn drop_where(&mut self, gone: impl Fn(&Held<L>) -> bool) -> Vec<Commitment> {
        let commitments: Vec<_> =
            self.held.iter().filter(|(_, held)| gone(held)).map(|(commitment, _)| *commitment).collect();
        for commitment in &commitments {
            self.held.remove(commitment);
        }
        commitments
    }
}

/// What chunks count for in the storage bound.
#[must_use]
pub fn stored_bytes(chunks: &ValidatorChunks, manifest_bytes: usize) -> u64 {
    (chunks.encode_size() + manifest_bytes) as u64
}

#[cfg(test)]
mod tests {
    use super::{Admission, Custody, Limits, Refusal, UNORDERED_PER_BUILDER_MIN};
    use crate::tests::cluster::first_epoch;
    use chorale_types::{Acknowledged, BuilderId, Commitment, Epoch, View, tagged_hash};

    const VALIDATORS: usize = 4;
    /// Each builder's part is 1000 bytes.
    const LIMITS: Limits = Limits { payload_bytes_max: 1_000, expiry_views_max: 64, unordered_bytes_max: 4_000 };

    /// A payload of a builder; no two expire in the same view.
    fn acknowledged(builder: u8, number: u8) -> Acknowledged {
        Acknowledged {
            builder: BuilderId(tagged_hash("test/builder", &[&[builder]])),
            commitment: Commitment(tagged_hash("test/commitment", &[&[builder, number]])),
            length: LIMITS.payload_bytes_max,
            manifest: tagged_hash("test/manifest", &[]),
            expiry: View(u64::from(number)),
        }
    }

    /// How many payloads of so many bytes each are taken from a builder.
    fn taken(custody: &mut Custody<()>, builder: u8, bytes: u64) -> usize {
        for number in 0..60 {
            let acknowledged = acknowledged(builder, number);
            match custody.admit(Epoch(0), &acknowledged, bytes, View(0)) {
                Ok(admission) => assert_eq!(admission, Admission::New),
                Err(refusal) => {
                    let held = u64::from(number) * bytes;
                    assert_eq!(refusal, Refusal::Storage { held, more: bytes, max: 1_000 });
                    return number.into();
                }
            }
            custody.insert(Epoch(0), acknowledged, (), bytes);
        }
        panic!("there is no bound");
    }

    /// A validator with most of the weight refused every payload, and then nobody had a quorum.
    #[test]
    fn a_builder_has_room_for_a_few_payloads_however_much_of_them_this_node_holds() {
        let mut custody = Custody::new(LIMITS, first_epoch(VALIDATORS, 1_000).into());
        assert_eq!(taken(&mut custody, 1, 3_500), UNORDERED_PER_BUILDER_MIN);
        assert_eq!(taken(&mut custody, 2, 3_500), UNORDERED_PER_BUILDER_MIN, "each has its own");
        assert_eq!(taken(&mut custody, 3, 100), 10, "its part of the bound is more");
    }
}
