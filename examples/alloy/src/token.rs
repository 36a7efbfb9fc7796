//! The token of the examples, `contracts/examples/Token.sol`.

use crate::rollup::Rollup;
use alloy_consensus::TxEip1559;
use alloy_network::TransactionBuilder as _;
use alloy_primitives::{Address, Bytes, TxKind, U256, utils::format_ether};
use alloy_provider::{DynProvider, Provider as _};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_sol_types::SolValue as _;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

mod interface {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "made by alloy")]
    alloy_sol_types::sol! {
        struct Peer {
            uint256 chain;
            address token;
        }

        #[sol(rpc)]
        contract Token {
            function symbol() external view returns (string);
            function totalSupply() external view returns (uint256);
            function balanceOf(address owner) external view returns (uint256);
            function transfer(address to, uint256 value) external returns (bool);
            function setPeers(Peer[] list) external;
            function burn(uint256 destination, address to, uint256 amount) external;
            function mint(uint256 source, address to, uint256 amount) external;
        }
    }
}
pub use interface::{Peer, Token};

/// A token with all its calls.
pub type Instance = Token::TokenInstance<DynProvider>;
/// Enough for what the legs of the examples do. An estimate would need the state that earlier legs leave.
const LEG_GAS: u64 = 200_000;

/// What the compiler made of the contract.
#[derive(Deserialize)]
struct Compiled {
    bytecode: Bytes,
}

/// One of what is divided into 18 decimals.
pub fn whole(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10u64).pow(U256::from(18u64))
}

/// A token on a rollup, of which the account has so much.
///
/// # Errors
///
/// It cannot be deployed.
pub async fn deploy(rollup: &Rollup, owner: Address, symbol: &str, supply: U256) -> Result<Instance> {
    let Compiled { bytecode } = serde_json::from_str(include_str!("../../../contracts/out/Token.json"))?;
    let arguments = (format!("Example {symbol}"), symbol, supply).abi_encode_params();
    let deployment =
        TransactionRequest::default().with_from(owner).with_deploy_code([&bytecode[..], &arguments].concat());
    let receipt = rollup.provider.send_transaction(deployment).await?.get_receipt().await?;
    ensure!(receipt.status(), "deploying the token on {} reverted: {}", rollup.name, receipt.transaction_hash);
    let address = receipt.contract_address.context("a deployment without a contract")?;
    println!("{symbol} on {}: {address}", rollup.name);
    Ok(Token::new(address, rollup.provider.clone()))
}

/// The transaction of a leg that calls a token: all its fields, without its binding.
///
/// # Errors
///
/// The rollup does not answer.
pub async fn leg(rollup: &Rollup, sender: Address, token: &Instance, input: Bytes) -> Result<TxEip1559> {
    let nonce = rollup.provider.get_transaction_count(sender).pending().await?;
    let fees = rollup.provider.estimate_eip1559_fees().await?;
    Ok(TxEip1559 {
        chain_id: rollup.id,
        nonce,
        gas_limit: LEG_GAS,
        max_fee_per_gas: fees.max_fee_per_gas,
        max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
        to: TxKind::Call(*token.address()),
        input,
        ..TxEip1559::default()
    })
}

/// Whose token on which rollup is looked at.
#[derive(Clone, Debug)]
pub struct Holder<'a> {
    /// What they are called.
    pub name: &'static str,
    /// Their account.
    pub account: Address,
    /// Where.
    pub rollup: &'a Rollup,
    /// Of what.
    pub token: &'a Instance,
}

/// What a holder has of a token, and everything else that a transaction could change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    whose: String,
    symbol: String,
    tokens: U256,
    /// Of the token, in all.
    pub supply: U256,
    nonce: u64,
    ether: U256,
}

/// What the holders have now.
///
/// # Errors
///
/// A rollup does not answer.
pub async fn holdings(holders: &[Holder<'_>]) -> Result<Vec<Holding>> {
    let mut holdings = Vec::new();
    for Holder { name, account, rollup, token } in holders {
        holdings.push(Holding {
            whose: format!("{name} on {}", rollup.name),
            symbol: token.symbol().call().await?,
            tokens: token.balanceOf(*account).call().await?,
            supply: token.totalSupply().call().await?,
            nonce: rollup.provider.get_transaction_count(*account).await?,
            ether: rollup.provider.get_balance(*account).await?,
        });
    }
    Ok(holdings)
}

/// Prints what was there before and after a bundle.
pub fn show(before: &[Holding], after: &[Holding]) {
    for (before, after) in before.iter().zip(after) {
        let short = |amount| format_ether(amount).trim_end_matches('0').trim_end_matches('.').to_owned();
        println!(
            "  {}: balance {} -> {} {}, supply {} -> {}, nonce {} -> {}",
            before.whose,
            short(before.tokens),
            short(after.tokens),
            before.symbol,
            short(before.supply),
            short(after.supply),
            before.nonce,
            after.nonce
        );
    }
}
