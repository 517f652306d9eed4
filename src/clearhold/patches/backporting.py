"""Brings an accepted fix to other versions, each with its own proof, baseline and verdict.

A diff that fits a version exactly is judged there as it is. One that fits only with context left
out makes a new diff, which is a candidate of its own and is judged as such; nothing is accepted
because its original was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Final

import msgspec

from clearhold.cases.material import CaseProof
from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.patches.attempts import Attempt, working
from clearhold.patches.fitting import fit
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.judging import Candidate
from clearhold.patches.porting import Ported
from clearhold.patches.trial import MOST_TRIES
from clearhold.ports.releases import ReleaseLists
from clearhold.validation.builder import Build, BuildFailedError, Laboratory
from clearhold.validation.diff import Diff, read_diff
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Flavour, Recipe, Side, SideSource
from clearhold.validation.releases import Listed, published_releases
from clearhold.validation.reproduce import run_many

_RUNS = 2
_NUMBERS: Final = re.compile(r"(?:\d+[:!])?v?(\d+)(?:\.(\d+))?")


class LaboratoryPorter:
    """`patches.porting.Porter` in a laboratory of this machine.

    `judge` is the one whose verdicts count, `lists` knows which releases are published, and `most`
    is how many versions there are when nobody names any.
    """

    def __init__(
        self,
        laboratory: Laboratory,
        judge: LaboratoryJudge,
        lists: ReleaseLists | None,
        *,
        most: int,
    ) -> None:
        self._laboratory = laboratory
        self._judge = judge
        self._lists = lists
        self._most = most

    def versions(self, candidate: Candidate) -> tuple[str, ...]:
        """The newest versions of the lines of releases around the vulnerable one."""
        recipe = self._judge.recipe_for(candidate)
        if recipe is None:
            return ()
        releases, _ = published_releases(recipe, self._lists)
        fixed = recipe.sides.get(Side.FIXED)
        return tips(
            Purl.parse(recipe.package).type,
            [each.version for each in releases],
            known=recipe.side(Side.VULNERABLE).version,
            fixed="" if fixed is None else fixed.version,
        )[: self._most]

    def port(self, candidate: Candidate, version: str) -> Ported:
        """Bring a fix to one version. Raises what the laboratory and the registry raise."""
        recipe = self._judge.recipe_for(candidate)
        if recipe is None:
            return Ported(version, "not_built", "There is no recipe by which it could be built.")
        releases, _ = published_releases(recipe, self._lists)
        release = next((each for each in releases if each.version == version), None)
        if release is None:
            return Ported(
                version, "not_published", f"No release {version} is published for its recipe."
            )
        side = release.pinned(self._laboratory) if isinstance(release, Listed) else release
        there = replace(recipe, sides={Side.VULNERABLE: side})
        change = read_diff(candidate.diff)
        try:
            return _one(self._laboratory, there, change, candidate.proofs, self._judge)
        except BuildFailedError as error:  # it is the release's own fault, and stays so
            return Ported(version, "not_built", f"{error.message} {error.next_step}".strip())


def tips(kind: str, versions: Sequence[str], *, known: str, fixed: str) -> tuple[str, ...]:
    """The newest release of each line, major ones and minor ones by turns, the nearest first.

    A line is a major version, and a minor one within the major one that is known; `kind` is the
    package URL's type. Releases from `fixed` on have their fix, the known one its own verdict.
    """
    scheme = scheme_for(kind)
    open_ = [
        each
        for each in sorted(versions, key=scheme.key)
        if not fixed or scheme.compare(each, fixed) < 0
    ]
    own = _line(known)
    newest: dict[tuple[str, ...], str] = {}
    for each in open_:
        line = _line(each)
        newest[line if line[0] == own[0] else line[:1]] = each
    order = {each: number for number, each in enumerate(open_)}
    middle = order.get(known, len(open_))
    near = sorted(
        (each for each in newest.values() if each != known),
        key=lambda each: abs(order[each] - middle),
    )
    minor = [each for each in near if _line(each)[0] == own[0]]
    major = [each for each in near if each not in minor]
    # By turns, so that neither many major versions nor many minor ones leave the others out.
    return tuple(each for pair in zip_longest(major, minor) for each in pair if each is not None)


def backport(
    laboratory: Laboratory,
    recipe: Recipe,
    *,
    diff: bytes,
    proofs: Sequence[CaseProof],
    releases: Sequence[SideSource] = (),
    search_s: int,
    on_version: Callable[[Ported], None] | None = None,
) -> tuple[Ported, ...]:
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
            made = Ported(
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
) -> Ported:
    release = there.side(Side.VULNERABLE)
    version = release.version
    able = _working(laboratory, there, proofs)
    fits = fit(laboratory, there, Side.VULNERABLE, change)
    if not able and (dumb := _unanswering(laboratory, there, proofs)):
        return Ported(
            version,
            "not_built",
            f"Nothing can be said of {version}: {dumb}. {fits.words}",
        )
    if not able:
        outcome = "already_fixed" if fits.already else "not_affected"
        return Ported(version, outcome, f"No proof works on {version}. {fits.words}")
    if not fits.way:
        return Ported(version, "does_not_fit", fits.words)
    adapted = change.canonical if fits.exact else fits.diff
    try:
        read_diff(adapted)
    except (InvalidError, TooLargeError) as error:
        return Ported(version, "does_not_fit", f"{fits.words} {error.message}")
    judgement, _ = judge.judge_by(there, Candidate(adapted, tuple(able), ()))
    facts = {**judgement.facts, "release": msgspec.to_builtins(release)}
    judgement = msgspec.structs.replace(judgement, facts=facts)
    return Ported(version, "fits" if fits.exact else "adapted", fits.words, adapted, judgement)


def _unanswering(laboratory: Laboratory, there: Recipe, proofs: Sequence[CaseProof]) -> str:
    """An input that its target does not answer, so that no proof working says nothing."""
    for name in sorted({proof.target for proof in proofs}):
        if name not in there.targets:
            return f"there is no target {name}"
        build = laboratory.build(there, Side.VULNERABLE, flavour=there.target(name).flavour)
        mine = [proof.proof for proof in proofs if proof.target == name]
        inputs = [there.control(name), *mine]
        (control,), *ran = run_many(laboratory, build, target=name, proofs=inputs, runs=1)
        if control.kind is not RunKind.CLEAN:
            return f"the benign input of {name} does not run there as it should"
        if any(run.kind is not RunKind.CLEAN for (run,) in ran):
            return f"a proof given to {name} comes to no answer there"
    return ""


def _working(laboratory: Laboratory, there: Recipe, proofs: Sequence[CaseProof]) -> list[CaseProof]:
    """The proofs that work; raises `UnavailableError` when this machine could not measure that."""

    def build(flavour: Flavour) -> Build:
        return laboratory.build(there, Side.VULNERABLE, flavour=flavour)

    given = [
        Attempt(proof.target, proof.proof) for proof in proofs if proof.target in there.targets
    ]
    shown: set[tuple[str, bytes]] = set()
    for _ in range(_RUNS):  # not every proof works each time
        left = [each for each in given if (each.target, each.content) not in shown]
        found = working(laboratory, there, left, build, tries=MOST_TRIES)
        shown |= {(each.target, each.content) for each in found}
    return [each for each in proofs if (each.target, each.proof) in shown]


def _line(version: str) -> tuple[str, ...]:
    """The major and minor number of a version."""
    found = _NUMBERS.match(version)
    return (found[1], found[2] or "0") if found else (version, "")
