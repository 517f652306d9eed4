"""What is known of unpatched builds, so that every candidate for one recipe is compared with the same.

A hub judges many candidates for one package; what they are compared with does not depend on them.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from clearhold.patches import behaviour, writing
from clearhold.patches.behaviour import Answer, Case
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.leavings import Left
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe, Side
from clearhold.validation.suite import SuiteRun, run_suite

_MOST_RECIPES: Final = 64


class Baselines:
    """Benign answers, offered names and test runs of unpatched builds, each made once.

    Kept in memory alone, for as long as the laboratory is open; a test run can be asked for again.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._answers: dict[str, dict[Case, Answer]] = {}
        self._asked: dict[str, dict[Case, Answer]] = {}
        self._left: dict[str, dict[Case, Left]] = {}
        self._offered: dict[str, dict[str, str] | None] = {}
        self._suites: dict[str, list[SuiteRun]] = {}

    def behaviour(self, laboratory: Laboratory, recipe: Recipe) -> dict[Case, Answer]:
        """How the unpatched builds answer benign inputs, as far as they answer steadily."""
        key = f"{recipe.digest}:{_sources(recipe)}"
        with self._alone(f"answers:{key}"):
            if key not in self._answers:
                _bounded(self._answers)
                given = behaviour.cases(laboratory, recipe)
                builds = {
                    name: _build(laboratory, recipe, target.flavour)
                    for name, target in recipe.targets.items()
                }
                first = behaviour.answers(laboratory, builds.__getitem__, given)
                fit = [case for case in given if first[case].run.exit_code is not None]
                again = behaviour.answers(laboratory, builds.__getitem__, fit)
                self._answers[key] = behaviour.steady({case: first[case] for case in fit}, again)
            return self._answers[key]

    def asked(
        self, laboratory: Laboratory, recipe: Recipe, given: Sequence[Case]
    ) -> dict[Case, Answer]:
        """How the unpatched builds answer these, asked once; such as do not end well are left out."""
        key = f"{recipe.digest}:{_sources(recipe)}"
        with self._alone(f"asked:{key}"):
            if key not in self._asked:
                _bounded(self._asked)
            kept = self._asked.setdefault(key, {})
            builds = {
                each.target: _build(laboratory, recipe, recipe.target(each.target).flavour)
                for each in given
            }
            kept |= behaviour.answers(
                laboratory, builds.__getitem__, [each for each in given if each not in kept]
            )
            return {each: kept[each] for each in given if kept[each].run.kind is RunKind.CLEAN}

    def leavings(self, laboratory: Laboratory, recipe: Recipe) -> dict[Case, Left]:
        """What benign inputs leave alike in the scratch of the unpatched builds."""
        known = self.behaviour(laboratory, recipe)
        key = f"{recipe.digest}:{_sources(recipe)}"
        with self._alone(f"left:{key}"):
            if key not in self._left:
                _bounded(self._left)
                builds = {
                    name: _build(laboratory, recipe, target.flavour)
                    for name, target in recipe.targets.items()
                }
                self._left[key] = writing.left_alike(laboratory, builds.__getitem__, known)
            return self._left[key]

    def offered(self, laboratory: Laboratory, recipe: Recipe) -> dict[str, str] | None:
        """What the unpatched package offers; None where that cannot be asked."""
        if Flavour.PLAIN not in recipe.build.flavours:
            return None
        build = _build(laboratory, recipe, Flavour.PLAIN)
        with self._alone(f"offered:{build.key}"):
            if build.key not in self._offered:
                _bounded(self._offered)
                self._offered[build.key] = behaviour.offered(laboratory, build)
            return self._offered[build.key]

    def suites(self, laboratory: Laboratory, recipe: Recipe, runs: int) -> list[SuiteRun]:
        """At least so many runs of the project's tests without a patch."""
        tests = recipe.tests
        if tests is None:
            return []
        build = _build(laboratory, recipe, tests.flavour)
        with self._alone(f"suites:{build.key}"):
            _bounded(self._suites)
            made = self._suites.setdefault(build.key, [])
            while len(made) < runs:
                made.append(run_suite(laboratory, build))
            return list(made)

    def _alone(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks[name]


def _build(laboratory: Laboratory, recipe: Recipe, flavour: Flavour) -> Build:
    return laboratory.build(recipe, Side.VULNERABLE, flavour=flavour)


def _sources(recipe: Recipe) -> str:
    side = recipe.side(Side.VULNERABLE)
    return ",".join((side.version, *(each.sha256 for each in side.sources), *side.without))


def _bounded(kept: dict[str, Any]) -> None:
    if len(kept) > _MOST_RECIPES:
        kept.pop(next(iter(kept)))
