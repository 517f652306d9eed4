"""The case's proofs, tried through the other targets of their recipe.

A fix in one entry point of a flaw leaves the others open. Which targets take the same kind of input
is not written down: it shows, on the unpatched build, by a proof or a small change of one that is a
violation there as well. It counts as the same flaw when its signature is like the proof's, unless
that has no frames and the recipe names other CVEs for that target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from clearhold.patches.attempts import Attempt, working
from clearhold.patches.mutating import mutants
from clearhold.validation.builder import Build, Laboratory
from clearhold.validation.crash import similar
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe
from clearhold.validation.reproduce import run_many

MOST_TARGETS: Final = 6
MOST_GIVEN: Final = 4
MOST_MUTANTS: Final = 6
_MEASURED: Final = frozenset({"hang", "complexity"})


@dataclass(frozen=True, slots=True)
class Siblings:
    """Ways to the flaw through other targets that work on the unpatched build.

    `tried` are the inputs tried by target, `apart` the targets on which something worked that is
    not known to be the same flaw.
    """

    attempts: tuple[Attempt, ...]
    tried: dict[str, int]
    apart: tuple[str, ...]

    @property
    def facts(self) -> dict[str, Any]:
        """For the verdict."""
        return {
            name: {
                "tried": count,
                "working_unpatched": sum(each.target == name for each in self.attempts),
            }
            for name, count in self.tried.items()
        }


def find(
    laboratory: Laboratory,
    recipe: Recipe,
    build: Callable[[Flavour], Build],
    proofs: Sequence[Attempt],
    variants: Sequence[Attempt],
    *,
    seed: int,
) -> Siblings:
    """Try proofs, variants and small changes of proofs on the targets that no proof is for.

    A target of which none can read any is left alone at once. `proofs` carry the signatures that
    were seen on the unpatched `build`.
    """
    own = {proof.target for proof in proofs}
    tried: dict[str, int] = {}
    found: list[Attempt] = []
    apart: dict[str, None] = {}
    for name in [name for name in recipe.targets if name not in own][:MOST_TARGETS]:
        oracle = recipe.target(name).oracle
        mine = [each.content for each in proofs if recipe.target(each.target).oracle == oracle] or [
            each.content for each in proofs if not {oracle, *_oracles(recipe, own)} & _MEASURED
        ]
        more = [] if oracle in _MEASURED else [each.content for each in variants]
        given = list(dict.fromkeys([*mine, *more]))[:MOST_GIVEN] if mine else []
        here = build(recipe.target(name).flavour)
        shown, readable = _shown(laboratory, here, name, given)
        if readable and oracle not in _MEASURED:
            changed = list(islice(mutants(seed, given, most=MOST_MUTANTS), MOST_MUTANTS))
            shown += _shown(laboratory, here, name, changed)[0]
            given += changed
        if given:
            tried[name] = len(given)
        for each in working(laboratory, recipe, [Attempt(name, it) for it in shown], build):
            if any(_same(recipe, each, proof) for proof in proofs):
                found.append(each)
            else:
                apart[name] = None
    return Siblings(tuple(found), tried, tuple(apart))


def _shown(
    laboratory: Laboratory, build: Build, target: str, given: Sequence[bytes]
) -> tuple[list[bytes], bool]:
    """Those that show a violation, and whether the target can read any."""
    ran = run_many(laboratory, build, target=target, proofs=given, runs=1, symbolise=False)
    shown = [each for each, (run,) in zip(given, ran, strict=True) if run.kind is RunKind.VIOLATION]
    return shown, any(run.kind is not RunKind.UNUSABLE for (run,) in ran)


def _oracles(recipe: Recipe, targets: set[str]) -> set[str]:
    return {recipe.target(name).oracle for name in targets}


def _same(recipe: Recipe, seen: Attempt, proof: Attempt) -> bool:
    if not similar(seen.signature, proof.signature):
        return False
    one, other = (set(recipe.target(each.target).cves) for each in (seen, proof))
    framed = min(len(seen.signature), len(proof.signature)) > 2
    return framed or not one or not other or bool(one & other)
