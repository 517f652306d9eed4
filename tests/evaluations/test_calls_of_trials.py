"""From a trial to its calls in the gateway's record: what agrees is found, whatever else is told of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from clearhold.evaluations.call_chain import BEGINNING, Outcome, RecordedCall
from clearhold.evaluations.trial_calls import GatewayCall, Walk, walk


def _request(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def _call(number: int, caller: str) -> RecordedCall:
    return RecordedCall(
        answer_sha256="00" * 32,
        answer_tokens=1,
        at=datetime(2026, 11, 1, tzinfo=UTC),
        caller=caller,
        engagement="e",
        number=number,
        outcome=Outcome.ANSWERED if number % 3 else Outcome.LOST,
        previous=BEGINNING.hex(),
        prompt_tokens=number,
        request_sha256=_request(number),
        status=200,
        variant=1,
    )


@given(owners=st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=12), other=st.integers(0, 3))
def test_calls_are_found_and_those_of_no_trial_are_counted(
    owners: Sequence[str], other: int
) -> None:
    record = [_call(number, "mine") for number in range(1, len(owners) + 1)]
    record += [_call(len(owners) + number, "gateway") for number in range(1, other + 1)]
    told = {
        name: [GatewayCall(at, _request(at)) for at, owner in enumerate(owners, 1) if owner == name]
        for name in "abc"
    }
    mine = [at for at, owner in enumerate(owners, 1) if owner]
    assert walk(told, record) == Walk(
        trials=len({*owners} - {""}),
        named=len(mine),
        tokens=sum(at + 1 for at in mine if at % 3),
        unnamed=len(owners) - len(mine) if mine else 0,
        faults=(),
    )


def test_whatever_does_not_agree_is_a_fault() -> None:
    record = [_call(number, "mine") for number in (1, 2)]
    right = GatewayCall(1, _request(1))
    assert walk({"a": [right]}, record).faults == ()
    for wrong in (
        {"a": [GatewayCall(3, _request(3))]},
        {"a": [GatewayCall(0, _request(1))]},
        {"a": [GatewayCall(2, _request(1))]},
        {"a": [right], "b": [right]},
        {"a": [right, right]},
    ):
        (fault,) = walk(wrong, record).faults
        assert fault.startswith(("a ", "b "))
