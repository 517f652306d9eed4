"""Bubblewrap, started ahead of its job in its control groups: it waits for its own options.

Part of the supervisor, and like it of the standard library alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
from typing import Any, NamedTuple, NoReturn

GATE = 3
FIRST_INPUT = 12  # the options and the line for what bubblewrap tells come before
WORDS = "_sandbox_words"
LONGEST_WORDS = 96 * 1024  # MAX_ARG_STRLEN, execve(2), is 128 KiB
# The shell tells the supervisor that everything is set up, waits for leave, and becomes the program.
# A gate that closes instead is no leave: nothing may start without its limits.
STAGE = (
    f"echo >&{GATE}; read -r _ <&{GATE} || exit 125; "
    f'eval "unset {WORDS}; exec ${{{WORDS}-\\"\\$@\\"}} {GATE}>&-"'
)
PR_SET_PDEATHSIG = 1
ADDR_NO_RANDOMIZE = 0x0040000

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int) -> None:
    """Call a C library function that answers -1 for failure."""
    if getattr(libc, name)(*[ctypes.c_ulong(each) for each in arguments]) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


class Shape(NamedTuple):
    """What must be known of a job before bubblewrap starts.

    `words` are the program's own, but for those that travel with the options; `nests` says that it may
    make user namespaces.
    """

    bwrap: str
    inputs: int
    randomise: bool
    words: tuple[str, ...]
    nests: bool


class Bubblewrap:
    """A bubblewrap that has joined the control groups called `group` and reads its options next.

    Joining makes the kernel wait for a grace period of RCU (percpu_down_write, in
    kernel/locking/percpu-rwsem.c), longer than everything else that a short run takes, and starting
    takes its time too: so that of the next run starts while this run's program is at work.

    `out`, `err`, `info` and `gate` are the supervisor's ends of its lines, `handle` a descriptor of the
    process; `more` are further descriptors by their number inside.
    """

    def __init__(
        self, shape: Shape, group: str, joins: list[int], more: dict[int, int] | None = None
    ) -> None:
        self.shape, self.group = shape, group
        self.out, out = os.pipe2(os.O_CLOEXEC)
        self.err, err = os.pipe2(os.O_CLOEXEC)
        self.info, info = os.pipe2(os.O_CLOEXEC)
        options, told = os.pipe2(os.O_CLOEXEC)
        self.options = [told]
        self.gate, gate = socket.socketpair()
        self.gate.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.inputs = [blank() for _ in range(shape.inputs)]
        own = [out, err, gate.detach(), options, info]
        places = dict(zip((1, 2, GATE, FIRST_INPUT - 2, FIRST_INPUT - 1), own, strict=True))
        places |= dict(enumerate(self.inputs, FIRST_INPUT))
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self.become(parent, joins, {**places, **(more or {})})
        self.handle = os.pidfd_open(self.pid)
        for fd in (*own, *joins, *(more or {}).values()):
            os.close(fd)
        os.set_blocking(self.out, False)
        os.set_blocking(self.err, False)

    def dismiss(self) -> None:
        """End it without a job, so that nothing of it counts for the run that starts another."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it died before
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)
            os.waitid(os.P_PIDFD, self.handle, os.WEXITED)
        self.gate.close()
        self.close_lines()
        for fd in (self.handle, self.out, self.err, self.info):
            os.close(fd)

    def close_lines(self) -> None:
        """Close what a job is told by."""
        for fd in (*self.options, *self.inputs):
            os.close(fd)
        self.options, self.inputs = [], []

    def go(self, job: dict[str, Any], blobs: list[bytes]) -> bool:
        """Tell it a job: its options, and the contents of its inputs; False when it is dead."""
        for fd, blob in zip(self.inputs, blobs, strict=True):
            fill(fd, blob)
        words = ["--info-fd", str(FIRST_INPUT - 1), "--seccomp", str(FIRST_INPUT), *job["options"]]
        if not self.shape.words:
            words += ["--setenv", WORDS, quoted(job["argv"])]
        for place, name in enumerate(job["files"], FIRST_INPUT + 1):
            words += ["--perms", "0555", "--ro-bind-data", str(place), name]
        # Last: what we leave unsaid when we are killed, bubblewrap refuses (see `become`).
        words += ["--remount-ro", "/", "--chdir", job["directory"], "--unshare-user"]
        text = "".join(f"{each}\0" for each in words).encode("utf-8", "surrogateescape")
        try:
            while text:
                text = text[os.write(self.options[0], text) :]
        except BrokenPipeError:
            return False
        finally:
            self.close_lines()
        return True

    def become(self, parent: int, joins: list[int], places: dict[int, int]) -> NoReturn:
        """Runs in the child and never returns."""
        complaints = places[2]
        try:
            # What is ignored or blocked stays so across exec: Python ignores two, nohup(1) a third,
            # a shell's background jobs others.
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                if signal.getsignal(number) is not signal.SIG_DFL:
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
            for fd in joins:
                os.write(fd, b"0")
            if not self.shape.randomise:
                call("personality", ADDR_NO_RANDOMIZE)
            high = FIRST_INPUT + len(places) + GATE
            kept = {at: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, high) for at, fd in places.items()}
            for place, fd in kept.items():
                os.dup2(fd, place)
            complaints = 2  # another has its old number by now
            # The end of our line is the end of its options, even when we died in the middle. With half
            # of them it would start a process that outlives it; this one it refuses without the last.
            closed = [] if self.shape.nests else ["--disable-userns"]
            argv = [self.shape.bwrap, *closed, "--args", str(FIRST_INPUT - 2), "--"]
            argv += ["/bin/sh", "-c", STAGE, "sh", *self.shape.words]
            os.execve(argv[0], argv, {})  # noqa: S606 (no shell is the point)
        except BaseException as problem:  # noqa: BLE001 (the child must never return into the loop)
            os.write(complaints, f"{problem}\n".encode("utf-8", "replace"))
        finally:
            os._exit(1)


def shape(job: dict[str, Any], blobs: list[bytes]) -> Shape:
    """What bubblewrap must be started with for a job."""
    long = len(quoted(job["argv"]).encode("utf-8", "surrogateescape")) > LONGEST_WORDS
    words = tuple(job["argv"]) if long else ()
    nests = "--disable-userns" not in job["options"]
    return Shape(job["bwrap"], len(blobs), job["randomise"], words, nests)


def quoted(words: list[str]) -> str:
    """Words as a shell reads them back."""
    return " ".join("'" + each.replace("'", "'\\''") + "'" for each in words)


def received(line: socket.socket) -> tuple[bytes, list[int]]:
    """The next message and its descriptors, none of which a program inherits; nothing at the end."""
    # recv_fds takes flags and ignores them, so MSG_CMSG_CLOEXEC is of no use.
    data, fds, _, _ = socket.recv_fds(line, 256, 16)
    for fd in fds:
        os.set_inheritable(fd, False)
    return data, fds


def contents(fd: int) -> bytes:
    """Everything in a file, whoever else reads it."""
    return os.pread(fd, os.fstat(fd).st_size, 0)


def understood(request: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """A request's header, and the contents that follow it."""
    start = 8 + int.from_bytes(request[:8], "big")
    job: dict[str, Any] = json.loads(request[8:start])
    blobs = []
    for size in job["blobs"]:
        blobs.append(request[start : start + size])
        start += size
    return job, blobs


def sealed(blob: bytes) -> int:
    """A memory file that nobody can change any more, positioned at its start."""
    fd = blank()
    fill(fd, blob)
    return fd


def blank() -> int:
    """An empty memory file, to be filled."""
    return os.memfd_create("input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def fill(fd: int, blob: bytes) -> None:
    """Give a blank file its contents, which nobody can change any more; its position stays."""
    done = 0
    while done < len(blob):
        done += os.pwrite(fd, memoryview(blob)[done:], done)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
