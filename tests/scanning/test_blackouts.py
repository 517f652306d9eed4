"""Blackouts hold through changes of the clock, and never get shorter by them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.kernel.errors import ClearholdError, InvalidError
from clearhold.scanning.blackouts import first_within, parse_blackout
from clearhold.wire import scan_consent, scan_passport

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)


def _black(text: str, at: datetime) -> bool:
    return first_within([parse_blackout(text)], at, at + timedelta(microseconds=1)) is not None


@given(
    st.integers(0, 730 * 24 * 60).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + MINUTE * n),
    st.integers(0, 23),
    st.integers(0, 24),
    st.sampled_from(["mon-fri", "sat,sun", "fri-mon", "wed", "mon-sun"]),
)
def test_a_weekly_blackout_is_what_the_wall_clock_says(
    at: datetime, start: int, end: int, days: str
) -> None:
    """Beside the wall clock itself; where clocks change it may only be longer."""
    text = f"weekly {days} {start:02}:00-{end:02}:00 Europe/Berlin"
    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    chosen = {
        "mon-fri": names[:5],
        "sat,sun": names[5:],
        "fri-mon": ["fri", "sat", "sun", "mon"],
        "wed": ["wed"],
        "mon-sun": names,
    }[days]
    wall = at.astimezone(BERLIN)
    today, yesterday = names[wall.weekday()], names[wall.weekday() - 1]
    minutes = wall.hour * 60 + wall.minute
    if start < end:
        expected = today in chosen and start * 60 <= minutes < end * 60
    else:
        expected = (today in chosen and minutes >= start * 60) or (
            yesterday in chosen and minutes < end * 60
        )
    found = _black(text, at)
    changing = any(
        (at + timedelta(hours=h)).astimezone(BERLIN).utcoffset() != wall.utcoffset()
        for h in (-26, 26)
    )
    assert found or not expected
    assert found == expected or changing


def test_an_hour_that_comes_twice_is_blacked_out_twice() -> None:
    """On 25 October 2026 clocks in Berlin go back from 03:00 to 02:00."""
    text = "weekly sun 02:00-02:30 Europe/Berlin"
    first = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    assert not _black(text, first - MINUTE)
    assert all(_black(text, first + MINUTE * n) for n in range(90))
    assert not _black(text, first + MINUTE * 90)


def test_an_hour_that_is_left_out_is_blacked_out_around() -> None:
    """On 29 March 2026 clocks in Berlin go from 02:00 to 03:00."""
    text = "weekly sun 02:15-02:45 Europe/Berlin"
    change = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert _black(text, change)
    assert _black("dated 2026-03-29T02:15/2026-03-29T02:45 Europe/Berlin", change)


def test_the_first_blacked_out_instant_is_found_with_its_end() -> None:
    start = datetime(2026, 6, 5, 12, tzinfo=UTC)
    spells = [
        parse_blackout("weekly mon 08:00-18:00 UTC"),
        parse_blackout("dated 2026-06-06T10:00/2026-06-06T11:00 UTC"),
    ]
    found = first_within(spells, start, start + timedelta(days=7))
    assert found == (
        datetime(2026, 6, 6, 10, tzinfo=UTC),
        datetime(2026, 6, 6, 11, tzinfo=UTC),
    )
    assert first_within(spells, start, datetime(2026, 6, 6, 10, tzinfo=UTC)) is None
    assert first_within(spells, datetime(2026, 6, 6, 11, tzinfo=UTC), start) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "weekly",
        "weekly xyz 08:00-09:00 UTC",
        "weekly mon- 08:00-09:00 UTC",
        "weekly mon 24:00-09:00 UTC",
        "weekly mon 08:60-09:00 UTC",
        "weekly mon 08:00-25:00 UTC",
        "weekly mon 08:00-09:00 ../../etc/passwd",
        "weekly mon 08:00-09:00 Mars/Olympus",
        "dated 2026-06-06T10:00/2026-06-06T10:00 UTC",
        "dated 2026-13-06T10:00/2026-06-06T10:00 UTC",
    ],
)
def test_what_is_no_blackout_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_blackout(text)


@given(st.text(max_size=60), st.binary(max_size=200))
def test_no_text_breaks_the_readers(text: str, data: bytes) -> None:
    """Blackouts, consents and tokens: any input is read or refused with an error of ours."""
    for kind in ("", "weekly ", "dated "):
        with suppress(InvalidError):
            parse_blackout(kind + text)
    with suppress(InvalidError):
        scan_consent.read(data)
    keys = scan_passport.TrustedKeys("http://hub", {})
    for read in (scan_passport.read_passport, scan_passport.read_status):
        for given_ in (text, f"{text}.{text}.{text}", data.decode("latin1")):
            with suppress(ClearholdError):
                read(given_, keys)
    with suppress(ClearholdError):
        scan_passport.read_keys(data)
