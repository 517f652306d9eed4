"use strict";
// Runs the project's test program against the build. It is one run of assertions: each becomes a
// point of TAP, and the first that fails ends it, as it does without this.

const assert = require("node:assert");
const fs = require("node:fs");
const Module = require("node:module");

const RESULTS = "/out/results.tap";
const load = Module._load;
let count = 0;

function told(check) {
  return (...values) => {
    count += 1;
    try {
      check(...values);
    } catch (problem) {
      fs.appendFileSync(RESULTS, `not ok ${count}\n`);
      throw problem;
    }
    fs.appendFileSync(RESULTS, `ok ${count}\n`);
  };
}

const watched = {...assert};
for (const name of ["ok", "deepEqual", "equal"]) watched[name] = told(assert[name]);

Module._load = function (request, parent, isMain) {
  if (request === "assert") return watched;
  if (request === "./index") return load("/build/package", parent, isMain);
  return load(request, parent, isMain);
};

require("/work/test.js");
