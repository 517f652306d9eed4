"""The process between the hub and a gVisor: as bubblewrap's, with another first process to hear.

Run as a script by an isolated interpreter like the one it builds on. What the stage inside gVisor
says is untrusted: pieces have a bounded length, artefacts a bounded sum, and everything that it
claims is about the program itself.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearhold.adapters.sandbox_bwrap import forked
    from clearhold.adapters.sandbox_bwrap import supervisor as base
else:
    own = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (pathlib is a slow import)
    sys.path.insert(0, os.path.join(os.path.dirname(own), "sandbox_bwrap"))  # noqa: PTH118, PTH120
    import forked
    import supervisor as base

TELLS = 4
LARGEST_PIECE = base.PIECE + 1
KILLED = 9
MOST = {"status": (1 << 16) - 1, "cpu_s": 1e9, "peak_kb": 1 << 40}


class GvisorRun(base.Run):
    """One job inside gVisor. The program's clock starts when the stage starts it."""

    def __init__(
        self, link: socket.socket, hub: int, fds: list[int], waiting: forked.Bubblewrap | None
    ) -> None:
        super().__init__(link, hub, fds, waiting)
        self.heard, tells = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.heard, False)
        self.more = {0: forked.sealed(self.blobs.pop()), TELLS: tells}
        self.pending = b""
        self.room = self.job["artefact_bytes"] + base.ARTEFACT_FILES * (base.NAME_BYTES + 16)
        self.artefacts: list[bytes] = []
        self.result: dict[str, Any] | None = None

    def inner(self) -> tuple[int, ...]:
        """The line on which the stage tells."""
        return (self.heard,)

    def set_off(self) -> None:
        """Bubblewrap stands; gVisor is about to start, and the program after it."""

    def hear(self) -> bool:
        """Take what the stage said; False when the run is over or the stage breaks the rules."""
        while True:
            try:
                data = os.read(self.heard, base.PIECE)
            except BlockingIOError:
                return True
            self.pending += data
            while len(self.pending) >= 4:
                size = int.from_bytes(self.pending[:4], "big")
                if not 1 <= size <= LARGEST_PIECE:
                    return self.broken()
                if len(self.pending) < 4 + size:
                    break
                message, self.pending = self.pending[4 : 4 + size], self.pending[4 + size :]
                if not self.take(message[:1], message[1:]):
                    return False
            if not data:
                return False

    def take(self, kind: bytes, content: bytes) -> bool:
        """Act on one piece; False when it was the last."""
        if kind == b"S" and self.began is None:
            super().set_off()
        elif self.began is None:
            return self.broken()
        elif kind == b"Z" and self.stopped is None:
            self.stopped = time.monotonic()
            self.deadline = self.stopped + base.SETUP_S
        elif kind in {b"F", b"D"} and self.stopped is not None and len(content) <= self.room:
            self.room -= len(content)
            self.artefacts.append(kind + content)
        elif kind == b"R" and self.stopped is not None:
            return self.finish(content)
        else:
            return self.broken()
        return True

    def finish(self, content: bytes) -> bool:
        """Take the result, whose every part has its type; the run is over."""
        try:
            told = json.loads(content)
            kinds = {"status": int, "cpu_s": float, "peak_kb": int, "whole": bool}
            sound = all(type(told[name]) is kind for name, kind in kinds.items())
            sound = sound and all(0 <= told[name] <= most for name, most in MOST.items())
            if sound:
                os.waitstatus_to_exitcode(told["status"])  # raises on what is none
                self.result = told
                return False
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        return self.broken()

    def broken(self) -> bool:
        """The stage said what it never says: the run is over, without a result."""
        self.complaint = b"the process inside gVisor breaks the rules of its line"
        return False

    def end(self) -> dict[int, tuple[int, resource.struct_rusage]]:
        """Kill and reap as ever, and hear what was said before."""
        gone = super().end()
        if self.ended_by is None and self.result is None:
            self.hear()
        return gone

    def verdict(
        self,
        outer: int,  # noqa: ARG002  (bubblewrap's own end says nothing of the program)
        gone: dict[int, tuple[int, resource.struct_rusage]],
    ) -> tuple[int, float] | None:
        """What the stage told, or a kill when we ended it; None when gVisor itself broke."""
        if self.result is not None and self.ended_by is None:
            self.peak_kb = self.result["peak_kb"]
            self.clipped = self.clipped or not self.result["whole"]
            return self.result["status"], self.result["cpu_s"]
        if self.ended_by is not None:
            return KILLED, sum(used.ru_utime + used.ru_stime for _, used in gone.values())
        self.complaint = self.complaint or b"gVisor ended while the program ran"
        return None

    def harvest(self) -> None:
        """Send on what the stage collected."""
        for message in self.artefacts:
            self.say(message)


if __name__ == "__main__":
    base.main(GvisorRun)
