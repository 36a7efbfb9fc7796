//! The all-or-nothing transform between a payload and its package.

use crate::geometry::KEY_BYTES;
use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit, StreamCipher},
};
use chorale_foundation::cryptography::{Hasher, Sha256};

/// Turns a zeroed `package` into the sealed form of `payload`.
///
/// # Panics
///
/// If the package is too short for payload and key.
pub(crate) fn wrap(payload: &[u8], key: &[u8; KEY_BYTES], package: &mut [u8]) {
    let (ciphertext, masked) = split(package);
    ciphertext[..payload.len()].copy_from_slice(payload);
    apply_stream(key, ciphertext);
    masked.copy_from_slice(key);
    mask(ciphertext, masked);
}

/// Decrypts a package in place and returns its key. The payload with its padding is then at the front.
///
/// Every package has a key, so this cannot fail; whether the padding is right is the caller's question.
///
/// # Panics
///
/// If the package is shorter than a key.
pub(crate) fn unwrap(package: &mut [u8]) -> [u8; KEY_BYTES] {
    let (ciphertext, masked) = split(package);
    mask(ciphertext, masked);
    let mut key = [0; KEY_BYTES];
    key.copy_from_slice(masked);
    apply_stream(&key, ciphertext);
    key
}

fn split(package: &mut [u8]) -> (&mut [u8], &mut [u8]) {
    package.split_at_mut(package.len() - KEY_BYTES)
}

fn mask(ciphertext: &[u8], key: &mut [u8]) {
    for (byte, mask) in key.iter_mut().zip(Sha256::hash(&[ciphertext]).iter()) {
        *byte ^= mask;
    }
}

/// The nonce is zero because every key encrypts one payload only.
fn apply_stream(key: &[u8; KEY_BYTES], bytes: &mut [u8]) {
    ChaCha20::new(key.into(), &[0; 12].into()).apply_keystream(bytes);
}
