"""What one run showed, and the protocol of the plug-ins that read it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from clearhold.ports.sandbox import Job, Outcome
from clearhold.validation.builder import Toolchain
from clearhold.validation.crash import Crash

UNUSABLE_EXIT = 65
"""Exit code of a driver that cannot read the proof (EX_DATAERR of sysexits.h)."""

Host = Literal["native", "python", "node"]
"""What a target runs in: a process of its own, a Python interpreter or Node."""

_CRASH_SIGNALS: Mapping[int, str] = {
    signal.SIGSEGV: "bad-access",
    signal.SIGBUS: "bad-access",
    signal.SIGABRT: "abort",
    signal.SIGFPE: "arithmetic",
    signal.SIGILL: "illegal-instruction",
    signal.SIGTRAP: "abort",
}


class RunKind(StrEnum):
    """What one run showed.

    `unusable` is a proof that the target's driver cannot read; `inconclusive` is neither a
    violation nor the absence of one; `fault` is a failure of the harness or the environment, never
    of the submitter.
    """

    CLEAN = "clean"
    VIOLATION = "violation"
    RESOURCE_LIMIT = "resource_limit"
    UNUSABLE = "unusable"
    INCONCLUSIVE = "inconclusive"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Observation:
    """An oracle's reading of one run: its kind, why in one sentence, and the fault's signature.

    `other` marks a violation of another class than the oracle is for.
    """

    kind: RunKind
    reason: str
    signature: tuple[str, ...] = ()
    crash: Crash | None = None
    report: bytes = b""
    other: bool = False


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Two programs for the sandbox: one an oracle must call a violation, one it must not.

    They are shell scripts, or programs for the interpreter that `host` names. `proof` is the input
    that both are given, `reference` what a differential oracle compares with, and `needs` are the
    commands without which the test cannot be made.
    """

    violating: str
    clean: str
    host: Host = "native"
    proof: bytes = b""
    reference: bytes = b""
    needs: tuple[str, ...] = field(default=())


class Oracle(Protocol):
    """Judges runs of one class of violation."""

    @property
    def name(self) -> str:
        """What recipes call it."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same run could be read otherwise; part of the evidence."""
        ...

    @property
    def claim(self) -> str:
        """The class of violation that a report would claim."""
        ...

    @property
    def purpose(self) -> str:
        """One sentence for people."""
        ...

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The kinds of host it can watch."""
        ...

    @property
    def self_test(self) -> SelfTest:
        """A program that violates and one that does not."""
        ...

    def env(self, toolchain: Toolchain, host: Host) -> Mapping[str, str]:
        """The environment a run needs, for the host process of the target."""
        ...

    def prepare(self, job: Job, host: Host) -> Job:
        """The job as it is run: with the oracle's own runner and permissions, where it has any."""
        ...

    def observe(self, outcome: Outcome, reference: bytes | None) -> Observation:
        """What a run showed; `reference` is the reference's `/out/result`, where there is one."""
        ...


class PlainOracle:
    """An oracle that looks at a run as it is and needs nothing beyond the common environment."""

    hosts: tuple[Host, ...] = ("native", "python", "node")

    def env(self, toolchain: Toolchain, host: Host) -> Mapping[str, str]:
        """Nothing beyond the common environment."""
        del toolchain, host
        return {}

    def prepare(self, job: Job, host: Host) -> Job:
        """The job unchanged."""
        del host
        return job


def ended_abnormally(outcome: Outcome) -> Observation | None:
    """What every oracle says of limits and unusable proofs; None when the run came to an end.

    Output beyond its limit that did not end the run is only clipped, and no limit reached.
    """
    if outcome.out_of_memory:
        return Observation(RunKind.RESOURCE_LIMIT, "oom")
    if outcome.timed_out:
        return _out_of_time(outcome)
    if outcome.signal == signal.SIGXFSZ:
        return Observation(RunKind.RESOURCE_LIMIT, "disk")
    if outcome.output_truncated and outcome.signal == signal.SIGKILL:
        return Observation(RunKind.RESOURCE_LIMIT, "output")
    if outcome.exit_code == UNUSABLE_EXIT:
        return Observation(RunKind.UNUSABLE, "the driver cannot read the proof")
    return None


def _out_of_time(outcome: Outcome) -> Observation:
    if outcome.starved:
        busy = "the machine gave the run too little processor time"
        return Observation(RunKind.INCONCLUSIVE, busy)
    return Observation(RunKind.RESOURCE_LIMIT, "timeout")


def crashed(outcome: Outcome) -> Observation | None:
    """A violation when a signal of the processor or of the program's own checks ended the run."""
    return None if outcome.signal is None else died_of(outcome.signal)


def died_of(number: int) -> Observation:
    """What the death of a process by a signal says: a violation for a fault of its own."""
    family = _CRASH_SIGNALS.get(number)
    if family is None:
        return Observation(RunKind.FAULT, f"signal {number} ended the run")
    name = signal.Signals(number).name
    return Observation(RunKind.VIOLATION, f"the process died of {name}", (family, name))


def plain_end(outcome: Outcome) -> Observation:
    """Clean when the driver ended well, else a fault of the harness."""
    if outcome.exit_code != 0:
        return Observation(RunKind.FAULT, f"the driver ended with {outcome.exit_code}")
    return Observation(RunKind.CLEAN, "the run ended and nothing was seen")
