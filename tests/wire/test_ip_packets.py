"""Packets of hostile programs are read without a fault, and truly."""

from __future__ import annotations

import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st

from clearhold.wire.ip_packet import Packet, read


def ipv4(protocol: int, to: str, rest: bytes, *, fragment: int = 0) -> bytes:
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x45,
        0,
        0,
        0,
        fragment,
        64,
        protocol,
        0,
        bytes(4),
        ipaddress.IPv4Address(to).packed,
    )
    return head + rest


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    found = read(data)
    assert found.port is None or 0 <= found.port < 1 << 16
    assert found.asked.isprintable()


def test_ports_and_questions_are_told() -> None:
    question = bytes(12) + b"\x04exfl\x07example\x03com\x00\x00\x01\x00\x01"
    udp = struct.pack(">HHHH", 999, 53, 0, 0) + question
    assert read(ipv4(17, "10.0.0.1", udp)) == Packet("udp", "10.0.0.1", 53, "exfl.example.com")
    assert read(ipv4(6, "10.0.0.1", struct.pack(">HH", 1, 443))) == Packet(
        "tcp", "10.0.0.1", 443, ""
    )
    assert read(ipv4(17, "10.0.0.1", udp, fragment=5)) == Packet("udp", "10.0.0.1", None, "")
    extended = (
        bytes([0x60, 0, 0, 0, 0, 0, 0, 1]) + bytes(16) + ipaddress.IPv6Address("2001:db8::1").packed
    )
    assert read(extended + bytes([6, 0]) + bytes(6) + struct.pack(">HH", 1, 80)) == Packet(
        "tcp", "2001:db8::1", 80, ""
    )
    assert read(b"") == Packet("unknown", "", None, "")


def test_a_name_that_is_cut_or_continued_elsewhere_is_not_told_as_whole() -> None:
    for name, told in (
        (b"\x03www\xc0\x0c", "www.?"),
        (b"\x03www\x07exam", "www.exam.?"),
        (b"\x03www", "www.?"),
        (b"\x0bexample.com\x00", "example?com"),
        (b"\x00", ""),
        (b"", ""),
    ):
        udp = struct.pack(">HHHH", 999, 53, 0, 0) + bytes(12) + name
        assert read(ipv4(17, "10.0.0.1", udp)).asked == told


def test_ports_are_read_where_the_header_ends_and_in_first_fragments() -> None:
    short = b"\x44" + ipv4(17, "10.0.0.1", struct.pack(">HHHH", 1, 2, 0, 0))[1:]
    assert read(short) == Packet("udp", "10.0.0.1", None, "")
    to = ipaddress.IPv6Address("2001:db8::1")
    head = bytes([0x60, 0, 0, 0, 0, 0, 44, 1]) + bytes(16) + to.packed
    rest = struct.pack(">HHHH", 1, 443, 0, 0)
    for offset, port in ((0, 443), (1, 443), (8, None)):
        fragment = struct.pack(">BBHI", 17, 0, offset, 7)
        assert read(head + fragment + rest) == Packet("udp", str(to), port, "")
    assert read(head + bytes(4)).port is None
