"use strict";
// Target `parse`: an INI file read; the proof is the file.

const fs = require("node:fs");
const shown = require("/recipe/shown.cjs");

const UNUSABLE_PROOF = 65;

function read() {
  try {
    return new TextDecoder("utf-8", {fatal: true}).decode(fs.readFileSync(process.argv[2]));
  } catch {
    console.error("unusable proof");
    process.exit(UNUSABLE_PROOF);
  }
}

console.log(shown(require("/build/package").parse(read())));
