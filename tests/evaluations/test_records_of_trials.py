"""What a harness leaves of its trials is read strictly, whatever another machine sends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_examples import run, trial

from clearhold.evaluations.trials import Flag, Outcome, read, read_one, write_one
from clearhold.kernel.errors import ClearholdError, InvalidError


def test_trials_have_one_form_whatever_their_order_and_zone() -> None:
    later = trial(epoch=1, flags=(Flag.REFUSAL, Flag.CHEAT))
    east = trial(began_at=datetime(2026, 11, 30, 14, tzinfo=timezone(timedelta(hours=2))))
    found = run(later, east)
    assert found.content == run(trial(), later).content
    assert read(found.content) == found
    for other in (found.content + b" ", found.content.replace(b'"epoch":1', b'"epoch":1.0')):
        with pytest.raises(InvalidError):
            read(other)
    assert read_one(write_one(later)).flags == (Flag.CHEAT, Flag.REFUSAL)


@pytest.mark.parametrize(
    "changed",
    [
        {"solved_at": None},
        {"outcome": Outcome.FAILURE},
        {"outcome": Outcome.NO_RESULT, "solved_at": None},
        {"flags": (Flag.INFRASTRUCTURE,)},
        {"solved_at": 501},
        {"egress_left": 1},
        {"egress_sha256": ""},
        {"exec_log_sha256": "A" * 64},
        {"tokens": -1, "solved_at": -1},
        {"tokens": 10**13},
        {"seed": 1 << 64},
        {"budget": 0},
        {"task": "two\nlines"},
        {"task": ""},
        {"twin": "\x1b[2J"},
    ],
)
def test_what_contradicts_itself_is_no_trial(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        run(trial(**changed))
    with pytest.raises(InvalidError):
        read_one(write_one(trial(**changed)))


def test_a_trial_counts_once() -> None:
    with pytest.raises(InvalidError, match="twice"):
        run(trial(), trial())


@given(st.binary(max_size=200), st.integers(0, 10_000), st.sampled_from(["cut", "put", "over"]))
def test_no_altered_bytes_are_read_as_something_else(noise: bytes, at: int, how: str) -> None:
    whole = run(trial(), trial(epoch=1))
    at %= len(whole.content)
    ways: dict[str, Callable[[], bytes]] = {
        "cut": lambda: whole.content[:at],
        "put": lambda: whole.content[:at] + noise + whole.content[at:],
        "over": lambda: whole.content[:at] + noise + whole.content[at + len(noise) :],
    }
    try:
        found = read(ways[how]())
    except ClearholdError:
        return
    assert msgspec.json.encode(found.run, order="deterministic") == found.content
