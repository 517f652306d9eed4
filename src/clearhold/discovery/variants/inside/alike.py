"""Finds functions that are like others in trees that strangers wrote; runs inside the sandbox.

Reads one question as JSON at /in/question and writes lines of JSON. Source is cut into functions by
its braces, or in Python by its indentation, and into tokens. Names of variables, numbers and texts
count for nothing, names that are called do, so that a function that was renamed, re-indented or
copied with changes stays alike. Two functions are as alike as the share of runs of five tokens that
the shorter one has in common with the longer.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, "/in")
from browse import opened, tell
from cutting import Function, functions

LEAST_RUNS = 20
MOST_MODELS = 12
WIDEST = 4
"""How many times longer one of two functions that are compared may be."""
SHOWN_LINES = 3
WIDTH = 200


def text_of(root: str, inner: str, largest: int) -> str:
    """The text of a file; empty when it is none, or too large."""
    try:
        content = opened(root, inner)
    except OSError:
        return ""
    return "" if b"\0" in content or len(content) > largest else content.decode("utf-8", "replace")


def models(question: dict[str, Any]) -> list[tuple[str, Function]]:
    """The functions that are asked for: by name, or because they hold one of some lines."""
    names, places = set(question["names"]), question["places"]
    found = []
    for root, inner, path in question["model"]:
        text = text_of(root, inner, question["largest"])
        lines = [(first, last) for place, first, last in places if path == place]
        if not lines and not any(name in text for name in names):
            continue
        for each in functions(path, text):
            within = any(each.first <= last and first <= each.last for first, last in lines)
            if (each.name in names or within) and len(each.runs) >= LEAST_RUNS:
                found.append((path, each))
    return found[:MOST_MODELS]


def alike(first: Function, second: Function) -> float:
    """How alike two functions are, from 0 to 1."""
    less, more = sorted((len(first.runs), len(second.runs)))
    if less < LEAST_RUNS or more > less * WIDEST:
        return 0.0
    return len(first.runs & second.runs) / less


def main() -> None:
    """Answer the question."""
    question = json.loads(Path("/in/question").read_text("utf-8"))
    wanted = models(question)
    for path, each in wanted:
        tell(model=each.name, path=path, first=each.first)
    sys.stdout.flush()
    until = time.monotonic() + question["seconds"]
    itself = {(path, each.first) for path, each in wanted} if question["same"] else set()
    for number, (root, inner, path) in enumerate(question["over"]):
        if time.monotonic() > until:
            tell(cut=number)
            return
        text = text_of(root, inner, question["largest"])
        for each in functions(path, text):
            if (path, each.first) in itself:
                continue
            best, like = max(
                ((alike(model, each), model.name) for _, model in wanted), default=(0.0, "")
            )
            if best >= question["least"]:
                shown = text.split("\n")[each.first - 1 : each.first - 1 + SHOWN_LINES]
                tell(
                    file=number,
                    line=each.first,
                    name=each.name[:WIDTH],
                    like=like[:WIDTH],
                    score=round(best * 100),
                    text=[line[:WIDTH] for line in shown],
                )
    tell(done=True)


if __name__ == "__main__":
    main()
