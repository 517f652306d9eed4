"""`ports.endpoints.Endpoints` by HTTP/1.1 over TLS, over connections that are kept for a while.

Where an address leads is looked up for each call as `guarded_address` says. Redirects are not
followed, cookies not kept, proxies of the environment not used. Connections are kept by the name that
was asked, not by address: two names at one address never share a connection or a certificate. Nor do
two keys at one name: a server that answers twice gives what it says too late to its own asker.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx

from clearhold.adapters.guarded_address import Network, look_up, no_answer
from clearhold.adapters.kept_connections import BROKEN, Connection, Place, There
from clearhold.ports.endpoints import Given

_SETTING: Final = "CLEARHOLD_ENDPOINT_NETWORKS"
_MOST_PLACES: Final = 64
_SOON_S: Final = 0.02
"""For an answer that comes within this time, nothing is done meanwhile."""
_Whose = tuple[str | tuple[str, str], ...]
"""How and where is asked, and all that is said beside: with it, by which key."""


class HttpsEndpoints:
    """Asks endpoints at public addresses, and those in networks that are named."""

    def __init__(self, also: Sequence[Network] = ()) -> None:
        self._also = tuple(also)
        self._context: ssl.SSLContext | None = None
        self._places: OrderedDict[_Whose, Place] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, address: str) -> None:
        """Raise for an address that may not be asked."""
        look_up(address, self._also, setting=_SETTING)

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
        """POST."""
        found = look_up(address, self._also, setting=_SETTING)
        until = time.monotonic() + within_s
        parts = urlsplit(found.url)
        there = There(
            parts.hostname or "", parts.port or 0, found.host if parts.scheme == "https" else None
        )
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        sent = {
            "Host": found.netloc,
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",  # what is packed could be bounded only once unpacked
            **headers,
        }
        place = self._place((parts.scheme, found.netloc, *sorted(headers.items())))
        with _answering(found.host):
            connection = place.take(there, until)
        try:
            with _answering(found.host):
                connection.send(target, list(sent.items()), body, until)
                soon = meanwhile is None or connection.answered(_SOON_S)
            if meanwhile is not None and not soon:
                meanwhile()  # where that fails, it is not the endpoint that did
            with _answering(found.host):
                status, told = connection.head()
            if told.get(b"content-encoding", b"identity").lower() != b"identity":
                raise no_answer(found.host)
            retry = told.get(b"retry-after", b"")[:40].decode("latin-1")
            yield Given(status, retry, _pieces(connection, found.host))
        finally:
            place.give_back(connection)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for each in self._places.values():
                each.close()
            self._places.clear()

    def _place(self, name: _Whose) -> Place:
        with self._lock:
            found = self._places.pop(name, None) or Place(self._connect)
            self._places[name] = found
            if len(self._places) > _MOST_PLACES:
                self._places.popitem(last=False)[1].close()
            return found

    def _connect(self, there: There, until: float) -> Connection:
        if there.tls_name is None:
            return Connection(there, None, until)
        with self._lock:
            if self._context is None:  # loading what is trusted takes longer than a call
                self._context = httpx.create_ssl_context()
                self._context.set_alpn_protocols(["http/1.1"])
        return Connection(there, self._context, until)


def _pieces(connection: Connection, host: str) -> Iterator[bytes]:
    with _answering(host):
        yield from connection.pieces()


@contextmanager
def _answering(host: str) -> Iterator[None]:
    """Whatever breaks within is an answer that does not come."""
    try:
        yield
    except BROKEN as error:
        raise no_answer(host) from error
