"""`BubblewrapSandbox`: the sandbox port on Linux namespaces, through the bubblewrap program.

It holds against programs that misbehave and exploits of user space; one kernel stands between them
and the machine, so a kernel exploit is outside what it stops. Machines that run strangers' code
should hold no embargoed data.
"""

from __future__ import annotations

import itertools
import os
import queue
import shutil
import signal
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clearhold.adapters.sandbox_bwrap import argv, cgroup, probes, seccomp
from clearhold.adapters.sandbox_bwrap.slot import Answer, SetupError, Slot, borrowed
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.ports.sandbox import Job, Outcome, Tier

# Free between systemd's ranges (systemd's UIDS-GIDS) and below those of user namespaces.
FIRST_UID = 60800
MAX_SLOTS = 256
BUILDERS_UID = FIRST_UID + MAX_SLOTS
"""Where the users of a second pool begin, so that builds and runs never share one."""
_MEASURED: dict[tuple[str, int, bool], tuple[tuple[probes.Probe, ...], Tier]] = {}
_MEASURING = threading.Lock()
_ALONE = threading.Lock()


class BubblewrapSandbox:
    """Runs jobs under bubblewrap, up to `slots` at once from any threads; further ones wait.

    Where no control group can be written, one job runs at a time in the whole process.

    `forbidden` are directories (data, keys) that no tree may hold, be or lie in. `bwrap` is the
    program, searched on PATH when not given. `use_cgroup` off leaves control groups alone. As root
    every slot runs as a user of its own, `first_uid` and up, in the group `first_uid`; trees must
    then be readable by that group or by everybody. Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        *,
        forbidden: Iterable[Path] = (),
        slots: int | None = None,
        bwrap: Path | None = None,
        use_cgroup: bool = True,
        first_uid: int = FIRST_UID,
    ) -> None:
        count = slots if slots is not None else os.cpu_count() or 1
        if not 1 <= count <= MAX_SLOTS:
            raise InvalidError(
                f"A sandbox has between 1 and {MAX_SLOTS} slots.", next_step="Correct the number."
            )
        self._forbidden = tuple(each.resolve() for each in forbidden)
        if any(each.is_relative_to("/usr") for each in self._forbidden):
            raise InvalidError(
                "Everything below /usr can be read in the sandbox, so no data or keys may be there.",
                next_step="Move the data and key directories, for example to /var/lib/clearhold.",
            )
        found = shutil.which("bwrap") if bwrap is None else str(bwrap)
        self._bwrap = found if found is not None and os.access(found, os.X_OK) else None
        self._use_cgroup = use_cgroup
        self._hierarchy = cgroup.find() if use_cgroup else None
        identities = _identities(count, first_uid)
        self.group: int | None = first_uid if ":" in identities[0] else None
        self._slots = [Slot(each) for each in identities]
        self._free: queue.LifoQueue[Slot] = queue.LifoQueue()
        for slot in reversed(self._slots):
            self._free.put(slot)
        self._serial = itertools.count()
        self._closer = weakref.finalize(self, _close_all, self._slots)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the supervisors; the next run starts them again."""
        _close_all(self._slots)

    def tier(self) -> Tier:
        """The tier measured on this machine, once per process."""
        return self._measured()[1]

    def report(self) -> tuple[probes.Probe, ...]:
        """Every probe with what it saw, for `clearhold doctor`."""
        return self._measured()[0]

    def run(
        self, job: Job, *, least: Tier, on_output: Callable[[bytes], None] | None = None
    ) -> Outcome:
        """Run `job`, handing pieces of its standard error to `on_output` as they arrive.

        While the job is silent, `on_output` is handed nothing about every second; what it raises ends
        the job.

        Output is kept up to its limit; a program that writes 64 times as much is ended. Artefacts
        whose names are not plain text in UTF-8 stay behind, those that exceed the limit too, and
        `output_truncated` tells of it. A program that was ended by a limit leaves none. Raises
        `UnavailableError` when the measured tier is below `least`, or the sandbox fails, and
        `InvalidError` when the job is not acceptable.
        """
        argv.check(job)
        trees = self._trees(job)
        findings, tier = self._measured()
        if tier is Tier.NONE or tier < least:
            failed = next((each for each in findings if not each.passed), None)
            raise UnavailableError(
                f"This job needs a sandbox of tier {max(least, Tier.NAMESPACES).name}, and this "
                f"machine gives {tier.name}" + (f": {failed.detail}." if failed else "."),
                next_step=(failed.next_step if failed else "")
                or "Run `clearhold doctor` to see which protections this machine lacks.",
            )
        try:
            return self._carry_out(
                job, trees=trees, tier=tier, hierarchy=self._hierarchy_of(tier), on_output=on_output
            )
        except SetupError as problem:
            raise UnavailableError(
                f"The sandbox could not be set up: {problem.detail.strip() or 'no reason given'}",
                next_step="Run `clearhold doctor` to see what this machine lacks.",
            ) from problem

    def _hierarchy_of(self, tier: Tier) -> cgroup.Hierarchy | None:
        return self._hierarchy if tier is Tier.NAMESPACES_CGROUP else None

    def _trees(self, job: Job) -> dict[str, Path]:
        return {
            place: argv.source(tree, forbidden=self._forbidden, group=self.group)
            for place, tree in job.trees.items()
        }

    def _measured(self) -> tuple[tuple[probes.Probe, ...], Tier]:
        if self._bwrap is None:
            return (probes.MISSING,), Tier.NONE
        with _MEASURING:
            key = (self._bwrap, os.geteuid(), self._use_cgroup)
            if key in _MEASURED:
                return _MEASURED[key]
            measured = probes.measure(self._try, self._hierarchy)
            if measured[1] is not Tier.NONE:  # what was refused may be put right while we run
                _MEASURED[key] = measured
            return measured

    def _try(self, job: Job, hierarchy: cgroup.Hierarchy | None) -> Outcome:
        """Run one of our own probes, before there is a tier."""
        return self._carry_out(job, trees={}, tier=Tier.NONE, hierarchy=hierarchy, on_output=None)

    def _carry_out(
        self,
        job: Job,
        *,
        trees: dict[str, Path],
        tier: Tier,
        hierarchy: cgroup.Hierarchy | None,
        on_output: Callable[[bytes], None] | None,
    ) -> Outcome:
        limits = job.limits
        counted = hierarchy is not None
        files = sorted(job.files.items())
        blobs = [seccomp.program(ptrace=job.ptrace, uncounted_memory=counted)]
        blobs += [content for _, content in files]
        header: dict[str, Any] = {
            "bwrap": self._bwrap,
            "options": argv.options(job, trees=trees),
            "argv": job.argv,
            "files": [name for name, _ in files],
            "blobs": [len(each) for each in blobs],
            "rlimits": argv.rlimits(limits),
            "randomise": job.randomise,
            "watch": counted,
            "wall_s": limits.wall_s,
            "memory_kb": limits.memory_mb << 10,
            "output_bytes": limits.output_kb << 10,
            "artefact_bytes": limits.artefacts_mb << 20,
        }
        with borrowed(self._free) as slot:
            if hierarchy is None:
                # Watched memory is bounded by what one run can take before it is looked at: one
                # at a time keeps that bound the machine's.
                with _ALONE:
                    answer = slot.run(header, blobs, joins=(), events=-1, on_output=on_output)
                return _outcome(answer, job, tier=tier, peak_mb=0.0)
            group = hierarchy.group(
                f"clearhold-{os.getpid()}-{id(self)}-{next(self._serial)}", limits
            )
            try:
                answer = slot.run(
                    header, blobs, joins=group.joins, events=group.events, on_output=on_output
                )
                return _outcome(answer, job, tier=tier, peak_mb=group.peak_mb())
            finally:
                group.remove()


def _outcome(answer: Answer, job: Job, *, tier: Tier, peak_mb: float) -> Outcome:
    result = answer.result
    code = os.waitstatus_to_exitcode(result["status"])
    ended_by = -code if code < 0 else None
    # The kernel sends SIGXCPU at the soft limit, and SIGKILL to those that ignore it.
    spent = ended_by == signal.SIGKILL and result["cpu_s"] >= job.limits.cpu_s
    reason = result["ended_by"]
    return Outcome(
        exit_code=None if code < 0 else code,
        signal=ended_by,
        timed_out=reason == "wall" or ended_by == signal.SIGXCPU or (spent and reason is None),
        out_of_memory=reason == "memory",
        output_truncated=result["clipped"] or reason == "output",
        stdout=answer.stdout,
        stderr=answer.stderr,
        artefacts=answer.artefacts,
        wall_s=result["wall_s"],
        peak_memory_mb=peak_mb or result["peak_kb"] / 1024,
        tier=tier,
    )


def _identities(count: int, first_uid: int) -> list[str]:
    """Whom each slot runs as: users of its own under root, else whoever the hub is."""
    if os.geteuid() != 0:
        return ["keep"] * count
    mapped = Path("/proc/self/uid_map").read_text().splitlines()
    spans = [tuple(int(each) for each in line.split()) for line in mapped]
    last = first_uid + count - 1
    if any(start <= first_uid and last < start + length for start, _, length in spans):
        return [f"{first_uid + number}:{first_uid}" for number in range(count)]
    return ["map"] * count


def _close_all(slots: Sequence[Slot]) -> None:
    for slot in slots:
        slot.close()
