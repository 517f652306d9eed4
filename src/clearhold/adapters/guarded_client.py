"""An HTTP client whose redirects and links lead only where they may lead.

Every request is looked up as `guarded_address` says before it is made, whoever named its address.
Only the origins that this machine is configured to ask are taken as they are.
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterable, Sequence
from typing import Final

import httpx

from clearhold.adapters.download import RefusedAddressError, trusting
from clearhold.adapters.guarded_address import Network, look_up
from clearhold.adapters.outside import LimitedTransport
from clearhold.kernel.errors import ClearholdError, InvalidError

SETTING: Final = "CLEARHOLD_SOURCE_NETWORKS"
_MOST_REDIRECTS: Final = 5
_SECONDS: Final = 600.0


def guarded_client(
    *,
    also: Sequence[Network] = (),
    own: Iterable[str] = (),
    certificate: str | None = None,
    timeout_s: float = 30.0,
) -> httpx.Client:
    """A client for public addresses over https, the networks `also`, and the origins of `own`.

    `own` are addresses of this machine's configuration: each may be asked at its scheme, host and
    port, wherever that is. A proxy of the environment resolves names by its own rules.
    """
    return httpx.Client(
        transport=_Guarded(also, frozenset(map(_origin, map(httpx.URL, own))), certificate),
        timeout=timeout_s,
        follow_redirects=True,
        max_redirects=_MOST_REDIRECTS,
    )


def proxy_to(scheme: str, host: str) -> str:
    """The proxy of the environment for a scheme to a host; empty for none."""
    given = os.environ
    without = given.get("no_proxy") or given.get("NO_PROXY") or ""
    if urllib.request.proxy_bypass_environment(host, {"no": without}):  # type: ignore[attr-defined]
        return ""
    return given.get(f"{scheme}_proxy") or given.get(f"{scheme.upper()}_PROXY") or ""


class _Guarded(httpx.BaseTransport):
    def __init__(
        self, also: Sequence[Network], own: frozenset[tuple[str, str]], certificate: str | None
    ) -> None:
        self._also, self._own = also, own
        self._trust = trusting(certificate)
        self._direct = LimitedTransport(self._trust, seconds=_SECONDS)
        self._proxied: dict[str, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        proxy = proxy_to(url.scheme, url.host) or proxy_to("all", url.host)
        own = _origin(url) in self._own
        if proxy and (own or url.scheme == "https"):
            return _without_leading_text(self._by(proxy).handle_request(request))
        asked = request if own else self._looked_up(request)
        return _without_leading_text(self._direct.handle_request(asked))

    def close(self) -> None:
        for each in (self._direct, *self._proxied.values()):
            each.close()

    def _by(self, proxy: str) -> httpx.HTTPTransport:
        if proxy not in self._proxied:
            self._proxied[proxy] = httpx.HTTPTransport(
                verify=self._trust, proxy=proxy, trust_env=False
            )
        return self._proxied[proxy]

    def _looked_up(self, request: httpx.Request) -> httpx.Request:
        """The same request to the very address that was looked at."""
        url = request.url
        try:
            there = look_up(f"{url.scheme}://{url.netloc.decode()}/", self._also, setting=SETTING)
        except InvalidError as error:
            message = f"it leads to {url.host[:100]}, neither public by https nor in {SETTING}"
            raise RefusedAddressError(message, request=request) from error
        except ClearholdError as error:
            raise httpx.ConnectError(error.message, request=request) from error
        headers = request.headers.copy()
        # Connections are kept by address, and one that was checked for another name must not serve.
        headers["Connection"] = "close"
        return httpx.Request(
            request.method,
            url.copy_with(host=httpx.URL(there.url).host),
            headers=headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": there.host},
        )


def _origin(url: httpx.URL) -> tuple[str, str]:
    return url.scheme, url.netloc.decode()


def _without_leading_text(answer: httpx.Response) -> httpx.Response:
    """A redirect by its address alone: its text is read whole by the client, however long it is."""
    if not answer.has_redirect_location:
        return answer
    answer.close()
    return httpx.Response(answer.status_code, headers={"Location": answer.headers["Location"]})
