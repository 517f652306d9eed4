"""The harness's end of the nursery: it asks for a keeper, and holds the nursery while it lives."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from clearhold.adapters.sandbox_bwrap import helper
from clearhold.kernel.errors import UnavailableError

_SCRIPT: Final = Path(__file__).with_name("nursery.py")
_ANSWER_S: Final = 60.0
_END_S: Final = 5.0


class Keepers:
    """Keepers on demand, from any threads. The nursery starts with the first, and again when it died."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._owner = os.getpid()

    def start(self, link: socket.socket, identity: str, *, device: bool) -> Keeper:
        """A keeper that has `link` for its end of the line. Raises `UnavailableError`."""
        self._mine()
        with self._turn:
            for attempt in (1, 2):
                try:
                    return self._asked(link, f"{identity} {int(device)}".encode("ascii"))
                except OSError as problem:
                    self._end()
                    if attempt == 2:
                        raise UnavailableError(
                            "The process that starts the supervisors of samples does not answer."
                        ) from problem
        raise AssertionError  # both attempts returned or raised

    def close(self) -> None:
        """End the nursery; keepers go on until their samples end."""
        self._mine()
        with self._turn:
            self._end()

    def _mine(self) -> None:
        """Leave to another process what was its own before this one was forked from it."""
        if self._owner == os.getpid():
            return
        if self._process is not None:
            self._process.returncode = 0  # another's child: not ours to reap
        if self._link is not None:
            self._link.close()
        self._process = self._link = None
        self._turn, self._owner = threading.Lock(), os.getpid()

    def _asked(self, link: socket.socket, what: bytes) -> Keeper:
        if self._link is None:
            self._start()
        if self._link is None:
            raise ConnectionError
        socket.send_fds(self._link, [what], [link.fileno()])
        told, fds, _, _ = socket.recv_fds(self._link, 256, 1)
        if told[:1] == b"X":
            raise UnavailableError(
                f"A sample's supervisor could not be started: {told[1:].decode('utf-8', 'replace')}."
            )
        if told != b"P" or not fds:
            raise ConnectionError
        os.set_inheritable(fds[0], False)
        return Keeper(fds[0])

    def _start(self) -> None:
        self._process, self._link = helper.start(_SCRIPT)
        self._link.settimeout(_ANSWER_S)

    def _end(self) -> None:
        link, process = self._link, self._process
        self._link = self._process = None
        if link is not None:
            link.close()
        if process is not None:
            helper.end(process, within_s=_END_S)


class Keeper:
    """The keeper of one sample."""

    def __init__(self, process: int) -> None:
        self._process = process

    def end(self) -> None:
        """Wait until it is gone, and kill it when that takes too long."""
        gone = select.poll()
        gone.register(self._process, select.POLLIN)
        if not gone.poll(_END_S * 1000):
            with suppress(ProcessLookupError):  # it went, and was reaped, just now
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            gone.poll()
        os.close(self._process)
