//! Random histories of a rollup, each from its seed: blocks of transactions of all types to contracts of all kinds.

use super::{
    programs as code,
    wallets::{Ask, Wallet, raw},
};
use crate::{Block, BlockBuilder, Origin, RollupGenesis, SignedTransaction, recover};
use alloy_consensus::{Header, Sealed};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

pub(super) const CHAIN: u64 = 1001;
const WALLETS: u64 = 6;
const GWEI: u128 = 1_000_000_000;

/// A rollup on its way through a history.
pub(super) struct Story {
    random: ChaCha8Rng,
    wallets: Vec<Wallet>,
    nonces: Vec<u64>,
    contracts: Vec<Address>,
    pub(super) rollup: RollupGenesis,
    pub(super) head: Sealed<Header>,
}

pub(super) fn genesis() -> Genesis {
    let mut genesis = Genesis {
        gas_limit: 30_000_000,
        timestamp: 1_700_000_000,
        base_fee_per_gas: Some(GWEI),
        coinbase: Address::repeat_byte(0xfe),
        ..Genesis::default()
    };
    genesis.config.chain_id = CHAIN;
    for number in 0..WALLETS {
        let balance = U256::from(10u128.pow(21));
        genesis.alloc.insert(Wallet::new(number).address, GenesisAccount { balance, ..GenesisAccount::default() });
    }
    let programs: &[&[u8]] = &[
        code::STORE,
        code::LOG,
        code::REVERTING,
        code::DESTROYING,
        code::CREATING,
        code::CALLING,
        code::LOOKING,
        code::TRANSIENT,
    ];
    for (address, program) in contracts().into_iter().zip(programs) {
        let code = Some(Bytes::copy_from_slice(program));
        genesis.alloc.insert(address, GenesisAccount { code, nonce: Some(1), ..GenesisAccount::default() });
    }
    genesis
}

fn contracts() -> Vec<Address> {
    (1..=8).map(|number| Address::repeat_byte(0xc0 + number)).collect()
}

impl Story {
    pub(super) fn new(seed: u64) -> Self {
        let rollup = RollupGenesis::new(&genesis()).unwrap();
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            wallets: (0..WALLETS).map(Wallet::new).collect(),
            nonces: vec![0; usize::try_from(WALLETS).unwrap()],
            contracts: contracts(),
            head: rollup.header.clone(),
            rollup,
        }
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.below(choices.len() as u64);
        choices[usize::try_from(index).unwrap()]
    }

    /// Where the next block stands; its time may be that of its parent.
    pub(super) fn origin(&mut self) -> Origin {
        let later = self.below(3);
        let number = self.head.number + 1;
        Origin {
            timestamp_s: self.head.timestamp + later,
            prev_randao: keccak256(format!("randao {number}")),
            sequencer_block: keccak256(format!("sequencer {number}")),
            extra_data: Bytes::copy_from_slice(&number.to_be_bytes()),
        }
    }

    /// Transactions of the next block, as users might send them: some of them are invalid.
    pub(super) fn transactions(&mut self) -> Vec<Vec<u8>> {
        (0..=self.below(12)).map(|_| self.transaction()).collect()
    }

    /// Makes the next block of them.
    pub(super) fn next(&mut self, origin: Origin, transactions: &[Vec<u8>]) -> Block {
        let mut builder = BlockBuilder::begin(&self.rollup.rules, &self.head, origin, &mut self.rollup.state);
        let recovered = transactions.iter().filter_map(|bytes| recover(bytes, CHAIN).ok());
        for transaction in recovered {
            let _ = builder.execute(transaction);
        }
        let block = builder.finish();
        self.head = block.header.clone();
        // What was skipped left a gap in its sender's nonces.
        for (wallet, nonce) in self.wallets.iter().zip(&mut self.nonces) {
            *nonce = self.rollup.state.account(wallet.address).map_or(0, |account| account.nonce);
        }
        block
    }

    fn transaction(&mut self) -> Vec<u8> {
        let from = usize::try_from(self.below(WALLETS)).unwrap();
        let (to, input) = self.call();
        let wrong = self.below(20);
        let ask = Ask {
            nonce: self.nonces[from] + u64::from(wrong == 0),
            to,
            value: if self.below(2) == 0 { U256::ZERO } else { U256::from(self.below(1_000)) },
            input,
            gas_limit: 60_000 + self.below(500_000),
            fee: if wrong == 1 { 1 } else { u128::from(self.below(20)) * GWEI / 10 + 2 * GWEI },
            tip: u128::from(self.below(3)) * GWEI / 2,
            access_list: self.access_list(),
        };
        if wrong > 1 {
            self.nonces[from] += 1;
        }
        let wallet = self.wallets[from].clone();
        let signed = match self.below(6) {
            0 => wallet.legacy((wrong != 2).then_some(CHAIN), ask),
            1 => wallet.eip2930(CHAIN, ask),
            2 if !ask.to.is_create() => {
                let delegate = self.one_of(&contracts());
                if self.below(4) == 0 {
                    // Somebody who has no account yet, mostly.
                    let stranger = Wallet::new(1_000 + self.below(40));
                    let authorization = stranger.authorize(CHAIN, delegate, 0);
                    return raw(&wallet.eip7702(CHAIN, ask, vec![authorization]));
                }
                let authority = usize::try_from(self.below(WALLETS)).unwrap();
                // Valid at times: an authorization with another nonce is ignored, not the transaction.
                let nonce = self.nonces[authority];
                let authorization = self.wallets[authority].authorize(CHAIN, delegate, nonce);
                if nonce == self.nonces[authority] {
                    self.nonces[authority] += 1;
                }
                wallet.eip7702(CHAIN, ask, vec![authorization])
            }
            _ => wallet.eip1559(CHAIN, ask),
        };
        raw(&signed)
    }

    fn access_list(&mut self) -> AccessList {
        let mut items = Vec::new();
        for _ in 0..self.below(3) {
            let storage_keys = vec![B256::with_last_byte(u8::try_from(self.below(4)).unwrap())];
            items.push(AccessListItem { address: self.one_of(&contracts()), storage_keys });
        }
        AccessList(items)
    }

    /// To whom, with what.
    fn call(&mut self) -> (TxKind, Bytes) {
        let (first, second) = (self.below(4), self.below(3));
        let small = code::words(&[U256::from(first), U256::from(second)]);
        let contracts = self.contracts.clone();
        let call = |contract: usize, input: Bytes| (TxKind::Call(contracts[contract]), input);
        match self.below(16) {
            0 => (TxKind::Call(Address::with_last_byte(u8::try_from(self.below(255)).unwrap())), small),
            1 => (TxKind::Call(Address::repeat_byte(u8::try_from(self.below(9)).unwrap())), Bytes::new()),
            2 => (TxKind::Create, code::deploying(self.one_of(&[code::STORE, code::DESTROYING, code::LOOKING]))),
            3 => (TxKind::Create, self.noise()),
            4 => {
                let program = self.noise();
                call(4, code::deploying(&program))
            }
            5 => call(4, code::deploying(code::DESTROYING)),
            6 => {
                let target = self.target();
                call(5, [code::words(&[code::word_of(target)]), small].concat().into())
            }
            11 => {
                let (number, input) = self.precompile();
                let target = code::word_of(Address::with_last_byte(number));
                call(5, [code::words(&[target]), input].concat().into())
            }
            7 => {
                let timestamp = code::words(&[U256::from(self.head.timestamp)]);
                call(5, [code::words(&[code::word_of(BEACON_ROOTS_ADDRESS)]), timestamp].concat().into())
            }
            8 => {
                // A withdrawal request (EIP-7002): a key and an amount, paid for with the fee of an empty queue.
                let request = [vec![7; 48], 5u64.to_be_bytes().to_vec()].concat();
                (TxKind::Call(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS), request.into())
            }
            9 => {
                let index = usize::try_from(self.below(WALLETS)).unwrap();
                (TxKind::Call(self.wallets[index].address), small)
            }
            10 => call(3, code::words(&[code::word_of(Address::repeat_byte(0x77))])),
            _ => {
                let contract = self.one_of(&[0, 1, 2, 6, 7]);
                call(contract, small)
            }
        }
    }

    /// Whom a contract calls: another contract, a precompile, or nobody.
    fn target(&mut self) -> Address {
        match self.below(3) {
            0 => Address::with_last_byte(u8::try_from(self.below(18)).unwrap()),
            1 => Address::repeat_byte(u8::try_from(self.below(12)).unwrap()),
            _ => self.one_of(&contracts()),
        }
    }

    /// A precompile with an input that it makes something of.
    fn precompile(&mut self) -> (u8, Bytes) {
        let one = [U256::from(1), U256::from(2)];
        match self.below(5) {
            0 => {
                let lengths = [self.below(40), self.below(40), self.below(40)].map(U256::from);
                let rest = vec![u8::try_from(self.below(256)).unwrap(); 120];
                (5, [code::words(&lengths), rest.into()].concat().into())
            }
            1 => (6, code::words(&[one, one].concat())),
            2 => {
                let scalar = U256::from(self.below(1_000_000));
                (7, code::words(&[one[0], one[1], scalar]))
            }
            3 => (8, Bytes::from(vec![0; 192])),
            _ => {
                let rounds = u32::try_from(self.below(30)).unwrap();
                (9, [rounds.to_be_bytes().to_vec(), vec![3; 208], vec![1]].concat().into())
            }
        }
    }

    /// Code that nobody wrote: mostly small pushes between random instructions.
    fn noise(&mut self) -> Bytes {
        let mut code = Vec::new();
        for _ in 0..=self.below(60) {
            if self.below(3) > 0 {
                code.extend([revm::bytecode::opcode::PUSH1, u8::try_from(self.below(64)).unwrap()]);
            } else {
                code.push(u8::try_from(self.below(256)).unwrap());
            }
        }
        code.into()
    }
}

/// Those that had an effect, as they were sent.
pub(super) fn effective(block: &Block) -> Vec<Vec<u8>> {
    block.transactions.iter().map(|transaction: &SignedTransaction| raw(transaction.inner())).collect()
}
