"use strict";
// Target `posix`: a path taken apart; the proof is the path.

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

// What came out is shown in part: a proof may be long.
console.log(JSON.stringify(require("/build/package").posix(read())).slice(0, 2000));
