//! Reading the whole domain, as it was after the last height that was written.

use super::{
    HEAD_ROW, Store, StoreError, guarded, place,
    rows::{self, Head, block_key, burnt_seal, opened},
    tables::{ACCOUNTS, BLOCK_HASHES, BURNT, CHANGES, CODES, SLOTS},
};
use crate::{blocks::STATES_MAX, record::BundleRecord};
use alloy_consensus::Header;
use alloy_eips::eip2935::{HISTORY_SERVE_WINDOW, HISTORY_STORAGE_ADDRESS};
use alloy_primitives::{Address, B256, Bytes, U256};
use chorale_evm::{Block, Chain, Domain, RollupRules, State};
use chorale_types::{BundleId, Digest, ExecutedHeight, Height, RollupId};
use redb::{Key, ReadTransaction, TableDefinition, Value};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// So many of the last bundles are told to begin with.
const BUNDLES_MAX: usize = crate::published::BUNDLES_MAX;

/// What was written of a domain.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) domain: Domain,
    pub(crate) rollups: BTreeMap<RollupId, RestoredRollup>,
    /// The last bundles, the newest at the end.
    pub(crate) bundles: Vec<(BundleId, BundleRecord)>,
    /// The last height that is attested; none if none is.
    pub(crate) attested: Option<ExecutedHeight>,
}

/// What was written of a rollup.
#[derive(Debug)]
pub(crate) struct RestoredRollup {
    /// The last blocks, up to the head.
    pub(crate) blocks: Vec<Block>,
    /// The chain as it was after the last blocks, up to the head.
    pub(crate) views: Vec<Chain>,
}

impl Store {
    /// The domain after the last height that was written; `genesis` is what the store was opened with.
    ///
    /// # Errors
    ///
    /// What is on the disk makes no domain, or the disk fails.
    pub(crate) fn restore(&self, genesis: &Domain) -> Result<Restored, StoreError> {
        guarded(&self.path, || self.read_all(genesis))
    }

    pub(super) fn read_all(&self, genesis: &Domain) -> Result<Restored, StoreError> {
        let head = self.sealed_meta(HEAD_ROW)?;
        let head: Head = rows::read_head(&head).map_err(|error| self.bad(HEAD_ROW, &error))?;
        if !head.rollups.iter().map(|(rollup, ..)| rollup).eq(genesis.chains().keys()) {
            return Err(self.damaged("its head is not of the rollups that it is of"));
        }
        let transaction = self.begin_read()?;
        let mut rollups = BTreeMap::new();
        for ((rollup, number, hash), genesis) in head.rollups.iter().zip(genesis.chains().values()) {
            rollups.insert(*rollup, self.read_rollup(&transaction, *rollup, genesis.rules(), (*number, *hash))?);
        }
        let burnt = self.burnt(&transaction, genesis.complete_at(head.height), head.height)?;
        let chains = rollups.values().filter_map(|rollup: &RestoredRollup| rollup.views.last().cloned());
        let domain =
            Domain::restore(genesis.chain_id(), genesis.id(), chains, head.height, burnt).with_blocks(genesis.blocks());
        Ok(Restored { domain, rollups, bundles: self.last_bundles(BUNDLES_MAX)?, attested: self.last_attested()? })
    }

    fn read_rollup(
        &self,
        transaction: &ReadTransaction,
        rollup: RollupId,
        rules: &RollupRules,
        (number, hash): (u64, B256),
    ) -> Result<RestoredRollup, StoreError> {
        let mut blocks = Vec::new();
        // Block 0 stays when those after it are deleted.
        let kept = self.first_block(rollup)?.filter(|first| *first > 1).unwrap_or_default();
        for number in number.saturating_sub(STATES_MAX as u64 - 1).max(kept)..=number {
            blocks.extend(self.block(rollup, number)?);
        }
        let links = blocks.windows(2).all(|pair| pair[0].header.hash() == pair[1].header.parent_hash);
        let Some(head) = blocks.last().filter(|head| links && head.header.hash() == hash) else {
            return Err(self.damaged(format!("block {number} of rollup {rollup} is not the end of its last blocks")));
        };
        let state = self.state(transaction, rollup)?;
        let restored = |state, header: &alloy_consensus::Sealed<Header>| {
            let chain = Chain::restore(rules.clone(), state, header.clone(), height_of(header));
            chain.map_err(|error| self.damaged(error.to_string()))
        };
        let last = restored(state, &head.header)?;
        if !has_block_hashes(&last) {
            return Err(
                self.damaged(format!("the hashes of the last blocks of rollup {rollup} are not those of its state"))
            );
        }
        let mut views = vec![last];
        for pair in blocks.windows(2).rev() {
            let number = pair[1].header.number;
            let row = self.get(transaction, CHANGES, (rollup.0, number), <[u8]>::to_vec)?;
            let Some(row) = row else { break };
            let changes = opened("changes", &block_key(rollup, number), &row).and_then(rows::read_changes);
            let changes = changes.map_err(|error| self.bad(format!("changes of {}", place(rollup, number)), &error))?;
            let mut state = views[views.len() - 1].state().clone();
            state.undo(&changes).map_err(|error| self.damaged(format!("{}: {error}", place(rollup, number))))?;
            views.push(restored(state, &pair[0].header)?);
        }
        views.reverse();
        Ok(RestoredRollup { blocks, views })
    }

    fn state(&self, transaction: &ReadTransaction, rollup: RollupId) -> Result<State, StoreError> {
        let id = rollup.0;
        let accounts = self.rows(transaction, ACCOUNTS, (id, &[0; 20])..=(id, &[255; 20]), |key, row| {
            (Address::new(*key.1), rows::read_account(row))
        })?;
        let slots = (id, &[0; 20], &[0; 32])..=(id, &[255; 20], &[255; 32]);
        let slots = self.rows(transaction, SLOTS, slots, |key, row| {
            (Address::new(*key.1), U256::from_be_bytes(*key.2), U256::from_be_bytes(*row))
        })?;
        let codes =
            self.rows(transaction, CODES, (id, &[0; 32])..=(id, &[255; 32]), |_, row| Bytes::copy_from_slice(row))?;
        let hashes =
            self.rows(transaction, BLOCK_HASHES, (id, 0)..=(id, u64::MAX), |key, row| (key.1, B256::new(*row)))?;
        State::from_parts(accounts, slots, codes, hashes)
            .map_err(|error| self.damaged(format!("the state of rollup {rollup}: {error}")))
    }

    /// The bindings that nobody could have again after a height, and that could be ordered after another one.
    pub(super) fn burnt(
        &self,
        transaction: &ReadTransaction,
        complete: Height,
        height: Height,
    ) -> Result<Vec<(Height, Digest)>, StoreError> {
        let all = (complete.0.saturating_add(1), &[0; 32])..=(u64::MAX, &[255; 32]);
        let all = self.rows(transaction, BURNT, all, |(expiry, binding), (since, seal)| {
            (expiry, *binding, since, *seal == burnt_seal(expiry, binding, since))
        })?;
        if all.iter().any(|(.., is_whole)| !is_whole) {
            return Err(self.damaged("a binding of a bundle is not the one that was written"));
        }
        let since = |(expiry, binding, since, _): (u64, [u8; 32], u64, bool)| {
            (since <= height.0).then(|| (Height(expiry), binding.into()))
        };
        Ok(all.into_iter().filter_map(since).collect())
    }

    /// All rows of a part of a table.
    fn rows<'k, K: Key + 'static, V: Value + 'static, T>(
        &self,
        transaction: &ReadTransaction,
        table: TableDefinition<'_, K, V>,
        range: RangeInclusive<K::SelfType<'k>>,
        read: impl Fn(K::SelfType<'_>, V::SelfType<'_>) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let table = transaction.open_table(table).map_err(|error| self.failed(error))?;
        let mut all = Vec::new();
        for row in table.range(range).map_err(|error| self.failed(error))? {
            let (key, value) = row.map_err(|error| self.failed(error))?;
            all.push(read(key.value(), value.value()));
        }
        Ok(all)
    }
}

/// The root says nothing about block hashes, but about the contract that has them too (EIP-2935).
pub(super) fn has_block_hashes(chain: &Chain) -> bool {
    let (state, head) = (chain.state(), chain.head());
    let mut expected = head.number.saturating_sub(chorale_evm::BLOCK_HASHES_MAX)..head.number;
    let is_right = |(number, hash): (u64, B256)| {
        let slot = U256::from(number % HISTORY_SERVE_WINDOW as u64);
        expected.next() == Some(number) && state.slot(HISTORY_STORAGE_ADDRESS, slot) == U256::from_be_bytes(hash.0)
    };
    state.block_hashes().all(is_right) && expected.is_empty()
}

/// The height at which a block is attested: its extra data, but for block 0.
pub(super) fn height_of(header: &Header) -> Height {
    let height = header.extra_data.as_ref().try_into().map_or(0, u64::from_be_bytes);
    Height(if header.number == 0 { 0 } else { height })
}
