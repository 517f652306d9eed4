"use strict";
// Target `render`: a fixed template rendered from its file with data; the proof is JSON with the data, as a query string gives it.

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

require("/build/package").renderFile("/recipe/page.ejs", read(), (refused, page) => {
  console.log(refused ? "refused" : page.length);
});
