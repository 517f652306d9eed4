"""How many submissions made to deceive are validated, and how many true ones are not.

The tricks: forged reports, borrowed exit codes, lying and faulty drivers, limits, chance, wrong
versions, wrong claims, faults on both sides, and proofs that only name canaries. Drivers that lie
stand for what a submitter's own harness would do; the hub takes none.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

from benchmarks.false_validations import submissions
from benchmarks.false_validations.submissions import Submission
from benchmarks.figure import Figure, none_allowed
from benchmarks.root_cause import target
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.assembly.laboratory import open_laboratory
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Sandbox, Tier
from clearhold.settings import Settings
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import examine
from clearhold.validation.verdict import Verdict, VerdictKind

_SEED = 20
_GOAL_PERCENT = 1.5
_PUBLISHED_PERCENT = 9.4
_STEP = 20
_AT_ONCE = (os.cpu_count() or 1) + 1
"""Submissions judged at once: the slots of the sandbox stay filled while one of them waits."""

Judged = tuple[Submission, Verdict]


def run(*, full: bool) -> Iterator[Figure]:
    """Submissions wrongly validated, told for another trick than theirs, and true ones refused."""
    rng = Random(_SEED)  # noqa: S311 (reproducible, no secret)
    with opened() as laboratory:
        tricks = [
            *submissions.on_own_target(rng, each=40 if full else 15),
            *submissions.with_lying_drivers(rng, each=5 if full else 2),
        ]
        judged = list(_judged(laboratory, tricks, "on our own target"))
        true = list(_judged(laboratory, list(submissions.true_ones(rng)), "true ones"))
    # Half the slots of a hub of this size: as many runs at once as there are cores.
    shipped = open_laboratory(Settings(heavy_slots=1))
    judged += _judged(shipped, list(submissions.on_shipped_recipes()), "on shipped recipes")
    kept = [each for each in judged if each[1].kind is not VerdictKind.ENVIRONMENT_FAILURE]
    if len(kept) < len(judged):
        print(f"{len(judged) - len(kept)} submissions: no source", file=sys.stderr)
    wrong = sum(verdict.confirmed for _, verdict in kept)
    unlike = sum(not submission.told_by(verdict) for submission, verdict in kept)
    yield _figure("submissions wrongly validated", wrong, kept)
    yield _bound(wrong, kept)
    yield _figure("submissions told for another trick", unlike, kept)
    yield _figure(
        "true proofs refused",
        sum(not submission.told_by(verdict) for submission, verdict in true),
        true,
    )


@contextmanager
def opened(
    sandbox: Sandbox | None = None, archives: Iterable[bytes] | None = None
) -> Iterator[Laboratory]:
    """A laboratory in a directory of its own, with `archives`, else our own target's releases.

    Raises `UnavailableError` without a sandbox.
    """
    place = Path(tempfile.mkdtemp(prefix="clearhold-bench-", dir="/var/tmp"))
    place.chmod(0o755)
    own = BubblewrapSandbox(slots=2) if sandbox is None else None
    try:
        used = sandbox or own
        if used is None or used.tier() is Tier.NONE:
            raise UnavailableError(
                "This machine gives no sandbox.", next_step="Run `clearhold doctor`."
            )
        sources = target.OwnSources(place / "own", archives or submissions.releases().values())
        yield Laboratory(used, sources, place / "cache")
    finally:
        if own is not None:
            own.close()
        shutil.rmtree(place, ignore_errors=True)


def judge(laboratory: Laboratory, submission: Submission) -> Verdict:
    """The verdict on one submission, without minimising what it proves."""
    return examine(
        laboratory,
        submission.recipe,
        target=submission.target,
        proof=submission.proof,
        claim=submission.claim,
        minimising_runs=0,
    ).verdict


def _judged(laboratory: Laboratory, tricks: Sequence[Submission], where: str) -> Iterator[Judged]:
    """Each submission with its verdict, in order; tells how far it is and whatever is wrong."""
    wrong = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        verdicts = pool.map(lambda each: judge(laboratory, each), tricks)
        for done, (submission, verdict) in enumerate(zip(tricks, verdicts, strict=True), 1):
            wrong += verdict.confirmed
            if not submission.told_by(verdict):
                _tell(f"{submission.trick}: {verdict.label}: {verdict.reason}")
            if done % _STEP == 0 or done == len(tricks):
                _tell(f"{where}: {done} of {len(tricks)} judged, {wrong} confirmed")
            yield submission, verdict


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def upper_bound(events: int, trials: int) -> float:
    """The exact upper bound of a rate at 95 % confidence, one-sided (Clopper and Pearson, 1934)."""
    low, high = events / trials, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        chance = sum(
            math.comb(trials, count) * rate**count * (1 - rate) ** (trials - count)
            for count in range(events + 1)
        )
        low, high = (rate, high) if chance > 0.05 else (low, rate)
    return high


def _bound(wrong: int, judged: Sequence[Judged]) -> Figure:
    percent = round(100 * upper_bound(wrong, len(judged)), 2)
    return Figure(
        bench="false-validations",
        figure="upper bound of the rate of wrong validations, 95 %",
        input=_kinds(judged),
        size=len(judged),
        ours=percent,
        unit="%",
        peer="reports of a model that a published review of 1,752 called false",
        peer_value=_PUBLISHED_PERCENT,
        ratio=round(percent / _PUBLISHED_PERCENT, 3),
        goal=_GOAL_PERCENT,
        met=percent <= _GOAL_PERCENT,
    )


def _kinds(judged: Sequence[Judged]) -> str:
    return f"submissions of {len({submission.trick for submission, _ in judged})} kinds"


def _figure(what: str, ours: int, judged: Sequence[Judged]) -> Figure:
    return none_allowed(
        bench="false-validations",
        figure=what,
        input=_kinds(judged),
        size=len(judged),
        ours=ours,
        unit="submissions",
    )
