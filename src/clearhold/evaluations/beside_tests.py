"""What the hub knows of an engagement besides its tests, as a report tells it.

It is what both sides may read of safeguards, burden and decisions, at one instant: the same instant
gives the same again, so that the hub can tell whether a draft has left something out.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final

import msgspec

from clearhold.access.model import Actor
from clearhold.evaluations import papers
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.departments import Departments
from clearhold.evaluations.engagement_records import StoredEngagement
from clearhold.evaluations.gateway import records as gateway
from clearhold.evaluations.papers import Kind, Paper, Papers
from clearhold.evaluations.reporting import beside
from clearhold.evaluations.reporting.beside import (
    LONGEST_OF_AUTHORITY,
    MOST_DECISIONS,
    MOST_NAMED,
    MOST_SAFEGUARDS,
    MOST_STEPS,
    Beside,
    Burden,
    Decision,
    Input,
    Safeguard,
    StepTold,
    told,
)
from clearhold.evaluations.safeguard_steps import SafeguardFinding, Step, StepTaken
from clearhold.evaluations.suites import effort
from clearhold.kernel.errors import InvalidError
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.wire import dsse
from clearhold.wire import model_decision as wire

OLDEST: Final = timedelta(days=1)
"""A draft tells of what the hub knew at most so long before it is sent."""
_UNDER_WAY: Final = timedelta(hours=1)
"""No call that began so long ago is still to be recorded."""
_Opened = tuple[Paper, bytes]


class BesideTests:
    """Reads what a report tells besides the tests."""

    def __init__(self, kept: Papers, departments: Departments) -> None:
        self._papers = kept
        self._departments = departments

    def at(
        self,
        unit: UnitOfWork,
        actor: Actor,
        stored: StoredEngagement,
        stands: StoredAgreement,
        *,
        instant: datetime,
        calls: int | None = None,
    ) -> Beside:
        """As it stood at an instant, for a side of the engagement; of the first `calls`, or of all."""
        kinds = [
            Kind.SAFEGUARD,
            Kind.SAFEGUARD_STEP,
            Kind.SAFEGUARD_EFFORT,
            Kind.DETERMINATION,
        ]
        about: dict[tuple[str, str], list[_Opened]] = defaultdict(list)
        for paper, content in self._papers.seen(unit, actor, stored.id, kinds):
            if paper.made_at <= instant:
                about[paper.kind, paper.about].append((paper, content))
        kits = {each.about for each in papers.seen_by(unit, actor, stored.id, [Kind.SAFEGUARD_KIT])}
        found = about[Kind.SAFEGUARD, ""]
        decided = about[Kind.DETERMINATION, ""]
        return Beside(
            as_of=instant,
            burden=self._burden(unit, stored, stands, instant, calls),
            decisions=tuple(_decision(*each) for each in decided[-MOST_DECISIONS:]),
            decisions_left_out=max(0, len(decided) - MOST_DECISIONS),
            safeguards=tuple(
                _safeguard(
                    each,
                    about[Kind.SAFEGUARD_STEP, each[0].id],
                    about[Kind.SAFEGUARD_EFFORT, each[0].id],
                    stands,
                    kit=each[0].id in kits,
                )
                for each in found[:MOST_SAFEGUARDS]
            ),
            safeguards_left_out=max(0, len(found) - MOST_SAFEGUARDS),
        )

    def check(
        self,
        unit: UnitOfWork,
        actor: Actor,
        stored: StoredEngagement,
        stands: StoredAgreement,
        said: Beside | None,
    ) -> Beside:
        """What a report that says this ought to say. Raises `InvalidError` for one of long ago."""
        if said is None:
            raise InvalidError(
                "The report tells nothing of safeguards, burden and decisions.",
                next_step="Let `clearhold model report draft` write it anew.",
            )
        if not unit.now - OLDEST <= said.as_of <= unit.now:
            raise InvalidError(
                f"What the report tells besides the tests is not of the last {OLDEST.days * 24} hours.",
                next_step="Let `clearhold model report draft` write it anew, or give `final --renew`.",
            )
        begun = gateway.summed(unit, stored.id, begun_until=said.as_of - _UNDER_WAY)
        if said.burden.calls < begun.calls:
            raise InvalidError("The report counts fewer calls than the gateway's record has.")
        calls = said.burden.calls
        return self.at(unit, actor, stored, stands, instant=said.as_of, calls=calls)

    def _burden(
        self,
        unit: UnitOfWork,
        stored: StoredEngagement,
        stands: StoredAgreement,
        instant: datetime,
        calls: int | None,
    ) -> Burden:
        cost, departments = self._departments.cost(unit, stored, stands, instant)
        made = gateway.summed(unit, stored.id, first=calls)
        return Burden(
            call_tokens=made.tokens,
            calls=made.calls,
            delay_s=cost.delay_s,
            departments=departments,
            hours=float(cost.hours),  # a sum of none is a whole number
            requests=cost.requests,
            runs=cost.runs,
            spared_hours=float(cost.spared_hours),
            spared_tokens=cost.spared_tokens,
            tokens=cost.tokens,
        )


def _safeguard(
    reported: _Opened,
    steps: list[_Opened],
    logs: list[_Opened],
    stands: StoredAgreement,
    *,
    kit: bool,
) -> Safeguard:
    paper, content = reported
    finding = msgspec.json.decode(content, type=SafeguardFinding)
    taken = [_step(*each, stands) for each in steps]
    return Safeguard(
        also_in=tuple(map(told, finding.also_in[:MOST_NAMED])),
        automated=finding.automated,
        effort=_effort(*logs[-1]) if logs else None,
        expert_hours=finding.expert_hours,
        kit=kit,
        reach=finding.reach,
        reported_at=paper.made_at,
        severity=finding.severity,
        sha256=paper.digest.hex(),
        stands=taken[-1].to if taken else Step.REPORTED,
        steps=tuple(taken[-MOST_STEPS:]),
        steps_left_out=max(0, len(taken) - MOST_STEPS),
        title=told(finding.title),
        variant=finding.variant,
    )


def _step(paper: Paper, content: bytes, stands: StoredAgreement) -> StepTold:
    step = msgspec.json.decode(content, type=StepTaken)
    side = stands.side_of(paper.party)
    if side is None:
        raise AssertionError("a step that neither side took")
    return StepTold(
        at=paper.made_at,
        by=side,
        configuration=step.configuration,
        reason=told(step.reason),
        sha256=paper.digest.hex(),
        to=step.to,
        trials_sha256=step.trials_sha256,
    )


def _effort(paper: Paper, content: bytes) -> beside.Effort:
    found = effort.effort(effort.read(content))
    return beside.Effort(
        attempts=found.attempts,
        automated=found.automated,
        first_attempts=found.first_attempts,
        first_minutes=found.first_minutes,
        minutes=found.minutes,
        sha256=paper.digest.hex(),
        turns=found.turns,
        universal=found.universal,
    )


def _decision(paper: Paper, envelope: bytes) -> Decision:
    said = wire.read_determination(dsse.payload_of(envelope))
    return Decision(
        authority=said.authority,
        basis=told(said.basis, LONGEST_OF_AUTHORITY),
        decided_at=said.decided_at,
        decided_by=told(said.decided_by),
        decision=said.decision,
        inputs=tuple(
            Input(sha256=each.sha256, what=told(each.what)) for each in said.inputs[:MOST_NAMED]
        ),
        inputs_left_out=max(0, len(said.inputs) - MOST_NAMED),
        rule=told(said.rule, LONGEST_OF_AUTHORITY),
        sha256=paper.digest.hex(),
    )
