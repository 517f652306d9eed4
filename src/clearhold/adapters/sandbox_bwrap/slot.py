"""The hub's end of one supervisor: start it, give it a job, read what it answers.

A supervisor outlives its jobs, because starting an interpreter costs as much as a sandbox. When one
dies, the job it ran is dead too (bubblewrap dies with its parent), and the next job starts another.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhold.adapters.sandbox_bwrap import helper
from clearhold.adapters.sandbox_bwrap.artefacts import ArtefactReader
from clearhold.adapters.sandbox_bwrap.cgroup import Group
from clearhold.kernel.errors import UnavailableError

_SCRIPT = Path(__file__).with_name("supervisor.py")
_LARGEST_MESSAGE = 1 << 17
# Above a job's wall clock: setting up, killing, and sending artefacts on a busy machine.
_GRACE_S = 120.0
# How often a job that says nothing is told of, so that whoever waits for it can end it.
_SILENT_S = 1.0
_SILENCE = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a supervisor tells of a job; `result` is the content of its last message."""

    stdout: bytes
    stderr: bytes
    artefacts: dict[str, bytes]
    result: dict[str, Any]


class SetupError(Exception):
    """Bubblewrap ended before the program began; `detail` is what it wrote."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Slot:
    """One place to run a job, with the user it runs as.

    `identity` is `keep`, `map` or `UID:GID`, as the supervisor understands it; `script` is the
    supervisor. Used by one thread at a time.
    """

    def __init__(self, identity: str, script: Path | None = None) -> None:
        self._identity = identity
        self._script = script
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._owner = 0
        self._ahead: Group | None = None
        self._spent: Group | None = None
        self._spare: Group | None = None
        self._make: Callable[[], Group] | None = None

    def groups(self, make: Callable[[], Group]) -> tuple[Group, Group]:
        """The control group of the next run and that of the run after it.

        The first may be one in which a process of the supervisor waits already; `make` makes others.
        """
        if self._owner != os.getpid():
            # Those of the process that this one was forked from, whose next run joins one of them.
            for each in (self._ahead, self._spent, self._spare):
                if each is not None:
                    each.release()
            self._ahead = self._spent = self._spare = None
        ahead, spare = self._ahead, self._spare
        self._ahead = self._spare = None
        self._make = make
        if spare is not None and not spare.stands():
            spare.remove()
            spare = None
        now = ahead or make()
        try:
            return now, spare or make()
        except BaseException:
            now.remove()
            raise

    def keep(self, spent: Group, following: Group) -> None:
        """Take over the group of a run that is over, and that of the run after.

        In the latter a process waits while the supervisor lives. The former is removed while the next
        run is set up, since the kernel takes its time.
        """
        if self._link is None:
            spent.remove()
            following.remove()
        else:
            self._spent, self._ahead = spent, following

    def _tidy(self) -> None:
        """Remove the group of a run that is over."""
        spent, self._spent = self._spent, None
        if spent is not None:
            spent.remove()

    def _lay_by(self) -> None:
        """Make a group for later, while the kernel is busy with this run."""
        if self._make is not None and self._spare is None:
            with contextlib.suppress(UnavailableError):  # whoever needs it makes it, or fails
                self._spare = self._make()

    def run(
        self,
        header: dict[str, Any],
        blobs: Sequence[bytes],
        *,
        groups: tuple[Group, Group] | None,
        on_output: Callable[[bytes], None] | None,
    ) -> Answer:
        """Carry out one job, in the first of `groups`; blocks until it is over.

        Raises `SetupError` when the sandbox could not be set up, `UnavailableError` when the
        supervisor died or hangs, `IntegrityError` on artefacts that break the rules, and whatever
        `on_output` raises. After anything but `SetupError` nothing of the job is left running.
        """
        try:
            told: dict[str, Any] = {"group": "", "following": "", "joins": 0}
            fds: list[int] = []
            if groups is not None:
                now, following = groups
                fds = [*now.joins, now.events, *following.joins]
                told = {"group": now.name, "following": following.name, "joins": len(now.joins)}
            self._send({**header, **told}, blobs, fds)
            self._tidy()
            if groups is not None:
                self._lay_by()
            return self._listen(header, on_output)
        except SetupError:
            raise
        except BaseException as problem:
            self.close()
            if isinstance(problem, OSError):
                raise UnavailableError(
                    "The supervisor of the sandbox ended or does not answer.",
                    next_step="Run the job again: a new supervisor starts with it.",
                ) from problem
            raise

    @property
    def supervisor(self) -> int | None:
        """The process number of the supervisor, when one runs."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End the supervisor, and with it a job that may still run."""
        link, process = self._link, self._process
        unused = (self._ahead, self._spare)
        self._ahead = self._spare = None
        self._link = self._process = None
        if link is not None:
            link.close()
        if process is None:
            return
        if self._owner != os.getpid():
            process.returncode = 0  # another process's child, seen after a fork: not ours to reap
            return
        helper.end(process)
        self._tidy()
        for each in unused:
            if each is not None:
                each.remove()

    def _send(self, header: dict[str, Any], blobs: Sequence[bytes], fds: list[int]) -> None:
        with os.fdopen(os.memfd_create("request"), "w+b") as request:
            request.writelines(pieces(header, blobs))
            request.seek(0)
            for attempt in (1, 2):
                link = self._ensure()
                try:
                    socket.send_fds(link, [b"J"], [request.fileno(), *fds])
                except (BrokenPipeError, ConnectionResetError):
                    # It died while idle; nothing of this job has begun.
                    self.close()
                    if attempt == 2:
                        raise
                else:
                    return

    def _ensure(self) -> socket.socket:
        if self._owner != os.getpid() and self._process is not None:
            self.close()
        if self._link is None:
            self._start()
        if self._link is None:
            raise ConnectionError
        return self._link

    def _start(self) -> None:
        script = self._script or _SCRIPT
        self._process, self._link = helper.start(script, self._identity)
        self._owner = os.getpid()

    def _listen(self, header: dict[str, Any], on_output: Callable[[bytes], None] | None) -> Answer:
        streams = {b"O": bytearray(), b"E": bytearray()}
        reader = ArtefactReader(header["artefact_bytes"])
        for kind, content in self._messages(time.monotonic() + header["longest_s"] + _GRACE_S):
            if kind in streams:
                streams[kind] += content
                if len(streams[kind]) > header["output_bytes"]:
                    raise ConnectionError
                if on_output is not None:
                    on_output(content if kind == b"E" else b"")
            elif kind == _SILENCE:
                if on_output is not None:
                    on_output(b"")
            elif kind == b"F":
                reader.begin(content)
            elif kind == b"D":
                reader.extend(content)
            elif kind == b"X":
                raise SetupError(json.loads(content)["detail"])
            else:
                result = json.loads(content)
                stdout, stderr = (bytes(each) for each in streams.values())
                return Answer(stdout, stderr, reader.files(), result)
        raise ConnectionError

    def _messages(self, deadline: float) -> Iterator[tuple[bytes, bytes]]:
        link = self._link
        while link is not None:
            left = deadline - time.monotonic()
            link.settimeout(max(0.001, min(left, _SILENT_S)))
            try:
                message = link.recv(_LARGEST_MESSAGE)
            except TimeoutError:
                if left <= _SILENT_S:
                    raise
                yield _SILENCE, b""
                continue
            if not message:
                return
            yield message[:1], message[1:]


def pieces(header: dict[str, Any], blobs: Sequence[bytes]) -> list[bytes]:
    """A request as the supervisor reads it: the header's length, the header, and what it names."""
    text = json.dumps(header).encode("ascii")
    return [len(text).to_bytes(8, "big"), text, *blobs]


@contextlib.contextmanager
def borrowed(slots: queue.LifoQueue[Slot]) -> Iterator[Slot]:
    """A free slot from a queue of them, put back afterwards; waits for one."""
    slot = slots.get()
    try:
        yield slot
    finally:
        slots.put(slot)
