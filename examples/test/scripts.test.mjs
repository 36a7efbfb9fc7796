// SPDX-License-Identifier: MIT OR Apache-2.0
// The scripts as a newcomer runs them, against two anvils that a stand-in makes a sequencer of.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startStandIn } from "./stand-in.mjs";

let standIn;

before(async () => {
  standIn = await startStandIn();
});
after(() => standIn?.stop());

/** Runs a script to its end: its exit code and what it says. */
function run(script, ...args) {
  const path = fileURLToPath(new URL(`../${script}`, import.meta.url));
  return new Promise((resolve) => {
    execFile(process.execPath, [path, ...args], { timeout: 120_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr });
    });
  });
}

test("token.mjs moves tokens, and cannot make any", async () => {
  const { code, stdout, stderr } = await run("token.mjs", ...standIn.urls);
  assert.equal(code, 0, stdout + stderr);
  assert.match(
    stdout,
    /executed at height 8\n.*\n  me on A  100 -> 75 EX +100 -> 75 .*\n  me on B  0 -> 25 EX +0 -> 25 /,
  );
  assert.match(stdout, /reason \(leg 1\): consumes a message that no earlier leg sent/);
  assert.match(stdout, /no receipts\.\n$/);
});

test("swap.mjs swaps both or neither", async () => {
  const { code, stdout, stderr } = await run("swap.mjs", ...standIn.urls);
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /Bob on A    0 -> 10 X .*\n  Alice on B  0 -> 20 Y /);
  assert.match(stdout, /reason \(leg 1\): reverted/);
  assert.match(stdout, /no receipts\.\n$/);
});

/** Anvil has no precompiled contract of ours: `crates/evm/src/tests/flash.rs` runs the contracts. */
test("flash.mjs says that a domain has no synchronous calls", async () => {
  const { code, stdout, stderr } = await run("flash.mjs", ...standIn.urls);
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /^error: the rollups of this domain cannot call each other: .* synchronous_calls\n$/);
});

test("scripts explain themselves and their errors", async () => {
  const [url] = standIn.urls;
  for (const script of ["token.mjs", "swap.mjs", "flash.mjs"]) {
    const help = await run(script, "--help");
    assert.deepEqual([help.code, help.stderr], [0, ""]);
    assert.match(help.stdout, new RegExp(`^usage: node ${script} `));
    const cases = [
      [["--nonsense"], /Unknown option/],
      [[url], /both RPC_A and RPC_B/],
      [[url, url], /the same rollup, 1001/],
      [["--timeout", "soon", url, url], /--timeout is soon/],
      [["http://127.0.0.1:1", url], /no rollup answers at http:\/\/127\.0\.0\.1:1/],
    ];
    for (const [args, expected] of cases) {
      const { code, stderr } = await run(script, ...args);
      assert.equal(code, 1);
      assert.match(stderr, expected);
    }
  }
});
