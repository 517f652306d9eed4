"""The way to a Git repository: https, one host that was looked at, and no other.

git resolves names and follows redirects itself, and would go wherever a server or a changing name
sends it. So the repository is asked once before git is: its host is looked up as `guarded_address`
says, redirects are followed on that host alone, and git is told the address of the host and to follow
none (Git's HTTP transport, "Smart Clients", gitprotocol-http).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from clearhold.adapters.download import trusting
from clearhold.adapters.guarded_address import Network, look_up
from clearhold.adapters.guarded_client import SETTING, proxy_to
from clearhold.adapters.outside import LimitedTransport
from clearhold.kernel.errors import UnavailableError

HTTPS: Final = "https"
_ADDRESS: Final = re.compile(
    r"https://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?/[A-Za-z0-9._/~-]+"
)
_ASKED: Final = "/info/refs?service=git-upload-pack"
_TOLD: Final = "application/x-git-upload-pack-advertisement"
_MOST_REDIRECTS: Final = 3
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Way:
    """How git asks a repository: the address, the protocol it may speak, settings for it alone."""

    address: str
    protocol: str
    settings: tuple[str, ...] = ()


def is_address(text: str) -> bool:
    """Whether recipes may name a repository so: https, a host and a path, and nothing else."""
    return _ADDRESS.fullmatch(text) is not None


def way_to(address: str, *, protocol: str = HTTPS, also: Sequence[Network] = ()) -> Way:
    """The way to a repository whose address was checked; `also` are networks besides the public ones.

    Another `protocol` is for a repository of one's own, and nothing is looked up. A proxy of the
    environment resolves names by its own rules. Raises `InvalidError` for a host that may not be
    asked, `UnavailableError` when no repository answers there.
    """
    if protocol != HTTPS:
        return Way(address, protocol)
    for _ in range(_MOST_REDIRECTS + 1):
        settings, moved = _asked(address, also)
        if not moved:
            return Way(address, protocol, settings)
        address = _on_the_same_host(address, moved)
    raise _no_repository(address, "it redirects without end")


def _asked(address: str, also: Sequence[Network]) -> tuple[tuple[str, ...], str]:
    """What git is to be told about the host, and where the server says the repository moved to."""
    host, port = urlsplit(address).hostname or "", urlsplit(address).port or 443
    proxy = proxy_to(HTTPS, host)
    headers = {"Accept": "*/*", "Git-Protocol": "version=2", "User-Agent": "git/2 (clearhold)"}
    if proxy:
        settings: tuple[str, ...] = ()
        client = httpx.Client(verify=trusting(None), proxy=proxy, timeout=_SECONDS)
        url, extensions = address + _ASKED, {}
    else:
        there = look_up(address + _ASKED, also, setting=SETTING)
        literal = urlsplit(there.url).netloc.rpartition(":")[0]
        settings = (f"http.curloptResolve={host}:{port}:{literal}",) if literal != host else ()
        transport = LimitedTransport(trusting(None), seconds=_SECONDS)
        client = httpx.Client(transport=transport, timeout=_SECONDS)
        headers["Host"] = there.netloc
        url, extensions = there.url, {"sni_hostname": there.host}
    try:
        with client, client.stream("GET", url, headers=headers, extensions=extensions) as answer:
            if answer.has_redirect_location:
                return settings, answer.headers["Location"]
            if answer.status_code != httpx.codes.OK:
                raise _no_repository(address, f"the server answers {answer.status_code}")
            if answer.headers.get("Content-Type", "") != _TOLD:
                raise _no_repository(address, "what it gives is no repository")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise _no_repository(address, type(error).__name__) from error
    return settings, ""


def _on_the_same_host(address: str, moved: str) -> str:
    """The address that a redirect names, when it is the same server's."""
    there = urljoin(address + _ASKED, moved)
    new = there.removesuffix(_ASKED)
    if new == there or not is_address(new) or urlsplit(new).netloc != urlsplit(address).netloc:
        raise _no_repository(address, "it redirects to another place")
    return new


def _no_repository(address: str, reason: str) -> UnavailableError:
    return UnavailableError(
        f"No repository is at {address[:200]!a}: {reason}.",
        next_step="Check the network and the address, and write where it is now.",
    )
