"""Where an address leads: looked up once, and only where it may lead.

Every address of the name must be allowed, and what is asked is the very address that was looked at,
so that a name that changes its mind between the look and the connection gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from clearhold.adapters.outside import Address, public
from clearhold.kernel.errors import InvalidError, UnavailableError

Network = IPv4Network | IPv6Network

_LONGEST: Final = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """Where to connect: the URL with a literal address, the name for TLS, and the Host header."""

    url: str
    host: str
    netloc: str


def look_up(address: str, also: Sequence[Network], *, setting: str) -> Place:
    """The place that the URL `address` leads to.

    https at public addresses alone, and anything in the networks `also`, which `setting` names: a
    network that is named is one's own, and only there may a server speak without TLS. Raises
    `InvalidError` for what may not be asked, `UnavailableError` for a name that leads nowhere.
    """
    parts = _parts(address, setting)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    chosen = _resolve(parts, host, port, also=also, setting=setting)
    literal = f"[{chosen}]" if chosen.version == 6 else str(chosen)
    return Place(parts._replace(netloc=f"{literal}:{port}").geturl(), host, parts.netloc)


def no_answer(host: str) -> UnavailableError:
    """What is told of a server that gives no usable answer."""
    return UnavailableError(
        f"{host[:100]} gives no usable answer.",
        next_step="Try again later, or ask whoever runs it.",
    )


def _parts(address: str, setting: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError as error:
        raise _forbidden(setting) from error
    plain = address.isascii() and address.isprintable() and " " not in address
    if not known or not plain or len(address) > _LONGEST or "@" in parts.netloc or parts.fragment:
        raise _forbidden(setting)
    return parts


def _resolve(
    parts: SplitResult, host: str, port: int, *, also: Sequence[Network], setting: str
) -> Address:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise no_answer(host) from error
    addresses = [_plain(ipaddress.ip_address(str(each[4][0]).partition("%")[0])) for each in found]
    allowed = all(
        any(each in network for network in also) or (parts.scheme == "https" and public(each))
        for each in addresses
    )
    if not addresses or not allowed:
        raise _forbidden(setting)
    return addresses[0]


def _plain(address: Address) -> Address:
    """The IPv4 address that one of IPv6 only dresses up."""
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _forbidden(setting: str) -> InvalidError:
    return InvalidError(
        "This address may not be asked.",
        next_step=f"It must be https at a public host, or lie in {setting}.",
    )
