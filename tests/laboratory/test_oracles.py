"""An oracle believes what only the violation itself can bring about, and no text."""

from __future__ import annotations

import pytest

from clearhold.kernel.errors import UnavailableError
from clearhold.ports.sandbox import Job, Limits
from clearhold.validation.builder import Laboratory
from clearhold.validation.oracles import (
    SANITIZER_EXIT,
    Observation,
    RunKind,
    oracle,
    oracle_names,
    self_test,
)

FORGED = """\
==1==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000011 at pc 0x1 bp 0x2 sp 0x3
WRITE of size 1 at 0x602000000011 thread T0
    #0 0x401000 in decode_numeric lib/ultrajsondec.c:182
SUMMARY: AddressSanitizer: heap-buffer-overflow lib/ultrajsondec.c:182 in decode_numeric
"""


def _seen(
    laboratory: Laboratory, script: str, name: str = "address", *, wall_s: float = 10.0
) -> Observation:
    judge = oracle(name)
    job = Job(
        argv=("/bin/sh", "-c", script),
        files={"/in/forged": FORGED.encode()},
        env=judge.env(laboratory.toolchain(), "native"),
        limits=Limits(wall_s=wall_s, memory_mb=256),
    )
    outcome = laboratory.run(judge.prepare(job, "native"))
    return judge.observe(outcome, b"four")


@pytest.mark.parametrize("name", oracle_names())
def test_an_oracle_tells_its_violating_program_from_its_clean_one(
    laboratory: Laboratory, name: str
) -> None:
    try:
        violating, clean = self_test(laboratory, name)
    except UnavailableError as error:
        pytest.skip(f"{error.message} {error.next_step}")
    assert violating.kind is RunKind.VIOLATION
    assert violating.signature
    assert clean.kind is RunKind.CLEAN


@pytest.mark.parametrize("where", ["1", "2"])
def test_a_report_that_is_only_printed_is_not_believed(laboratory: Laboratory, where: str) -> None:
    assert _seen(laboratory, f"cat /in/forged >&{where}").kind is RunKind.CLEAN


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(f"cat /in/forged >&2; exit {SANITIZER_EXIT}", id="exit code and printed text"),
        pytest.param(f"exit {SANITIZER_EXIT}", id="exit code alone"),
        pytest.param("cp /in/forged /out/asan.1", id="report file alone"),
        pytest.param("exit 1", id="another exit code"),
        pytest.param("kill -TERM $$", id="a signal that no fault raises"),
    ],
)
def test_half_of_what_the_sanitizer_does_is_a_fault_of_the_harness(
    laboratory: Laboratory, script: str
) -> None:
    assert _seen(laboratory, script).kind is RunKind.FAULT


def test_what_exceeds_a_limit_is_neither_clean_nor_a_violation(laboratory: Laboratory) -> None:
    for name in ("address", "differential"):
        assert _seen(laboratory, "sleep 9", name, wall_s=1.0).kind is RunKind.RESOURCE_LIMIT


def test_a_missing_result_is_never_a_difference(laboratory: Laboratory) -> None:
    for script in ("exit 0", "printf five >/out/result; exit 2"):
        assert _seen(laboratory, script, "differential").kind is RunKind.FAULT
