//! What the examples do alike: arguments, accounts, and what has to come of a bundle.

use crate::{
    bundle::{SignedLeg, Terms, pay_bundle},
    rollup::{Rollup, receipts},
    token::Holding,
};
use alloy_primitives::{Address, U256};
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, Result, ensure};
use std::{env, time::SystemTime};

/// Development accounts: everyone knows their keys.
const KEYS: [&str; 2] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
];
const DEFAULT_URLS: [&str; 2] = ["http://127.0.0.1:9545", "http://127.0.0.1:9546"];
/// Heights for which a bundle may be ordered. Until then, who holds all signed legs decides whether it is sent.
const LIFETIME: u64 = 1_000;
/// 0.01 ether, in wei.
const MAX_FEE: u128 = 10_000_000_000_000_000;

/// A development account.
///
/// # Panics
///
/// There are two.
pub fn development_account(index: usize) -> PrivateKeySigner {
    KEYS[index].parse().expect("a key")
}

/// The two rollups that the command line names; none if it asks for help, which is then printed.
///
/// # Errors
///
/// The arguments are not understood, or no two rollups of one domain answer.
pub async fn connect(about: &str) -> Result<Option<[Rollup; 2]>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        let [a, b] = DEFAULT_URLS;
        println!(
            "{about}\n\nArguments: [RPC_A RPC_B], the JSON-RPC of two rollups, by default\n{a} and {b}.\nThe bundle is \
             sent to RPC_A."
        );
        return Ok(None);
    }
    let [url_a, url_b] = match arguments.as_slice() {
        [] => DEFAULT_URLS.map(str::to_owned),
        [a, b] => [a.clone(), b.clone()],
        other => anyhow::bail!("{} arguments; give both RPC_A and RPC_B, or none", other.len()),
    };
    let signers = [development_account(0), development_account(1)];
    let (a, b) = (Rollup::connect("A", &url_a, &signers).await?, Rollup::connect("B", &url_b, &signers).await?);
    let executed = a.chain_status().await?.rollups;
    for Rollup { name, url, id, .. } in [&a, &b] {
        ensure!(
            executed.iter().any(|served| served.rollup == *id),
            "{url} ({name}) is chain {id}, which is not in the domain of {url_a}"
        );
    }
    ensure!(a.id != b.id, "{url_a} and {url_b} are the same rollup, {}", a.id);
    println!("rollup A is {}, rollup B is {}\n", a.id, b.id);
    Ok(Some([a, b]))
}

/// What a bundle's legs are bound to, beside each other.
///
/// # Errors
///
/// The rollup does not answer.
pub async fn terms(rollup: &Rollup, payer: Address) -> Result<Terms> {
    let status = rollup.chain_status().await?;
    // Nobody has to guess it: it only tells this bundle from others of the same legs.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970")?;
    let salt = u64::try_from(now.as_nanos() & u128::from(u64::MAX))?;
    let expiry = status.height + LIFETIME;
    Ok(Terms { chain: status.chain, domain: status.domain, payer, max_fee: MAX_FEE, expiry, salt })
}

/// Pays for the legs, sends the bundle, and waits for its end, which must be the expected one: with a receipt of each leg if
/// it is executed, with none otherwise.
///
/// # Errors
///
/// It ends otherwise.
pub async fn settle(
    rollups: [&Rollup; 2],
    payer: &PrivateKeySigner,
    terms: Terms,
    legs: Vec<SignedLeg>,
    expected: &str,
) -> Result<()> {
    let bundle = pay_bundle(payer, terms, legs, 0)?;
    rollups[0].send_bundle(&bundle).await?;
    println!("bundle {}", bundle.id);
    let end = rollups[0]
        .wait_for_bundle(bundle.id, |status| match status.height {
            Some(height) => println!("  {} at height {height}", status.state),
            None => println!("  {}", status.state),
        })
        .await?;
    if let Some(reason) = &end.reason {
        let leg = end.leg.map_or_else(String::new, |leg| format!(" (leg {leg})"));
        println!("  reason{leg}: {reason}");
    }
    ensure!(end.state == expected, "the bundle is {}, and should be {expected}", end.state);
    let receipts = receipts(rollups, &bundle.legs).await?;
    if expected == "executed" {
        let succeeded = receipts.iter().all(|receipt| receipt.as_ref().is_some_and(|receipt| receipt.status()));
        ensure!(succeeded, "a leg of an executed bundle has no receipt, or one that says that it failed");
    } else {
        ensure!(receipts.iter().all(Option::is_none), "a leg of an aborted bundle has a receipt");
    }
    Ok(())
}

/// Says that an aborted bundle changed nothing.
///
/// # Errors
///
/// It did.
pub fn check_unchanged(before: &[Holding], after: &[Holding]) -> Result<()> {
    ensure!(before == after, "an aborted bundle has changed something: {before:?} is now {after:?}");
    println!("No token, supply, nonce or ether changed, and there are no receipts.");
    Ok(())
}

/// The sum of the supplies.
pub fn supply(holdings: &[Holding]) -> U256 {
    holdings.iter().map(|holding| holding.supply).sum()
}
