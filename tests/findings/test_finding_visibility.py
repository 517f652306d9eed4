"""Who may see what of a finding, and what is told of the vulnerability it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from finding_examples import TITLE, document

from clearhold.access.grants import Grantee, read_in, read_out
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.findings.model import Match, Method, QueueEntry, Receipt, State
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import CaseId, FindingId, SubmissionId, VulnerabilityId

Submit = Callable[..., Receipt]
Reproduce = Callable[..., None]


def one(receipt: Receipt) -> FindingId:
    return FindingId(receipt.findings[0].finding)


def match(hub: Hub, a: FindingId, b: FindingId, verdict: Match = Match.SAME, **options: Any) -> str:
    given = {"method": Method.BEHAVIOUR, "evidence": {"patch": "0" * 64}, "by": "test"} | options
    with hub.sessions.transaction() as unit:
        return hub.findings.assert_match(unit, a, b, verdict=verdict, **given)


def told(ask: Callable[[], object]) -> tuple[object, ...]:
    with pytest.raises(ClearholdError) as refused:
        ask()
    error = refused.value
    return (error.code, error.message, error.next_step, error.facts)


def test_another_party_cannot_see_count_or_infer_a_finding(
    hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    receipt = submit(lab_a)
    finding, submission = one(receipt), SubmissionId(receipt.submission)
    assert hub.findings.list(lab_b) == ()
    assert {leaf.compartment for leaf in hub.history(lab_b, after=0, limit=1000)} <= {None}
    absent, no_submission = FindingId("absent"), SubmissionId("absent")
    service = hub.findings
    for real, unreal in (
        (lambda: service.get(lab_b, finding), lambda: service.get(lab_b, absent)),
        (lambda: service.proof(lab_b, finding), lambda: service.proof(lab_b, absent)),
        (lambda: service.raw(lab_b, submission), lambda: service.raw(lab_b, no_submission)),
        (lambda: service.receipt(lab_b, submission), lambda: service.receipt(lab_b, no_submission)),
    ):
        assert told(real) == told(unreal)
        assert told(real)[0] == "not_found"


def test_reading_in_shows_a_finding_and_reading_out_hides_it(
    hub: Hub, lab_a: Actor, party_of: Callable[..., Actor], submit: Submit
) -> None:
    maintainer = party_of(PartyKind.MAINTAINER)
    finding = one(submit(lab_a))
    with hub.sessions.transaction() as unit:
        within = hub.findings.head(unit, finding).compartment
        who = Grantee(maintainer.party)
        read_in(unit, within, who, tier=1, reason="maintains it", granted_by="test")
    view = hub.findings.get(maintainer, finding)
    assert view.body is not None
    assert view.body.title == TITLE
    assert len(hub.findings.list(maintainer)) == 1
    with hub.sessions.transaction() as unit:
        read_out(unit, within, who, by="test")
    assert hub.findings.list(maintainer) == ()
    with pytest.raises(NotFoundError):
        hub.findings.get(maintainer, finding)


def test_every_reading_of_content_is_in_the_ledger(hub: Hub, lab_a: Actor, submit: Submit) -> None:
    finding = one(submit(lab_a))

    def releases() -> list[str]:
        leaves = hub.history(lab_a, after=0, limit=1000)
        return [leaf.actor for leaf in leaves if leaf.action == "vault:plaintext:release"]

    before = len(releases())
    hub.findings.list(lab_a)
    assert len(releases()) == before
    hub.findings.get(lab_a, finding)
    with hub.sessions.transaction() as unit:
        assert hub.findings.open_for(unit, finding, reader="service:validation").title == TITLE
        assert hub.findings.proof_of(unit, finding, reader="service:validation")
    assert releases()[before:] == [lab_a.principal, "service:validation", "service:validation"]


def test_finders_of_one_bug_learn_of_each_other_only_by_number_and_once_reproduced(
    hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit, reproduce: Reproduce
) -> None:
    first = one(submit(lab_a))
    second = one(submit(lab_b, document(description="Found by other means.", proof="QUJD")))
    match(hub, second, first)
    assert hub.findings.get(lab_b, second).standing is None
    reproduce(first)
    assert hub.findings.get(lab_b, second).standing is None
    alone = hub.findings.get(lab_a, first).standing
    assert alone is not None
    assert (alone.independent_finders, alone.first) == (1, True)
    reproduce(second)
    theirs = hub.findings.get(lab_b, second).standing
    assert theirs is not None
    assert (theirs.independent_finders, theirs.first) == (2, False)
    mine = hub.findings.list(lab_a)[0].standing
    assert mine is not None
    assert (mine.vulnerability, mine.first) == (theirs.vulnerability, True)
    shown = repr(hub.findings.get(lab_b, second))
    assert lab_a.party not in shown
    assert first not in shown  # an id holds the time it was made
    assert len(hub.findings.list(lab_b)) == 1


def test_a_withdrawn_match_leaves_no_trace_in_what_a_finder_sees(
    hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit, reproduce: Reproduce
) -> None:
    first, second = one(submit(lab_a)), one(submit(lab_b))
    reproduce(first, second)
    before = hub.findings.get(lab_b, second)
    assertion = match(hub, first, second)
    assert hub.findings.get(lab_b, second) != before
    with hub.sessions.transaction() as unit:
        hub.findings.withdraw_match(unit, assertion, by="test")
    assert hub.findings.get(lab_b, second) == before
    with pytest.raises(NotFoundError), hub.sessions.transaction() as unit:
        hub.findings.withdraw_match(unit, assertion, by="test")


def test_an_assertion_made_again_is_one_and_a_changed_mind_replaces_it(
    hub: Hub, engine: Any, lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    heard: list[str] = []
    engine.register("on:finding.matched", lambda ids: heard.append(ids["verdict"]))
    a, b = one(submit(lab_a)), one(submit(lab_b))
    assert match(hub, a, b) == match(hub, b, a)
    with hub.sessions.transaction() as unit:
        assert hub.findings.cluster_of(unit, b).members == hub.findings.cluster_of(unit, a).members
    match(hub, a, b, Match.DIFFERENT)
    with hub.sessions.transaction() as unit:
        cluster = hub.findings.cluster_of(unit, b)
    assert (cluster.members, cluster.contested) == ((b,), False)
    engine.run_due()
    assert heard == ["same", "different"]
    with pytest.raises(InvalidError):
        match(hub, a, a)
    with pytest.raises(NotFoundError):
        match(hub, a, FindingId("absent"))


def test_candidates_are_of_the_same_package_and_the_most_alike_come_first(
    hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    plain = one(submit(lab_a, document(title="One", proof=None)))
    near = one(submit(lab_b, document(title="Two", proof=None)))
    twin = one(submit(lab_b, document(title="Three", proof=None)))
    other = one(submit(lab_b, document(title="Four", package="pkg:pypi/pygments@2.7.3")))
    asked = one(submit(lab_a, document(title="Five", proof=None)))
    frames = ["out-of-bounds", "append_indent", "encode"]
    with hub.sessions.transaction() as unit:
        for finding in (twin, asked, other):
            hub.findings.index_signature(unit, finding, frames)
        hub.findings.index_signature(unit, near, [*frames[:2], "other"])
        assert hub.findings.candidates(unit, asked) == (twin, near, plain)
        hub.findings.index_signature(unit, twin, ["elsewhere"])
        assert hub.findings.candidates(unit, asked) == (near, plain, twin)
        assert hub.findings.candidates(unit, asked, limit=1) == (near,)


def test_the_queue_shows_the_coordinator_numbers_and_no_content(
    hub: Hub, labs: tuple[Actor, Actor], coordinator: Actor, submit: Submit, reproduce: Reproduce
) -> None:
    lab_a, lab_b = labs
    first, second, third = one(submit(lab_a)), one(submit(lab_b)), one(submit(lab_b))
    reproduce(first, second, level=3)
    match(hub, first, second)
    queue = {entry.vulnerability: entry for entry in hub.findings.queue(coordinator)}
    merged = queue[VulnerabilityId(first)]
    assert (merged.findings, merged.independent_finders, merged.best_level) == (2, 2, 3)
    assert (merged.case, merged.contested) == (None, False)
    assert queue[VulnerabilityId(third)].case is None
    with hub.sessions.transaction() as unit:
        members = hub.findings.cluster_of(unit, first).members
        hub.findings.note_case(unit, members, CaseId("case-1"))
    queue = {entry.vulnerability: entry for entry in hub.findings.queue(coordinator)}
    opened = queue[VulnerabilityId(first)]
    assert opened == QueueEntry(VulnerabilityId(first), (State.REPRODUCED,), CaseId("case-1"))
    assert len(queue) == 2
    shown = repr(queue)
    for secret in (TITLE, "ujson", lab_a.party, lab_b.party):
        assert secret not in shown
    assert hub.findings.list(coordinator) == ()
    with pytest.raises(DeniedError):
        hub.findings.queue(lab_a)


def test_a_finding_moves_through_its_states_and_no_other_way(
    hub: Hub, lab_a: Actor, submit: Submit
) -> None:
    finding = one(submit(lab_a))

    def move(state: State, verdict: str = "v", level: int = 0) -> None:
        with hub.sessions.transaction() as unit:
            hub.findings.set_verdict(unit, finding, state=state, verdict=verdict, level=level)

    for state in (State.VALIDATING, State.VALIDATING, State.REFUSED, State.REFUSED):
        move(state)
    with pytest.raises(ConflictError):
        move(State.REPRODUCED)
    move(State.VALIDATING)
    move(State.REPRODUCED, "reproduced", 2)
    view = hub.findings.get(lab_a, finding)
    assert (view.head.state, view.head.verdict, view.head.level) == (
        State.REPRODUCED,
        "reproduced",
        2,
    )
    with pytest.raises(InvalidError):
        move(State.VALIDATING, level=5)
    verdicts = [
        leaf.detail["state"]
        for leaf in hub.history(lab_a, after=0, limit=1000)
        if leaf.action == "findings:finding:verdict"
    ]
    assert verdicts == ["validating", "refused", "validating", "reproduced"]
