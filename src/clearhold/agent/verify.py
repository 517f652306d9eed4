"""Showing that a proof of concept works on what is installed, and later that it no longer does.

The probe comes with the signed bundle and runs in the sandbox alone, with the environment's packages
bound read-only. Without a sandbox it does not run, and nothing is called verified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from clearhold.agent.environment import Environment
from clearhold.agent.state import canonical_json
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Job, Limits, Outcome, Sandbox, Tier
from clearhold.wire.bundle import Ending, Probe, probe_argv

SITE: Final = "/src/site-packages"


class ProofResult(StrEnum):
    """Whether the proof of concept worked."""

    WORKS = "works"
    CLEAN = "clean"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Proof:
    """One run of a probe: its result, in one sentence why, and the evidence (canonical JSON)."""

    result: ProofResult
    reason: str
    evidence: bytes

    @property
    def sha256(self) -> str:
        """The SHA-256 of the evidence."""
        return hashlib.sha256(self.evidence).hexdigest()


def prove(
    probe: Probe,
    environment: Environment,
    files: Mapping[str, bytes],
    *,
    sandbox: Sandbox,
    least: Tier,
) -> Proof:
    """Run `probe` against the environment's packages; `files` maps places below /in to content.

    The environment's own interpreter is not run: the system's Python of the same version is.
    Raises `UnavailableError` when the machine cannot confine it at tier `least`.
    """
    if sandbox.tier() is Tier.NONE or sandbox.tier() < least:
        raise UnavailableError(
            "This machine has no sandbox strong enough for the proof of concept.",
            next_step="Install bubblewrap (apt-get install bubblewrap), then run this again.",
        )
    job = Job(
        argv=probe_argv(
            probe,
            {"python": f"/usr/bin/python{environment.python}", "site_packages": SITE},
        ),
        trees={SITE: environment.site_packages},
        files=files,
        env={"PYTHONPATH": SITE, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"},
        limits=Limits(wall_s=probe.wall_s, cpu_s=probe.wall_s, memory_mb=probe.memory_mb),
    )
    outcome = sandbox.run(job, least=least)
    result, reason = _judge(probe, outcome)
    return Proof(result, reason, _evidence(probe, files, outcome, result))


def _judge(probe: Probe, outcome: Outcome) -> tuple[ProofResult, str]:
    end = _end(outcome)
    if outcome.out_of_memory:
        return ProofResult.INCONCLUSIVE, f"The probe {end}."
    if _is(outcome, probe.works):
        return ProofResult.WORKS, f"The probe {end}, as it does when the proof of concept works."
    if _is(outcome, probe.clean):
        return ProofResult.CLEAN, f"The probe {end}, as it does when the flaw is gone."
    return ProofResult.INCONCLUSIVE, f"The probe {end}, which says nothing either way."


def _is(outcome: Outcome, ending: Ending) -> bool:
    if outcome.timed_out:
        return ending.timed_out
    if outcome.signal is not None:
        return outcome.signal in ending.signals
    return outcome.exit_code in ending.exit_codes


def _end(outcome: Outcome) -> str:
    if outcome.out_of_memory:
        return "ran out of memory"
    if outcome.timed_out:
        return "ran out of time"
    if outcome.signal is not None:
        return f"was ended by signal {outcome.signal}"
    return f"ended with exit code {outcome.exit_code}"


def _evidence(
    probe: Probe, files: Mapping[str, bytes], outcome: Outcome, result: ProofResult
) -> bytes:
    return canonical_json(
        {
            "schema": "clearhold-proof/1",
            "package": probe.package,
            "argv": list(probe.argv),
            "files": {
                place: hashlib.sha256(data).hexdigest() for place, data in sorted(files.items())
            },
            "result": result.value,
            "exit_code": outcome.exit_code,
            "signal": outcome.signal,
            "timed_out": outcome.timed_out,
            "out_of_memory": outcome.out_of_memory,
            "stdout_sha256": hashlib.sha256(outcome.stdout).hexdigest(),
            "stderr_sha256": hashlib.sha256(outcome.stderr).hexdigest(),
            "tier": outcome.tier.name,
        }
    )
