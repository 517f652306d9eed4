"""Every fuzzer finds a real flaw through the same engine, goes on from where it was, and ends early."""

from __future__ import annotations

import time
from dataclasses import replace

import msgspec
import pytest

from clearhold.discovery.engine import Ending, Plan, Progress, Searched, Start, Workspace
from clearhold.discovery.engine_afl import Afl
from clearhold.discovery.engine_atheris import Atheris
from clearhold.discovery.fuzzing import Fuzzer, FuzzingEngine
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Flavour, Recipe, parse

BUDGET_S = 180


def search(
    fuzzer: Fuzzer,
    workspace: Workspace,
    target: str,
    *,
    told: list[Progress] | None = None,
    budget_s: int = BUDGET_S,
) -> Searched:
    seed = int(time.time()) % (2**32 - 1) + 1
    plan = Plan("", target, seed, budget_s, fuzzer.name)
    try:
        return FuzzingEngine(fuzzer).search(plan, workspace, (told or []).append)
    except UnavailableError as error:
        pytest.skip(f"{error.message} {error.next_step}")


def test_afl_finds_a_flaw_of_ujson_and_a_campaign_goes_on_from_its_corpus(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    if not laboratory.toolchain().fuzzer:
        pytest.skip("AFL++ is not installed; apt-get install afl++")
    workspace = Workspace(laboratory, ujson)
    short = search(Afl(), workspace, "encode", budget_s=1)
    assert short.executions > 0
    assert short.edges > 0
    assert set(ujson.seeds("encode")) <= set(short.corpus)
    before = Progress(short.executions, short.edges, short.spent_s, (), short.corpus)
    found = search(Afl(), replace(workspace, start=Start(before)), "encode")
    assert found.ending is Ending.FOUND, found.log
    assert found.executions > short.executions
    assert found.edges >= short.edges
    assert found.confirmed
    assert set(short.corpus) <= set(found.corpus)
    assert "lib/ultrajsonenc.c" in found.read
    assert found.lines > 0


def test_atheris_finds_where_ujson_reads_another_value(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    told: list[Progress] = []
    found = search(Atheris(), Workspace(laboratory, ujson), "decode", told=told)
    assert found.ending is Ending.FOUND, found.log
    assert found.confirmed[0].signature[0] == "wrong-result"
    assert found.executions > 0
    assert found.edges > 0
    assert "lib/ultrajsondec.c" in found.read


def test_each_fuzzer_takes_the_harnesses_it_can_run(ujson: Recipe) -> None:
    assert FuzzingEngine(Afl()).targets(ujson) == ("encode",)
    assert FuzzingEngine(Atheris()).targets(ujson) == ("decode",)
    instrumented = msgspec.structs.replace(ujson.target("decode"), flavour=Flavour.ADDRESS)
    assert not Atheris().fits(replace(ujson, targets={"decode": instrumented}), "decode")


def test_a_recipe_has_the_files_its_harness_names_and_no_flavour_of_afls(ujson: Recipe) -> None:
    without = {path: each for path, each in ujson.files.items() if path != "fuzz_decode.py"}
    with pytest.raises(InvalidError, match=r"fuzz_decode\.py"):
        parse("ujson", without)
    named = ujson.files["recipe.yaml"].replace(b"address, fuzz]", b"address, fuzz, afl]")
    with pytest.raises(InvalidError, match="afl"):
        parse("ujson", {**ujson.files, "recipe.yaml": named})
