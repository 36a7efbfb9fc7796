//! The arbitrage of `contracts/examples` on two rollups: money that nobody has, borrowed here, used there, and paid back.

use super::{
    bundling::{Leg, bundle_of, effect_without_trace, effects, nonce, sign, terms},
    heights::{A, B, derive},
    programs::{word_of, words},
    scripts::{calling_domain, compiled},
    wallets::Wallet,
};
use crate::{AbortReason, Call, Called, DerivedHeight, Domain, Effect, Terms, alias};
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use chorale_types::RollupId;

fn call(signature: &str, arguments: &[U256]) -> Bytes {
    [&keccak256(signature)[..4], &words(arguments)].concat().into()
}

/// Two rollups with a pool each: Y is worth 1 X on A, and 2 X on B.
struct Pools {
    domain: Domain,
    height: u64,
    x: Address,
    y: Address,
    pool: Address,
    arbitrage: Address,
}

impl Pools {
    fn new() -> Self {
        let owner = Wallet::new(0).address;
        let [x, y, pool, arbitrage] = [0, 1, 2, 3].map(|nonce| owner.create(nonce));
        let mut pools = Self { domain: calling_domain(&[A, B]), height: 0, x, y, pool, arbitrage };
        for rollup in [A, B] {
            let token = words(&[96, 128, 1_000_000, 0, 0].map(U256::from));
            pools.create(rollup, "DomainToken", &token);
            pools.create(rollup, "DomainToken", &token);
            pools.create(rollup, "Pool", &words(&[word_of(x), word_of(y)]));
            let other = if rollup == A { B } else { A };
            pools.create(
                rollup,
                "FlashArbitrage",
                &words(&[word_of(pool), U256::from(other), word_of(pool), word_of(y)]),
            );
            let amounts = if rollup == A { [100_000, 100_000] } else { [200_000, 100_000] };
            for (token, amount) in [(x, amounts[0]), (y, amounts[1])] {
                let peers = [U256::from(32), U256::from(1), U256::from(other), word_of(token)];
                pools.send(rollup, TxKind::Call(token), call("setPeers((uint256,address)[])", &peers));
                pools.send(
                    rollup,
                    TxKind::Call(token),
                    call("transfer(address,uint256)", &[word_of(pool), U256::from(amount)]),
                );
            }
        }
        pools
    }

    fn next(&mut self) -> u64 {
        self.height += 1;
        self.height
    }

    fn send(&mut self, rollup: u64, to: TxKind, input: Bytes) {
        let height = self.next();
        let leg = Leg::write(rollup, 0, nonce(&self.domain, rollup, 0), 0);
        let sent = leg.with(|ask| (ask.to, ask.input, ask.gas_limit) = (to, input, 5_000_000)).alone();
        let derived = derive(&mut self.domain, height, &[vec![sent]]);
        let block = &derived.blocks[&RollupId(rollup)].block;
        assert!(block.receipts.len() == 1 && block.receipts[0].status(), "{:?}", derived.blocks);
    }

    fn create(&mut self, rollup: u64, contract: &str, arguments: &[u8]) {
        let code = [&compiled(contract, "bytecode")[..], arguments].concat();
        self.send(rollup, TxKind::Create, code.into());
    }

    fn ask(&self, rollup: u64, contract: Address, input: Bytes) -> u64 {
        let call = Call {
            from: Address::ZERO,
            to: TxKind::Call(contract),
            value: U256::ZERO,
            input,
            gas_limit: 1_000_000,
            gas_price: 0,
            access_list: Default::default(),
            authorizations: vec![],
        };
        match self.domain.chain(RollupId(rollup)).unwrap().call(&call).unwrap() {
            Called::Success { output, .. } => U256::from_be_slice(&output[..32]).to(),
            failed => panic!("{failed:?}"),
        }
    }

    fn balance(&self, rollup: u64, token: Address, of: Address) -> u64 {
        self.ask(rollup, token, call("balanceOf(address)", &[word_of(of)]))
    }

    /// X and Y of the pools on A and B.
    fn reserves(&self) -> [[u64; 2]; 2] {
        [A, B].map(|rollup| [self.x, self.y].map(|token| self.balance(rollup, token, self.pool)))
    }

    /// All there is of X and Y, on both rollups together.
    fn supplies(&self) -> [u64; 2] {
        [self.x, self.y]
            .map(|token| [A, B].map(|rollup| self.ask(rollup, token, call("totalSupply()", &[]))).iter().sum())
    }

    /// The leg that does it, and one for the rollup where it sells.
    fn legs(&self, wallet: u64, amount: u64, least: u64) -> [Leg; 2] {
        let run = call("run(uint256,uint256)", &[U256::from(amount), U256::from(least)]);
        let run = Leg::call(A, wallet, nonce(&self.domain, A, wallet), self.arbitrage, run);
        let carrier = Leg::call(B, 0, nonce(&self.domain, B, 0), Wallet::new(0).address, Bytes::new());
        [run.with(|ask| ask.gas_limit = 2_000_000), carrier]
    }

    fn payload(&self, legs: &[Leg]) -> Vec<Vec<super::heights::Ordered>> {
        let terms = Terms { salt: self.height, ..terms() };
        vec![vec![bundle_of(&terms, 0, sign(&terms, legs))]]
    }

    fn commit(&mut self, amount: u64, least: u64) -> DerivedHeight {
        let payloads = self.payload(&self.legs(0, amount, least));
        let height = self.next();
        let derived = derive(&mut self.domain, height, &payloads);
        assert_eq!(effects(&derived), [Effect::Committed]);
        derived
    }

    fn abort(&mut self, legs: &[Leg]) -> (Option<u8>, Bytes) {
        let (payloads, before) = (self.payload(legs), (self.reserves(), self.supplies()));
        let height = self.next();
        let effect = effect_without_trace(&mut self.domain, height, &payloads);
        assert_eq!((self.reserves(), self.supplies()), before);
        match effect {
            Effect::Aborted { leg, reason: AbortReason::Reverted { output } } => (leg, output),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_arbitrage_between_two_rollups_needs_no_money() {
    let mut pools = Pools::new();
    let owner = Wallet::new(0).address;
    let before = pools.balance(A, pools.x, owner);
    let derived = pools.commit(10_000, 1_000);
    // 10,000 Y cost 11,112 X on A and bring 18,181 X on B.
    assert_eq!(pools.reserves(), [[111_112, 90_000], [181_819, 110_000]]);
    assert_eq!(pools.supplies(), [2_000_000; 2]);
    assert_eq!(pools.balance(A, pools.x, owner) - before, 18_181 - 11_112);
    for (token, rollup) in [(pools.x, A), (pools.y, A), (pools.x, B), (pools.y, B)] {
        let holders = [pools.arbitrage, alias(RollupId(A), pools.arbitrage)];
        assert_eq!(holders.map(|holder| pools.balance(rollup, token, holder)), [0, 0]);
    }
    // Whoever looks at logs on B sees what the tokens and the pool did there.
    let logs = derived.blocks[&RollupId(B)].block.receipts[0].logs().to_vec();
    let emitted = |by: Address| logs.iter().filter(|log| log.address == by).count();
    assert_eq!([pools.x, pools.y, pools.pool, crate::SYNCHRONOUS_CALL].map(emitted), [2, 3, 1, 4]);
}

#[test]
fn an_arbitrage_that_does_not_pay_has_never_been() {
    let mut pools = Pools::new();
    let unprofitable =
        |paid: u64, received: u64| call("Unprofitable(uint256,uint256)", &[paid, received].map(U256::from));
    let too_much = pools.legs(0, 10_000, 7_070);
    assert_eq!(pools.abort(&too_much), (Some(0), unprofitable(11_112, 18_181)));
    pools.commit(10_000, 7_069);
    // Who comes after with the same finds other prices.
    let again = pools.legs(0, 10_000, 6_000);
    assert_eq!(pools.abort(&again), (Some(0), unprofitable(13_889, 15_151)));
    // As much as makes prices cross brings a loss.
    let whole = pools.legs(0, 40_000, 0);
    assert_eq!(pools.abort(&whole).0, Some(0));
}

#[test]
fn nobody_else_moves_tokens_in_the_name_of_a_peer() {
    let mut pools = Pools::new();
    let stranger = pools.legs(1, 10_000, 0);
    assert_eq!(pools.abort(&stranger), (Some(0), call("NotOwner()", &[])));
    // Neither by themselves, nor through a call of their own.
    let mint =
        call("mintFrom(uint256,address,uint256)", &[U256::from(A), word_of(Wallet::new(1).address), U256::from(5)]);
    let burn = call("burnFor(uint256,address,uint256)", &[U256::from(A), word_of(pools.arbitrage), U256::from(0)]);
    for input in [mint, burn] {
        let not_peer = |caller: Address| call("NotPeer(uint256,address)", &[U256::from(A), word_of(caller)]);
        let [mut leg, carrier] = pools.legs(1, 0, 0);
        (leg.ask.to, leg.ask.input) =
            (TxKind::Call(crate::SYNCHRONOUS_CALL), super::scripts::request(U256::from(B), pools.y, &input));
        let stranger = Wallet::new(1).address;
        let inner = not_peer(alias(RollupId(A), stranger));
        assert_eq!(pools.abort(&[leg, carrier]), (Some(0), super::synchronous::failed(&inner).into()));
        let [mut alone, _] = pools.legs(1, 0, 0);
        // The first argument is the rollup that it is said to be from.
        let from_b = [&input[..4], &words(&[U256::from(B)]), &input[36..]].concat();
        (alone.ask.to, alone.ask.input) = (TxKind::Call(pools.y), from_b.into());
        let not_peer = call("NotPeer(uint256,address)", &[U256::from(B), word_of(stranger)]);
        assert_eq!(pools.abort(&[alone]).1, not_peer);
    }
}

/// Contracts get what another rollup says as if it was said here.
#[test]
fn errors_of_other_rollups_come_through() {
    let mut pools = Pools::new();
    let (me, x) = (Wallet::new(0).address, pools.x);
    let leg = |pools: &Pools, input: Bytes| {
        let [mut leg, carrier] = pools.legs(0, 0, 0);
        (leg.ask.to, leg.ask.input) = (TxKind::Call(x), input);
        [leg, carrier]
    };
    let pull = call("pull(uint256,uint256)", &[U256::from(B), U256::from(5)]);
    let poor = [word_of(alias(RollupId(A), me)), U256::ZERO, U256::from(5)];
    let legs = leg(&pools, pull);
    let poor = call("ERC20InsufficientBalance(address,uint256,uint256)", &poor);
    assert_eq!(pools.abort(&legs), (Some(0), poor));
    let push = call("push(uint256,address,uint256)", &[U256::from(B), word_of(me), U256::from(5)]);
    let [mut first, second] = leg(&pools, push.clone());
    assert_eq!(pools.abort(&[second, first.clone()]), (Some(1), call("NoLaterLeg(uint256)", &[U256::from(B)])));
    let mut ask = |pools: &Pools| {
        first.ask.nonce = nonce(&pools.domain, A, 0);
        let height = pools.height + 1;
        let mut domain = pools.domain.clone();
        let block = derive(&mut domain, height, &[vec![first.alone()]]).blocks[&RollupId(A)].block.clone();
        let called = pools.domain.chain(RollupId(A)).unwrap().call(&Call {
            from: me,
            to: TxKind::Call(x),
            value: U256::ZERO,
            input: push.clone(),
            gas_limit: 1_000_000,
            gas_price: 0,
            access_list: Default::default(),
            authorizations: vec![],
        });
        assert!(!block.receipts[0].status());
        called.unwrap()
    };
    assert_eq!(ask(&pools), Called::Revert { output: call("OutsideBundle()", &[]) });
    // The same contracts where the domain has no such calls.
    let chains = pools.domain.chains().values().map(|chain| {
        let rules = crate::RollupRules { synchronous_calls: false, ..chain.rules().clone() };
        crate::Chain::restore(rules, chain.state().clone(), chain.head().clone(), chain.height()).unwrap()
    });
    pools.domain = Domain::restore(pools.domain.chain_id(), pools.domain.id(), chains, pools.domain.height(), []);
    assert_eq!(ask(&pools), Called::Revert { output: call("NoSynchronousCalls()", &[]) });
}
