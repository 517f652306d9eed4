"""What it took to get around a safeguard is added up from a log that holds no transcript."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.evaluations.suites.effort import Attempt, EffortLog, Technique, effort, read
from clearhold.kernel.errors import InvalidError

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def attempt(number: int, **changed: Any) -> Attempt:
    kept: dict[str, Any] = {
        "at": NOW + timedelta(hours=number),
        "automated": False,
        "by": "evaluator 1",
        "minutes": 30.0,
        "reached": "nothing",
        "scope": "none",
        "technique": Technique.SMALL_STEPS,
        "tokens": 1000,
        "transcript_sha256": "a" * 64,
        "turns": 5,
    }
    return Attempt(**{**kept, **changed})


def log(*attempts: Attempt) -> EffortLog:
    return EffortLog(
        attempts=attempts,
        format="clearhold-effort/1",
        goal="a request of the list",
        safeguards_sha256="b" * 64,
        variant="release-candidate",
    )


def test_effort_counts_what_came_to_nothing_too() -> None:
    through = attempt(2, reached="all", scope="universal", automated=True)
    found = effort(log(attempt(0), attempt(1, reached="part", scope="narrow"), through, attempt(3)))
    assert (found.attempts, found.minutes, found.turns) == (4, 120.0, 20)
    assert (found.first_attempts, found.first_minutes) == (3, 90.0)
    assert (found.universal, found.automated) == (True, True)
    nothing = effort(log(attempt(0)))
    assert (nothing.first_attempts, nothing.first_minutes, nothing.universal) == (None, None, False)


@pytest.mark.parametrize(
    "wrong",
    [
        attempt(0, minutes=-1.0),
        attempt(0, turns=0),
        attempt(0, reached="all"),
        attempt(0, scope="universal"),
        attempt(0, transcript_sha256="what was said"),
        attempt(0, by=""),
        attempt(0, at=datetime(2026, 1, 1)),  # noqa: DTZ001 (no zone)
    ],
)
def test_a_log_that_cannot_be_is_refused(wrong: Attempt) -> None:
    with pytest.raises(InvalidError):
        read(msgspec.json.encode(log(wrong)))


def test_a_log_is_read_as_it_was_written_and_in_order_alone() -> None:
    good = log(attempt(0), attempt(1))
    assert read(msgspec.json.encode(good)) == good
    with pytest.raises(InvalidError):
        read(msgspec.json.encode(log(attempt(1), attempt(0))))


@given(st.binary(max_size=300))
def test_no_bytes_are_taken_for_a_log(data: bytes) -> None:
    with pytest.raises(InvalidError):
        read(data)
