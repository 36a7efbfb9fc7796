//! The token of `contracts/examples` through a bundle: burnt on one rollup, minted on the other.

use super::{
    bundling::{Leg, bundle_of, effect_without_trace, effects, sign, terms},
    heights::{A, B, C, derive, domain},
    programs::{word_of, words},
    wallets::Wallet,
};
use crate::{AbortReason, Call, Called, Domain, Effect, Terms};
use alloy_primitives::{Address, Bytes, TxKind, U256, hex, keccak256};
use chorale_types::RollupId;

const SUPPLY: u64 = 1_000;

fn call(signature: &str, arguments: &[U256]) -> Bytes {
    [&keccak256(signature)[..4], &words(arguments)].concat().into()
}

fn creation() -> Bytes {
    let text = std::fs::read_to_string("../../contracts/out/Token.json").unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let code = hex::decode(json["bytecode"].as_str().unwrap()).unwrap();
    // Two empty strings and the supply.
    let arguments = words(&[96, 128, SUPPLY, 0, 0].map(U256::from));
    [&code[..], &arguments].concat().into()
}

struct Tokens {
    domain: Domain,
    token: Address,
    holder: Address,
}

impl Tokens {
    /// Deployed by wallet 0 on two of three rollups, peers of each other.
    fn new() -> Self {
        let mut domain = domain(&[A, B, C]);
        let holder = Wallet::new(0).address;
        let token = holder.create(0);
        let create = |rollup| {
            Leg::write(rollup, 0, 0, 0).with(|ask| {
                (ask.to, ask.input, ask.gas_limit) = (TxKind::Create, creation(), 3_000_000);
            })
        };
        let peer = |rollup, other: u64| {
            let list = [U256::from(32), U256::from(1), U256::from(other), word_of(token)];
            Leg::call(rollup, 0, 1, token, call("setPeers((uint256,address)[])", &list))
        };
        let derived = derive(
            &mut domain,
            1,
            &[vec![create(A).alone(), create(B).alone(), peer(A, B).alone(), peer(B, A).alone()]],
        );
        for made in derived.blocks.values() {
            assert_eq!(made.skipped, []);
            assert!(made.block.receipts.iter().all(|receipt| receipt.status()), "{:?}", made.block.receipts);
        }
        Self { domain, token, holder }
    }

    fn ask(&self, rollup: u64, input: Bytes) -> u64 {
        let call = Call {
            from: Address::ZERO,
            to: TxKind::Call(self.token),
            value: U256::ZERO,
            input,
            gas_limit: 1_000_000,
            gas_price: 0,
            access_list: Default::default(),
            authorizations: vec![],
        };
        match self.domain.chain(RollupId(rollup)).unwrap().call(&call).unwrap() {
            Called::Success { output, .. } => U256::from_be_slice(&output).to(),
            failed => panic!("{failed:?}"),
        }
    }

    /// On both rollups.
    fn supplies(&self) -> [u64; 2] {
        [A, B].map(|rollup| self.ask(rollup, call("totalSupply()", &[])))
    }

    fn balance(&self, rollup: u64, of: Address) -> u64 {
        self.ask(rollup, call("balanceOf(address)", &[word_of(of)]))
    }

    fn burn(&self, nonce: u64, to: Address, amount: u64) -> Leg {
        let arguments = [U256::from(B), word_of(to), U256::from(amount)];
        Leg::call(A, 0, nonce, self.token, call("burn(uint256,address,uint256)", &arguments))
    }

    fn mint(&self, wallet: u64, to: Address, amount: u64) -> Leg {
        let arguments = [U256::from(A), word_of(to), U256::from(amount)];
        Leg::call(B, wallet, 0, self.token, call("mint(uint256,address,uint256)", &arguments))
    }
}

#[test]
fn a_token_that_is_burnt_on_one_rollup_is_minted_on_the_other() {
    let mut tokens = Tokens::new();
    let receiver = Address::repeat_byte(0x77);
    let legs = [tokens.burn(2, receiver, 300), tokens.mint(1, receiver, 300)];
    let derived = derive(&mut tokens.domain, 2, &[vec![bundle_of(&terms(), 0, sign(&terms(), &legs))]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!(tokens.supplies(), [700, 1_300]);
    assert_eq!((tokens.balance(A, tokens.holder), tokens.balance(B, receiver)), (700, 300));
}

/// All supplies together stay what they were, whatever anyone puts into a bundle.
#[test]
fn a_token_cannot_be_minted_from_nothing_or_lost_between_rollups() {
    let mut tokens = Tokens::new();
    let receiver = Address::repeat_byte(0x77);
    let failed = |leg, reason| Effect::Aborted { leg: Some(leg), reason };
    let (burn, mint) =
        (|amount| tokens.burn(2, receiver, amount), |wallet, amount| tokens.mint(wallet, receiver, amount));
    let nothing = Leg::write(B, 3, 0, 1);
    let cases = [
        (vec![nothing.clone(), mint(1, 300)], failed(1, AbortReason::Unsent)),
        (vec![burn(300), nothing], failed(0, AbortReason::Unread)),
        (vec![burn(300), mint(1, 301)], failed(1, AbortReason::Unsent)),
        (vec![burn(300), mint(1, 300), mint(2, 300)], failed(2, AbortReason::Unsent)),
        (vec![mint(1, 300), burn(300)], failed(0, AbortReason::Unsent)),
    ];
    for (height, (legs, expected)) in (2..).zip(cases) {
        let terms = Terms { salt: height, ..terms() };
        let bundle = bundle_of(&terms, 0, sign(&terms, &legs));
        assert_eq!(effect_without_trace(&mut tokens.domain, height, &[vec![bundle]]), expected);
        let supplies = [A, B].map(|rollup| Tokens::ask(&tokens, rollup, call("totalSupply()", &[])));
        assert_eq!(supplies, [SUPPLY, SUPPLY]);
    }
    let too_much = [tokens.burn(2, receiver, SUPPLY + 1), tokens.mint(1, receiver, SUPPLY + 1)];
    let effect = effect_without_trace(&mut tokens.domain, 40, &[vec![super::bundling::bundle(&too_much)]]);
    assert!(matches!(effect, Effect::Aborted { leg: Some(0), reason: AbortReason::Reverted { .. } }), "{effect:?}");
}
