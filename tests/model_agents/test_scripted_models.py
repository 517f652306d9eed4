"""A scripted model reads real code and writes proofs of real flaws, with its tools alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clearhold.discovery.agents import transcript
from clearhold.discovery.agents.engine_model import ModelEngine
from clearhold.discovery.agents.journal import MemoryJournal
from clearhold.discovery.engine import Ending, Plan, Progress, Searched, Start, Workspace
from clearhold.kernel.errors import UnavailableError
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side, load
from scripted_model import Script, in_turn, serving, wish, wishes


def search(
    laboratory: Laboratory,
    recipe: Recipe,
    script: Script,
    *,
    target: str,
    scope: tuple[str, ...] = ("**",),
    journal: MemoryJournal | None = None,
    **options: str,
) -> Searched:
    version = recipe.side(Side.VULNERABLE).version
    plan = Plan(f"{recipe.package}@{version}", target, 1, 120, "model", options)
    start = Start(scope=scope, journal=journal or MemoryJournal())
    told: list[Progress] = []
    with serving(script) as endpoint:
        engine = ModelEngine(endpoint.model(), context=32_000)
        found = engine.search(plan, Workspace(laboratory, recipe, start), told.append)
    assert told
    return found


def last_answer(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What the tool that was called last answered."""
    assert messages[-1]["role"] == "tool"
    answer: dict[str, Any] = json.loads(messages[-1]["content"])
    return answer


def reader_of_ujson(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Looks where the encoder indents, reads how much room it has, and writes past it."""
    called = [call for each in messages for call in each.get("tool_calls", ())]
    if not called:
        return wish("describe_targets")
    if len(called) == 1:
        (target,) = last_answer(messages)["targets"]
        assert "JSON" in json.dumps(target) or target["driver"]
        return wish("search", pattern="Buffer_AppendIndentUnchecked", glob="lib/*.c")
    if len(called) == 2:
        hit = last_answer(messages)["hits"][0]
        return wish("read_file", path=hit["path"], first=hit["line"], count=20)
    if len(called) == 3:
        lines = last_answer(messages)["lines"]
        assert any("indent" in line for line in lines)
        noted = {"text": "Indentation is written unchecked.", "path": "lib/ultrajsonenc.c"}
        program = "import sys; sys.stdout.write('[' * 100 + ' ' * 100)"
        return wishes(
            ("note_hypothesis", noted | {"line": 1, "weakness": "CWE-787"}),
            ("run_proof", {"target": "encode", "program": program}),
        )
    raise AssertionError(messages[-1])


def test_the_flaw_of_ujson_is_found_by_reading(laboratory: Laboratory, ujson: Recipe) -> None:
    journal = MemoryJournal()
    found = search(laboratory, ujson, reader_of_ujson, target="encode", journal=journal)
    assert found.ending is Ending.FOUND, found.log
    (crash,) = found.confirmed
    assert (crash.content, crash.target) == (b"[" * 100 + b" " * 100, "encode")
    assert crash.verdict.startswith("reproduced")
    assert "AddressSanitizer" in crash.reason
    (lead,) = found.leads
    assert (lead.rule, lead.path) == ("model:CWE-787", "lib/ultrajsonenc.c")
    assert found.executions == 1
    assert transcript.head(journal.pieces) == journal.head
    kinds = [json.loads(content)["kind"] for content, _ in journal.pieces]
    assert kinds[0] == "begin"
    assert kinds[-1] == "end"
    assert kinds.count("tool") == 5
    assert journal.head.hex() in found.log


def test_the_flaw_of_cjson_is_found_by_trying(laboratory: Laboratory, cjson: Recipe) -> None:
    texts = ["[]", '{"1":1}', '{"1":1,']

    def script(messages: list[dict[str, Any]]) -> dict[str, Any]:
        tried = sum(each["role"] == "tool" for each in messages)
        assert not tried or last_answer(messages)["counts"] is False
        return wish("run_proof", target="parse", text=texts[tried])

    found = search(laboratory, cjson, script, target="parse")
    assert found.ending is Ending.FOUND, found.log
    assert [each.content.decode() for each in found.confirmed] == texts[-1:]
    assert found.executions == len(texts)


def test_a_pollution_of_minimist_is_found(laboratory: Laboratory) -> None:
    recipe = load("minimist")
    try:
        laboratory.source_tree(recipe, Side.VULNERABLE)
    except UnavailableError as error:
        pytest.skip(f"{error.message} {error.next_step}")
    steps = [
        wish("describe_targets"),
        wish("read_file", path="index.js", count=120),
        wish("run_proof", target="parse", text=json.dumps(["--__proto__.polluted=yes"])),
        wish("run_proof", target="parse", text=json.dumps(["--constructor.prototype.x=yes"])),
        wish("give_up"),
    ]
    found = search(laboratory, recipe, in_turn(steps), target="parse")
    assert found.ending is Ending.FOUND, found.log
