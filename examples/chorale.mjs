// SPDX-License-Identifier: MIT OR Apache-2.0
// Bundles of Chorale for viem: every hash and signature is made here, so no server needs to be trusted with any.
//
// A bundle is a list of legs, a leg is an ordinary signed EIP-1559 transaction for one rollup, and a rollup's id is its
// chain id. All legs are executed in their order, or none has any effect. Integers may be numbers or bigints; bytes are
// hexadecimal strings with 0x.

import { bytesToHex, concatBytes, hexToBytes, keccak256, numberToBytes, numberToHex, serializeTransaction } from "viem";
import { sha256, stringToBytes } from "viem";

/** The contract through which legs send each other messages, on every rollup. */
export const MAILBOX = "0xb0dd1e0000000000000000000000000000000000";
/** The slot of the mailbox that is in the access list of every leg. */
export const BUNDLE_SLOT = `0x${"00".repeat(32)}`;

const POLL_MS = 200;
const LEGS_MAX = 16;
/** States that a bundle does not leave any more. */
const FINAL = ["executed", "aborted", "unplaced", "skipped", "expired", "evicted", "rejected"];
/** Errors of a node that has not heard of a bundle yet: NotFound and NotYet. */
const UNKNOWN_YET = [-32053, -32055];

/** SHA-256 of the tag with its length before it, and of the parts. Parts are byte arrays. */
export function taggedHash(tag, ...parts) {
  const name = stringToBytes(tag);
  return sha256(concatBytes([integer("length of the tag", name.length, 1), name, ...parts]));
}

/** The id of a transaction of a rollup: of its signed bytes. */
export function transactionId(rollup, raw) {
  return taggedHash("chorale/transaction/v1", integer("rollup", rollup, 8), hexToBytes(raw));
}

/**
 * What a leg's sender signs with its transaction: this transaction, with exactly these others, in this order, paid for
 * by this payer, until this height.
 *
 * `legs` are `{ rollup, sender, transaction }`. A transaction may have its mailbox entry already or not: that makes no
 * difference, because the entry holds the binding.
 */
export function binding({ chain, domain, payer, maxFee, expiry, salt, legs }) {
  if (legs.length > LEGS_MAX) throw new RangeError(`${legs.length} legs, and at most ${LEGS_MAX} are allowed`);
  return taggedHash(
    "chorale/binding/v1",
    bytes("chain", chain, 32),
    integer("domain", domain, 8),
    bytes("payer", payer, 20),
    integer("maxFee", maxFee, 16),
    integer("expiry", expiry, 8),
    integer("salt", salt, 8),
    integer("count of legs", legs.length, 1),
    ...legs.flatMap(({ rollup, sender, transaction }) => {
      if (BigInt(transaction.chainId) !== BigInt(rollup)) {
        throw new Error(`a leg for rollup ${rollup} has the chain id ${transaction.chainId}`);
      }
      return [integer("rollup", rollup, 8), bytes("sender", sender, 20), hexToBytes(signingHash(transaction))];
    }),
  );
}

/** The hash of an unsigned transaction as it is without its mailbox entry. */
export function signingHash(transaction) {
  return keccak256(serializeTransaction(withoutBinding(transaction)));
}

/** The transaction as a leg: with the mailbox entry as the last of its access list. */
export function withBinding(transaction, binding) {
  bytes("binding", binding, 32);
  const plain = withoutBinding(transaction);
  return { ...plain, accessList: [...plain.accessList, { address: MAILBOX, storageKeys: [BUNDLE_SLOT, binding] }] };
}

/** The transaction without its mailbox entry, unsigned, all its fields given. */
export function withoutBinding(transaction) {
  const { type = "eip1559", to, value = 0n, data = "0x" } = transaction;
  if (type !== "eip1559") throw new Error(`a leg is an EIP-1559 transaction, not ${type}`);
  const plain = { type, to, value, data };
  // What a wallet would fill in later, differently for each signer, has to be agreed on before.
  for (const field of ["chainId", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas"]) {
    if (transaction[field] === undefined) throw new Error(`${field} of a leg is missing`);
    plain[field] = transaction[field];
  }
  const accessList = [...(transaction.accessList ?? [])];
  if (accessList.length && isMailbox(accessList.at(-1))) accessList.pop();
  if (accessList.some(isMailbox)) throw new Error("the access list of a leg names the mailbox where it must not");
  return { ...plain, accessList };
}

/** The id of a bundle, which is of its signed legs. `attempt` tells it from the same bundle, sent before. */
export function bundleId({ domain, payer, maxFee, attempt, expiry, salt, legIds }) {
  return taggedHash(
    "chorale/bundle/v1",
    Uint8Array.of(1),
    integer("domain", domain, 8),
    bytes("payer", payer, 20),
    integer("maxFee", maxFee, 16),
    integer("attempt", attempt, 4),
    integer("expiry", expiry, 8),
    integer("salt", salt, 8),
    ...legIds.map((id) => bytes("id of a leg", id, 32)),
  );
}

/** What the payer of a bundle signs, as a message of 32 bytes (EIP-191). */
export function payMessage(chain, bundleId) {
  return taggedHash("chorale/pay/v1", bytes("chain", chain, 32), bytes("id of the bundle", bundleId, 32));
}

/** A number that makes this bundle another one than any before it. */
export function randomSalt() {
  return BigInt(bytesToHex(crypto.getRandomValues(new Uint8Array(8))));
}

/** Signs a leg with an account of viem: `{ rollup, data, hash }`, where the hash is that of the transaction. */
export async function signLeg({ account, transaction, binding }) {
  const data = await account.signTransaction(withBinding(transaction, binding));
  return { rollup: Number(transaction.chainId), data, hash: keccak256(data) };
}

/** Puts signed legs together and signs for the fee. The terms are those that the legs are bound to. */
export async function payBundle({ account, terms, legs, attempt = 0 }) {
  const { chain, domain, payer, maxFee, expiry, salt } = terms;
  if (account.address.toLowerCase() !== payer.toLowerCase()) {
    throw new Error(`${account.address} cannot pay: the legs are bound to the payer ${payer}`);
  }
  const legIds = legs.map(({ rollup, data }) => transactionId(rollup, data));
  const id = bundleId({ domain, payer, maxFee, attempt, expiry, salt, legIds });
  const signature = await account.signMessage({ message: { raw: payMessage(chain, id) } });
  return { id, domain, payer, maxFee, attempt, expiry, salt, legs, signature };
}

/** The chain that a node follows: `{ chain, domain, height, rollups: [{ rollup, url }] }`. */
export function chainStatus(client) {
  return client.request({ method: "chorale_chain", params: [] });
}

/** Sends what `payBundle` made, and answers its id, which is the same from every node. */
export async function sendBundle(client, bundle) {
  const parameters = {
    domain: json("domain", bundle.domain),
    legs: bundle.legs.map(({ rollup, data }) => ({ rollup: json("rollup", rollup), data })),
    payer: bundle.payer,
    maxFee: numberToHex(bundle.maxFee),
    expiry: json("expiry", bundle.expiry),
    salt: numberToHex(bundle.salt),
    attempt: json("attempt", bundle.attempt),
    signature: bundle.signature,
  };
  const id = await client.request({ method: "chorale_sendBundle", params: [parameters] });
  if (id !== bundle.id) throw new Error(`the node says that the bundle ${bundle.id} is ${id}`);
  return id;
}

/**
 * What a node knows of a bundle: `{ state, height?, reason?, leg? }`. States on the way are pending, proposed,
 * certified, committed, revealed and order_attested; at its end executed, aborted, unplaced, skipped, expired, evicted or
 * rejected.
 */
export function bundleStatus(client, id) {
  return client.request({ method: "chorale_bundleStatus", params: [id] });
}

/** Waits until a bundle is in one of its last states, and answers its status. `onState` hears of every change. */
export async function waitForBundle(client, id, { timeoutMs = 60_000, onState = () => {} } = {}) {
  const deadline = Date.now() + timeoutMs;
  let state = "unknown to the node";
  for (;;) {
    const status = await bundleStatus(client, id).catch((error) => {
      if (UNKNOWN_YET.includes(error.code)) return undefined;
      throw error;
    });
    if (status && status.state !== state) onState((state = status.state), status);
    if (FINAL.includes(state)) return status;
    if (Date.now() >= deadline) throw new Error(`after ${timeoutMs} ms the bundle ${id} is still ${state}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/**
 * The proof of what became of a bundle, as soon as it is attested: a file that `chorale verify` checks from the genesis
 * alone.
 */
export async function proveEffect(client, id, { timeoutMs = 60_000 } = {}) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return hexToBytes(await client.request({ method: "chorale_proveBundleEffect", params: [id] }));
    } catch (error) {
      if (!UNKNOWN_YET.includes(error.code)) throw error;
      if (Date.now() >= deadline) throw new Error(`after ${timeoutMs} ms nothing of bundle ${id} is attested`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function isMailbox({ address }) {
  return address.toLowerCase() === MAILBOX;
}

/** An integer of so many bytes, the highest first. */
function integer(name, value, length) {
  if (BigInt(value) < 0n || BigInt(value) >= 1n << BigInt(8 * length)) {
    throw new RangeError(`${name} is ${value}, and must be an integer of ${length} bytes`);
  }
  return numberToBytes(BigInt(value), { size: length });
}

function bytes(name, hex, length) {
  if (!/^0x[0-9a-f]*$/i.test(hex) || hex.length !== 2 + 2 * length) {
    throw new RangeError(`${name} is ${hex}, and must be ${length} bytes`);
  }
  return hexToBytes(hex);
}

/** A number as JSON has it exactly. */
function json(name, value) {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`${name} is ${value}, which JSON cannot carry`);
  return number;
}
