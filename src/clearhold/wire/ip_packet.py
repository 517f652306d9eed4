"""What an IP packet says of itself: RFC 791 and 8200, the ports of TCP and UDP, a DNS question.

Packets come from hostile programs and may be cut short; whatever cannot be read is told as unknown.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

_PROTOCOLS: Final = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}
_EXTENSIONS: Final = frozenset({0, 43, 44, 60, 135, 139, 140})
_FRAGMENT: Final = 44
_MOST_EXTENSIONS: Final = 8
_DNS: Final = 53
_LONGEST_LABEL: Final = 63
_PLAIN: Final = frozenset(range(33, 127)) - {ord(".")}


@dataclass(frozen=True, slots=True)
class Packet:
    """Protocol, destination, its port where there is one, and the name that DNS was asked for."""

    protocol: str
    address: str
    port: int | None
    asked: str


def read(head: bytes) -> Packet:
    """The packet that begins with these bytes."""
    version = head[0] >> 4 if head else 0
    if version == 4 and len(head) >= 20:
        address = str(ipaddress.IPv4Address(head[16:20]))
        fragment = struct.unpack_from(">H", head, 6)[0] & 0x1FFF
        length = (head[0] & 15) * 4
        number, rest = head[9], head[length:] if length >= 20 and not fragment else b""
    elif version == 6 and len(head) >= 40:
        address = str(ipaddress.IPv6Address(head[24:40]))
        number, rest = _beyond_extensions(head[6], head[40:])
    else:
        return Packet("unknown", "", None, "")
    protocol = _PROTOCOLS.get(number, f"ip-{number}")
    if protocol not in {"tcp", "udp", "sctp"} or len(rest) < 4:
        return Packet(protocol, address, None, "")
    port = struct.unpack_from(">H", rest, 2)[0]
    asked = _question(rest[8:]) if protocol == "udp" and port == _DNS else ""
    return Packet(protocol, address, port, asked)


def _beyond_extensions(number: int, rest: bytes) -> tuple[int, bytes]:
    for _ in range(_MOST_EXTENSIONS):
        if number not in _EXTENSIONS or len(rest) < 2:
            break
        if number != _FRAGMENT:
            number, rest = rest[0], rest[(rest[1] + 1) * 8 :]
        elif len(rest) >= 8:  # of fixed length; only the first fragment has the ports
            first = struct.unpack_from(">H", rest, 2)[0] < 8
            return rest[0], rest[8:] if first else b""
        else:
            break
    return number, rest


def _question(message: bytes) -> str:
    """The name of the first question (RFC 1035 §4.1.2), empty when there is none to read.

    A last label `?` stands for what is cut off or told elsewhere, and `?` within one for what would
    make two names look alike.
    """
    labels, at = [], 12
    while at < len(message) and 0 < message[at] <= _LONGEST_LABEL:
        label = message[at + 1 : at + 1 + message[at]]
        labels.append("".join(chr(each) if each in _PLAIN else "?" for each in label))
        at += 1 + message[at]
    whole = message[at : at + 1] == b"\0"
    return ".".join(labels if whole or not labels else [*labels, "?"])
