"""Programs that try to send something out of a sample's box, and what became of it.

Each runs in a box of its own, beside listeners of the machine and of a neighbouring box. What it sent
must be in the record, or have been refused by the kernel; nothing may arrive anywhere.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from clearhold.adapters.sample_box.box import Asked, Box, Boxes
from clearhold.ports.sandbox import Limits, Tier

FLOOD: Final = 3000
_LIMITS: Final = Limits(wall_s=30, cpu_s=30, memory_mb=128, processes=32, scratch_mb=8)
_ABSTRACT: Final = "\0clearhold-leak-"
_BEGIN: Final = (
    "import os,sys\n"
    "from socket import *\n"
    "host,tcp,udp,name,near=sys.argv[1],int(sys.argv[2]),int(sys.argv[3]),sys.argv[4],int(sys.argv[5])\n"
    "def reach(kind,where):\n"
    "    s=socket(*kind); s.settimeout(0.2)\n"
    "    try: s.connect(where); s.send(b'leak'); print('sent')\n"
    "    except TimeoutError: print('sent')\n"
    "    except ConnectionRefusedError: print('refused')\n"
    "def tell(kind,where,*options):\n"
    "    s=socket(*kind)\n"
    "    for each in options: s.setsockopt(*each)\n"
    "    s.sendto(b'leak',where); print('sent')\n"
    "try:\n"
)
_END: Final = "\nexcept OSError as problem: print('refused',problem)\n"
_PROGRAMS: Final = {
    "TCP to a public address": "reach((AF_INET,SOCK_STREAM),('93.184.216.34',443))",
    "TCP to this machine": "reach((AF_INET,SOCK_STREAM),(host,tcp))",
    "TCP to this machine's loopback": "reach((AF_INET,SOCK_STREAM),('127.0.0.1',tcp))",
    "TCP to a neighbour's loopback": "reach((AF_INET,SOCK_STREAM),('127.0.0.1',near))",
    "TCP over IPv6": "reach((AF_INET6,SOCK_STREAM),('2606:2800:220:1::1',443))",
    "UDP to this machine": "tell((AF_INET,SOCK_DGRAM),(host,udp))",
    "UDP over IPv6": "tell((AF_INET6,SOCK_DGRAM),('2001:db8::1',53))",
    "UDP to link-local IPv6": "tell((AF_INET6,SOCK_DGRAM),('fe80::1%sink',53))",
    "UDP broadcast": "tell((AF_INET,SOCK_DGRAM),('255.255.255.255',udp),(SOL_SOCKET,SO_BROADCAST,1))",
    "UDP multicast": "tell((AF_INET,SOCK_DGRAM),('239.1.2.3',udp))",
    "UDP bound to the device": "tell((AF_INET,SOCK_DGRAM),('192.0.2.1',9),(SOL_SOCKET,25,b'sink'))",
    "UDP bound to the loopback": "tell((AF_INET,SOCK_DGRAM),('192.0.2.1',9),(SOL_SOCKET,25,b'lo'))",
    "TCP bound to the loopback": (
        "s=socket(); s.settimeout(0.2); s.setsockopt(SOL_SOCKET,25,b'lo')\n"
        "    try: s.connect(('192.0.2.1',443))\n    except TimeoutError: print('sent')"
    ),
    "UDP by the loopback's number": "tell((AF_INET,SOCK_DGRAM),('192.0.2.1',9),(0,50,bytes((0,0,0,1))))",
    "UDP fragments": "s=socket(AF_INET,SOCK_DGRAM); s.sendto(b'x'*60000,('192.0.2.1',9)); print('sent')",
    "DNS": (
        "\n    try: getaddrinfo('leak.example.com',80)\n"
        "    except gaierror: pass\n    print('sent')"
    ),
    "TCP fast open": (
        "s=socket(AF_INET,SOCK_STREAM); s.settimeout(0.2)\n"
        "    try: s.sendto(b'leak',0x20000000,('192.0.2.1',80))\n"
        "    except (TimeoutError,BlockingIOError): pass\n    print('sent')"
    ),
    "ICMP by an unprivileged socket": "tell((AF_INET,SOCK_DGRAM,IPPROTO_ICMP),('8.8.8.8',0))",
    "ICMP by a raw socket": "tell((AF_INET,SOCK_RAW,IPPROTO_ICMP),('8.8.8.8',0))",
    "raw IPv6": "tell((AF_INET6,SOCK_RAW,IPPROTO_ICMPV6),('2001:db8::1',0))",
    "UDP-Lite": "tell((AF_INET,SOCK_DGRAM,136),('192.0.2.1',9))",
    "MPTCP": "reach((AF_INET,SOCK_STREAM,262),('192.0.2.1',443))",
    "SCTP": "reach((AF_INET,SOCK_STREAM,132),('192.0.2.1',443))",
    "packet socket": "socket(AF_PACKET,SOCK_RAW,3); print('sent')",
    "netlink": "socket(AF_NETLINK,SOCK_RAW,0); print('sent')",
    "vsock": "reach((40,SOCK_STREAM),(2,tcp))",
    "Bluetooth": "socket(31,SOCK_RAW,1); print('sent')",
    "abstract UNIX socket of this machine": "reach((AF_UNIX,SOCK_STREAM),'\\0'+name)",
    "abstract UNIX socket of a neighbour": "reach((AF_UNIX,SOCK_STREAM),'\\0'+name+'-near')",
    "a TUN device of its own": "os.open('/dev/net/tun',os.O_RDWR); print('sent')",
    "a network of its own": (
        "import ctypes; r=ctypes.CDLL(None,use_errno=True).unshare(0x50000000)\n"
        "    print('sent' if r==0 else 'refused')"
    ),
    "the network of this machine": (
        "import ctypes; c=ctypes.CDLL(None,use_errno=True)\n"
        "    r=c.setns(os.open('/proc/1/ns/net',os.O_RDONLY),0)\n"
        "    print('sent' if r==0 else 'refused')"
    ),
    "a flood of UDP": (
        f"s=socket(AF_INET,SOCK_DGRAM)\n    for n in range({FLOOD}):\n"
        "        s.sendto(b'leak',('192.0.2.1',9))\n    print('sent')"
    ),
}
_NEIGHBOUR: Final = (
    "import socket,sys,time\n"
    "a=socket.create_server(('127.0.0.1',int(sys.argv[1])))\n"
    "ends=[a]\n"
    "try:\n"
    "    b=socket.socket(socket.AF_UNIX); b.bind('\\0'+sys.argv[2]+'-near'); b.listen()\n"
    "    ends.append(b)\n"
    "except OSError: pass\n"
    "open('/work/up','w').close()\n"
    "import select\n"
    "if select.select(ends,[],[],30)[0]: open('/work/reached','w').close()\n"
)


@dataclass(frozen=True, slots=True)
class Leak:
    """What became of one program: what it said, packets recorded, and whether anything arrived."""

    name: str
    said: str
    attempts: int
    left: int
    arrived: bool
    recorded: bool

    @property
    def held(self) -> bool:
        """Whether nothing got out and what was sent is in the record."""
        quiet = self.said.startswith("refused") or self.attempts > 0
        return not self.arrived and self.left == 0 and self.recorded and quiet


class _Listeners:
    """Of this machine: whoever reaches one has left the box."""

    def __init__(self) -> None:
        self.tcp = socket.create_server(("0.0.0.0", 0))  # noqa: S104 (whoever comes is told of)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("0.0.0.0", 0))  # noqa: S104
        self.name = _ABSTRACT.lstrip("\0") + secrets.token_hex(8)
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind("\0" + self.name)
        self.unix.listen()
        self.host = _own_address()

    def arrived(self) -> bool:
        """Whether anybody came; forgets them."""
        came = False
        while ready := select.select([self.tcp, self.udp, self.unix], [], [], 0)[0]:
            came = True
            for each in ready:
                if each is self.udp:
                    each.recv(4096)
                else:
                    each.accept()[0].close()
        return came

    def close(self) -> None:
        """Close all."""
        for each in (self.tcp, self.udp, self.unix):
            each.close()


def leaks(boxes: Boxes, *, only: frozenset[str] = frozenset()) -> Iterator[Leak]:
    """Run every program, or those that are named, each in a box of its own."""
    listeners = _Listeners()
    near = 20000 + secrets.randbelow(10000)
    with (
        contextlib.closing(listeners),
        boxes.opened(Asked(limits=_LIMITS), least=Tier.NAMESPACES) as neighbour,
    ):
        neighbour.write("/work/near.py", _NEIGHBOUR.encode())
        start = f"python3 -I -S near.py {near} {listeners.name} >/dev/null 2>&1 & "
        start += "while [ ! -e up ]; do sleep 0.02; done"
        neighbour.run(("bash", "-c", start), within_s=20, output_bytes=4096)
        arguments = (
            *(listeners.host, str(listeners.tcp.getsockname()[1])),
            *(str(listeners.udp.getsockname()[1]), listeners.name, str(near)),
        )
        for name, program in _PROGRAMS.items():
            if not only or name in only:
                yield _one(
                    boxes,
                    name,
                    (f"{_BEGIN}    {program}{_END}", *arguments),
                    (listeners, neighbour),
                )


def _one(boxes: Boxes, name: str, words: tuple[str, ...], others: tuple[_Listeners, Box]) -> Leak:
    listeners, neighbour = others
    box = boxes.open(Asked(limits=_LIMITS), least=Tier.NAMESPACES)
    try:
        command = ("/usr/bin/python3", "-I", "-S", "-c", *words)
        done = box.run(command, within_s=20, output_bytes=4096)
    finally:
        left = box.close()
    arrived = listeners.arrived()
    with contextlib.suppress(FileNotFoundError):
        neighbour.read("/work/reached", most=0)
        arrived = True
    said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
    if left is None:
        return Leak(name, said, 0, 0, arrived, recorded=False)
    return Leak(name, said, left.attempts, left.left, arrived, recorded=True)


def _own_address() -> str:
    """An address by which others reach this machine; its loopback when there is no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing, and tells which way it would go
        except OSError:
            return "127.0.0.1"
        address: str = sock.getsockname()[0]
        return address
