//! Accounts of the ledger: whoever pays for something, known by an Ethereum address.

use crate::codec_bytes;
use alloy_primitives::{Address, eip191_hash_message};
use secp256k1::{
    Message, Secp256k1, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use std::fmt;

/// An account: an Ethereum address, 20 bytes. Its key signs what it pays for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub [u8; Self::BYTES]);

impl AccountId {
    /// Length of an address.
    pub const BYTES: usize = 20;
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Address::from(self.0).fmt(f)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({self})")
    }
}

/// A signature of an account's key: ECDSA over secp256k1 as `r | s | v`, where v is 27 or 28, over a message of 32 bytes
/// that is wrapped as wallets do ([EIP-191](https://eips.ethereum.org/EIPS/eip-191), version 0x45: `personal_sign`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountSignature(pub [u8; Self::BYTES]);

impl AccountSignature {
    /// Length of r, s and v.
    pub const BYTES: usize = 65;

    /// Who signed a message; nobody if this is no signature, or not the one of two that counts (s in the lower half, as
    /// [EIP-2](https://eips.ethereum.org/EIPS/eip-2) has it).
    #[must_use]
    pub fn signer(&self, message: &[u8; 32]) -> Option<AccountId> {
        let (compact, v) = self.0.split_at(64);
        let recovery = match v[0] {
            27 => RecoveryId::Zero,
            28 => RecoveryId::One,
            _ => return None,
        };
        let signature = RecoverableSignature::from_compact(compact, recovery).ok()?;
        let standard = signature.to_standard();
        let mut low = standard;
        low.normalize_s();
        if low != standard {
            return None;
        }
        let digest = Message::from_digest(eip191_hash_message(message).0);
        let key = Secp256k1::verification_only().recover_ecdsa(&digest, &signature).ok()?;
        Some(AccountId(Address::from_raw_public_key(&key.serialize_uncompressed()[1..]).into_array()))
    }
}

impl fmt::Debug for AccountSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountSignature({})", hex::encode(&self.0[..4]))
    }
}

codec_bytes!(AccountId, AccountSignature);

/// The key of an account.
#[derive(Clone)]
pub struct AccountSecret(SecretKey);

impl AccountSecret {
    /// The key of these 32 bytes; none if they are none.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        SecretKey::from_byte_array(&bytes).ok().map(Self)
    }

    /// Whose key it is.
    #[must_use]
    pub fn account(&self) -> AccountId {
        let key = self.0.public_key(&Secp256k1::signing_only());
        AccountId(Address::from_raw_public_key(&key.serialize_uncompressed()[1..]).into_array())
    }

    /// Signs a message as wallets do: see [`AccountSignature`].
    #[must_use]
    pub fn sign(&self, message: &[u8; 32]) -> AccountSignature {
        let digest = Message::from_digest(eip191_hash_message(message).0);
        let (recovery, compact) =
            Secp256k1::signing_only().sign_ecdsa_recoverable(&digest, &self.0).serialize_compact();
        let mut bytes = [0; AccountSignature::BYTES];
        bytes[..64].copy_from_slice(&compact);
        bytes[64] = if recovery == RecoveryId::Zero { 27 } else { 28 };
        AccountSignature(bytes)
    }
}

impl fmt::Debug for AccountSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountSecret({})", self.account())
    }
}
