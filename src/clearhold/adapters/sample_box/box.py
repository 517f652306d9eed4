"""`Boxes`: where the agents of model tests run, each in a sandbox that lives as long as its sample.

What the sandbox of bubblewrap holds against (see `sandbox_bwrap`), this one does too: the same
namespaces, filter, limits and control groups, measured by the same probes. Beyond that there is a
network, of the sample's own, in which its service listens and whose routes end in a record.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import shutil
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from clearhold.adapters.sample_box import line
from clearhold.adapters.sample_box.keepers import Keeper, Keepers
from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox, Probe, argv, cgroup, seccomp
from clearhold.adapters.sandbox_bwrap.sandbox import demand, identities, sized
from clearhold.adapters.sandbox_bwrap.slot import pieces
from clearhold.kernel.errors import InvalidError, TooLargeError, UnavailableError
from clearhold.ports.sandbox import Job, Limits, Tier

FIRST_UID: Final = 60640
"""Users of samples, apart from those that other sandboxes run as."""
MOST_BOXES: Final = 128
OWN_MEMORY_MB: Final = 48
"""What the first processes of agent and service hold beside what a task was given."""
OWN_PROCESSES: Final = 8
LOG_BYTES: Final = 256 << 10
MOST_WRITTEN: Final = 16 << 20
_USUAL: Final = Limits(wall_s=300, cpu_s=300, memory_mb=512, output_kb=64)
_SERVICE: Final = "/service"
_READY_S: Final = 20.0
_START_S: Final = 60.0
_GRACE_S: Final = 15.0
_END_S: Final = 30.0
_LARGEST_MESSAGE: Final = 1 << 17
_ROOT_FILES: Final = {
    "/etc/resolv.conf": b"nameserver 10.255.255.1\noptions timeout:1 attempts:1\n",
    "/etc/hosts": b"127.0.0.1 localhost sandbox\n::1 localhost\n",
    "/etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
    "/etc/passwd": b"agent:x:65534:65534:agent:/work:/bin/bash\n",
    "/etc/group": b"agent:x:65534:\n",
}


class BoxEndedError(Exception):
    """The agent's sandbox is gone: it used it up, or ended it. `reason` says what is known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Served:
    """A service beside the agent: its files by path below `/service`, and how it is started there."""

    files: Mapping[str, bytes] = field(repr=False)
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a sample needs: files by path below `/work`, a service or none, trees, and its limits."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    service: Served | None = None
    trees: Mapping[str, Path] = field(default_factory=dict)
    limits: Limits = _USUAL


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended: as a shell would tell it, or None for its time being over."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    clipped: bool
    ended_by: str


@dataclass(frozen=True, slots=True)
class Left:
    """What a sample left behind.

    `packets` are what it tried to send, as far as they were kept: seconds since the start, length and
    the first bytes. `attempts` counts all, `left` those that got out by any interface. `watched_by` is
    `tun`, or `counted` where packets could be counted and no more. `chain` is the hash chain over all
    that were read. `log` is what the service wrote, as far as there was room; `log_cut` says that
    there was not.
    """

    packets: tuple[tuple[float, int, bytes], ...]
    attempts: int
    left: int
    watched_by: str
    chain: str
    log: bytes
    log_cut: bool
    killed_for_memory: bool


class _Result(msgspec.Struct, frozen=True):
    by: str
    read: int
    missed: int
    no_routes: int
    left: int
    chain: str
    oom: int
    log_dropped: int


class Boxes:
    """Opens boxes, up to `most` at once from any threads; further ones wait.

    `device` off leaves TUN devices alone, and packets are counted only. `measured` is a sandbox whose
    tier counts for boxes too; one is made when not given.
    """

    def __init__(
        self,
        *,
        most: int = 8,
        device: bool = True,
        use_cgroup: bool = True,
        measured: BubblewrapSandbox | None = None,
    ) -> None:
        if not 1 <= most <= MOST_BOXES:
            raise InvalidError(f"Between 1 and {MOST_BOXES} samples run at once.")
        self._measured = measured or BubblewrapSandbox(slots=1, use_cgroup=use_cgroup)
        self._own = measured is None
        self._hierarchy = cgroup.find() if use_cgroup else None
        self._device = device
        self._keepers = Keepers()
        self._bwrap = shutil.which("bwrap")
        self._free: queue.LifoQueue[str] = queue.LifoQueue()
        for identity in reversed(identities(most, FIRST_UID)):
            self._free.put(identity)
        self._serial = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what measured and what starts boxes; those that are open stay until they are closed."""
        self._keepers.close()
        if self._own:
            self._measured.close()

    def tier(self) -> Tier:
        """The tier that was measured on this machine."""
        return self._measured.tier()

    def report(self) -> tuple[Probe, ...]:
        """Every probe with what it saw."""
        return self._measured.report()

    @contextlib.contextmanager
    def opened(self, asked: Asked, *, least: Tier) -> Iterator[Box]:
        """A box that is closed at the end."""
        box = self.open(asked, least=least)
        try:
            yield box
        finally:
            box.close()

    def open(self, asked: Asked, *, least: Tier) -> Box:
        """Open a box with its service running and its files laid.

        Raises `UnavailableError` when the measured tier is below `least` or it cannot be set up, with
        what the service said, and `InvalidError` for what no box can be asked.
        """
        argv.check(Job(argv=("/bin/true",), limits=asked.limits))
        demand(least, self.tier(), self.report())
        identity = self._free.get()
        group = None
        try:
            if self._hierarchy is not None:
                name = f"clearhold-{os.getpid()}-box-{id(self)}-{next(self._serial)}"
                group = self._hierarchy.group(name)
                group.bound(_with_own(asked.limits))
            box = Box(identity, group, lambda: self._free.put(identity))
        except BaseException:
            if group is not None:
                group.remove()
            self._free.put(identity)
            raise
        try:
            request = self._request(asked, counted=group is not None)
            box.start(request, self._keepers, device=self._device)
            for name, content in asked.files.items():
                box.write(f"/work/{name}", content)
        except BoxEndedError as problem:
            box.close()
            raise UnavailableError(f"A sample's box ended at its start: {problem}.") from problem
        except BaseException:
            box.close()
            raise
        return box

    def _request(self, asked: Asked, *, counted: bool) -> _Request:
        trees = {
            place: argv.source(tree, forbidden=(), group=self._measured.group)
            for place, tree in asked.trees.items()
        }
        own = [*("/usr/bin/python3", "-I", "-S", "-B", "-c"), line.STUB]
        agent = Job(argv=tuple(own), limits=asked.limits)
        filter_ = seccomp.program(ptrace=False, uncounted_memory=counted)

        def part(job: Job, options: list[str], directory: str) -> bytes:
            files = {**_ROOT_FILES, **job.files}
            header = {
                "bwrap": self._bwrap,
                "options": [*options, "--share-net"],
                "argv": job.argv,
                "directory": directory,
                "rlimits": argv.rlimits(job.limits),
                "files": [*files],
                "randomise": True,
            }
            return b"".join(pieces(*sized(header, [filter_, *files.values()])))

        service = None
        if asked.service is not None:
            served = {f"{_SERVICE}/{name}": each for name, each in asked.service.files.items()}
            job = Job(argv=asked.service.argv, files=served, limits=asked.limits)
            argv.check(job)
            service = part(job, argv.options(job, trees={}), _SERVICE)
        settings = {
            "service": service is not None,
            "ready_s": _READY_S,
            "counted": counted,
            "memory_kb": (asked.limits.memory_mb + OWN_MEMORY_MB) << 10,
            "log_bytes": LOG_BYTES,
        }
        options = [*argv.options(agent, trees=trees), "--as-pid-1"]
        return _Request(json.dumps(settings).encode(), part(agent, options, "/work"), service)


@dataclass(frozen=True, slots=True)
class _Request:
    settings: bytes
    agent: bytes
    service: bytes | None


class Box:
    """One sample's sandbox. Methods may be called from any thread; commands run one at a time."""

    def __init__(self, identity: str, group: cgroup.Group | None, given_back: Any) -> None:
        self._identity, self._group, self._given_back = identity, group, given_back
        self._keeper: Keeper | None = None
        self._link: socket.socket | None = None
        self._line: line.Line | None = None
        self._turn = threading.Lock()
        self._over = ""
        self._left: Left | None = None
        self._closed = False

    def start(self, asked: _Request, keepers: Keepers, *, device: bool) -> None:
        """Start the keeper, give it the request, and wait until everything stands."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near, far = line.pair()
        try:
            self._keeper = keepers.start(theirs, self._identity, device=device)
            theirs.close()
            self._link, self._line = ours, line.Line(near)
            ours.settimeout(_START_S)
            self._expect(b"S")
            with contextlib.ExitStack() as held:
                fds = [_memory(held, asked.settings), _memory(held, asked.agent), far.fileno()]
                if asked.service is not None:
                    fds.append(_memory(held, asked.service))
                if self._group is not None:
                    fds += [*self._group.joins, self._group.events]
                socket.send_fds(ours, [b"J"], fds)
            far.close()
            self._expect(b"U")
            self._line.open(_START_S)
        except (OSError, line.LineClosed) as problem:
            raise UnavailableError("The supervisor of a sample does not answer.") from problem
        finally:
            theirs.close()
            far.close()

    def _expect(self, wanted: bytes) -> None:
        said = self._link.recv(_LARGEST_MESSAGE) if self._link is not None else b""
        if said[:1] == b"X":
            detail = json.loads(said[1:])["detail"]
            raise UnavailableError(
                f"A sample's box could not be set up: {detail.strip()[:500]}",
                next_step="Run `clearhold doctor` to see what this machine lacks.",
            )
        if said[:1] != wanted:
            raise ConnectionError

    def run(
        self,
        command: tuple[str, ...],
        *,
        given: bytes = b"",
        within_s: float,
        output_bytes: int,
        directory: str = "/work",
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a command to its end; output beyond the limit, of each stream, is thrown away.

        Raises `BoxEndedError` when the agent's sandbox is gone, `InvalidError` for a command no
        system could run.
        """
        argv.check(Job(argv=("/bin/true", *command), env=dict(env or {})))
        streams = {b"O": bytearray(), b"E": bytearray()}

        def keep(kind: bytes, piece: bytes) -> None:
            if kind not in streams or len(streams[kind]) + len(piece) > output_bytes:
                raise line.LineClosed
            streams[kind] += piece

        asked = {
            "do": "exec",
            "argv": command,
            "env": {**argv.ENVIRONMENT, "HOME": "/work", **(env or {})},
            "directory": directory,
            "within_s": within_s,
            "output_bytes": output_bytes,
        }
        told = self._ask(asked, given, line.Ended, within_s=within_s + _GRACE_S, on_piece=keep)
        code = None if told.ended_by == "wall" else told.exit & 0xFF
        out, err = (bytes(each) for each in streams.values())
        return Done(code, out, err, told.clipped, told.ended_by[:20])

    def write(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Lay a file, in place of whatever bears its name; no link is followed.

        Raises `InvalidError` when that cannot be done, `BoxEndedError` when the sandbox is gone.
        """
        if len(content) > MOST_WRITTEN:
            raise TooLargeError(f"A file in a sample has at most {MOST_WRITTEN} bytes.")
        told = self._ask(
            {"do": "write", "path": path, "mode": mode & 0o755},
            content,
            line.Filed,
            within_s=_GRACE_S,
        )
        if told.error:
            raise InvalidError(f"{path[:200]!r} cannot be written: {told.why[:100]}.")

    def read(self, path: str, *, most: int) -> bytes:
        """A regular file of at most `most` bytes, reached without following a link.

        Raises `FileNotFoundError`, `InvalidError` for anything else than such a file, and
        `BoxEndedError`.
        """
        pieces = bytearray()

        def keep(kind: bytes, piece: bytes) -> None:
            if kind != b"D" or len(pieces) + len(piece) > most:
                raise line.LineClosed
            pieces.extend(piece)

        asked = {"do": "read", "path": path, "most": most}
        told = self._ask(asked, b"", line.Filed, within_s=_GRACE_S, on_piece=keep)
        if told.error == 2:
            raise FileNotFoundError(path)
        if told.error:
            raise InvalidError(f"{path[:200]!r} cannot be read: {told.why[:100]}.")
        return bytes(pieces)

    def close(self) -> Left | None:
        """End everything; what the sample left behind, or None when that cannot be told any more."""
        with self._turn:
            if self._closed:
                return self._left
            self._closed = True
            try:
                self._left = self._harvest()
            finally:
                if self._line is not None:
                    self._line.close()
                if self._link is not None:
                    self._link.close()
                if self._keeper is not None:
                    self._keeper.end()
                if self._group is not None:
                    self._group.remove()
                self._given_back()
            return self._left

    def _ask(self, asked: dict[str, Any], content: bytes, kind: Any, **more: Any) -> Any:
        with self._turn:
            if self._over or self._closed or self._line is None:
                raise BoxEndedError(self._over or "it was closed")
            try:
                return self._line.ask(asked, content, kind, **more)
            except line.LineClosed as problem:
                self._over = "its first process is gone or does not answer"
                self._line.close()
                raise BoxEndedError(self._over) from problem

    def _harvest(self) -> Left | None:
        link = self._link
        if link is None:
            return None
        packets: list[tuple[float, int, bytes]] = []
        log = bytearray()
        try:
            link.settimeout(_END_S)
            link.send(b"Q")
            while said := link.recv(_LARGEST_MESSAGE):
                if said[:1] == b"P":
                    packets += _packets(said[1:])
                elif said[:1] == b"L":
                    log += said[1:]
                elif said[:1] == b"R":
                    told = msgspec.json.decode(said[1:], type=_Result)
                    return _left(told, packets, bytes(log))
        except (OSError, msgspec.DecodeError, struct.error):
            return None
        return None


def _memory(held: contextlib.ExitStack, content: bytes) -> int:
    file = held.enter_context(os.fdopen(os.memfd_create("request"), "w+b"))
    file.write(content)
    file.flush()
    return file.fileno()


def _left(told: _Result, packets: list[tuple[float, int, bytes]], log: bytes) -> Left:
    counted = told.read + told.missed + (0 if told.by == "tun" else told.no_routes)
    return Left(
        packets=tuple(packets),
        attempts=counted + told.left,
        left=told.left,
        watched_by=told.by,
        chain=told.chain,
        log=log,
        log_cut=told.log_dropped > 0,
        killed_for_memory=told.oom > 0,
    )


def _packets(data: bytes) -> Iterator[tuple[float, int, bytes]]:
    at = 0
    while at < len(data):
        seconds, size, kept = struct.unpack_from(">dIH", data, at)
        at += 14
        yield seconds, size, data[at : at + kept]
        at += kept


def _with_own(limits: Limits) -> Limits:
    return replace(
        limits,
        memory_mb=limits.memory_mb + OWN_MEMORY_MB,
        processes=limits.processes + OWN_PROCESSES,
    )
