"""Both sides are told in time that access ends, once for each instant that is spoken of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from clearhold.evaluations.clock import Extended, Verified, Window, clock
from clearhold.evaluations.notices import AGAIN_AFTER, Due, Notice, due, to_give

T0 = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def test_nothing_is_due_before_access_has_begun() -> None:
    assert list(due(clock(Window(10 * DAY), [], T0), 5, draft_sent=False)) == []


def test_what_would_have_been_due_before_the_beginning_is_not_told() -> None:
    short = clock(Window(3 * DAY), [Verified(T0)], T0)
    assert {each.kind: each.at for each in due(short, 5, draft_sent=False)} == {
        Notice.TWO_DAYS: T0 + DAY,
        Notice.ENDED: T0 + 3 * DAY,
    }


def test_a_draft_that_was_sent_is_not_asked_for() -> None:
    stands = clock(Window(20 * DAY), [Verified(T0)], T0)
    kinds = {each.kind for each in due(stands, 5, draft_sent=True)}
    assert kinds == {Notice.SEVEN_DAYS, Notice.TWO_DAYS, Notice.ENDED}


def test_an_extension_is_spoken_of_anew_and_hours_given_back_are_not() -> None:
    window, begun = Window(10 * DAY), Verified(T0)
    first = to_give(due(clock(window, [begun], T0), 5, draft_sent=False), [], T0 + 4 * DAY)
    assert {each.kind for each in first} == {Notice.SEVEN_DAYS, Notice.DRAFT_SOON}
    for by, again in ((6 * HOUR, False), (5 * DAY, True)):
        longer = clock(window, [begun, Extended(T0 + 4 * DAY, by, both_signed=True)], T0 + 4 * DAY)
        told = to_give(due(longer, 5, draft_sent=False), first, T0 + 8 * DAY + by)
        assert (Notice.SEVEN_DAYS in {each.kind for each in told}) is again


@given(
    st.integers(1, 30),
    st.integers(5, 30),
    st.lists(st.integers(0, 40 * 24), min_size=1, max_size=12),
)
def test_looking_again_at_any_time_tells_each_notice_once_and_never_early(
    days: int, draft: int, looks: list[int]
) -> None:
    given_: list[Due] = []
    for hours in sorted([*looks, *looks]):
        now = T0 + hours * HOUR
        stands = clock(Window(days * DAY), [Verified(T0)], now)
        new = to_give(due(stands, draft, draft_sent=False), given_, now)
        assert all(each.at <= now for each in new)
        given_ += new
    kinds = [each.kind for each in given_]
    assert len(kinds) == len(set(kinds))
    assert AGAIN_AFTER == DAY
