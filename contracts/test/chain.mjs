// SPDX-License-Identifier: MIT OR Apache-2.0
// An anvil with the mailbox, for tests.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { startAnvil } from "../../tools/anvil.mjs";

const require = createRequire(new URL("../../tools/package.json", import.meta.url));
export const viem = require("viem");
const { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } = require("viem/accounts");

export const MAILBOX = "0xb0dd1e0000000000000000000000000000000000";
const MNEMONIC = "test test test test test test test test test test test junk";

/** What the compiler has made of a contract. */
export function artifact(name) {
  return JSON.parse(readFileSync(new URL(`../out/${name}.json`, import.meta.url)));
}

/** A fresh chain on which the mailbox is where it belongs. */
export async function openChain(chainId) {
  const anvil = await startAnvil({ chainId, args: ["--steps-tracing"] });
  const client = viem
    .createTestClient({ mode: "anvil", transport: viem.http(anvil.url), pollingInterval: 20 })
    .extend(viem.publicActions)
    .extend(viem.walletActions);
  await client.setCode({ address: MAILBOX, bytecode: artifact("Mailbox").runtime });
  const account = mnemonicToAccount(MNEMONIC);
  const common = { account, chain: null };

  /** Signs, sends and waits for the receipt, also of what reverts. */
  async function transact(transaction) {
    const hash = await client.sendTransaction({ ...common, type: "eip1559", ...transaction });
    return client.waitForTransactionReceipt({ hash });
  }

  async function deploy({ abi, bytecode }, args = []) {
    const hash = await client.deployContract({ ...common, abi, bytecode, args });
    return (await client.waitForTransactionReceipt({ hash })).contractAddress;
  }

  /** A fresh account whose code is that of `contractAddress` (EIP-7702). */
  async function delegate(contractAddress) {
    const authority = privateKeyToAccount(generatePrivateKey());
    const authorization = await authority.signAuthorization({ chainId, nonce: 0, contractAddress });
    await transact({ type: "eip7702", to: account.address, authorizationList: [authorization] });
    return authority.address.toLowerCase();
  }

  /** Gas that the EVM used: without what a transaction costs before it begins. */
  async function executionGas(hash) {
    const { structLogs } = await client.request({ method: "debug_traceTransaction", params: [hash, {}] });
    const last = structLogs.at(-1);
    return structLogs[0].gas - last.gas + last.gasCost;
  }

  return { client, account, transact, deploy, delegate, executionGas, stop: anvil.stop };
}
