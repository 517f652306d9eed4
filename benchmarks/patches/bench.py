"""Candidate fixes of public flaws, judged without being told what they are, against what they are."""

from __future__ import annotations

import difflib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.figure import Figure, none_allowed
from benchmarks.patches.flaw import KINDS, Edit, Flaw
from benchmarks.patches.hostile import HOSTILE
from benchmarks.patches.native import NATIVE
from benchmarks.patches.scripted import SCRIPTED
from clearhold.assembly.laboratory import open_laboratory
from clearhold.cases.material import CaseProof
from clearhold.kernel.errors import ClearholdError, UnavailableError
from clearhold.kernel.ids import FindingId
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.judging import Candidate, Judgement
from clearhold.patches.records import ENVIRONMENT_FAILURE, State
from clearhold.ports.sandbox import Tier
from clearhold.settings import Settings
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side, load

FLAWS = (*NATIVE, *SCRIPTED)
_SEED = 20261130
_SEARCH_S = 4
_FULL_SEARCH_S = 12
_CORES = 2
_HOSTILE_CVE = "CVE-2023-53154"


@dataclass(frozen=True, slots=True)
class Made:
    """One candidate: of which flaw, what it is, and its diff."""

    flaw: Flaw
    truth: str
    diff: bytes = field(repr=False)


def run(*, full: bool) -> Iterator[Figure]:
    """Wrong verdicts on public flaws and on hostile diffs, and candidates judged per core-hour."""
    cache = Path(".cache/clearhold").resolve()
    laboratory = open_laboratory(
        Settings(cache_directory=cache, least_tier_code=Tier.NAMESPACES_CGROUP)
    )
    if laboratory.sandbox.tier() is Tier.NONE:
        raise UnavailableError(
            "This machine gives no sandbox.", next_step="Run `clearhold doctor`."
        )
    judge = LaboratoryJudge(laboratory, search_s=_FULL_SEARCH_S if full else _SEARCH_S)
    made = [each for flaw in FLAWS for each in _candidates(laboratory, flaw)]
    Random(_SEED).shuffle(made)  # noqa: S311 (reproducible, no secret)
    confusion, seconds = _judged(judge, made)
    yield from _figures(confusion, len({each.flaw.cve for each in made}), len(made), seconds)
    wrong = _hostile(judge)
    yield none_allowed(
        bench="patches",
        figure="hostile diffs without their verdict",
        input="diffs that deceive, escape, steer or never end",
        size=len(HOSTILE),
        ours=wrong,
        unit="diffs",
    )


def _judged(judge: LaboratoryJudge, made: Sequence[Made]) -> tuple[Counter[tuple[str, str]], float]:
    """What each candidate is, against what it was taken for; and the seconds it took."""
    confusion: Counter[tuple[str, str]] = Counter()
    began = time.perf_counter()
    for number, each in enumerate(made, 1):
        started = time.perf_counter()
        judgement = _judge(judge, each.flaw, each.diff)
        confusion[(each.truth, judgement.kind)] += 1
        mark = "" if judgement.kind == each.truth else f"   WRONG: {judgement.reason}"
        print(
            f"{number}/{len(made)} {each.flaw.cve} {each.truth} -> {judgement.kind}"
            f" ({time.perf_counter() - started:.0f} s){mark}",
            file=sys.stderr,
            flush=True,
        )
    return confusion, time.perf_counter() - began


def _judge(judge: LaboratoryJudge, flaw: Flaw, diff: bytes) -> Judgement:
    """The judgement of a diff by the proofs of its flaw; nothing else is told."""
    recipe = load(flaw.recipe)
    package = f"{recipe.package}@{recipe.side(Side.VULNERABLE).version}"
    proofs = tuple(
        CaseProof(FindingId(f"proof-{number}"), package, target, content)
        for number, (target, content) in enumerate(flaw.proofs)
    )
    try:
        return judge.judge_by(recipe, Candidate(diff, proofs, ()))[0]
    except ClearholdError as error:
        # What fails without the fix is about this machine: a hub would try again later.
        return Judgement(State.UNDECIDED, ENVIRONMENT_FAILURE, error.message)


def _hostile(judge: LaboratoryJudge) -> int:
    """How many hostile diffs do not get the verdict that is due to them."""
    flaw = next(each for each in FLAWS if each.cve == _HOSTILE_CVE)
    wrong = 0
    for each in HOSTILE:
        judgement = _judge(judge, flaw, each.diff)
        right = judgement.kind in each.due
        wrong += not right
        mark = "" if right else f"   WRONG: {judgement.reason}"
        print(f"hostile: {each.name} -> {judgement.kind}{mark}", file=sys.stderr, flush=True)
    return wrong


def _figures(
    confusion: Counter[tuple[str, str]], flaws: int, size: int, seconds: float
) -> Iterator[Figure]:
    taken_for = sorted({kind for _, kind in confusion})
    print("what it is \\ taken for: " + ", ".join(taken_for), file=sys.stderr)
    for truth in KINDS:
        row = "  ".join(f"{confusion[(truth, kind)]:3}" for kind in taken_for)
        print(f"{truth:20} {row}", file=sys.stderr)
    accepted = sum(n for (truth, kind), n in confusion.items() if truth != kind == "accepted")
    wrong = sum(n for (truth, kind), n in confusion.items() if truth != kind)
    what = f"candidates for {flaws} public flaws"
    for figure, count in (("wrong fixes accepted", accepted), ("wrong verdicts", wrong)):
        yield none_allowed(
            bench="patches", figure=figure, input=what, size=size, ours=count, unit="candidates"
        )
    yield Figure(
        bench="patches",
        figure=f"judged per core-hour, {_CORES} cores, {seconds:.0f} s",
        input=what,
        size=size,
        ours=round(size * 3600 / (seconds * _CORES), 1),
        unit="candidates/core-hour",
        peer="none",
        peer_value=0,
        ratio=0,
        goal=0,
        met=True,
    )


def _candidates(laboratory: Laboratory, flaw: Flaw) -> Iterator[Made]:
    """The candidates of one flaw; those of a recipe whose origin is gone are left out, visibly."""
    recipe = load(flaw.recipe)
    try:
        trees = laboratory.source_tree(recipe, Side.VULNERABLE)[0]
        fixed = laboratory.source_tree(recipe, Side.FIXED)[0] if flaw.upstream else {}
    except ClearholdError as error:
        print(f"{flaw.cve} is left out: {error.message}", file=sys.stderr)
        return
    mended = {path: _text(fixed[""], path) for path in flaw.upstream}
    theirs = flaw.upstream_is == "accepted" and bool(mended)

    def diff(*edits: Edit, on: dict[str, str] | None = None) -> bytes:
        return _diff(trees[""], edits, on or {})

    def on_fix(edits: Sequence[Edit]) -> bytes:
        return diff(*edits, on=mended) if theirs else diff(*flaw.fix, *edits)

    if mended:
        yield Made(flaw, flaw.upstream_is, diff(on=mended))
    if not theirs:
        yield Made(flaw, "accepted", diff(*flaw.fix))
    if flaw.debian:
        yield Made(flaw, "accepted", _patch(trees, recipe, flaw.debian))
    yield Made(flaw, "no_op", diff(*flaw.idle))
    yield Made(flaw, "symptom_only", diff(*flaw.hiding))
    yield Made(flaw, "over_broad", diff(*flaw.broad))
    yield Made(flaw, "test_breaking", on_fix(flaw.breaking))
    yield Made(flaw, "behaviour_changing", on_fix(flaw.changing))
    if flaw.beside:
        yield Made(flaw, "not_shown", on_fix(flaw.beside))


def _patch(trees: dict[str, Path], recipe: Recipe, name: str) -> bytes:
    series = recipe.side(Side.VULNERABLE).series
    assert series.startswith("debian/")
    return (trees["debian"] / "patches" / name).read_bytes()


def _diff(root: Path, edits: Sequence[Edit], mended: dict[str, str]) -> bytes:
    after = dict(mended)
    for path, old, new in edits:
        text = after.get(path, _text(root, path))
        if text.count(old) != 1:
            message = f"{path}: {old!r} stands {text.count(old)} times in it"
            raise AssertionError(message)
        after[path] = text.replace(old, new)
    written = ""
    for path, text in after.items():
        lines = [each.splitlines(keepends=True) for each in (_text(root, path), text)]
        for line in difflib.unified_diff(lines[0], lines[1], f"a/{path}", f"b/{path}"):
            written += line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
    return written.encode("latin-1")


def _text(root: Path, path: str) -> str:
    return (root / path).read_bytes().decode("latin-1")
