"""Oracles that watch a run from a parent of the target, inside the sandbox, by canaries.

The watcher (`inside/watch.py`) is ours, runs before the target and outlives it: it cannot be read
or traced by what it watches, kills everything that is left, looks at its canaries and only then
answers, and the answer counts only when the watcher itself ended well. What it draws for each run
(secrets, factors, nonces, tokens) no proof can know.
Where the target shares an interpreter with part of the watcher (`eval`, `file`, `import`,
`pollution`), code that already runs there could find the token and overstate the class.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from clearhold.ports.sandbox import Job, Outcome
from clearhold.validation.builder import Toolchain
from clearhold.validation.oracles.inside.sizes import growth
from clearhold.validation.oracles.observation import (
    UNUSABLE_EXIT,
    Host,
    Observation,
    RunKind,
    SelfTest,
    died_of,
    ended_abnormally,
)

_ANSWER: Final = "observed.json"
_INTERPRETER: Final = "/usr/bin/python3"
_BUDGET_SHARE: Final = 0.8
_WALL_FACTOR: Final = 12
_CPU_FACTOR: Final = 6
"""What the sizes of one run may take at most, in limits of a run: see the watcher's own bounds."""
ALL_HOSTS: Final[tuple[Host, ...]] = ("native", "python", "node")


class _Ended(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    exit: int | None
    signal: int | None


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the watcher leaves at `/out/observed.json`."""

    ended: _Ended
    seen: tuple[tuple[str, str], ...]
    sizes: tuple[tuple[int, float, bool], ...]
    hosted: bool


@cache
def _inside() -> dict[str, bytes]:
    """The watcher's files, by where they lie in the sandbox."""
    directory = resources.files("clearhold.validation.oracles") / "inside"
    return {
        f"/oracle/{entry.name}": entry.read_bytes()
        for entry in directory.iterdir()
        if entry.name.endswith((".py", ".cjs")) and entry.name != "__init__.py"
    }


@dataclass(frozen=True)
class Watched:
    """An oracle by one kind of canary.

    `reports` says that the interpreter's own part must have told that it came to its end.
    """

    name: str
    version: str
    claim: str
    purpose: str
    hosts: tuple[Host, ...]
    self_test: SelfTest
    reports: bool = False

    def env(self, toolchain: Toolchain, host: Host) -> Mapping[str, str]:
        """Nothing beyond the common environment: the watcher adds what its canaries need."""
        del toolchain, host
        return {}

    def prepare(self, job: Job, host: Host) -> Job:
        """The job with the watcher as its program and the target as the watcher's."""
        task = {
            "oracle": self.name,
            "host": host,
            "hub": str(Path("/proc/self/ns/pid").readlink()),
            "budget_s": str(job.limits.wall_s * _BUDGET_SHARE),
        }
        return replace(
            job,
            argv=(_INTERPRETER, "-I", "-B", "/oracle/watch.py", *job.argv),
            files={**job.files, **_inside(), "/oracle/task.json": json.dumps(task).encode()},
        )

    def observe(self, outcome: Outcome, reference: bytes | None) -> Observation:
        """A violation when the watcher came to its end and a canary was sprung."""
        del reference
        told = _read(outcome)
        return told if isinstance(told, Observation) else self._judge(told)

    def _judge(self, told: _Answer) -> Observation:
        if told.seen:
            kind, detail = told.seen[0]
            return Observation(RunKind.VIOLATION, detail, tuple(kind.split()))
        ended = _ended(told)
        if ended is None and self.reports and not told.hosted:
            return Observation(RunKind.FAULT, "the interpreter's part did not come to its end")
        return ended or Observation(RunKind.CLEAN, "the run ended and no canary was touched")


@dataclass(frozen=True)
class Complexity(Watched):
    """Time that grows at least with the square of the input, or nearly so, and is long.

    What is measured and what it says is told beside the watcher, in `inside/sizes.py`.
    """

    def prepare(self, job: Job, host: Host) -> Job:
        """The limit on the wall clock becomes one on processor time, which a busy machine leaves alone."""
        limits = job.limits
        longer = replace(
            limits,
            wall_s=limits.wall_s * _WALL_FACTOR,
            cpu_s=math.ceil(limits.wall_s * _CPU_FACTOR),
        )
        prepared = super().prepare(job, host)
        return replace(prepared, limits=longer)

    def _judge(self, told: _Answer) -> Observation:
        ended = _ended(told)
        if ended:
            return ended
        seen = growth(told.sizes)
        if seen is None:
            return Observation(RunKind.RESOURCE_LIMIT, "timeout")
        measured = (
            f"the time grows with exponent {seen.exponent:.2f}, "
            f"to {seen.beyond_s:.2f} s at {seen.largest}"
        )
        if seen.steep:
            return Observation(RunKind.VIOLATION, measured, ("complexity",))
        return Observation(RunKind.CLEAN if seen.flat else RunKind.INCONCLUSIVE, measured)


def _read(outcome: Outcome) -> _Answer | Observation:
    ended = ended_abnormally(outcome)
    if ended:
        return ended
    content = outcome.artefacts.get(_ANSWER)
    if outcome.exit_code != 0 or content is None:
        return Observation(RunKind.FAULT, f"the watcher ended with {outcome.exit_code}")
    try:
        return msgspec.json.decode(content, type=_Answer)
    except msgspec.DecodeError:
        return Observation(RunKind.FAULT, "the watcher's answer cannot be read")


def _ended(told: _Answer) -> Observation | None:
    """What the target's own end says; None when it ended well."""
    if told.ended.signal is not None:
        died = died_of(told.ended.signal)
        return replace(died, other=died.kind is RunKind.VIOLATION)
    if told.ended.exit == UNUSABLE_EXIT:
        return Observation(RunKind.UNUSABLE, "the driver cannot read the proof")
    if told.ended.exit != 0:
        return Observation(RunKind.FAULT, f"the driver ended with {told.ended.exit}")
    return None
