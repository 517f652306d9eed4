"""The process that keeps one sample of a model test: its network, its agent's sandbox, its service.

Forked from the nursery, with the harness's socket, the harness's pidfd, the identity to take, and
whether to use a TUN device. It makes a network namespace whose routes end in itself, gives up every
privilege, and starts the service and then the first process of the agent's sandbox in it, each under
bubblewrap in mount, process and user namespaces of its own. The agent's commands travel between the
harness and that first process without coming by.

One message comes, with descriptors: the settings, the request for the agent's bubblewrap and the
agent's end of the line, the request for the service's if there is one, the control groups'
`cgroup.procs`, and the memory events if there are groups. Answers begin with a letter: `U` everything
stands, `X` it could not be set up, `A` the agent's sandbox is gone, and after the harness says `Q`,
`P` packets, `L` the service's log and `R` the result.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearhold.adapters.sample_box import sink
    from clearhold.adapters.sandbox_bwrap import forked
    from clearhold.adapters.sandbox_bwrap import supervisor as base
else:
    own = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (pathlib is a slow import)
    sys.path[:0] = [own, os.path.join(os.path.dirname(own), "sandbox_bwrap")]  # noqa: PTH118, PTH120
    import forked
    import sink
    import supervisor as base

LINE = 4
READY = b"ready\n"
TICK_S = 0.25
SOON_S = 0.025
LARGEST = 1 << 16


def enter(identity: str, *, device: bool) -> sink.Sink:
    """Make the sample's network and become who programs run as, without any right over it."""
    if ":" in identity:
        forked.call("unshare", sink.CLONE_NEWNET)
        made = sink.Sink(device=device)
        base.become(identity)
        return made
    # Without root the namespace of users made here owns the network; programs get another within.
    user, group = (0, 0) if identity == "map" else (os.geteuid(), os.getegid())
    forked.call("unshare", sink.CLONE_NEWUSER | sink.CLONE_NEWNET)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{65534 if identity == 'map' else user} {user} 1"),
        ("gid_map", f"{65534 if identity == 'map' else group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(text)
    made = sink.Sink(device=device)
    base.become("keep")
    drop_capabilities()
    return made


def drop_capabilities() -> None:
    """Empty the sets that making a namespace filled (capset(2), version 3)."""
    header = struct.pack("Ii", 0x20080522, 0)
    if forked.libc.capset(header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities could not be given up")


def kill(process: int) -> None:
    """End a process by its descriptor, if it was started and still is."""
    if process >= 0:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)


class Part(base.Run):
    """A bubblewrap of the sample's: the agent's or the service's."""

    def __init__(self, request: int, joins: list[int], more: dict[int, int]) -> None:
        self.job, self.blobs = forked.understood(forked.contents(request))
        os.close(request)
        self.outer = self.init = self.program = -1
        self.init_pid = 0
        self.scratch: list[int] = []
        self.over = False
        own = [os.dup(each) for each in joins]
        self.bubblewrap = forked.Bubblewrap(forked.shape(self.job, self.blobs), "", own, more)
        self.out, self.err = self.bubblewrap.out, self.bubblewrap.err
        self.info, self.gate = self.bubblewrap.info, self.bubblewrap.gate

    def launch(self) -> None:
        """Tell it its options."""
        if not self.bubblewrap.go(self.job, self.blobs):
            raise base.HubGone
        self.outer = self.bubblewrap.handle


class Sample:
    """One sample, from its request until nothing of it is left."""

    def __init__(self, link: socket.socket, hub: int, made: sink.Sink, fds: list[int]) -> None:
        self.link, self.hub, self.sink = link, hub, made
        settings, agent, line, *rest = fds
        self.asked: dict[str, Any] = json.loads(forked.contents(settings))
        service = rest.pop(0) if self.asked["service"] else -1
        self.watch = rest.pop() if self.asked["counted"] else -1
        # Both join their control groups at once: each waits for the kernel there.
        self.parts = {"service": Part(service, rest, {})} if service >= 0 else {}
        self.parts["agent"] = Part(agent, rest, {LINE: line})
        for fd in (settings, *rest):
            os.close(fd)
        self.streams: dict[int, tuple[str, str]] = {}
        self.log, self.complaint = bytearray(), bytearray()
        self.dropped = 0
        self.ended_by = ""
        self.poll = select.poll()

    def launch(self, name: str) -> None:
        """Start a part, and listen to it."""
        part = self.parts[name]
        part.launch()
        for fd, stream in ((part.out, "out"), (part.err, "err")):
            self.streams[fd] = (name, stream)
            self.poll.register(fd, select.POLLIN)
        for fd in (part.gate.fileno(), part.outer):
            self.poll.register(fd, select.POLLIN)

    def carry_out(self) -> None:
        """Serve the sample to its end."""
        for fd in (*self.sink.fds, self.link.fileno(), self.hub):
            self.poll.register(fd, select.POLLIN)
        try:
            if "service" in self.parts:
                self.launch("service")
                self.attend(self.asked["ready_s"], until=self.service_ready)
            if not self.ended_by:
                self.launch("agent")
                self.attend(base.SETUP_S, until=lambda: self.parts["agent"].init >= 0)
            if self.ended_by:
                said = (self.complaint + self.log)[-2000:].decode("utf-8", "replace")
                self.say(b"X" + json.dumps({"detail": f"{self.ended_by}: {said}"}).encode())
                return
            self.say(b"U")
            self.attend(None, until=lambda: False)
        finally:
            self.finish()
        self.tell()

    def service_ready(self) -> bool:
        """Whether the service has written its line."""
        return self.log.startswith(READY) or b"\n" + READY in self.log

    def attend(self, within_s: float | None, *, until: Any) -> None:
        """Look after everything until a condition holds, the harness says so, or something ends."""
        deadline = None if within_s is None else time.monotonic() + within_s
        # Without a control group memory is watched; that must be often.
        tick = TICK_S if self.watch >= 0 else SOON_S
        look = time.monotonic() + tick
        while not until() and not self.ended_by:
            for fd, _ in self.poll.poll(max(1.0, (look - time.monotonic()) * 1000)):
                if fd in self.sink.fds:
                    self.sink.take(fd)
                elif fd == self.hub:
                    raise base.HubGone
                elif fd == self.link.fileno():
                    if not self.link.recv(16):
                        raise base.HubGone
                    return
                elif fd in self.streams:
                    self.hear(fd)
                else:
                    self.met(fd)
            now = time.monotonic()
            if now >= look:
                self.judge_memory()
                look = now + tick
            if deadline is not None and now >= deadline:
                self.ended_by = "not ready in time"

    def met(self, fd: int) -> None:
        """A gate opened, or a part ended."""
        for name, part in self.parts.items():
            if part.outer < 0:
                continue
            if fd == part.gate.fileno():
                self.poll.unregister(fd)
                part.open_gate(part.gate, part.info)
            elif fd == part.outer:
                self.poll.unregister(fd)
                part.over = True
                if name == "agent" and part.init >= 0:
                    self.say(b"A")
                elif name == "agent" or not self.service_ready():
                    self.ended_by = f"the {name} could not be started"

    def hear(self, fd: int) -> None:
        """Keep what a part says; what its limit does not allow is counted."""
        name, stream = self.streams[fd]
        try:
            data = os.read(fd, base.PIECE)
        except BlockingIOError:
            return
        if not data:
            self.poll.unregister(fd)
            del self.streams[fd]
            return
        into = self.log if (name, stream) == ("service", "out") else self.complaint
        room = max(0, self.asked["log_bytes"] - len(into))
        into += data[:room]
        self.dropped += len(data) - min(room, len(data))

    def judge_memory(self) -> None:
        """End the sample when it took more memory or more inodes than it was given."""
        used = 0
        for part in self.parts.values():
            if part.init_pid and not part.over:
                used += base.queued_kb(part.init_pid)
                used += base.resident_kb(part.init_pid) if self.watch < 0 else 0
            for fd in part.scratch:
                held = os.fstatvfs(fd)
                if held.f_files - held.f_ffree > base.SCRATCH_INODES:
                    self.stop("inodes")
        if used > self.asked["memory_kb"]:
            self.stop("memory")

    def stop(self, reason: str) -> None:
        """End the agent's sandbox; the record stays, and the harness is told."""
        for part in self.parts.values():
            kill(part.init)
        if self.parts["agent"].init < 0:
            self.ended_by = reason

    def finish(self) -> None:
        """Kill whatever is left and reap all of it."""
        for part in self.parts.values():
            kill(part.init)
            kill(part.outer)
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid:
                continue
            for child in base.read_proc(f"/proc/self/task/{os.getpid()}/children").split():
                os.kill(int(child), signal.SIGKILL)  # ours, and not reaped
            time.sleep(0.0005)
        for fd in list(self.streams):
            while fd in self.streams and select.select([fd], [], [], 0)[0]:
                self.hear(fd)

    def tell(self) -> None:
        """Say what there is to know of the sample; nothing of it runs any more."""
        facts = self.sink.told()
        batch = b""
        for at, size, head in self.sink.kept:
            batch += struct.pack(">dIH", at, size, len(head)) + head
            if len(batch) > LARGEST // 2:
                self.say(b"P" + batch)
                batch = b""
        if batch:
            self.say(b"P" + batch)
        for start in range(0, len(self.log), LARGEST):
            self.say(b"L" + self.log[start : start + LARGEST])
        oom = 0
        if self.watch >= 0:
            events = os.pread(self.watch, 4096, 0).split()
            oom = int(events[events.index(b"oom_kill") + 1])
        result = {**facts, "oom": oom, "log_dropped": self.dropped}
        self.say(b"R" + json.dumps(result).encode())

    def say(self, message: bytes) -> None:
        """Send one message."""
        try:
            self.link.send(message, socket.MSG_NOSIGNAL)
        except OSError as problem:
            raise base.HubGone from problem


def keep(link: socket.socket, hub: int, identity: str, *, device: bool) -> None:
    """Keep one sample."""
    try:
        made = enter(identity, device=device)
    except OSError as problem:
        link.send(b"X" + json.dumps({"detail": str(problem)}).encode())
        return
    link.send(b"S")
    told, fds = forked.received(link)
    if not told:
        return
    try:
        Sample(link, hub, made, fds).carry_out()
    except (base.HubGone, BrokenPipeError, ConnectionResetError):
        return
