"""The first process inside gVisor: it starts the program, waits for it, and collects what it left.

Sent as an argument of the interpreter inside, so it uses the standard library alone. It is root of a
kernel that exists for this one job, and holds nothing there but the right to become another user and
to end that user's processes. The supervisor outside checks all that it says: a program that took it
over could lie about itself and nothing else.

It reads one JSON object from its standard input, and answers on descriptor 3 in pieces of four bytes
of length, big-endian, and as many bytes that begin with a letter: `S` the program starts, `Z` it
ended, `F` and `D` an artefact as the supervisor knows them, `R` the result.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import stat  # noqa: F401  (for what comes from the supervisor)
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from clearhold.adapters.sandbox_bwrap.supervisor import Harvest  # noqa: TC004  (it is sent along)

# What follows comes from the supervisor.

TELLS = 3
NOBODY = 65534
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
CAPABILITIES = 64  # more than there are
# Devices of gVisor's own that no program under test needs.
UNWANTED = ("fuse", "net/tun", "net")

libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    """`struct sock_fprog` of seccomp(2)."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def tell(message: bytes) -> None:
    """Say one thing to the supervisor."""
    content = memoryview(len(message).to_bytes(4, "big") + message)
    while content:
        content = content[os.write(TELLS, content) :]


def need(answer: int, what: str) -> None:
    """End everything when a protection could not be put up: nothing may start without it."""
    if answer != 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


def confine(code: bytes) -> None:
    """Put up what the program inherits and nobody can take down again."""
    for name in UNWANTED:
        place = f"/dev/{name}"
        if os.path.lexists(place):
            (os.rmdir if os.path.isdir(place) else os.unlink)(place)  # noqa: PTH112
    need(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "dumpable")
    need(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    program = Program(len(code) // 8, code)
    need(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "filter")


def step_down() -> None:
    """Become the user that programs run as; the last capabilities go with it."""
    for number in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def become(job: dict[str, Any]) -> NoReturn:
    """Turn the forked child into the program."""
    try:
        os.setsid()
        fd = os.open("/dev/null", os.O_RDONLY)
        os.dup2(fd, 0)
        os.closerange(3, 64)
        os.chdir("/work")
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            if signal.getsignal(number) is not signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
        step_down()
        for name, bound in job["rlimits"].items():
            resource.setrlimit(getattr(resource, name), tuple(bound))
        os.execvpe(job["argv"][0], job["argv"], job["env"])  # noqa: S606 (no shell is the point)
    except OSError as problem:
        os.write(2, f"{job['argv'][0]}: {problem.strerror}\n".encode("utf-8", "replace"))
        os._exit(127 if isinstance(problem, FileNotFoundError) else 126)
    except BaseException as problem:  # noqa: BLE001 (the child must never return into the stage)
        os.write(2, f"{problem!r}\n".encode("utf-8", "replace"))
    os._exit(125)


def await_program(pid: int) -> tuple[int, resource.struct_rusage]:
    """The wait status of the program, and what it used; orphans are reaped on the way."""
    while True:
        gone, status, used = os.wait4(-1, 0)
        if gone == pid:
            return status, used


def end_the_rest() -> None:
    """Kill whatever else still runs, and reap it."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            os.wait4(-1, 0)
        except ChildProcessError:
            return


def main() -> None:
    """Carry out the one job there is."""
    with open(0, "rb", closefd=False) as given:
        job = json.loads(given.read())
    confine(bytes.fromhex(job["filter"]))
    tell(b"S")
    pid = os.fork()
    if pid == 0:
        become(job)
    status, used = await_program(pid)
    tell(b"Z")
    end_the_rest()
    step_down()
    try:
        out = os.open("/out", os.O_RDONLY | os.O_DIRECTORY)
        whole = Harvest(tell, job["artefact_bytes"]).take(out)
    except PermissionError:
        whole = True  # a program may lock what it leaves
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = {
        "status": status,
        "cpu_s": spent.ru_utime + spent.ru_stime,
        "peak_kb": max(used.ru_maxrss, spent.ru_maxrss),
        "whole": whole,
    }
    tell(b"R" + json.dumps(result).encode())


if __name__ == "__main__":
    main()
