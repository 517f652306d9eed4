"""Oracles: what counts as a violation, judged from outside the process that ran the proof.

Each oracle is a small plug-in with a self-test pair, one program that violates and one that does
not, run in the sandbox. Exit codes and printed text alone are never believed: the address
sanitizer must have written its report to the file named in `log_path` and the process must have
ended with the sanitizer's own exit code.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from clearhold.kernel.errors import NotFoundError
from clearhold.ports.sandbox import Job, Limits, Outcome
from clearhold.validation.builder import Laboratory, Toolchain
from clearhold.validation.crash import Crash, parse_report

SANITIZER_EXIT = 77
UNUSABLE_EXIT = 65
"""Exit code of a driver that cannot read the proof (EX_DATAERR of sysexits.h)."""

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

    `unusable` is a proof that the target's driver cannot read; `fault` is a failure of the
    harness or the environment, never of the submitter.
    """

    CLEAN = "clean"
    VIOLATION = "violation"
    RESOURCE_LIMIT = "resource_limit"
    UNUSABLE = "unusable"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Observation:
    """An oracle's reading of one run: its kind, why in one sentence, and the fault's signature."""

    kind: RunKind
    reason: str
    signature: tuple[str, ...] = ()
    crash: Crash | None = None
    report: bytes = b""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Two shell scripts for the sandbox: one an oracle must call a violation, one it must not."""

    violating: str
    clean: str
    reference: bytes = b""


class Oracle(Protocol):
    """Judges runs of one class of violation."""

    name: str
    version: str
    claim: str
    self_test: SelfTest

    def env(self, toolchain: Toolchain, host: str) -> Mapping[str, str]:
        """The environment a run needs, for a `python` or `native` host process."""
        ...

    def observe(self, outcome: Outcome, reference: bytes | None) -> Observation:
        """What a run showed; `reference` is the reference's `/out/result`, where there is one."""
        ...


def _ended_abnormally(outcome: Outcome) -> Observation | None:
    """What every oracle says of limits and unusable proofs; None when the run came to an end."""
    if outcome.out_of_memory:
        return Observation(RunKind.RESOURCE_LIMIT, "oom")
    if outcome.timed_out:
        return Observation(RunKind.RESOURCE_LIMIT, "timeout")
    if outcome.exit_code == UNUSABLE_EXIT:
        return Observation(RunKind.UNUSABLE, "the driver cannot read the proof")
    return None


def _crashed(outcome: Outcome) -> Observation | None:
    """A violation when a signal of the processor or of the program's own checks ended the run."""
    if outcome.signal is None:
        return None
    family = _CRASH_SIGNALS.get(outcome.signal)
    if family is None:
        return Observation(RunKind.FAULT, f"signal {outcome.signal} ended the run")
    name = signal.Signals(outcome.signal).name
    return Observation(RunKind.VIOLATION, f"the process died of {name}", (family, name))


def _plain_end(outcome: Outcome) -> Observation:
    if outcome.exit_code != 0:
        return Observation(RunKind.FAULT, f"the driver ended with {outcome.exit_code}")
    return Observation(RunKind.CLEAN, "the run ended and nothing was seen")


class AddressSanitizer:
    """Memory errors that AddressSanitizer reports, or that kill the process outright."""

    name = "address"
    version = "1"
    claim = "crash"
    self_test = SelfTest(
        violating=(
            "printf '%s' '#include <stdlib.h>\nint main(int c,char**v)"
            "{volatile char*p=malloc(8);p[c+7]=1;free((void*)p);return 0;}' >a.c"
            " && gcc -g -O1 -fsanitize=address a.c -o a && exec ./a"
        ),
        clean=(
            "printf '%s' '#include <stdio.h>\nint main(void)"
            '{fputs("ERROR: AddressSanitizer: heap-buffer-overflow\\n",stderr);return 0;}\' >a.c'
            " && gcc -g -O1 -fsanitize=address a.c -o a && exec ./a"
        ),
    )

    def env(self, toolchain: Toolchain, host: str) -> Mapping[str, str]:
        """Report to a file, end with 77; an uninstrumented interpreter preloads the runtime."""
        options = (
            f"log_path=/out/asan:exitcode={SANITIZER_EXIT}:detect_leaks=0:abort_on_error=0"
            ":handle_abort=0:allocator_may_return_null=1:symbolize=1:detect_stack_use_after_return=0"
        )
        env = {"ASAN_OPTIONS": options}
        if host == "python":
            env["LD_PRELOAD"] = " ".join(toolchain.preload)
            env["PYTHONMALLOC"] = "malloc"
        return env

    def observe(self, outcome: Outcome, reference: bytes | None) -> Observation:
        """A violation needs both the report file and the sanitizer's exit code."""
        del reference
        ended = _ended_abnormally(outcome)
        if ended:
            return ended
        reports = [
            content
            for path, content in sorted(outcome.artefacts.items())
            if path.startswith("asan.")
        ]
        report = reports[0] if reports else b""
        crash = parse_report(report)
        if bool(crash) != (outcome.exit_code == SANITIZER_EXIT):
            return Observation(RunKind.FAULT, "report and exit code do not agree", report=report)
        if crash is None:
            return _crashed(outcome) or _plain_end(outcome)
        exhausted = crash.family == "memory-exhaustion"
        return Observation(
            RunKind.RESOURCE_LIMIT if exhausted else RunKind.VIOLATION,
            "oom" if exhausted else f"{crash.tool}: {crash.kind}",
            crash.signature,
            crash,
            report,
        )


class Differential:
    """A result that differs from an independent reference implementation's."""

    name = "differential"
    version = "1"
    claim = "wrong-result"
    self_test = SelfTest(
        violating="printf five >/out/result",
        clean="printf four >/out/result",
        reference=b"four",
    )

    def env(self, toolchain: Toolchain, host: str) -> Mapping[str, str]:
        """Nothing beyond the common environment."""
        del toolchain, host
        return {}

    def observe(self, outcome: Outcome, reference: bytes | None) -> Observation:
        """A violation when `/out/result` is there and is not the reference's."""
        ended = _ended_abnormally(outcome) or _crashed(outcome)
        if ended:
            return ended
        result = outcome.artefacts.get("result")
        if outcome.exit_code != 0 or result is None or reference is None:
            return Observation(RunKind.FAULT, f"no result (exit code {outcome.exit_code})")
        if result == reference:
            return Observation(RunKind.CLEAN, "the result is the reference's")
        return Observation(
            RunKind.VIOLATION,
            f"the result {_short(result)} is not the reference's {_short(reference)}",
            ("wrong-result", _difference(result, reference)),
        )


class Hang:
    """A run that does not end within the recipe's limit, while the benign control does."""

    name = "hang"
    version = "1"
    claim = "hang"
    self_test = SelfTest(violating="while :; do :; done", clean="exit 0")

    def env(self, toolchain: Toolchain, host: str) -> Mapping[str, str]:
        """Nothing beyond the common environment."""
        del toolchain, host
        return {}

    def observe(self, outcome: Outcome, reference: bytes | None) -> Observation:
        """A violation when the wall clock ended the run."""
        del reference
        if outcome.timed_out and not outcome.out_of_memory:
            return Observation(RunKind.VIOLATION, "the run did not end", ("hang",))
        return _ended_abnormally(outcome) or _crashed(outcome) or _plain_end(outcome)


_ORACLES: Mapping[str, Oracle] = {
    oracle.name: oracle for oracle in (AddressSanitizer(), Differential(), Hang())
}


def oracle_names() -> tuple[str, ...]:
    """The names of all oracles."""
    return tuple(sorted(_ORACLES))


def oracle(name: str) -> Oracle:
    """The oracle of that name; `NotFoundError` names those there are."""
    if name not in _ORACLES:
        raise NotFoundError(
            f"There is no oracle {name!r}.", next_step=f"Use one of: {', '.join(oracle_names())}."
        )
    return _ORACLES[name]


def self_test(laboratory: Laboratory, name: str) -> tuple[Observation, Observation]:
    """What an oracle says of its violating and of its clean program, run in the sandbox now.

    The oracle is fit for use when the first is a violation and the second is clean.
    """
    judge = oracle(name)
    seen = []
    for script in (judge.self_test.violating, judge.self_test.clean):
        outcome = laboratory.run(
            Job(
                argv=("/bin/sh", "-c", script),
                env=judge.env(laboratory.toolchain(), "native"),
                limits=Limits(wall_s=5.0, memory_mb=1024),
            )
        )
        seen.append(judge.observe(outcome, judge.self_test.reference))
    return seen[0], seen[1]


def _short(content: bytes, limit: int = 60) -> str:
    text = content[: limit + 1].decode("ascii", "backslashreplace")
    return text if len(content) <= limit else f"{text[:limit]}… ({len(content)} bytes)"


def _difference(result: bytes, reference: bytes) -> str:
    """The class of difference: which of the two refused, or that the values differ."""
    if result == b"refused":
        return "refuses-what-reference-accepts"
    if reference == b"refused":
        return "accepts-what-reference-refuses"
    return "other-value"
