// SPDX-License-Identifier: MIT OR Apache-2.0
// Compiles all contracts with the pinned compiler: `./x contracts`.

import { readFileSync, readdirSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const USAGE = `usage: node contracts/compile.mjs [--check]

Compiles contracts/ into contracts/out/*.json and crates/evm/src/mailbox.hex.

  --check  write nothing, and fail if what is there differs from what would be written`;

const SETTINGS = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "prague",
  // Bytes that depend on code alone: no hash of sources and comments.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

const contracts = fileURLToPath(new URL(".", import.meta.url));
const root = join(contracts, "..");
const solc = createRequire(join(root, "tools", "package.json"))("solc");

/** The Solidity files, as the compiler names them: relative to contracts/. */
function sources() {
  const names = readdirSync(contracts, { recursive: true }).filter((name) => name.endsWith(".sol"));
  return Object.fromEntries(
    names.sort().map((name) => [name.replaceAll("\\", "/"), { content: readFileSync(join(contracts, name), "utf8") }]),
  );
}

/** What the compiler makes of all contracts. Warnings are errors. */
function compile() {
  const input = { language: "Solidity", sources: sources(), settings: SETTINGS };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  if (output.errors?.length) {
    throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  }
  return Object.values(output.contracts).flatMap((ofFile) =>
    Object.entries(ofFile).map(([name, { abi, evm }]) => ({
      name,
      abi,
      bytecode: evm.bytecode.object,
      runtime: evm.deployedBytecode.object,
    })),
  );
}

/** The files to be written: path from the root, and content. Interfaces have no bytecode, and no file. */
function files() {
  const written = new Map();
  for (const { name, abi, bytecode, runtime } of compile().filter((contract) => contract.bytecode)) {
    const artifact = {
      contract: name,
      compiler: solc.version(),
      abi,
      bytecode: `0x${bytecode}`,
      runtime: `0x${runtime}`,
    };
    written.set(`contracts/out/${name}.json`, `${JSON.stringify(artifact, null, 2)}\n`);
    if (name === "Mailbox") written.set("crates/evm/src/mailbox.hex", `${runtime}\n`);
  }
  return written;
}

function read(path) {
  try {
    return readFileSync(join(root, path), "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Artifacts of contracts that are no more. */
function leftOver(written) {
  const out = join(contracts, "out");
  mkdirSync(out, { recursive: true });
  return readdirSync(out)
    .map((name) => `contracts/out/${basename(name)}`)
    .filter((path) => !written.has(path));
}

function check() {
  const written = files();
  const wrong = [...written].filter(([path, content]) => read(path) !== content).map(([path]) => path);
  wrong.push(...leftOver(written));
  if (wrong.length) {
    console.error(`not what the contracts compile to: ${wrong.join(", ")}\nrun ./x contracts and commit the result`);
    process.exit(1);
  }
  console.log(`${written.size} files are what the contracts compile to`);
}

function write() {
  const written = files();
  for (const path of leftOver(written)) rmSync(join(root, path));
  for (const [path, content] of written) {
    const changed = read(path) !== content;
    if (changed) writeFileSync(join(root, path), content);
    console.log(`${changed ? "written  " : "unchanged"} ${path}`);
  }
}

const [argument, ...rest] = process.argv.slice(2);
if (argument === undefined) write();
else if (argument === "--check" && rest.length === 0) check();
else if (argument === "--help" || argument === "-h") console.log(USAGE);
else {
  console.error(`unknown arguments: ${process.argv.slice(2).join(" ")}\n${USAGE}`);
  process.exit(2);
}
