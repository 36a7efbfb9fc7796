//! Accounts that sign: those of the load, which are of one run, and the development account that gives them their ether.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Signature, TxHash, eip191_hash_message, hex, keccak256};
use chorale_types::AccountSignature;
use secp256k1::{Message, Secp256k1, SecretKey, SignOnly, ecdsa::RecoverableSignature};

/// The last of the ten development accounts: examples and tests begin with the first ones.
const DEVELOPER_KEY: [u8; 32] = hex!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6");

/// Signs.
#[derive(Debug)]
pub(crate) struct Signer(Secp256k1<SignOnly>);

/// An account with its key.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    key: SecretKey,
    /// Its address.
    pub(crate) address: Address,
}

impl Signer {
    pub(crate) fn new() -> Self {
        Self(Secp256k1::signing_only())
    }

    fn account(&self, key: SecretKey) -> Account {
        let public = key.public_key(&self.0).serialize_uncompressed();
        Account { key, address: Address::from_raw_public_key(&public[1..]) }
    }

    /// The development account that pays for everything.
    pub(crate) fn developer(&self) -> Account {
        self.account(SecretKey::from_slice(&DEVELOPER_KEY).expect("a key"))
    }

    /// An account of a run, which nobody else has.
    pub(crate) fn of_run(&self, run: u64, number: u64) -> Account {
        let seed = [&b"chorale load"[..], &run.to_be_bytes(), &number.to_be_bytes()].concat();
        // One hash in 2^128 is no key.
        self.account(SecretKey::from_slice(keccak256(seed).as_slice()).expect("a hash is a key"))
    }

    fn sign(&self, account: &Account, hash: B256) -> RecoverableSignature {
        self.0.sign_ecdsa_recoverable(&Message::from_digest(hash.0), &account.key)
    }

    /// A transaction as it is sent, with its hash.
    pub(crate) fn transaction(&self, account: &Account, transaction: TxEip1559) -> (Vec<u8>, TxHash) {
        let (recovery, bytes) = self.sign(account, transaction.signature_hash()).serialize_compact();
        let signature = Signature::from_bytes_and_parity(&bytes, i32::from(recovery) == 1);
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        (signed.encoded_2718(), *signed.tx_hash())
    }

    /// Signs a message of 32 bytes as wallets do.
    pub(crate) fn message(&self, account: &Account, message: &[u8; 32]) -> AccountSignature {
        let (recovery, bytes) = self.sign(account, eip191_hash_message(message)).serialize_compact();
        let mut signature = [0; AccountSignature::BYTES];
        signature[..64].copy_from_slice(&bytes);
        signature[64] = if i32::from(recovery) == 1 { 28 } else { 27 };
        AccountSignature(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::Signer;
    use alloy_consensus::TxEip1559;
    use alloy_primitives::address;
    use chorale_evm::recover;
    use chorale_types::AccountId;

    #[test]
    fn who_signs_is_found_again() {
        let signer = Signer::new();
        let developer = signer.developer();
        assert_eq!(developer.address, address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"));
        let other = signer.of_run(7, 1);
        assert_ne!(other.address, signer.of_run(7, 2).address);
        assert_ne!(other.address, signer.of_run(8, 1).address);
        for account in [developer, other] {
            let (raw, hash) = signer.transaction(&account, TxEip1559 { chain_id: 1001, ..TxEip1559::default() });
            let recovered = recover(&raw, 1001).unwrap();
            assert_eq!((recovered.signer(), *recovered.inner().tx_hash()), (account.address, hash));
            let signature = signer.message(&account, &[9; 32]);
            assert_eq!(signature.signer(&[9; 32]), Some(AccountId(account.address.into_array())));
        }
    }
}
