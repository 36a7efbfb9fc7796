// SPDX-License-Identifier: MIT OR Apache-2.0
// What the examples share: arguments, connections, tokens, and how they are shown.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { createPublicClient, encodeFunctionData, formatUnits, http, parseEther, parseUnits, walletActions } from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { chainStatus, payBundle, proveEffect, randomSalt, sendBundle, waitForBundle } from "./chorale.mjs";

const MNEMONIC = "test test test test test test test test test test test junk";
const DEFAULT_URLS = ["http://127.0.0.1:9545", "http://127.0.0.1:9546"];
/** Heights for which a bundle may be ordered. Until then, who holds all signed legs decides whether it is sent. */
const LIFETIME = 1_000;
const MAX_FEE = parseEther("0.01");
/** Enough for what these legs do. An estimate would need the state that earlier legs leave. */
const LEG_GAS = 200_000n;
const TOKEN = artifact("Token");

/** What the compiler has made of a contract. */
export function artifact(name) {
  return JSON.parse(readFileSync(new URL(`../contracts/out/${name}.json`, import.meta.url)));
}

/** A development account: everyone knows its key. */
export function developmentAccount(index) {
  return mnemonicToAccount(MNEMONIC, { addressIndex: index });
}

/** Runs an example: `run(a, b, options)` with the two rollups connected. Reads the arguments, says errors in a line. */
export async function main(about, run) {
  const usage = `usage: node ${process.argv[1].split(/[\\/]/).at(-1)} [OPTIONS] [RPC_A RPC_B]

${about}

RPC_A and RPC_B are the JSON-RPC of the two rollups, by default
${DEFAULT_URLS.join(" and ")}.
The bundle is sent to RPC_A.

  --proofs FOLDER    write a proof of what became of each bundle there, for \`chorale verify\`
  --timeout SECONDS  how long a step may take at most (60)
  --help             this text`;
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        proofs: { type: "string" },
        timeout: { type: "string", default: "60" },
      },
    });
    if (values.help) return console.log(usage);
    const timeoutMs = Number(values.timeout) * 1000;
    if (!(timeoutMs > 0)) throw new Error(`--timeout is ${values.timeout}, and must be a number of seconds`);
    if (![0, 2].includes(positionals.length)) throw new Error("give both RPC_A and RPC_B, or none");
    const urls = positionals.length ? positionals : DEFAULT_URLS;
    const [a, b] = await Promise.all(urls.map((url, i) => connect("AB"[i], url, { timeoutMs, proofs: values.proofs })));
    const { rollups } = await chainStatus(a.client);
    for (const { name, id, url } of [a, b]) {
      if (!rollups.some(({ rollup }) => rollup === id)) {
        throw new Error(
          `${url} (${name}) is chain ${id}, and the sequencer executes ${rollups.map((r) => r.rollup).join(", ")}`,
        );
      }
    }
    if (a.id === b.id) throw new Error(`${a.url} and ${b.url} are the same rollup, ${a.id}`);
    await run(a, b);
  } catch (error) {
    console.error(`error: ${error.details ?? error.shortMessage ?? error.message}`);
    if (error.code?.startsWith?.("ERR_PARSE_ARGS")) console.error(usage);
    process.exitCode = 1;
  }
}

async function connect(name, url, options) {
  const client = createPublicClient({ transport: http(url), pollingInterval: 200 }).extend(walletActions);
  try {
    return { name, url, ...options, client, id: await client.getChainId() };
  } catch (error) {
    throw new Error(`no rollup answers at ${url}: ${error.details ?? error.shortMessage}`);
  }
}

/** The receipt of an ordinary transaction, which must have succeeded. */
async function succeeded(rollup, hash, what) {
  const receipt = await rollup.client.waitForTransactionReceipt({ hash, timeout: rollup.timeoutMs });
  if (receipt.status !== "success") throw new Error(`${what} on ${rollup.name} reverted: ${hash}`);
  return receipt;
}

/** Deploys a contract, and answers its address. */
export async function deploy(rollup, account, { abi, bytecode }, args, what) {
  const hash = await rollup.client.deployContract({ account, chain: null, abi, bytecode, args });
  const { contractAddress } = await succeeded(rollup, hash, `deploying ${what}`);
  console.log(`${what} on ${rollup.name}: ${contractAddress}`);
  return contractAddress;
}

/** A token on a rollup, of which the account has so much. Answers its address. */
export function deployToken(rollup, account, symbol, supply, contract = TOKEN) {
  return deploy(rollup, account, contract, [`Example ${symbol}`, symbol, parseUnits(supply, 18)], symbol);
}

/** Calls a token in an ordinary transaction. */
export async function callToken(rollup, account, address, functionName, args) {
  const hash = await rollup.client.writeContract({ account, chain: null, address, abi: TOKEN.abi, functionName, args });
  return succeeded(rollup, hash, functionName);
}

/** The transaction of a leg that calls a token: all its fields, without its binding. */
export function tokenLeg(rollup, account, token, functionName, args) {
  const data = encodeFunctionData({ abi: TOKEN.abi, functionName, args });
  return leg(rollup, account, { to: token, data, gas: LEG_GAS });
}

/** The transaction of a leg, with what its sender does not want to choose. */
export async function leg(rollup, account, transaction) {
  const [nonce, fees] = await Promise.all([
    rollup.client.getTransactionCount({ address: account.address, blockTag: "pending" }),
    rollup.client.estimateFeesPerGas(),
  ]);
  return { chainId: rollup.id, nonce, ...transaction, ...fees };
}

/** What a bundle's legs are bound to, beside each other. */
export async function bundleTerms(rollup, payer) {
  const { chain, domain, height } = await chainStatus(rollup.client);
  return { chain, domain, payer: payer.address, maxFee: MAX_FEE, expiry: height + LIFETIME, salt: randomSalt() };
}

/** Pays for the legs, sends the bundle, and waits for its end, which must be the expected one. */
export async function settle(rollup, account, terms, legs, expected) {
  const bundle = await payBundle({ account, terms, legs });
  const id = await sendBundle(rollup.client, bundle);
  console.log(`bundle ${id}`);
  const status = await waitForBundle(rollup.client, id, {
    timeoutMs: rollup.timeoutMs,
    onState: (state, { height }) => console.log(`  ${state}${height === undefined ? "" : ` at height ${height}`}`),
  });
  if (status.reason) console.log(`  reason${status.leg === undefined ? "" : ` (leg ${status.leg})`}: ${status.reason}`);
  if (status.state !== expected) throw new Error(`the bundle is ${status.state}, and should be ${expected}`);
  if (rollup.proofs) {
    const path = join(rollup.proofs, `${expected}-${id.slice(2, 10)}.proof`);
    mkdirSync(rollup.proofs, { recursive: true });
    writeFileSync(path, await proveEffect(rollup.client, id, { timeoutMs: rollup.timeoutMs }));
    console.log(`  attested: check it by  chorale verify --genesis devnet/genesis.toml ${path}`);
  }
}

/** The receipt of each leg, in the order of `rollups`. */
export function legReceipts(rollups, legs) {
  return Promise.all(legs.map(({ hash }, i) => succeeded(rollups[i], hash, "a leg")));
}

/** Throws if there is a receipt for a leg. */
export async function assertNoReceipts(rollups, legs) {
  const receipts = await Promise.all(
    legs.map(({ hash }, i) => rollups[i].client.request({ method: "eth_getTransactionReceipt", params: [hash] })),
  );
  if (receipts.some((receipt) => receipt !== null)) throw new Error("a leg of an aborted bundle has a receipt");
}

/** What each holder has of a token, and everything else that a transaction could change: a row for each. */
export function holdings(entries) {
  return Promise.all(
    entries.map(async ({ rollup, token, holder, account }) => {
      const read = (functionName, args) =>
        rollup.client.readContract({ address: token, abi: TOKEN.abi, functionName, args });
      const [symbol, tokens, supply, nonce, ether] = await Promise.all([
        read("symbol"),
        read("balanceOf", [account.address]),
        read("totalSupply"),
        rollup.client.getTransactionCount({ address: account.address }),
        rollup.client.getBalance({ address: account.address }),
      ]);
      return { rollup: rollup.name, holder, token: symbol, tokens, supply, nonce, ether };
    }),
  );
}

/** Prints what was there before and after a bundle. */
export function show(before, after) {
  const change = (i, field, format) => `${format(before[i][field])} -> ${format(after[i][field])}`;
  const amount = (value) => formatUnits(value, 18);
  const rows = before.map(({ rollup, holder, token }, i) => [
    `${holder} on ${rollup}`,
    `${change(i, "tokens", amount)} ${token}`,
    change(i, "supply", amount),
    change(i, "nonce", String),
  ]);
  print([["", "balance", "supply", "nonce"], ...rows]);
}

/** Prints a table, its columns as wide as they have to be. */
export function print(table) {
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  for (const row of table) {
    console.log(`  ${row.map((cell, column) => cell.padEnd(widths[column])).join("  ")}`.trimEnd());
  }
}

/** Throws unless tokens, supplies, nonces and ether are what they were. */
export function assertUnchanged(before, after) {
  if (!isDeepStrictEqual(before, after)) throw new Error("an aborted bundle has changed something");
}
