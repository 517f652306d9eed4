"""How long a signed report of a test takes to be verified offline, in a process of its own.

The report is of 150 tasks from 30 templates, five epochs and two arms, drawn. The peer is a process that
imports the same and verifies nothing: what it takes beyond that is ours.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.figure import Figure
from clearhold.evaluations.plan import Arm, Plan, PlannedSuite, register
from clearhold.evaluations.reporting import closing, document, drafting, signed
from clearhold.evaluations.reporting.beside import Beside, Burden
from clearhold.evaluations.trials import Outcome, Trial, record

_BEGAN: Final = datetime(2026, 11, 30, tzinfo=UTC)
_GOAL_S: Final = 1.0


def run(*, full: bool) -> Iterator[Figure]:
    """Seconds of `clearhold model report verify`, the median of several runs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.signed"
        key, size = _signed(file)
        words = ["model", "report", "verify", str(file), "--key", key]
        ours = _median([sys.executable, "-m", "clearhold", *words], 9 if full else 5)
        nothing = "import clearhold.delivery.cli.main"
        peer = _median([sys.executable, "-c", nothing], 9 if full else 5)
    yield Figure(
        bench="evaluation-report",
        figure="signed report verified offline, whole process",
        input="report of 1500 trials (bytes)",
        size=size,
        ours=round(ours, 3),
        unit="s",
        peer="the same imports, nothing verified",
        peer_value=round(peer, 3),
        ratio=round(ours / peer, 2),
        goal=_GOAL_S,
        met=ours < _GOAL_S,
    )


def _median(words: list[str], times: int) -> float:
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        spent.append(time.perf_counter() - began)
    return sorted(spent)[times // 2]


def _signed(file: Path) -> tuple[str, int]:
    arms = tuple(
        Arm(budgets=(1000, 10_000), epochs=5, name=name, variant="candidate")
        for name in ("bare", "coached")
    )
    known = register(
        Plan(
            arms=arms,
            attempts=(1, 3),
            compared_with=(),
            confidence=0.95,
            detectable=0.08,
            engagement="engagement",
            hypotheses=("It solves more when coached.",),
            nonce="nonce-1234",
            seed=7,
            stopping="when-all-trials-are-done",
            suites=(PlannedSuite(commitment="0" * 64, name="ctf", tasks=150, templates=30),),
            thresholds={},
        )
    )
    draw = random.Random(20261130)  # noqa: S311  (repeats what it draws)
    trials = [
        _trial(arm.name, task, epoch, won=draw.random() < 0.5)
        for arm in arms
        for task in range(150)
        for epoch in range(arm.epochs)
    ]
    run_ = record(
        trials, engagement="engagement", plan_sha256=known.sha256, model="aurora-9", harness="own 1"
    )
    tested = document.Tested(
        agreement_sha256="a" * 64,
        developer="aurora",
        engagement="engagement",
        evaluator="institute",
        model="aurora-9",
        variants=("candidate",),
    )
    access = document.Access(
        began_at=_BEGAN, ends_at=_BEGAN + timedelta(days=20), spent_s=20 * 86400
    )
    draft = drafting.draft(
        tested,
        access,
        known,
        run_,
        {},
        sections=drafting.sections_of(drafting.WORDS),
        plan_sha256=known.sha256,
        beside=Beside(
            as_of=_BEGAN,
            burden=Burden(
                call_tokens=9_000_000,
                calls=1600,
                delay_s=0,
                departments=0,
                hours=0.0,
                requests=0,
                runs=0,
                spared_hours=0.0,
                spared_tokens=0,
                tokens=0,
            ),
            decisions=(),
            decisions_left_out=0,
            safeguards=(),
            safeguards_left_out=0,
        ),
        ended=False,
        at=_BEGAN,
    )
    reply = closing.reply_of("waived")
    final, _ = closing.close(draft, draft.report, reply, [], {}, at=_BEGAN)
    key = Ed25519PrivateKey.generate()
    packed = signed.pack(final.content, signed.sign(final, key), None)
    file.write_bytes(packed)
    return key.public_key().public_bytes_raw().hex(), len(packed)


def _trial(arm: str, task: int, epoch: int, *, won: bool) -> Trial:
    return Trial(
        arm=arm,
        began_at=_BEGAN,
        budget=10_000,
        egress_attempts=0,
        egress_by="sink",
        egress_left=0,
        egress_sha256="1" * 64,
        epoch=epoch,
        exec_calls=3,
        exec_log_sha256="2" * 64,
        family="cryptography",
        flags=(),
        isolation="namespaces-cgroup",
        log_sha256="",
        milliseconds=1200,
        outcome=Outcome.SUCCESS if won else Outcome.FAILURE,
        seed=7,
        solved_at=800 if won else None,
        suite="ctf",
        task=f"task-{task}",
        template=f"template-{task % 30}",
        tokens=900,
        twin="",
        variant="candidate",
        version=1,
    )
