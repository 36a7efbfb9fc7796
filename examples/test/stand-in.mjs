// SPDX-License-Identifier: MIT OR Apache-2.0
// Stands in for Chorale in tests of the scripts: two anvils, before each a server that also knows bundles. It orders
// nothing and proves nothing, but executes bundles by the same rules: all legs or none.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createTestClient, http, parseEventLogs, parseTransaction, publicActions, recoverMessageAddress } from "viem";
import { recoverTransactionAddress } from "viem";
import { startAnvil } from "../../tools/anvil.mjs";
import { MAILBOX, binding, bundleId, payMessage, transactionId } from "../chorale.mjs";

const { abi, runtime } = JSON.parse(readFileSync(new URL("../../contracts/out/Mailbox.json", import.meta.url)));
export const CHAIN = `0x${"c4".repeat(32)}`;
const DOMAIN = 1;

/** Two rollups in one domain: `{ urls, stop }`. */
export async function startStandIn(ids = [1001, 1002]) {
  const rollups = new Map();
  for (const id of ids) {
    const anvil = await startAnvil({ chainId: id });
    const client = createTestClient({ mode: "anvil", transport: http(anvil.url), pollingInterval: 20 }).extend(
      publicActions,
    );
    await client.setCode({ address: MAILBOX, bytecode: runtime });
    rollups.set(id, { id, anvil, client });
  }
  const sequencer = new Sequencer(rollups);
  const servers = await Promise.all([...rollups.values()].map((rollup) => serve(sequencer, rollup)));
  return {
    urls: servers.map((server) => `http://127.0.0.1:${server.address().port}`),
    sequencer,
    async stop() {
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
      await Promise.all([...rollups.values()].map(({ anvil }) => anvil.stop()));
    },
  };
}

class Sequencer {
  /** What was sent, by id: the states that it will go through. */
  bundles = new Map();

  constructor(rollups) {
    this.rollups = rollups;
  }

  chorale_chain() {
    const rollups = [...this.rollups.keys()].map((rollup) => ({ rollup, url: null }));
    return { chain: CHAIN, domain: DOMAIN, height: 7, rollups };
  }

  async chorale_sendBundle({ domain, legs, payer, maxFee, expiry, salt, attempt, signature }) {
    const terms = { domain, payer, maxFee, expiry, salt };
    const id = bundleId({ ...terms, attempt, legIds: legs.map(({ rollup, data }) => transactionId(rollup, data)) });
    const paidBy = await recoverMessageAddress({ message: { raw: payMessage(CHAIN, id) }, signature });
    if (domain !== DOMAIN) throw new Error("another domain");
    if (paidBy.toLowerCase() !== payer.toLowerCase()) throw new Error("another payer");
    const parsed = await Promise.all(
      legs.map(async ({ rollup, data }) => ({
        rollup,
        sender: await recoverTransactionAddress({ serializedTransaction: data }),
        transaction: parseTransaction(data),
      })),
    );
    const expected = binding({ chain: CHAIN, ...terms, legs: parsed });
    const unbound = parsed.findIndex(({ transaction }) => transaction.accessList.at(-1).storageKeys[1] !== expected);
    const end =
      unbound < 0 ? await this.execute(legs) : { state: "aborted", leg: unbound, reason: "is of another bundle" };
    this.bundles.set(id, [{ state: "pending" }, { state: "committed", height: 8 }, { height: 8, ...end }]);
    return id;
  }

  /** The next state with every question, until the last. */
  chorale_bundleStatus(id) {
    const states = this.bundles.get(id);
    if (!states) throw Object.assign(new Error("no such bundle"), { code: -32053 });
    return states.length > 1 ? states.shift() : states[0];
  }

  async execute(legs) {
    const clients = [...this.rollups.values()].map(({ client }) => client);
    const snapshots = await Promise.all(clients.map((client) => client.snapshot()));
    const failure = await this.run(legs);
    if (!failure) return { state: "executed" };
    await Promise.all(clients.map((client, i) => client.revert({ id: snapshots[i] })));
    return { state: "aborted", ...failure };
  }

  /** Executes legs, one after the other. Answers what is wrong, if anything is. */
  async run(legs) {
    /** Messages that are under way. */
    let open = [];
    for (const [leg, { rollup, data }] of legs.entries()) {
      const { client } = this.rollups.get(rollup);
      const hash = await client.sendRawTransaction({ serializedTransaction: data });
      const receipt = await client.waitForTransactionReceipt({ hash });
      if (receipt.status !== "success") return { leg, reason: "reverted" };
      const logs = receipt.logs.filter(({ address }) => address === MAILBOX);
      const events = parseEventLogs({ abi, logs });
      for (const { args } of events.filter(({ eventName }) => eventName === "Consumed")) {
        const at = open.indexOf(key({ ...args, destination: rollup }));
        if (at < 0) return { leg, reason: "consumes a message that no earlier leg sent" };
        open.splice(at, 1);
      }
      for (const { args } of events.filter(({ eventName }) => eventName === "Sent")) {
        open.push(key({ ...args, source: rollup }));
      }
    }
    return open.length ? { reason: "a message was not consumed" } : undefined;
  }
}

function key({ source, destination, sender, receiver, data }) {
  return [source, destination, sender, receiver, data].join();
}

/** JSON-RPC of one rollup: of the sequencer what is its own, of anvil the rest. */
function serve(sequencer, { client }) {
  const server = createServer(async (request, response) => {
    const { id, method, params } = JSON.parse(Buffer.concat(await request.toArray()));
    const answer = { jsonrpc: "2.0", id };
    try {
      if (method === "eth_sendRawTransaction" && namesMailbox(params[0]))
        throw new Error("a leg, outside of its bundle");
      const own = method.startsWith("chorale_");
      answer.result = own ? await sequencer[method](...params) : await client.request({ method, params });
    } catch (error) {
      answer.error = { code: error.code ?? -32602, message: error.details ?? error.message };
    }
    response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

function namesMailbox(raw) {
  return (parseTransaction(raw).accessList ?? []).some(({ address }) => address.toLowerCase() === MAILBOX);
}
