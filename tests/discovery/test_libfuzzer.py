"""libFuzzer finds a real flaw from benign seeds, within its budget and nowhere but in the sandbox."""

from __future__ import annotations

import time

import pytest

from clearhold.demo import material
from clearhold.discovery.engine_libfuzzer import fuzz
from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import examine
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.verdict import VerdictKind


def test_a_search_from_any_seed_finds_a_crash_that_is_a_proof_as_it_is(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    build = laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.FUZZ)
    progress: list[tuple[int, int]] = []
    seed = int(time.time()) % (2**32 - 1) + 1
    found = fuzz(
        laboratory,
        build,
        "encode",
        seed=seed,
        budget_s=60,
        on_progress=lambda executions, edges: progress.append((executions, edges)),
    )
    assert found.crash is not None, f"seed {seed}: {found.log}"
    assert found.crash not in ujson.seeds("encode").values()
    assert progress == sorted(progress)
    assert found.executions >= progress[-1][0] > 0
    assert found.edges > 0
    done = examine(laboratory, ujson, target="encode", proof=found.crash, minimising_runs=0)
    assert done.verdict.kind is VerdictKind.REPRODUCED, done.verdict.reason


def test_a_search_of_fixed_code_ends_with_its_budget_and_finds_nothing(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    build = laboratory.build(
        ujson, Side.VULNERABLE, flavour=Flavour.FUZZ, patch=material.real_fix()
    )
    found = fuzz(laboratory, build, "encode", seed=1, budget_s=2)
    assert found.crash is None, found.log
    assert found.executions > 1000


def test_only_a_fuzz_build_of_a_target_with_a_harness_is_searched(
    laboratory: Laboratory, ujson: Recipe
) -> None:
    plain = laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.PLAIN)
    harnessed = laboratory.build(ujson, Side.VULNERABLE, flavour=Flavour.FUZZ)
    with pytest.raises(InvalidError):
        fuzz(laboratory, plain, "encode", seed=1, budget_s=1)
    with pytest.raises(InvalidError):
        fuzz(laboratory, harnessed, "decode", seed=1, budget_s=1)
    with pytest.raises(NotFoundError):
        fuzz(laboratory, harnessed, "no-such-target", seed=1, budget_s=1)
