"""Where hostile code may run, and nowhere else.

A sandbox measures its own tier by probes; a caller states the least it accepts and is refused
when the machine cannot give it. There is no implementation that runs a job unconfined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Protocol


class Tier(IntEnum):
    """How strong the measured isolation is; larger is stronger."""

    NONE = 0
    NAMESPACES = 1
    NAMESPACES_CGROUP = 2
    GVISOR = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may consume; exceeding any of them ends it.

    What others keep from the processor may last `patience` times as long as `wall_s`, until it had half
    of `wall_s` on one.
    """

    wall_s: float = 10.0
    patience: float = 1.0
    cpu_s: int = 10
    memory_mb: int = 1024
    processes: int = 64
    scratch_mb: int = 64
    output_kb: int = 1024
    artefacts_mb: int = 64


@dataclass(frozen=True, slots=True)
class Job:
    """One program to run in confinement.

    `trees` are host directories or files bound read-only at a path inside; `files` are small
    inputs laid at a path inside, read-only. The scratch directory `/work` (the working directory),
    `/out` and `/tmp` are writable, empty and bounded. Regular files below `/out` come back as
    `Outcome.artefacts`. There is never a network. `ptrace` permits what LeakSanitizer needs;
    `randomise` leaves address space layout randomisation on.
    """

    argv: tuple[str, ...]
    trees: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    ptrace: bool = False
    randomise: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job did, as seen from outside it.

    `exit_code` is None when a signal ended the program; `signal` is that signal's number. `timed_out`,
    `out_of_memory` and `output_truncated` say which limit ended or clipped it; `starved` that the wall
    clock ended what others kept from the processor, of which it had `cpu_s`. Sizes in bytes or MB.
    """

    exit_code: int | None
    signal: int | None
    timed_out: bool
    out_of_memory: bool
    output_truncated: bool
    stdout: bytes
    stderr: bytes
    artefacts: Mapping[str, bytes]
    wall_s: float
    peak_memory_mb: float
    tier: Tier
    starved: bool = False
    cpu_s: float = 0.0


class Sandbox(Protocol):
    """Runs jobs in confinement."""

    def tier(self) -> Tier:
        """The tier measured by probes on this machine; `Tier.NONE` when nothing works."""
        ...

    def run(
        self, job: Job, *, least: Tier, on_output: Callable[[bytes], None] | None = None
    ) -> Outcome:
        """Run `job`, handing pieces of its standard error to `on_output` as they arrive.

        While the job is silent, `on_output` is handed nothing about every second; what it raises ends
        the job. Raises `UnavailableError` when the measured tier is below `least` or is `NONE`, and
        `InvalidError` when the job itself is not acceptable.
        """
        ...
