"use strict";
// Target `set`: a property set by a path; the proof is JSON with the path.

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

const made = {};
require("/build/package").set(made, read().path, "value");
console.log(shown(made));
