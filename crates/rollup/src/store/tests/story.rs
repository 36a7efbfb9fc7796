//! Random heights of a domain of two rollups, the same from the same seed.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::{eip2718::Encodable2718 as _, eip2930::AccessList};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, bytes, keccak256};
use chorale_evm::{
    BoundLeg, Content, DerivedHeight, Domain, DomainRules, Marker, RollupGenesis, Terms, binding, recover,
};
use chorale_types::{
    AccountId, Atomicity, BlockId, BundleId, ChainId, DomainId, Epoch, Execution, Height, Lane, LaneItem, Leg,
    OrderedBundle, OrderedLeg, Outcome, Place, RollupId, TimestampMs, Transaction, TxId, bundle_id,
    codec::{Blob, List},
    tagged_hash,
};
use secp256k1::{Message, Secp256k1, SecretKey};
use std::collections::BTreeMap;

pub(crate) const ROLLUPS: [u64; 2] = [1001, 1002];
const WALLETS: u64 = 6;
/// Only legs are theirs, so that nothing beside a bundle can spoil it.
const LEG_WALLETS: [u64; 2] = [4, 5];
/// Writes its second word to the slot that is its first.
const STORE: Address = Address::repeat_byte(0xc1);
/// Logs what it is given.
const LOG: Address = Address::repeat_byte(0xc2);
const REVERTING: Address = Address::repeat_byte(0xc3);

struct Wallet {
    key: SecretKey,
    address: Address,
}

impl Wallet {
    fn new(number: u64) -> Self {
        let key = SecretKey::from_slice(keccak256(format!("wallet {number}")).as_slice()).unwrap();
        let public = key.public_key(&Secp256k1::new()).serialize_uncompressed();
        Self { key, address: Address::from_raw_public_key(&public[1..]) }
    }

    fn sign(&self, transaction: TxEip1559) -> Vec<u8> {
        let message = Message::from_digest(transaction.signature_hash().0);
        let signed = Secp256k1::new().sign_ecdsa_recoverable(&message, &self.key);
        let (recovery, bytes) = signed.serialize_compact();
        let signature = Signature::from_bytes_and_parity(&bytes, i32::from(recovery) == 1);
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
    }
}

/// What was ordered at a height.
#[derive(Clone, Debug)]
pub(crate) struct Ordered {
    pub(crate) outcome: Outcome,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) bundles: Vec<OrderedBundle>,
}

impl Ordered {
    pub(crate) fn derive(&self, domain: &mut Domain) -> DerivedHeight {
        domain.derive(&Content { outcome: &self.outcome, lanes: &self.lanes, bundles: &self.bundles }).unwrap()
    }
}

/// Signed legs with their terms, to be ordered again.
#[derive(Clone)]
struct Bundle {
    terms: Terms,
    legs: Vec<(u64, Vec<u8>)>,
    attempt: u32,
}

/// Makes heights, one after the other.
pub(crate) struct Story {
    random: u64,
    height: u64,
    wallets: Vec<Wallet>,
    last_bundle: Option<Bundle>,
}

pub(crate) fn domain(name: &str) -> Domain {
    let rollup = |chain_id| {
        let mut genesis = Genesis { gas_limit: 30_000_000, base_fee_per_gas: Some(1), ..Genesis::default() };
        genesis.config.chain_id = chain_id;
        for number in 0..WALLETS {
            let balance = U256::from(10u128.pow(30));
            genesis.alloc.insert(Wallet::new(number).address, GenesisAccount { balance, ..GenesisAccount::default() });
        }
        let codes =
            [(STORE, bytes!("6020355f355500")), (LOG, bytes!("365f5f374333365fa200")), (REVERTING, bytes!("5f5ffd"))];
        for (address, code) in codes {
            let account = GenesisAccount { code: Some(code), nonce: Some(1), ..GenesisAccount::default() };
            genesis.alloc.insert(address, account);
        }
        RollupGenesis::new(&genesis).unwrap()
    };
    Domain::new(chain(name), DomainId(1), DomainRules::default(), ROLLUPS.map(rollup))
}

fn chain(name: &str) -> ChainId {
    ChainId(tagged_hash("test/chain", &[name.as_bytes()]))
}

fn id_of(rollup: u64, data: &[u8]) -> TxId {
    Transaction { rollup: RollupId(rollup), data: Blob::new(data.to_vec()).unwrap() }.id()
}

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        let wallets = (0..WALLETS).map(Wallet::new).collect();
        Self { random: seed, height: 0, wallets, last_bundle: None }
    }

    /// Another story that goes on where one is.
    pub(crate) fn after(other: &Self) -> Self {
        Self { height: other.height, ..Self::new(other.random ^ 1) }
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let hash = keccak256(self.random.to_be_bytes());
        u64::from_be_bytes(hash[..8].try_into().unwrap()) % end
    }

    /// The next height of a domain.
    pub(crate) fn next(&mut self, domain: &Domain) -> Ordered {
        self.height += 1 + self.below(3);
        let mut lanes: BTreeMap<u64, Vec<LaneItem>> = BTreeMap::new();
        let mut bundles = Vec::new();
        if self.below(2) == 0 {
            let bundle = self.bundle(domain);
            bundles.push(order(&bundle, &mut lanes));
            self.last_bundle = Some(bundle);
        }
        let mut nonces = BTreeMap::new();
        for unit in 1..2 + u32::try_from(self.below(6)).unwrap() {
            let (rollup, wallet) = (ROLLUPS[usize::try_from(self.below(2)).unwrap()], self.below(LEG_WALLETS[0]));
            let nonce = *nonces.entry((rollup, wallet)).or_insert_with(|| self.nonce(domain, rollup, wallet));
            nonces.insert((rollup, wallet), nonce + 1);
            let data = self.transaction(rollup, wallet, nonce);
            let item = LaneItem {
                place: Place { payload: 0, unit, leg: None },
                id: id_of(rollup, &data),
                data: Blob::new(data).unwrap(),
            };
            lanes.entry(rollup).or_default().push(item);
        }
        let lanes = lanes.into_iter().map(|(rollup, items)| Lane::new(RollupId(rollup), items).unwrap());
        Ordered { outcome: outcome(domain.chain_id(), self.height), lanes: lanes.collect(), bundles }
    }

    fn nonce(&self, domain: &Domain, rollup: u64, wallet: u64) -> u64 {
        let address = self.wallets[usize::try_from(wallet).unwrap()].address;
        domain.chain(RollupId(rollup)).unwrap().state().account(address).map_or(0, |account| account.nonce)
    }

    #[expect(clippy::too_many_arguments, reason = "what a transaction is made of")]
    fn signed(
        &self,
        rollup: u64,
        wallet: u64,
        nonce: u64,
        to: TxKind,
        value: u64,
        input: Bytes,
        access_list: AccessList,
    ) -> Vec<u8> {
        self.wallets[usize::try_from(wallet).unwrap()].sign(TxEip1559 {
            chain_id: rollup,
            nonce,
            gas_limit: if input.is_empty() { 21_000 } else { 200_000 },
            max_fee_per_gas: 1_000_000_000,
            max_priority_fee_per_gas: 1,
            to,
            value: U256::from(value),
            access_list,
            input,
        })
    }

    fn transaction(&mut self, rollup: u64, wallet: u64, nonce: u64) -> Vec<u8> {
        // Slots become zero at times, and are then gone.
        let words = [U256::from(self.below(4)), U256::from(self.below(3))];
        let words: Bytes = words.iter().flat_map(|word| word.to_be_bytes::<32>()).collect::<Vec<u8>>().into();
        let (to, input) = match self.below(6) {
            0 => (TxKind::Call(Address::with_last_byte(0x80 + u8::try_from(self.below(100)).unwrap())), Bytes::new()),
            1 => (TxKind::Create, bytes!("61000a80600a5f395ff3365f5f374333365fa200")),
            2 => (TxKind::Call(LOG), words),
            3 => (TxKind::Call(REVERTING), words),
            _ => (TxKind::Call(STORE), words),
        };
        self.signed(rollup, wallet, nonce, to, 0, input, AccessList::default())
    }

    fn bundle(&mut self, domain: &Domain) -> Bundle {
        if let Some(last) = &self.last_bundle
            && last.terms.expiry.0 > self.height
        {
            // One that was executed: nobody can have it again.
            let mut again = last.clone();
            again.attempt += 1;
            if self.below(2) == 0 {
                return again;
            }
        }
        let target = if self.below(3) == 0 { REVERTING } else { STORE };
        let terms = Terms {
            chain: domain.chain_id(),
            domain: domain.id(),
            payer: AccountId([7; 20]),
            max_fee: 1,
            expiry: Height(self.height + 1 + self.below(20)),
            salt: self.height,
        };
        let sign = |entry: Marker| {
            let targets = [STORE, target];
            let legs = ROLLUPS.iter().zip(LEG_WALLETS).zip(targets).map(|((rollup, wallet), target)| {
                let input =
                    Bytes::from([U256::from(9).to_be_bytes::<32>(), U256::from(self.height).to_be_bytes()].concat());
                let nonce = self.nonce(domain, *rollup, wallet);
                let Marker::Leg(binding) = entry else { unreachable!("only legs are signed") };
                let list = AccessList(vec![Marker::entry(binding)]);
                (*rollup, self.signed(*rollup, wallet, nonce, TxKind::Call(target), 0, input, list))
            });
            legs.collect::<Vec<_>>()
        };
        let unbound = sign(Marker::Leg(terms.chain.0));
        let bound = |(rollup, data): &(u64, Vec<u8>)| {
            BoundLeg::of(RollupId(*rollup), &recover(data, *rollup).unwrap()).unwrap()
        };
        let binding = binding(&terms, &unbound.iter().map(bound).collect::<Vec<_>>());
        Bundle { legs: sign(Marker::Leg(binding)), terms, attempt: 0 }
    }
}

/// Puts the legs of a bundle into lanes.
fn order(bundle: &Bundle, lanes: &mut BTreeMap<u64, Vec<LaneItem>>) -> OrderedBundle {
    let Terms { domain, payer, max_fee, expiry, salt, .. } = bundle.terms;
    let atomicity = Atomicity::Execution(Execution { domain, payer, max_fee, attempt: bundle.attempt });
    let ids: Vec<TxId> = bundle.legs.iter().map(|(rollup, data)| id_of(*rollup, data)).collect();
    let id: BundleId = bundle_id(atomicity, expiry, salt, &ids);
    for (position, ((rollup, data), leg)) in (0..).zip(bundle.legs.iter().zip(&ids)) {
        let place = Place { payload: 0, unit: 0, leg: Some(Leg { position, bundle: id }) };
        let item = LaneItem { place, id: *leg, data: Blob::new(data.clone()).unwrap() };
        lanes.entry(*rollup).or_default().push(item);
    }
    let legs = bundle.legs.iter().zip(&ids).map(|((rollup, _), id)| OrderedLeg { rollup: RollupId(*rollup), id: *id });
    OrderedBundle { id, atomicity, expiry, salt, legs: List::new(legs.collect()).unwrap() }
}

pub(crate) fn outcome(chain: ChainId, height: u64) -> Outcome {
    let nothing = tagged_hash("test/nothing", &[]);
    Outcome {
        chain,
        epoch: Epoch(0),
        height: Height(height),
        header: BlockId(tagged_hash("test/header", &[&height.to_be_bytes()])),
        timestamp: TimestampMs(height * 700),
        payloads: List::default(),
        lanes: nothing,
        registry: nothing,
        ledger: nothing,
        next_validators: None,
    }
}
