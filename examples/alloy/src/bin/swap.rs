//! Two users swap tokens of two rollups. No contract is needed for it: each signs a plain transfer that is bound to the
//! other's, so neither transfer can happen without the other.

use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, Result};
use chorale_alloy_examples::{
    bundle::{Leg, SignedLeg, Terms, binding, sign_leg},
    rollup::Rollup,
    steps::{self, check_unchanged, settle},
    token::{self, Holder, Instance, whole},
};

const ABOUT: &str = "Alice gives Bob 10 X on rollup A, and Bob gives Alice 20 Y on rollup B, in one bundle.
Then they agree to swap more than Bob has: his leg fails, and Alice keeps what she has.
Uses the first two accounts of the development mnemonic.";

/// An offer, which is public: nothing of it is signed yet.
struct Offer {
    terms: Terms,
    legs: [Leg; 2],
}

/// X on A for Y on B.
struct Market<'a> {
    a: &'a Rollup,
    b: &'a Rollup,
    x: Instance,
    y: Instance,
}

impl Market<'_> {
    async fn offer(&self, amount_x: u64, amount_y: u64) -> Result<Offer> {
        let [alice, bob] = [0, 1].map(|index| steps::development_account(index).address());
        let give_x = self.x.transfer(bob, whole(amount_x)).calldata().clone();
        let give_y = self.y.transfer(alice, whole(amount_y)).calldata().clone();
        let legs = [
            Leg { sender: alice, transaction: token::leg(self.a, alice, &self.x, give_x).await? },
            Leg { sender: bob, transaction: token::leg(self.b, bob, &self.y, give_y).await? },
        ];
        Ok(Offer { terms: steps::terms(self.a, alice).await?, legs })
    }
}

/// What Alice and Bob do each on their own: read the offer, compute its binding from it, sign their own leg. Whoever
/// changes anything of it afterwards has another binding, and a leg that is no part of that bundle.
fn accept(signer: &PrivateKeySigner, offer: &Offer) -> Result<SignedLeg> {
    let own = offer.legs.iter().find(|leg| leg.sender == signer.address()).context("an offer to somebody else")?;
    sign_leg(signer, &own.transaction, binding(&offer.terms, &offer.legs)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Some([a, b]) = steps::connect(ABOUT).await? else { return Ok(()) };
    let [alice, bob] = [0, 1].map(steps::development_account);
    println!("Alice has X on A, Bob has Y on B.");
    let x = token::deploy(&a, alice.address(), "X", whole(100)).await?;
    let y = token::deploy(&b, bob.address(), "Y", whole(100)).await?;
    let market = Market { a: &a, b: &b, x, y };
    let holder =
        |name, account: &PrivateKeySigner, rollup, token| Holder { name, account: account.address(), rollup, token };
    let holders = [
        holder("Alice", &alice, &a, &market.x),
        holder("Bob", &bob, &a, &market.x),
        holder("Alice", &alice, &b, &market.y),
        holder("Bob", &bob, &b, &market.y),
    ];

    println!("\nSwap 10 X for 20 Y.");
    let start = token::holdings(&holders).await?;
    let swap = market.offer(10, 20).await?;
    let legs = vec![accept(&alice, &swap)?, accept(&bob, &swap)?];
    settle([&a, &b], &alice, swap.terms, legs, "executed").await?;
    let swapped = token::holdings(&holders).await?;
    token::show(&start, &swapped);

    println!("\nSwap 10 X for 1000 Y, which Bob does not have.");
    let fraud = market.offer(10, 1000).await?;
    let legs = vec![accept(&alice, &fraud)?, accept(&bob, &fraud)?];
    settle([&a, &b], &alice, fraud.terms, legs, "aborted").await?;
    let aborted = token::holdings(&holders).await?;
    token::show(&swapped, &aborted);
    check_unchanged(&swapped, &aborted)
}
