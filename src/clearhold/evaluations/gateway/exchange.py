"""One exchange with a developer's endpoint: what is sent, what comes back, and what it came to.

Nothing of the evaluator's request but its body goes on, written anew; nothing of the endpoint's
answer but its body and `Retry-After` comes back. An answer that repeats the endpoint's key is kept
back, whatever else it says.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from clearhold.evaluations.call_chain import Outcome
from clearhold.evaluations.gateway.opened import EndpointBody
from clearhold.kernel.errors import ClearholdError
from clearhold.ports.endpoints import Endpoints
from clearhold.wire.json_bounds import canonical
from clearhold.wire.model_calls import LARGEST_ANSWER, Asked, Dialect, read_answer

LONGEST_S: Final = 600.0
LONGEST_SAID: Final = 500
_ANTHROPIC_VERSION: Final = "2023-06-01"
_SHORTEST_KEY: Final = 6
_RETRY: Final = re.compile(r"[0-9]{1,6}|[A-Za-z]{3}, [0-9]{2} [A-Za-z]{3} [0-9]{4} [0-9:]{8} GMT")
_CALLER_S: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""What an endpoint says of the request itself, which its asker is told."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """How an exchange went.

    `given` is the answer as the endpoint gave it, `shown` as the evaluator gets it; `said` what the
    endpoint said of a request it did not take. `troubled` says that the fault is the endpoint's.
    """

    outcome: Outcome
    status: int = 0
    given: bytes = b""
    shown: bytes = b""
    said: str = ""
    retry_after: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = 0
    fields: dict[str, Any] | None = None

    @property
    def troubled(self) -> bool:
        """Whether the endpoint itself is in trouble, as far as one call tells."""
        lost = self.outcome in {Outcome.NO_ANSWER, Outcome.WITHHELD}
        failed = self.outcome is Outcome.ENDPOINT_ERROR and self.status not in _CALLER_S
        return lost or failed


def exchange(
    endpoints: Endpoints,
    body: EndpointBody,
    asked: Asked,
    *,
    within_s: float = LONGEST_S,
    meanwhile: Callable[[], None] | None = None,
) -> Exchanged:
    """Ask an endpoint, and read what it gives as far as is allowed; never raises for what it does.

    `meanwhile` is as `Endpoints.ask` has it.
    """
    request = asked.to(body.models[asked.variant])
    address = f"{body.address.rstrip('/')}{body.dialect.path}"
    pieces, size = [], 0
    try:
        with endpoints.ask(
            address, _headers(body), request, within_s=within_s, meanwhile=meanwhile
        ) as answering:
            status = answering.status
            retry = answering.retry_after if _RETRY.fullmatch(answering.retry_after) else ""
            for piece in answering.pieces:
                pieces.append(piece)
                size += len(piece)
                if size > LARGEST_ANSWER:
                    return Exchanged(Outcome.ENDPOINT_ERROR, status)
    except ClearholdError:
        return Exchanged(Outcome.NO_ANSWER)
    given = b"".join(pieces)
    if _tells(given, body.credential):
        return Exchanged(Outcome.WITHHELD, status, given)
    came = Exchanged(Outcome.ENDPOINT_ERROR, status, given, retry_after=retry)
    return _judged(body, asked, request, came)


def _judged(body: EndpointBody, asked: Asked, request: bytes, came: Exchanged) -> Exchanged:
    """What an answer that came whole is; until it was looked at, it is nothing."""
    if came.status == HTTPStatus.TOO_MANY_REQUESTS:
        return replace(came, outcome=Outcome.RATE_LIMITED)
    answer = read_answer(request, came.given)
    # Written anew, it tells what was hidden by the way its letters were escaped.
    if answer.fields is not None and _tells(canonical(answer.fields), body.credential):
        return Exchanged(Outcome.WITHHELD, came.status, came.given)
    if came.status != HTTPStatus.OK or answer.fields is None:
        said = _said(answer.fields) if came.status in _CALLER_S else ""
        said = said.replace(body.models[asked.variant], asked.variant)
        return replace(came, said=said[:LONGEST_SAID])
    return Exchanged(
        Outcome.ANSWERED,
        came.status,
        came.given,
        answer.shown(asked),
        prompt_tokens=answer.used.prompt,
        answer_tokens=answer.used.answer,
        fields=answer.fields,
    )


def _headers(body: EndpointBody) -> dict[str, str]:
    headers = {"Accept": "application/json", "User-Agent": "clearhold"}
    if body.dialect is Dialect.ANTHROPIC:
        headers["anthropic-version"] = _ANTHROPIC_VERSION
    if body.credential:
        name, value = (
            ("x-api-key", body.credential)
            if body.dialect is Dialect.ANTHROPIC
            else ("Authorization", f"Bearer {body.credential}")
        )
        headers[name] = value
    return headers


def _tells(given: bytes, credential: str) -> bool:
    """Whether an answer has the endpoint's key in it, as it is, as JSON writes it, or in base64."""
    if len(credential) < _SHORTEST_KEY:
        return False
    key = credential.encode()
    written = json.dumps(credential)[1:-1].encode()
    # Base64 of something that contains the key: at each of three offsets, without its edges.
    packed = (base64.b64encode(bytes(lead) + key)[4 if lead else 0 : -4] for lead in range(3))
    told = given.replace(b"-", b"+").replace(b"_", b"/")  # base64 has two alphabets
    return any(each in given for each in (key, written)) or any(
        each in told for each in packed if len(each) >= _SHORTEST_KEY
    )


def _said(fields: dict[str, Any] | None) -> str:
    """What an endpoint says is wrong with a request, as one line of plain text."""
    error = (fields or {}).get("error")
    message = error.get("message") if isinstance(error, dict) else error
    text = message if isinstance(message, str) else ""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
