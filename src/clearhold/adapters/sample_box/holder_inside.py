"""The first process of an agent's sandbox: it runs the commands that the harness asks for.

Sent over descriptor 4 and run by an isolated interpreter inside, so it uses the standard library
alone, and of that only what is read at once: every sample waits for it. It has no more rights than
the commands it starts; being the first process of its namespace nobody inside can kill it, and being
undumpable nobody can read or trace it. What takes it over could lie about commands of its own and
nothing else.

Frames both ways: four bytes of length, big-endian, and as many bytes. A request is a dictionary as
marshal writes it, which the harness alone does, followed by one frame of content; answers begin with
a letter: `O` and `E` carry output and errors of a command, `D` a file, `R` ends the answer with a
JSON object.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import select
import stat
import sys
import time

TYPE_CHECKING = False  # reading typing takes longer than reading all of the others
if TYPE_CHECKING:
    from typing import Any, NoReturn

LINK = 4
PIECE = 65536
FLOOD = 64  # output is read on, and thrown away, up to this many times its limit
LINGER_S = 0.1  # how long what a command left behind may go on writing after it
IDLE_MS = 1000
PR_SET_DUMPABLE = 4
SIGINT, SIGKILL, SIGPIPE, SIGXFSZ = 2, 9, 13, 25  # signal(7); Python's signal reads enum
SIG_DFL, SIG_IGN = 0, 1

libc = ctypes.CDLL(None, use_errno=True)
libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)


class Link:
    """The line to the harness."""

    def take(self) -> bytes:
        """The next frame; ends this process when the harness is gone."""
        return self._take(int.from_bytes(self._take(4), "big"))

    def _take(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = os.read(LINK, min(PIECE, size - len(data)))
            if not piece:
                os._exit(0)
            data += piece
        return bytes(data)

    def tell(self, message: bytes) -> None:
        """Send one frame."""
        view = memoryview(len(message).to_bytes(4, "big") + message)
        while view:
            view = view[os.write(LINK, view) :]


def reap() -> None:
    """Take note of whatever ended: orphans become children of the first process."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


class Command:
    """One command, from its start until it and its output ended."""

    def __init__(self, link: Link, asked: dict[str, Any], given: bytes) -> None:
        self.link, self.asked, self.given = link, asked, given
        self.most = int(asked["output_bytes"])
        self.seen = {b"O": 0, b"E": 0}
        self.ended_by = ""

    def become(self, ends: tuple[int, int, int]) -> NoReturn:
        """Turn the forked child into the command."""
        try:
            os.setsid()
            for number, fd in enumerate(ends):
                os.dup2(fd, number)
            os.close(LINK)
            for number in (SIGINT, SIGPIPE, SIGXFSZ):
                libc.signal(number, SIG_DFL)  # what is ignored here would be there too
            # An undumpable process may not write its own; of this one there is nothing to protect.
            libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123 (no pathlib here)
                file.write("500")  # sooner than the process that must tell of it
            os.chdir(self.asked["directory"])
            argv = self.asked["argv"]
            os.execvpe(argv[0], argv, self.asked["env"])  # noqa: S606 (no shell is the point)
        except OSError as problem:
            os.write(2, f"{self.asked['argv'][0]}: {problem.strerror}\n".encode())
            os._exit(127 if isinstance(problem, FileNotFoundError) else 126)
        except BaseException:  # noqa: BLE001 (the child must never return into the loop)
            os._exit(126)

    def run(self) -> None:
        """Run it to its end and answer."""
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
        try:
            pid = os.fork()
        except OSError as problem:
            for end in (fd for pair in pipes for fd in pair):
                os.close(end)
            self.link.tell(b"E" + f"fork: {problem.strerror}\n".encode())
            self.answer(126, 0)
            return
        if pid == 0:
            self.become((pipes[0][0], pipes[1][1], pipes[2][1]))
        for end in (pipes[0][0], pipes[1][1], pipes[2][1]):
            os.close(end)
        status = self.attend(pid, pipes[0][1], {pipes[1][0]: b"O", pipes[2][0]: b"E"})
        code = os.waitstatus_to_exitcode(status)
        self.answer(code if code >= 0 else 128 - code, -code if code < 0 else 0)

    def answer(self, code: int, signal_: int) -> None:
        """Say how it ended."""
        clipped = any(each > self.most for each in self.seen.values())
        self.link.tell(
            b'R{"exit":%d,"signal":%d,"ended_by":"%s","clipped":%s}'
            % (code, signal_, self.ended_by.encode(), b"true" if clipped else b"false")
        )

    def attend(  # noqa: C901 (one loop)
        self, pid: int, into: int, streams: dict[int, bytes]
    ) -> int:
        """Feed it, pump what it says, and end it at its time; its wait status."""
        child = os.pidfd_open(pid)
        poll = select.poll()
        for fd in (into, *streams, child):
            os.set_blocking(fd, False)
        if self.given:
            poll.register(into, select.POLLOUT)
        else:
            os.close(into)
            into = -1
        for fd in (*streams, child):
            poll.register(fd, select.POLLIN)
        until = time.monotonic() + float(self.asked["within_s"])
        status: int | None = None
        while streams or status is None:
            left = until - time.monotonic()
            if left <= 0:
                if status is not None:
                    break
                self.stop(pid, "wall")
                left = LINGER_S
                until = time.monotonic() + 5.0
            for fd, _ in poll.poll(left * 1000 + 1):
                if fd == child:
                    poll.unregister(child)
                    _, status = os.waitpid(pid, 0)
                    until = min(until, time.monotonic() + LINGER_S)
                elif fd == into:
                    into = self.feed(poll, into)
                elif not self.pump(fd, streams[fd], pid):
                    poll.unregister(fd)
                    os.close(fd)
                    del streams[fd]
        for fd in (*streams, child, *([into] if into >= 0 else [])):
            os.close(fd)
        return status if status is not None else SIGKILL

    def feed(self, poll: select.poll, into: int) -> int:
        """Write more of its input; -1 once all is written or nobody reads."""
        try:
            self.given = self.given[os.write(into, self.given[:PIECE]) :]
        except BlockingIOError:
            return into
        except OSError:
            self.given = b""
        if self.given:
            return into
        poll.unregister(into)
        os.close(into)
        return -1

    def pump(self, fd: int, stream: bytes, pid: int) -> bool:
        """Pass on what its limit allows; False at the end of the stream."""
        try:
            data = os.read(fd, PIECE)
        except BlockingIOError:
            return True
        if not data:
            return False
        kept = data[: max(0, self.most - self.seen[stream])]
        self.seen[stream] += len(data)
        if kept:
            self.link.tell(stream + kept)
        if self.seen[stream] > FLOOD * self.most and not self.ended_by:
            self.stop(pid, "output")
        return True

    def stop(self, pid: int, reason: str) -> None:
        """Kill it and what stayed in its session's group."""
        self.ended_by = self.ended_by or reason
        for kill in (os.killpg, os.kill):
            try:
                kill(pid, SIGKILL)
            except OSError:
                continue


def folder_of(path: str, *, make: bool) -> tuple[int, str]:
    """The directory of a file, opened one name after the other without following a link."""
    parts = [each for each in path.split("/") if each]
    if not parts or not path.startswith("/") or {".", ".."} & {*parts}:
        raise OSError(22, "no plain absolute path")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    here = os.open("/", flags)
    for part in parts[:-1]:
        if make:
            try:  # noqa: SIM105 (contextlib takes long to read)
                os.mkdir(part, 0o755, dir_fd=here)
            except FileExistsError:
                pass
        try:
            below = os.open(part, flags, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here, parts[-1]


def write(asked: dict[str, Any], content: bytes) -> None:
    """Lay a file, in place of whatever had its name."""
    folder, name = folder_of(asked["path"], make=True)
    try:
        part = f".{name[:200]}.part"
        try:  # noqa: SIM105
            os.unlink(part, dir_fd=folder)
        except FileNotFoundError:
            pass
        fd = os.open(
            part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder
        )
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            os.fchmod(fd, int(asked["mode"]))
        finally:
            os.close(fd)
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def read(link: Link, asked: dict[str, Any]) -> None:
    """Send a regular file, if it is no larger than asked."""
    folder, name = folder_of(asked["path"], make=False)
    try:
        fd = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
        )
    finally:
        os.close(folder)
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(22, "no regular file")
        room = int(asked["most"])
        if facts.st_size > room:
            raise OSError(27, "larger than allowed")
        while room >= 0 and (piece := os.read(fd, PIECE)):
            room -= len(piece)
            if room >= 0:
                link.tell(b"D" + piece)
    finally:
        os.close(fd)


def said(link: Link, error: int, why: str) -> None:
    """Answer with an errno and its words, which are plain but for what json would quote."""
    plain = "".join(each for each in why if each.isalnum() or each in " -,:()")
    link.tell(b'R{"error":%d,"why":"%s"}' % (error, plain.encode("ascii", "replace")))


def serve(link: Link) -> NoReturn:
    """Answer requests until the harness is gone."""
    poll = select.poll()
    poll.register(LINK, select.POLLIN)
    while True:
        while not poll.poll(IDLE_MS):
            reap()
        asked, content = marshal.loads(link.take()), link.take()  # noqa: S302 (the harness wrote it)
        reap()
        try:
            if asked["do"] == "exec":
                Command(link, asked, content).run()
                continue
            if asked["do"] == "write":
                write(asked, content)
            elif asked["do"] == "read":
                read(link, asked)
            said(link, 0, "")
        except OSError as problem:
            said(link, problem.errno or 5, str(problem.strerror))


def main() -> NoReturn:
    """Close the door behind, then serve."""
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit("the first process can be traced")
    # The kernel keeps from it what it has no handler for, and Python has one for this.
    libc.signal(SIGINT, SIG_IGN)
    os.set_inheritable(LINK, False)
    link = Link()
    link.tell(b"R{}")
    serve(link)


main()
