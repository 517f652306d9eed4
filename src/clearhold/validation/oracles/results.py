"""Oracles for what a run gives or fails to give: a wrong result, no end."""

from __future__ import annotations

from typing import Final

from clearhold.ports.sandbox import Outcome
from clearhold.validation.oracles.observation import (
    Host,
    Observation,
    PlainOracle,
    RunKind,
    SelfTest,
    crashed,
    ended_abnormally,
    plain_end,
)


class Differential(PlainOracle):
    """A result that differs from an independent reference implementation's."""

    name = "differential"
    version = "1"
    claim = "wrong-result"
    purpose = "The result is not that of an independent reference implementation."
    self_test = SelfTest(
        violating="printf five >/out/result",
        clean="printf four >/out/result",
        reference=b"four",
    )

    def observe(self, outcome: Outcome, reference: bytes | None) -> Observation:
        """A violation when `/out/result` is there and is not the reference's."""
        ended = ended_abnormally(outcome)
        if ended:
            return ended
        if outcome.signal is not None:
            return _other(crashed(outcome))
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


class Raised(PlainOracle):
    """An exception that the driver does not expect leaves the project's code.

    The driver says which are expected, and leaves the others at `/out/raised` as their name and the
    names of the functions it came through, innermost first, one a line. Like the driver of every
    target that runs in the project's own interpreter, it is believed.
    """

    name = "raised"
    version = "1"
    claim = "crash"
    purpose = "An exception that the driver does not expect leaves the project's code."
    hosts: tuple[Host, ...] = ("python",)
    self_test = SelfTest(
        violating="open('/out/raised', 'w').write('IndexError\\nparse\\n'); raise SystemExit(1)",
        clean="pass",
        host="python",
    )

    def observe(self, outcome: Outcome, reference: bytes | None) -> Observation:
        """A violation when `/out/raised` tells of one."""
        del reference
        ended = ended_abnormally(outcome)
        if ended:
            return ended
        if outcome.signal is not None:
            return _other(crashed(outcome))
        told = outcome.artefacts.get("raised", b"")[:4096].decode("utf-8", "replace").split()
        named = [each[:80] for each in told if each.isprintable()][:4]
        if named:
            return Observation(
                RunKind.VIOLATION,
                f"{named[0]} left {named[1] if len(named) > 1 else 'the project'}",
                ("raised", *named),
            )
        if outcome.exit_code != 0:
            return plain_end(outcome)
        return Observation(RunKind.CLEAN, "no unexpected exception")


LEAST_SHARE: Final = 0.2
"""Of the wall clock: a run that had so much of a processor and did not end is a hang on a busy machine too."""


class Hang(PlainOracle):
    """A run that does not end within the recipe's limit, while the benign control does."""

    name = "hang"
    version = "2"
    claim = "hang"
    purpose = "The run does not end within the recipe's limit."
    self_test = SelfTest(violating="while :; do :; done", clean="exit 0")

    def observe(self, outcome: Outcome, reference: bytes | None) -> Observation:
        """A violation when the wall clock ended the run, unless it hardly had the processor."""
        del reference
        hardly_ran = outcome.starved and outcome.cpu_s < LEAST_SHARE * outcome.wall_s
        if outcome.timed_out and not outcome.out_of_memory and not hardly_ran:
            return Observation(RunKind.VIOLATION, "the run did not end", ("hang",))
        ended = ended_abnormally(outcome)
        if ended:
            return ended
        if outcome.signal is not None:
            return _other(crashed(outcome))
        return plain_end(outcome)


def _other(seen: Observation | None) -> Observation:
    if seen is None:
        return Observation(RunKind.FAULT, "the run ended in no known way")
    return Observation(seen.kind, seen.reason, seen.signature, other=seen.kind is RunKind.VIOLATION)


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
