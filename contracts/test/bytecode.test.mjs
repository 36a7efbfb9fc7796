// SPDX-License-Identifier: MIT OR Apache-2.0
// What the compiler has made of the mailbox's measurement.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { artifact } from "./chain.mjs";

const NAMES = {
  0x15: "ISZERO",
  0x54: "SLOAD",
  0x55: "SSTORE",
  0x57: "JUMPI",
  0x5a: "GAS",
  0x5b: "JUMPDEST",
  0x5f: "PUSH0",
  0xfd: "REVERT",
};

/** The instructions, without what PUSH pushes. */
function instructions(hex) {
  const code = Buffer.from(hex.replace("0x", ""), "hex");
  const found = [];
  for (let at = 0; at < code.length; at++) {
    const pushed = Math.max(0, code[at] - 0x5f);
    const isPush = code[at] > 0x5f && code[at] <= 0x7f;
    found.push(isPush ? "PUSH" : (NAMES[code[at]] ?? code[at]));
    if (isPush) at += pushed;
  }
  return found;
}

test("the only SLOAD stands between the only two readings of the gas, and little else does", () => {
  const found = instructions(artifact("Mailbox").runtime);
  const first = found.indexOf("GAS");
  const last = found.lastIndexOf("GAS");
  assert.equal(found.filter((name) => name === "GAS").length, 2);
  assert.equal(found.filter((name) => name === "SLOAD").length, 1);
  assert.deepEqual(found.slice(first, last + 1), [
    ..."GAS PUSH0 SLOAD ISZERO PUSH JUMPI".split(" "),
    ..."PUSH0 PUSH0 REVERT".split(" "),
    ..."JUMPDEST GAS".split(" "),
  ]);
});

test("the mailbox stores nothing, calls nobody, and is what the executor has", () => {
  const { runtime } = artifact("Mailbox");
  const found = instructions(runtime);
  const others = {
    SSTORE: "SSTORE",
    TSTORE: 0x5d,
    CREATE: 0xf0,
    CALL: 0xf1,
    CALLCODE: 0xf2,
    DELEGATECALL: 0xf4,
    CREATE2: 0xf5,
    STATICCALL: 0xfa,
    SELFDESTRUCT: 0xff,
  };
  for (const [name, instruction] of Object.entries(others)) assert.ok(!found.includes(instruction), name);
  const executors = readFileSync(new URL("../../crates/evm/src/mailbox.hex", import.meta.url), "utf8");
  assert.equal(executors, `${runtime.slice(2)}\n`);
});
