"use strict";
// Target `unflatten`: an object unflattened; the proof is JSON.

const fs = require("node:fs");

const UNUSABLE_PROOF = 65;

function read() {
  try {
    return JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
  } catch {
    console.error("unusable proof");
    process.exit(UNUSABLE_PROOF);
  }
}

console.log(JSON.stringify(require("/build/package").unflatten(read())).slice(0, 2000));
