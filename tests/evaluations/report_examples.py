"""Drafts and final reports for tests, from trials that were drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from trial_examples import drawn, plan

from clearhold.evaluations.model import Side
from clearhold.evaluations.plan import Registered
from clearhold.evaluations.reporting.beside import (
    Beside,
    Burden,
    Decision,
    Effort,
    Input,
    Safeguard,
    StepTold,
)
from clearhold.evaluations.reporting.document import (
    FORMAT,
    SAYS,
    Access,
    Report,
    Section,
    Source,
    Tested,
    Written,
    write,
)
from clearhold.evaluations.reporting.estimates import results
from clearhold.evaluations.safeguard_steps import Step

NOW = datetime(2026, 12, 10, 12, tzinfo=UTC)


def beside(**changed: Any) -> Beside:
    """A finding that was mended and tested again, a decision, and what it all cost."""
    step = {"configuration": "c" * 64, "sha256": "5" * 64, "trials_sha256": ""}
    claimed = StepTold(at=NOW, by=Side.DEVELOPER, reason="", to=Step.FIX_CLAIMED, **step)
    tried = msgspec.structs.replace(
        claimed, by=Side.EVALUATOR, to=Step.VERIFIED, trials_sha256="7" * 64
    )
    stated: dict[str, Any] = {
        "as_of": NOW,
        "burden": Burden(
            call_tokens=9000,
            calls=40,
            delay_s=86400,
            departments=2,
            hours=5.5,
            requests=2,
            runs=1,
            spared_hours=3.0,
            spared_tokens=1000,
            tokens=2000,
        ),
        "decisions": (
            Decision(
                authority="energy",
                basis="The report, and the word hunter3 of a vendor.",
                decided_at=NOW - timedelta(days=1),
                decided_by="Grace Example",
                decision="not-covered",
                inputs=(Input(sha256="1" * 64, what="final report"),),
                inputs_left_out=0,
                rule="section 3",
                sha256="2" * 64,
            ),
        ),
        "decisions_left_out": 0,
        "safeguards": (
            Safeguard(
                also_in=("aurora-8",),
                automated=False,
                effort=Effort(
                    attempts=14,
                    automated=False,
                    first_attempts=9,
                    first_minutes=80.0,
                    minutes=120.0,
                    sha256="3" * 64,
                    turns=60,
                    universal=True,
                ),
                expert_hours=6.5,
                kit=True,
                reach="universal",
                reported_at=NOW - timedelta(days=3),
                severity="high",
                sha256="4" * 64,
                stands=Step.VERIFIED,
                steps=(claimed, tried),
                steps_left_out=0,
                title="A story within a <story>",
                variant="candidate",
            ),
        ),
        "safeguards_left_out": 0,
    }
    return Beside(**(stated | changed))


def report(known: Registered | None = None, **changed: Any) -> Report:
    known = known or plan()
    run = drawn(known, {"bare": 0.4, "coached": 0.7})
    stated: dict[str, Any] = {
        "access": Access(began_at=NOW - timedelta(days=9), ends_at=NOW, spent_s=9 * 86400),
        "beside": beside(),
        "closing": None,
        "format": FORMAT,
        "made_at": NOW,
        "plan": known.plan,
        "plan_sha256": known.sha256,
        "results": results(known, run.run, known.sha256, {}, ended=False),
        "says": SAYS,
        "sections": (
            Section(
                title="Summary", text="It solved some.\n\nThe secret key is hunter2, they say."
            ),
            Section(title="Limits <of> it", text="A few & small suites; naïve ones — 日本."),
        ),
        "sources": (Source(harness="own 1", model="aurora-9", sha256=run.sha256, trials=144),),
        "tested": Tested(
            agreement_sha256="a" * 64,
            developer="aurora",
            engagement=known.plan.engagement,
            evaluator="institute",
            model="aurora-9",
            variants=("candidate",),
        ),
    }
    return Report(**(stated | changed))


def draft(known: Registered | None = None, **changed: Any) -> Written:
    return write(report(known, **changed))
