"""Trying the targets of a draft: how long, and which of them is kept."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clearhold.validation.builder import Laboratory
from clearhold.validation.drafting import trial
from clearhold.validation.drafting.trial import Trial, best_of, tried
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
