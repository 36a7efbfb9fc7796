//! What an application does with alloy, on a rollup: `session http://HOST:PORT`. Over HTTP, and live over WebSocket.

use alloy_network::TransactionBuilder as _;
use alloy_primitives::{Address, Bytes, U256, address, bytes, hex};
use alloy_provider::{DynProvider, Provider as _, ProviderBuilder, WsConnect};
use alloy_rpc_client::BatchRequest;
use alloy_rpc_types_eth::{Filter, Log, TransactionReceipt, TransactionRequest};
use anyhow::{Context as _, Result, ensure};
use chorale_alloy_examples::{
    rollup::{Rollup, TIMEOUT},
    steps::development_account,
    token::whole,
};
use futures::{Stream, StreamExt as _};
use std::{env, fmt::Display, future::Future};
use tokio::time::timeout;

const STRANGER: Address = address!("00000000000000000000000000000000000057A4");
/// Deploys a contract that logs its input, with its caller and the block's number as topics, and returns its input.
const ECHO: Bytes = bytes!("61000c80600a5f395ff3365f5f374333365fa2365ff3");
/// Deploys a contract that reverts with its input.
const REVERTING: Bytes = bytes!("61000780600a5f395ff3365f5f37365ffd");
/// `Error("because")`.
const BECAUSE: [u8; 100] = hex!(
    "08c379a0
    0000000000000000000000000000000000000000000000000000000000000020
    0000000000000000000000000000000000000000000000000000000000000007
    6265636175736500000000000000000000000000000000000000000000000000"
);

/// Runs one step and says what it did, or why it failed.
async fn step<T>(name: &str, run: impl Future<Output = Result<(T, impl Display)>>) -> Result<T> {
    let done = timeout(TIMEOUT, run).await.with_context(|| format!("{name}: not within {} s", TIMEOUT.as_secs()))?;
    let (made, said) = done.with_context(|| format!("{name} failed"))?;
    println!("{name}: {said}");
    Ok(made)
}

async fn send(provider: &DynProvider, request: TransactionRequest) -> Result<TransactionReceipt> {
    let request = request.with_from(development_account(0).address());
    let receipt = provider.send_transaction(request).await?.get_receipt().await?;
    ensure!(receipt.status(), "{} failed", receipt.transaction_hash);
    Ok(receipt)
}

async fn deploy(provider: &DynProvider, code: Bytes) -> Result<Address> {
    let receipt = send(provider, TransactionRequest::default().with_deploy_code(code)).await?;
    receipt.contract_address.context("a deployment without a contract")
}

fn to(address: Address, input: impl Into<Bytes>) -> TransactionRequest {
    TransactionRequest::default().with_to(address).with_input(input.into())
}

/// The first log of the contract with this data: others may tell of what came before.
async fn log_with(logs: &mut (impl Stream<Item = Log> + Unpin), data: &[u8]) -> Result<Log> {
    loop {
        let log = logs.next().await.context("the subscription ended")?;
        if log.data().data.as_ref() == data {
            return Ok(log);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = env::args().nth(1).context("usage: session http://HOST:PORT")?;
    let rollup = Rollup::connect("the rollup", &url, &[development_account(0)]).await?;
    let (provider, me) = (&rollup.provider, development_account(0).address());

    let (echo, reverting) = step("deploy", async {
        let (echo, reverting) = (deploy(provider, ECHO).await?, deploy(provider, REVERTING).await?);
        ensure!(!provider.get_code_at(echo).await?.is_empty(), "no code at {echo}");
        Ok(((echo, reverting), format!("{echo} {reverting}")))
    })
    .await?;

    step("send and wait", async {
        let before = provider.get_balance(STRANGER).await?;
        let receipt = send(provider, to(STRANGER, Bytes::new()).with_value(whole(1))).await?;
        ensure!(provider.get_balance(STRANGER).await? - before == whole(1), "1 ether did not arrive");
        Ok(((), receipt.transaction_hash))
    })
    .await?;

    step("call", async {
        let returned = provider.call(to(echo, bytes!("1234"))).await?;
        ensure!(returned == bytes!("1234"), "the echo is {returned}");
        let refused = provider.call(to(reverting, BECAUSE)).await.err().context("it should revert")?;
        let response = refused.as_error_resp().context("no answer of the node")?;
        ensure!(response.as_revert_data() == Some(BECAUSE.into()), "{response}");
        Ok(((), returned))
    })
    .await?;

    step("estimate", async {
        let gas = provider.estimate_gas(to(STRANGER, Bytes::new()).with_from(me).with_value(U256::from(1))).await?;
        ensure!(gas == 21_000, "a transfer is estimated at {gas} gas");
        let fees = provider.estimate_eip1559_fees().await?;
        ensure!(fees.max_fee_per_gas > 0, "no fee");
        let access = provider.create_access_list(&to(echo, bytes!("12")).with_from(me)).await?;
        ensure!(access.access_list.0.is_empty(), "{access:?}");
        Ok(((), gas))
    })
    .await?;

    let sent = step("subscribe: newHeads and logs", async {
        let live = ProviderBuilder::new().connect_ws(WsConnect::new(url.replacen("http", "ws", 1))).await?;
        let mut heads = live.subscribe_blocks().await?.into_stream();
        let mut logs = live.subscribe_logs(&Filter::new().address(echo)).await?.into_stream();
        let sent = send(provider, to(echo, bytes!("abcd"))).await?;
        let log = log_with(&mut logs, &hex!("abcd")).await?;
        ensure!(log.transaction_hash == Some(sent.transaction_hash), "{log:?}");
        let head = heads.next().await.context("the subscription ended")?;
        Ok((
            sent,
            format!("block {}, log of {}", head.number, hex::encode_prefixed(log.transaction_hash.unwrap_or_default())),
        ))
    })
    .await?;

    step("logs", async {
        let filter = Filter::new().address(echo).from_block(0);
        let logs = provider.get_logs(&filter).await?;
        let last = logs.last().and_then(|log| log.transaction_hash);
        ensure!(last == Some(sent.transaction_hash), "{logs:?}");
        let news = provider.new_filter(&Filter::new().address(echo)).await?;
        send(provider, to(echo, bytes!("ef"))).await?;
        let changes: Vec<Log> = provider.get_filter_changes(news).await?;
        ensure!(changes.len() == 1 && changes[0].data().data == bytes!("ef"), "{changes:?}");
        ensure!(provider.uninstall_filter(news).await?, "there is no such filter");
        Ok(((), format!("{} and {} new", logs.len(), changes.len())))
    })
    .await?;

    step("batch", async {
        let mut batch = BatchRequest::new(provider.client());
        let number = batch.add_call::<_, U256>("eth_blockNumber", &())?;
        let balance = batch.add_call::<_, U256>("eth_getBalance", &(me, "latest"))?;
        let nonce = batch.add_call::<_, U256>("eth_getTransactionCount", &(me, "latest"))?;
        batch.send().await?;
        let (number, balance, nonce) = (number.await?, balance.await?, nonce.await?);
        ensure!(!balance.is_zero() && !nonce.is_zero(), "balance {balance}, nonce {nonce}");
        Ok(((), format!("3 answers at block {number}")))
    })
    .await?;

    step("send and wait in one", async {
        let request = to(STRANGER, Bytes::new()).with_value(U256::from(1)).with_from(me);
        let receipt = provider.send_transaction_sync(request).await?;
        ensure!(receipt.status(), "{} failed", receipt.transaction_hash);
        Ok(((), receipt.transaction_hash))
    })
    .await?;
    Ok(())
}
