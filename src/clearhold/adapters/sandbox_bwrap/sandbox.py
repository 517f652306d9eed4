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
from clearhold.ports.sandbox import Job, Limits, Outcome, Tier

# Free between systemd's ranges (systemd's UIDS-GIDS) and below those of user namespaces.
FIRST_UID = 60800
MAX_SLOTS = 256
BUILDERS_UID = FIRST_UID + MAX_SLOTS
"""Where the users of a second pool begin, so that builds and runs never share one."""
Measured = tuple[tuple[probes.Probe, ...], Tier]
_MEASURED: dict[tuple[Any, ...], Measured] = {}
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

    _supervisor: Path | None = None

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
        users = identities(count, first_uid)
        self.group: int | None = first_uid if ":" in users[0] else None
        self._slots = [Slot(each, self._supervisor) for each in users]
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
        demand(least, tier, findings)
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

    def _measured(self) -> Measured:
        if self._bwrap is None:
            return (probes.MISSING,), Tier.NONE
        return self._once((self._bwrap, os.geteuid(), self._use_cgroup), self._measure)

    def _once(self, key: tuple[Any, ...], measure: Callable[[], Measured]) -> Measured:
        with _MEASURING:
            if key in _MEASURED:
                return _MEASURED[key]
            measured = measure()
            if measured[1] is not Tier.NONE:  # what was refused may be put right while we run
                _MEASURED[key] = measured
            return measured

    def _measure(self) -> Measured:
        return probes.measure(self._try, self._hierarchy)

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
        header, blobs = self._request(job, trees, counted=hierarchy is not None)
        with borrowed(self._free) as slot:
            if hierarchy is None:
                # Watched memory is bounded by what one run can take before it is looked at: one
                # at a time keeps that bound the machine's.
                with _ALONE:
                    answer = slot.run(header, blobs, groups=None, on_output=on_output)
                return _outcome(answer, job, tier=tier, peak_mb=0.0)
            group, following = slot.groups(lambda: hierarchy.group(self._group_name()))
            try:
                group.bound(self._group_limits(job.limits))
                answer = slot.run(header, blobs, groups=(group, following), on_output=on_output)
                return _outcome(answer, job, tier=tier, peak_mb=self._peak_mb(group, answer))
            finally:
                slot.keep(group, following)

    def _group_name(self) -> str:
        return f"clearhold-{os.getpid()}-{id(self)}-{next(self._serial)}"

    def _group_limits(self, limits: Limits) -> Limits:
        """What the control group of a run is bounded by."""
        return limits

    def _peak_mb(self, group: cgroup.Group, answer: Answer) -> float:  # noqa: ARG002 (for others)
        """The most memory that the program held, as its group tells; 0 when it does not."""
        return group.peak_mb()

    def _request(
        self, job: Job, trees: dict[str, Path], *, counted: bool
    ) -> tuple[dict[str, Any], list[bytes]]:
        """What the supervisor is told, and the contents that travel with it: the filter first."""
        files = sorted(job.files.items())
        header = {
            **self._bounds(job),
            "options": argv.options(job, trees=trees),
            "argv": job.argv,
            "directory": "/work",
            "files": [name for name, _ in files],
            "rlimits": argv.rlimits(job.limits),
            "randomise": job.randomise,
            "watch": counted,
        }
        filter_ = seccomp.program(ptrace=job.ptrace, uncounted_memory=counted)
        return sized(header, [filter_, *(content for _, content in files)])

    def _bounds(self, job: Job) -> dict[str, Any]:
        """The program bubblewrap, and what the supervisor itself holds a job to."""
        limits = job.limits
        return {
            "bwrap": self._bwrap,
            "wall_s": limits.wall_s,
            "longest_s": limits.wall_s * max(1.0, limits.patience),
            "memory_kb": limits.memory_mb << 10,
            "output_bytes": limits.output_kb << 10,
            "artefact_bytes": limits.artefacts_mb << 20,
        }


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
        starved=result["starved"],
        cpu_s=result["cpu_s"],
        stdout=answer.stdout,
        stderr=answer.stderr,
        artefacts=answer.artefacts,
        wall_s=result["wall_s"],
        peak_memory_mb=peak_mb or result["peak_kb"] / 1024,
        tier=tier,
    )


def demand(least: Tier, tier: Tier, findings: Sequence[probes.Probe]) -> None:
    """Raise `UnavailableError` when a tier is none or too low, with what the findings say of it."""
    if tier is not Tier.NONE and tier >= least:
        return
    failed = next((each for each in findings if not each.passed), None)
    raise UnavailableError(
        f"This job needs a sandbox of tier {max(least, Tier.NAMESPACES).name}, and this "
        f"machine gives {tier.name}" + (f": {failed.detail}." if failed else "."),
        next_step=(failed.next_step if failed else "")
        or "Run `clearhold doctor` to see which protections this machine lacks.",
    )


def sized(header: dict[str, Any], blobs: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """A request whose header tells the sizes of what travels with it."""
    return {**header, "blobs": [len(each) for each in blobs]}, blobs


def identities(count: int, first_uid: int) -> list[str]:
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
