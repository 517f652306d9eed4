"""`ports.second_key.SecondKey` over HTTPS, as `clearhold admin known-half serve` answers it."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import httpx
import msgspec

from clearhold.kernel.errors import UnavailableError

_TIMEOUT_S: Final = 10
_LARGEST: Final = 1 << 20
_Kind = TypeVar("_Kind")


class _Publics(msgspec.Struct):
    publics: list[str]


class _Answer(msgspec.Struct):
    elements: list[str]
    proof: str


class HttpSecondKey:
    """The second half, at an address that whoever set the hub up chose."""

    def __init__(
        self, address: str, token: str, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(
            base_url=address.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
            transport=transport,
        )

    def publics(self, epoch: int) -> tuple[bytes, ...]:
        """Its public keys."""
        answer = self._ask("GET", f"/keys/{epoch}", kind=_Publics)
        return tuple(map(bytes.fromhex, answer.publics))

    def evaluate(
        self, epoch: int, room: int, elements: Sequence[bytes]
    ) -> tuple[tuple[bytes, ...], bytes]:
        """Its half of an answer."""
        body = {"epoch": epoch, "room": room, "elements": [each.hex() for each in elements]}
        answer = self._ask("POST", "/evaluations", kind=_Answer, json=body)
        return tuple(map(bytes.fromhex, answer.elements)), bytes.fromhex(answer.proof)

    def _ask(self, method: str, path: str, *, kind: type[_Kind], **options: Any) -> _Kind:
        try:
            response = self._http.request(method, path, **options)
            if not response.is_success or len(response.content) > _LARGEST:
                raise _absent()
            return msgspec.json.decode(response.content, type=kind)
        except (httpx.HTTPError, msgspec.MsgspecError, binascii.Error, ValueError) as error:
            raise _absent() from error


def _absent() -> UnavailableError:
    return UnavailableError(
        "Who holds the second half of the key does not answer.",
        next_step="Ask again later; the hub alone cannot answer.",
    )
