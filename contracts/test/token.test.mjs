// SPDX-License-Identifier: MIT OR Apache-2.0
// The token: an ERC-20, and its way through the mailbox of two chains.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MAILBOX, artifact, openChain, viem } from "./chain.mjs";

const { decodeErrorResult, encodeAbiParameters, encodeFunctionData, getAddress, maxUint256, pad, parseEventLogs } =
  viem;

const OTHER = getAddress("0x00000000000000000000000000000000000000aa");
const NOBODY = pad("0x", { size: 20 });
const SUPPLY = 1000n;
const LEG = [{ address: MAILBOX, storageKeys: [pad("0x", { size: 32 }), pad("0xb1", { size: 32 })] }];

const token = artifact("Token");
const mailbox = artifact("Mailbox");

/** A chain with a token and what is done with it. */
async function open(chainId, supply) {
  const chain = await openChain(chainId);
  const address = await chain.deploy(token, ["Example", "EX", supply]);
  const contract = (functionName, args) => ({ address, abi: token.abi, functionName, args });
  return {
    ...chain,
    chainId,
    address,
    me: chain.account.address,
    read: (functionName, ...args) => chain.client.readContract(contract(functionName, args)),
    /** A transaction that succeeds: its events, of the token and of the mailbox. */
    async does(functionName, args, accessList = []) {
      const data = encodeFunctionData(contract(functionName, args));
      const receipt = await chain.transact({ to: address, data, accessList, gas: 500_000n });
      assert.equal(receipt.status, "success", functionName);
      const logs = parseEventLogs({ abi: [...token.abi, ...mailbox.abi], logs: receipt.logs });
      return logs.map(({ eventName, args }) => ({ eventName, ...args }));
    },
    /** A call that reverts, with this error. */
    async refuses(errorName, args, functionName, callArgs, { accessList = [], account = chain.account } = {}) {
      const data = encodeFunctionData(contract(functionName, callArgs));
      const call = chain.client.call({ account, to: address, data, accessList });
      const data_ = await call.then(
        () => assert.fail(`${functionName} succeeds`),
        (error) => error.walk((cause) => cause.data !== undefined)?.data ?? assert.fail(error.message),
      );
      const decoded = decodeErrorResult({ abi: [...token.abi, ...mailbox.abi], data: data_ });
      assert.deepEqual([decoded.errorName, decoded.args ?? []], [errorName, args]);
    },
  };
}

let a;
let b;

before(async () => {
  [a, b] = await Promise.all([open(1001, SUPPLY), open(1002, 0n)]);
});
after(() => Promise.all([a?.stop(), b?.stop()]));

test("only the deployer sets peers, once, and only tokens elsewhere", async () => {
  const peer = { chain: 1002n, token: b.address };
  await a.refuses("NotDeployer", [], "setPeers", [[peer]], { account: OTHER });
  await a.refuses("InvalidPeer", [1001n, getAddress(b.address)], "setPeers", [[{ ...peer, chain: 1001n }]]);
  await a.refuses("InvalidPeer", [1002n, NOBODY], "setPeers", [[{ ...peer, token: NOBODY }]]);
  await a.refuses("InvalidPeer", [1002n, getAddress(b.address)], "setPeers", [[peer, peer]]);
  const events = await a.does("setPeers", [[peer]]);
  assert.deepEqual(events, [{ eventName: "PeerSet", chain: 1002n, token: getAddress(b.address) }]);
  await a.refuses("PeersAlreadySet", [], "setPeers", [[]]);
  await b.does("setPeers", [[{ chain: 1001n, token: a.address }]]);
});

test("an amount is burnt here and minted there", async () => {
  const data = encodeAbiParameters([{ type: "address" }, { type: "uint256" }], [OTHER, 40n]);
  assert.deepEqual(await a.does("burn", [1002n, OTHER, 40n], LEG), [
    { eventName: "Transfer", from: a.me, to: NOBODY, value: 40n },
    { eventName: "Sent", destination: 1002n, sender: getAddress(a.address), receiver: getAddress(b.address), data },
  ]);
  assert.deepEqual(await b.does("mint", [1001n, OTHER, 40n], LEG), [
    { eventName: "Consumed", source: 1001n, sender: getAddress(a.address), receiver: getAddress(b.address), data },
    { eventName: "Transfer", from: NOBODY, to: OTHER, value: 40n },
  ]);
  assert.deepEqual(await Promise.all([a.read("totalSupply"), b.read("totalSupply")]), [960n, 40n]);
  assert.deepEqual(await Promise.all([a.read("balanceOf", a.me), b.read("balanceOf", OTHER)]), [960n, 40n]);
});

test("nothing is burnt or minted outside of a bundle, or for what is no peer", async () => {
  await a.refuses("OutsideBundle", [], "burn", [1002n, OTHER, 1n]);
  await a.refuses("OutsideBundle", [], "mint", [1002n, OTHER, 1n]);
  const leg = { accessList: LEG };
  await a.refuses("UnknownPeer", [1003n], "burn", [1003n, OTHER, 1n], leg);
  await a.refuses("UnknownPeer", [1003n], "mint", [1003n, OTHER, 1n], leg);
  await a.refuses("UnknownPeer", [1001n], "mint", [1001n, OTHER, 1n], leg);
  await a.refuses("ERC20InvalidReceiver", [NOBODY], "burn", [1002n, NOBODY, 1n], leg);
  await a.refuses("ERC20InvalidReceiver", [NOBODY], "mint", [1002n, NOBODY, 1n], leg);
  await a.refuses("ERC20InsufficientBalance", [a.me, 960n, 961n], "burn", [1002n, OTHER, 961n], leg);
});

test("the supply does not overflow", async () => {
  const call = b.client.call({
    account: b.me,
    to: b.address,
    data: encodeFunctionData({ abi: token.abi, functionName: "mint", args: [1001n, OTHER, maxUint256] }),
    accessList: LEG,
  });
  await assert.rejects(call, /overflow/);
});

test("transfer, approve and transferFrom are those of ERC-20", async () => {
  assert.deepEqual(await Promise.all(["name", "symbol", "decimals"].map((name) => a.read(name))), [
    "Example",
    "EX",
    18,
  ]);
  assert.deepEqual(await a.does("transfer", [OTHER, 60n]), [
    { eventName: "Transfer", from: a.me, to: OTHER, value: 60n },
  ]);
  assert.deepEqual(await a.does("transfer", [a.me, 900n]), [
    { eventName: "Transfer", from: a.me, to: a.me, value: 900n },
  ]);
  assert.equal(await a.read("balanceOf", a.me), 900n);
  await a.refuses("ERC20InsufficientBalance", [a.me, 900n, 901n], "transfer", [OTHER, 901n]);
  await a.refuses("ERC20InvalidReceiver", [NOBODY], "transfer", [NOBODY, 1n]);

  await a.refuses("ERC20InsufficientAllowance", [a.me, 0n, 1n], "transferFrom", [a.me, OTHER, 1n]);
  await a.refuses("ERC20InvalidSpender", [NOBODY], "approve", [NOBODY, 1n]);
  assert.deepEqual(await a.does("approve", [a.me, 10n]), [
    { eventName: "Approval", owner: a.me, spender: a.me, value: 10n },
  ]);
  await a.does("transferFrom", [a.me, OTHER, 4n]);
  assert.equal(await a.read("allowance", a.me, a.me), 6n);
  await a.refuses("ERC20InsufficientAllowance", [a.me, 6n, 7n], "transferFrom", [a.me, OTHER, 7n]);
  await a.does("approve", [a.me, maxUint256]);
  await a.does("transferFrom", [a.me, OTHER, 6n]);
  assert.equal(await a.read("allowance", a.me, a.me), maxUint256);
  assert.deepEqual([await a.read("balanceOf", a.me), await a.read("balanceOf", OTHER)], [890n, 70n]);
  assert.equal(await a.read("totalSupply"), 960n);
});
