"use strict";
// Runs the project's tests against the build, with a stand-in for what they use of Mocha's
// interface (suite, test), and leaves TAP as it goes.

const fs = require("node:fs");
const Module = require("node:module");

const RESULTS = "/out/results.tap";
const PATIENCE_MS = 5000;
const waiting = [];
let group = "";

function point(passed, name) {
  fs.appendFileSync(RESULTS, `${passed ? "ok" : "not ok"} - ${name}\n`);
}

global.suite = (name, body) => {
  const outer = group;
  group = name;
  body.call({timeout() {}});
  group = outer;
};
global.test = (name, body) => waiting.push([group, name, body]);
global.test.skip = () => undefined;

const load = Module._load;
Module._load = function (request, parent, isMain) {
  if (request === "../index") return load("/build/package", parent, isMain);
  return load(request, parent, isMain);
};

async function run(body) {
  if (body.length === 0) return body.call({timeout() {}});
  return new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("it does not end")), PATIENCE_MS).unref();
    body.call({timeout() {}}, (problem) => (problem ? reject(problem) : resolve()));
  });
}

(async () => {
  require("/work/test/test.js");
  for (const [name, title, body] of waiting) {
    fs.appendFileSync(RESULTS, `# ${name.replace(/\s+/g, " ")}\n`);
    try {
      await run(body);
      point(true, title);
    } catch {
      point(false, title);
    }
  }
})();
