"use strict";
// Target `wrap`: text wrapped and trimmed; the proof is the text.

const fs = require("node:fs");

const UNUSABLE_PROOF = 65;

function read() {
  try {
    return new TextDecoder("utf-8", {fatal: true}).decode(fs.readFileSync(process.argv[2]));
  } catch {
    console.error("unusable proof");
    process.exit(UNUSABLE_PROOF);
  }
}

console.log(require("/build/package")(read(), {width: 1000000, trim: true}).length);
