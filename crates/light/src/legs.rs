//! That the legs of a bundle are in the blocks of their rollups, with what came of each.
//!
//! ```text
//! attested outcome -> effect of the bundle: its id, and that it took effect
//!                  -> head of a rollup -> block hash = keccak(header) -> transactions root -> a signed transaction
//!                                                                     -> receipts root     -> its receipt
//! id of the bundle = H(terms, ids of the legs);  id of a leg = H(rollup, signed transaction)
//! ```
//!
//! A bundle is attested at the height at which the blocks of its legs are the heads of their rollups, so one head for each
//! rollup is enough. What is proven are the very bytes that were signed, all of them, in the bundle's order: it is their
//! ids that make the id of the bundle. Receipts count the gas of the block up to them, so the one before is proven as well.

use crate::{
    ExecutionProofError,
    trie::{self, Nodes},
};
use alloy_primitives::{B256, keccak256};
use alloy_rlp::{Decodable as _, Header};
use chorale_types::{
    Atomicity, BundleEffect, BundleEffectProof, BundleId, Digest, ExecutedHeight, Execution, ExecutionOutcome, Height,
    RollupHeadProof, RollupId, Transaction, TxId, bundle_id,
    codec::{Blob, List},
    codec_struct,
    limits::{BUNDLE_LEGS_MAX, DOMAIN_ROLLUPS_MAX},
};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a header in RLP: those of Prague have less than 700.
pub const HEADER_BYTES_MAX: usize = 1_024;
/// Bytes of one node. The longest are leaves with a receipt, whose logs cost 8 gas a byte.
pub const NODE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Nodes of one block: for each leg those to a transaction, its receipt, and the one before.
const NODES_MAX: usize = 3 * BUNDLE_LEGS_MAX * trie::DEPTH_MAX;

/// What the id of a bundle commits to besides its legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegTerms {
    /// What was promised.
    pub execution: Execution,
    /// The last height at which it could be ordered.
    pub expiry: Height,
    /// Its salt.
    pub salt: u64,
}
codec_struct!(LegTerms { execution, expiry, salt });

/// Where a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegPlace {
    /// The rollup.
    pub rollup: RollupId,
    /// Its index among the transactions of the rollup's block.
    pub index: u32,
}
codec_struct!(LegPlace { rollup, index });

/// The block of a rollup that has legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegBlock {
    /// That it is the rollup's block at the height.
    pub head: RollupHeadProof,
    /// Its header in RLP.
    pub header: Blob<HEADER_BYTES_MAX>,
    /// The nodes of its tries that are needed, each once.
    pub nodes: List<Blob<NODE_BYTES_MAX>, NODES_MAX>,
}
codec_struct!(LegBlock { head, header, nodes });

/// That a bundle took effect, with its legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegsProof {
    /// That it took effect.
    pub effect: BundleEffectProof,
    /// What its id commits to besides the legs.
    pub terms: LegTerms,
    /// The blocks that have legs, by rollup.
    pub blocks: List<LegBlock, DOMAIN_ROLLUPS_MAX>,
    /// The legs, in order.
    pub legs: List<LegPlace, BUNDLE_LEGS_MAX>,
}
codec_struct!(LegsProof { effect, terms, blocks, legs });

/// What a block has, encoded as its roots commit to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedBlock {
    /// The header in RLP.
    pub header: Vec<u8>,
    /// The transactions (EIP-2718).
    pub transactions: Vec<Vec<u8>>,
    /// Their receipts (EIP-2718).
    pub receipts: Vec<Vec<u8>>,
}

/// What is proven of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvenLeg {
    /// Its rollup.
    pub rollup: RollupId,
    /// The number of the block that it is in.
    pub block: u64,
    /// The hash of the signed transaction.
    pub transaction: Digest,
    /// Gas that it used.
    pub gas_used: u64,
    /// How many logs its receipt has.
    pub logs: usize,
}

/// The roots that a header names.
#[derive(Clone, Copy)]
struct Roots {
    number: u64,
    transactions: B256,
    receipts: B256,
}

/// What is looked at of a receipt.
struct Receipt {
    is_success: bool,
    gas_of_block: u64,
    logs: usize,
}

impl LegsProof {
    /// Proves the legs of a bundle that took effect at a height, from the blocks that its rollups made there. None if it did
    /// not, a leg is not where it is said to be, or something is longer than a proof may be.
    #[must_use]
    pub fn new(
        executed: &ExecutedHeight,
        id: BundleId,
        terms: LegTerms,
        blocks: &BTreeMap<RollupId, EncodedBlock>,
        legs: Vec<LegPlace>,
    ) -> Option<Self> {
        let effect = executed.prove_bundle(id).filter(|proof| proof.bundle.effect == BundleEffect::Committed)?;
        let block = |(rollup, block): (&RollupId, &EncodedBlock)| {
            let indices = legs.iter().filter(|leg| leg.rollup == *rollup).map(|leg| leg.index);
            LegBlock::new(executed, *rollup, block, &indices.collect())
        };
        let blocks = blocks.iter().map(block).collect::<Option<_>>()?;
        Some(Self { effect, terms, blocks: List::new(blocks).ok()?, legs: List::new(legs).ok()? })
    }

    /// Checks everything against an attested outcome. Returns the legs, in order.
    ///
    /// # Errors
    ///
    /// What does not follow from it.
    pub(crate) fn verify(&self, outcome: &ExecutionOutcome) -> Result<Vec<ProvenLeg>, ExecutionProofError> {
        let bundle = self.effect.bundle;
        if !self.effect.holds(outcome) {
            return Err(ExecutionProofError::Bundle(bundle.id));
        }
        if bundle.effect != BundleEffect::Committed {
            return Err(ExecutionProofError::NoLegs(bundle.id));
        }
        let mut blocks = BTreeMap::new();
        for block in self.blocks.iter() {
            let rollup = block.head.head.rollup;
            let roots = block.roots(outcome)?;
            let nodes = Nodes::new(block.nodes.iter().map(|node| &node[..]));
            let nodes = nodes.ok_or(ExecutionProofError::Nodes(rollup))?;
            if blocks.last_key_value().is_some_and(|(last, _)| *last >= rollup) {
                return Err(ExecutionProofError::BlockOrder(rollup));
            }
            blocks.insert(rollup, (roots, nodes));
        }
        let (mut ids, mut proven) = (Vec::with_capacity(self.legs.len()), Vec::with_capacity(self.legs.len()));
        for (position, leg) in self.legs.iter().enumerate() {
            let (roots, nodes) = blocks.get_mut(&leg.rollup).ok_or(ExecutionProofError::NoBlock { leg: position })?;
            let (id, leg) = leg.verify(*roots, nodes, position)?;
            ids.push(id);
            proven.push(leg);
        }
        if let Some((rollup, _)) = blocks.iter().find(|(_, (_, nodes))| !nodes.are_all_used()) {
            return Err(ExecutionProofError::Nodes(*rollup));
        }
        let LegTerms { execution, expiry, salt } = self.terms;
        if bundle_id(Atomicity::Execution(execution), expiry, salt, &ids) != bundle.id {
            return Err(ExecutionProofError::OtherLegs(bundle.id));
        }
        Ok(proven)
    }
}

impl LegBlock {
    fn new(executed: &ExecutedHeight, rollup: RollupId, block: &EncodedBlock, indices: &BTreeSet<u32>) -> Option<Self> {
        let head = executed.prove_head(rollup)?;
        let count = block.transactions.len().min(block.receipts.len());
        if indices.iter().any(|index| usize::try_from(*index).is_ok_and(|index| index >= count)) {
            return None;
        }
        let with_those_before = indices.iter().flat_map(|index| [index.saturating_sub(1), *index]).collect();
        let mut nodes = trie::prove(&block.transactions, indices).1;
        nodes.extend(trie::prove(&block.receipts, &with_those_before).1);
        let nodes = nodes.into_iter().map(|node| Blob::new(node.to_vec()).ok()).collect::<Option<_>>()?;
        Some(Self { head, header: Blob::new(block.header.clone()).ok()?, nodes: List::new(nodes).ok()? })
    }

    /// What the header names, if it is that of the rollup's block.
    fn roots(&self, outcome: &ExecutionOutcome) -> Result<Roots, ExecutionProofError> {
        let head = &self.head.head;
        if !self.head.holds(outcome) {
            return Err(ExecutionProofError::Head(head.rollup));
        }
        let is_of_head = keccak256(&self.header[..]) == B256::new(head.block.0);
        let roots = is_of_head.then(|| read_header(&self.header).ok()).flatten();
        roots.ok_or(ExecutionProofError::Header(head.rollup))
    }
}

impl LegPlace {
    /// The id of the leg that is there, and what is proven of it.
    fn verify(
        self,
        Roots { number, transactions, receipts }: Roots,
        nodes: &mut Nodes<'_>,
        leg: usize,
    ) -> Result<(TxId, ProvenLeg), ExecutionProofError> {
        let Self { rollup, index } = self;
        let data = nodes.value(transactions, index).and_then(|data| Blob::new(data).ok());
        let data = data.ok_or(ExecutionProofError::Transaction { leg })?;
        let mut receipt = |index| {
            let receipt = nodes.value(receipts, index).and_then(|bytes| read_receipt(&bytes).ok());
            receipt.ok_or(ExecutionProofError::Receipt { leg })
        };
        let before = index.checked_sub(1).map(&mut receipt).transpose()?.map_or(0, |before| before.gas_of_block);
        let Receipt { is_success, gas_of_block, logs } = receipt(index)?;
        if !is_success {
            return Err(ExecutionProofError::Failed { leg });
        }
        let gas_used = gas_of_block.checked_sub(before).ok_or(ExecutionProofError::Receipt { leg })?;
        let transaction = keccak256(&data[..]).0.into();
        Ok((Transaction { rollup, data }.id(), ProvenLeg { rollup, block: number, transaction, gas_used, logs }))
    }
}

/// Reads a header of [Ethereum](https://eips.ethereum.org/EIPS/eip-7685) as far as it is needed.
fn read_header(mut bytes: &[u8]) -> alloy_rlp::Result<Roots> {
    let mut fields = Header::decode_bytes(&mut bytes, true)?;
    // Parent, ommers, beneficiary, state.
    skip(&mut fields, 4)?;
    let (transactions, receipts) = (B256::decode(&mut fields)?, B256::decode(&mut fields)?);
    // Bloom, difficulty.
    skip(&mut fields, 2)?;
    Ok(Roots { number: u64::decode(&mut fields)?, transactions, receipts })
}

/// Reads a receipt (EIP-2718, EIP-658): status, gas of the block up to it, bloom, logs.
fn read_receipt(bytes: &[u8]) -> alloy_rlp::Result<Receipt> {
    // A list never begins with a byte that is a type.
    let mut rest = match bytes {
        [0..=0x7f, rest @ ..] => rest,
        _ => bytes,
    };
    let mut fields = Header::decode_bytes(&mut rest, true)?;
    let (is_success, gas_of_block) = (bool::decode(&mut fields)?, u64::decode(&mut fields)?);
    skip(&mut fields, 1)?;
    let mut list = Header::decode_bytes(&mut fields, true)?;
    let mut logs = 0;
    while !list.is_empty() {
        skip(&mut list, 1)?;
        logs += 1;
    }
    Ok(Receipt { is_success, gas_of_block, logs })
}

/// Leaves items out.
fn skip(fields: &mut &[u8], items: usize) -> alloy_rlp::Result<()> {
    for _ in 0..items {
        let payload = Header::decode(fields)?.payload_length;
        *fields = fields.get(payload..).ok_or(alloy_rlp::Error::InputTooShort)?;
    }
    Ok(())
}
