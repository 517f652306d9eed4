"""`ports.web.Web` by HTTPS, to public addresses alone.

The name is resolved here, once; every address of it must be allowed, and the connection goes to the
very address that was looked at, so that a name that changes its mind between the look and the
connection gains nothing. Redirects are not followed and proxies of the environment not used.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpx

from clearhold.adapters.outside import LimitedTransport, public
from clearhold.kernel.errors import DeniedError, InvalidError, UnavailableError

Network = IPv4Network | IPv6Network

_LARGEST: Final = 1 << 20
_TIMEOUT_S: Final = 10
_LONGEST: Final = 2000
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
        parts = _parts(address)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        chosen = self._resolve(parts, host, port)
        literal = f"[{chosen}]" if chosen.version == 6 else str(chosen)
        there = parts._replace(netloc=f"{literal}:{port}").geturl()
        try:
            with (
                httpx.Client(
                    transport=LimitedTransport(httpx.create_ssl_context(), seconds=_TIMEOUT_S),
                    timeout=_TIMEOUT_S,
                    follow_redirects=False,
                ) as http,
                http.stream(
                    method,
                    there,
                    headers={"Host": parts.netloc, "Accept": "application/json"},
                    extensions={"sni_hostname": host},
                    **options,
                ) as answer,
            ):
                body = b""
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > _LARGEST:
                        raise _no_answer(host)
                status = answer.status_code
        except httpx.HTTPError as error:
            raise _no_answer(host) from error
        if method == "POST" and status in _REFUSALS:
            raise DeniedError(f"{host} refused.", next_step="Begin again.")
        if status != httpx.codes.OK:
            raise _no_answer(host)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _no_answer(host) from error
        if not isinstance(document, dict):
            raise _no_answer(host)
        return document

    def _resolve(self, parts: SplitResult, host: str, port: int) -> IPv4Address | IPv6Address:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _no_answer(host) from error
        addresses = [
            _plain(ipaddress.ip_address(str(each[4][0]).partition("%")[0])) for each in found
        ]
        named = [self._is_named(each) for each in addresses]
        # A network that is named is one's own: only there may a server speak without TLS.
        allowed = all(
            mine or (parts.scheme == "https" and public(each))
            for each, mine in zip(addresses, named, strict=True)
        )
        if not addresses or not allowed:
            raise _forbidden()
        return addresses[0]

    def _is_named(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._also)


def _parts(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError as error:
        raise _forbidden() from error
    plain = address.isascii() and address.isprintable() and " " not in address
    if not known or not plain or len(address) > _LONGEST or "@" in parts.netloc or parts.fragment:
        raise _forbidden()
    return parts


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that one of IPv6 only dresses up."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _forbidden() -> InvalidError:
    return InvalidError(
        "This address may not be asked.",
        next_step="It must be https at a public host, or lie in CLEARHOLD_OIDC_NETWORKS.",
    )


def _no_answer(host: str) -> UnavailableError:
    return UnavailableError(
        f"{host[:100]} gives no usable answer.",
        next_step="Try again later, or ask whoever runs it.",
    )
