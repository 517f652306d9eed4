"use strict";
// Target `zip-object-deep`: paths and values zipped to an object; the proof is a JSON array of paths.

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

const paths = read();
if (!Array.isArray(paths)) process.exit(UNUSABLE_PROOF);
console.log(shown(require("/build/package").zipObjectDeep(paths, paths.map(() => "value"))));
