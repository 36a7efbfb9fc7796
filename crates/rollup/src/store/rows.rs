//! What rows look like: a version, RLP as Ethereum has it, and a seal that tells damage.
//!
//! Receipts are without their blooms, most of which are nothing but zeros; they are made again from the logs. With each
//! transaction stands its sender: to find it anew takes longer than everything else.

use super::errors::Identity;
use crate::record::{BundleRecord, Fate};
use alloy_consensus::{Eip658Value, Header, Receipt, ReceiptEnvelope, Sealable as _, Sealed};
use alloy_eips::{eip2718::Encodable2718 as _, eip7685::Requests};
use alloy_primitives::{Address, B256, Bytes, Keccak256, Log, U256};
use alloy_rlp::{BufMut, Decodable, Encodable, encode_list};
use chorale_evm::{Account, Block, SignedTransaction, recovered_before};
use chorale_light::LegTerms;
use chorale_types::{AccountId, ChainId, DomainId, Execution, Height, RollupId};

/// The first byte of every row with a seal.
const VERSION: u8 = 1;
const SEAL_BYTES: usize = 8;

/// Why a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRow {
    #[error("its bytes are not those that were written")]
    Seal,
    #[error("it begins with version {0}, and {VERSION} is read")]
    Version(u8),
    #[error("it is not what it should be: {0}")]
    Encoding(String),
}

impl From<alloy_rlp::Error> for BadRow {
    fn from(error: alloy_rlp::Error) -> Self {
        Self::Encoding(error.to_string())
    }
}

fn wrong(what: impl Into<String>) -> BadRow {
    BadRow::Encoding(what.into())
}

/// Where the domain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) height: Height,
    /// By rollup: number and hash of its last block.
    pub(super) rollups: Vec<(RollupId, u64, B256)>,
}

/// The first bytes of a hash of a row and its key.
fn seal_of(table: &str, key: &[u8], payload: &[u8]) -> [u8; SEAL_BYTES] {
    let mut hash = Keccak256::new();
    for part in [table.as_bytes(), &[0], key, payload] {
        hash.update(part);
    }
    let mut seal = [0; SEAL_BYTES];
    seal.copy_from_slice(&hash.finalize()[..SEAL_BYTES]);
    seal
}

/// The seal of a binding that nobody can have again.
pub(super) fn burnt_seal(expiry: u64, binding: &[u8; 32], since: u64) -> [u8; SEAL_BYTES] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&expiry.to_be_bytes());
    key[8..].copy_from_slice(binding);
    seal_of("burnt", &key, &since.to_be_bytes())
}

/// A row: version, payload, seal.
pub(super) fn sealed(table: &str, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(1 + payload.len() + SEAL_BYTES);
    row.push(VERSION);
    row.extend_from_slice(payload);
    row.extend_from_slice(&seal_of(table, key, payload));
    row
}

/// The payload of a row.
pub(super) fn opened<'a>(table: &str, key: &[u8], row: &'a [u8]) -> Result<&'a [u8], BadRow> {
    let (version, rest) = row.split_first().ok_or(BadRow::Seal)?;
    let (payload, seal) = rest.split_at_checked(rest.len().wrapping_sub(SEAL_BYTES)).ok_or(BadRow::Seal)?;
    if seal != seal_of(table, key, payload) {
        return Err(BadRow::Seal);
    }
    if *version != VERSION {
        return Err(BadRow::Version(*version));
    }
    Ok(payload)
}

/// The key of a block's rows, as it is sealed.
pub(super) fn block_key(rollup: RollupId, number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&rollup.0.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// RLP that is ready.
struct Raw(Vec<u8>);

impl Encodable for Raw {
    fn encode(&self, out: &mut dyn BufMut) {
        out.put_slice(&self.0);
    }

    fn length(&self) -> usize {
        self.0.len()
    }
}

/// A list of items of different types.
fn list(items: &[&dyn Encodable]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_list::<_, dyn Encodable>(items, &mut out);
    out
}

fn list_of(items: impl IntoIterator<Item = Vec<u8>>) -> Raw {
    let mut out = Vec::new();
    encode_list(&items.into_iter().map(Raw).collect::<Vec<_>>(), &mut out);
    Raw(out)
}

/// Reads the items of a list, and wants nothing behind them.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The list that all the bytes are.
    pub(super) fn all(mut bytes: &'a [u8]) -> Result<Self, BadRow> {
        let fields = alloy_rlp::Header::decode_bytes(&mut bytes, true)?;
        if bytes.is_empty() { Ok(Self(fields)) } else { Err(wrong("bytes follow it")) }
    }

    pub(super) fn next<T: Decodable>(&mut self) -> Result<T, BadRow> {
        Ok(T::decode(&mut self.0)?)
    }

    pub(super) fn list(&mut self) -> Result<Self, BadRow> {
        Ok(Self(alloy_rlp::Header::decode_bytes(&mut self.0, true)?))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn end(&self) -> Result<(), BadRow> {
        if self.is_empty() { Ok(()) } else { Err(wrong("it has more items than it should")) }
    }

    /// Reads all items of a list with the same.
    pub(super) fn each<T>(mut self, read: impl Fn(&mut Self) -> Result<T, BadRow>) -> Result<Vec<T>, BadRow> {
        let mut all = Vec::new();
        while !self.is_empty() {
            all.push(read(&mut self)?);
        }
        Ok(all)
    }
}

pub(super) fn identity(identity: &Identity) -> Vec<u8> {
    let rollup = |(rollup, genesis): &(RollupId, B256)| list(&[&rollup.0, genesis]);
    let chain = B256::from_slice(identity.chain.as_ref());
    list(&[&chain, &identity.domain.0, &list_of(identity.rollups.iter().map(rollup))])
}

pub(super) fn read_identity(payload: &[u8]) -> Result<Identity, BadRow> {
    let mut fields = Fields::all(payload)?;
    let (chain, domain) = (ChainId(fields.next::<B256>()?.0.into()), DomainId(fields.next()?));
    let rollups = fields.list()?.each(|fields| {
        let mut fields = fields.list()?;
        Ok((RollupId(fields.next()?), fields.next()?))
    })?;
    fields.end()?;
    Ok(Identity { chain, domain, rollups })
}

pub(super) fn head(head: &Head) -> Vec<u8> {
    let rollup = |(rollup, number, hash): &(RollupId, u64, B256)| list(&[&rollup.0, number, hash]);
    list(&[&head.height.0, &list_of(head.rollups.iter().map(rollup))])
}

pub(super) fn read_head(payload: &[u8]) -> Result<Head, BadRow> {
    let mut fields = Fields::all(payload)?;
    let height = Height(fields.next()?);
    let rollups = fields.list()?.each(|fields| {
        let mut fields = fields.list()?;
        Ok((RollupId(fields.next()?), fields.next()?, fields.next()?))
    })?;
    fields.end()?;
    Ok(Head { height, rollups })
}

pub(super) fn account(account: &Account) -> [u8; 72] {
    let mut row = [0; 72];
    row[..8].copy_from_slice(&account.nonce.to_be_bytes());
    row[8..40].copy_from_slice(&account.balance.to_be_bytes::<32>());
    row[40..].copy_from_slice(account.code_hash.as_slice());
    row
}

pub(super) fn read_account(row: &[u8; 72]) -> Account {
    let mut nonce = [0; 8];
    nonce.copy_from_slice(&row[..8]);
    Account {
        nonce: u64::from_be_bytes(nonce),
        balance: U256::from_be_slice(&row[8..40]),
        code_hash: B256::from_slice(&row[40..]),
    }
}

pub(super) fn header(header: &Header) -> Vec<u8> {
    alloy_rlp::encode(header)
}

pub(super) fn read_header(payload: &[u8]) -> Result<Sealed<Header>, BadRow> {
    Ok(alloy_rlp::decode_exact::<Header>(payload)?.seal_slow())
}

/// A block but for its header.
pub(super) fn body(block: &Block) -> Vec<u8> {
    let transaction =
        |signed: &SignedTransaction| list(&[&Bytes::from(signed.inner().encoded_2718()), &signed.signer()]);
    let receipt = |receipt: &ReceiptEnvelope| {
        list(&[&receipt.status(), &receipt.cumulative_gas_used(), &receipt.logs().to_vec()])
    };
    list(&[
        &list_of(block.transactions.iter().map(transaction)),
        &list_of(block.receipts.iter().map(receipt)),
        &block.requests.iter().cloned().collect::<Vec<Bytes>>(),
    ])
}

pub(super) fn read_body(payload: &[u8], rollup: RollupId, header: Sealed<Header>) -> Result<Block, BadRow> {
    let mut fields = Fields::all(payload)?;
    let transactions = fields.list()?.each(|fields| {
        let mut fields = fields.list()?;
        let (bytes, sender): (Bytes, Address) = (fields.next()?, fields.next()?);
        recovered_before(&bytes, rollup.0, sender).map_err(|error| wrong(error.to_string()))
    })?;
    let receipts = fields.list()?.each(|fields| {
        let mut fields = fields.list()?;
        let status = Eip658Value::Eip658(fields.next()?);
        Ok(Receipt { status, cumulative_gas_used: fields.next()?, logs: fields.next::<Vec<Log>>()? })
    })?;
    let requests = Requests::new(fields.next()?);
    fields.end()?;
    if transactions.len() != receipts.len() {
        return Err(wrong(format!("{} transactions have {} receipts", transactions.len(), receipts.len())));
    }
    let of_type = |(signed, receipt): (&SignedTransaction, Receipt)| {
        ReceiptEnvelope::from_typed(signed.inner().tx_type(), receipt)
    };
    let receipts = transactions.iter().zip(receipts).map(of_type).collect();
    Ok(Block { header, transactions, receipts, requests })
}

pub(super) fn bundle(record: &BundleRecord) -> Vec<u8> {
    let fate = match &record.fate {
        Fate::Committed => list(&[&0u8]),
        // Legs count from 1 here: 0 is none.
        Fate::Aborted { leg, code, burns, reason } => {
            list(&[&1u8, &leg.map_or(0, |leg| u64::from(leg) + 1), code, burns, &reason.as_str()])
        }
        Fate::Unplaced { rollup } => list(&[&2u8, &rollup.0]),
    };
    let leg = |(rollup, hash): &(RollupId, B256)| list(&[&rollup.0, hash]);
    let LegTerms { execution: Execution { domain, payer, max_fee, attempt }, expiry, salt } = &record.terms;
    let terms = list(&[&domain.0, &Address::new(payer.0), max_fee, attempt, &expiry.0, salt]);
    list(&[&record.height.0, &Raw(fate), &Raw(terms), &list_of(record.legs.iter().map(leg))])
}

fn read_terms(mut fields: Fields<'_>) -> Result<LegTerms, BadRow> {
    let (domain, payer) = (DomainId(fields.next()?), AccountId(fields.next::<Address>()?.into_array()));
    let execution = Execution { domain, payer, max_fee: fields.next()?, attempt: fields.next()? };
    let terms = LegTerms { execution, expiry: Height(fields.next()?), salt: fields.next()? };
    fields.end()?;
    Ok(terms)
}

pub(super) fn read_bundle(payload: &[u8]) -> Result<BundleRecord, BadRow> {
    let mut fields = Fields::all(payload)?;
    let height = Height(fields.next()?);
    let mut fate = fields.list()?;
    let read = match fate.next::<u8>()? {
        0 => Fate::Committed,
        1 => {
            let leg = fate.next::<u64>()?.checked_sub(1).map(u8::try_from).transpose();
            let leg = leg.map_err(|_| wrong("a leg of a number that none has"))?;
            Fate::Aborted { leg, code: fate.next()?, burns: fate.next()?, reason: fate.next()? }
        }
        2 => Fate::Unplaced { rollup: RollupId(fate.next()?) },
        other => return Err(wrong(format!("what became of it is {other}"))),
    };
    fate.end()?;
    let terms = read_terms(fields.list()?)?;
    let legs = fields.list()?.each(|fields| {
        let mut fields = fields.list()?;
        Ok((RollupId(fields.next()?), fields.next()?))
    })?;
    fields.end()?;
    Ok(BundleRecord { height, fate: read, terms, legs })
}

/// How a block changed the state, to take it back.
pub(super) fn changes(changes: &chorale_evm::Changes) -> Vec<u8> {
    let account = |account: &Option<Account>| Bytes::from(account.map_or(Vec::new(), |it| self::account(&it).to_vec()));
    let code = |code: &Option<Bytes>| Raw(list_of(code.iter().map(alloy_rlp::encode)).0);
    let hash = |hash: &Option<B256>| hash.map_or_else(Bytes::new, |hash| Bytes::from(hash.to_vec()));
    list(&[
        &list_of(changes.accounts.iter().map(|(key, it)| list(&[key, &account(&it.before), &account(&it.after)]))),
        &list_of(changes.slots.iter().map(|((key, slot), it)| list(&[key, slot, &it.before, &it.after]))),
        &list_of(changes.codes.iter().map(|(key, it)| list(&[key, &code(&it.before), &code(&it.after)]))),
        &list_of(changes.block_hashes.iter().map(|(key, it)| list(&[key, &hash(&it.before), &hash(&it.after)]))),
    ])
}

pub(super) fn read_changes(payload: &[u8]) -> Result<chorale_evm::Changes, BadRow> {
    use chorale_evm::Change;
    fn account(fields: &mut Fields<'_>) -> Result<Option<Account>, BadRow> {
        let bytes: Bytes = fields.next()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let row = bytes.as_ref().try_into().map_err(|_| wrong("an account of another length"))?;
        Ok(Some(read_account(row)))
    }
    fn code(fields: &mut Fields<'_>) -> Result<Option<Bytes>, BadRow> {
        let mut code = fields.list()?;
        let found = if code.is_empty() { None } else { Some(code.next()?) };
        code.end()?;
        Ok(found)
    }
    fn hash(fields: &mut Fields<'_>) -> Result<Option<B256>, BadRow> {
        let bytes: Bytes = fields.next()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        B256::try_from(bytes.as_ref()).map(Some).map_err(|_| wrong("a hash of another length"))
    }
    let mut fields = Fields::all(payload)?;
    let accounts = fields.list()?.each(|fields| {
        let mut fields = fields.list()?;
        Ok((fields.next()?, Change { before: account(&mut fields)?, after: account(&mut fields)? }))
    })?;
    let slots = fields.list()?.each(|fields| {
        let mut fields = fields.list()?;
        let key = (fields.next()?, fields.next()?);
        Ok((key, Change { before: fields.next()?, after: fields.next()? }))
    })?;
    let codes = fields.list()?.each(|fields| {
        let mut fields = fields.list()?;
        Ok((fields.next()?, Change { before: code(&mut fields)?, after: code(&mut fields)? }))
    })?;
    let block_hashes = fields.list()?.each(|fields| {
        let mut fields = fields.list()?;
        Ok((fields.next()?, Change { before: hash(&mut fields)?, after: hash(&mut fields)? }))
    })?;
    fields.end()?;
    Ok(chorale_evm::Changes {
        accounts: accounts.into_iter().collect(),
        slots: slots.into_iter().collect(),
        codes: codes.into_iter().collect(),
        block_hashes: block_hashes.into_iter().collect(),
    })
}
