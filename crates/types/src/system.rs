//! What is ordered for the chain itself, in the lane of rollup 0.

use crate::{
    AccountId, AccountSignature, Attestation, ChainId, Height, RollupId, Transaction,
    codec::{Blob, Encode, Error, decode},
    codec_enum, codec_struct, tagged_hash,
};

/// A transaction for rollup 0: everybody reads it, and settlement acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemItem {
    /// What the rollups of a domain became up to a height is attested.
    Attestation(Attestation),
    /// A rollup that was suspended goes on.
    Resume(Resume),
}
codec_enum!(SystemItem { 0 => Attestation, 1 => Resume });

/// The owner of a rollup that was suspended wants it to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The rollup.
    pub rollup: RollupId,
    /// The height from which on it is suspended: this ends that suspension and no other.
    pub since: Height,
    /// Makes it another transaction than the same word before, which cannot be ordered again for a while.
    pub salt: u64,
    /// Its owner's, of [`Resume::message`].
    pub signature: AccountSignature,
}
codec_struct!(Resume { rollup, since, salt, signature });

impl Resume {
    /// What the owner signs.
    #[must_use]
    pub fn message(chain: ChainId, rollup: RollupId, since: Height, salt: u64) -> [u8; 32] {
        let fields = [chain.as_ref(), &rollup.0.to_be_bytes(), &since.0.to_be_bytes(), &salt.to_be_bytes()];
        tagged_hash("chorale/resume/v1", &fields).0
    }

    /// Who signed it; nobody if the signature is none.
    #[must_use]
    pub fn signer(&self, chain: ChainId) -> Option<AccountId> {
        self.signature.signer(&Self::message(chain, self.rollup, self.since, self.salt))
    }
}

impl SystemItem {
    /// The transaction that has it ordered.
    ///
    /// # Panics
    ///
    /// Never: an item is far smaller than a transaction may be.
    #[must_use]
    pub fn to_transaction(&self) -> Transaction {
        let data = Blob::new(self.encode().to_vec()).expect("a few hundred bytes");
        Transaction { rollup: RollupId::SYSTEM, data }
    }

    /// Reads the data of a transaction for rollup 0.
    ///
    /// # Errors
    ///
    /// It is no item.
    pub fn read(data: &[u8]) -> Result<Self, Error> {
        decode(data.to_vec())
    }
}
