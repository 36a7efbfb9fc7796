// SPDX-License-Identifier: MIT OR Apache-2.0
// What both sessions share: whom they are, what they deploy, and how they say what they did.

import assert from "node:assert/strict";

/** The first development account. */
export const KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
export const ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
export const STRANGER = "0x00000000000000000000000000000000000057A4";
/** Deploys a contract that logs its input, with its caller and the block's number as topics, and returns its input. */
export const ECHO = "0x61000c80600a5f395ff3365f5f374333365fa2365ff3";
/** Deploys a contract that reverts with its input. */
export const REVERTING = "0x61000780600a5f395ff3365f5f37365ffd";
/** `Error("because")`. */
export const BECAUSE =
  "0x08c379a0" +
  "0000000000000000000000000000000000000000000000000000000000000020" +
  "0000000000000000000000000000000000000000000000000000000000000007" +
  "6265636175736500000000000000000000000000000000000000000000000000";

const DEADLINE_MS = 60_000;

/** Runs one step, says what it did, and ends the session if it fails or takes too long. */
export async function step(name, run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name}: not within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  try {
    const said = await Promise.race([run(), late]);
    console.log(`${name}: ${said ?? "ok"}`);
  } catch (error) {
    console.error(`${name} failed:`, error);
    process.exit(1);
  } finally {
    clearTimeout(timer);
  }
}

/** Something that happens later: `{ done, promise }`. */
export function later() {
  let done;
  const promise = new Promise((resolve) => (done = resolve));
  return { done, promise };
}

export function url() {
  const given = process.argv[2];
  assert(given, `usage: node ${process.argv[1]} http://HOST:PORT`);
  return given;
}
