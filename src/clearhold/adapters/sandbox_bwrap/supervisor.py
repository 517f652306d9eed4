"""The process between the hub and hostile code: it starts bubblewrap, watches it and cleans up.

Run as a script by an isolated interpreter (`python -I -S`) with an empty environment, so it uses
the standard library alone. One supervisor serves one slot for as long as the hub lives and runs one
job at a time. Started by root it first becomes the slot's own user and keeps no privilege at all.

Messages travel over one SOCK_SEQPACKET socket. The hub sends one per job, with descriptors: the
request (eight bytes of big-endian length, that many bytes of JSON, then the seccomp program and the
files one after the other), the control groups' `cgroup.procs`, perhaps the memory events, and the
`cgroup.procs` of the run after. The answers begin with one letter: `E` and `O` carry standard error and output, `F` begins an artefact
(eight bytes of size, then its name), `D` continues it, and `R` (result) or `X` (bubblewrap could not
set the sandbox up) ends the job.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import signal
import socket
import stat
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearhold.adapters.sandbox_bwrap import forked
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 (pathlib is a slow import)
    import forked

PIECE = 65536
SETUP_S = 30.0
TICK_S = 0.025
TICKS_S = os.sysconf("SC_CLK_TCK")  # the unit of /proc/<pid>/stat
FLOOD = 64  # output is read on, and thrown away, up to this many times its limit
STARVED_SHARE = 0.05  # of the wall clock: less waiting than that explains nothing
SCRATCH = ("out", "work", "tmp", "dev/shm")
SCRATCH_INODES = 65536  # bubblewrap cannot pass nr_inodes=, so tmpfs inodes are counted here
ARTEFACT_FILES = 4096
ARTEFACT_DEPTH = 32
NAME_BYTES = 1024

PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
PIDFD_GET_INFO = 0xC040FF0B  # _IOWR(0xFF, 11, struct pidfd_info), linux/pidfd.h
PIDFD_INFO_EXIT = 1 << 3  # since Linux 6.15


def become(identity: str) -> None:
    """Give up every privilege: `keep`, `map` (root of a user namespace with no other user) or `UID`."""
    if identity == "map":
        # Root here is an ordinary user outside. Below root, bubblewrap starts without capabilities.
        forked.call("unshare", CLONE_NEWUSER)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", "65534 0 1"),
            ("gid_map", "65534 0 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 (pathlib is a slow import)
                file.write(text)
    elif identity != "keep":
        uid, gid = (int(each) for each in identity.split(":"))
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    forked.call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    forked.call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.umask(0o022)


def read_proc(path: str) -> str:
    """The text of a file under /proc, empty when its process is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        pieces = []
        while piece := os.read(fd, PIECE):
            pieces.append(piece)
        return b"".join(pieces).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def family(root: int) -> Iterator[tuple[int, list[str]]]:
    """A process and all below it, each with its threads."""
    found, waiting = {root}, [root]
    while waiting:
        pid = waiting.pop()
        try:
            threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (pathlib is a slow import)
        except OSError:
            continue
        yield pid, threads
        for thread in threads:
            for child in read_proc(f"/proc/{pid}/task/{thread}/children").split():
                if int(child) not in found:
                    found.add(int(child))
                    waiting.append(int(child))


def resident_kb(root: int) -> int:
    """Memory that cannot be dropped, in KiB, of a process and all below it."""
    return sum(
        int(line.split()[1])
        for pid, _ in family(root)
        for line in read_proc(f"/proc/{pid}/status").splitlines()
        if line.startswith(("RssAnon:", "RssShmem:"))
    )


def ran_and_waited(root: int) -> list[tuple[float, float]]:
    """Seconds that each thread ran, and that it could have run and waited for a processor.

    Those of a process that are gone, and the children that it waited for, are one that never waited:
    else a program that works in short-lived children would have done nothing. None where the kernel
    keeps no such account (sched-stats.rst, /proc/<pid>/schedstat; proc_pid_stat(5)).
    """
    accounts = []
    for pid, threads in family(root):
        lines = [read_proc(f"/proc/{pid}/task/{each}/schedstat").split() for each in threads]
        living = [(int(each[0]) / 1e9, int(each[1]) / 1e9) for each in lines if len(each) == 3]
        spent = read_proc(f"/proc/{pid}/stat").rpartition(")")[2].split()[11:15]
        gone = sum(int(each) for each in spent) / TICKS_S - sum(ran for ran, _ in living)
        accounts += [*living, (max(0.0, gone), 0.0)] if living else []
    return accounts


def has_sockets(root: int) -> bool:
    """Whether anything in a process's network namespace holds an Internet socket that could queue.

    Counts of the namespace alone, in a hundredth of the time that the tables take, which walk the
    hashes of the whole machine. What cannot be read is taken to hold some.
    """
    counts = read_proc(f"/proc/{root}/net/sockstat")
    lines = (counts + read_proc(f"/proc/{root}/net/sockstat6")).splitlines()
    inuse = [line.split()[2] for line in lines if line.startswith(("TCP", "UDP"))]
    return not counts or any(each != "0" for each in inuse)


def queued_kb(root: int) -> int:
    """Memory that waits in the Internet sockets of a process's namespace, in KiB (proc_net(5))."""
    if not has_sockets(root):
        return 0
    total = 0
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in read_proc(f"/proc/{root}/net/{table}").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 4:  # the last line may be cut
                total += sum(int(each, 16) for each in fields[4].split(":"))
    return total >> 10


class HubGone(Exception):  # noqa: N818 (an event, not an error; never leaves this process)
    """The hub ended or withdrew the job."""


class Run:
    """One job, from its request to its result.

    `waiting` is the child that an earlier run left for this one; `following` the one that this run
    leaves.
    """

    def __init__(
        self, link: socket.socket, hub: int, fds: list[int], waiting: forked.Bubblewrap | None
    ) -> None:
        self.link, self.hub = link, hub
        request, *fds = fds
        self.job, self.blobs = forked.understood(forked.contents(request))
        os.close(request)
        joins = self.job["joins"]
        self.joins, rest = fds[:joins], fds[joins:]
        self.watch = rest.pop(0) if self.job["watch"] else -1
        self.joins_ahead = rest
        self.child = waiting
        self.following: forked.Bubblewrap | None = None
        self.waiting: deque[bytes] = deque()
        self.seen = {b"O": 0, b"E": 0}
        self.clipped = False
        self.ended_by: str | None = None
        self.complaint = b""
        self.outer = self.init = self.program = -1
        self.scratch: list[int] = []
        self.more: dict[int, int] = {}  # descriptors of the child beside its streams, by number
        self.peak_kb = 0
        self.began: float | None = None
        self.stopped: float | None = None
        self.accounts: list[tuple[float, float]] = []
        self.deadline = 0.0

    # The supervisor --------------------------------------------------------------------------

    def carry_out(self) -> None:
        """Run the job to its end and send everything that follows from it."""
        child = self.started()
        pid, self.outer = child.pid, child.handle
        out, err, info, gate = child.out, child.err, child.info, child.gate
        self.think_ahead(child.shape)
        try:
            self.attend(out, err, info, gate)
        finally:
            statuses = self.end()
        stopped = self.stopped or time.monotonic()
        wall = stopped - self.began if self.began is not None else 0.0
        self.pump(out, b"O")
        self.pump(err, b"E")
        self.judge_memory()
        verdict = self.verdict(pid, statuses) if self.began is not None else None
        if verdict is None:
            text = self.complaint.decode("utf-8", "replace")
            last = b"X" + json.dumps({"detail": text[:500]}).encode()
        else:
            status, spent = verdict
            # A dying init reaps what it takes along without its times (zap_pid_ns_processes).
            spent = max(spent, sum(ran for ran, _ in self.accounts))
            if self.ended_by is None:
                self.harvest()
            result = {"status": status, "ended_by": self.ended_by, "clipped": self.clipped}
            result["starved"] = self.ended_by == "wall" and self.kept_waiting(wall, spent)
            measured = {"wall_s": wall, "cpu_s": spent, "peak_kb": self.peak_kb}
            last = b"R" + json.dumps({**result, **measured}).encode()
        gate.close()
        held = (info, self.outer, self.init, self.program, *self.scratch, self.watch)
        for fd in (out, err, *self.inner(), *held):
            if fd >= 0:
                os.close(fd)
        self.say(last)  # whoever reads it finds nothing of the job left

    def started(self) -> forked.Bubblewrap:
        """The bubblewrap of this job, which has been told of it."""
        shape = forked.shape(self.job, self.blobs)
        child, joins = self.child, self.joins
        if child is not None:
            fits = (child.group, child.shape, self.more) == (self.job["group"], shape, {})
            if fits and child.go(self.job, self.blobs):
                for fd in joins:
                    os.close(fd)
                return child
            child.dismiss()
        child = forked.Bubblewrap(shape, self.job["group"], joins, self.more)
        child.go(self.job, self.blobs)
        return child

    def think_ahead(self, shape: forked.Shape) -> None:
        """Start the next run's bubblewrap while this one sets its sandbox up and leaves us idle."""
        if self.more:  # nobody knows those of the next run
            for fd in self.joins_ahead:
                os.close(fd)
        else:
            guess = shape._replace(words=())
            self.following = forked.Bubblewrap(guess, self.job["following"], self.joins_ahead)

    def attend(self, out: int, err: int, info: int, gate: socket.socket) -> None:  # noqa: C901 (one loop)
        """Pump output and keep the limits until the program ends or must be ended."""
        poll = select.poll()
        streams = {out: b"O", err: b"E"}
        more = self.inner()
        for fd in (out, err, gate.fileno(), self.outer, self.hub, *more):
            poll.register(fd, select.POLLIN)
        self.deadline = time.monotonic() + SETUP_S
        look = time.monotonic() + TICK_S
        while self.ended_by is None:
            poll.register(self.link, select.POLLIN | (select.POLLOUT if self.waiting else 0))
            pause = max(0.0, min(self.deadline, look) - time.monotonic())
            for fd, _ in poll.poll(pause * 1000 + 1):
                if fd == self.outer or (fd in more and not self.hear()):
                    return
                if fd == gate.fileno():
                    poll.unregister(fd)
                    if self.open_gate(gate, info):
                        self.set_off()
                elif fd in streams and not self.pump(fd, streams[fd]):
                    poll.unregister(fd)
                elif fd not in streams and fd not in more:
                    self.flush()
            now = time.monotonic()
            if now >= self.deadline:
                self.ended_by = "wall" if self.out_of_time(now) else None
            elif now >= look:
                self.judge_memory()
                look = now + TICK_S

    def out_of_time(self, now: float) -> bool:
        """Whether the wall clock ends the run; what others keep waiting may last longer."""
        self.accounts = ran_and_waited(self.init_pid) if self.init >= 0 else []
        if self.began is None or now >= self.began + self.job["longest_s"]:
            return True
        spent = sum(ran for ran, _ in self.accounts)
        self.deadline = now + self.job["wall_s"] / 4
        return not self.kept_waiting(now - self.began, spent)

    def kept_waiting(self, wall: float, spent: float) -> bool:
        """Whether the run mostly waited for a processor that others had.

        Others than the program's own: while a thread waits for its siblings these run, and while the
        quota holds it up the program has run as long before. So that much of its waiting tells nothing.
        """
        held_up = any(
            waited - max(0.0, spent - ran) >= max(ran, STARVED_SHARE * wall)
            for ran, waited in self.accounts
        )
        return held_up and spent < self.job["wall_s"] / 2

    def inner(self) -> tuple[int, ...]:
        """What to listen to beside the program's output; bubblewrap says nothing of its own."""
        return ()

    def hear(self) -> bool:
        """Take what came from `inner`; False when the run is over."""
        return False

    def set_off(self) -> None:
        """The sandbox stands, and the program runs from now on."""
        self.began = time.monotonic()
        self.deadline = self.began + self.job["wall_s"]

    def harvest(self) -> None:
        """Send what the program left in /out; nothing of it runs any more."""
        whole = Harvest(self.say, self.job["artefact_bytes"]).take(self.scratch[0])
        self.clipped = self.clipped or not whole

    def open_gate(self, gate: socket.socket, info: int) -> bool:
        """Take hold of the sandbox before the program starts, bound its resources, then let it go."""
        space = socket.CMSG_SPACE(struct.calcsize("3i"))
        data, ancillary, _, _ = gate.recvmsg(16, space)
        if not data:
            return False
        # The kernel wrote the sender's number as this process sees it: no other race-free way to it.
        pid = next(
            struct.unpack("3i", content[:12])[0]
            for _, kind, content in ancillary
            if kind == socket.SCM_CREDENTIALS
        )
        self.program = os.pidfd_open(pid)
        init = int(json.loads(os.read(info, 4096).partition(b"}")[0] + b"}")["child-pid"])
        self.init = os.pidfd_open(init)
        self.init_pid = init
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
        self.scratch = [os.open(f"/proc/{pid}/root/{name}", flags) for name in SCRATCH]
        for name, bound in self.job["rlimits"].items():
            resource.prlimit(pid, getattr(resource, name), tuple(bound))
        gate.send(b"\n")
        return True

    def pump(self, fd: int, stream: bytes) -> bool:
        """Take what a stream has to give, keep what its limit allows; False at its end."""
        cap = self.job["output_bytes"]
        while True:
            try:
                data = os.read(fd, PIECE)
            except BlockingIOError:
                return True
            if not data:
                return False
            kept = data[: max(0, cap - self.seen[stream])]
            self.seen[stream] += len(data)
            if kept:
                self.waiting.append(stream + kept)
            if self.began is None:
                self.complaint = (self.complaint + data)[:4096]
            if len(kept) < len(data):
                self.clipped = True
            if self.seen[stream] > FLOOD * cap:
                self.ended_by = self.ended_by or "output"
                return False
            if len(data) < PIECE:
                return True

    def judge_memory(self) -> None:
        """End the job when it took more memory, or more inodes, than it was given."""
        if self.watch >= 0:
            events = os.pread(self.watch, 4096, 0).split()
            if int(events[events.index(b"oom_kill") + 1]) > 0:
                self.ended_by = "memory"
        if self.init >= 0:
            # Control groups of version 1 count neither what waits in connections nor in datagrams.
            used = queued_kb(self.init_pid)
            if self.watch < 0:
                used += resident_kb(self.init_pid)
                self.peak_kb = max(self.peak_kb, used)
            if used > self.job["memory_kb"]:
                self.ended_by = self.ended_by or "memory"
        for fd in self.scratch:
            held = os.fstatvfs(fd)
            if held.f_files - held.f_ffree > SCRATCH_INODES:
                self.ended_by = self.ended_by or "memory"

    def end(self) -> dict[int, tuple[int, resource.struct_rusage]]:
        """Kill whatever of the job is left and reap all of it, so that no zombie stays behind.

        Before the gate opened, bubblewrap's inner process is known by nothing but its parentage: when
        the outer one dies it becomes our child, so children are killed until there are none.
        """
        for fd in (self.init, self.outer):
            if fd >= 0:
                try:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        spared = None if self.following is None else self.following.pid
        gone: dict[int, tuple[int, resource.struct_rusage]] = {}
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return gone
            if pid:
                if pid == spared:
                    spared = None  # it died, and its number may become another's
                else:
                    gone[pid] = (status, usage)
                continue
            children = read_proc(f"/proc/self/task/{os.getpid()}/children").split()
            left = [int(child) for child in children if int(child) != spared]
            if not left:
                return gone
            for child in left:
                os.kill(child, signal.SIGKILL)  # ours, and not reaped: the number is not reused
            time.sleep(0.0005)

    def verdict(
        self, outer: int, gone: dict[int, tuple[int, resource.struct_rusage]]
    ) -> tuple[int, float] | None:
        """The program's wait status and its processor time in seconds; None: the sandbox broke."""
        spent = 0.0
        for pid, (_, usage) in gone.items():
            spent += usage.ru_utime + usage.ru_stime
            if pid != outer:  # the outer one was this interpreter before it became bubblewrap
                self.peak_kb = max(self.peak_kb, usage.ru_maxrss)
        answer = bytearray(64)
        struct.pack_into("Q", answer, 0, PIDFD_INFO_EXIT)
        try:
            fcntl.ioctl(self.program, PIDFD_GET_INFO, answer, True)
            if struct.unpack_from("Q", answer)[0] & PIDFD_INFO_EXIT:
                return struct.unpack_from("i", answer, 60)[0], spent
        except OSError:
            pass  # an older kernel; bubblewrap's own answer is next
        status = gone[outer][0]
        code = os.waitstatus_to_exitcode(status)
        if 128 < code <= 128 + signal.NSIG:  # bubblewrap tells of signals as shells do
            return code - 128, spent
        return status, spent

    # Towards the hub -------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what can be sent without waiting; raises `HubGone` when nobody is there any more."""
        try:
            while self.waiting:
                self.link.send(self.waiting[0], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                self.waiting.popleft()
        except BlockingIOError:
            pass
        except OSError as problem:
            raise HubGone from problem
        # The hub says nothing while a job runs: anything readable is its end of the line.
        if select.select([self.link.fileno(), self.hub], [], [], 0)[0]:
            raise HubGone

    def say(self, message: bytes) -> None:
        """Send one message after the program is dead, waiting as long as the hub needs."""
        while self.waiting:
            self.link.send(self.waiting.popleft(), socket.MSG_NOSIGNAL)
        self.link.send(message, socket.MSG_NOSIGNAL)


class Harvest:
    """Sends the regular files of a dead sandbox's /out, within bounds, in the order of their names.

    All processes that could change anything are dead, and the descriptor was opened before they
    lived; even so nothing is opened by a path, followed, or waited for.
    """

    def __init__(self, say: Any, room: int) -> None:
        self.say, self.room = say, room
        self.files = ARTEFACT_FILES

    def take(self, top: int) -> bool:
        """Send everything below `top`; False when something did not fit."""
        return self.walk(top, "", ARTEFACT_DEPTH)

    def walk(self, folder: int, prefix: str, depth: int) -> bool:
        """Send one directory; False when a bound was met."""
        for name in sorted(os.listdir(folder)):
            path = prefix + name
            try:
                plain = path.isprintable() and len(path.encode("utf-8")) <= NAME_BYTES
            except UnicodeEncodeError:
                plain = False
            try:
                kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            except PermissionError:  # its directory may not be searched
                continue
            if not plain or not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                continue
            if stat.S_ISDIR(kind) and depth == 0:
                return False
            try:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                fd = os.open(name, flags, dir_fd=folder)
            except PermissionError:
                continue
            try:
                if stat.S_ISDIR(kind):
                    fitted = self.walk(fd, f"{path}/", depth - 1)
                else:
                    fitted = self.send(fd, path)
            finally:
                os.close(fd)
            if not fitted:
                return False
        return True

    def send(self, fd: int, path: str) -> bool:
        """Send one file; False when it does not fit any more."""
        size = os.fstat(fd).st_size
        if size > self.room or self.files == 0:
            return False
        self.room -= size
        self.files -= 1
        self.say(b"F" + size.to_bytes(8, "big") + path.encode("utf-8"))
        while piece := os.read(fd, PIECE):
            self.say(b"D" + piece)
        return True


def main(kind: type[Run] = Run) -> None:
    """Serve the hub until it is gone. Arguments: the socket, the hub's pidfd, the identity."""
    link = socket.socket(fileno=int(sys.argv[1]))
    hub = int(sys.argv[2])
    os.set_inheritable(link.fileno(), False)
    os.set_inheritable(hub, False)
    become(sys.argv[3])
    link.send(b"S")
    waiting = None
    try:
        while fds := asked(link, hub):
            run = kind(link, hub, fds, waiting)
            try:
                run.carry_out()
            finally:
                waiting = run.following
    except (HubGone, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        if waiting is not None:
            waiting.dismiss()


def asked(link: socket.socket, hub: int) -> list[int]:
    """The descriptors of the next job; none when the hub is gone."""
    poll = select.poll()
    poll.register(link, select.POLLIN)
    poll.register(hub, select.POLLIN)
    if any(fd == hub for fd, _ in poll.poll()):
        return []
    return forked.received(link)[1]


if __name__ == "__main__":
    main()
