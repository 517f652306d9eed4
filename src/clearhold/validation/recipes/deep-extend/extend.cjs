"use strict";
// Target `extend`: objects extended; the proof is JSON.

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

require("/build/package")({}, read());
