// SPDX-License-Identifier: MIT OR Apache-2.0
// A token that moves between two rollups in one bundle, and a bundle that would make some out of nothing.

import { parseUnits } from "viem";
import { binding, signLeg } from "./chorale.mjs";
import * as common from "./common.mjs";

const ABOUT = `Deploys a token on two rollups and moves 25 of it from A to B in one bundle: burnt on A, minted on B.
Then tries to mint more than it burns, and shows that such a bundle changes nothing anywhere.
Uses the first account of the development mnemonic.`;

const MOVED = parseUnits("25", 18);
const me = common.developmentAccount(0);

await common.main(ABOUT, async (a, b) => {
  console.log(
    `rollup A is ${a.id}, rollup B is ${b.id}\n\nDeploy the token on both, and make them each other's peers.`,
  );
  const [onA, onB] = await Promise.all([common.deployToken(a, me, "EX", "100"), common.deployToken(b, me, "EX", "0")]);
  await Promise.all([
    common.callToken(a, me, onA, "setPeers", [[{ chain: b.id, token: onB }]]),
    common.callToken(b, me, onB, "setPeers", [[{ chain: a.id, token: onA }]]),
  ]);
  const holdings = () =>
    common.holdings([
      { rollup: a, token: onA, holder: "me", account: me },
      { rollup: b, token: onB, holder: "me", account: me },
    ]);

  /** Signs a bundle that burns so much on A and mints so much on B. */
  async function sign(terms, burnt, minted) {
    const transactions = [
      await common.tokenLeg(a, me, onA, "burn", [b.id, me.address, burnt]),
      await common.tokenLeg(b, me, onB, "mint", [a.id, me.address, minted]),
    ];
    const legs = transactions.map((transaction) => ({ rollup: transaction.chainId, sender: me.address, transaction }));
    const bound = binding({ ...terms, legs });
    return Promise.all(transactions.map((transaction) => signLeg({ account: me, transaction, binding: bound })));
  }

  console.log("\nMove 25 from A to B.");
  const start = await holdings();
  const terms = await common.bundleTerms(a, me);
  const legs = await sign(terms, MOVED, MOVED);
  await common.settle(a, me, terms, legs, "executed");
  await common.legReceipts([a, b], legs);
  const moved = await holdings();
  common.show(start, moved);
  if (moved[0].supply + moved[1].supply !== start[0].supply + start[1].supply)
    throw new Error("the supply has changed");

  console.log("\nBurn 1 on A and mint 2 on B: both legs would succeed, but no such message was sent.");
  const otherTerms = await common.bundleTerms(a, me);
  const otherLegs = await sign(otherTerms, parseUnits("1", 18), parseUnits("2", 18));
  await common.settle(a, me, otherTerms, otherLegs, "aborted");
  const aborted = await holdings();
  common.show(moved, aborted);
  common.assertUnchanged(moved, aborted);
  await common.assertNoReceipts([a, b], otherLegs);
  console.log("No token, supply, nonce or ether changed, and there are no receipts.");
});
