"""Which proofs share a root cause, decided by what candidate fixes do to them.

Two proofs are the same bug when one atomic fix stops both and their faults look alike; they are
different when an atomic fix stops one and not the other. Fixes that could mislead give no row: one
that leaves a benign input failing is over-broad, one that leaves variants of a proof it stops is
partial, and one as large as a release upgrade may be many fixes in one.
A fix that stops two proofs whose faults do not look alike may be a compound of two fixes, so it
says only that they are related.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.validation.builder import Build, BuildFailedError, Laboratory
from clearhold.validation.crash import similar
from clearhold.validation.diff import read_diff
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Recipe, Side
from clearhold.validation.reproduce import reproduce, run_many, vary

_RUNS: Final = 2
_MOST_FILES: Final = 4
_MOST_LINES: Final = 200
_MOST_VARIANTS: Final = 16


class Relation(StrEnum):
    """What the fixes show of two proofs."""

    SAME = "same"
    DIFFERENT = "different"
    RELATED = "related"


@dataclass(frozen=True, slots=True)
class KnownProof:
    """A proof that reproduced: whose it is, the target it is for, and its fault's signature."""

    id: str
    target: str
    content: bytes
    signature: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FixRow:
    """What one fix, named by the SHA-256 of its diff, does: proof id to whether it is stopped."""

    patch_sha256: str
    stops: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Shown:
    """A relation between two proofs, by id, and the fixes that show it."""

    a: str
    b: str
    relation: Relation
    patches: tuple[str, ...]


def try_fixes(
    laboratory: Laboratory,
    recipe: Recipe,
    *,
    proofs: Sequence[KnownProof],
    patches: Iterable[bytes],
) -> tuple[FixRow, ...]:
    """Run every proof against the vulnerable side with each fix; unusable fixes give no row.

    Raises what the laboratory raises when it cannot work at all.
    """
    rows = []
    for patch in dict.fromkeys(patches):
        try:
            diff = read_diff(patch)
        except (InvalidError, TooLargeError):
            continue
        large = len(diff.touched) > _MOST_FILES or diff.added + diff.removed > _MOST_LINES
        if large or diff.below(recipe.protected):
            continue
        stops = _try_fix(laboratory, recipe, proofs, diff.canonical)
        if stops is not None:
            rows.append(FixRow(hashlib.sha256(patch).hexdigest(), stops))
    return tuple(rows)


def relations(proofs: Sequence[KnownProof], rows: Sequence[FixRow]) -> tuple[Shown, ...]:
    """What the rows show of each pair of proofs; pairs about which they say nothing are left out.

    One atomic fix that tells two proofs apart outweighs any that stops both.
    """
    shown = []
    for a, b in combinations(sorted(proofs, key=lambda proof: proof.id), 2):
        apart = [row.patch_sha256 for row in rows if row.stops[a.id] != row.stops[b.id]]
        both = [row.patch_sha256 for row in rows if row.stops[a.id] and row.stops[b.id]]
        if apart:
            shown.append(Shown(a.id, b.id, Relation.DIFFERENT, tuple(sorted(apart))))
        elif both:
            alike = similar(a.signature, b.signature)
            relation = Relation.SAME if alike else Relation.RELATED
            shown.append(Shown(a.id, b.id, relation, tuple(sorted(both))))
    return tuple(shown)


def _try_fix(
    laboratory: Laboratory, recipe: Recipe, proofs: Sequence[KnownProof], patch: bytes
) -> dict[str, bool] | None:
    """Which proofs the fix stops; None when it does not build, breaks more or stops less."""
    stops = {}
    try:
        builds = {
            name: laboratory.build(recipe, Side.VULNERABLE, flavour=target.flavour, patch=patch)
            for name, target in recipe.targets.items()
        }
    except BuildFailedError:
        return None
    for name, build in builds.items():
        control = recipe.control(name)
        (benign,) = reproduce(laboratory, build, target=name, proof=control, runs=1)
        if benign.kind is not RunKind.CLEAN:
            return None
    for proof in proofs:
        runs = reproduce(
            laboratory, builds[proof.target], target=proof.target, proof=proof.content, runs=_RUNS
        )
        stops[proof.id] = all(run.kind is RunKind.CLEAN for run in runs)
    stopped = [proof for proof in proofs if stops[proof.id]]
    if any(_leaves_variants(laboratory, builds, proof) for proof in stopped):
        return None
    return stops


def _leaves_variants(
    laboratory: Laboratory, builds: Mapping[str, Build], proof: KnownProof
) -> bool:
    """Whether the same fault is still reached by another shape of a proof that is stopped."""
    patched = builds[proof.target]
    made = vary(laboratory, patched, target=proof.target, proof=proof.content).values()
    for target in dict.fromkeys(target for target, _ in made):
        contents = [content for each, content in made if each == target][:_MOST_VARIANTS]
        ran = run_many(laboratory, builds[target], target=target, proofs=contents, runs=1)
        if any(similar(run.signature, proof.signature) for (run,) in ran):
            return True
    return False
