"use strict";
// An answer as one line of text, the same for the same answer: names in order, functions left out,
// cut where it is deep or long. What an object inherits is not looked at, for a proof may have changed it.

const { isArray } = Array;
const { keys } = Object;
const DEEPEST = 12;
const MOST_HELD = 2000;
const MOST_SHOWN = 8192;

module.exports = (answer) => {
  let left = MOST_HELD;
  const text = (value, depth) => {
    if (typeof value === "string") return JSON.stringify(value.slice(0, MOST_SHOWN));
    if (value === null || typeof value !== "object") return String(value);
    if (depth > DEEPEST || left <= 0) return "...";
    // By names, so that an array with one far item is not gone through.
    const names = isArray(value) ? keys(value) : keys(value).sort();
    const parts = [];
    for (const name of names.slice(0, left)) {
      if (typeof value[name] === "function") continue;
      left -= 1;
      parts.push(JSON.stringify(name) + ":" + text(value[name], depth + 1));
    }
    return isArray(value) ? "[" + parts.join() + "]" : "{" + parts.join() + "}";
  };
  return text(answer, 0).slice(0, MOST_SHOWN);
};
