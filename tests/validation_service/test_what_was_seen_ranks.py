"""What was seen of proofs before a fix exists: it orders candidates, and joins nothing."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standing_examiner import Desk, examined

from clearhold.findings import match_records, observed, records
from clearhold.findings.match_index import rank_batch
from clearhold.findings.merging import Layer
from clearhold.findings.model import Match, Method
from clearhold.kernel.ids import FindingId
from clearhold.validation.crash import likeness
from clearhold.validation.examiner import Examined
from clearhold.validation.verdict import VerdictKind

TRACE = ("out-of-bounds", "copy", "indent", "encode", "dumps")
NEAR = ("out-of-bounds", "copy", "indent", "encode", "main_loop")
FAR = ("out-of-bounds", "parse", "number", "decode", "loads")
PACKAGE = "pkg:pypi/quuxlib"
names = st.lists(st.sampled_from("abcdef"), max_size=8).map(lambda each: ("family", *each))


def shown(trace: object) -> Examined:
    done = examined(VerdictKind.REPRODUCED)
    return replace(done, facts={**done.facts, "trace": trace})


def waiting(desk: Desk) -> dict[tuple[FindingId, FindingId], match_records.Waiting]:
    with desk.hub.sessions.transaction() as unit:
        return {(each.a, each.b): each for each in match_records.waiting(unit, limit=200)}


def pair(one: FindingId, other: FindingId) -> tuple[FindingId, FindingId]:
    return (min(one, other), max(one, other))


@given(names, names)
def test_likeness_is_a_share_and_the_same_both_ways(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    alike = likeness(one, other)
    assert alike == likeness(other, one)
    assert 0.0 <= alike <= 1.0
    assert (alike == 1.0) == (one == other and len(one) > 1)
    assert likeness(one, ("another", *other[1:])) == 0.0


def test_alike_minimised_traces_wait_for_a_person_with_their_reason(desk: Desk) -> None:
    for proof, trace in ((b"ONE", TRACE), (b"TWO", NEAR), (b"THREE", FAR)):
        desk.examiner.verdicts[proof] = shown(list(trace))
    one, two, three = (
        desk.submit(lab, proof)
        for lab, proof in zip((*desk.labs, desk.labs[0]), (b"ONE", b"TWO", b"THREE"), strict=True)
    )
    desk.engine.run_due()
    found = waiting(desk)
    told = found[pair(one, two)]
    assert told.layers[0] == Layer.TRACE
    assert told.strength == 2750
    assert pair(one, three) not in found
    assert desk.examiner.compared == 0


def test_what_a_person_settled_waits_no_more(desk: Desk) -> None:
    desk.examiner.verdicts = {b"ONE": shown(list(TRACE)), b"TWO": shown(list(TRACE))}
    one, two = desk.submit(desk.labs[0], b"ONE"), desk.submit(desk.labs[1], b"TWO")
    desk.engine.run_due()
    assert waiting(desk)
    with desk.hub.sessions.transaction() as unit:
        desk.hub.findings.assert_match(
            unit, one, two, verdict=Match.DIFFERENT, method=Method.PERSON, evidence={}, by="ada"
        )
        match_records.settle(unit, *pair(one, two), at=unit.now)
    desk.service.root_cause(one)
    assert waiting(desk) == {}


def test_one_introduction_moves_a_candidate_up_and_is_told_of_pairs_that_wait(desk: Desk) -> None:
    desk.examiner.verdicts = {b"ONE": shown(list(TRACE)), b"TWO": shown(list(TRACE))}
    one, two = desk.submit(desk.labs[0], b"ONE"), desk.submit(desk.labs[1], b"TWO")
    three = desk.submit(desk.labs[1], b"THREE")
    desk.engine.run_due()
    with desk.hub.sessions.transaction() as unit:
        before = {each.finding: each for each in rank_batch(unit, [one])[one]}
        for each in (one, two, three):
            observed.note_introduction(unit, desk.hub.vault, each, PACKAGE, ("1.0", "1.1"))
        after = {each.finding: each for each in rank_batch(unit, [one])[one]}
        observed.propose_introduced_together(unit, one)
    assert Layer.INTRODUCTION not in before[two].layers
    assert Layer.INTRODUCTION in after[two].layers
    assert after[two].score == pytest.approx(before[two].score + 1.5)
    told = waiting(desk)
    assert set(told[pair(one, two)].layers) >= {Layer.TRACE, Layer.INTRODUCTION}
    assert pair(one, three) not in told
    with desk.hub.sessions.transaction() as unit:
        observed.note_introduction(unit, desk.hub.vault, one, PACKAGE, ())
        assert Layer.INTRODUCTION not in rank_batch(unit, [one])[one][0].layers


@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_seen_nothing_is_joined_by_it(desk: Desk, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 (reproducible, no secret)
    wild: list[object] = [list(TRACE), list(NEAR), list(FAR), [], None, "text", [1, 2], {"a": 1}]
    findings = []
    for number in range(6):
        proof = f"PROOF-{number}".encode()
        desk.examiner.verdicts[proof] = shown(chance.choice(wild))
        findings.append(desk.submit(desk.labs[number % 2], proof))
    desk.engine.run_due()
    with desk.hub.sessions.transaction() as unit:
        for each in findings:
            brought = chance.choice([("1.0", "1.1"), ("1.1", "1.2"), ()])
            observed.note_introduction(unit, desk.hub.vault, each, PACKAGE, brought)
            others = {other: chance.random() for other in findings}
            observed.propose(unit, each, others)
            observed.propose_introduced_together(unit, each)
    for each in findings:
        desk.service.root_cause(each)
    with desk.hub.sessions.transaction() as unit:
        assert records.assertions(unit, findings) == ()
        for each in findings:
            assert desk.hub.findings.cluster_of(unit, each).members == (each,)
