"use strict";
// Target `extend`: objects extended; the proof is JSON.

const fs = require("node:fs");
const shown = require("/recipe/shown.cjs");

const UNUSABLE_PROOF = 65;

function read() {
  try {
    return JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
  } catch {
    console.error("unusable proof");
    process.exit(UNUSABLE_PROOF);
  }
}

console.log(shown(require("/build/package")({}, read())));
