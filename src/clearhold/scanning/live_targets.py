"""What can be reached on a live system, and how it is written down.

Every target has one canonical text, equal for equal things:

- `domain:example.org`, the domain alone, or `domain:*.example.org`, it and all below it;
- `network:192.0.2.0/24` or `network:2001:db8::/32`;
- `host:192.0.2.7`, `host:[2001:db8::7]:443,8000-8010`, `host:www.example.org:443`;
- `https://www.example.org:8443/shop`, an application: what lies under that path;
- `site:operator/plant` or `site:operator/plant/control`, an industrial site or a zone of it.

A target stands for a set of points: a name, an address or a zone; a port; a path. IPv4 addresses
and their IPv4-mapped IPv6 forms (RFC 4291 section 2.5.5.2) are the same points. Whether a name leads
to an address is not known without asking the network, and asking tells others: a name and an
address are therefore never the same point here.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import idna
from publicsuffixlist import PublicSuffixList

from clearhold.kernel.errors import InvalidError

LONGEST_TEXT: Final = 1024
LAST_PORT: Final = 65535
MOST_PORT_RANGES: Final = 16
WIDEST_IPV4: Final = 8
WIDEST_IPV6: Final = 16
EVERY_PORT: Final = ((0, LAST_PORT),)
_MAPPED: Final = 0xFFFF << 32
_ALL_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
# IPv4 addresses in another guise, which would be other points than those they lead to.
_DISGUISES: Final = tuple(
    ipaddress.IPv6Network(each)
    for each in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
)
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SITE: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_APPLICATION: Final = re.compile(r"(?i)(https?)://([^/?#\\]*)(/[^?#]*)?")
_AMBIGUOUS: Final = re.compile(r"%(?:[01][0-9A-F]|7F|25|2F|3B|5C)")
_UNRESERVED: Final = (
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@"
)
_USUAL_PORT: Final = {"http": 80, "https": 443}


class Zone(StrEnum):
    """A zone of an industrial site, in the words of IEC 62443-3-2 and its reference model."""

    ENTERPRISE = "enterprise"
    DMZ = "dmz"
    OPERATIONS = "operations"
    SUPERVISORY = "supervisory"
    CONTROL = "control"
    PROCESS = "process"
    SAFETY = "safety"


@dataclass(frozen=True, slots=True, order=True)
class Names:
    """One domain name, or with `below` it and every name under it."""

    name: str
    below: bool = False

    def contains(self, other: Where) -> bool:
        """Whether every point of the other is one of these."""
        if not isinstance(other, Names):
            return False
        if self.below:
            return other.name == self.name or other.name.endswith(f".{self.name}")
        return self.name == other.name and not other.below

    def meets(self, other: Where) -> bool:
        """Whether the two share a point; of two sets of names one then lies in the other."""
        if not isinstance(other, Names):
            return False
        return (
            self.contains(Names(other.name))
            or other.contains(Names(self.name))
            or self.contains(other)
        )


@dataclass(frozen=True, slots=True, order=True)
class Addresses:
    """The addresses from `low` to `high`, both included, as numbers of 128 bits."""

    low: int
    high: int

    def contains(self, other: Where) -> bool:
        """Whether every point of the other is one of these."""
        return isinstance(other, Addresses) and self.low <= other.low and other.high <= self.high

    def meets(self, other: Where) -> bool:
        """Whether the two share a point."""
        return isinstance(other, Addresses) and self.low <= other.high and other.low <= self.high


@dataclass(frozen=True, slots=True, order=True)
class Plant:
    """A site of an operator, under the operator's own identifier; one zone of it, or all of it."""

    operator: str
    site: str
    zone: Zone | None = None

    def contains(self, other: Where) -> bool:
        """Whether every point of the other is one of these."""
        return self.meets(other) and isinstance(other, Plant) and self.zone in {None, other.zone}

    def meets(self, other: Where) -> bool:
        """Whether the two share a point."""
        if not isinstance(other, Plant) or (self.operator, self.site) != (
            other.operator,
            other.site,
        ):
            return False
        return None in {self.zone, other.zone} or self.zone is other.zone


Where = Names | Addresses | Plant
Ports = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A set of points: where, at which ports, and for an application under which path.

    `ports` are ranges in order that do not touch. `path` holds the segments an application's paths
    begin with; None is everything there is at a port, spoken in whatever protocol.
    """

    text: str
    where: Where
    ports: Ports = EVERY_PORT
    scheme: str | None = None
    path: tuple[str, ...] | None = None

    def meets(self, other: Target) -> bool:
        """Whether a scan of the one may touch the other.

        One port speaks either http or https, whatever a scope calls it: schemes set nothing apart.
        """
        return (
            self.where.meets(other.where)
            and any(a <= d and c <= b for a, b in self.ports for c, d in other.ports)
            and (_begins(self.path, other.path) or _begins(other.path, self.path))
        )

    def frames(self, other: Target) -> bool:
        """Whether the other's paths all lie in this one's, and are spoken as this one says."""
        return _begins(self.path, other.path) and self.scheme in {None, other.scheme}

    def contains(self, other: Target) -> bool:
        """Whether every point of the other is one of this."""
        return (
            self.where.contains(other.where)
            and self.frames(other)
            and all(any(a <= c and d <= b for a, b in self.ports) for c, d in other.ports)
        )


def _begins(prefix: tuple[str, ...] | None, path: tuple[str, ...] | None) -> bool:
    if prefix is None:
        return True
    return path is not None and path[: len(prefix)] == prefix


def parse_target(text: str) -> Target:
    """A target from what a person writes; raises `InvalidError` naming the fault."""
    text = text.strip()
    if len(text) > LONGEST_TEXT:
        raise InvalidError(f"A target has at most {LONGEST_TEXT} characters.")
    kind, colon, rest = text.partition(":")
    match kind.lower() if colon else "":
        case "domain":
            return _domain(rest)
        case "network":
            return _network(rest)
        case "host":
            return _host(rest)
        case "http" | "https":
            return _application(text)
        case "site":
            return _site(rest)
    raise InvalidError(
        "That is no target.",
        next_step="Write domain:example.org, domain:*.example.org, network:192.0.2.0/24, "
        "host:192.0.2.7:443, https://example.org/shop or site:operator/plant.",
    )


def name(text: str) -> str:
    """A domain name in its canonical form: IDNA 2008 as UTS 46 maps it, lower case, no last dot.

    Raises `InvalidError`, also for what resolvers read as an address.
    """
    plain = text.strip()
    try:
        # Some of what UTS 46 maps becomes an address or another name: the outcome is looked at.
        encoded = idna.encode(plain.removesuffix("."), uts46=True, std3_rules=True).decode()
    except (idna.IDNAError, UnicodeError, ValueError, IndexError) as error:
        raise _no_name() from error
    labels = encoded.lower().split(".")
    shaped = all(_LABEL.fullmatch(label) for label in labels)
    if not shaped or len(labels) < 2 or len(encoded) > 253 or _NUMERIC.fullmatch(labels[-1]):
        raise _no_name()
    return encoded.lower()


def _no_name() -> InvalidError:
    return InvalidError(
        "That is not a full domain name.", next_step="Write it as www.example.org, without a path."
    )


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _domain(text: str) -> Target:
    below = text.strip().startswith("*.")
    plain = name(text.strip().removeprefix("*.") if below else text)
    if below and _suffixes().publicsuffix(plain) == plain:
        raise InvalidError(
            "Everything below that belongs to many owners.",
            next_step="Name the domains of one owner, as domain:*.example.org.",
        )
    return Target(f"domain:{'*.' if below else ''}{plain}", Names(plain, below))


def _network(text: str) -> Target:
    plain = text.strip()
    if "%" in plain or not re.fullmatch(r"[0-9a-fA-F:.]+/[0-9]{1,3}", plain):
        raise _no_network()
    try:
        network = ipaddress.ip_network(plain, strict=True)
    except ValueError as error:
        raise _no_network() from error
    if isinstance(network, ipaddress.IPv6Network):
        if network.supernet_of(_ALL_MAPPED) and network != _ALL_MAPPED:
            raise _too_wide()
        if network.subnet_of(_ALL_MAPPED):
            low = int(network.network_address) & 0xFFFFFFFF
            network = ipaddress.IPv4Network((low, network.prefixlen - 96))
    widest = WIDEST_IPV4 if network.version == 4 else WIDEST_IPV6
    if network.prefixlen < widest:
        raise _too_wide()
    return Target(f"network:{network}", _line(network))


def _line(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Addresses:
    if isinstance(network, ipaddress.IPv6Network):
        if any(network.subnet_of(each) for each in _DISGUISES):
            raise InvalidError(
                "That is an IPv4 address in another guise.", next_step="Write the IPv4 address."
            )
        return Addresses(int(network.network_address), int(network.broadcast_address))
    low, high = int(network.network_address), int(network.broadcast_address)
    return Addresses(_MAPPED + low, _MAPPED + high)


def network_of(where: Addresses) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The block of addresses that a target stands for."""
    length = 128 - (where.high - where.low).bit_length()
    if where.low >> 32 == 0xFFFF:
        return ipaddress.IPv4Network((where.low & 0xFFFFFFFF, length - 96))
    return ipaddress.IPv6Network((where.low, length))


def _no_network() -> InvalidError:
    return InvalidError(
        "That is not a network, or bits of its host part are set.",
        next_step="Write it as 192.0.2.0/24 or 2001:db8::/32.",
    )


def _too_wide() -> InvalidError:
    return InvalidError(
        f"A network is at widest an IPv4 /{WIDEST_IPV4} or an IPv6 /{WIDEST_IPV6}.",
        next_step="Name narrower networks.",
    )


def _place(text: str) -> tuple[str, Where]:
    """A host's canonical text and points; `text` is a name or an address, IPv6 in brackets."""
    bracketed = text.startswith("[") and text.endswith("]")
    plain = text[1:-1] if bracketed else text
    try:
        address = ipaddress.ip_address(plain) if "%" not in plain else None
    except ValueError:
        address = None
    if bracketed and (address is None or address.version != 6):
        raise InvalidError("What stands in brackets is no IPv6 address.")
    if address is None:
        plain = name(plain)
        return plain, Names(plain)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return f"[{address}]", _line(ipaddress.IPv6Network(address))
        address = address.ipv4_mapped
    return str(address), _line(ipaddress.IPv4Network(address))


def _host(text: str) -> Target:
    plain = text.strip()
    try:
        # An IPv6 address without brackets is all of it.
        address: str | None = f"[{ipaddress.IPv6Address(plain)}]" if "%" not in plain else None
    except ValueError:
        address = None
    where, colon, listed = (address, "", "") if address else _split_ports(plain)
    shown, points = _place(where)
    ports = _ports(listed) if colon else EVERY_PORT
    written = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ports)
    suffix = "" if ports == EVERY_PORT else f":{written}"
    return Target(f"host:{shown}{suffix}", points, ports)


def _split_ports(text: str) -> tuple[str, str, str]:
    if text.startswith("["):
        where, bracket, rest = text.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise InvalidError("An IPv6 address stands between brackets, its ports after a colon.")
        return f"{where}]", rest[:1], rest[1:]
    where, colon, listed = text.partition(":")
    return where, colon, listed


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not text.isascii() or int(text) > LAST_PORT:
        raise InvalidError(
            f"A port is a number up to {LAST_PORT}.", next_step="Write ports as 443,8000-8010."
        )
    return int(text)


def _ports(text: str) -> Ports:
    ranges = []
    for each in text.split(",", MOST_PORT_RANGES):
        first, dash, last = each.strip().partition("-")
        low = _port(first)
        high = _port(last) if dash else low
        if low > high:
            raise InvalidError("A range of ports goes from the lower to the higher.")
        ranges.append((low, high))
    if len(ranges) > MOST_PORT_RANGES:
        raise InvalidError(f"A host has at most {MOST_PORT_RANGES} ranges of ports.")
    return merged(ranges)


def merged(ranges: list[tuple[int, int]]) -> Ports:
    """The same numbers in ranges in order that neither overlap nor touch."""
    kept: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if kept and low <= kept[-1][1] + 1:
            kept[-1] = (kept[-1][0], max(kept[-1][1], high))
        else:
            kept.append((low, high))
    return tuple(kept)


def _application(text: str) -> Target:
    match = _APPLICATION.fullmatch(text)
    if match is None or "@" in match[2]:
        raise InvalidError(
            "An application is a scheme, a host, and a path, without user, query or fragment.",
            next_step="Write it as https://example.org/shop.",
        )
    scheme = match[1].lower()
    where, colon, port = _split_ports(match[2])
    shown, points = _place(where)
    number = _port(port) if colon and port else _USUAL_PORT[scheme]
    if number == 0:
        raise InvalidError("An application listens at a port from 1 on.")
    segments = _segments(match[3] or "/")
    at = "" if number == _USUAL_PORT[scheme] else f":{number}"
    path = "".join(f"/{each}" for each in segments) or "/"
    return Target(f"{scheme}://{shown}{at}{path}", points, ((number, number),), scheme, segments)


def _segments(path: str) -> tuple[str, ...]:
    """Path segments, decoded and encoded again (RFC 3986 section 6.2.2), dot segments removed.

    Refused is what servers read in more than one way.
    """
    if re.search(r"%(?![0-9A-Fa-f]{2})", path) or "\\" in path or ";" in path:
        raise _odd_path()
    found: list[str] = []
    pieces = path.split("/")[1:]
    for at, piece in enumerate(pieces):
        try:
            decoded = unquote_to_bytes(piece).decode()
        except UnicodeDecodeError as error:
            raise _odd_path() from error
        written = quote(unicodedata.normalize("NFC", decoded), safe=_UNRESERVED)
        if _AMBIGUOUS.search(written) or _AMBIGUOUS.search(piece.upper()):
            raise _odd_path()
        last = at == len(pieces) - 1
        if written == "" and not last:
            raise _odd_path()
        if written == "..":
            if found:
                found.pop()
        elif written not in {"", "."}:
            found.append(written)
    return tuple(found)


def _odd_path() -> InvalidError:
    return InvalidError(
        "Servers read that path in more than one way.",
        next_step="Leave out backslashes, semicolons, empty segments, and encoded ones of these, "
        "percent signs and control characters.",
    )


def _site(text: str) -> Target:
    parts = text.strip().split("/")
    if not 2 <= len(parts) <= 3 or not all(_SITE.fullmatch(each) for each in parts):
        raise InvalidError(
            "A site is the operator's handle, the operator's name for it, and perhaps a zone.",
            next_step="Write it as site:operator/plant or site:operator/plant/control.",
        )
    zone = None
    if len(parts) == 3:
        if parts[2] not in list(Zone):
            raise InvalidError(
                "There is no such zone.", next_step=f"The zones are {', '.join(Zone)}."
            )
        zone = Zone(parts[2])
    return Target(f"site:{'/'.join(parts)}", Plant(parts[0], parts[1], zone))
