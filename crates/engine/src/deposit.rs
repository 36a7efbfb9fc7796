//! The transaction that every block of the OP stack begins with: what is known of the layer below
//! ([deposits](https://specs.optimism.io/protocol/deposits.html)).
//!
//! Clients of the OP stack take their fees for the layer below from it, and do not find their receipts without it. A rollup
//! of this chain pays nothing of the kind, so it says zero everywhere but for its number.

use alloy_primitives::{Address, B256, Bytes, U256, address, b256, keccak256};
use alloy_rlp::{Encodable as _, Header};

/// The type of a deposit.
pub(crate) const DEPOSIT_TYPE: u8 = 0x7e;
/// Who sends it: nobody has the key.
const DEPOSITOR: Address = address!("deaddeaddeaddeaddeaddeaddeaddeaddead0001");
/// The contract that remembers the layer below.
const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// `setL1BlockValuesIsthmus()`.
const SELECTOR: [u8; 4] = [0x09, 0x89, 0x99, 0xbe];
/// After the selector: four scalars of 4, 4, 8 and 8 bytes, a number of 8, fees of 32 and 32, hashes of 32 and 32, and an
/// operator's fee of 4 and 8.
const VALUES_BYTES: usize = 172;
/// Where the number of the block since the last one of the layer below stands, after both scalars of the fees.
const SEQUENCE_AT: usize = 8;
const GAS_LIMIT: u64 = 1_000_000;
/// What the source of this kind of deposit is hashed with.
const SOURCE_DOMAIN: B256 = b256!("0000000000000000000000000000000000000000000000000000000000000001");

/// The first transaction of the block of this number.
pub(crate) fn attributes_of_the_layer_below(number: u64) -> Bytes {
    let mut data = Vec::with_capacity(SELECTOR.len() + VALUES_BYTES);
    data.extend_from_slice(&SELECTOR);
    data.resize(SELECTOR.len() + VALUES_BYTES, 0);
    data[SELECTOR.len() + SEQUENCE_AT..][..8].copy_from_slice(&number.to_be_bytes());
    let place = keccak256([B256::ZERO, U256::from(number).into()].concat());
    let source = keccak256([SOURCE_DOMAIN, place].concat());
    let (none, data) = (U256::ZERO, Bytes::from(data));
    let is_system = false;
    let payload_length = source.length()
        + DEPOSITOR.length()
        + L1_BLOCK.length()
        + 2 * none.length()
        + GAS_LIMIT.length()
        + is_system.length()
        + data.length();
    let mut out = vec![DEPOSIT_TYPE];
    Header { list: true, payload_length }.encode(&mut out);
    source.encode(&mut out);
    DEPOSITOR.encode(&mut out);
    L1_BLOCK.encode(&mut out);
    // Nothing is made of nothing, and nothing is sent.
    none.encode(&mut out);
    none.encode(&mut out);
    GAS_LIMIT.encode(&mut out);
    is_system.encode(&mut out);
    data.encode(&mut out);
    out.into()
}
