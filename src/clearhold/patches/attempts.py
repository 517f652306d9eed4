"""Ways to a flaw that are tried on a build, and which of them work there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from clearhold.kernel.errors import UnavailableError
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe
from clearhold.validation.reproduce import Run, run_many


@dataclass(frozen=True, slots=True)
class Attempt:
    """A way to the flaw that is tried: the target, the input, and the unpatched build's signature.

    `finding` is empty for variants and for proofs from elsewhere.
    """

    target: str
    content: bytes = field(repr=False)
    finding: str = ""
    signature: tuple[str, ...] = ()


def run_attempts(
    laboratory: Laboratory,
    recipe: Recipe,
    attempts: Sequence[Attempt],
    build: Callable[[Flavour], Build],
    *,
    runs: int = 1,
) -> tuple[tuple[Run, ...], ...]:
    """Runs of each attempt, those of one target together."""
    seen: dict[Attempt, tuple[Run, ...]] = {}
    for name in dict.fromkeys(each.target for each in attempts):
        mine = [each for each in attempts if each.target == name]
        ran = run_many(
            laboratory,
            build(recipe.target(name).flavour),
            target=name,
            proofs=[each.content for each in mine],
            runs=runs,
        )
        seen |= dict(zip(mine, ran, strict=True))
    return tuple(seen[each] for each in attempts)


def working(
    laboratory: Laboratory,
    recipe: Recipe,
    attempts: Iterable[Attempt],
    build: Callable[[Flavour], Build],
    *,
    tries: int = 1,
) -> tuple[Attempt, ...]:
    """Those attempts that show a violation on an unpatched build, with its signature.

    A measurement that comes out unclear is taken again, up to so many `tries`. Raises
    `UnavailableError` when it is still unclear after more than one: a machine that is too busy to
    measure by says nothing of a proof.
    """
    given = tuple(dict.fromkeys(attempts))
    ran = dict(zip(given, run_attempts(laboratory, recipe, given, build), strict=True))

    def unclear() -> list[Attempt]:
        return [each for each, (run,) in ran.items() if _unclear(recipe, each, run)]

    for _ in range(1, tries):
        again = unclear()
        ran |= zip(again, run_attempts(laboratory, recipe, again, build), strict=True)
    if tries > 1 and unclear():
        raise UnavailableError(
            "This machine could not measure whether a proof works without the fix.",
            next_step="Try again when it has less to do.",
        )
    return tuple(
        replace(each, signature=run.signature)
        for each, (run,) in ran.items()
        if run.kind is RunKind.VIOLATION
    )


def _unclear(recipe: Recipe, attempt: Attempt, run: Run) -> bool:
    measured = recipe.target(attempt.target).oracle == "complexity"
    cut_off = measured and run.kind is RunKind.RESOURCE_LIMIT
    return run.kind is RunKind.INCONCLUSIVE or cut_off
