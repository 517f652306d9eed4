"""Clusters follow from the assertions in force, whatever their order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from clearhold.findings.model import Assertion, Match, Method, clusters
from clearhold.kernel.ids import FindingId

START = datetime(2026, 6, 5, 12, tzinfo=UTC)
FINDINGS = [FindingId(f"f{n}") for n in range(7)]
RECEIVED = {finding: START + timedelta(seconds=n % 4) for n, finding in enumerate(FINDINGS)}


def said(
    number: int, a: FindingId, b: FindingId, verdict: Match, method: Method = Method.BEHAVIOUR
) -> Assertion:
    at = START + timedelta(minutes=number)
    return Assertion(f"m{number}", a, b, verdict, method, {}, "service:validation", at)


@st.composite
def assertion_lists(draw: st.DrawFn) -> list[Assertion]:
    pairs = st.lists(st.sampled_from(FINDINGS), min_size=2, max_size=2, unique=True)
    entries = st.tuples(pairs, st.sampled_from(Match), st.sampled_from(Method))
    drawn = draw(st.lists(entries, max_size=14))
    return [said(n, a, b, verdict, method) for n, ((a, b), verdict, method) in enumerate(drawn)]


@given(assertion_lists(), st.randoms(use_true_random=False))
def test_the_order_of_findings_and_assertions_changes_nothing(
    assertions: list[Assertion], random: st.DataObject
) -> None:
    shuffled = list(assertions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    backwards = dict(reversed(RECEIVED.items()))
    assert clusters(backwards, shuffled) == clusters(RECEIVED, assertions)


@given(assertion_lists())
def test_every_finding_is_in_one_cluster_led_by_its_earliest(assertions: list[Assertion]) -> None:
    grouped = clusters(RECEIVED, assertions)
    members = [member for cluster in grouped for member in cluster.members]
    assert sorted(members) == sorted(RECEIVED)
    for cluster in grouped:
        assert cluster.id == min(cluster.members, key=lambda each: (RECEIVED[each], each))
    assert [cluster.id for cluster in grouped] == sorted(
        (cluster.id for cluster in grouped), key=lambda each: (RECEIVED[FindingId(each)], each)
    )


@given(assertion_lists())
def test_what_was_asserted_different_is_never_in_one_cluster(assertions: list[Assertion]) -> None:
    together = {
        (a, b)
        for cluster in clusters(RECEIVED, assertions)
        for a in cluster.members
        for b in cluster.members
    }
    for each in assertions:
        if each.verdict is Match.DIFFERENT:
            assert each.pair not in together


@given(assertion_lists())
def test_without_disagreement_clusters_are_what_same_connects(assertions: list[Assertion]) -> None:
    agreed = [each for each in assertions if each.verdict is not Match.DIFFERENT]
    linked = {finding: {finding} for finding in FINDINGS}
    for _ in FINDINGS:
        for each in agreed:
            if each.verdict is Match.SAME:
                union = linked[each.a] | linked[each.b]
                for member in union:
                    linked[member] = union
    for cluster in clusters(RECEIVED, agreed):
        assert set(cluster.members) == linked[cluster.members[0]]
        assert not cluster.contested


@given(assertion_lists())
def test_a_cluster_can_be_computed_from_its_own_neighbourhood(assertions: list[Assertion]) -> None:
    whole = clusters(RECEIVED, assertions)
    for finding in FINDINGS:
        reached = {finding}
        for _ in FINDINGS:
            for each in assertions:
                if each.verdict is Match.SAME and reached & set(each.pair):
                    reached |= set(each.pair)
        near = clusters({each: RECEIVED[each] for each in reached}, assertions)
        [local] = [cluster for cluster in near if finding in cluster.members]
        assert local in whole


def test_a_difference_keeps_apart_what_a_third_finding_would_join() -> None:
    a, b, c = FINDINGS[:3]
    joined = [said(1, a, c, Match.SAME), said(2, b, c, Match.SAME)]
    received = {each: RECEIVED[each] for each in (a, b, c)}
    assert len(clusters(received, joined)) == 1
    apart = clusters(received, [*joined, said(3, a, b, Match.DIFFERENT)])
    assert [cluster.members for cluster in apart] == [(a, c), (b,)]
    assert all(cluster.contested for cluster in apart)


def test_a_person_is_believed_before_a_fingerprint() -> None:
    a, b, c = FINDINGS[:3]
    received = {each: RECEIVED[each] for each in (a, b, c)}
    grouped = clusters(
        received,
        [
            said(1, a, c, Match.SAME, Method.FINGERPRINT),
            said(2, b, c, Match.SAME, Method.PERSON),
            said(3, a, b, Match.DIFFERENT),
        ],
    )
    assert [cluster.members for cluster in grouped] == [(a,), (b, c)]
