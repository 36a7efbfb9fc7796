//! A rollup whose order the test says, and its interface.

use crate::{
    development_genesis,
    filters::{Filters, Taken},
    published::Shared,
    questions::Questions,
    record::Executed,
    server::{Heavy, Server},
    store::Store,
    trust::Trust,
};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::{eip2718::Encodable2718 as _, eip2930::AccessListItem};
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, Signature, TxHash, TxKind, U256, hex, keccak256};
use chorale_api::HexBytes;
use chorale_client::Nodes;
use chorale_evm::{BoundLeg, Content, Domain, DomainRules, Effect, Marker, RollupGenesis, Terms, binding, recover};
use chorale_light::Light;
use chorale_types::{
    AccountId, Atomicity, Attestation, BlockId, ConsensusSecret, Digest, DomainId, Epoch, Execution, Genesis, Height,
    Lane, LaneItem, Leg, OrderedBundle, OrderedLeg, Outcome, Place, RollupId, TimestampMs, Transaction, TxId,
    bundle_id,
    codec::{Blob, Encode as _, List},
    genesis::{EvmFile, GenesisFile, GenesisParameters, RollupFile, ValidatorFile},
    limits, tagged_hash,
};
use jsonrpsee::{
    RpcModule,
    server::{ServerBuilder, ServerHandle},
};
use secp256k1::{Message, Secp256k1, SecretKey};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

pub(super) const ROLLUP: u64 = 1001;
/// Logs its input, with its caller as the topic.
pub(super) const LOGGING: Address = Address::repeat_byte(0xa1);
/// Adds one to slot 0 and returns what is there then.
pub(super) const COUNTING: Address = Address::repeat_byte(0xa2);
/// Reverts with its input.
pub(super) const REVERTING: Address = Address::repeat_byte(0xa3);
/// Calls the contract in the first word of its input, with nothing, and hands on what it returns.
pub(super) const CALLING: Address = Address::repeat_byte(0xa4);
/// Returns number, time, base fee, fee recipient, gas limit, and PREVRANDAO.
pub(super) const LOOKING: Address = Address::repeat_byte(0xa5);

fn programs() -> [(Address, Vec<u8>); 5] {
    [
        (LOGGING, "365f5f3733365fa100"),
        (COUNTING, "5f5460010180 5f55 5f5260205ff3"),
        (REVERTING, "365f5f37365ffd"),
        (CALLING, "5f5f5f5f5f5f355af1503d5f5f3e3d5ff3"),
        (LOOKING, "435f5242602052 48604052 41606052 45608052 4460a052 60c05ff3"),
    ]
    .map(|(address, program)| (address, hex::decode(program.replace(' ', "")).unwrap()))
}

/// A development account.
pub(super) struct Wallet(SecretKey);

impl Wallet {
    /// The first one.
    pub(super) fn first() -> Self {
        Self::of(hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
    }

    /// The second one.
    pub(super) fn second() -> Self {
        Self::of(hex!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"))
    }

    fn of(key: [u8; 32]) -> Self {
        Self(SecretKey::from_slice(&key).unwrap())
    }

    pub(super) fn address(&self) -> Address {
        Address::from_raw_public_key(&self.0.public_key(&Secp256k1::new()).serialize_uncompressed()[1..])
    }

    pub(super) fn sign(&self, hash: B256) -> Signature {
        let signed = Secp256k1::new().sign_ecdsa_recoverable(&Message::from_digest(hash.0), &self.0);
        let (recovery, bytes) = signed.serialize_compact();
        Signature::from_bytes_and_parity(&bytes, i32::from(recovery) == 1)
    }

    pub(super) fn call(&self, nonce: u64, to: Address, input: impl Into<Bytes>) -> Vec<u8> {
        self.transaction(ROLLUP, nonce, to, input.into(), vec![])
    }

    fn transaction(&self, chain_id: u64, nonce: u64, to: Address, input: Bytes, list: Vec<AccessListItem>) -> Vec<u8> {
        let transaction = TxEip1559 {
            chain_id,
            nonce,
            gas_limit: 200_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(to),
            value: U256::ZERO,
            access_list: list.into(),
            input,
        };
        let signature = self.sign(transaction.signature_hash());
        TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()
    }
}

/// The key of the one validator there is.
pub(super) fn validator() -> ConsensusSecret {
    ConsensusSecret::from_seed([1; 32])
}

/// A sequencers' chain of one validator, which attests these rollups.
pub(super) fn sequencer_genesis(rollups: &[u64]) -> Genesis {
    let secret = validator();
    let rollup = |id: &u64| RollupFile {
        id: *id,
        name: id.to_string(),
        has_nonces: true,
        evm: Some(EvmFile {
            domain: 1,
            genesis: hex::encode([0; 32]),
            base_fee_change_denominator: 8,
            base_fee_elasticity: 2,
            owner: None,
        }),
    };
    let validator = ValidatorFile {
        name: "one".to_owned(),
        node: hex::encode([1; 32]),
        key: hex::encode(secret.public().encode()),
        possession: hex::encode(secret.prove_possession().0),
        stake: "1".to_owned(),
        domains: vec![1],
    };
    let file = GenesisFile {
        name: "test".to_owned(),
        time_ms: 0,
        parameters: GenesisParameters::default(),
        rollups: rollups.iter().map(rollup).collect(),
        domains: Vec::new(),
        validators: vec![validator],
        epochs: Vec::new(),
    };
    file.check().unwrap()
}

pub(super) struct Network {
    genesis: Genesis,
    domain: Domain,
    pub(super) server: Server,
    /// What the sequencer was given.
    pub(super) submitted: mpsc::UnboundedReceiver<Vec<u8>>,
    _level: watch::Sender<bool>,
    _sequencer: ServerHandle,
    _folder: tempfile::TempDir,
}

impl Network {
    pub(super) async fn start() -> Self {
        Self::start_in(DomainRules::default(), &[ROLLUP]).await
    }

    /// With these rollups, the first of which answers.
    pub(super) async fn start_in(rules: DomainRules, rollups: &[u64]) -> Self {
        let rollup = |id: &u64| {
            let mut genesis = development_genesis(*id);
            for (address, code) in programs() {
                let account = GenesisAccount { code: Some(code.into()), nonce: Some(1), ..GenesisAccount::default() };
                genesis.alloc.insert(address, account);
            }
            RollupGenesis::new(&genesis).unwrap()
        };
        let genesis = sequencer_genesis(rollups);
        let chain = genesis.chain();
        let domain = Domain::new(chain, DomainId(1), rules, rollups.iter().map(rollup));
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &domain, None).unwrap();
        let (shared, domain) = Shared::new(store.restore(&domain).unwrap());
        let (url, submitted, sequencer) = sequencer().await;
        let (level, is_level) = watch::channel(true);
        let server = Server {
            chain,
            trust: Trust::new(&genesis),
            rollup: RollupId(ROLLUP),
            shared: Arc::new(shared),
            nodes: Nodes::new([url], Duration::from_secs(10)).unwrap(),
            questions: Questions::new(),
            questions_of_bundles: Questions::new(),
            level: is_level,
            heavy: Heavy::new(),
            reads: Heavy::reads(),
            store: Arc::new(store),
            urls: Arc::new(BTreeMap::new()),
            taken: Taken::default(),
            filters: Filters::default(),
        };
        Self { genesis, domain, server, submitted, _level: level, _sequencer: sequencer, _folder: folder }
    }

    /// Who trusts the sequencers' genesis alone.
    pub(super) fn light(&self) -> Light {
        Light::new(self.genesis.first_epoch(), self.genesis.parameters().epoch_heights)
    }

    /// The next height has these transactions, and so has the block that is made of it.
    pub(super) fn order(&mut self, transactions: &[Vec<u8>]) {
        let item = |(unit, data): (u32, &Vec<u8>)| {
            let (id, data) = id_of(ROLLUP, data);
            LaneItem { place: Place { payload: 0, unit, leg: None }, id, data }
        };
        let lane = Lane::new(RollupId(ROLLUP), (0..).zip(transactions).map(item).collect()).unwrap();
        let skipped = self.derive(&[lane], &[]);
        assert_eq!(skipped, 0);
    }

    /// The next height has this transaction, which has no effect.
    pub(super) fn order_in_vain(&mut self, transaction: &[u8]) {
        let (id, data) = id_of(ROLLUP, transaction);
        let item = LaneItem { place: Place { payload: 0, unit: 0, leg: None }, id, data };
        assert_eq!(self.derive(&[Lane::new(RollupId(ROLLUP), vec![item]).unwrap()], &[]), 1);
    }

    /// The next height has a bundle that takes effect, with one leg of a wallet for each rollup: a call with an input.
    /// Gives their bytes.
    pub(super) fn order_bundle(&mut self, wallet: &Wallet, legs: &[(u64, Address, Bytes)]) -> Vec<Vec<u8>> {
        let (payer, max_fee, salt, expiry) = (AccountId([7; 20]), 1, self.domain.height().0, Height(1_000));
        let terms = Terms { chain: self.domain.chain_id(), domain: self.domain.id(), payer, max_fee, expiry, salt };
        let sign = |binding: Digest| -> Vec<(u64, Vec<u8>)> {
            let signed = |(rollup, to, input): &(u64, Address, Bytes)| {
                let sender = self.domain.chain(RollupId(*rollup)).unwrap().state().account(wallet.address());
                let nonce = sender.map_or(0, |account| account.nonce);
                (*rollup, wallet.transaction(*rollup, nonce, *to, input.clone(), vec![Marker::entry(binding)]))
            };
            legs.iter().map(signed).collect()
        };
        let bound = |(rollup, data): &(u64, Vec<u8>)| {
            BoundLeg::of(RollupId(*rollup), &recover(data, *rollup).unwrap()).unwrap()
        };
        let any = tagged_hash("test/nothing", &[]);
        let signed = sign(binding(&terms, &sign(any).iter().map(bound).collect::<Vec<_>>()));
        self.order_legs(&terms, &signed);
        signed.into_iter().map(|(_, data)| data).collect()
    }

    /// The next height has a bundle of these signed legs, which takes effect.
    pub(super) fn order_legs(&mut self, terms: &Terms, signed: &[(u64, Vec<u8>)]) {
        let Terms { domain, payer, max_fee, expiry, salt, .. } = *terms;
        let ids: Vec<TxId> = signed.iter().map(|(rollup, data)| id_of(*rollup, data).0).collect();
        let atomicity = Atomicity::Execution(Execution { domain, payer, max_fee, attempt: 0 });
        let bundle = bundle_id(atomicity, expiry, salt, &ids);
        let mut lanes: BTreeMap<u64, Vec<LaneItem>> = BTreeMap::new();
        for (position, (rollup, data)) in (0u8..).zip(signed) {
            let (id, data) = id_of(*rollup, data);
            let place = Place { payload: 0, unit: 0, leg: Some(Leg { position, bundle }) };
            lanes.entry(*rollup).or_default().push(LaneItem { place, id, data });
        }
        let lane = |(rollup, items)| Lane::new(RollupId(rollup), items).unwrap();
        let lanes: Vec<Lane> = lanes.into_iter().map(lane).collect();
        let ordered =
            signed.iter().zip(&ids).map(|((rollup, _), id)| OrderedLeg { rollup: RollupId(*rollup), id: *id });
        let legs = List::new(ordered.collect()).unwrap();
        let skipped = self.derive(&lanes, &[OrderedBundle { id: bundle, atomicity, expiry, salt, legs }]);
        assert_eq!(skipped, 0);
    }

    /// Makes the next height, and says how many transactions have no effect.
    fn derive(&mut self, lanes: &[Lane], bundles: &[OrderedBundle]) -> usize {
        let nothing: Digest = tagged_hash("test/nothing", &[]);
        let height = Height(self.domain.height().0 + 1);
        let outcome = Outcome {
            chain: self.domain.chain_id(),
            epoch: Epoch(0),
            height,
            header: BlockId(tagged_hash("test/header", &[&height.0.to_be_bytes()])),
            timestamp: TimestampMs(1_800_000_000_000 + height.0 * 1000),
            payloads: List::default(),
            lanes: nothing,
            registry: nothing,
            ledger: nothing,
            next_validators: None,
        };
        let content = Content { outcome: &outcome, lanes, bundles };
        let alone = self.domain.clone().derive(&content).unwrap();
        // Senders that were found beforehand are those that are found on the way.
        let derived = self.domain.derive_known(&content, &crate::senders::known(lanes)).unwrap();
        assert_eq!(derived.outcome, alone.outcome);
        let skipped = derived.blocks.values().map(|made| made.skipped.len()).sum();
        assert!(derived.bundles.iter().all(|bundle| bundle.effect == Effect::Committed), "{:?}", derived.bundles);
        let executed = Executed::new(&self.domain, derived, lanes, bundles);
        self.server.store.write(std::slice::from_ref(&executed)).unwrap();
        self.server.shared.publish(executed);
        skipped
    }

    /// The result of a method.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params.clone()).await;
        answer.get("result").unwrap_or_else(|| panic!("{method}({params}): {answer}")).clone()
    }

    /// The error of a method.
    pub(super) async fn fails(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.answer(method, params.clone()).await;
        let error = answer.get("error").unwrap_or_else(|| panic!("{method}({params}): {answer}"));
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    /// All that is answered.
    pub(super) async fn answer(&self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (answer, _) = crate::run::methods(&self.server).raw_json_request(&request.to_string(), 1).await.unwrap();
        serde_json::from_str(answer.get()).unwrap()
    }
}

/// Takes every transaction, and every bundle.
async fn sequencer() -> (String, mpsc::UnboundedReceiver<Vec<u8>>, ServerHandle) {
    let (sender, submitted) = mpsc::unbounded_channel();
    let mut module = RpcModule::new(());
    let submit = move |params: jsonrpsee::types::Params<'_>, _: &(), _: &jsonrpsee::Extensions| {
        let request: chorale_api::TransactionRequest = params.one().unwrap();
        let _ = sender.send(request.data.0);
        "taken"
    };
    module.register_method("chorale_submitTransaction", submit).unwrap();
    module.register_method("chorale_submitBundle", |_, (), _| "taken").unwrap();
    let (url, server) = serve(module).await;
    (url, submitted, server)
}

/// A node that answers every question about attestations with this one.
pub(super) async fn attester(attestation: &Attestation) -> (String, ServerHandle) {
    let mut module = RpcModule::new(());
    let answer = vec![HexBytes(attestation.encode().to_vec())];
    module.register_method("chorale_executionAttestations", move |_, (), _| answer.clone()).unwrap();
    serve(module).await
}

async fn serve(module: RpcModule<()>) -> (String, ServerHandle) {
    let server = ServerBuilder::default().build("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    (url, server.start(module))
}

fn id_of(rollup: u64, data: &[u8]) -> (TxId, Blob<{ limits::TRANSACTION_BYTES_MAX }>) {
    let data = Blob::new(data.to_vec()).unwrap();
    (Transaction { rollup: RollupId(rollup), data: data.clone() }.id(), data)
}

pub(super) fn hash_of(transaction: &[u8]) -> TxHash {
    keccak256(transaction)
}
