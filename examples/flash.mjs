// SPDX-License-Identifier: MIT OR Apache-2.0
// Flash arbitrage between two rollups in one leg, through synchronous calls; and one that has never been.

import { encodeFunctionData, formatUnits, parseAbi, parseUnits, toFunctionSelector } from "viem";
import { binding, signLeg } from "./chorale.mjs";
import * as common from "./common.mjs";

const ABOUT = `Deploys two tokens, X and Y, and a pool of both on two rollups. Y is dearer on B. A contract on A borrows Y from the
pool there, sells it on B, pays with what that brings and keeps the rest, all in one leg. Then it tries once more, at
prices at which it would lose, and shows that this changes nothing anywhere.
The domain must have synchronous calls. Uses the first account of the development mnemonic.`;

const SYNCHRONOUS_CALL = "0xb0dd1e0000000000000000000000000000000001";
const INTERFACE = parseAbi(["function call(uint256 rollup, address target, bytes data) returns (bytes)"]);
const OUTSIDE_BUNDLE = toFunctionSelector("OutsideBundle()");
const [TOKEN, POOL, ARBITRAGE] = ["DomainToken", "Pool", "FlashArbitrage"].map(common.artifact);
/** Enough for all that the leg does here and there. */
const GAS = 1_500_000n;
/** Enough for a transaction that does nothing, and its access list. */
const CARRIER_GAS = 50_000n;
const SUPPLY = "1000";
const AMOUNT = parseUnits("10", 18);

const me = common.developmentAccount(0);

/** Throws unless the rollups of the domain can call each other: outside of a bundle they say that they cannot. */
async function assertSynchronousCalls(rollup) {
  const data = encodeFunctionData({ abi: INTERFACE, functionName: "call", args: [0n, SYNCHRONOUS_CALL, "0x"] });
  const answer = await rollup.client.call({ to: SYNCHRONOUS_CALL, data }).then(
    () => undefined,
    (error) => error.walk((cause) => cause.data !== undefined)?.data,
  );
  if ((answer?.data ?? answer) !== OUTSIDE_BUNDLE) {
    throw new Error("the rollups of this domain cannot call each other: its genesis says so, by synchronous_calls");
  }
}

/** The tokens and the pool of a rollup, and the pool filled with so much of both. */
async function open(rollup, liquidity) {
  const x = await common.deployToken(rollup, me, "X", SUPPLY, TOKEN);
  const y = await common.deployToken(rollup, me, "Y", SUPPLY, TOKEN);
  const pool = await common.deploy(rollup, me, POOL, [x, y], "the pool");
  for (const [token, amount] of [
    [x, liquidity[0]],
    [y, liquidity[1]],
  ]) {
    await common.callToken(rollup, me, token, "transfer", [pool, parseUnits(amount, 18)]);
  }
  return { rollup, x, y, pool };
}

async function setPeers(here, there) {
  for (const token of ["x", "y"]) {
    await common.callToken(here.rollup, me, here[token], "setPeers", [
      [{ chain: there.rollup.id, token: there[token] }],
    ]);
  }
}

/** Everything that a transaction could change on a rollup. */
async function look({ rollup, x, y, pool }) {
  const read = (address, functionName, args) =>
    rollup.client.readContract({ address, abi: TOKEN.abi, functionName, args });
  const [poolX, poolY, mine, supplyX, supplyY, nonce, ether] = await Promise.all([
    read(x, "balanceOf", [pool]),
    read(y, "balanceOf", [pool]),
    read(x, "balanceOf", [me.address]),
    read(x, "totalSupply"),
    read(y, "totalSupply"),
    rollup.client.getTransactionCount({ address: me.address }),
    rollup.client.getBalance({ address: me.address }),
  ]);
  return { rollup: rollup.name, poolX, poolY, mine, supplyX, supplyY, nonce, ether };
}

function show(before, after) {
  const amount = (value) => String(Math.round(Number(formatUnits(value, 18)) * 1000) / 1000);
  const change = (i, field) => `${amount(before[i][field])} -> ${amount(after[i][field])}`;
  const rows = before.map(({ rollup }, i) => [rollup, ...["poolX", "poolY", "mine"].map((field) => change(i, field))]);
  common.print([["", "X of the pool", "Y of the pool", "my X"], ...rows]);
}

await common.main(ABOUT, async (a, b) => {
  await assertSynchronousCalls(a);
  console.log(`rollup A is ${a.id}, rollup B is ${b.id}\n\nDeploy tokens and pools: 1 Y is worth 1 X on A, and 2 X on B.`);
  const [onA, onB] = await Promise.all([open(a, ["100", "100"]), open(b, ["200", "100"])]);
  await Promise.all([setPeers(onA, onB), setPeers(onB, onA)]);
  const arbitrage = await common.deploy(a, me, ARBITRAGE, [onA.pool, b.id, onB.pool, onB.y], "the arbitrage");
  const state = () => Promise.all([look(onA), look(onB)]);

  /** Signs the leg that does it, and one on B, which does nothing but to have B in the bundle: it carries the calls. */
  async function sign(terms, least) {
    const args = [AMOUNT, parseUnits(least, 18)];
    const data = encodeFunctionData({ abi: ARBITRAGE.abi, functionName: "run", args });
    const transactions = [
      await common.leg(a, me, { to: arbitrage, data, gas: GAS }),
      await common.leg(b, me, { to: me.address, data: "0x", gas: CARRIER_GAS }),
    ];
    const legs = transactions.map((transaction) => ({ rollup: transaction.chainId, sender: me.address, transaction }));
    const bound = binding({ ...terms, legs });
    return Promise.all(transactions.map((transaction) => signLeg({ account: me, transaction, binding: bound })));
  }

  console.log("\nBorrow 10 Y on A, sell them on B, pay on A with what that brings, if 5 X are left.");
  const start = await state();
  const terms = await common.bundleTerms(a, me);
  const legs = await sign(terms, "5");
  await common.settle(a, me, terms, legs, "executed");
  const [, receipt] = await common.legReceipts([a, b], legs);
  const calls = receipt.logs.filter(({ address }) => address.toLowerCase() === SYNCHRONOUS_CALL);
  console.log(`  the receipt on B tells of ${calls.length} calls from A, with ${receipt.logs.length} events in all`);
  const done = await state();
  show(start, done);
  if (done[0].mine <= start[0].mine) throw new Error("the arbitrage has earned nothing");
  for (const supply of ["supplyX", "supplyY"]) {
    if (done[0][supply] + done[1][supply] !== start[0][supply] + start[1][supply]) {
      throw new Error("there are more or fewer tokens than before");
    }
  }

  console.log("\nThe same again: now the prices are nearer, and less than 5 X would be left.");
  const otherTerms = await common.bundleTerms(a, me);
  const otherLegs = await sign(otherTerms, "5");
  await common.settle(a, me, otherTerms, otherLegs, "aborted");
  const aborted = await state();
  show(done, aborted);
  common.assertUnchanged(done, aborted);
  await common.assertNoReceipts([a, b], otherLegs);
  console.log("No token, supply, nonce or ether changed on either rollup, and there are no receipts.");
});
