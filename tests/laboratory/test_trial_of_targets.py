"""Trying the targets of a draft: how long, and which of them is kept."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clearhold.validation.builder import BuildFailedError, Laboratory
from clearhold.validation.drafting import Parts, scripted, trial
from clearhold.validation.drafting.survey import Entry, Survey
from clearhold.validation.drafting.trial import Trial, best_of, built_one_way, tried
from clearhold.validation.recipe import Recipe

LABORATORY = cast("Laboratory", SimpleNamespace(workers=1))
NAMES = [f"way-{number}" for number in range(100)]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The targets that tell the sides apart; no other does."""
    telling: set[str] = set()

    def once(_: object, __: object, ___: object, name: str) -> Any:
        return SimpleNamespace(target=name, telling=name in telling)

    monkeypatch.setattr(trial, "_tried", once)
    return telling


def _names(seconds: float, patience_s: float) -> list[str]:
    ticks = itertools.count(0.0, seconds)
    made = tried(
        LABORATORY,
        cast("Recipe", None),
        b"",
        NAMES,
        patience_s=patience_s,
        clock=lambda: next(ticks),
    )
    return [each.target for each in made]


def test_no_target_is_tried_after_the_time_is_over(shown: set[str]) -> None:
    assert not shown
    slow = _names(1.0, 20.0)
    assert 1 < len(slow) <= 20
    assert slow == NAMES[: len(slow)]
    assert _names(0.0, 20.0) == NAMES


def test_one_target_is_tried_however_little_time_there_is(shown: set[str]) -> None:
    assert not shown
    assert _names(1.0, 0.0) == NAMES[:1]


def test_trials_end_with_the_first_that_tells_the_sides_apart(shown: set[str]) -> None:
    shown.add("way-3")
    names = _names(0.0, 20.0)
    assert "way-3" in names
    assert len(names) < len(NAMES)


def test_nothing_tried_is_nothing_kept() -> None:
    assert best_of(cast("list[Trial]", [])) is None


def test_no_other_way_of_building_is_begun_after_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise BuildFailedError("It fails.", next_step="", stage="build", log="no x.h")

    laboratory = cast("Laboratory", SimpleNamespace(build=fails))
    target = SimpleNamespace(flavour="plain")
    ticks = itertools.count(0.0, 10.0)
    parts = built_one_way(
        laboratory,
        lambda _: cast("Recipe", SimpleNamespace(targets={"way": target})),
        [(name, Parts(b"", [])) for name in ("units", "cmake", "make")],
        otherwise=Parts(b"by hand", []),
        patience_s=15.0,
        clock=lambda: next(ticks),
    )
    assert parts.missing == [
        "building by units fails: no x.h",
        "building by cmake fails: no x.h",
        "building by make was not tried after 15 seconds",
    ]


def test_releases_that_define_the_same_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("trim", "trim")
    sides = [Survey([entry], {"index.js.trim": (digest, [])}) for digest in ("a", "a", "a", "b")]
    answers = iter(sides)
    monkeypatch.setattr(scripted, "survey", lambda *_, **__: next(answers))
    laboratory = cast("Laboratory", SimpleNamespace(build=lambda *_, **__: None))
    material = scripted.Material(("trim",), b"", node=True)
    same, other = (
        scripted.surveyed(laboratory, material, lambda _: cast("Recipe", None), "")[1]
        for _ in range(2)
    )
    assert [each for each in same if "--vulnerable" in each]
    assert not other
