//! A token that moves between two rollups in one bundle, and a bundle that would make some out of nothing.

use alloy_primitives::U256;
use anyhow::{Result, ensure};
use chorale_alloy_examples::{
    bundle::{Leg, SignedLeg, Terms, binding, sign_leg},
    rollup::Rollup,
    steps::{self, check_unchanged, settle, supply},
    token::{self, Holder, Instance, Peer, whole},
};

const ABOUT: &str =
    "Deploys a token on two rollups and moves 25 of it from A to B in one bundle: burnt on A, minted on B.
Then tries to mint more than it burns, and shows that such a bundle changes nothing anywhere.
Uses the first account of the development mnemonic.";

/// The token on both rollups.
struct Tokens<'a> {
    a: &'a Rollup,
    b: &'a Rollup,
    on_a: Instance,
    on_b: Instance,
}

impl Tokens<'_> {
    /// Signs a bundle that burns so much on A and mints so much on B.
    async fn sign(&self, terms: &Terms, burnt: U256, minted: U256) -> Result<Vec<SignedLeg>> {
        let me = steps::development_account(0);
        let (account, Self { a, b, on_a, on_b }) = (me.address(), self);
        let burn = on_a.burn(U256::from(b.id), account, burnt).calldata().clone();
        let mint = on_b.mint(U256::from(a.id), account, minted).calldata().clone();
        let transactions = [token::leg(a, account, on_a, burn).await?, token::leg(b, account, on_b, mint).await?];
        let legs = transactions.map(|transaction| Leg { sender: account, transaction });
        let bound = binding(terms, &legs)?;
        legs.iter().map(|leg| sign_leg(&me, &leg.transaction, bound)).collect()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Some([a, b]) = steps::connect(ABOUT).await? else { return Ok(()) };
    let me = steps::development_account(0);
    println!("Deploy the token on both, and make them each other's peers.");
    let on_a = token::deploy(&a, me.address(), "EX", whole(100)).await?;
    let on_b = token::deploy(&b, me.address(), "EX", U256::ZERO).await?;
    for (here, there, rollup) in [(&on_a, &on_b, &b), (&on_b, &on_a, &a)] {
        let peer = Peer { chain: U256::from(rollup.id), token: *there.address() };
        let receipt = here.setPeers(vec![peer]).from(me.address()).send().await?.get_receipt().await?;
        ensure!(receipt.status(), "setPeers reverted: {}", receipt.transaction_hash);
    }
    let tokens = Tokens { a: &a, b: &b, on_a, on_b };
    let holders = [(&a, &tokens.on_a), (&b, &tokens.on_b)];
    let holders = holders.map(|(rollup, token)| Holder { name: "me", account: me.address(), rollup, token });

    println!("\nMove 25 from A to B.");
    let start = token::holdings(&holders).await?;
    let terms = steps::terms(&a, me.address()).await?;
    let legs = tokens.sign(&terms, whole(25), whole(25)).await?;
    settle([&a, &b], &me, terms, legs, "executed").await?;
    let moved = token::holdings(&holders).await?;
    token::show(&start, &moved);
    ensure!(supply(&moved) == supply(&start), "the supply has changed");

    println!("\nBurn 1 on A and mint 2 on B: both legs would succeed, but no such message was sent.");
    let terms = steps::terms(&a, me.address()).await?;
    let legs = tokens.sign(&terms, whole(1), whole(2)).await?;
    settle([&a, &b], &me, terms, legs, "aborted").await?;
    let aborted = token::holdings(&holders).await?;
    token::show(&moved, &aborted);
    check_unchanged(&moved, &aborted)
}
