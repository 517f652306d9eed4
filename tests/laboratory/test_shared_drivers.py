"""The shared drivers: a proof calls what its recipe allows, and is never a program."""

from __future__ import annotations

import base64
import json
from importlib import resources
from typing import Any

import pytest

from clearhold.ports.sandbox import Job, Limits, Outcome
from clearhold.validation.builder import Laboratory

UNUSABLE, FAULT = 65, 70
PYTHON = b"""
import os
from os import system
class Box:
    def __init__(self, content, times=1):
        self.content = content * times
    def show(self):
        return self.content
    def _hidden(self):
        return "hidden"
def join(*given, **named):
    return repr((given, sorted(named.items())))
def two(one, other):
    return one + other
def fails(given):
    raise ValueError(given)
def lacks(given):
    import not_there_at_all
def many():
    yield from "ab"
"""
NODE = b"""
class Box {
  constructor(content) { this.content = content; }
  show() { return this.content; }
}
exports.Box = Box;
exports.join = (...given) => JSON.stringify(given);
exports.fails = () => { throw new Error("x"); };
exports.lacks = () => require("not-there-at-all");
exports.late = (given, answer) => setTimeout(() => answer(null, "late " + given), 1);
exports.made = (given) => () => "called " + given;
exports.own = (given) => Object.keys(given).join();
exports.exec = require("node:child_process").execSync;
"""


def driven(laboratory: Laboratory, plan: dict[str, Any], proof: bytes, *, node: bool) -> Outcome:
    if node and not laboratory.toolchain().has("node"):
        pytest.skip("the sandbox finds no node")
    name = "call.cjs" if node else "call.py"
    driver = (resources.files("clearhold.validation") / "drivers" / name).read_bytes()
    files = {
        "/build/node_modules/part/index.js": NODE,
        "/build/part.py": PYTHON,
        f"/recipe/{name}": driver,
        "/recipe/plan.json": json.dumps(plan).encode(),
        "/in/proof": proof,
    }
    start = ("/usr/bin/node",) if node else ("/usr/bin/python3", "-s", "-S")
    return laboratory.run(
        Job(
            argv=(
                "/bin/sh",
                "-c",
                'cd /work; exec "$@"',
                "sh",
                *start,
                f"/recipe/{name}",
                "/in/proof",
                "/recipe/plan.json",
            ),
            files=files,
            env={"PYTHONPATH": "/build"},
            limits=Limits(wall_s=20.0),
        )
    )


def python_plan(**more: Any) -> dict[str, Any]:
    names = ("Box", "join", "two", "fails", "lacks", "many")
    return {
        "package": ["part"],
        "allow": [f"part.{each}" for each in names],
        "methods": ["show"],
        **more,
    }


def node_plan(**more: Any) -> dict[str, Any]:
    names = ["Box", "join", "fails", "lacks", "late", "made", "own"]
    return {"package": "part", "allow": names, "methods": ["show", "()"], **more}


SHOWN = [
    (
        False,
        {"call": "join", "args": [1, {"$tuple": [2]}], "kwargs": {"a": []}},
        "((1, (2,)), [('a', [])])",
    ),
    (False, {"call": "part.Box", "args": ["x", 3], "then": [{"call": "show"}]}, "xxx"),
    (
        False,
        {"call": "two", "args": [{"$bytes": base64.b64encode(b"a").decode()}, {"$bytes": "Yg=="}]},
        "ab",
    ),
    (False, {"call": "two", "args": [{"$call": {"call": "two", "args": ["a", "b"]}}, "c"]}, "abc"),
    (False, {"call": "many"}, "['a', 'b']"),
    (False, {"call": "fails", "args": ["x"]}, "refused ValueError"),
    (True, {"call": "join", "args": [1, {"a": [{"$undefined": 1}]}]}, '[1,{"a":[null]}]'),
    (True, {"call": "Box", "args": ["x"], "then": [{"call": "show"}]}, "x"),
    (True, {"call": "late", "args": ["x", {"$callback": 1}]}, "late x"),
    (True, {"call": "made", "args": ["x"], "then": [{"call": "()"}]}, "called x"),
    (True, {"call": "fails"}, "refused"),
]


@pytest.mark.parametrize(("node", "proof", "shown"), SHOWN, ids=range(len(SHOWN)))
def test_a_proof_names_a_call_and_its_result_is_shown(
    laboratory: Laboratory, *, node: bool, proof: dict[str, Any], shown: str
) -> None:
    plan = node_plan() if node else python_plan()
    outcome = driven(laboratory, plan, json.dumps(proof).encode(), node=node)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.decode().strip() == shown


def test_a_member_called_proto_stays_a_member(laboratory: Laboratory) -> None:
    proof = b'{"call": "own", "args": [{"__proto__": {"a": {"$undefined": 1}}, "b": 1}]}'
    assert driven(laboratory, node_plan(), proof, node=True).stdout == b"__proto__,b\n"


REFUSED = [
    (False, b'{"call": "part.system", "args": ["id"]}', UNUSABLE),
    (False, b'{"call": "os.system", "args": ["id"]}', UNUSABLE),
    (False, b'{"call": "part.Box._hidden", "args": []}', UNUSABLE),
    (False, b'{"call": "Box", "args": ["x"], "then": [{"call": "_hidden"}]}', UNUSABLE),
    (False, b'{"call": "two", "args": ["x", "y"], "then": [{"call": "show"}]}', UNUSABLE),
    (False, b'{"call": "two", "args": ["only one"]}', UNUSABLE),
    (False, b"print(1)", UNUSABLE),
    (False, b'[{"call": "two"}]', UNUSABLE),
    (False, b'{"call": "lacks", "args": [1]}', 1),
    (True, b'{"call": "exec", "args": ["id"]}', UNUSABLE),
    (True, b'{"call": "Box", "args": [], "then": [{"call": "constructor"}]}', UNUSABLE),
    (True, b'{"call": "join.constructor", "args": ["return 1"]}', UNUSABLE),
    (True, b'{"call": "lacks"}', FAULT),
    (True, b"{", UNUSABLE),
]


@pytest.mark.parametrize(("node", "proof", "ends"), REFUSED, ids=range(len(REFUSED)))
def test_what_the_recipe_does_not_allow_is_never_called(
    laboratory: Laboratory, *, node: bool, proof: bytes, ends: int
) -> None:
    outcome = driven(laboratory, node_plan() if node else python_plan(), proof, node=node)
    assert outcome.exit_code == ends, outcome.stdout


@pytest.mark.parametrize("node", [False, True])
def test_a_release_without_what_is_called_shows_nothing(
    laboratory: Laboratory, *, node: bool
) -> None:
    name = "gone" if node else "part.gone"
    plan = (node_plan if node else python_plan)(allow=[name])
    outcome = driven(laboratory, plan, b'{"call": "gone", "args": []}', node=node)
    assert outcome.exit_code == FAULT


@pytest.mark.parametrize(
    ("node", "args", "proof", "shown"),
    [
        (False, [{"$proof": "text"}], b"x", "(('x',), [])"),
        (False, [{"$proof": "bytes"}], b"\xff", "((b'\\xff',), [])"),
        (False, {"$proof": "args"}, b'["a", 1]', "(('a', 1), [])"),
        (False, [{}, {"$proof": "json"}], b'{"$export": "x"}', "(({}, {'$export': 'x'}), [])"),
        (False, [{"$proof": "file.txt"}], b"x", "(('proof.txt',), [])"),
        (True, [{"$proof": "text"}], b"x", '["x"]'),
        (True, {"$proof": "args"}, b'{"args": ["a", 1]}', '["a",1]'),
        (True, [{"$proof": "json"}, 1], b'{"a": 2}', '[{"a":2},1]'),
    ],
)
def test_a_plan_says_where_the_proof_goes(
    laboratory: Laboratory, *, node: bool, args: Any, proof: bytes, shown: str
) -> None:
    plan = (node_plan if node else python_plan)(call="join" if node else "part.join", args=args)
    outcome = driven(laboratory, plan, proof, node=node)
    assert outcome.stdout.decode().strip() == shown, outcome.stderr
