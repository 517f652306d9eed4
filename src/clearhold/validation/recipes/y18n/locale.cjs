"use strict";
// Target `locale`: a locale chosen and extended; the proof is JSON with its name and its words.

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

const proof = read();
const words = require("/build/package")({updateFiles: false});
words.setLocale(proof.locale);
words.updateLocale(proof.words);
console.log(shown(Object.keys(proof.words).map((word) => words.__(word))));
