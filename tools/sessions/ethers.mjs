// SPDX-License-Identifier: MIT OR Apache-2.0
// What an application does with ethers, on a rollup: node ethers.mjs http://HOST:PORT

import assert from "node:assert/strict";
import { ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider, parseEther } from "ethers";
import { BECAUSE, ECHO, KEY, REVERTING, STRANGER, later, step, url } from "./common.mjs";

const at = url();
// Without a cache: blocks come faster than it forgets what the last nonce was.
const provider = new JsonRpcProvider(at, undefined, { pollingInterval: 200, cacheTimeout: -1 });
const wallet = new Wallet(KEY, provider);
const live = new WebSocketProvider(at.replace("http", "ws"));

let echo;
let reverting;
let sent;

await step("deploy", async () => {
  const contracts = [];
  for (const bytecode of [ECHO, REVERTING]) {
    const contract = await new ContractFactory([], bytecode, wallet).deploy();
    await contract.waitForDeployment();
    contracts.push(await contract.getAddress());
  }
  [echo, reverting] = contracts;
  assert.notEqual(await provider.getCode(echo), "0x");
  return contracts.join(" ");
});

await step("send and wait", async () => {
  const before = await provider.getBalance(STRANGER);
  const response = await wallet.sendTransaction({ to: STRANGER, value: parseEther("1") });
  const receipt = await response.wait();
  assert.equal(receipt.status, 1);
  assert.equal((await provider.getBalance(STRANGER)) - before, parseEther("1"));
  return receipt.hash;
});

await step("call", async () => {
  assert.equal(await provider.call({ to: echo, data: "0x1234" }), "0x1234");
  await assert.rejects(provider.call({ to: reverting, data: BECAUSE }), (error) => error.reason === "because");
  return "0x1234";
});

await step("estimate", async () => {
  const gas = await provider.estimateGas({ from: wallet.address, to: STRANGER, value: 1n });
  assert.equal(gas, 21_000n);
  const fees = await provider.getFeeData();
  assert(fees.maxFeePerGas > 0n);
  return gas;
});

await step("subscribe: newHeads and logs", async () => {
  const [head, log] = [later(), later()];
  await live.on("block", head.done);
  await live.on({ address: echo }, log.done);
  // A question on the same socket is answered after the subscriptions are.
  await live.send("eth_chainId", []);
  const response = await wallet.sendTransaction({ to: echo, data: "0xabcd" });
  sent = await response.wait();
  const [number, told] = await Promise.all([head.promise, log.promise]);
  assert.equal(told.data, "0xabcd");
  assert.equal(told.transactionHash, sent.hash);
  await live.removeAllListeners();
  return `block ${number}, log of ${told.transactionHash}`;
});

await step("logs", async () => {
  const logs = await provider.getLogs({ address: echo, fromBlock: 0 });
  assert.equal(logs.at(-1).transactionHash, sent.hash);
  return logs.length;
});

await step("batch", async () => {
  const bodies = [];
  const batching = new JsonRpcProvider(at, provider._network, { staticNetwork: true });
  await batching.on("debug", (event) => event.action === "sendRpcPayload" && bodies.push(event.payload));
  const [number, balance, nonce] = await Promise.all([
    batching.getBlockNumber(),
    batching.getBalance(wallet.address),
    batching.getTransactionCount(wallet.address),
  ]);
  assert(bodies.some((body) => Array.isArray(body) && body.length >= 3), JSON.stringify(bodies));
  assert(balance > 0n && nonce > 0);
  batching.destroy();
  return `${bodies.length} request for 3 answers at block ${number}`;
});

await live.destroy();
provider.destroy();
process.exit(0);
