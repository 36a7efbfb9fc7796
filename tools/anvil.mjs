// SPDX-License-Identifier: MIT OR Apache-2.0
// Starts the pinned anvil, for tests in JavaScript.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";

const DEADLINE_MS = 30_000;

function binary() {
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const name = `@foundry-rs/anvil-${process.platform}-${architecture}/bin/anvil`;
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch {
    throw new Error(`${name} is not installed: run ./x tools`);
  }
}

/** A fresh chain at a port that was free: `{ url, stop }`. Rejects if it does not listen within 30 seconds. */
export function startAnvil({ chainId, args = [] }) {
  const child = spawn(binary(), ["--port", "0", "--chain-id", String(chainId), "--hardfork", "prague", ...args]);
  const ended = new Promise((resolve) => child.once("close", resolve));
  const stop = async () => {
    child.kill();
    await ended;
  };
  let output = "";
  return new Promise((resolve, reject) => {
    const fail = (why) => stop().then(() => reject(new Error(`anvil ${why}: ${output}`)));
    const deadline = setTimeout(() => fail(`did not listen within ${DEADLINE_MS} ms`), DEADLINE_MS);
    const read = (chunk) => {
      output += chunk;
      const listening = /Listening on (\S+:\d+)/.exec(output);
      if (!listening) return;
      clearTimeout(deadline);
      resolve({ url: `http://${listening[1]}`, stop });
    };
    // Read to the end: a full pipe would stop it.
    child.stdout.setEncoding("utf8").on("data", read);
    child.stderr.setEncoding("utf8").on("data", (chunk) => (output += chunk));
    child.once("error", (error) => reject(error));
    child.once("close", (code) => {
      clearTimeout(deadline);
      reject(new Error(`anvil ended with ${code}: ${output}`));
    });
  });
}
