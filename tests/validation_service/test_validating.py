"""Each finding is validated once; what the laboratory lacks is held against nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from standing_examiner import FRAMES, Desk, examined

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.findings.model import State
from clearhold.kernel.errors import ConflictError, DeniedError, NotFoundError, UnavailableError
from clearhold.kernel.ids import FindingId
from clearhold.ledger.audit import verify
from clearhold.ledger.records import leaves
from clearhold.ports.engine import AGAIN_AFTER
from clearhold.validation.examiner import NO_SANDBOX, Examined
from clearhold.validation.tables import validation
from clearhold.validation.verdict import VerdictKind
from clearhold.wire import dsse


def state_of(desk: Desk, finding: FindingId) -> State:
    with desk.hub.sessions.transaction() as unit:
        return desk.hub.findings.head(unit, finding).state


def actions(desk: Desk, action: str) -> int:
    with desk.hub.sessions.transaction() as unit:
        assert verify(unit.connection).intact
        return sum(leaf.action == action for leaf in leaves(unit.connection))


def cluster(desk: Desk, finding: FindingId) -> set[str]:
    with desk.hub.sessions.transaction() as unit:
        return set(desk.hub.findings.cluster_of(unit, finding).members)


def test_a_proof_that_reproduces_confirms_its_finding_with_signed_evidence(desk: Desk) -> None:
    lab, _ = desk.labs
    finding = desk.submit(lab, b"PROOF")
    desk.service.queue(finding)
    assert desk.service.of_finding(lab, finding).state == "queued"
    with pytest.raises(ConflictError):
        desk.service.evidence(lab, finding)
    desk.engine.run_due()
    view = desk.service.of_finding(lab, finding)
    assert (view.state, view.verdict, view.level) == ("decided", "reproduced", 3)
    assert view.summary is not None
    assert view.summary["signature"] == list(FRAMES)
    assert state_of(desk, finding) is State.REPRODUCED
    envelope = desk.service.evidence(lab, finding)
    payload = dsse.verify(envelope, {"hub": desk.key.public_key()}, dsse.IN_TOTO)
    assert b"in-toto.io/Statement" in payload


def test_running_and_queueing_again_leaves_one_verdict(desk: Desk) -> None:
    lab, _ = desk.labs
    finding = desk.submit(lab, b"PROOF")
    desk.engine.run_due()
    first = desk.service.of_finding(lab, finding)
    desk.examiner.verdicts[b"PROOF"] = examined(VerdictKind.NOT_REPRODUCED)
    for _ in range(2):
        desk.service.queue(finding)
        desk.service.run(finding)
    desk.engine.run_due()
    assert desk.service.of_finding(lab, finding) == first
    assert len(desk.examiner.asked) == 1
    assert actions(desk, "validation:validation:queue") == 1


def test_an_examination_cut_off_in_the_middle_starts_again(desk: Desk) -> None:
    lab, _ = desk.labs
    finding = desk.submit(lab, b"PROOF")
    desk.examiner.verdicts[b"PROOF"] = KeyError("the process dies here")
    with pytest.raises(KeyError):
        desk.engine.run_due()
    assert state_of(desk, finding) is State.VALIDATING
    del desk.examiner.verdicts[b"PROOF"]
    desk.engine.run_due()
    assert state_of(desk, finding) is State.REPRODUCED


def test_two_workers_at_one_finding_write_one_verdict(desk: Desk) -> None:
    lab, _ = desk.labs
    finding = desk.submit(lab, b"PROOF")
    ordinary = desk.examiner.examine

    def overtaken(report: object) -> object:
        desk.examiner.examine = ordinary  # type: ignore[method-assign]
        desk.service.run(finding)
        return examined(VerdictKind.NOT_REPRODUCED)

    desk.examiner.examine = overtaken  # type: ignore[method-assign,assignment]
    desk.engine.run_due()
    assert desk.service.of_finding(lab, finding).verdict == "reproduced"
    assert state_of(desk, finding) is State.REPRODUCED


@pytest.mark.parametrize(
    ("answer", "state", "verdict"),
    [
        (UnavailableError("No compiler.", next_step="Install one."), State.NOT_VALIDATED, "environment_failure"),
        (examined(VerdictKind.HARNESS_FAULT), State.NOT_VALIDATED, "harness_fault"),
        (examined(VerdictKind.NOT_REPRODUCED), State.REFUSED, "not_reproduced"),
        (examined(VerdictKind.CRASHES_BOTH), State.REFUSED, "crashes_both"),
    ],
)  # fmt: skip
def test_only_what_ran_and_failed_refuses_a_finding(
    desk: Desk, answer: object, state: State, verdict: str
) -> None:
    lab, _ = desk.labs
    desk.examiner.verdicts[b"PROOF"] = answer  # type: ignore[assignment]
    finding = desk.submit(lab, b"PROOF")
    desk.engine.run_due()
    assert state_of(desk, finding) is state
    view = desk.service.of_finding(lab, finding)
    assert (view.verdict, view.level) == (verdict, 0)
    assert desk.examiner.compared == 0


LACKING = UnavailableError("The disk is full.", next_step="Free some space.")


@pytest.mark.parametrize("lacking", [LACKING, OSError(28, "No space left on device")])
def test_what_the_machine_could_not_carry_out_is_tried_again_and_keeps_its_priority(
    desk: Desk, clock: Any, lacking: Exception
) -> None:
    lab, _ = desk.labs
    desk.examiner.verdicts[b"PROOF"] = lacking
    finding = desk.submit(lab, b"PROOF")
    desk.engine.run_due()
    assert desk.service.of_finding(lab, finding).verdict == "environment_failure"
    desk.engine.run_due()
    assert len(desk.examiner.asked) == 1, "not at once"
    for pause in AGAIN_AFTER[:2]:
        clock.advance(pause)
        desk.engine.run_due()
    assert len(desk.examiner.asked) == 3
    del desk.examiner.verdicts[b"PROOF"]
    clock.advance(AGAIN_AFTER[2])
    desk.engine.run_due()
    assert state_of(desk, finding) is State.REPRODUCED
    clock.advance(sum(AGAIN_AFTER, timedelta()))
    desk.engine.run_due()
    assert len(desk.examiner.asked) == 4, "what is decided is not examined again"


def test_without_a_sandbox_nothing_is_run_and_another_try_may_be_made(
    desk: Desk, clock: Any
) -> None:
    lab, _ = desk.labs
    desk.examiner.verdicts[b"PROOF"] = Examined.nothing_run(
        VerdictKind.NOT_VALIDATED, "No sandbox.", detail=NO_SANDBOX
    )
    finding = desk.submit(lab, b"PROOF")
    desk.engine.run_due()
    assert desk.service.of_finding(lab, finding).verdict == "not_validated(no_sandbox)"
    assert state_of(desk, finding) is State.NOT_VALIDATED
    del desk.examiner.verdicts[b"PROOF"]
    clock.advance(AGAIN_AFTER[0])
    desk.engine.run_due()
    assert state_of(desk, finding) is State.REPRODUCED


def test_a_machine_that_never_gets_well_is_not_tried_for_ever(desk: Desk, clock: Any) -> None:
    lab, _ = desk.labs
    desk.examiner.verdicts[b"PROOF"] = LACKING
    desk.submit(lab, b"PROOF")
    for pause in (timedelta(), *AGAIN_AFTER, *AGAIN_AFTER):
        clock.advance(pause)
        desk.engine.run_due()
    assert len(desk.examiner.asked) == 1 + len(AGAIN_AFTER)


def test_another_try_can_be_asked_for_once_at_a_time(desk: Desk) -> None:
    lab, other = desk.labs
    desk.examiner.verdicts[b"PROOF"] = LACKING
    finding = desk.submit(lab, b"PROOF")
    desk.engine.run_due()
    with pytest.raises(NotFoundError):
        desk.service.repeat(other, finding)
    del desk.examiner.verdicts[b"PROOF"]
    desk.service.repeat(lab, finding)
    with pytest.raises(ConflictError):
        desk.service.repeat(lab, finding)
    desk.engine.run_due()
    assert state_of(desk, finding) is State.REPRODUCED
    with pytest.raises(ConflictError, match="decided"):
        desk.service.repeat(lab, finding)


def test_a_report_without_a_proof_is_not_run_and_not_refused(desk: Desk) -> None:
    lab, _ = desk.labs
    finding = desk.submit(lab, None)
    desk.engine.run_due()
    assert desk.examiner.asked == []
    assert state_of(desk, finding) is State.NOT_VALIDATED
    assert desk.service.of_finding(lab, finding).verdict == "not_validated(no_proof)"
    with pytest.raises(ConflictError):
        desk.service.evidence(lab, finding)


def test_what_a_report_claims_of_itself_is_a_claim_and_never_a_verdict(desk: Desk) -> None:
    lab, _ = desk.labs
    desk.examiner.verdicts[b"FORGED"] = examined(VerdictKind.NOT_REPRODUCED)
    finding = desk.submit(
        lab,
        b"FORGED",
        description="verdict: reproduced, level 4. AddressSanitizer: stack-buffer-overflow",
        claim={"kind": "crash", "signature": list(FRAMES)},
    )
    desk.engine.run_due()
    assert state_of(desk, finding) is State.REFUSED
    (asked,) = desk.examiner.asked
    assert (asked.claim.violation, asked.claim.version) == ("crash", "1.0")
    assert asked.claim.frames == FRAMES
    assert desk.service.of_finding(lab, finding).level == 0


@pytest.mark.parametrize(
    ("stops", "together"),
    [
        ({b"FIX-1": {b"ONE", b"TWO"}}, True),
        ({b"FIX-1": {b"ONE"}}, False),
        ({b"FIX-1": {b"ONE"}, b"FIX-2": {b"TWO"}}, False),
        ({b"FIX-1": {b"ONE", b"TWO"}, b"FIX-2": {b"TWO"}}, True),
        ({b"FIX-1": set()}, False),
    ],
)
def test_fixes_join_findings_only_when_they_show_one_cause(
    desk: Desk, stops: dict[bytes, set[bytes]], *, together: bool
) -> None:
    desk.examiner.stops = stops
    one = desk.submit(desk.labs[0], b"ONE", patch="FIX-1")
    two = desk.submit(desk.labs[1], b"TWO", **({"patch": "FIX-2"} if b"FIX-2" in stops else {}))
    desk.engine.run_due()
    assert desk.examiner.compared >= 1
    assert (cluster(desk, one) == {one, two}) is together
    before = actions(desk, "findings:match:assert")
    desk.service.root_cause(one)
    desk.service.root_cause(two)
    assert actions(desk, "findings:match:assert") == before
    assert (cluster(desk, one) == {one, two}) is together


def test_like_fixes_of_unlike_faults_do_not_join_findings(desk: Desk) -> None:
    desk.examiner.stops = {b"FIX-1": {b"ONE", b"TWO"}}
    unlike = ("heap-buffer-overflow", "decode", "string")
    desk.examiner.verdicts[b"TWO"] = examined(VerdictKind.REPRODUCED, signature=unlike)
    one = desk.submit(desk.labs[0], b"ONE", patch="FIX-1")
    desk.submit(desk.labs[1], b"TWO")
    desk.engine.run_due()
    assert cluster(desk, one) == {one}


def test_a_refused_finding_is_compared_with_nothing(desk: Desk) -> None:
    desk.examiner.verdicts[b"TWO"] = examined(VerdictKind.NOT_REPRODUCED)
    desk.submit(desk.labs[0], b"ONE", patch="FIX-1")
    desk.submit(desk.labs[1], b"TWO", patch="FIX-2")
    desk.engine.run_due()
    assert desk.examiner.compared == 0


def test_another_party_can_see_none_of_it(desk: Desk, party_of: Callable[..., Actor]) -> None:
    finding = desk.submit(desk.labs[0], b"PROOF")
    desk.engine.run_due()
    absent = FindingId("00000000-0000-7000-8000-000000000000")
    for actor in (desk.labs[1], party_of(PartyKind.MAINTAINER), party_of(PartyKind.FINDER)):
        answers = set()
        for asked in (finding, absent):
            for read in (desk.service.of_finding, desk.service.evidence):
                with pytest.raises(NotFoundError) as told:
                    read(actor, asked)
                answers.add((told.value.message, told.value.next_step))
        assert len(answers) == 1
    with pytest.raises(DeniedError):
        desk.service.of_finding(party_of(PartyKind.OPERATOR), finding)


def test_nothing_a_validation_found_lies_open_in_its_row(desk: Desk) -> None:
    desk.submit(desk.labs[0], b"PROOF")
    desk.engine.run_due()
    with desk.hub.sessions.transaction() as unit:
        rows = repr(unit.connection.execute(select(validation)).all())
    for secret in ("quuxlib", "It ran.", "indent", "stack-buffer-overflow"):
        assert secret not in rows
