"""The recipe for cJSON: Debian's own patches, left out, are what makes the older version."""

from __future__ import annotations

from clearhold.discovery.engine_libfuzzer import fuzz
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import examine
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.verdict import VerdictKind

TRAILING_COMMA = b'{"1":1,'


def test_a_read_beyond_the_text_is_gone_with_debians_patches(
    laboratory: Laboratory, cjson: Recipe
) -> None:
    done = examine(laboratory, cjson, target="parse", proof=TRAILING_COMMA, minimising_runs=0)
    assert done.verdict.kind is VerdictKind.REPRODUCED
    assert done.verdict.signature == (
        "out-of-bounds",
        "parse_string",
        "parse_object",
        "parse_value",
    )
    assert {run.kind for run in done.fixed} == {RunKind.CLEAN}
    assert done.fixed_build is not None
    assert done.vulnerable_build is not None
    assert done.vulnerable_build.source_digest == done.fixed_build.source_digest
    assert done.vulnerable_build.key != done.fixed_build.key


def test_what_the_fuzzer_finds_is_a_proof_for_the_same_target(
    laboratory: Laboratory, cjson: Recipe
) -> None:
    build = laboratory.build(cjson, Side.VULNERABLE, flavour=Flavour.FUZZ)
    found = fuzz(laboratory, build, "parse", seed=1, budget_s=20)
    assert found.crash is not None
    assert found.executions > 0
    done = examine(laboratory, cjson, target="parse", proof=found.crash, minimising_runs=0)
    assert done.verdict.confirmed
