"""Calls that ask for more than was agreed, and answers that give more away than they may."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from test_access_to_models import asked

from clearhold.evaluations.call_chain import Outcome
from clearhold.evaluations.gateway.exchange import Exchanged, exchange
from clearhold.evaluations.gateway.opened import EndpointBody
from clearhold.kernel.errors import InvalidError
from clearhold.ports.endpoints import Given
from clearhold.wire.model_calls import Dialect, read_answer, read_request

KEY = "sk-live/secret+key?1234567890"


def said(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [*parts]}]}


@pytest.mark.parametrize(
    "fields",
    [
        {"models": ["other"]},  # a router's further choices
        {"model_name": "other"},
        {"best_of": 20},
        {"prompt_logprobs": 5},
        {"chat_template": "{{ messages }}"},
        {"n_predict": 10**6},
        {"web_search_options": {}},
        {"store": True},
        {"service_tier": "priority"},
        {"mcp_servers": [{"type": "url", "url": "https://elsewhere.example/"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "code_execution_20250522", "name": "c"}]},
        {"tools": [{"type": ["function"]}]},
        {"tools": [5]},
        {"tools": {}},
        said({"type": "image_url", "image_url": {"url": "https://10.0.0.1/x.png"}}),
        said({"image_url": "http://10.0.0.1/x.png"}),
        said({"type": "video_url", "video_url": {"url": 5}}),
        said({"type": "image", "source": {"type": "url", "url": "https://a.example/"}}),
        said({"type": "document", "source": {"type": "file", "file_id": "f"}}),
        said({"type": "file", "file": {"file_id": "f"}}),
        said({"type": "container_upload", "file_id": "f"}),
        said({"type": "tool_result", "content": [{"type": "image", "source": {"type": "url"}}]}),
        said(json.loads('{"content": [' * 12 + "5" + "]}" * 12)),
    ],
)
def test_nothing_but_words_and_what_is_in_the_request_goes_on(fields: dict[str, Any]) -> None:
    for dialect in Dialect:
        body = {"model": "candidate", "messages": [], "max_tokens": 9} | fields
        with pytest.raises(InvalidError):
            read_request(json.dumps(body).encode(), dialect)


def test_tools_of_the_caller_and_content_in_the_request_go_on() -> None:
    parts = (
        {"type": "text", "text": "see https://a.example/"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "image", "source": {"type": "base64", "data": "AA=="}},
        {"type": "tool_use", "name": "get", "input": {"image_url": "https://a.example/"}},
    )
    tools = [
        {"type": "function", "function": {"name": "f"}},
        {"name": "g", "input_schema": {}},
        {"type": "bash_20250124", "name": "bash"},
    ]
    call = asked(tools=tools, seed=None, **said(*parts))
    assert "seed" not in call.fields
    assert call.fields["tools"] == tools


def test_of_two_limits_the_larger_one_is_held() -> None:
    assert asked(max_completion_tokens=1, max_tokens=900_000).most_tokens == 900_000
    assert asked(max_completion_tokens=900_000, max_tokens=1).most_tokens == 900_000
    assert asked(max_completion_tokens=None, max_tokens=None).most_tokens == 4096
    with pytest.raises(InvalidError):
        asked(max_completion_tokens=1, max_tokens=10**9)


def test_what_was_not_asked_for_is_left_out_wherever_it_stands() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    given = {
        "prompt_logprobs": [1],
        "prompt_token_ids": [2],
        "choices": [
            {
                "token_ids": [3],
                "reasoning": "hm",
                "message": {
                    "content": [thought, {"type": "text", "text": "hi"}],
                    "thinking_blocks": [thought],
                    "logprobs": [4],
                },
            }
        ],
    }
    shown = read_answer(b"{}", json.dumps(given).encode()).shown(asked())
    assert json.loads(shown) == {
        "model": "candidate",
        "choices": [{"message": {"content": [{"type": "text", "text": "hi"}]}}],
    }


class Echo:
    """An endpoint that gives the same answer to all."""

    def __init__(self, status: int, answer: bytes) -> None:
        self.given = status, answer

    def check(self, address: str) -> None:
        """Any address will do."""

    @contextmanager
    def ask(
        self,
        address: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        within_s: float,
        meanwhile: Callable[[], None] | None = None,
    ) -> Iterator[Given]:
        status, answer = self.given
        yield Given(status, "", iter([answer]))

    def close(self) -> None:
        """Nothing is kept."""


def went(status: int, answer: bytes) -> Exchanged:
    body = EndpointBody(
        address="https://lab.example/v1",
        credential=KEY,
        dialect=Dialect.OPENAI,
        models={"candidate": "aurora-9-internal"},
    )
    return exchange(Echo(status, answer), body, asked())


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "hidden",
    [
        KEY.replace("/", "\\/"),
        "".join(f"\\u{ord(each):04x}" for each in KEY),
        base64.urlsafe_b64encode(f"Bearer {KEY}".encode()).decode(),
        base64.b64encode(f"xx{KEY}".encode()).decode(),
    ],
)
def test_no_way_of_writing_the_key_carries_it_to_an_evaluator(status: int, hidden: str) -> None:
    told = went(status, f'{{"error": {{"message": "{"y" * 480} {hidden}"}}}}'.encode())
    assert (told.outcome, told.shown, told.said) == (Outcome.WITHHELD, b"", "")


def test_what_an_endpoint_says_of_a_request_names_the_variant_and_not_the_developer_s_model() -> (
    None
):
    told = went(404, b'{"error": {"message": "aurora-9-internal was not found"}}')
    assert told.said == "candidate was not found"
