"""Nothing gets through: every way out that an exploit would try is closed, at every tier there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clearhold.adapters.sandbox_bwrap import BubblewrapSandbox, hostile, probes
from clearhold.adapters.sandbox_bwrap.hostile import GUARD, OUTSIDE, PROGRAMS, Hostile
from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Job, Outcome, Tier


@pytest.mark.parametrize("name", probes.EXPECTED)
def test_no_probe_finds_a_way_out(sandbox: BubblewrapSandbox, name: str) -> None:
    (probe,) = (each for each in sandbox.report() if each.name == name)
    assert probe.passed, probe.detail


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: each.name)
def test_no_hostile_program_gets_through(sandbox: BubblewrapSandbox, program: Hostile) -> None:
    seen = hostile.attack(sandbox, program)
    assert seen.passed, seen.detail


def test_there_are_as_many_probes_and_programs_as_are_claimed() -> None:
    assert len(set(probes.EXPECTED)) == len(probes.EXPECTED) >= 50
    assert len({each.name for each in PROGRAMS}) == len(PROGRAMS) >= 26


def test_no_hostile_program_starts_outside_a_namespace_of_its_own() -> None:
    # What follows the guard here is harmless; the programs themselves are never run outside.
    own = str(Path("/proc/self/ns/pid").readlink())
    words = [sys.executable, "-I", "-S", "-c", GUARD + "print('began')", own, "mark"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (OUTSIDE, "")


class Answering:
    """Runs nothing: keeps the job and answers for it."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.outcome = outcome
        self.jobs: list[Job] = []

    def tier(self) -> Tier:
        return Tier.NAMESPACES

    def run(self, job: Job, *, least: Tier, on_output: object = None) -> Outcome:
        self.jobs.append(job)
        if self.outcome is None:
            raise UnavailableError("No sandbox.", next_step="Install one.")
        return self.outcome


def outcome(**changes: object) -> Outcome:
    plain: dict[str, object] = {
        "exit_code": 0,
        "signal": None,
        "timed_out": False,
        "out_of_memory": False,
        "output_truncated": False,
        "stdout": b"2999\n",
        "stderr": b"",
        "artefacts": {"link": b"root:x"},
        "wall_s": 1.0,
        "peak_memory_mb": 1.0,
        "tier": Tier.NAMESPACES,
    }
    return Outcome(**(plain | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: each.name)
def test_every_program_is_guarded_and_a_sandbox_that_lets_it_through_is_told_of(
    program: Hostile,
) -> None:
    for loose in (outcome(), outcome(exit_code=OUTSIDE, stdout=b"")):
        sandbox = Answering(loose)
        assert not hostile.attack(sandbox, program).passed
        (job,) = sandbox.jobs
        code = job.argv[job.argv.index("-c") + 1]
        assert code.startswith(GUARD)
        assert job.argv[-2] == probes.namespace("pid")
    assert not hostile.attack(Answering(), program).passed
