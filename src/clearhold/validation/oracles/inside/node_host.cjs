// The watcher's part within Node, required before the target: it remembers what the prototypes that
// all objects share are like, and tells at the end what was added to them or changed. It tells by a
// token that the watcher gave it alone; what it needs then it takes now, while nobody can have
// changed it.
"use strict";

const { readSync, writeSync, closeSync } = require("node:fs");
const { ownKeys, getOwnPropertyDescriptor } = Reflect;
const { is } = Object;
const text = String;
const encode = encodeURIComponent;
const bytes = Buffer.from;

const [take, tell] = process.env.CLEARHOLD_WATCH.split(",").map(Number);
delete process.env.CLEARHOLD_WATCH;
const buffer = Buffer.alloc(64);
const token = buffer.subarray(0, readSync(take, buffer, 0, 64, null)).toString("latin1");
closeSync(take);

const said = new Map();
const has = said.has.bind(said);
const add = said.set.bind(said);

function say(kind, detail) {
  if (has(kind)) return;
  add(kind, true);
  writeSync(tell, bytes(token + " " + kind + " " + detail + "\n", "latin1"));
}

const shared = [];
const globals = ["Object", "Array", "Function", "String", "Number", "Boolean", "RegExp", "Date",
  "Promise", "Map", "Set", "Error"];
for (let at = 0; at < globals.length; at++) {
  const prototype = globalThis[globals[at]].prototype;
  const known = [];
  const keys = ownKeys(prototype);
  for (let each = 0; each < keys.length; each++) {
    known[each] = [keys[each], getOwnPropertyDescriptor(prototype, keys[each])];
  }
  shared[at] = [globals[at] + ".prototype", prototype, known];
}

function changed(prototype, known) {
  const keys = ownKeys(prototype);
  for (let at = 0; at < keys.length; at++) {
    const now = getOwnPropertyDescriptor(prototype, keys[at]);
    let before;
    for (let each = 0; each < known.length; each++) {
      if (known[each][0] === keys[at]) before = known[each][1];
    }
    // What is added by assignment can be enumerated; polyfills define theirs so that it cannot.
    if (before === undefined ? now.enumerable
      : !is(before.value, now.value) || before.get !== now.get || before.set !== now.set) {
      return true;
    }
  }
  return false;
}

Object.defineProperty(globalThis, "clearhold_canary", {
  value: () => { say("eval", "clearhold_canary"); return "clearhold_canary"; },
});

process.on("exit", () => {
  for (let at = 0; at < shared.length; at++) {
    if (changed(shared[at][1], shared[at][2])) say("pollution", encode(text(shared[at][0])));
  }
  say("ended", "-");
});
