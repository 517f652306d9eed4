"""Pages over HTTPS from the public internet alone.

A name is resolved once, every address it has must be public, and the connection goes to the
address that was checked, so that a name which answers differently the next moment (DNS rebinding)
leads nowhere inside. The certificate is still checked against the name.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

import certifi
import httpx

from clearhold.adapters.outside import Address, LimitedTransport, public
from clearhold.kernel.errors import UnavailableError

LARGEST: Final = 16 * 1024
_SECONDS: Final = 10.0


def resolve(host: str) -> tuple[Address, ...]:
    """Every address the system's resolver has for a name; raises `OSError` when it has none."""
    found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ipaddress.ip_address(each[4][0]) for each in found))


class HttpsPages:
    """`ports.pages.PageReader` over the network.

    Tests bring a resolver, a rule for addresses, a port and a trusted certificate of their own.
    """

    def __init__(
        self,
        *,
        resolve: Callable[[str], Sequence[Address]] = resolve,
        permitted: Callable[[Address], bool] = public,
        port: int = 443,
        trusted: str | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        self._resolve = resolve
        self._permitted = permitted
        self._port = port
        self._trusted = trusted
        self._seconds = seconds

    def read(self, address: str) -> bytes:
        """The bytes of a page."""
        parts = urlsplit(address)
        host = parts.hostname
        if parts.scheme != "https" or host is None or parts.netloc != host:
            raise _unreadable("it is not a plain https address")
        try:
            found = self._resolve(host)
        except (OSError, UnicodeError, ValueError) as error:
            raise _unreadable("its name is not known") from error
        if not found or not all(map(self._permitted, found)):
            raise _unreadable("its server is not on the public internet")
        return self._fetch(host, found[0], parts.path or "/")

    def _fetch(self, host: str, address: Address, path: str) -> bytes:
        literal = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        context = ssl.create_default_context(cafile=self._trusted or certifi.where())
        # No proxy and no other setting of the environment: they would choose another connection.
        transport = LimitedTransport(context, seconds=self._seconds)
        try:
            with (
                httpx.Client(
                    transport=transport, timeout=self._seconds / 2, follow_redirects=False
                ) as client,
                client.stream(
                    "GET",
                    f"https://{literal}:{self._port}{path}",
                    headers={"Host": host, "Accept-Encoding": "identity", "Accept": "text/plain"},
                    extensions={"sni_hostname": host},
                ) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    raise _unreadable(f"the server answered {response.status_code}")
                body = bytearray()
                for piece in response.iter_raw():
                    body += piece
                    if len(body) > LARGEST:
                        raise _unreadable("the page is too long")
                return bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _unreadable(type(error).__name__) from error


def _unreadable(reason: str) -> UnavailableError:
    return UnavailableError(
        f"The page could not be read: {reason}.",
        next_step="Publish it at exactly that address, without a redirect, then try again.",
    )
