// SPDX-License-Identifier: MIT OR Apache-2.0
// The mailbox on a real anvil: what a leg may do, and that nothing else can pass for one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MAILBOX, artifact, openChain, viem } from "./chain.mjs";

const { decodeEventLog, encodeErrorResult, encodeFunctionData, getAddress, pad, toFunctionSelector } = viem;

const WAYS = { Call: 0, StaticCall: 1, DelegateCall: 2, Undone: 3, Look: 4, OwnSlot: 5 };
const GAS = 100_000n;
const RECEIVER = "0x00000000000000000000000000000000000000aa";
const DATA = "0x1234";
const OUTSIDE = toFunctionSelector("OutsideBundle()");

const BINDING = pad("0xb1", { size: 32 });
const BUNDLE_SLOT = pad("0x", { size: 32 });
const LEG = [{ address: MAILBOX, storageKeys: [BUNDLE_SLOT, BINDING] }];

const mailbox = artifact("Mailbox");
const probe = artifact("Probe");
const send = encodeFunctionData({ abi: mailbox.abi, functionName: "send", args: [7n, RECEIVER, DATA] });
const consume = encodeFunctionData({ abi: mailbox.abi, functionName: "consume", args: [7n, RECEIVER, DATA] });

let chain;
let probeAddress;

before(async () => {
  chain = await openChain(1001);
  probeAddress = await chain.deploy(probe);
});
after(() => chain?.stop());

/** The steps in one transaction: their outcomes, and the receipt's logs of the mailbox and of the probe. */
async function run(accessList, steps) {
  const data = encodeFunctionData({
    abi: probe.abi,
    functionName: "run",
    args: [steps.map(({ way, data = send, gas = GAS }) => ({ way: WAYS[way], gas, data }))],
  });
  const receipt = await chain.transact({ to: probeAddress, data, accessList, gas: 10_000_000n });
  assert.equal(receipt.status, "success");
  const { args } = decodeEventLog({ abi: probe.abi, ...receipt.logs.at(-1) });
  const others = receipt.logs.slice(0, -1);
  return {
    outcomes: args.outcomes,
    messages: others.filter((log) => log.address === MAILBOX),
    others: others.filter((log) => log.address !== MAILBOX),
  };
}

/** What the probe reverts with where it undoes a call. */
function undo(success, result) {
  return encodeErrorResult({ abi: probe.abi, errorName: "Undo", args: [success, result] });
}

function assertRefused(outcomes) {
  for (const { success, result } of outcomes) {
    assert.deepEqual({ success, result }, { success: false, result: OUTSIDE });
  }
}

const EVERY_WAY = [
  { way: "Call" },
  { way: "Call" },
  { way: "Call", data: consume },
  { way: "StaticCall" },
  { way: "Call" },
  { way: "Undone" },
  { way: "Call" },
  { way: "Look" },
  { way: "Call" },
  { way: "OwnSlot" },
  { way: "DelegateCall" },
  { way: "Call" },
];

/** Access lists that are no leg's: the bundle slot of the mailbox is in none. */
const OTHER_LISTS = {
  "no access list": [],
  "the mailbox without slots": [{ address: MAILBOX, storageKeys: [] }],
  "only the binding": [{ address: MAILBOX, storageKeys: [BINDING] }],
  "the slot of another contract": [{ address: RECEIVER, storageKeys: [BUNDLE_SLOT] }],
};

for (const [name, accessList] of Object.entries(OTHER_LISTS)) {
  test(`nothing is sent or consumed with ${name}`, async () => {
    const direct = await chain.transact({ to: MAILBOX, data: send, accessList, gas: 200_000n });
    assert.equal(direct.status, "reverted");

    const { outcomes, messages } = await run(accessList, EVERY_WAY);
    assert.deepEqual(messages, []);
    const tried = outcomes.filter((_, i) => !["Undone", "Look", "OwnSlot", "DelegateCall"].includes(EVERY_WAY[i].way));
    assert.equal(tried.length, 8);
    assertRefused(tried);
    const undone = outcomes[EVERY_WAY.findIndex(({ way }) => way === "Undone")];
    assert.equal(undone.result, undo(false, OUTSIDE));
  });
}

test("a leg sends and consumes, also after an attempt that was undone", async () => {
  const { outcomes, messages } = await run(LEG, [
    { way: "Undone" },
    { way: "StaticCall" },
    { way: "Look" },
    { way: "Call" },
    { way: "Call", data: consume },
  ]);
  assert.equal(outcomes[0].result, undo(true, "0x"));
  assert.equal(outcomes[1].success, false);
  const caller = getAddress(probeAddress);
  const other = getAddress(RECEIVER);
  assert.deepEqual(
    messages.map((log) => decodeEventLog({ abi: mailbox.abi, ...log })),
    [
      { eventName: "Sent", args: { destination: 7n, sender: caller, receiver: other, data: DATA } },
      { eventName: "Consumed", args: { source: 7n, sender: other, receiver: caller, data: DATA } },
    ],
  );
});

test("a leg may call the mailbox itself", async () => {
  const receipt = await chain.transact({ to: MAILBOX, data: send, accessList: LEG, gas: 200_000n });
  assert.equal(receipt.status, "success");
  assert.equal(receipt.logs.length, 1);
});

test("what the mailbox's code does elsewhere is no message of the mailbox", async () => {
  // The probe's own slot 0 is warm: its event says Sent, but comes from the probe.
  const steps = [{ way: "OwnSlot" }, { way: "DelegateCall" }, { way: "Call" }];
  const { outcomes, messages, others } = await run([], steps);
  assert.equal(outcomes[1].success, true);
  assert.equal(others.length, 1);
  assert.deepEqual(messages, []);
  assertRefused([outcomes[2]]);
});

test("an account that has delegated to the mailbox is not the mailbox", async () => {
  const delegate = await chain.delegate(MAILBOX);
  const accessList = [{ address: delegate, storageKeys: [BUNDLE_SLOT] }];
  const receipt = await chain.transact({ to: delegate, data: send, accessList, gas: 200_000n });
  assert.equal(receipt.status, "success");
  assert.deepEqual(
    receipt.logs.map((log) => log.address),
    [delegate],
  );
  const direct = await chain.transact({ to: MAILBOX, data: send, accessList, gas: 200_000n });
  assert.equal(direct.status, "reverted");
});

/** Whether the mailbox answers, for each amount of gas: 0, 1, 2 .. 5999, in one transaction for 1000 of them. */
async function sweep(accessList) {
  const successes = [];
  for (let first = 0; first < 6000; first += 1000) {
    const steps = Array.from({ length: 1000 }, (_, i) => ({ way: WAYS.Call, gas: BigInt(first + i), data: send }));
    const { result } = await chain.client.simulateContract({
      address: probeAddress,
      abi: probe.abi,
      functionName: "run",
      args: [steps],
      accessList,
      gas: 29_000_000n,
    });
    successes.push(...result.map(({ success }) => success));
  }
  return successes;
}

test("however little gas there is, nothing is sent outside of a bundle", async () => {
  assert.ok(!(await sweep([])).includes(true));
});

test("with little gas a leg fails, and from some amount on it does not", async () => {
  const successes = await sweep(LEG);
  const first = successes.indexOf(true);
  assert.ok(first > 0, "never");
  assert.ok(!successes.slice(first).includes(false), `not from ${first} on`);
});

test("malformed calls are refused, and ether is", async () => {
  const calls = ["0x", "0x12345678", send.slice(0, -64), send.slice(0, 10 + 64)];
  for (const data of calls) {
    const receipt = await chain.transact({ to: MAILBOX, data, accessList: LEG, gas: 200_000n });
    assert.equal(receipt.status, "reverted", data);
  }
  const paid = await chain.transact({ to: MAILBOX, data: send, value: 1n, accessList: LEG, gas: 200_000n });
  assert.equal(paid.status, "reverted");
});

test("gas of a call in a leg", async (context) => {
  for (const [name, size] of [
    ["empty", 0],
    ["64 bytes", 64],
    ["1024 bytes", 1024],
  ]) {
    const data = `0x${"ff".repeat(size)}`;
    const used = {};
    for (const functionName of ["send", "consume"]) {
      const input = encodeFunctionData({ abi: mailbox.abi, functionName, args: [7n, RECEIVER, data] });
      const { transactionHash } = await chain.transact({ to: MAILBOX, data: input, accessList: LEG, gas: 200_000n });
      used[functionName] = await chain.executionGas(transactionHash);
      // The four topics of the event and its data are most of it: what the check adds stays below a cold SLOAD.
      assert.ok(
        used[functionName] < 375 * 5 + 8 * (size + 64) + 1500,
        `${functionName} ${name}: ${used[functionName]}`,
      );
    }
    context.diagnostic(`${name}: send ${used.send}, consume ${used.consume}`);
  }
});
