"""`ports.web.Web` by HTTPS, to public addresses alone.

Where an address leads is looked up as `guarded_address` says. Redirects are not followed and proxies
of the environment not used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx

from clearhold.adapters.guarded_address import Network, look_up, no_answer
from clearhold.adapters.outside import LimitedTransport
from clearhold.kernel.errors import DeniedError

_LARGEST: Final = 1 << 20
_TIMEOUT_S: Final = 10
_SETTING: Final = "CLEARHOLD_OIDC_NETWORKS"
_REFUSALS: Final = range(400, 500)


class GuardedWeb:
    """Asks public servers, and those in networks that are named."""

    def __init__(self, also: Sequence[Network] = ()) -> None:
        self._also = tuple(also)

    def get(self, address: str) -> Mapping[str, Any]:
        """A GET."""
        return self._ask("GET", address)

    def post(
        self, address: str, form: Mapping[str, str], *, user: tuple[str, str] | None
    ) -> Mapping[str, Any]:
        """A POST of a form."""
        return self._ask("POST", address, data=dict(form), auth=user)

    def _ask(self, method: str, address: str, **options: Any) -> Mapping[str, Any]:
        there = look_up(address, self._also, setting=_SETTING)
        try:
            with (
                httpx.Client(
                    transport=LimitedTransport(httpx.create_ssl_context(), seconds=_TIMEOUT_S),
                    timeout=_TIMEOUT_S,
                    follow_redirects=False,
                ) as http,
                http.stream(
                    method,
                    there.url,
                    headers={"Host": there.netloc, "Accept": "application/json"},
                    extensions={"sni_hostname": there.host},
                    **options,
                ) as answer,
            ):
                body = b""
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > _LARGEST:
                        raise no_answer(there.host)
                status = answer.status_code
        except httpx.HTTPError as error:
            raise no_answer(there.host) from error
        if method == "POST" and status in _REFUSALS:
            raise DeniedError(f"{there.host} refused.", next_step="Begin again.")
        if status != httpx.codes.OK:
            raise no_answer(there.host)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise no_answer(there.host) from error
        if not isinstance(document, dict):
            raise no_answer(there.host)
        return document
