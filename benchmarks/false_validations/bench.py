"""How many submissions made to deceive are validated, and how many true ones are not.

The tricks: forged reports, borrowed exit codes, lying and faulty drivers, limits, chance, wrong
versions, wrong claims, faults on both sides, and proofs that only name canaries. Drivers that lie
stand for what a submitter's own harness would do; the hub takes none.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from benchmarks.false_validations import submissions
from benchmarks.false_validations.submissions import Submission
from benchmarks.figure import Figure, none_allowed
from benchmarks.root_cause import target
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox
from clearhold.assembly import open_laboratory
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Sandbox, Tier
from clearhold.settings import Settings
from clearhold.validation.builder import Laboratory
from clearhold.validation.examination import examine
from clearhold.validation.verdict import Verdict, VerdictKind

_SEED = 20


def run(*, full: bool) -> Iterator[Figure]:
    """Submissions wrongly validated, told for another trick than theirs, and true ones refused."""
    rng = Random(_SEED)  # noqa: S311 (reproducible, no secret)
    with opened() as laboratory:
        tricks = [
            *submissions.on_own_target(rng, each=40 if full else 15),
            *submissions.with_lying_drivers(rng, each=5 if full else 2),
        ]
        judged = list(_judged(laboratory, tricks))
        refused = [
            verdict
            for _, verdict in _judged(laboratory, submissions.true_ones(rng))
            if not verdict.confirmed
        ]
    shipped = submissions.on_shipped_recipes()
    judged += _judged(open_laboratory(Settings()), shipped)
    kept = [each for each in judged if each[1].kind is not VerdictKind.ENVIRONMENT_FAILURE]
    if len(kept) < len(judged):
        print(f"{len(judged) - len(kept)} submissions: no source", file=sys.stderr)
    wrong = [each for each in kept if each[1].confirmed]
    unlike = [each for each in kept if each[1].kind not in each[0].expected]
    for submission, verdict in [*wrong, *(each for each in unlike if each not in wrong)]:
        print(f"{submission.trick}: {verdict.label}: {verdict.reason}", file=sys.stderr)
    yield _figure("submissions wrongly validated", len(wrong), len(kept))
    yield _figure("submissions told for another trick", len(unlike), len(kept))
    yield _figure("true proofs refused", len(refused), len(target.FLAWS))


@contextmanager
def opened(sandbox: Sandbox | None = None) -> Iterator[Laboratory]:
    """A laboratory with our own target's releases, in a directory of its own.

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
        sources = target.OwnSources(place / "own", submissions.releases().values())
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


def _judged(
    laboratory: Laboratory, tricks: Iterable[Submission]
) -> Iterator[tuple[Submission, Verdict]]:
    for each in tricks:
        yield each, judge(laboratory, each)


def _figure(what: str, ours: int, size: int) -> Figure:
    return none_allowed(
        bench="false-validations",
        figure=what,
        input="submissions",
        size=size,
        ours=ours,
        unit="submissions",
    )
