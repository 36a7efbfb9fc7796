//! What users submit: transactions, bundles, and the units of the global order.

use crate::{
    Atomicity, BundleId, Height, Promise, RollupId, TxId,
    codec::{Blob, Buf, Encode, EncodeSize, Error, List, Read, ReadExt, Write},
    codec_enum, codec_struct,
    limits::{BUNDLE_LEGS_MAX, TRANSACTION_BYTES_MAX},
    tagged_hash,
};
use chorale_foundation::BufMut;

/// A transaction of one rollup. Its data is opaque to ordering.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transaction {
    /// The rollup it is for.
    pub rollup: RollupId,
    /// The rollup's own encoding of it.
    pub data: Blob<TRANSACTION_BYTES_MAX>,
}
codec_struct!(Transaction { rollup, data });

impl Transaction {
    /// The id: a hash of rollup and data.
    #[must_use]
    pub fn id(&self) -> TxId {
        TxId(tagged_hash("chorale/transaction/v1", &[&self.rollup.0.to_be_bytes(), &self.data]))
    }
}

/// Transactions for several rollups that are ordered together or not at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bundle {
    /// What is promised.
    pub promise: Promise,
    /// The transactions, in the order they are to stand in.
    pub legs: List<Transaction, BUNDLE_LEGS_MAX>,
    /// The last height at which it may be ordered.
    pub expiry: Height,
    /// Makes equal content distinct.
    pub salt: u64,
}

impl Bundle {
    /// The id: a hash of everything in it but the payer's signature, which is over the id. Legs are in it by their ids, so
    /// that whoever knows these can check it.
    #[must_use]
    pub fn id(&self) -> BundleId {
        let legs: Vec<TxId> = self.legs.iter().map(Transaction::id).collect();
        self.id_of_legs(&legs)
    }

    /// The id, where the ids of the legs are known.
    pub(crate) fn id_of_legs(&self, legs: &[TxId]) -> BundleId {
        bundle_id(self.promise.atomicity(), self.expiry, self.salt, legs)
    }
}

/// The id of a bundle: H(atomicity, expiry, salt, ids of the legs in order).
#[must_use]
pub fn bundle_id(atomicity: Atomicity, expiry: Height, salt: u64, legs: &[TxId]) -> BundleId {
    let legs: Vec<u8> = legs.iter().flat_map(|id| id.0.iter().copied()).collect();
    let parts: [&[u8]; 4] = [&atomicity.encode(), &expiry.0.to_be_bytes(), &salt.to_be_bytes(), &legs];
    BundleId(tagged_hash("chorale/bundle/v1", &parts))
}

impl Write for Bundle {
    fn write(&self, buf: &mut impl BufMut) {
        self.promise.write(buf);
        self.legs.write(buf);
        self.expiry.write(buf);
        self.salt.write(buf);
    }
}

impl EncodeSize for Bundle {
    fn encode_size(&self) -> usize {
        self.promise.encode_size() + self.legs.encode_size() + self.expiry.encode_size() + 8
    }
}

impl Read for Bundle {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let bundle = Self {
            promise: ReadExt::read(buf)?,
            legs: ReadExt::read(buf)?,
            expiry: ReadExt::read(buf)?,
            salt: ReadExt::read(buf)?,
        };
        if bundle.legs.is_empty() {
            return Err(Error::Invalid("Bundle", "a bundle has at least one leg"));
        }
        Ok(bundle)
    }
}

/// One unit of the global order, as it is submitted, sent and stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// A transaction of one rollup.
    Transaction(Transaction),
    /// Transactions of several rollups, ordered together or not at all.
    Bundle(Bundle),
}
codec_enum!(Unit { 0 => Transaction, 1 => Bundle });

/// The id of a unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitId {
    /// A transaction's.
    Transaction(TxId),
    /// A bundle's.
    Bundle(BundleId),
}
codec_enum!(UnitId { 0 => Transaction, 1 => Bundle });

impl Unit {
    /// The id: one hash over the content.
    #[must_use]
    pub fn id(&self) -> UnitId {
        match self {
            Self::Transaction(transaction) => UnitId::Transaction(transaction.id()),
            Self::Bundle(bundle) => UnitId::Bundle(bundle.id()),
        }
    }

    /// The transactions in it: itself, or the legs of a bundle.
    #[must_use]
    pub fn transactions(&self) -> &[Transaction] {
        match self {
            Self::Transaction(transaction) => std::slice::from_ref(transaction),
            Self::Bundle(bundle) => &bundle.legs,
        }
    }
}

impl UnitId {
    /// The digest behind the id.
    #[must_use]
    pub const fn digest(&self) -> &crate::Digest {
        match self {
            Self::Transaction(TxId(digest)) | Self::Bundle(BundleId(digest)) => digest,
        }
    }
}

impl std::fmt::Debug for UnitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transaction(id) => id.fmt(f),
            Self::Bundle(id) => id.fmt(f),
        }
    }
}

impl std::fmt::Display for UnitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transaction(id) => write!(f, "transaction {id}"),
            Self::Bundle(id) => write!(f, "bundle {id}"),
        }
    }
}
