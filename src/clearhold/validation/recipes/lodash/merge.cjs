"use strict";
// Target `merge`: objects merged; the proof is JSON.

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

const merged = require("/build/package").merge({}, read());
console.log(shown(merged));
