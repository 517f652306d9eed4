"""Measuring the sandbox: its tier is what hostile behaviour met on this very machine.

The probe program tries what an exploit would try and reports what was denied. It refuses to try
anything unless it sees that none of its namespaces is the hub's.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhold.adapters.sandbox_bwrap.cgroup import Hierarchy
from clearhold.adapters.sandbox_bwrap.slot import SetupError
from clearhold.kernel.errors import ClearholdError
from clearhold.ports.sandbox import Job, Limits, Outcome, Tier

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
# Every name the probe program must answer for, so that one that answers less has no tier.
EXPECTED = (
    *("separate namespaces", "no network interface", "no way to the internet"),
    *("no service of the machine", "no abstract socket of the machine", "no netlink"),
    *("no raw packets", "no foreign sockets", "no environment of the hub", "no canary of the hub"),
    *("no accounts", "no homes", "no data and no daemons' sockets", "no system tree"),
    *("no processes of the machine", "no signal to the hub", "no capabilities"),
    *("no new privileges", "system call filter", "no second entrance to the kernel"),
    *("no calls of the future", "no way back to root", "no mounting", "no remounting"),
    *("no mounting by descriptor", "no other root", "no namespaces within"),
    *("no joining of namespaces", "no io_uring", "no userfaultfd", "no kernel programs"),
    *("no performance counters", "no kernel keys", "no kernel modules", "no tracing"),
    *("no memory of others", "no files by handle", "no watching of files", "no terminal"),
    *("no other devices", "no memory of the kernel", "kernel settings are closed"),
    *("the clock is closed", "the launcher cannot be rewritten"),
    *("no map of users can be written", "own limits stay", "system is read-only"),
    *("bounded scratch", "bounded processes", "no leaked descriptors"),
)
_PYTHON = "/usr/bin/python3"
_SCRIPT = Path(__file__).with_name("probe_inside.py")
_MEMORY_MB = 64
_GUARD = "import os,sys\nif os.readlink('/proc/self/ns/pid')==sys.argv[1]: sys.exit(3)\n"
_GREEDY = _GUARD + (
    "import time\nheld=[]\n"
    "for _ in range(64): held.append(bytearray(b'x')*(4<<20)); time.sleep(.005)\n"
    "time.sleep(2)\n"
)


@dataclass(frozen=True, slots=True)
class Probe:
    """One protection: whether it holds here, what was seen, and what would help when it does not."""

    name: str
    passed: bool
    detail: str
    next_step: str = ""


MISSING = Probe(
    "bubblewrap",
    passed=False,
    detail="the program bwrap is not installed",
    next_step="install bubblewrap (apt-get install bubblewrap)",
)


def measure(
    attempt: Callable[[Job, Hierarchy | None], Outcome],
    hierarchy: Hierarchy | None,
    *,
    own_kernel: bool = False,
) -> tuple[tuple[Probe, ...], Tier]:
    """Run the probes through `attempt` and derive the tier: everything must hold for any tier.

    Control groups raise the tier when a run could join one and its memory limit was seen to work.
    `own_kernel` says that the sandbox was seen to have one, which cannot do without control groups.
    """
    inside = _inside(attempt, hierarchy if own_kernel else None, own_kernel=own_kernel)
    if not all(each.passed for each in inside):
        return inside, Tier.NONE
    if hierarchy is not None:
        counted = _memory(attempt, hierarchy, "control group")
        if counted.passed:
            return (*inside, counted), Tier.NAMESPACES_CGROUP
    else:
        counted = Probe(
            "control group",
            passed=False,
            detail="no control group of this machine can be written",
            next_step="run the hub as root, or delegate a control group to it, for the higher tier",
        )
    if own_kernel:
        return (*inside, counted), Tier.NONE
    watched = _memory(attempt, None, "memory limit")
    return (*inside, watched, counted), Tier.NAMESPACES if watched.passed else Tier.NONE


def _inside(
    attempt: Callable[[Job, Hierarchy | None], Outcome],
    hierarchy: Hierarchy | None,
    *,
    own_kernel: bool,
) -> tuple[Probe, ...]:
    with _bait() as facts:
        limits = Limits(processes=12, scratch_mb=int(facts["scratch_mb"]), memory_mb=512, wall_s=30)
        job = Job(
            argv=(_PYTHON, "-I", "-S", "/in/probe.py", "/in/facts.json"),
            files={
                "/in/probe.py": _SCRIPT.read_bytes(),
                "/in/facts.json": json.dumps(facts | {"own_kernel": own_kernel}).encode(),
            },
            limits=limits,
        )
        try:
            outcome = attempt(job, hierarchy)
        except SetupError as problem:
            return (_cannot_start(problem.detail),)
        except ClearholdError as problem:
            return (Probe("bubblewrap", False, problem.message, problem.next_step),)
    try:
        answers = json.loads(outcome.stdout)
        return tuple(
            Probe(name, answers[name][0] is True, str(answers[name][1])) for name in EXPECTED
        )
    except (ValueError, KeyError, TypeError, IndexError):
        text = outcome.stderr.decode("utf-8", "replace").strip().splitlines() or ["no output"]
        detail = f"the probe ended with {outcome.exit_code or outcome.signal}: {text[-1][:200]}"
        step = "" if Path(_PYTHON).exists() else "install python3 (apt-get install python3)"
        return (Probe("probe program", False, detail, step),)


@contextlib.contextmanager
def _bait() -> Iterator[dict[str, Any]]:
    """What the probe looks for and must not find: a file, two listening sockets, this process."""
    with (
        tempfile.NamedTemporaryFile(prefix="clearhold-canary-", mode="w") as canary,
        socket.socket(socket.AF_INET) as service,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        canary.write("canary")
        canary.flush()
        Path(canary.name).chmod(0o644)
        name = f"clearhold-{secrets.token_hex(8)}"
        service.bind(("127.0.0.1", 0))
        abstract.bind(f"\0{name}")
        for each in (service, abstract):
            each.listen()
        yield {
            "namespaces": {each: namespace(each) for each in NAMESPACES},
            "canary": canary.name,
            "scratch_mb": 8,
            "port": service.getsockname()[1],
            "abstract": name,
            "hub": os.getpid(),
        }


def namespace(name: str) -> str:
    """What names one of this process's namespaces, for example `pid:[4026531836]`."""
    return str(Path("/proc/self/ns", name).readlink())


def _cannot_start(detail: str) -> Probe:
    first = (detail.strip().splitlines() or ["no reason given"])[0][:200]
    return Probe(
        "bubblewrap",
        passed=False,
        detail=f"bubblewrap cannot set a sandbox up here ({first})",
        next_step="allow user namespaces: in a container run it with a seccomp profile that permits "
        "unshare and mount, on a host see kernel.unprivileged_userns_clone and "
        "kernel.apparmor_restrict_unprivileged_userns",
    )


def _memory(
    attempt: Callable[[Job, Hierarchy | None], Outcome], hierarchy: Hierarchy | None, name: str
) -> Probe:
    job = Job(
        argv=(_PYTHON, "-I", "-S", "-c", _GREEDY, namespace("pid")),
        limits=Limits(memory_mb=_MEMORY_MB, wall_s=20),
    )
    try:
        outcome = attempt(job, hierarchy)
    except SetupError as problem:
        return Probe(
            name, False, f"a run could not be started in it: {problem.detail.strip()[:200]}"
        )
    except ClearholdError as problem:
        return Probe(name, False, problem.message, problem.next_step)
    seen = f"256 MB asked under a limit of {_MEMORY_MB}: " + (
        "ended" if outcome.out_of_memory else f"allowed (exit {outcome.exit_code})"
    )
    return Probe(name, outcome.out_of_memory, seen)
