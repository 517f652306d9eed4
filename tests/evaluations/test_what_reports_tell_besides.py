"""A report tells of safeguards, burden and decisions what the hub knows: nobody leaves any of it out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from desk_scene import DAY, HOUR, Desk
from test_effort_logs import attempt, log
from test_parts_beside_tests import (
    CONFIGURATION,
    SAFEGUARD,
    TRIALS,
    Ministry,
    asking,
    decision,
    ministry,
    part,
)
from test_parts_beside_tests import signed as signed_by
from test_reports_at_the_hub import drafted, planned

from clearhold.evaluations.model import Act
from clearhold.evaluations.reporting import closing, document, signed
from clearhold.evaluations.reporting.beside import LONGEST_OF_AUTHORITY
from clearhold.evaluations.reporting.document import Written
from clearhold.evaluations.safeguard_steps import SafeguardView, Step, StepTaken
from clearhold.kernel.errors import DeniedError, InvalidError, NotFoundError
from clearhold.wire import model_decision as wire

__all__ = ["ministry"]  # a fixture
FIX = StepTaken(to=Step.FIX_CLAIMED, configuration=CONFIGURATION)
RETEST = StepTaken(to=Step.VERIFIED, configuration=CONFIGURATION, trials_sha256=TRIALS)
HOSTILE = "[removed: 1]\x1b[31m" + "W" * 19_000


def beside(desk: Desk, engagement: str) -> Any:
    return desk.hub.models.reports.facts(desk.testers, engagement).beside


def found(desk: Desk, engagement: str) -> SafeguardView:
    """A finding that the developer has acknowledged, with the log of what it took."""
    register = desk.hub.models.safeguards
    view = register.report(desk.testers, engagement, SAFEGUARD, "")
    whole = log(attempt(1), attempt(2, reached="all", scope="universal"))
    content = msgspec.json.encode(msgspec.structs.replace(whole, variant="candidate"))
    with pytest.raises(DeniedError):
        register.log_effort(desk.lab, engagement, view.id, content)
    with pytest.raises(InvalidError, match="another variant"):
        register.log_effort(desk.testers, engagement, view.id, msgspec.json.encode(whole))
    with pytest.raises(InvalidError):
        register.log_effort(desk.testers, engagement, view.id, b"{}")
    assert register.log_effort(desk.testers, engagement, view.id, content).effort
    return register.step(desk.lab, engagement, view.id, StepTaken(to=Step.ACKNOWLEDGED))


def test_the_hub_tells_each_side_the_same_and_nobody_else(ministry: Ministry, clock: Any) -> None:
    desk, engagement = ministry.desk, ministry.engagement
    found(desk, engagement)
    desk.hub.models.departments.add(desk.testers, engagement, part(desk, "energy"))
    desk.hub.models.departments.ask(ministry.one, engagement, asking())
    said = decision(ministry, "energy", basis=HOSTILE)
    envelope = signed_by(ministry, ministry.one, said, wire.DETERMINATION_TYPE)
    desk.hub.models.decisions.decide(ministry.one, envelope)
    told = beside(desk, engagement)
    assert told == desk.hub.models.reports.facts(desk.lab, engagement).beside
    [one] = told.safeguards
    assert (one.stands, [each.by for each in one.steps]) == (Step.ACKNOWLEDGED, ["developer"])
    assert (one.effort.attempts, one.effort.first_minutes, one.kit) == (2, 60.0, False)
    [decided] = told.decisions
    assert decided.basis.startswith("(removed: 1]\ufffd[31mWWW")
    assert len(decided.basis) == LONGEST_OF_AUTHORITY
    assert (told.burden.hours, told.burden.tokens, told.burden.departments) == (3.0, 1000, 1)
    for blind in (ministry.one, ministry.two, desk.strangers[0]):
        with pytest.raises(NotFoundError):
            desk.hub.models.reports.facts(blind, engagement)
    before = told.as_of
    clock.advance(HOUR)
    assert beside(desk, engagement).as_of == before + HOUR


def final(desk: Desk, draft: Written, changed: Any = None, reason: str = "") -> tuple[bytes, bytes]:
    report = msgspec.structs.replace(draft.report, **({"beside": changed} if changed else {}))
    removal = closing.Removal("safeguards/0/title", "A story", "developer", "how it is done")
    because = {"beside": reason} if changed else {}
    waived = closing.reply_of("waived")
    made, _ = closing.close(draft, report, waived, [removal], because, at=desk.now())
    return made.content, signed.sign(made, desk.keys[desk.testers.party])


def test_a_draft_leaves_nothing_out_and_a_final_report_tells_of_a_retest_since(
    desk: Desk, clock: Any
) -> None:
    reports, register = desk.hub.models.reports, desk.hub.models.safeguards
    view = desk.testing(planned=planned)
    engagement = view.stored.id
    finding = found(desk, engagement)
    clock.advance(HOUR)
    whole = drafted(desk, view)
    known = whole.report.beside
    assert known is not None
    less = msgspec.structs.replace(known.safeguards[0], expert_hours=0.0)
    for changed in (
        {"safeguards": ()},
        {"safeguards": (less,)},
        {"burden": msgspec.structs.replace(known.burden, hours=9.0)},
        {"as_of": known.as_of - 2 * DAY},
        {"as_of": known.as_of + HOUR},
        {"as_of": known.as_of - HOUR, "safeguards": ()},
    ):
        told = msgspec.structs.replace(known, **changed)
        with pytest.raises(InvalidError):
            reports.send(desk.testers, engagement, drafted(desk, view, beside=told).content)
    first = drafted(desk, view, beside=None, format=document.FIRST_FORMAT)
    with pytest.raises(InvalidError, match="tells nothing"):
        reports.send(desk.testers, engagement, first.content)
    clock.advance(HOUR)
    # What the developer does meanwhile makes no draft wrong that told how it stood.
    register.step(desk.lab, engagement, finding.id, FIX)
    reports.send(desk.testers, engagement, whole.content)
    desk.hub.models.engagements.act(desk.lab, engagement, Act.WAIVE_REPLY)
    for step in (StepTaken(to=Step.RETEST_RUNNING), RETEST):
        register.step(desk.testers, engagement, finding.id, step)
    clock.advance(2 * DAY)
    now = beside(desk, engagement)
    assert now.safeguards[0].stands is Step.VERIFIED
    milder = msgspec.structs.replace(now.safeguards[0], severity="low")
    for wrong in (
        msgspec.structs.replace(now, as_of=known.as_of),
        msgspec.structs.replace(now, safeguards=(milder,)),
    ):
        with pytest.raises(InvalidError, match=r"the hub knows|last 24"):
            reports.issue(desk.testers, engagement, *final(desk, whole, wrong, "why"))
    issued = reports.issue(desk.testers, engagement, *final(desk, whole, now, "a re-test since"))
    key = desk.keys[desk.testers.party].public_key()
    report = signed.verify(issued.packed, {"theirs": key}).written.report
    assert report.beside is not None
    assert report.beside.safeguards[0].title == "[removed: 1] within a story"
