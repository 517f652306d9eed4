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
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhold.adapters.sandbox_bwrap.artefacts import ArtefactReader
from clearhold.kernel.errors import UnavailableError

_SCRIPT = Path(__file__).with_name("supervisor.py")
_LARGEST_MESSAGE = 1 << 17
_START_S = 30.0
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

    def run(
        self,
        header: dict[str, Any],
        blobs: Sequence[bytes],
        *,
        joins: Sequence[int],
        events: int,
        on_output: Callable[[bytes], None] | None,
    ) -> Answer:
        """Carry out one job; blocks until it is over.

        Raises `SetupError` when the sandbox could not be set up, `UnavailableError` when the
        supervisor died or hangs, `IntegrityError` on artefacts that break the rules, and whatever
        `on_output` raises. After anything but `SetupError` nothing of the job is left running.
        """
        try:
            self._send(header, blobs, [*joins, *([events] if events >= 0 else [])])
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
        self._link = self._process = None
        if link is not None:
            link.close()
        if process is None:
            return
        if self._owner != os.getpid():
            process.returncode = 0  # another process's child, seen after a fork: not ours to reap
            return
        try:
            process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _send(self, header: dict[str, Any], blobs: Sequence[bytes], fds: list[int]) -> None:
        text = json.dumps(header).encode("ascii")
        with os.fdopen(os.memfd_create("request"), "w+b") as request:
            request.write(len(text).to_bytes(8, "big") + text)
            request.writelines(blobs)
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
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Not PR_SET_PDEATHSIG: that follows the thread that forked, and pools end their threads.
        hub = os.pidfd_open(os.getpid())
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-B", str(self._script or _SCRIPT)),
                    *(str(theirs.fileno()), str(hub), self._identity),
                ],
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), hub),
                start_new_session=True,  # a Ctrl-C in the hub's terminal is the hub's to handle
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(hub)
        self._link, self._owner = ours, os.getpid()
        ours.settimeout(_START_S)
        if ours.recv(16) != b"S":
            raise ConnectionError

    def _listen(self, header: dict[str, Any], on_output: Callable[[bytes], None] | None) -> Answer:
        streams = {b"O": bytearray(), b"E": bytearray()}
        reader = ArtefactReader(header["artefact_bytes"])
        for kind, content in self._messages(time.monotonic() + header["wall_s"] + _GRACE_S):
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


@contextlib.contextmanager
def borrowed(slots: queue.LifoQueue[Slot]) -> Iterator[Slot]:
    """A free slot from a queue of them, put back afterwards; waits for one."""
    slot = slots.get()
    try:
        yield slot
    finally:
        slots.put(slot)
