"""The window of an engagement: never longer than agreed, and only both sides together change it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.evaluations.clock import (
    LONGEST,
    ClockEvent,
    Ended,
    Extended,
    Outage,
    Paused,
    ReleaseMoved,
    Resumed,
    Verified,
    Window,
    clock,
)

DAY = timedelta(days=1)
T0 = datetime(2026, 11, 1, tzinfo=UTC)
TEN = Window(10 * DAY)
BEGUN = Verified(T0)

instants = st.integers(0, 90 * 24).map(lambda hours: T0 + timedelta(hours=hours))
spans = st.integers(-24, 40 * 24).map(lambda hours: timedelta(hours=hours))
windows = st.builds(
    Window,
    st.integers(1, 30 * 24).map(lambda hours: timedelta(hours=hours)),
    st.none() | instants,
    st.booleans(),
)


def _events(*, both: st.SearchStrategy[bool]) -> st.SearchStrategy[list[ClockEvent]]:
    paused = st.builds(
        lambda at, span, stops, signed: Paused(
            at, at + span, stops_clock=stops, both_signed=signed
        ),
        instants,
        spans,
        st.booleans(),
        both,
    )
    return st.lists(
        st.builds(Verified, instants)
        | paused
        | st.builds(Resumed, instants, both)
        | st.builds(Extended, instants, spans, both)
        | st.builds(ReleaseMoved, instants, st.none() | instants)
        | st.builds(lambda at, span: Outage(at, at + span), instants, spans)
        | st.builds(Ended, instants),
        max_size=12,
    )


events = _events(both=st.booleans())


@given(windows, events, instants)
def test_access_that_counts_is_never_negative_and_never_more_than_thirty_days(
    window: Window, happened: list[ClockEvent], now: datetime
) -> None:
    stands = clock(window, happened, now)
    assert timedelta(0) <= stands.spent <= stands.length <= LONGEST
    assert stands.left >= timedelta(0)
    assert stands.spent + stands.left <= stands.length


@given(windows, _events(both=st.just(value=False)), instants)
def test_nothing_that_one_side_alone_signs_makes_the_window_longer(
    window: Window, happened: list[ClockEvent], now: datetime
) -> None:
    without = [each for each in happened if not isinstance(each, Outage)]
    stands = clock(window, without, now)
    assert stands.paused_until is None
    if stands.ends_at is not None and stands.began_at is not None:
        assert stands.ends_at <= stands.began_at + window.length


@given(windows, events, instants, st.randoms(use_true_random=False))
def test_replaying_the_same_events_in_any_order_gives_the_same_clock(
    window: Window, happened: list[ClockEvent], now: datetime, rng: object
) -> None:
    by_instant = {each.at: each for each in happened}
    once = list(by_instant.values())
    shuffled = list(once)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert clock(window, once, now) == clock(window, shuffled, now)


@given(windows, events, instants)
def test_access_is_closed_at_the_planned_release_at_the_latest(
    window: Window, happened: list[ClockEvent], now: datetime
) -> None:
    fixed = [each for each in happened if not isinstance(each, ReleaseMoved)]
    if window.release_at is not None and now >= window.release_at:
        assert not clock(window, fixed, now).open


@given(windows, events, instants)
def test_after_its_end_access_is_never_open_again(
    window: Window, happened: list[ClockEvent], now: datetime
) -> None:
    gone = [each.at for each in happened if isinstance(each, Ended)]
    if gone and now >= min(gone):
        assert not clock(window, happened, now).open


@given(windows, events, instants, instants)
def test_what_happens_after_the_end_does_not_open_access_again(
    window: Window, happened: list[ClockEvent], first: datetime, later: datetime
) -> None:
    earlier = clock(window, happened, min(first, later))
    if earlier.elapsed:
        stands = clock(window, happened, max(first, later))
        assert not stands.open
        assert stands.ends_at == earlier.ends_at


@pytest.mark.parametrize(
    "event",
    [
        Extended(T0 + 11 * DAY, 5 * DAY, both_signed=True),
        Paused(T0 + 11 * DAY, T0 + 13 * DAY, stops_clock=True, both_signed=True),
        ReleaseMoved(T0 + 11 * DAY, None),
    ],
)
def test_neither_more_time_nor_a_later_release_brings_ended_access_back(event: ClockEvent) -> None:
    window = Window(20 * DAY, T0 + 10 * DAY)
    stands = clock(window, [BEGUN, event], T0 + 12 * DAY)
    assert (stands.ends_at, stands.open, stands.elapsed) == (T0 + 10 * DAY, False, True)


@given(windows, events, instants, instants)
def test_access_never_outlasts_its_agreement(
    window: Window, happened: list[ClockEvent], latest: datetime, now: datetime
) -> None:
    under = Window(window.length, window.release_at, window.credits_outages, latest)
    assert not (now >= latest and clock(under, happened, now).open)


def test_it_starts_with_the_first_call_that_passed_the_canary_and_not_before() -> None:
    assert clock(TEN, [], T0 + 5 * DAY).began_at is None
    stands = clock(TEN, [Verified(T0 + DAY), Verified(T0 + 3 * DAY)], T0 + 5 * DAY)
    assert (stands.began_at, stands.ends_at) == (T0 + DAY, T0 + 11 * DAY)
    assert stands.spent == 4 * DAY
    assert stands.left == 6 * DAY
    assert stands.due == (T0 + 4 * DAY, T0 + 9 * DAY, T0 + 11 * DAY)


def test_a_pause_closes_access_and_moves_the_end_only_where_that_was_agreed() -> None:
    for stops, end in ((True, 12), (False, 10)):
        pause = Paused(T0 + DAY, T0 + 3 * DAY, stops_clock=stops, both_signed=True)
        assert not clock(TEN, [BEGUN, pause], T0 + 2 * DAY).open
        assert clock(TEN, [BEGUN, pause], T0 + 3 * DAY).open
        assert clock(TEN, [BEGUN, pause], T0 + 3 * DAY).ends_at == T0 + end * DAY


def test_a_pause_ends_early_when_both_sides_say_so() -> None:
    pause = Paused(T0 + DAY, T0 + 5 * DAY, stops_clock=True, both_signed=True)
    alone = [BEGUN, pause, Resumed(T0 + 2 * DAY, both_signed=False)]
    together = [BEGUN, pause, Resumed(T0 + 2 * DAY, both_signed=True)]
    assert clock(TEN, alone, T0 + 2 * DAY).paused_until == T0 + 5 * DAY
    assert clock(TEN, together, T0 + 2 * DAY).open
    assert clock(TEN, together, T0 + 2 * DAY).ends_at == T0 + 11 * DAY


def test_two_pauses_that_meet_do_not_count_twice() -> None:
    first = Paused(T0 + DAY, T0 + 4 * DAY, stops_clock=True, both_signed=True)
    second = Paused(T0 + 2 * DAY, T0 + 5 * DAY, stops_clock=True, both_signed=True)
    assert clock(TEN, [BEGUN, first, second], T0 + 6 * DAY).ends_at == T0 + 14 * DAY


def test_an_extension_stops_at_thirty_days() -> None:
    more = [BEGUN, *(Extended(T0 + DAY, 15 * DAY, both_signed=True) for _ in range(2))]
    assert clock(TEN, more, T0 + 2 * DAY).ends_at == T0 + 30 * DAY


def test_an_outage_is_given_back_only_where_that_was_agreed() -> None:
    out = [BEGUN, Outage(T0 + DAY, T0 + 2 * DAY)]
    assert clock(TEN, out, T0 + 3 * DAY).ends_at == T0 + 10 * DAY
    credits_it = Window(10 * DAY, credits_outages=True)
    assert clock(credits_it, out, T0 + 3 * DAY).ends_at == T0 + 11 * DAY


def test_only_the_developer_moves_the_release_and_with_it_the_end() -> None:
    window = Window(10 * DAY, T0 + 4 * DAY)
    assert clock(window, [BEGUN], T0 + DAY).ends_at == T0 + 4 * DAY
    moved = [BEGUN, ReleaseMoved(T0 + DAY, T0 + 8 * DAY)]
    assert clock(window, moved, T0 + DAY).ends_at == T0 + 8 * DAY


@pytest.mark.parametrize("days", [-1, 0, 31])
def test_a_window_outside_the_programme_cannot_be_agreed(days: int) -> None:
    with pytest.raises(ValueError, match="30 days"):
        Window(days * DAY)
