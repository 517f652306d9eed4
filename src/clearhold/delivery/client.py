"""Talking to a hub over HTTP, for the command line and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

from clearhold.kernel import errors
from clearhold.kernel.errors import ClearholdError, UnavailableError

_ERRORS: Final[dict[str, type[ClearholdError]]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ClearholdError)
}


class HubClient:
    """One party's connection to a hub; problem documents come back as the error they were."""

    def __init__(self, address: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=120,
            trust_env=False,
        )

    def get(self, path: str, **parameters: Any) -> Any:
        """GET a path below /api/v1 and return its JSON."""
        return self._call("GET", path, params=parameters)

    def post(self, path: str, body: object = None, *, key: str | None = None) -> Any:
        """POST JSON to a path below /api/v1; `key` makes a repeated call have one effect."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._call("POST", path, json={} if body is None else body, headers=headers)

    def upload(
        self, path: str, content: bytes, *, media_type: str, key: str, **parameters: Any
    ) -> Any:
        """POST raw bytes to a path below /api/v1."""
        headers = {"Content-Type": media_type, "Idempotency-Key": key}
        return self._call("POST", path, content=content, headers=headers, params=parameters)

    def download(self, path: str, **parameters: Any) -> bytes:
        """GET raw bytes from a path of the hub, from its root; those that are None are left out."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._send("GET", path, params=given).content

    def redeem(self, enrolment: str, *, days: int) -> Any:
        """Use an enrolment up for a token; needs no token yet."""
        body = {"enrolment": enrolment, "days": days}
        return self._send("POST", "/enrol/token", json=body).json()

    def tool_message(self, method: str, params: Mapping[str, Any]) -> Any:
        """Send one message of the Model Context Protocol to the hub's tools; its answer."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params)}
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-11-25",
        }
        return self._send("POST", "/mcp", json=message, headers=headers).json()

    def ask(self, path: str, body: object) -> Any:
        """POST JSON to a path of the hub, from its root, and return its JSON; needs no token."""
        return self._send("POST", path, json=body).json()

    def fetch(self, path: str, **parameters: Any) -> bytes:
        """POST to a path below /api/v1 and return the bytes it answers."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._send("POST", f"/api/v1{path}", json={}, params=given).content

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def _call(self, method: str, path: str, **options: Any) -> Any:
        return self._send(method, f"/api/v1{path}", **options).json()

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise UnavailableError(
                "The hub does not answer.",
                next_step="Check CLEARHOLD_URL and that `clearhold serve` runs there.",
            ) from error
        if response.is_success:
            return response
        raise _error(response)


def _error(response: httpx.Response) -> ClearholdError:
    try:
        document: Mapping[str, Any] = response.json()
        kind = _ERRORS[document["code"]]
        known = {"type", "title", "status", "code", "next_step"}
        facts = {name: value for name, value in document.items() if name not in known}
        return kind(document["title"], next_step=document["next_step"], facts=facts)
    except (ValueError, KeyError, TypeError):
        return UnavailableError(
            f"The hub answered {response.status_code} in a form this client does not know.",
            next_step="Check that CLEARHOLD_URL is a Clearhold hub of the same version.",
        )
