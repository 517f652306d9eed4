"""A network that leads nowhere: the sample's own namespace, whose every route ends in this process.

The default routes of IPv4 and IPv6 point to a TUN device (Documentation/networking/tuntap.rst), and
what a program sends to anywhere but its own loopback is read here and goes no further. A socket may
insist on the loopback for any address: what it sends ends there, and a packet socket (packet(7))
shows it. Where the machine gives no such device there is no route at all, and the kernel's count of packets without a
route (`OutNoRoutes`, RFC 4293) says how many were tried, not where to.

Uses the standard library alone; part of the supervisor.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import socket
import struct
import time
from typing import Any

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
TUNSETIFF = 0x400454CA
IFF_UP, IFF_RUNNING, IFF_TUN, IFF_NO_PI = 0x1, 0x40, 0x1, 0x1000
SIOCADDRT, SIOCSIFFLAGS, SIOCSIFADDR, SIOCGIFINDEX = 0x890B, 0x8914, 0x8916, 0x8933
RTF_UP = 1
NAME = b"sink"
OWN_4, OTHER_4 = "10.255.255.2", "10.255.255.1"
OWN_6 = "fd00::2"
MOST_PACKETS = 4096
"""How many packets are kept; further ones are counted, and are in the chain of hashes."""
HEAD = 160
LARGEST = 65600
BEGINNING = bytes(32)
SO_ATTACH_FILTER, ETH_P_IP = 26, 0x0800
SOL_PACKET, PACKET_STATISTICS = 263, 6


def interface(name: bytes, content: bytes) -> bytes:
    """A `struct ifreq` (netdevice(7))."""
    return struct.pack("16s24s", name, content)


def internet(address: str, port: int = 0) -> bytes:
    """A `struct sockaddr_in`."""
    return struct.pack("=HH4s8x", socket.AF_INET, port, socket.inet_aton(address))


def bring_up(name: bytes) -> None:
    """Set an interface up, without multicast: the kernel would send packets of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        flags = struct.pack("H22x", IFF_UP | IFF_RUNNING)
        fcntl.ioctl(sock, SIOCSIFFLAGS, interface(name, flags))


def quieten(name: str) -> None:
    """Keep IPv6 from soliciting routers or addresses on an interface."""
    for setting, value in (("accept_ra", "0"), ("accept_dad", "0"), ("addr_gen_mode", "1")):
        try:
            with open(f"/proc/sys/net/ipv6/conf/{name}/{setting}", "w", encoding="ascii") as file:  # noqa: PTH123 (pathlib is a slow import)
                file.write(value)
        except OSError:
            continue  # then its packets are recorded too


def route_4() -> None:
    """All of IPv4 goes to the sink."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFADDR, interface(NAME, internet(OWN_4)))
        name = ctypes.create_string_buffer(NAME + b"\0")
        anywhere = internet("0.0.0.0")  # noqa: S104 (a route, nothing listens)
        # struct rtentry of linux/route.h on 64-bit machines
        entry = struct.pack(
            "@L16s16s16sHhLPhPLLH",
            *(0, anywhere, anywhere, anywhere, RTF_UP, 0, 0, 0, 0),
            *(ctypes.addressof(name), 0, 0, 0),
        )
        fcntl.ioctl(sock, SIOCADDRT, entry)


def route_6() -> None:
    """All of IPv6 goes to the sink."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        own = socket.inet_pton(socket.AF_INET6, OWN_6)
        # On the loopback: on the device the kernel would announce the address by a packet.
        fcntl.ioctl(sock, SIOCSIFADDR, struct.pack("=16sIi", own, 128, number_of(sock, b"lo")))
        index = number_of(sock, NAME)
        # struct in6_rtmsg of linux/ipv6_route.h
        entry = struct.pack("@16s16s16sIHHILIi", *(bytes(16),) * 3, 0, 0, 0, 1, 0, RTF_UP, index)
        fcntl.ioctl(sock, SIOCADDRT, entry)


def number_of(sock: socket.socket, name: bytes) -> int:
    """The number of an interface."""
    told = fcntl.ioctl(sock, SIOCGIFINDEX, interface(name, b""))
    number: int = struct.unpack_from("i", told, 16)[0]
    return number


def no_routes() -> int:
    """How many packets the kernel dropped in this namespace for want of a route."""
    total = 0
    try:
        with open("/proc/self/net/snmp", encoding="ascii") as file:  # noqa: PTH123
            rows = [line.split() for line in file if line.startswith("Ip:")]
        total += int(rows[1][rows[0].index("OutNoRoutes")])
        with open("/proc/self/net/snmp6", encoding="ascii") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("Ip6OutNoRoutes"):
                    total += int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return total


def sent_by_interface() -> dict[str, tuple[int, int]]:
    """Packets sent and dropped by each interface of this namespace (proc_net(5))."""
    with open("/proc/self/net/dev", encoding="ascii") as file:  # noqa: PTH123
        lines = file.readlines()[2:]
    rows = [line.replace(":", " ").split() for line in lines]
    return {row[0]: (int(row[10]), int(row[12])) for row in rows}


def astray() -> socket.socket:
    """Shows what goes over the loopback to an IPv4 address that is none of the sample's own.

    Of IPv6 the kernel sends nothing there that has no route.
    """
    (own,) = struct.unpack(">I", socket.inet_aton(OWN_4))
    # struct sock_filter of linux/filter.h: the destination is the fifth word of the header.
    steps = (
        *((0x20, 0, 0, 16), (0x15, 3, 0, own)),
        *((0x54, 0, 0, 0xFF000000), (0x15, 1, 0, 127 << 24)),
        *((0x06, 0, 0, LARGEST), (0x06, 0, 0, 0)),
    )
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in steps))
    taken = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
    try:
        fprog = struct.pack("@HP", len(steps), ctypes.addressof(program))
        taken.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
        taken.bind(("lo", ETH_P_IP))
    except OSError:
        taken.close()
        raise
    return taken


class Sink:
    """Records what is sent and lets nothing go on. Made in the namespace it belongs to."""

    def __init__(self, *, device: bool) -> None:
        bring_up(b"lo")
        self.fd = -1
        self.kept: list[tuple[float, int, bytes]] = []
        self.read = 0
        self.chain = BEGINNING
        self.began = time.monotonic()
        if device:
            self.fd = self._device()
        self.astray: socket.socket | None = None
        with contextlib.suppress(OSError):  # a container whose root has no right to
            self.astray = astray()

    @property
    def fds(self) -> tuple[int, ...]:
        """What to listen to."""
        shown = () if self.astray is None else (self.astray.fileno(),)
        return shown if self.fd < 0 else (self.fd, *shown)

    @property
    def by(self) -> str:
        """How packets are watched."""
        return "tun" if self.fd >= 0 else "counted"

    def _device(self) -> int:
        try:
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return -1
        try:
            flags = struct.pack("H22x", IFF_TUN | IFF_NO_PI)
            fcntl.ioctl(fd, TUNSETIFF, interface(NAME, flags))
            quieten(NAME.decode())
            bring_up(NAME)
            route_4()
        except OSError:
            os.close(fd)
            return -1
        with contextlib.suppress(OSError):  # a kernel without IPv6 has nothing to record of it
            route_6()
        return fd

    def take(self, fd: int) -> None:
        """Read what was sent since; bounded, so that a flood cannot hold the supervisor."""
        for _ in range(256):
            try:
                packet = os.read(fd, LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                return
            self.read += 1
            self.chain = hashlib.sha256(self.chain + hashlib.sha256(packet).digest()).digest()
            if len(self.kept) < MOST_PACKETS:
                self.kept.append((time.monotonic() - self.began, len(packet), packet[:HEAD]))

    def told(self) -> dict[str, Any]:
        """What there is to know at the end, but for the packets themselves."""
        before = -1
        while self.read != before:
            before = self.read
            for fd in self.fds:
                self.take(fd)
        sent = sent_by_interface()
        own = NAME.decode()
        left = sum(count for name, (count, _) in sent.items() if name not in {"lo", own})
        missed = sent.get(own, (0, 0))[1]
        if self.astray is not None:
            counts = self.astray.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
            missed += struct.unpack("II", counts)[1]
        return {
            "by": self.by,
            "read": self.read,
            "missed": missed,
            "no_routes": no_routes(),
            "left": left,
            "chain": self.chain.hex(),
        }
