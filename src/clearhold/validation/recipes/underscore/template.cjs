"use strict";
// Target `template`: a template compiled under the variable name that the proof is.

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

const variable = read();
try {
  console.log(require("/build/package").template("<% print(1) %>", {variable})({}).length);
} catch (refused) {
  console.log(refused instanceof Error ? "refused" : "thrown");
}
