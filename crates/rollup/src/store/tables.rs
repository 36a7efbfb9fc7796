//! The tables of the database. Rollups come first in keys, so that those of one are together.

use redb::TableDefinition;

/// `format`, `identity` and `head`: see [`super::rows`].
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Rollup and address: nonce, balance and hash of the code.
pub(super) const ACCOUNTS: TableDefinition<'_, (u64, &[u8; 20]), &[u8; 72]> = TableDefinition::new("accounts");
type SlotKey = (u64, &'static [u8; 20], &'static [u8; 32]);
/// Rollup, address and slot: its value, if that is not zero.
pub(super) const SLOTS: TableDefinition<'_, SlotKey, &[u8; 32]> = TableDefinition::new("slots");
/// Rollup and hash: the code.
pub(super) const CODES: TableDefinition<'_, (u64, &[u8; 32]), &[u8]> = TableDefinition::new("codes");
/// Rollup and number: what `BLOCKHASH` answers.
pub(super) const BLOCK_HASHES: TableDefinition<'_, (u64, u64), &[u8; 32]> = TableDefinition::new("block_hashes");

/// Rollup and number of a block: its header. Apart from the rest, as who looks for logs reads many.
pub(super) const HEADERS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("headers");
/// Rollup and number of a block: transactions, receipts and requests.
pub(super) const BODIES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("bodies");
/// Rollup and number of a block: what it changed, of the last blocks only.
pub(super) const CHANGES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("changes");
/// Rollup and hash of a block: its number.
pub(super) const NUMBERS: TableDefinition<'_, (u64, &[u8; 32]), u64> = TableDefinition::new("numbers");
/// Rollup and hash of a transaction: number of its block, and index there.
pub(super) const TRANSACTIONS: TableDefinition<'_, (u64, &[u8; 32]), (u64, u32)> = TableDefinition::new("transactions");

/// Id of a bundle: what became of it.
pub(super) const BUNDLES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("bundles");
/// Height and index of a bundle there: its id.
pub(super) const BUNDLE_ORDER: TableDefinition<'_, (u64, u32), &[u8; 32]> = TableDefinition::new("bundle_order");
/// Height with content: what the rollups became, with all that the outcome commits to.
pub(super) const EXECUTED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("executed");
/// Height: the attestation of that outcome.
pub(super) const ATTESTED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("attested");
type BurntKey = (u64, &'static [u8; 32]);
/// The last height of a bundle, and its binding, which nobody can have again until then: the height since when, and a seal
/// that tells damage. Some stay that are over: a snapshot is of a height before the last one.
pub(super) const BURNT: TableDefinition<'_, BurntKey, (u64, &[u8; 8])> = TableDefinition::new("burnt");
