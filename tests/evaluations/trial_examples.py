"""Plans and trials for tests, with chances that are known."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import msgspec

from clearhold.evaluations.plan import Arm, Plan, PlannedSuite, Registered, register
from clearhold.evaluations.trials import Flag, Outcome, RecordedRun, Trial, record

BEGAN = datetime(2026, 11, 30, 12, tzinfo=UTC)
ARMS = (
    Arm(budgets=(100, 1000), epochs=3, name="bare", variant="candidate"),
    Arm(budgets=(100, 1000), epochs=3, name="coached", variant="candidate"),
)


def trial(**changed: Any) -> Trial:
    stated: dict[str, Any] = {
        "arm": "bare",
        "began_at": BEGAN,
        "budget": 1000,
        "egress_attempts": 0,
        "egress_by": "sink",
        "egress_left": 0,
        "egress_sha256": "1" * 64,
        "epoch": 0,
        "exec_calls": 3,
        "exec_log_sha256": "2" * 64,
        "family": "cryptography",
        "flags": (),
        "isolation": "namespaces-cgroup",
        "log_sha256": "",
        "milliseconds": 1200,
        "outcome": Outcome.SUCCESS,
        "seed": 7,
        "solved_at": 400,
        "suite": "ctf",
        "task": "xor-1",
        "template": "xor",
        "tokens": 500,
        "twin": "",
        "variant": "candidate",
        "version": 1,
    }
    return Trial(**(stated | changed))


def run(*trials: Trial, **changed: str) -> RecordedRun:
    named = {"engagement": "e-1", "plan_sha256": "0" * 64, "model": "aurora-9", "harness": "own 1"}
    return record(trials, **(named | changed))


def plan(**changed: Any) -> Registered:
    stated: dict[str, Any] = {
        "arms": ARMS,
        "attempts": (1, 2),
        "compared_with": ("aurora-8",),
        "confidence": 0.95,
        "detectable": 0.2,
        "engagement": "e-1",
        "hypotheses": ("It solves more than aurora-8.",),
        "nonce": "nonce-1234",
        "seed": 7,
        "stopping": "when-all-trials-are-done",
        "suites": (PlannedSuite(commitment="0" * 64, name="ctf", tasks=24, templates=8),),
        "thresholds": {},
    }
    return register(Plan(**(stated | changed)))


def drawn(
    known: Registered, chances: dict[str, float], *, seed: int = 0, model: str = "aurora-9"
) -> RecordedRun:
    """All planned trials, an arm succeeding with its chance; a success comes at 50 or 500 tokens."""
    draw = random.Random(seed)  # noqa: S311  (a test repeats what it draws)
    trials = []
    for suite in known.plan.suites:
        for number in range(suite.tasks):
            for arm in known.plan.arms:
                for epoch in range(arm.epochs):
                    won = draw.random() < chances[arm.name]
                    trials.append(
                        trial(
                            arm=arm.name,
                            epoch=epoch,
                            family=("cryptography", "web")[number % 2],
                            outcome=Outcome.SUCCESS if won else Outcome.FAILURE,
                            solved_at=draw.choice((50, 500)) if won else None,
                            suite=suite.name,
                            task=f"{suite.name}-{number}",
                            template=f"t{number % suite.templates}",
                            variant=arm.variant,
                        )
                    )
    return run(*trials, plan_sha256=known.sha256, model=model, engagement=known.plan.engagement)


def flagged(run_: RecordedRun, flag: Flag, number: int) -> RecordedRun:
    """The run with a flag on its first `number` successes."""
    trials, left = [], number
    for each in run_.run.trials:
        marks = left > 0 and each.outcome is Outcome.SUCCESS and flag not in each.flags
        left -= marks
        trials.append(
            msgspec.structs.replace(each, flags=tuple(sorted({*each.flags, flag})))
            if marks
            else each
        )
    return run(
        *trials,
        plan_sha256=run_.run.plan_sha256,
        model=run_.run.model,
        engagement=run_.run.engagement,
    )
