"""Which proofs share a root cause, decided by what candidate fixes do to them.

Two proofs are the same bug when one atomic fix stops both and their faults look alike; they are
different when atomic fixes tell them apart. Fixes that could mislead give no row: one that changes
what benign inputs do is over-broad, one that leaves variants of a proof it stops is partial, one
of which a part stops some of its proofs alone is compound, and one as large as a release upgrade
may be many fixes in one.

What is left may still be partial, so a fix that stops one of two proofs with like faults does not
show by itself that they are different; and it may still reach further than it should, so one that
stops two proofs whose faults do not look alike says only that they are related.
"""

from __future__ import annotations

import hashlib
from collections import Counter
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
from clearhold.validation.reproduce import run_many, vary
from clearhold.validation.subpatches import Unit, is_compound, part, units

_RUNS: Final = 2
_MOST_FILES: Final = 4
_MOST_LINES: Final = 200
_MOST_VARIANTS: Final = 16
_MOST_SEEDS: Final = 32
_SAMPLE_OF_EACH: Final = 6
_LARGEST_SAMPLE: Final = 24


class Relation(StrEnum):
    """What the fixes show of two proofs."""

    SAME = "same"
    DIFFERENT = "different"
    RELATED = "related"


@dataclass(frozen=True, slots=True)
class KnownProof:
    """A proof that reproduced: whose it is, the target it is for, and its fault's signature.

    `trace` is the whole stack of its minimised form, which ranks and decides nothing.
    """

    id: str
    target: str
    content: bytes
    signature: tuple[str, ...]
    trace: tuple[str, ...] = ()


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

    Nor does any where the policy lets no stranger's code run on this machine. Raises what the laboratory raises when it cannot work at all.
    """
    rows: list[FixRow] = []
    if not laboratory.runs_code:
        return ()
    benign = _benign(laboratory, recipe)
    for patch in dict.fromkeys(patches):
        try:
            diff = read_diff(patch)
        except (InvalidError, TooLargeError):
            continue
        large = len(diff.touched) > _MOST_FILES or diff.added + diff.removed > _MOST_LINES
        if large or diff.below(recipe.protected):
            continue
        stops = _try_fix(laboratory, recipe, proofs, diff.canonical, benign)
        if stops is not None:
            rows.append(FixRow(hashlib.sha256(patch).hexdigest(), stops))
    return tuple(rows)


def relations(proofs: Sequence[KnownProof], rows: Sequence[FixRow]) -> tuple[Shown, ...]:
    """What the rows show of each pair of proofs; pairs about which they say nothing are left out.

    Whatever the rows leave in doubt is related, which joins nothing and keeps nothing apart.
    """
    ordered = sorted(proofs, key=lambda proof: proof.id)
    # Where all rows agree there is nothing to look up, and there are many more pairs than rows.
    columns = {
        proof.id: tuple(number for number, row in enumerate(rows) if row.stops[proof.id])
        for proof in ordered
    }
    shown = []
    for a, b in combinations(ordered, 2):
        if not columns[a.id] and not columns[b.id]:
            continue
        first, second = set(columns[a.id]), set(columns[b.id])
        relation = _relation(a, b, first, second)
        telling = first & second if relation is Relation.SAME else first | second
        names = tuple(sorted(rows[number].patch_sha256 for number in telling))
        shown.append(Shown(a.id, b.id, relation, names))
    return tuple(shown)


def _relation(a: KnownProof, b: KnownProof, first: set[int], second: set[int]) -> Relation:
    """What two proofs are to each other, given the rows that stop each."""
    alike = similar(a.signature, b.signature)
    equal = alike and a.signature == b.signature
    both, each_alone = first & second, bool(first - second) and bool(second - first)
    if both:
        # A fix of one of them alone may be partial when their faults are equal.
        if alike and (first == second or (equal and not each_alone)):
            return Relation.SAME
        return Relation.DIFFERENT if each_alone and not equal else Relation.RELATED
    if not alike or (each_alone and not equal):
        return Relation.DIFFERENT
    return Relation.RELATED


@dataclass(frozen=True, slots=True)
class _Trial:
    """The vulnerable side of a recipe with one diff applied, built for every target."""

    laboratory: Laboratory
    builds: Mapping[str, Build]

    def stopped(self, proofs: Sequence[KnownProof], *, runs: int) -> set[str]:
        """The proofs that show nothing in any of `runs` runs."""
        left = list(proofs)
        for _ in range(runs):
            clean = self._clean(left)
            left = [each for each in left if clean[each.id]]
        return {each.id for each in left}

    def harmless(self, benign: Mapping[str, Behaviour]) -> bool:
        """Whether benign inputs of the targets that were built do what they did before."""
        return all(
            _alike(benign[name], _behaviour(self.laboratory, build, name))
            for name, build in self.builds.items()
        )

    def _clean(self, proofs: Sequence[KnownProof]) -> dict[str, bool]:
        seen: dict[str, bool] = {}
        for target in dict.fromkeys(each.target for each in proofs):
            mine = [each for each in proofs if each.target == target]
            ran = run_many(
                self.laboratory,
                self.builds[target],
                target=target,
                proofs=[each.content for each in mine],
                runs=1,
                symbolise=False,
            )
            seen |= {
                proof.id: run.kind is RunKind.CLEAN for proof, (run,) in zip(mine, ran, strict=True)
            }
        return seen


def _trial(
    laboratory: Laboratory, recipe: Recipe, targets: Iterable[str], patch: bytes
) -> _Trial | None:
    """The trial of a diff; None when it does not build."""
    try:
        return _Trial(
            laboratory,
            {
                name: laboratory.build(
                    recipe, Side.VULNERABLE, flavour=recipe.target(name).flavour, patch=patch
                )
                for name in targets
            },
        )
    except BuildFailedError:
        return None


def _try_fix(
    laboratory: Laboratory,
    recipe: Recipe,
    proofs: Sequence[KnownProof],
    patch: bytes,
    benign: Mapping[str, Behaviour],
) -> dict[str, bool] | None:
    """Which proofs the fix stops; None when it does not build, or is not one whole fix."""
    trial = _trial(laboratory, recipe, recipe.targets, patch)
    if trial is None or not trial.harmless(benign):
        return None
    names = trial.stopped(proofs, runs=_RUNS)
    stopped = [proof for proof in proofs if proof.id in names]
    if any(_leaves_variants(laboratory, trial.builds, proof) for proof in stopped):
        return None
    if len(stopped) > 1 and _compound(laboratory, recipe, stopped, patch, benign):
        return None
    return {proof.id: proof.id in names for proof in proofs}


def _compound(
    laboratory: Laboratory,
    recipe: Recipe,
    stopped: Sequence[KnownProof],
    patch: bytes,
    benign: Mapping[str, Behaviour],
) -> bool:
    """Whether a part of the fix is a fix of some of these proofs and not of others.

    A part that changes what benign inputs do stops proofs as taking a feature out does, and is none.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    sample = []
    for proof in stopped:
        seen[proof.signature] += 1
        if seen[proof.signature] <= _SAMPLE_OF_EACH:
            sample.append(proof)
    sample = sample[:_LARGEST_SAMPLE]
    targets = tuple(dict.fromkeys(proof.target for proof in sample))

    def stops(wanted: tuple[Unit, ...]) -> set[str]:
        trial = _trial(laboratory, recipe, targets, part(patch, wanted))
        return trial.stopped(sample, runs=_RUNS) if trial and trial.harmless(benign) else set()

    return is_compound({proof.id for proof in sample}, units(patch), stops)


Behaviour = tuple[tuple[RunKind, int | None, str], ...]
"""What a target did with each benign input: how the oracle saw it, its exit code and its output."""


def _benign(laboratory: Laboratory, recipe: Recipe) -> dict[str, Behaviour]:
    """What the unpatched vulnerable side does with benign inputs, by target.

    Of a target whose output changes from run to run, only what the oracle saw is kept.
    """
    found = {}
    for name, target in recipe.targets.items():
        build = laboratory.build(recipe, Side.VULNERABLE, flavour=target.flavour)
        first, again = (_behaviour(laboratory, build, name) for _ in range(2))
        found[name] = first if first == again else tuple((kind, None, "") for kind, _, _ in first)
    return found


def _behaviour(laboratory: Laboratory, build: Build, target: str) -> Behaviour:
    recipe = build.recipe
    inputs = [recipe.control(target)]
    if recipe.target(target).fuzz is not None:
        inputs += list(recipe.seeds(target).values())[:_MOST_SEEDS]
    ran = run_many(laboratory, build, target=target, proofs=inputs, runs=1)
    return tuple((run.kind, run.exit_code, run.stdout_sha256) for (run,) in ran)


def _alike(before: Behaviour, after: Behaviour) -> bool:
    """Whether benign inputs do what they did; what was not clean before says nothing."""
    return all(
        now[0] is RunKind.CLEAN and (was[1] is None or now == was)
        for was, now in zip(before, after, strict=True)
        if was[0] is RunKind.CLEAN
    )


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
