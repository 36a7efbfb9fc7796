// SPDX-License-Identifier: MIT OR Apache-2.0
// What an application does with viem, on a rollup: node viem.mjs http://HOST:PORT

import assert from "node:assert/strict";
import { createPublicClient, createWalletClient, defineChain, http, parseEther, webSocket } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { BECAUSE, ECHO, KEY, REVERTING, STRANGER, later, step, url } from "./common.mjs";

const at = url();
const account = privateKeyToAccount(KEY);
const asked = [];
const onFetchRequest = (_, { body }) => {
  asked.push(body);
};
const transport = http(at, { batch: true, onFetchRequest });
const id = await createPublicClient({ transport }).getChainId();
const chain = defineChain({
  id,
  name: "rollup",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [at] } },
});
const reader = createPublicClient({ chain, transport, pollingInterval: 200 });
const wallet = createWalletClient({ account, chain, transport, pollingInterval: 200 });
const live = createPublicClient({ chain, transport: webSocket(at.replace("http", "ws")) });

let echo;
let reverting;
let sent;

await step("deploy", async () => {
  const contracts = [];
  for (const bytecode of [ECHO, REVERTING]) {
    const hash = await wallet.deployContract({ abi: [], bytecode });
    contracts.push((await reader.waitForTransactionReceipt({ hash })).contractAddress);
  }
  [echo, reverting] = contracts;
  assert(await reader.getCode({ address: echo }));
  assert(asked.some((body) => body.includes("eth_fillTransaction")));
  return contracts.join(" ");
});

await step("send and wait", async () => {
  const before = await reader.getBalance({ address: STRANGER });
  const hash = await wallet.sendTransaction({ to: STRANGER, value: parseEther("1") });
  const receipt = await reader.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, "success");
  assert.equal((await reader.getBalance({ address: STRANGER })) - before, parseEther("1"));
  return hash;
});

await step("call", async () => {
  const { data } = await reader.call({ to: echo, data: "0x1234" });
  assert.equal(data, "0x1234");
  const stateOverride = [{ address: STRANGER, code: "0x475f5260205ff3", balance: 7n }];
  const overridden = await reader.call({ to: STRANGER, stateOverride });
  assert.equal(BigInt(overridden.data), 7n);
  await assert.rejects(reader.call({ to: reverting, data: BECAUSE }), /because/);
  return data;
});

await step("estimate", async () => {
  const gas = await reader.estimateGas({ account, to: STRANGER, value: 1n });
  assert.equal(gas, 21_000n);
  const fees = await reader.estimateFeesPerGas();
  assert(fees.maxFeePerGas > 0n);
  const { accessList } = await reader.createAccessList({ account, to: echo, data: "0x12" });
  assert.deepEqual(accessList, []);
  return gas;
});

await step("subscribe: newHeads and logs", async () => {
  const [head, log] = [later(), later()];
  const unwatchBlocks = live.watchBlocks({ onBlock: head.done, onError: console.error });
  const unwatchLogs = live.watchEvent({ address: echo, onLogs: log.done, onError: console.error });
  // A block to be told of, once it is told: a question on the same socket is answered after the subscriptions are.
  await live.getChainId();
  const hash = await wallet.sendTransaction({ to: echo, data: "0xabcd" });
  sent = await reader.waitForTransactionReceipt({ hash });
  const [block, logs] = await Promise.all([head.promise, log.promise]);
  assert.equal(logs[0].data, "0xabcd");
  assert.equal(logs[0].transactionHash, hash);
  unwatchBlocks();
  unwatchLogs();
  return `block ${block.number}, log of ${logs[0].transactionHash}`;
});

await step("logs", async () => {
  const logs = await reader.getLogs({ address: echo, fromBlock: 0n });
  assert.equal(logs.at(-1).transactionHash, sent.transactionHash);
  const filter = await reader.createEventFilter({ address: echo });
  const hash = await wallet.sendTransaction({ to: echo, data: "0xef" });
  await reader.waitForTransactionReceipt({ hash });
  const news = await reader.getFilterChanges({ filter });
  assert.deepEqual(news.map((log) => log.data), ["0xef"]);
  assert(await reader.uninstallFilter({ filter }));
  return `${logs.length} and ${news.length} new`;
});

await step("batch", async () => {
  asked.length = 0;
  const [number, balance, nonce] = await Promise.all([
    reader.getBlockNumber({ cacheTime: 0 }),
    reader.getBalance({ address: account.address }),
    reader.getTransactionCount({ address: account.address }),
  ]);
  assert.equal(asked.length, 1);
  assert.equal(JSON.parse(asked[0]).length, 3);
  assert(balance > 0n && nonce > 0);
  return `3 answers at block ${number}`;
});

await step("send and wait in one", async () => {
  const request = await wallet.prepareTransactionRequest({ to: STRANGER, value: 1n });
  const serializedTransaction = await wallet.signTransaction(request);
  const receipt = await wallet.sendRawTransactionSync({ serializedTransaction, timeout: 30_000 });
  assert.equal(receipt.status, "success");
  return receipt.transactionHash;
});

process.exit(0);
