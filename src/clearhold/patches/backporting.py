"""Brings an accepted fix to other versions, each with its own proof, baseline and verdict.

A diff that fits a version exactly is judged there as it is. One that fits only with context left
out makes a new diff, which is a candidate of its own and is judged as such; nothing is accepted
because its original was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from clearhold.cases.material import CaseProof
from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError
from clearhold.patches.fitting import fit
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.judging import Candidate, Judgement
from clearhold.validation.builder import Laboratory
from clearhold.validation.diff import Diff, read_diff
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Recipe, Side, SideSource
from clearhold.validation.reproduce import reproduce

_RUNS = 2


@dataclass(frozen=True, slots=True)
class Backport:
    """What became of a fix on one version.

    `outcome` is fits, adapted, already_fixed, not_affected, does_not_fit or not_built; `diff` is
    what was judged there, empty when nothing was, and `judgement` its own verdict.
    """

    version: str
    outcome: str
    words: str
    diff: bytes = field(default=b"", repr=False)
    judgement: Judgement | None = None


def backport(
    laboratory: Laboratory,
    recipe: Recipe,
    *,
    diff: bytes,
    proofs: Sequence[CaseProof],
    releases: Sequence[SideSource] = (),
    search_s: int,
    on_version: Callable[[Backport], None] | None = None,
) -> tuple[Backport, ...]:
    """Bring `diff` to each of `releases`, or to both sides of the recipe.

    Raises `InvalidError` or `TooLargeError` for a diff that cannot be taken; what a single version
    lacks is told as its outcome.
    """
    change = read_diff(diff)
    judge = LaboratoryJudge(laboratory, search_s=search_s)
    done = []
    for release in releases or recipe.sides.values():
        there = replace(recipe, sides={Side.VULNERABLE: release})
        try:
            made = _one(laboratory, there, change, proofs, judge)
        except ClearholdError as error:
            made = Backport(
                release.version, "not_built", f"{error.message} {error.next_step}".strip()
            )
        done.append(made)
        if on_version is not None:
            on_version(made)
    return tuple(done)


def _one(
    laboratory: Laboratory,
    there: Recipe,
    change: Diff,
    proofs: Sequence[CaseProof],
    judge: LaboratoryJudge,
) -> Backport:
    version = there.side(Side.VULNERABLE).version
    working = [proof for proof in proofs if _works(laboratory, there, proof)]
    fits = fit(laboratory, there, Side.VULNERABLE, change)
    if not working:
        outcome = "already_fixed" if fits.already else "not_affected"
        return Backport(version, outcome, f"No proof works on {version}. {fits.words}")
    if not fits.way:
        return Backport(version, "does_not_fit", fits.words)
    adapted = change.canonical if fits.exact else fits.diff
    try:
        read_diff(adapted)
    except (InvalidError, TooLargeError) as error:
        return Backport(version, "does_not_fit", f"{fits.words} {error.message}")
    judgement, _ = judge.judge_by(there, Candidate(adapted, tuple(working), ()))
    return Backport(version, "fits" if fits.exact else "adapted", fits.words, adapted, judgement)


def _works(laboratory: Laboratory, there: Recipe, proof: CaseProof) -> bool:
    if proof.target not in there.targets:
        return False
    build = laboratory.build(there, Side.VULNERABLE, flavour=there.target(proof.target).flavour)
    runs = reproduce(laboratory, build, target=proof.target, proof=proof.proof, runs=_RUNS)
    return any(run.kind is RunKind.VIOLATION for run in runs)
