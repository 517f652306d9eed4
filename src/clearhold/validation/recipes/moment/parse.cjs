"use strict";
// Target `parse`: a date in the format of mails read; the proof is the text.

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

const moment = require("/build/package");
console.log(moment(read(), moment.RFC_2822).isValid());
