"""Pairs that wait for a person: who sees them, who decides, and that a decision leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from finding_examples import document

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub
from clearhold.findings.intake import Format
from clearhold.findings.merging import Layer
from clearhold.findings.model import Match, Method, Receipt
from clearhold.kernel.errors import DeniedError, NotFoundError
from clearhold.kernel.ids import CaseId, FindingId

Submit = Callable[..., Receipt]


def one(receipt: Receipt) -> FindingId:
    return FindingId(receipt.findings[0].finding)


def show(hub: Hub, who: Actor, *findings: FindingId) -> None:
    with hub.sessions.transaction() as unit:
        for finding in findings:
            within = hub.findings.head(unit, finding).compartment
            read_in(unit, within, Grantee(who.party), tier=1, reason="test", granted_by="test")


@pytest.fixture
def pair(hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit) -> tuple[FindingId, FindingId]:
    """Two findings with the same frames and other words, proposed."""
    a = one(submit(lab_a, document(proof="QUFB", title="One", description="first words")))
    b = one(submit(lab_b, document(proof="QkJC", title="Two", description="other ones")))
    hub.reviews.propose(b)
    return a, b


def world(hub: Hub, who: tuple[Actor, ...], *findings: FindingId) -> list[Any]:
    """Everything these parties are shown of findings, and what vulnerability each is."""
    told: list[Any] = []
    for actor in who:
        told.append(hub.findings.list(actor))
        told += [hub.findings.get(actor, each.head.id) for each in hub.findings.list(actor)]
        told += [
            hub.findings.receipt(actor, each.head.submission) for each in hub.findings.list(actor)
        ]
    with hub.sessions.transaction() as unit:
        told += [hub.findings.cluster_of(unit, finding) for finding in findings]
    return told


def test_a_likely_pair_waits_and_joins_nothing(
    hub: Hub, coordinator: Actor, pair: tuple[FindingId, FindingId]
) -> None:
    """Frames in common put a pair before a person, and that is all."""
    [waits] = hub.reviews.waiting(coordinator)
    assert {waits.a, waits.b} == set(pair)
    assert Layer.CRASH in waits.layers
    assert not waits.readable
    with hub.sessions.transaction() as unit:
        assert hub.findings.cluster_of(unit, pair[0]).members == (pair[0],)


def test_proposing_again_changes_nothing(
    hub: Hub, coordinator: Actor, pair: tuple[FindingId, FindingId]
) -> None:
    """The reaction may run twice, and for either finding."""
    before = hub.reviews.waiting(coordinator)
    hub.reviews.propose(pair[0])
    hub.reviews.propose(pair[1])
    assert hub.reviews.waiting(coordinator) == before


def test_a_batch_is_proposed_as_each_finding_alone_would_be(
    hub: Hub, coordinator: Actor, lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    """The same pairs wait, those with the very same proof foremost, and again changes nothing."""
    same = document(proof="QUFB", title="One", description="first words")
    a = one(submit(lab_a, same))
    batch = [
        one(submit(lab_b, same)),
        one(submit(lab_b, document(proof="QkJC", title="Two", description="other ones"))),
    ]
    hub.reviews.propose_batch(batch)
    together = hub.reviews.waiting(coordinator)
    assert {together[0].a, together[0].b} == {a, batch[0]}
    assert together[0].layers == (Layer.PROOF,)
    for finding in batch:
        hub.reviews.propose(finding)
    hub.reviews.propose_batch(batch)
    assert hub.reviews.waiting(coordinator) == together
    assert len(together) == 3


def test_findings_that_come_together_are_compared_together(
    hub: Hub, coordinator: Actor, lab_a: Actor, engine: Any, submit: Submit
) -> None:
    """An upload of several lets pairs wait without being asked for, each finding announced once."""
    frames = ("png_read_row", "png_decode", "main")
    results = [
        {
            "ruleId": "CWE-787",
            "message": {"text": f"Words of their own, {number}"},
            "stacks": [
                {
                    "frames": [
                        {"location": {"logicalLocations": [{"fullyQualifiedName": name}]}}
                        for name in frames
                    ]
                }
            ],
        }
        for number in range(3)
    ]
    run = {"tool": {"driver": {"name": "t"}}, "results": results}
    log = json.dumps({"version": "2.1.0", "runs": [run]}).encode()
    submit(lab_a, log, form=Format.SARIF, package="pkg:pypi/quuxlib@1.0")
    engine.run_due()
    waiting = hub.reviews.waiting(coordinator)
    assert waiting
    assert all(Layer.CRASH in pair.layers for pair in waiting)


def test_only_who_sees_both_sees_them_side_by_side(
    hub: Hub, coordinator: Actor, lab_a: Actor, pair: tuple[FindingId, FindingId]
) -> None:
    """Being read in to one of them looks as if there were no pair."""
    for _ in range(2):
        with pytest.raises(NotFoundError):
            hub.reviews.beside(coordinator, *pair)
        with pytest.raises(NotFoundError):
            hub.reviews.decide(coordinator, *pair, verdict=Match.SAME)
        show(hub, coordinator, pair[0])
    show(hub, coordinator, pair[1])
    found = hub.reviews.beside(coordinator, *pair)
    assert [view.body.title for view in found.findings if view.body] == ["One", "Two"]
    assert hub.reviews.waiting(coordinator)[0].readable
    for ask in (hub.reviews.waiting, lambda who: hub.reviews.beside(who, *pair)):
        with pytest.raises(DeniedError):
            ask(lab_a)


def test_a_pair_that_touches_a_case_is_hidden_from_who_is_not_read_in(
    hub: Hub, coordinator: Actor, pair: tuple[FindingId, FindingId]
) -> None:
    """Its very existence is left out of the list."""
    with hub.sessions.transaction() as unit:
        hub.findings.note_case(unit, [pair[0]], CaseId("some-case"))
    assert hub.reviews.waiting(coordinator) == ()
    show(hub, coordinator, pair[0])
    assert len(hub.reviews.waiting(coordinator)) == 1


@pytest.mark.usefixtures("engine")
def test_a_wrong_merge_that_was_undone_leaves_no_trace(
    hub: Hub,
    coordinator: Actor,
    labs: tuple[Actor, Actor],
    pair: tuple[FindingId, FindingId],
    reproduce: Callable[..., None],
) -> None:
    """Every view, count, standing and receipt is as in the world without it."""
    show(hub, coordinator, *pair)
    reproduce(*pair)
    never = world(hub, labs, *pair)
    waited = hub.reviews.waiting(coordinator)
    queue = hub.findings.queue(coordinator)
    said = hub.reviews.decide(coordinator, *pair, verdict=Match.SAME)
    assert hub.reviews.waiting(coordinator) == ()
    assert world(hub, labs, *pair) != never
    hub.reviews.withdraw(coordinator, said)
    assert world(hub, labs, *pair) == never
    assert hub.reviews.waiting(coordinator) == waited
    assert hub.findings.queue(coordinator) == queue
    with pytest.raises(NotFoundError):
        hub.reviews.withdraw(coordinator, said)


def test_what_a_machine_asserted_is_not_a_persons_to_withdraw_here(
    hub: Hub, coordinator: Actor, pair: tuple[FindingId, FindingId]
) -> None:
    """A person overrules behaviour by asserting, never by taking its word away."""
    show(hub, coordinator, *pair)
    with hub.sessions.transaction() as unit:
        said = hub.findings.assert_match(
            unit, *pair, verdict=Match.SAME, method=Method.BEHAVIOUR, evidence={}, by="test"
        )
    with pytest.raises(NotFoundError):
        hub.reviews.withdraw(coordinator, said)


def test_a_person_who_says_different_keeps_apart_what_behaviour_joined(
    hub: Hub, coordinator: Actor, pair: tuple[FindingId, FindingId]
) -> None:
    """And the cluster is marked contested."""
    show(hub, coordinator, *pair)
    hub.reviews.decide(coordinator, *pair, verdict=Match.DIFFERENT)
    with hub.sessions.transaction() as unit:
        hub.findings.assert_match(
            unit, *pair, verdict=Match.SAME, method=Method.BEHAVIOUR, evidence={}, by="test"
        )
        cluster = hub.findings.cluster_of(unit, pair[0])
    assert cluster.members == (pair[0],)
    assert cluster.contested


def test_the_same_proof_is_joined_once_both_have_reproduced(
    hub: Hub, lab_a: Actor, lab_b: Actor, submit: Submit, reproduce: Callable[..., None]
) -> None:
    """And not a moment earlier; another version's is not."""
    a, b = one(submit(lab_a)), one(submit(lab_b))
    other = one(submit(lab_b, document(package="pkg:pypi/ujson@5.2.0")))
    reproduce(a)
    hub.reviews.join_copies(a)
    with hub.sessions.transaction() as unit:
        assert hub.findings.cluster_of(unit, a).members == (a,)
    reproduce(b, other)
    hub.reviews.join_copies(b)
    hub.reviews.join_copies(other)
    with hub.sessions.transaction() as unit:
        assert hub.findings.cluster_of(unit, a).members == (a, b)
        assert hub.findings.cluster_of(unit, other).members == (other,)


def test_the_same_proof_comes_first_in_the_queue(
    hub: Hub, coordinator: Actor, lab_a: Actor, lab_b: Actor, submit: Submit
) -> None:
    """It is the strongest sign there is before anything was run."""
    first = one(submit(lab_a))
    second = one(submit(lab_b))
    submit(lab_a, document(proof=None, title="Something like it"))
    hub.reviews.propose(second)
    strongest = hub.reviews.waiting(coordinator)[0]
    assert {strongest.a, strongest.b} == {first, second}
    assert strongest.layers == (Layer.PROOF,)
