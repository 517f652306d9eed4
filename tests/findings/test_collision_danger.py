"""Several independent finders are a sign of danger, and the class that says so follows from dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from clearhold.findings.danger import Danger, collision_of
from clearhold.kernel.ids import PartyId

START = datetime(2026, 6, 1, tzinfo=UTC)
REPORTS = st.lists(
    st.tuples(
        st.sampled_from("abcd").map(PartyId),
        st.integers(0, 400).map(lambda days: START + timedelta(days=days)),
    ),
    max_size=8,
)


def test_the_class_follows_from_how_many_found_it_and_how_close() -> None:
    a, b, c = map(PartyId, "abc")
    late = START + timedelta(days=8)
    assert collision_of([]).danger is Danger.SINGLE
    assert collision_of([(a, START), (a, late)]).danger is Danger.SINGLE
    assert collision_of([(a, START), (b, late)]).danger is Danger.COLLIDED
    assert collision_of([(a, START), (b, START + timedelta(days=7))]).danger is Danger.CROWDED
    far = START + timedelta(days=300)
    assert collision_of([(a, START), (b, late), (c, far)]).danger is Danger.CROWDED


@given(REPORTS, st.integers(0, 800))
def test_another_finder_never_makes_it_milder_and_order_says_nothing(
    reports: list[tuple[PartyId, datetime]], day: int
) -> None:
    before = collision_of(reports)
    more = collision_of([*reports, (PartyId("new"), START + timedelta(days=day))])
    assert more.danger.rank >= before.danger.rank
    assert collision_of(reversed(reports)) == before


@given(st.sampled_from(Danger), st.integers(1, 400))
def test_a_caution_is_given_exactly_above_the_advised_time(danger: Danger, days: int) -> None:
    length = timedelta(days=days)
    assert bool(danger.caution(length)) == (length > danger.advised)
