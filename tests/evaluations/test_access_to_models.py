"""Calls to a model go through only as agreed, are counted, and are recorded so that none can go missing."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.evaluations.access import Grant, Refused, Standing, decide
from clearhold.evaluations.call_chain import BEGINNING, Outcome, RecordedCall, broken
from clearhold.evaluations.clock import Verified, Window, clock
from clearhold.evaluations.model import REACHABLE, AccessKind, EngagementState
from clearhold.kernel.errors import ClearholdError, InvalidError, TooLargeError
from clearhold.wire.model_calls import (
    LARGEST_REQUEST,
    Asked,
    Dialect,
    read_answer,
    read_request,
    text_of,
)

NOW = datetime(2026, 11, 30, tzinfo=UTC)
DAY = timedelta(days=1)
RUNNING = clock(Window(10 * DAY), [Verified(NOW - DAY)], NOW)
GRANT = Grant(
    "Ada", frozenset({"candidate"}), frozenset({AccessKind.CHAT}), NOW - DAY, NOW + DAY, 5000
)
OPEN = Standing(EngagementState.TESTING, RUNNING, agreed=True, served={"candidate"})


def asked(**fields: Any) -> Asked:
    body = {"model": "candidate", "messages": [], "max_tokens": 100} | fields
    return read_request(json.dumps(body).encode(), Dialect.OPENAI)


@pytest.mark.parametrize(
    ("grant", "standing", "call", "reason"),
    [
        (GRANT, OPEN, asked(), None),
        (GRANT, replace(OPEN, agreed=False), asked(), Refused.ENDED),
        (GRANT, replace(OPEN, state=EngagementState.WITHDRAWN), asked(), Refused.ENDED),
        (GRANT, replace(OPEN, state=EngagementState.INCIDENT_HOLD), asked(), Refused.ENDED),
        (GRANT, replace(OPEN, off=True), asked(), Refused.SWITCHED_OFF),
        (GRANT, replace(OPEN, served=set()), asked(), Refused.NO_ENDPOINT),
        (GRANT, replace(OPEN, clock=clock(Window(DAY), [], NOW)), asked(), Refused.NOT_OPEN),
        (replace(GRANT, withdrawn_at=NOW), OPEN, asked(), Refused.WITHDRAWN),
        (replace(GRANT, begins_at=NOW + DAY), OPEN, asked(), Refused.NOT_YET),
        (replace(GRANT, ends_at=NOW), OPEN, asked(), Refused.EXPIRED),
        (GRANT, OPEN, asked(model="other"), Refused.OTHER_VARIANT),
        (GRANT, OPEN, asked(logprobs=True), Refused.OTHER_KIND),
        (GRANT, OPEN, asked(thinking={"type": "enabled"}), Refused.OTHER_KIND),
        (replace(GRANT, spent=4950), OPEN, asked(), Refused.NO_TOKENS),
        (replace(GRANT, held=4950), OPEN, asked(), Refused.NO_TOKENS),
        (replace(GRANT, tokens=100), OPEN, asked(), Refused.NO_TOKENS),
        (replace(GRANT, tokens=asked().most_in_all), OPEN, asked(), None),
    ],
)
def test_a_call_goes_through_only_as_agreed(
    grant: Grant, standing: Standing, call: Asked, reason: Refused | None
) -> None:
    assert decide(grant, standing, call, NOW) is reason


@given(st.sampled_from([*EngagementState]), st.booleans(), st.integers(0, 30))
def test_nothing_goes_through_outside_the_states_and_the_window(
    state: EngagementState,
    agreed: bool,  # noqa: FBT001
    days: int,
) -> None:
    now = NOW + days * DAY
    stands = clock(Window(10 * DAY), [Verified(NOW)], now)
    grant = replace(GRANT, ends_at=NOW + 90 * DAY)
    if (
        decide(grant, Standing(state, stands, agreed=agreed, served={"candidate"}), asked(), now)
        is None
    ):
        assert agreed
        assert state in REACHABLE
        assert days < 10


def test_a_call_without_a_limit_is_given_one() -> None:
    call = read_request(b'{"model": "candidate", "messages": []}', Dialect.ANTHROPIC)
    assert json.loads(call.to("aurora-9-internal"))["max_tokens"] == call.most_tokens == 4096
    assert json.loads(call.to("aurora-9-internal"))["model"] == "aurora-9-internal"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"messages": []}',
        b'{"model": 5, "messages": []}',
        b'{"model": "a"}',
        b'{"model": "a", "messages": [], "stream": true}',
        b'{"model": "a", "messages": [], "n": 50}',
        b'{"model": "a", "messages": [], "max_tokens": -1}',
        b'{"model": "a", "messages": [], "max_tokens": true}',
        b'{"model": "a", "messages": [], "max_tokens": 1e400}',
        b'{"model": "a", "model": "b", "messages": []}',
        b'{"model": "a", "messages": ' + b"[" * 99 + b"]" * 99 + b"}",
    ],
)
def test_requests_that_no_gateway_should_pass_on_are_refused(body: bytes) -> None:
    with pytest.raises((InvalidError, TooLargeError)):
        read_request(body, Dialect.OPENAI)


def test_a_request_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooLargeError):
        read_request(b" " * (LARGEST_REQUEST + 1), Dialect.OPENAI)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_whatever_an_endpoint_answers_is_counted_and_never_as_nothing(answer: bytes) -> None:
    used = read_answer(b"x" * 40, answer).used
    assert used.prompt >= 10 or used.counted
    assert used.total >= 0


@pytest.mark.parametrize(
    ("answer", "total", "counted"),
    [
        ({"usage": {"prompt_tokens": 7, "completion_tokens": 5}}, 12, True),
        ({"usage": {"input_tokens": 7, "output_tokens": 5}}, 12, True),
        ({"usage": {"input_tokens": -7, "output_tokens": 5}}, None, False),
        ({"usage": {"input_tokens": True, "output_tokens": 5}}, None, False),
        ({"usage": "free"}, None, False),
        ({}, None, False),
    ],
)
def test_tokens_are_the_endpoint_s_count_only_where_it_is_one(
    answer: dict[str, Any],
    total: int | None,
    counted: bool,  # noqa: FBT001
) -> None:
    used = read_answer(b"x" * 40, json.dumps(answer).encode()).used
    assert used.counted is counted
    assert used.total == total if total else used.total > 10


def test_an_answer_is_shown_under_the_variant_s_name_with_what_was_asked_for_alone() -> None:
    given_ = {
        "model": "aurora-9-internal",
        "choices": [
            {"message": {"content": "hi", "reasoning_content": "hm"}, "logprobs": {"content": []}}
        ],
    }
    answer = read_answer(b"{}", json.dumps(given_).encode())
    bare = json.loads(answer.shown(asked()))
    assert bare == {"model": "candidate", "choices": [{"message": {"content": "hi"}}]}
    every = json.loads(answer.shown(asked(logprobs=True, include_reasoning=True)))
    assert every == given_ | {"model": "candidate"}
    thought = {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}]}
    answer = read_answer(b"{}", json.dumps(thought).encode())
    assert json.loads(answer.shown(asked()))["content"] == [{"type": "text", "text": "hi"}]
    assert answer.fields is not None
    assert text_of(answer.fields, Dialect.ANTHROPIC) == "hi"
    for unread in (b"[1", b'{"content": "\\u0000"}'):
        assert read_answer(b"{}", unread).shown(asked()) == b""


@given(
    st.recursive(
        st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=3),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "message", "content", "text", "type", "usage", "logprobs"]
                ),
                inner,
            )
        ),
    )
)
def test_no_shape_of_an_answer_breaks_its_reader(shape: Any) -> None:
    answer = read_answer(b"{}", json.dumps({"choices": shape, "content": shape}).encode())
    assert json.loads(answer.shown(asked()))["model"] == "candidate"
    for dialect in Dialect:
        assert isinstance(text_of(answer.fields or {}, dialect), str)


@given(st.binary(max_size=200))
def test_hostile_requests_are_read_or_refused_and_nothing_else(body: bytes) -> None:
    for dialect in Dialect:
        with suppress(ClearholdError):
            assert read_request(body, dialect).variant


def chain(count: int) -> list[RecordedCall]:
    made: list[RecordedCall] = []
    for number in range(1, count + 1):
        previous = made[-1].hash if made else BEGINNING
        made.append(
            RecordedCall(
                answer_sha256="0" * 64,
                answer_tokens=number,
                at=NOW,
                caller="grant",
                engagement="e",
                number=number,
                outcome=Outcome.ANSWERED,
                previous=previous.hex(),
                prompt_tokens=1,
                request_sha256="1" * 64,
                status=200,
                variant=1,
            )
        )
    return made


@given(st.integers(2, 12), st.data())
def test_a_call_that_is_changed_moved_or_missing_breaks_the_chain(
    count: int, data: st.DataObject
) -> None:
    calls = chain(count)
    assert broken(calls) is None
    at = data.draw(st.integers(0, count - 2))
    missing = calls[:at] + calls[at + 1 :]
    moved = [*calls[:at], calls[at + 1], calls[at], *calls[at + 2 :]]
    changed = list(calls)
    changed[at] = msgspec.structs.replace(changed[at], answer_tokens=9999)
    assert broken(missing) == at + 1
    assert broken(moved) == at + 1
    assert broken(changed) == at + 2
