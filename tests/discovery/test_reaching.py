"""The files that a fuzzer reached are named by what runs, within the lease, or said to be unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clearhold.discovery.engine import Ending, Searched
from clearhold.discovery.outcome import effort_of
from clearhold.discovery.reaching import MOST_INPUTS, reached
from clearhold.validation.builder import BuildFailedError, Laboratory
from clearhold.validation.recipe import Recipe
from parcel_project import parcel

EVERYTHING = ("**",)


def _nothing() -> None:
    pass


def test_a_module_that_ran_is_named_within_the_lease_alone(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    own, recipe, _ = parcel(laboratory, tmp_path)
    asked: list[None] = []

    def known(scope: tuple[str, ...]) -> Any:
        corpus = {str(n): b"a=%d\n" % n for n in range(2)}
        return reached(own, recipe, "unpack", corpus, scope=scope, pulse=lambda: asked.append(None))

    found = known(EVERYTHING)
    assert (found.files, found.why) == (("parcel.py",), "")
    assert 10 < found.lines < 30
    assert 0 < len(asked) <= MOST_INPUTS
    elsewhere = known(("lib/**",))
    assert elsewhere.files == ()
    assert elsewhere.why


def test_what_cannot_be_built_for_it_is_said_to_be_unknown(
    laboratory: Laboratory, ujson: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_given: Any, **_named: Any) -> None:
        raise BuildFailedError("It does not build.", next_step="Look.", stage="build", log="")

    monkeypatch.setattr(laboratory, "build", fails)
    found = reached(laboratory, ujson, "encode", {"a": b"[]"}, scope=EVERYTHING, pulse=_nothing)
    assert (found.files, found.why) == ((), "It does not build.")


def test_a_fuzzer_that_tells_files_still_tells_its_executions() -> None:
    done = Searched(Ending.BUDGET, executions=7, edges=3, read=("a.c",), lines=2, listed=False)
    assert effort_of(done) == {"files": 1, "executions": 7, "edges": 3, "lines": 2}
    assert "executions" not in effort_of(replace(done, edges=0))
