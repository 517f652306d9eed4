"use strict";
// Runs the project's tests against the build, with a stand-in for what they use of `tape`, and
// leaves TAP as it goes, so that a run that is cut off has told what it saw.

const assert = require("node:assert");
const fs = require("node:fs");
const Module = require("node:module");

const RESULTS = "/out/results.tap";
const TESTS = "/work/test";
let count = 0;

function point(passed, name) {
  count += 1;
  fs.appendFileSync(RESULTS, `${passed ? "ok" : "not ok"} ${count} - ${name}\n`);
}

function holds(check) {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

function tape(name, body) {
  fs.appendFileSync(RESULTS, `# ${name.replace(/\s+/g, " ")}\n`);
  let planned = null;
  let seen = 0;
  const shown = (passed, message) => point(passed, message || `assertion ${(seen += 1)}`);
  const t = {
    equal: (got, wanted, message) => shown(Object.is(got, wanted) || got === wanted, message),
    deepEqual: (got, wanted, message) => shown(holds(() => assert.deepEqual(got, wanted)), message),
    ok: (got, message) => shown(Boolean(got), message),
    plan: (number) => (planned = number),
    end: () => undefined,
  };
  t.same = t.deepEqual;
  const before = count;
  point(holds(() => body(t)), "comes to its end");
  if (planned !== null) point(count - before - 1 === planned, "has as many assertions as planned");
}

const load = Module._load;
Module._load = function (request, parent, isMain) {
  if (request === "tape" || request === "tap") return tape;
  if (/^\.\.\/?(index(\.js)?)?$/.test(request)) return load("/build/package", parent, isMain);
  return load(request, parent, isMain);
};

for (const file of fs.readdirSync(TESTS).filter((each) => each.endsWith(".js")).sort()) {
  fs.appendFileSync(RESULTS, `# ${file}\n`);
  point(holds(() => require(`${TESTS}/${file}`)), "loads");
}
