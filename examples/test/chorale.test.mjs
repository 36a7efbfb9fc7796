// SPDX-License-Identifier: MIT OR Apache-2.0
// The hashes and signatures of chorale.mjs, against vectors that another implementation has made.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { mnemonicToAccount } from "viem/accounts";
import * as chorale from "../chorale.mjs";

const { bundles } = JSON.parse(readFileSync(new URL("../vectors.json", import.meta.url)));
const MNEMONIC = "test test test test test test test test test test test junk";
const account = (addressIndex) => mnemonicToAccount(MNEMONIC, { addressIndex });

/** A transaction of JSON-RPC as viem has it. */
function transactionOf({ input, to, accessList, ...numbers }) {
  const values = Object.entries(numbers).map(([name, value]) => [name, BigInt(value)]);
  const { chainId, nonce, ...others } = Object.fromEntries(values);
  return { chainId: Number(chainId), nonce: Number(nonce), to, data: input, accessList, ...others };
}

function termsOf({ chain, domain, payer, maxFee, expiry, salt }) {
  return { chain, domain: BigInt(domain), payer, maxFee: BigInt(maxFee), expiry: BigInt(expiry), salt: BigInt(salt) };
}

function legsOf({ legs }) {
  return legs.map(({ rollup, sender, transaction }) => ({
    rollup: BigInt(rollup),
    sender,
    transaction: transactionOf(transaction),
  }));
}

for (const vector of bundles) {
  describe(vector.name, () => {
    const terms = termsOf(vector);
    const legs = legsOf(vector);

    test("signing hashes, with and without the mailbox entry", () => {
      for (const [i, { transaction }] of legs.entries()) {
        assert.equal(chorale.signingHash(transaction), vector.legs[i].signingHash);
        assert.equal(chorale.signingHash(chorale.withBinding(transaction, vector.binding)), vector.legs[i].signingHash);
      }
    });

    test("binding", () => {
      assert.equal(chorale.binding({ ...terms, legs }), vector.binding);
      const bound = legs.map((leg) => ({ ...leg, transaction: chorale.withBinding(leg.transaction, vector.binding) }));
      assert.equal(chorale.binding({ ...terms, legs: bound }), vector.binding);
    });

    test("signed legs and their ids", async () => {
      for (const [i, { transaction }] of legs.entries()) {
        const { senderIndex, data, id, rollup } = vector.legs[i];
        const leg = await chorale.signLeg({ account: account(senderIndex), transaction, binding: vector.binding });
        assert.equal(leg.data, data);
        assert.equal(chorale.transactionId(BigInt(rollup), data), id);
      }
    });

    test("bundle, its id and the payer's signature", async () => {
      assert.equal(chorale.payMessage(vector.chain, vector.id), vector.payMessage);
      const signed = vector.legs.map(({ rollup, data }) => ({ rollup: BigInt(rollup), data }));
      const payer = account(vector.payerIndex);
      const bundle = await chorale.payBundle({ account: payer, terms, legs: signed, attempt: vector.attempt });
      assert.equal(bundle.id, vector.id);
      assert.equal(bundle.signature, vector.signature);
    });
  });
}

const [vector] = bundles;
const terms = termsOf(vector);
const legs = legsOf(vector);
const [{ transaction }] = legs;

test("everything that a leg is bound to changes the binding", () => {
  const [first, second] = legs;
  const others = {
    chain: { chain: `0x${"01".repeat(32)}` },
    domain: { domain: 2 },
    payer: { payer: first.sender.replace("f39f", "f39e") },
    maxFee: { maxFee: terms.maxFee + 1n },
    expiry: { expiry: terms.expiry + 1n },
    salt: { salt: terms.salt + 1n },
    "another order": { legs: [second, first] },
    "fewer legs": { legs: [first] },
    "another sender": { legs: [{ ...first, sender: second.sender }, second] },
    "another transaction": { legs: [{ ...first, transaction: { ...transaction, value: 1n } }, second] },
  };
  for (const [name, other] of Object.entries(others)) {
    assert.notEqual(chorale.binding({ ...terms, legs, ...other }), vector.binding, name);
  }
});

test("what cannot be a leg is refused", () => {
  const { MAILBOX, withBinding } = chorale;
  const with_ = (changes) => () => withBinding({ ...transaction, ...changes }, vector.binding);
  const entry = { address: MAILBOX.toUpperCase().replace("0X", "0x"), storageKeys: [] };
  const other = { address: legs[0].sender, storageKeys: [] };
  assert.throws(with_({ accessList: [entry, other] }), /mailbox/);
  assert.throws(with_({ accessList: [entry, entry] }), /mailbox/);
  assert.throws(with_({ type: "eip2930" }), /EIP-1559/);
  for (const field of ["chainId", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas"]) {
    assert.throws(with_({ [field]: undefined }), new RegExp(`${field} .* missing`));
  }
  assert.throws(() => withBinding(transaction, "0x1234"), /32 bytes/);
});

test("a bundle of wrong numbers is refused", () => {
  const bind = (changes) => () => chorale.binding({ ...terms, legs, ...changes });
  assert.throws(bind({ salt: 1n << 64n }), /salt/);
  assert.throws(bind({ maxFee: -1n }), /maxFee/);
  assert.throws(bind({ payer: "0x00" }), /payer/);
  assert.throws(bind({ legs: Array(17).fill(legs[0]) }), /17 legs/);
  assert.throws(bind({ legs: [{ ...legs[0], rollup: 5 }] }), /rollup 5/);
});

test("nobody but the payer whom the legs name signs for the fee", async () => {
  await assert.rejects(chorale.payBundle({ account: account(1), terms, legs: [] }), /cannot pay/);
});

/** A client of a node that answers like this, one after the other. */
function node(...answers) {
  const asked = [];
  const request = async (call) => {
    asked.push(call);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { asked, request };
}

test("a bundle is sent as one object, and its id must be the one computed here", async () => {
  const signed = vector.legs.map(({ rollup, data }) => ({ rollup: BigInt(rollup), data }));
  const bundle = await chorale.payBundle({ account: account(vector.payerIndex), terms, legs: signed });
  const client = node(vector.id);
  assert.equal(await chorale.sendBundle(client, bundle), vector.id);
  assert.deepEqual(client.asked, [
    {
      method: "chorale_sendBundle",
      params: [
        {
          domain: 1,
          legs: vector.legs.map(({ rollup, data }) => ({ rollup: Number(rollup), data })),
          payer: vector.payer,
          maxFee: vector.maxFee,
          expiry: Number(vector.expiry),
          salt: "0x123456789abcdef",
          attempt: 0,
          signature: vector.signature,
        },
      ],
    },
  ]);
  await assert.rejects(chorale.sendBundle(node(vector.binding), bundle), /the node says/);
  await assert.rejects(chorale.sendBundle(client, { ...bundle, expiry: 1n << 60n }), /JSON/);
});

test("waiting for a bundle ends with its last state, a deadline, or an error", async () => {
  const unknown = Object.assign(new Error("no such bundle"), { code: -32053 });
  const states = [];
  const client = node(unknown, { state: "pending" }, { state: "pending" }, { state: "aborted", reason: "why" });
  const status = await chorale.waitForBundle(client, vector.id, { onState: (state) => states.push(state) });
  assert.deepEqual(status, { state: "aborted", reason: "why" });
  assert.deepEqual(states, ["pending", "aborted"]);
  await assert.rejects(
    chorale.waitForBundle(node({ state: "proposed" }), vector.id, { timeoutMs: 1 }),
    /still proposed/,
  );
  await assert.rejects(chorale.waitForBundle(node(unknown), vector.id, { timeoutMs: 1 }), /unknown/);
  await assert.rejects(chorale.waitForBundle(node(new Error("broken")), vector.id), /broken/);
});
