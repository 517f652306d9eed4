"""Trying a drafted harness: whether it is sound on benign inputs, and whether searching it leads anywhere.

What is drafted from names and types is often wrong: it passes nothing where something is needed, or
calls what takes no input at all. So only what a few seconds of searching bear out is offered. A harness
that fails on a benign input or on none, or in its own code, is the draft's mistake.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from clearhold.discovery.engine import Standing, Workspace
from clearhold.discovery.engine_atheris import Atheris
from clearhold.discovery.engine_libfuzzer import LibFuzzer
from clearhold.discovery.fuzzing import Turn, judge
from clearhold.kernel.errors import ClearholdError, NotFoundError
from clearhold.validation.builder import Laboratory
from clearhold.validation.drafting.trial import alone
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Recipe, Side
from clearhold.validation.reproduce import Run, run_many

BENIGN: Final = b"a\n"
FORMS: Final = (
    b'<a b="c">d<e/></a>\n',
    b'{"a": [1, -2.5e3, "b", null, true]}\n',
    b"[a]\nb = 1\nc: d\n",
    b'a,"b",c\n1,2,3\n',
    b"https://a.example:80/b/c?d=e#f",
    b"2001-02-03T04:05:06+07:00",
    b"# a\n\n* b **c** [d](e)\n",
)
"""Inputs in common forms, tried as seeds beside a project's own examples; none is anybody's file."""
MOST_SEEDS: Final = 8
SEARCH_S: Final = 4
_SEED: Final = 1
_LEAST_NEW: Final = 3


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one harness.

    `edges` and `executions` are those of the short search, `new` how many inputs it found that reach
    more than the benign ones, `seeds` the inputs besides that it takes clean, `met` what the
    laboratory confirmed of a crash, or empty. `why_not` says why it is not offered, or is empty.
    """

    target: str
    edges: int = 0
    executions: int = 0
    new: int = 0
    seeds: tuple[bytes, ...] = ()
    met: str = ""
    why_not: str = ""

    @property
    def order(self) -> tuple[int, str]:
        """Sorts what reaches most to the front."""
        return (-self.edges, self.target)


def sound(laboratory: Laboratory, recipe: Recipe, target: str) -> tuple[str, tuple[Run, ...]]:
    """Why a harness fails on a benign input or on none, or empty; and the runs of the two."""
    build = laboratory.build(recipe, Side.VULNERABLE, flavour=recipe.target(target).flavour)
    ran = run_many(laboratory, build, target=target, proofs=[BENIGN, b""], runs=1)
    runs = tuple(run for (run,) in ran)
    for words, run in zip(("a benign input", "an empty input"), runs, strict=True):
        if run.kind is not RunKind.CLEAN:
            return f"it fails on {words}: {run.reason[:160]}", runs
    return "", runs


def searched(
    laboratory: Laboratory,
    recipe: Recipe,
    target: str,
    *,
    examples: Sequence[bytes] = (),
    seconds: int = SEARCH_S,
) -> Trial:
    """A short search of a harness that is sound; `examples` are inputs that the project has of its own.

    An engine that this machine lacks is raised as `UnavailableError`.
    """
    recipe = alone(recipe, target)
    build = laboratory.build(recipe, Side.VULNERABLE, flavour=recipe.target(target).flavour)
    inputs = (*examples, *FORMS)
    ran = run_many(laboratory, build, target=target, proofs=inputs, runs=1)
    kinds = [run.kind for (run,) in ran]
    clean = [each for each, kind in zip(inputs, kinds, strict=True) if kind is RunKind.CLEAN]
    own = [each for each in clean if each not in FORMS][: MOST_SEEDS // 2]
    seeds = [*own, *(each for each in clean if each in FORMS)][:MOST_SEEDS]
    if kinds[: len(examples)].count(RunKind.VIOLATION) * 2 > max(len(examples), 1):
        return Trial(target, why_not="it fails on most of the project's own examples")
    workspace = Workspace(laboratory, recipe)
    fuzzer = LibFuzzer() if _is_native(recipe, target) else Atheris()
    begun = {str(number): each for number, each in enumerate((BENIGN, *seeds))}
    ready = fuzzer.prepare(workspace, target)
    done = ready.round(Turn(_SEED, seconds, begun, lambda _executions, _edges: None))
    given = {hashlib.sha1(each, usedforsecurity=False).hexdigest() for each in begun.values()}
    new = len(set(done.corpus) - given)
    met = ""
    if done.crashes:
        crash = judge(workspace, target, done.crashes[0])
        if crash.standing is not Standing.CONFIRMED:
            return Trial(
                target, why_not=f"it fails by itself: {crash.verdict}, {crash.reason[:160]}"
            )
        met = crash.reason[:160]
    elif new < _LEAST_NEW:
        return Trial(target, why_not="searching reaches no more than a benign input does")
    return Trial(target, done.edges, done.executions, new, tuple(seeds), met)


def tried(
    laboratory: Laboratory,
    recipe: Recipe,
    target: str,
    *,
    examples: Sequence[bytes] = (),
    seconds: int = SEARCH_S,
) -> Trial:
    """`sound`, then `searched`; what goes wrong meanwhile is why it is not offered."""
    try:
        why_not, _ = sound(laboratory, alone(recipe, target), target)
        if why_not:
            return Trial(target, why_not=why_not)
        return searched(laboratory, recipe, target, examples=examples, seconds=seconds)
    except ClearholdError as problem:
        return Trial(target, why_not=f"{problem.message} {problem.next_step}"[:300])


def _is_native(recipe: Recipe, target: str) -> bool:
    fuzz = recipe.target(target).fuzz
    if fuzz is None:
        raise NotFoundError(f"The target {target} has no harness.", next_step="Choose another.")
    return bool(fuzz.binary)
