//! Accounts that sign, the same in every run.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy_eips::{
    eip2718::Encodable2718 as _,
    eip2930::AccessList,
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use secp256k1::{Message, Secp256k1, SecretKey};

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Wallet {
    key: SecretKey,
    pub(super) address: Address,
}

/// The key of a wallet.
pub(super) fn secret(number: u64) -> B256 {
    keccak256(format!("wallet {number}"))
}

/// What a transaction asks for, whatever its type.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) nonce: u64,
    pub(super) to: TxKind,
    pub(super) value: U256,
    pub(super) input: Bytes,
    pub(super) gas_limit: u64,
    /// Most that a unit of gas may cost, in wei.
    pub(super) fee: u128,
    pub(super) tip: u128,
    pub(super) access_list: AccessList,
}

impl Wallet {
    pub(super) fn new(number: u64) -> Self {
        let key = SecretKey::from_slice(secret(number).as_slice()).unwrap();
        let public = key.public_key(&Secp256k1::new()).serialize_uncompressed();
        Self { key, address: Address::from_raw_public_key(&public[1..]) }
    }

    fn sign(&self, hash: B256) -> Signature {
        let signed = Secp256k1::new().sign_ecdsa_recoverable(&Message::from_digest(hash.0), &self.key);
        let (recovery, bytes) = signed.serialize_compact();
        Signature::from_bytes_and_parity(&bytes, i32::from(recovery) == 1)
    }

    pub(super) fn authorize(&self, chain_id: u64, address: Address, nonce: u64) -> SignedAuthorization {
        let authorization = Authorization { chain_id: U256::from(chain_id), address, nonce };
        let signature = self.sign(authorization.signature_hash());
        authorization.into_signed(signature)
    }

    pub(super) fn legacy(&self, chain_id: Option<u64>, ask: Ask) -> TxEnvelope {
        let Ask { nonce, to, value, input, gas_limit, fee, .. } = ask;
        let tx = TxLegacy { chain_id, nonce, gas_price: fee, gas_limit, to, value, input };
        let signature = self.sign(tx.signature_hash());
        tx.into_signed(signature).into()
    }

    pub(super) fn eip2930(&self, chain_id: u64, ask: Ask) -> TxEnvelope {
        let Ask { nonce, to, value, input, gas_limit, fee, access_list, .. } = ask;
        let tx = TxEip2930 { chain_id, nonce, gas_price: fee, gas_limit, to, value, access_list, input };
        let signature = self.sign(tx.signature_hash());
        tx.into_signed(signature).into()
    }

    pub(super) fn eip1559(&self, chain_id: u64, ask: Ask) -> TxEnvelope {
        let Ask { nonce, to, value, input, gas_limit, fee, tip, access_list } = ask;
        let tx = TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: fee,
            max_priority_fee_per_gas: tip,
            to,
            value,
            access_list,
            input,
        };
        let signature = self.sign(tx.signature_hash());
        tx.into_signed(signature).into()
    }

    /// `to` must not be a creation.
    pub(super) fn eip7702(&self, chain_id: u64, ask: Ask, authorization_list: Vec<SignedAuthorization>) -> TxEnvelope {
        let Ask { nonce, to, value, input, gas_limit, fee, tip, access_list } = ask;
        let tx = TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: fee,
            max_priority_fee_per_gas: tip,
            to: *to.to().unwrap(),
            value,
            access_list,
            authorization_list,
            input,
        };
        let signature = self.sign(tx.signature_hash());
        tx.into_signed(signature).into()
    }
}

pub(super) fn raw(transaction: &TxEnvelope) -> Vec<u8> {
    transaction.encoded_2718()
}
