"use strict";
// Target `set`: a value set by a path; the proof is JSON with the path.

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

const { path } = read();
try {
  const made = {};
  require("/build/package")(made, path, "value");
  console.log(shown(made));
} catch (refused) {
  console.log(refused instanceof Error ? "refused" : "thrown");
}
