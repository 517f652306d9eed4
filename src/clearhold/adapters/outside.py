"""Talking to strangers' servers: which addresses may be asked, and for how long at most."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

import httpcore
import httpx

Address = IPv4Address | IPv6Address

# What Python does not count as special, or counts only since later versions (IANA registries).
_SPECIAL: Final = tuple(
    map(
        ipaddress.ip_network,
        ("64:ff9b::/32", "fec0::/10", "3fff::/20", "5f00::/16", "::/8", "192.88.99.0/24"),
    )
)


def public(address: Address) -> bool:
    """Whether an address is one of the public internet, whatever it is wrapped in."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return public(inner)
        if address.teredo is not None:
            return False
    special = any(address.version == each.version and address in each for each in _SPECIAL)
    ordinary = address.is_global and not address.is_multicast and not address.is_reserved
    return ordinary and not special


class LimitedTransport(httpx.HTTPTransport):
    """Ends a whole exchange after `seconds`, however slowly its pieces arrive.

    Timeouts of httpx hold for each piece alone: a server that sends a byte now and then would keep
    a thread of the hub for good.
    """

    def __init__(self, context: ssl.SSLContext, *, seconds: float) -> None:
        super().__init__(verify=context, trust_env=False)
        # httpx takes no network backend, and the pool that does is its documented foundation.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=_LimitedBackend(time.monotonic() + seconds)
        )


class _LimitedBackend(httpcore.SyncBackend):
    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = max(self._deadline - time.monotonic(), 0.001)
        stream = super().connect_tcp(
            host, port, min(timeout or left, left), local_address, socket_options
        )
        # A duplicate, for TLS takes the connection out of the first socket.
        known = stream.get_extra_info("socket").dup()
        watch = threading.Timer(max(self._deadline - time.monotonic(), 0), _end, (known,))
        watch.daemon = True
        watch.start()
        return _Watched(stream, watch, known)


class _Watched(httpcore.NetworkStream):
    def __init__(
        self, inner: httpcore.NetworkStream, watch: threading.Timer, known: socket.socket
    ) -> None:
        self._inner, self._watch, self._known = inner, watch, known

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._watch.cancel()
        self._known.close()
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        try:
            secured = self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            self.close()
            raise
        return _Watched(secured, self._watch, self._known)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _end(known: socket.socket) -> None:
    with suppress(OSError):
        known.shutdown(socket.SHUT_RDWR)
