"use strict";
// Target `parse`: a command line parsed; the proof is a JSON array of arguments.

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

const proof = read();
if (!Array.isArray(proof) || !proof.every((each) => typeof each === "string")) process.exit(UNUSABLE_PROOF);
console.log(JSON.stringify(require("/build/package")(proof)).slice(0, 2000));
