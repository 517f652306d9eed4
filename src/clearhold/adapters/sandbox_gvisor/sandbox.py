"""`GvisorSandbox`: the sandbox port on gVisor (`runsc`), a kernel in user space.

What a program asks of a kernel is answered by gVisor's, which runs as an unprivileged user inside
bubblewrap, in namespaces, under two system call filters and in a control group. A program needs a
flaw in gVisor and then one in what bubblewrap leaves of Linux to get out.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from clearhold.adapters.sandbox_bwrap import cgroup, probes, seccomp
from clearhold.adapters.sandbox_bwrap.sandbox import (
    FIRST_UID,
    BubblewrapSandbox,
    Measured,
    sized,
)
from clearhold.adapters.sandbox_bwrap.slot import Answer, SetupError
from clearhold.adapters.sandbox_gvisor import bundle
from clearhold.kernel.errors import ClearholdError
from clearhold.ports.sandbox import Job, Limits, Tier

# What gVisor itself holds beside the program's memory, in MiB: at all, and for each process.
OWN_MEMORY_MB = 72
MEMORY_EACH_MB = 0.25
# Threads of gVisor, and those it keeps for each of the program's processes.
OWN_THREADS = 192
THREADS_EACH = 8
MISSING = probes.Probe(
    "gVisor",
    passed=False,
    detail="the program runsc is not installed",
    next_step="install gVisor's runsc of 2024 or later, for example from Debian 13 or gvisor.dev",
)
_GROUPS = probes.Probe(
    "gVisor's control group",
    passed=False,
    detail="no control group of this machine can be written, and gVisor's memory is bounded by none",
    next_step="run the hub as root, or delegate a control group to it",
)
_OWN_KERNEL = (
    "import os\nassert os.readlink('/proc/self/ns/pid') != {pid!r}\n"
    "print(os.path.exists('/proc/sentry-meminfo'), os.uname().release != {release!r})\n"
)


class GvisorSandbox(BubblewrapSandbox):
    """Runs jobs in gVisor, up to `slots` at once from any threads; further ones wait.

    Takes what `BubblewrapSandbox` takes, and `runsc`, which is searched on PATH when not given. Its
    tier is `Tier.GVISOR` or none: without a writable control group it has none. gVisor lays address
    spaces out at random, so a job's `randomise` changes nothing.
    """

    _supervisor = Path(__file__).with_name("supervisor.py")

    def __init__(
        self,
        *,
        forbidden: Iterable[Path] = (),
        slots: int | None = None,
        bwrap: Path | None = None,
        runsc: Path | None = None,
        first_uid: int = FIRST_UID,
    ) -> None:
        super().__init__(forbidden=forbidden, slots=slots, bwrap=bwrap, first_uid=first_uid)
        self._names = itertools.count()
        found = shutil.which("runsc") if runsc is None else str(runsc)
        self._runsc = found if found is not None and os.access(found, os.X_OK) else None

    def _hierarchy_of(self, tier: Tier) -> cgroup.Hierarchy | None:  # noqa: ARG002 (it has one)
        return self._hierarchy

    def _measured(self) -> Measured:
        if self._bwrap is None:
            return (probes.MISSING,), Tier.NONE
        if self._runsc is None:
            return (MISSING,), Tier.NONE
        if self._hierarchy is None:
            return (_GROUPS,), Tier.NONE
        return self._once((self._bwrap, self._runsc, os.geteuid()), self._measure)

    def _measure(self) -> Measured:
        own = self._own_kernel()
        if not own.passed:
            return (own,), Tier.NONE
        found, tier = probes.measure(self._try, self._hierarchy, own_kernel=True)
        reached = tier is Tier.NAMESPACES_CGROUP
        return (own, *found), Tier.GVISOR if reached else Tier.NONE

    def _own_kernel(self) -> probes.Probe:
        """Whether a program inside is answered by gVisor, and not by this machine's kernel."""
        code = _OWN_KERNEL.format(pid=probes.namespace("pid"), release=os.uname().release)
        job = Job(argv=("/usr/bin/python3", "-I", "-S", "-c", code), limits=Limits(wall_s=30))
        try:
            outcome = self._try(job, self._hierarchy)
        except SetupError as problem:
            first = (problem.detail.strip().splitlines() or ["no reason given"])[0][:200]
            return replace(MISSING, detail=f"gVisor cannot run a program here ({first})")
        except ClearholdError as problem:
            return probes.Probe("gVisor", False, problem.message, problem.next_step)
        said = outcome.stdout.decode("ascii", "replace").strip()
        ended = f"exit {outcome.exit_code}, said {said!r} {outcome.stderr[:100]!r}"
        passed = said == "True True"
        return probes.Probe("gVisor", passed, "a kernel of its own answers" if passed else ended)

    def _group_limits(self, limits: Limits) -> Limits:
        return replace(
            limits,
            memory_mb=limits.memory_mb + OWN_MEMORY_MB + int(limits.processes * MEMORY_EACH_MB),
            processes=OWN_THREADS + limits.processes * THREADS_EACH,
        )

    def _peak_mb(self, group: cgroup.Group, answer: Answer) -> float:
        # The group counts gVisor too; what the largest process held is told of runs that ended.
        told: int = answer.result["peak_kb"]
        return told / 1024 or max(0.0, group.peak_mb() - OWN_MEMORY_MB)

    def _request(
        self, job: Job, trees: dict[str, Path], *, counted: bool
    ) -> tuple[dict[str, Any], list[bytes]]:
        files = sorted(job.files.items())
        header = {
            **self._bounds(job),
            "options": bundle.outer(runsc=str(self._runsc), trees=trees),
            "argv": bundle.command(f"clearhold-{os.getpid()}-{next(self._names)}"),
            "directory": "/",
            "files": [bundle.CONFIG, *(bundle.ROOT + name for name, _ in files)],
            "rlimits": {"RLIMIT_CORE": (0, 0)},
            "randomise": True,
            "watch": counted,
        }
        within = seccomp.program(ptrace=job.ptrace, uncounted_memory=True)
        around = seccomp.program(ptrace=True, uncounted_memory=True, nesting=True)
        contents = [content for _, content in files]
        return sized(
            header,
            [
                *(around, bundle.config(job.limits), *contents),
                bundle.request(job, filter_=within),
            ],
        )
