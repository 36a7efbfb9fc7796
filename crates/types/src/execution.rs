//! Execution outcomes: what a domain's rollups became at a height, under one root.

use crate::{
    BundleId, ChainId, Digest, DomainId, Height, MerklePath, RollupId, Statement,
    codec::{Buf, Encode, EncodeSize, Error, List, Read, ReadExt, Write},
    codec_struct,
    limits::{DOMAIN_ROLLUPS_MAX, EXECUTED_BUNDLES_MAX},
    merkle::MerkleTree,
    tagged_hash,
};
use chorale_foundation::BufMut;

/// Where a rollup is after a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollupHead {
    /// The rollup.
    pub rollup: RollupId,
    /// The number of its last block.
    pub number: u64,
    /// The hash of that block.
    pub block: Digest,
    /// The state root that the block names.
    pub state: Digest,
}
codec_struct!(RollupHead { rollup, number, block, state });

impl RollupHead {
    fn digest(&self) -> Digest {
        tagged_hash("chorale/rollup-head/v1", &[&self.encode()])
    }
}

/// What became of a bundle that was promised to execute as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleEffect {
    /// All its legs are in the blocks of their rollups.
    Committed,
    /// None is.
    Aborted {
        /// The leg that failed, from 0; none if it was no leg's doing.
        leg: Option<u8>,
        /// Why, as the executor numbers its reasons.
        reason: u8,
        /// Whether the binding of its legs is used up, so that none of them can ever take effect. If not, they were put
        /// together otherwise than their signers wanted, and may still be ordered as they did until their bundle expires.
        burns: bool,
    },
    /// None is, because a rollup had no gas left at this height. It may be ordered again.
    Unplaced,
}

impl Write for BundleEffect {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Committed => 0u8.write(buf),
            Self::Aborted { leg, reason, burns } => {
                1u8.write(buf);
                leg.write(buf);
                reason.write(buf);
                burns.write(buf);
            }
            Self::Unplaced => 2u8.write(buf),
        }
    }
}

impl EncodeSize for BundleEffect {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Committed | Self::Unplaced => 0,
            Self::Aborted { leg, .. } => leg.encode_size() + 2,
        }
    }
}

impl Read for BundleEffect {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        match u8::read(buf)? {
            0 => Ok(Self::Committed),
            1 => {
                Ok(Self::Aborted { leg: ReadExt::read(buf)?, reason: ReadExt::read(buf)?, burns: ReadExt::read(buf)? })
            }
            2 => Ok(Self::Unplaced),
            tag => Err(Error::InvalidEnum(tag)),
        }
    }
}

/// A bundle of a height, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutedBundle {
    /// Its id in the order.
    pub id: BundleId,
    /// What became of it.
    pub effect: BundleEffect,
}
codec_struct!(ExecutedBundle { id, effect });

impl ExecutedBundle {
    fn digest(&self) -> Digest {
        tagged_hash("chorale/executed-bundle/v1", &[&self.encode()])
    }
}

/// What a domain became at a height with content for one of its rollups: a pure function of the order up to there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionOutcome {
    /// The chain.
    pub chain: ChainId,
    /// The domain.
    pub domain: DomainId,
    /// The height.
    pub height: Height,
    /// The height before it at which a rollup of the domain had content; 0 if there was none.
    pub previous: Height,
    /// The root of the [outcome](crate::Outcome) of the height: the order that was executed.
    pub order: Digest,
    /// Root over the [heads](RollupHead) of all rollups of the domain, by rollup.
    pub rollups: Digest,
    /// Root over the [bundles](ExecutedBundle) of the height, in the order in which they executed.
    pub bundles: Digest,
    /// Root over the bindings of all bundles up to here that nobody can have again and that could still be ordered: they
    /// decide what becomes of later bundles, and are in no block. `burnt_root` of `chorale-evm` computes it.
    pub burnt: Digest,
}
codec_struct!(ExecutionOutcome { chain, domain, height, previous, order, rollups, bundles, burnt });

impl ExecutionOutcome {
    /// The root that the domain's validators sign: a hash of the encoding.
    #[must_use]
    pub fn root(&self) -> Digest {
        tagged_hash("chorale/execution-root/v1", &[&self.encode()])
    }

    /// What they sign.
    #[must_use]
    pub fn statement(&self) -> Statement {
        Statement::Outcome { domain: self.domain, height: self.height, root: self.root() }
    }

    /// The root over heads of rollups, which rise by rollup.
    #[must_use]
    pub fn rollups_root(heads: &[RollupHead]) -> Digest {
        MerkleTree::new(heads.iter().map(RollupHead::digest)).root()
    }

    /// The root over the bundles of a height.
    #[must_use]
    pub fn bundles_root(bundles: &[ExecutedBundle]) -> Digest {
        MerkleTree::new(bundles.iter().map(ExecutedBundle::digest)).root()
    }
}

/// What a domain became at a height, with all that its outcome commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutedHeight {
    /// The outcome.
    pub outcome: ExecutionOutcome,
    /// Where all rollups of the domain are, by rollup.
    pub heads: List<RollupHead, DOMAIN_ROLLUPS_MAX>,
    /// What became of the height's bundles, in the order in which they executed.
    pub bundles: List<ExecutedBundle, EXECUTED_BUNDLES_MAX>,
}
codec_struct!(ExecutedHeight { outcome, heads, bundles });

impl ExecutedHeight {
    /// That a bundle is among them, if it is.
    #[must_use]
    pub fn prove_bundle(&self, id: BundleId) -> Option<BundleEffectProof> {
        let index = self.bundles.iter().position(|bundle| bundle.id == id)?;
        let path = MerkleTree::new(self.bundles.iter().map(ExecutedBundle::digest)).path(index, 1)?;
        Some(BundleEffectProof { bundle: self.bundles[index], path })
    }

    /// That a rollup is where it is, if it is of the domain.
    #[must_use]
    pub fn prove_head(&self, rollup: RollupId) -> Option<RollupHeadProof> {
        let index = self.heads.iter().position(|head| head.rollup == rollup)?;
        let path = MerkleTree::new(self.heads.iter().map(RollupHead::digest)).path(index, 1)?;
        Some(RollupHeadProof { head: self.heads[index], path })
    }
}

/// That this became of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleEffectProof {
    /// The bundle.
    pub bundle: ExecutedBundle,
    /// Its path.
    pub path: MerklePath,
}
codec_struct!(BundleEffectProof { bundle, path });

impl BundleEffectProof {
    /// Whether it is under an outcome's root.
    #[must_use]
    pub fn holds(&self, outcome: &ExecutionOutcome) -> bool {
        self.path.verify(&[self.bundle.digest()], &outcome.bundles)
    }
}

/// That a rollup is at this block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupHeadProof {
    /// The head.
    pub head: RollupHead,
    /// Its path.
    pub path: MerklePath,
}
codec_struct!(RollupHeadProof { head, path });

impl RollupHeadProof {
    /// Whether it is under an outcome's root.
    #[must_use]
    pub fn holds(&self, outcome: &ExecutionOutcome) -> bool {
        self.path.verify(&[self.head.digest()], &outcome.rollups)
    }
}
