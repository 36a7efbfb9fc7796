//! The identifiers of the field: who, where and when, each a type of its own so that none is taken for another.

use crate::codec_newtype;
use chorale_foundation::cryptography::{Hasher, Sha256, sha256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A SHA-256 digest, 32 bytes.
pub type Digest = sha256::Digest;

/// Hashes `parts` under a domain-separation tag: SHA-256(len(tag) as one byte, tag, parts in order).
///
/// # Panics
///
/// If the tag is longer than 255 bytes; tags are constants.
pub fn tagged_hash(tag: &str, parts: &[&[u8]]) -> Digest {
    let len = [u8::try_from(tag.len()).expect("tags are short constants")];
    let mut all: Vec<&[u8]> = Vec::with_capacity(parts.len() + 2);
    all.push(&len);
    all.push(tag.as_bytes());
    all.extend_from_slice(parts);
    Sha256::hash(&all)
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        codec_newtype!($name);
    };
}

number! {
    /// A rollup's namespace. For an EVM rollup it is its EIP-155 chain id.
    RollupId(u64)
}
number! {
    /// An attestation domain: a group of rollups that are executed together. 0 is ordering and ledger.
    DomainId(u64)
}

impl DomainId {
    /// The domain of ordering and ledger, which all validators attest.
    pub const ORDERING: Self = Self(0);
}

impl RollupId {
    /// The chain itself: what stands in this lane is not for a rollup but for all nodes, [`SystemItem`](crate::SystemItem)s.
    pub const SYSTEM: Self = Self(0);
}
number! {
    /// An epoch: a span of heights with one validator set. Counted from 0.
    Epoch(u64)
}
number! {
    /// A view of consensus within an epoch. View 0 is the epoch's fixed start; the first leader has view 1.
    View(u64)
}
number! {
    /// The height of a block, over all epochs without gaps. Height 0 is the genesis, which carries nothing.
    Height(u64)
}
number! {
    /// Milliseconds since the Unix epoch.
    TimestampMs(u64)
}
number! {
    /// A validator's place in its epoch's set, from 0.
    ValidatorIndex(u16)
}

impl View {
    /// The view after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The view before this one, if there is one.
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(view) => Some(Self(view)),
            None => None,
        }
    }
}

impl Height {
    /// The height after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl TimestampMs {
    /// The whole second that it is in, since the Unix epoch.
    #[must_use]
    pub const fn second(self) -> u64 {
        self.0 / 1_000
    }
}

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl ValidatorIndex {
    /// As an index into the set's validators.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex::encode(&self.0[..4]))
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let mut bytes = [0u8; 32];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| ParseIdError { kind: stringify!($name) })?;
                Ok(Self(Digest::from(bytes)))
            }
        }

        codec_newtype!($name);
    };
}

/// A text that is not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: expected 64 hexadecimal digits, with or without 0x")]
pub struct ParseIdError {
    kind: &'static str,
}

digest_id! {
    /// The chain: the hash of its genesis. Everything signed is bound to it.
    ChainId
}
digest_id! {
    /// A block: the hash of its header.
    BlockId
}
digest_id! {
    /// A transaction: the hash of its rollup and its data.
    TxId
}
digest_id! {
    /// A bundle: the hash of all it promises.
    BundleId
}
digest_id! {
    /// The Merkle root over all chunks of a sealed payload, with the builder's id hashed in.
    Commitment
}
