//! A rollup's blocks, and the node that keeps them.

use crate::{Blocks, Config, Heads, Kind, Pace, State, drive};
use alloy_consensus::{Header, Sealed, SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use chorale_evm::{Block, BlockBuilder, Origin, RollupGenesis, recover};
use secp256k1::{Message, Secp256k1, SecretKey};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};

pub(super) const ROLLUP: u64 = 1001;
/// What all clients of these tests were started with.
pub(super) const SECRET: [u8; 32] = [7; 32];

/// Blocks of a rollup with a few payments in each.
pub(super) struct Chain {
    pub(super) genesis: Genesis,
    rollup: RollupGenesis,
    head: Sealed<Header>,
    key: SecretKey,
    nonce: u64,
    pub(super) blocks: Vec<Block>,
}

impl Chain {
    /// `extra_data` is that of block 0.
    pub(super) fn new(extra_data: &[u8]) -> Self {
        let key = SecretKey::from_slice(keccak256("wallet").as_slice()).unwrap();
        let sender = Address::from_raw_public_key(&key.public_key(&Secp256k1::new()).serialize_uncompressed()[1..]);
        let mut genesis = Genesis {
            gas_limit: 30_000_000,
            timestamp: 1_700_000_000,
            base_fee_per_gas: Some(7),
            extra_data: Bytes::copy_from_slice(extra_data),
            coinbase: Address::repeat_byte(0xfe),
            ..Genesis::default()
        };
        genesis.config.chain_id = ROLLUP;
        let balance = U256::from(10u128.pow(21));
        genesis.alloc.insert(sender, GenesisAccount { balance, ..GenesisAccount::default() });
        let rollup = RollupGenesis::new(&genesis).unwrap();
        let head = rollup.header.clone();
        let first =
            Block { header: head.clone(), transactions: vec![], receipts: vec![], requests: Default::default() };
        Self { genesis, rollup, head, key, nonce: 0, blocks: vec![first] }
    }

    /// One with so many blocks after block 0.
    pub(super) fn of(count: usize) -> Self {
        let mut chain = Self::new(&[]);
        (0..count).for_each(|_| chain.next(1));
        chain
    }

    /// The next block, so many seconds later.
    pub(super) fn next(&mut self, later_s: u64) {
        let number = self.head.number + 1;
        let origin = Origin {
            timestamp_s: self.head.timestamp + later_s,
            prev_randao: keccak256(format!("randao {number}")),
            sequencer_block: keccak256(format!("sequencer {number}")),
            extra_data: Bytes::copy_from_slice(&(10 * number).to_be_bytes()),
        };
        let payments: Vec<Vec<u8>> = (0..number % 3).map(|_| self.pay()).collect();
        let mut builder = BlockBuilder::begin(&self.rollup.rules, &self.head, origin, &mut self.rollup.state);
        for payment in payments {
            builder.execute(recover(&payment, ROLLUP).unwrap()).unwrap();
        }
        let block = builder.finish();
        self.head = block.header.clone();
        self.blocks.push(block);
    }

    fn pay(&mut self) -> Vec<u8> {
        let transaction = TxEip1559 {
            chain_id: ROLLUP,
            nonce: self.nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(Address::repeat_byte(0x57)),
            value: U256::from(5),
            ..TxEip1559::default()
        };
        self.nonce += 1;
        let message = Message::from_digest(transaction.signature_hash().0);
        let (recovery, bytes) = Secp256k1::new().sign_ecdsa_recoverable(&message, &self.key).serialize_compact();
        let signature = Signature::from_bytes_and_parity(&bytes, i32::from(recovery) == 1);
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
    }

    pub(super) fn hash(&self, number: usize) -> B256 {
        self.blocks[number].header.hash()
    }
}

/// What the node keeps of it.
pub(super) struct Kept {
    pub(super) blocks: Mutex<Vec<Block>>,
    /// Blocks before this one are deleted, but for block 0.
    pub(super) first: u64,
}

impl Blocks for Kept {
    fn block(&self, number: u64) -> Result<Option<Block>, String> {
        if number > 0 && number < self.first {
            return Ok(None);
        }
        let index = usize::try_from(number).unwrap();
        let blocks = self.blocks.lock().unwrap();
        Ok(Some(
            blocks.get(index).unwrap_or_else(|| panic!("block {number} is asked for, and is not made yet")).clone(),
        ))
    }
}

/// A node that drives a client.
pub(super) struct Node {
    pub(super) kept: Arc<Kept>,
    pub(super) heads: watch::Sender<Heads>,
    pub(super) state: watch::Receiver<State>,
    pub(super) driver: JoinHandle<()>,
    pub(super) folder: tempfile::TempDir,
}

pub(super) fn write_secret(folder: &Path, secret: [u8; 32]) {
    std::fs::write(folder.join("jwt.hex"), alloy_primitives::hex::encode(secret)).unwrap();
}

pub(super) const fn heads(latest: u64, safe: u64, finalized: u64) -> Heads {
    Heads { latest, safe, finalized }
}

impl Node {
    pub(super) fn start(chain: &Chain, url: &str, kind: Kind) -> Self {
        Self::start_with(chain, url, kind, 0, SECRET)
    }

    pub(super) fn start_with(chain: &Chain, url: &str, kind: Kind, first: u64, secret: [u8; 32]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_secret(folder.path(), secret);
        let kept = Arc::new(Kept { blocks: Mutex::new(chain.blocks.clone()), first });
        let last = chain.blocks.len() as u64 - 1;
        let (heads, heads_seen) = watch::channel(heads(last, last, 0));
        let (state_sender, state) = watch::channel(State::default());
        let config = Config {
            rollup: ROLLUP,
            url: url.to_owned(),
            secret: folder.path().join("jwt.hex"),
            kind,
            alarms: folder.path().to_owned(),
            pace: Pace {
                answer: Duration::from_secs(2),
                retry: Duration::from_millis(5),
                retry_max: Duration::from_millis(50),
                look: Duration::from_millis(20),
            },
        };
        let driver = tokio::spawn(drive(config, Arc::clone(&kept) as Arc<dyn Blocks>, heads_seen, state_sender));
        Self { kept, heads, state, driver, folder }
    }

    /// More blocks are made.
    pub(super) fn make(&self, chain: &Chain, heads: Heads) {
        *self.kept.blocks.lock().unwrap() = chain.blocks.clone();
        self.heads.send_replace(heads);
    }

    /// Waits for a state.
    pub(super) async fn until(&mut self, what: &str, is_it: impl FnMut(&State) -> bool) -> State {
        let now = self.state.clone();
        match tokio::time::timeout(Duration::from_secs(120), self.state.wait_for(is_it)).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => panic!("the driver ended before: {what}; it was {:?}", *now.borrow()),
            Err(_) => panic!("not within 120 s: {what}; it is {:?}", *now.borrow()),
        }
    }

    pub(super) async fn follows(&mut self, number: u64) {
        self.until(&format!("block {number} is the client's head"), |state| *state == State::Following(number)).await;
    }

    /// Waits until it says why nothing is handed over.
    pub(super) async fn waits(&mut self, words: &str) -> String {
        let says = |state: &State| matches!(state, State::Waiting(reason) if reason.contains(words));
        match self.until(words, says).await {
            State::Waiting(reason) => reason,
            other => panic!("{other:?}"),
        }
    }
}
