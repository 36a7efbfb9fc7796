// SPDX-License-Identifier: MIT OR Apache-2.0
// Two users swap tokens of two rollups. No contract is needed for it: each signs a plain transfer that is bound to the
// other's, so neither transfer can happen without the other.

import { parseUnits } from "viem";
import { binding, signLeg } from "./chorale.mjs";
import * as common from "./common.mjs";

const ABOUT = `Alice gives Bob 10 X on rollup A, and Bob gives Alice 20 Y on rollup B, in one bundle.
Then they agree to swap more than Bob has: his leg fails, and Alice keeps what she has.
Uses the first two accounts of the development mnemonic.`;

const alice = common.developmentAccount(0);
const bob = common.developmentAccount(1);

await common.main(ABOUT, async (a, b) => {
  console.log(`rollup A is ${a.id}, rollup B is ${b.id}\n\nAlice has X on A, Bob has Y on B.`);
  const [x, y] = await Promise.all([common.deployToken(a, alice, "X", "100"), common.deployToken(b, bob, "Y", "100")]);
  const holdings = () =>
    common.holdings([
      { rollup: a, token: x, holder: "Alice", account: alice },
      { rollup: a, token: x, holder: "Bob", account: bob },
      { rollup: b, token: y, holder: "Alice", account: alice },
      { rollup: b, token: y, holder: "Bob", account: bob },
    ]);

  /** The offer, which is public: nothing of it is signed yet. */
  async function offer(amountX, amountY) {
    const terms = await common.bundleTerms(a, alice);
    const legs = [
      {
        rollup: a.id,
        sender: alice.address,
        transaction: await common.tokenLeg(a, alice, x, "transfer", [bob.address, parseUnits(amountX, 18)]),
      },
      {
        rollup: b.id,
        sender: bob.address,
        transaction: await common.tokenLeg(b, bob, y, "transfer", [alice.address, parseUnits(amountY, 18)]),
      },
    ];
    return { terms, legs };
  }

  /**
   * What Alice and Bob do each on their own: read the offer, compute its binding from it, sign their own leg. Whoever
   * changes anything of it afterwards has another binding, and a leg that is no part of that bundle.
   */
  function accept(account, { terms, legs }) {
    const { transaction } = legs.find(({ sender }) => sender === account.address);
    return signLeg({ account, transaction, binding: binding({ ...terms, legs }) });
  }

  console.log("\nSwap 10 X for 20 Y.");
  const start = await holdings();
  const swap = await offer("10", "20");
  const legs = [await accept(alice, swap), await accept(bob, swap)];
  await common.settle(a, alice, swap.terms, legs, "executed");
  await common.legReceipts([a, b], legs);
  const swapped = await holdings();
  common.show(start, swapped);

  console.log("\nSwap 10 X for 1000 Y, which Bob does not have.");
  const fraud = await offer("10", "1000");
  const fraudLegs = [await accept(alice, fraud), await accept(bob, fraud)];
  await common.settle(a, alice, fraud.terms, fraudLegs, "aborted");
  const aborted = await holdings();
  common.show(swapped, aborted);
  common.assertUnchanged(swapped, aborted);
  await common.assertNoReceipts([a, b], fraudLegs);
  console.log("No token, supply, nonce or ether changed, and there are no receipts.");
});
