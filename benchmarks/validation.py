"""How many proofs are validated in an hour of one core, and whether verdicts stand still.

One validation builds both sides of a small C project of our own and runs a control, five times the
proof on the vulnerable side and five times on the fixed one, each in a sandbox of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

from benchmarks.figure import Figure, none_allowed
from benchmarks.root_cause import crashes, target
from benchmarks.shipped_proofs import PROOFS
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.assembly.laboratory import open_laboratory
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Sandbox, Tier
from clearhold.settings import Settings
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import examine
from clearhold.validation.recipe import Flavour, Recipe, Side, load
from clearhold.validation.reproduce import reproduce
from clearhold.validation.verdict import Claim, Verdict, VerdictKind, decide

_RUNS = 5
_COLD_GOAL, _CACHED_GOAL = 600, 2000
_REPETITIONS = 20


def run(*, full: bool) -> Iterator[Figure]:
    """Rates cold and cached with one and two workers, and stability; with `full`, every recipe."""
    seconds = 60.0 if full else 12.0
    with _place() as place, BubblewrapSandbox(slots=2) as sandbox:
        if sandbox.tier() is Tier.NONE:
            raise UnavailableError(
                "This machine gives no sandbox.", next_step="Run `clearhold doctor`."
            )
        bare = _bare(place)
        one = _rate(sandbox, place / "cold-1", workers=1, seconds=seconds, cold=True)
        two = _rate(sandbox, place / "cold-2", workers=2, seconds=seconds, cold=True)
        yield _hourly("cold, one worker", one, bare, _COLD_GOAL)
        yield _scaled("cold, two workers", two, one)
        one = _rate(sandbox, place / "kept-1", workers=1, seconds=seconds, cold=False)
        two = _rate(sandbox, place / "kept-2", workers=2, seconds=seconds, cold=False)
        yield _hourly("cached builds, one worker", one, bare, _CACHED_GOAL)
        yield _scaled("cached builds, two workers", two, one)
        yield _stability(sandbox, place / "stable", reruns=50)
    if full:
        yield from _recipes()


@contextmanager
def _place() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="clearhold-bench-", dir="/var/tmp"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _laboratory(sandbox: Sandbox, place: Path) -> tuple[Laboratory, Recipe]:
    old, new = target.archive(target.source()), target.archive(target.source(fixed=target.FLAWS))
    sources = target.OwnSources(place / "own", [old, new])
    return (
        Laboratory(sandbox, sources, place, workers=1),
        target.recipe(old, new, crashes.benign()),
    )


def _validate(laboratory: Laboratory, recipe: Recipe, proof: bytes) -> Verdict:
    """One validation with five runs on each side, without minimising."""
    old, new = (
        laboratory.build(recipe, side, flavour=Flavour.ADDRESS)
        for side in (Side.VULNERABLE, Side.FIXED)
    )
    (control,) = reproduce(laboratory, old, target="read", proof=recipe.control("read"), runs=1)
    ran = [
        reproduce(laboratory, build, target="read", proof=proof, runs=_RUNS) for build in (old, new)
    ]
    return decide(
        ran[0],
        fixed=ran[1],
        control=control,
        claim=Claim("crash"),
        build_key=old.key,
        observed="crash",
        fixed_version=new.version,
        minimised=True,
    )


def _rate(
    sandbox: Sandbox, place: Path, *, workers: int, seconds: float, cold: bool
) -> tuple[float, int]:
    """Validations per hour, and how many were done. Raises when a verdict is wrong."""
    end = time.perf_counter() + seconds

    def work(worker: int) -> int:
        rng = Random(worker)  # noqa: S311 (reproducible, no secret)
        done = 0
        kept = _laboratory(sandbox, place / f"{worker}")
        kept[0].toolchain()
        if not cold:
            _validate(*kept, crashes.crash(rng, 1))
        while time.perf_counter() < end:
            laboratory, recipe = kept
            if cold:
                fresh = _laboratory(sandbox, place / f"{worker}-{done}")
                fresh[0].toolchain()
                laboratory, recipe = fresh
            verdict = _validate(laboratory, recipe, crashes.crash(rng, rng.choice(target.FLAWS)))
            assert verdict.kind is VerdictKind.REPRODUCED, verdict
            done += 1
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        done = sum(pool.map(work, range(workers)))
    return done * 3600 / (time.perf_counter() - began), done


def _bare(place: Path) -> float:
    """Seconds to compile the target once, without a sandbox: nothing foreign is run."""
    code = place / "orchard.c"
    code.write_text(target.source(), encoding="utf-8")
    words = ["gcc", "-g", "-O1", "-fsanitize=address", "-fno-omit-frame-pointer", str(code)]
    began = time.perf_counter()
    subprocess.run([*words, "-o", str(place / "bare")], check=True)
    return time.perf_counter() - began


def _hourly(what: str, measured: tuple[float, int], bare: float, goal: float) -> Figure:
    rate, done = measured
    peer = 3600 / (2 * bare)
    return Figure(
        bench="validation",
        figure=f"validations per core-hour, {what}",
        input="crashes of a C program of 300 lines, both sides built, 5 and 5 runs",
        size=done,
        ours=round(rate),
        unit="validations/h",
        peer="compiling both sides once, no sandbox and no run",
        peer_value=round(peer),
        ratio=round(rate / peer, 3),
        goal=goal,
        met=rate >= goal,
    )


def _scaled(what: str, measured: tuple[float, int], one: tuple[float, int]) -> Figure:
    rate, done = measured
    return Figure(
        bench="validation",
        figure=f"validations per hour, {what}",
        input="the same",
        size=done,
        ours=round(rate),
        unit="validations/h",
        peer="one worker",
        peer_value=round(one[0]),
        ratio=round(rate / one[0], 2),
        goal=0,
        met=True,
    )


def _stability(sandbox: Sandbox, place: Path, *, reruns: int) -> Figure:
    laboratory, recipe = _laboratory(sandbox, place)
    rng = Random(5)  # noqa: S311 (reproducible, no secret)
    proofs = [crashes.crash(rng, flaw) for flaw in (1, 5, 8, 9, 14)]
    changed = 0
    for proof in proofs:
        seen = Counter(
            (verdict.label, verdict.level, verdict.signature)
            for verdict in (_validate(laboratory, recipe, proof) for _ in range(reruns // 5))
        )
        changed += sum(seen.values()) - seen.most_common(1)[0][1]
    return none_allowed(
        bench="validation",
        figure=f"verdicts that changed over {reruns} reruns",
        input="verdicts on crashes of five kinds, with level and signature",
        size=reruns,
        ours=changed,
        unit="verdicts",
    )


def _recipes() -> Iterator[Figure]:
    """False rejections of known proofs of shipped recipes, repeated, two proofs at a time.

    Those that measure growth come last: one of their runs takes as long as fifty of others.
    """
    laboratory = open_laboratory(Settings())
    known = sorted(PROOFS, key=lambda each: load(each[0]).target(each[1]).oracle == "complexity")

    def rejections(proof_of: tuple[str, str, bytes]) -> int | None:
        """How many repetitions were rejected; None when the machine lacks what the recipe needs.

        A measurement that a busy machine left open is told of and made again: it is no verdict.
        """
        name, target_name, proof = proof_of
        rejected = decided = left_open = 0
        while decided < _REPETITIONS:
            done = examine(
                laboratory, load(name), target=target_name, proof=proof, minimising_runs=0
            )
            if done.verdict.kind is VerdictKind.ENVIRONMENT_FAILURE:
                print(f"{name} {target_name}: {done.verdict.reason}", file=sys.stderr)
                left_open += 1
                if done.verdict.detail or left_open > _REPETITIONS:
                    return None
                continue
            decided += 1
            if not done.verdict.confirmed:
                print(f"{name} {target_name}: {done.verdict.label}", file=sys.stderr)
                rejected += 1
        return rejected

    with ThreadPoolExecutor(2) as pool:
        for (name, target_name, _), rejected in zip(
            known, pool.map(rejections, known), strict=True
        ):
            if rejected is not None:
                yield none_allowed(
                    bench="validation",
                    figure=f"false rejections, {name} {target_name}",
                    input="repetitions of one known proof",
                    size=_REPETITIONS,
                    ours=rejected,
                    unit="rejections",
                )
