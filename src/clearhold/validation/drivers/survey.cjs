"use strict";
// Tells what a built Node package offers and how each part is made, as JSON at /out/survey.json.
//
// Called with the package's name. It loads the package: hence only inside the sandbox. Of each piece
// of source that begins with a function's name, a hash and the names it uses are told, so that two
// releases can be compared and what leads to a change be found.

const fs = require("node:fs");
const path = require("node:path");
const { createHash } = require("node:crypto");
const { builtinModules, createRequire } = require("node:module");

const MOST_ENTRIES = 3000;
const MOST_FILES = 1500;
const LARGEST_FILE = 600 * 1024;
const LONGEST_LINE = 2000;
const SKIPPED = new Set(["node_modules", "test", "tests", "__tests__", "spec", "example", "examples", "bench", "docs"]);
const HEAD = /^\s*(?:export\s+)?(?:default\s+)?(?:async\s+)?(?:function\s*\*?\s*([\w$]+)|class\s+([\w$]+)|(?:const|let|var)\s+([\w$]+)\s*=|([\w$.]+)\s*[=:]\s*(?:async\s*)?(?:function|\(|[\w$]+\s*=>)|(?:static\s+|async\s+|get\s+|set\s+|\*\s*)*([\w$]+)\s*\([^()]*\)\s*\{)/;
const NOT_NAMES = new Set(["if", "for", "while", "switch", "catch", "return", "function", "else", "with"]);
const words = (text) => [...new Set(text.match(/[A-Za-z_$][\w$]*/g) ?? [])];
const digest = (text) => createHash("sha256").update(text.replace(/\s+/g, " ")).digest("hex").slice(0, 16);
const source = (what) => Function.prototype.toString.call(what);

async function load(name) {
  try {
    return createRequire("/build/load.cjs")(name);
  } catch {
    return (await import("/build/load.mjs")).load(name);
  }
}

const builtin = new Set();
for (const name of builtinModules) {
  if (name.startsWith("_") || name === "sys" || name === "punycode") continue;
  for (const each of Object.values(require(name))) if (typeof each === "function") builtin.add(each);
}

function methodsOf(what) {
  const told = {};
  for (let at = what.prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) {
      const how = Object.getOwnPropertyDescriptor(at, name);
      if (name !== "constructor" && typeof how.value === "function" && !/\[native code\]/.test(source(how.value))) {
        told[name] ??= how.value.length;
      }
    }
  }
  return told;
}

function entries(subject) {
  const told = [];
  const known = new Set();
  const visit = (thing, name, depth) => {
    if (told.length >= MOST_ENTRIES || thing === null || known.has(thing)) return;
    if (typeof thing !== "function" && typeof thing !== "object") return;
    known.add(thing);
    if (typeof thing === "function") {
      const text = source(thing);
      if (builtin.has(thing) || /\[native code\]/.test(text)) return;
      const methods = thing.prototype ? methodsOf(thing) : {};
      told.push({
        name: name || "default", own: thing.name || name || "default", length: thing.length,
        class: /^class\b/.test(text) || Object.keys(methods).length > 0, methods, uses: words(text), digest: digest(text),
      });
    }
    if (depth >= 3) return;
    for (const key of Object.getOwnPropertyNames(thing)) {
      if (["prototype", "caller", "arguments", "callee", "__esModule", "constructor"].includes(key) || !/^[A-Za-z_$][\w$]*$/.test(key)) continue;
      let value;
      try {
        value = thing[key];
      } catch {
        continue;
      }
      if (value && typeof value === "object" && !(Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null)
        && !(value.constructor && !/\[native code\]/.test(source(value.constructor)))) continue;
      const below = name && name !== "default" ? `${name}.${key}` : key;
      visit(value, below, depth + 1);
    }
  };
  visit(subject, "", 0);
  if (subject && subject.default) visit(subject.default, "default", 1);
  return told;
}

function* files(directory) {
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    const place = path.join(directory, entry.name);
    if (entry.isDirectory() && !SKIPPED.has(entry.name) && !entry.name.startsWith(".")) yield* files(place);
    if (entry.isFile() && /\.(?:c|m)?js$/.test(entry.name) && !/\.min\./.test(entry.name)) yield place;
  }
}

function definitions(root) {
  const told = {};
  let count = 0;
  for (const file of files(root)) {
    if (++count > MOST_FILES || fs.statSync(file).size > LARGEST_FILE) continue;
    const lines = fs.readFileSync(file, "utf8").split("\n");
    if (lines.some((line) => line.length > LONGEST_LINE)) continue;
    const at = path.relative(root, file);
    let name = "";
    let piece = [];
    const close = () => {
      const text = piece.join("\n").replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
      const key = `${at}.${name || "(top)"}`;
      told[key] = told[key] ? [digest(told[key][0] + text), told[key][1].concat(words(text))] : [digest(text), words(text)];
    };
    for (const line of lines) {
      const head = HEAD.exec(line);
      const named = head && head.slice(1).find((each) => each);
      if (named && !NOT_NAMES.has(named)) {
        close();
        name = named.split(".").pop();
        piece = [];
      }
      piece.push(line);
    }
    close();
  }
  const names = new Set(Object.keys(told).map((each) => each.split(".").pop()));
  for (const each of Object.values(told)) each[1] = each[1].filter((word) => names.has(word));
  return told;
}

async function main() {
  const name = process.argv[2];
  const problems = [];
  let found = [];
  try {
    found = entries(await load(name));
  } catch (problem) {
    problems.push(String(problem && problem.message).slice(0, 300));
  }
  const defined = definitions(`/build/node_modules/${name}`);
  const names = new Set(Object.keys(defined).map((each) => each.split(".").pop()));
  for (const each of found) each.uses = each.uses.filter((word) => names.has(word));
  fs.writeFileSync("/out/survey.json", JSON.stringify({ entries: found, definitions: defined, problems }));
  process.exit(0);
}

main();
