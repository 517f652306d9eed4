"use strict";
// Gives a proof to a Node package by a call; a plan of the recipe says what may be called.
//
// Called with the proof and the plan, both files. The plan is JSON: `package` is its name, `allow`
// what may be called ("default" is the module itself, "a.b" an export of an export) and `methods`
// what may be called on results. With `call`, the plan is the call, and {"$proof": FORM} in its
// arguments is where the proof goes; without it, the proof is JSON and itself names the call:
//
//   {"call": "merge", "args": [{}, {"a": 1}], "new": false, "then": [{"call": "render", "args": []}]}
//
// In `then`, the name "()" calls the result itself. Only what the plan allows is ever called, so that a proof is data and no program. What the package
// throws is a refusal and a good end; a name or module that is not there is none.

const fs = require("node:fs");
const path = require("node:path");
const { createRequire } = require("node:module");
const { inspect } = require("node:util");

const UNUSABLE_PROOF = 65;
const HARNESS_FAULT = 70;
const MOST_SHOWN = 256 * 1024;
const ITSELF = "()";
const MOST_ITEMS = 100000;
const { hasOwn, keys, defineProperty } = Object;
const end = process.exit.bind(process);
const say = (text) => fs.writeSync(1, text.slice(0, MOST_SHOWN) + "\n");

class Unusable extends Error {}

async function load(name) {
  try {
    return createRequire("/build/load.cjs")(name);
  } catch (problem) {
    const known = ["ERR_REQUIRE_ESM", "ERR_REQUIRE_ASYNC_MODULE", "ERR_PACKAGE_PATH_NOT_EXPORTED"];
    if (!known.includes(problem.code)) throw problem;
    return (await import("/build/load.mjs")).load(name);
  }
}

function found(subject, name) {
  if (name === "default") return typeof subject === "function" ? subject : subject.default ?? subject;
  let thing = subject;
  for (const part of name.split(".")) {
    if (thing === null || thing === undefined) return undefined;
    thing = thing[part];
  }
  return thing;
}

class Caller {
  constructor(subject, plan, proof) {
    Object.assign(this, { subject, plan, proof, answered: null });
  }

  async run() {
    if (hasOwn(this.plan, "call")) return this.step(this.plan);
    const call = this.parsed();
    if (call === null || typeof call !== "object" || Array.isArray(call)) throw new Unusable("expected an object");
    if (!hasOwn(call, "call") && this.plan.allow.length === 1) call.call = this.plan.allow[0];
    return this.step(call);
  }

  async step(step) {
    if (!step || typeof step !== "object" || typeof step.call !== "string") throw new Unusable("a call is an object with a name");
    const what = this.named(step.call);
    let result = await this.called(what, this.owner(step.call), step);
    for (const following of hasOwn(step, "then") ? step.then : []) {
      if (!following || !(this.plan.methods ?? []).includes(following.call)) throw new Unusable("no method that may be called");
      if (result === null || result === undefined) throw new Unusable("nothing to call on");
      const method = following.call === ITSELF ? result : result[following.call];
      if (typeof method !== "function") throw new Unusable("no such method");
      result = await this.called(method, result, following);
    }
    return result;
  }

  canonical(name) {
    const own = this.plan.package.split("/").pop();
    if (!this.plan.allow.includes(name) && name === own) name = "default";
    if (this.plan.allow.includes(name)) return name;
    const fitting = this.plan.allow.filter((each) => each.endsWith("." + name));
    if (fitting.length !== 1) throw new Unusable("nothing that may be called");
    return fitting[0];
  }

  named(name) {
    const what = found(this.subject, this.canonical(name));
    if (typeof what !== "function") {
      console.error("not there:", name);
      end(HARNESS_FAULT);
    }
    return what;
  }

  owner(name) {
    const parts = this.canonical(name).split(".");
    return parts.length > 1 ? found(this.subject, parts.slice(0, -1).join(".")) : this.subject;
  }

  async called(what, owner, step) {
    const args = await this.value(hasOwn(step, "args") ? step.args : []);
    if (!Array.isArray(args)) throw new Unusable("args is a list");
    let waiting = null;
    if (this.answered) {
      waiting = this.answered;
      this.answered = null;
    }
    const made = step.new === true || /^class\b/.test(Function.prototype.toString.call(what))
      ? Reflect.construct(what, args) : await Reflect.apply(what, owner, args);
    return waiting ? waiting : made;
  }

  parsed() {
    try {
      return JSON.parse(this.text());
    } catch {
      throw new Unusable("the proof is no JSON");
    }
  }

  text() {
    return this.proof.toString("utf8");
  }

  async value(given) {
    if (Array.isArray(given)) {
      for (let at = 0; at < given.length; at++) given[at] = await this.value(given[at]);
      return given;
    }
    if (given === null || typeof given !== "object") return given;
    const names = keys(given);
    if (names.length === 1 && names[0].startsWith("$") && hasOwn(GIVING, names[0])) {
      return GIVING[names[0]](this, given[names[0]]);
    }
    // Defined and not assigned, so that a member called __proto__ stays one.
    for (const name of names) {
      const each = await this.value(Object.getOwnPropertyDescriptor(given, name).value);
      defineProperty(given, name, { value: each, writable: true, enumerable: true, configurable: true });
    }
    return given;
  }
}

function file(name, content) {
  const place = path.basename(String(name)) || "file";
  fs.writeFileSync(place, content);
  return path.resolve(place);
}

const GIVING = {
  __proto__: null,
  $proof(caller, form) {
    if (form === "text") return caller.text();
    if (form === "bytes") return caller.proof;
    if (form === "json") return caller.parsed();
    if (form === "words") return caller.text().split(/\s+/).filter(Boolean);
    if (form.startsWith("file")) return file("proof" + form.slice(4), caller.proof);
    if (form === "args") {
      const args = caller.parsed();
      return caller.value(Array.isArray(args) ? args : args && Array.isArray(args.args) ? args.args : [args]);
    }
    return end(HARNESS_FAULT);
  },
  $bytes: (caller, text) => Buffer.from(String(text), "base64"),
  $file: (caller, what) => file(what.name, what.bytes ? Buffer.from(what.bytes, "base64") : String(what.text ?? "")),
  $export: (caller, name) => caller.named(String(name)),
  $call: (caller, step) => caller.step(step),
  $undefined: () => undefined,
  $object: () => ({}),
  $function: () => (value) => value,
  $callback(caller) {
    let answer;
    caller.answered = new Promise((resolve) => { answer = resolve; });
    return (refused, value) => answer(refused ? "refused" : value);
  },
};

function shown(result) {
  if (typeof result === "string") return result;
  if (Buffer.isBuffer(result)) return result.toString("utf8");
  if (result !== null && typeof result === "object" && typeof result.next === "function") {
    const items = [];
    for (const item of result) if (items.push(item) >= MOST_ITEMS) break;
    return inspect(items);
  }
  return inspect(result, { depth: 4 });
}

async function main() {
  const proof = fs.readFileSync(process.argv[2]);
  const plan = JSON.parse(fs.readFileSync(process.argv[3], "utf8"));
  const subject = await load(plan.package);
  const missing = (problem) => problem?.code === "MODULE_NOT_FOUND" || problem?.code === "ERR_MODULE_NOT_FOUND";
  const refuse = (problem) => {
    if (problem instanceof Unusable) {
      console.error("unusable proof:", problem.message);
      end(UNUSABLE_PROOF);
    }
    if (missing(problem)) {
      console.error(problem.message);
      end(HARNESS_FAULT);
    }
    say("refused");
  };
  process.on("uncaughtException", refuse);
  process.on("unhandledRejection", refuse);
  try {
    say(shown(await new Caller(subject, plan, proof).run()));
  } catch (problem) {
    refuse(problem);
  }
}

main().catch((problem) => {
  console.error(problem);
  end(HARNESS_FAULT);
});
