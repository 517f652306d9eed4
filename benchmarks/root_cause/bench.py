"""Root causes on flaws that were put in one by one: what the decider says, against what is known.

The decider gets crashes under numbers drawn at random and fixes in random order, misleading ones
among them; which flaw each crash was made for stays here.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import Random

from benchmarks.figure import Figure
from benchmarks.root_cause import crashes, target
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Tier
from clearhold.validation.builder import Laboratory
from clearhold.validation.matrix import FixRow, KnownProof, Relation, Shown, relations, try_fixes
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Recipe, Side
from clearhold.validation.reproduce import run_many

_COMPOUND = ((1, 2), (2, 25), (5, 6, 24), (4, 13, 17, 19), tuple(target.FLAWS))
_SEED = 20260611


@dataclass(frozen=True, slots=True)
class Bench:
    """A laboratory with the target in it: crashes with their flaws, and fixes by what they are."""

    laboratory: Laboratory
    recipe: Recipe
    truth: dict[str, int]
    proofs: tuple[KnownProof, ...]
    fixes: dict[bytes, str]


def fixes() -> dict[bytes, str]:
    """Every candidate fix by what it is: atomic, compound, partial or over-broad."""
    made = {target.patch(target.source(fixed=[each])): "atomic" for each in target.FLAWS}
    made |= {target.patch(target.source(fixed=each)): "compound" for each in _COMPOUND}
    made |= {target.patch(target.source(partial=[each])): "partial" for each in target.PARTIAL}
    made |= {target.patch(target.source(broad=each)): "over-broad" for each in target.BROAD}
    return made


@contextmanager
def opened(
    *, each: int, workers: int, flaws: Sequence[int] = target.FLAWS, seed: int = _SEED
) -> Iterator[Bench]:
    """The target built in the sandbox, with `each` crashes of every flaw.

    Raises `UnavailableError` without a sandbox or compiler.
    """
    rng = Random(seed)  # noqa: S311 (reproducible, no secret)
    place = Path(tempfile.mkdtemp(prefix="clearhold-bench-", dir="/var/tmp"))
    place.chmod(0o755)
    try:
        old = target.archive(target.source())
        new = target.archive(target.source(fixed=target.FLAWS))
        recipe = target.recipe(old, new, crashes.benign())
        sources = target.OwnSources(place / "own", [old, new])
        with BubblewrapSandbox(slots=workers) as sandbox:
            if sandbox.tier() is Tier.NONE:
                raise UnavailableError(
                    "This machine gives no sandbox.", next_step="Run `clearhold doctor`."
                )
            laboratory = Laboratory(
                sandbox,
                sources,
                place / "cache",
                workers=workers,
                least_code=Tier.NAMESPACES,  # the fixes are the benchmark's own
            )
            made = {crashes.crash(rng, flaw): flaw for flaw in flaws for _ in range(each)}
            while len(made) < each * len(flaws):  # few shapes of some flaws, many surroundings
                flaw = rng.choice(flaws)
                made[crashes.crash(rng, flaw)] = flaw
            proofs = _known(laboratory, recipe, rng, list(made))
            yield Bench(
                laboratory,
                recipe,
                {proof.id: made[proof.content] for proof in proofs},
                proofs,
                fixes(),
            )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _known(
    laboratory: Laboratory, recipe: Recipe, rng: Random, contents: list[bytes]
) -> tuple[KnownProof, ...]:
    rng.shuffle(contents)
    build = laboratory.build(recipe, Side.VULNERABLE, flavour=recipe.target("read").flavour)
    ran = run_many(laboratory, build, target="read", proofs=contents, runs=1)
    silent = sum(run.kind is not RunKind.VIOLATION for (run,) in ran)
    if silent:
        raise UnavailableError(
            f"{silent} of {len(contents)} inputs do not crash the target here.",
            next_step="Compare the compiler with the one of Debian 12.",
        )
    names = rng.sample(range(10**6), len(contents))
    return tuple(
        KnownProof(f"{name:06}", "read", content, run.signature)
        for name, content, (run,) in zip(names, contents, ran, strict=True)
    )


def decided(bench: Bench, *, without: Sequence[str] = ()) -> tuple[tuple[FixRow, ...], float]:
    """The rows of all fixes but those of some kinds, in random order, and the seconds it took."""
    given = [fix for fix, kind in bench.fixes.items() if kind not in without]
    Random(_SEED).shuffle(given)  # noqa: S311
    began = time.perf_counter()
    rows = try_fixes(bench.laboratory, bench.recipe, proofs=bench.proofs, patches=given)
    return rows, time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Score:
    """What was decided of pairs of crashes, and how many causes the joins leave."""

    merges: int
    wrong_merges: int
    splits: int
    wrong_splits: int
    clusters: int


def score(truth: dict[str, int], shown: Sequence[Shown]) -> Score:
    """Compare what was shown with what is known."""
    same = [(each.a, each.b) for each in shown if each.relation is Relation.SAME]
    apart = [(each.a, each.b) for each in shown if each.relation is Relation.DIFFERENT]
    leader = {name: name for name in truth}

    def first(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for a, b in same:
        leader[first(a)] = first(b)
    return Score(
        len(same),
        sum(truth[a] != truth[b] for a, b in same),
        len(apart),
        sum(truth[a] == truth[b] for a, b in apart),
        len({first(name) for name in truth}),
    )


def run(*, full: bool) -> Iterator[Figure]:
    """Wrong merges and splits with every fix among the candidates, and with the atomic ones missing."""
    with opened(each=21 if full else 4, workers=2) as bench:
        rows, seconds = decided(bench)
        seen = score(bench.truth, relations(bench.proofs, rows))
        runs = len(bench.proofs) * len(bench.fixes)
        flaws = len(set(bench.truth.values()))
        print(
            f"{len(rows)} of {len(bench.fixes)} fixes gave a row, {seconds:.0f} s", file=sys.stderr
        )
        yield _figure("wrong merges", seen.merges, seen.wrong_merges, 0)
        yield _figure("wrong splits", seen.splits, seen.wrong_splits, 0)
        yield _figure("causes told apart", len(bench.truth), seen.clusters, flaws)
        misled, _ = decided(bench, without=("atomic",))
        left = score(bench.truth, relations(bench.proofs, misled))
        yield _figure("wrong merges by misleading fixes alone", left.merges, left.wrong_merges, 0)
        yield _figure("wrong splits by misleading fixes alone", left.splits, left.wrong_splits, 0)
        yield _same_signature(bench)
        rate = runs / seconds
        yield Figure(
            bench="root-cause",
            figure="crash against fix, with two workers",
            input=f"crashes of {flaws} flaws against {len(bench.fixes)} fixes",
            size=runs,
            ours=round(rate, 1),
            unit="tests/s",
            peer="none",
            peer_value=0,
            ratio=0,
            goal=0,
            met=True,
        )


def _same_signature(bench: Bench) -> Figure:
    """What comparing signatures alone does with the same crashes, as the peer."""
    by_signature: dict[tuple[str, ...], set[int]] = {}
    for proof in bench.proofs:
        by_signature.setdefault(proof.signature, set()).add(bench.truth[proof.id])
    pairs = sum(len(list(combinations(flaws, 2))) for flaws in by_signature.values())
    return Figure(
        bench="root-cause",
        figure="flaws that equal signatures would have merged",
        input="signatures",
        size=len(by_signature),
        ours=0,
        unit="pairs of flaws",
        peer="equal signature",
        peer_value=pairs,
        ratio=0,
        goal=0,
        met=True,
    )


def _figure(what: str, size: int, ours: float, goal: float) -> Figure:
    return Figure(
        bench="root-cause",
        figure=what,
        input="decisions on pairs of crashes" if "wrong" in what else "crashes",
        size=size,
        ours=ours,
        unit="pairs" if "wrong" in what else "causes",
        peer="truth",
        peer_value=goal,
        ratio=round(ours / goal, 3) if goal else 0,
        goal=goal,
        met=ours == goal,
    )
