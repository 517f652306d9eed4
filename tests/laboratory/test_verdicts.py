"""Verdicts follow from recorded runs alone, and no failure of the laboratory blames a submitter."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.ports.sandbox import Tier
from clearhold.validation.crash import Crash, Frame
from clearhold.validation.oracles import RunKind
from clearhold.validation.reproduce import Run
from clearhold.validation.verdict import (
    BLAMELESS,
    DETAILS,
    Claim,
    Verdict,
    VerdictKind,
    decide,
    of_the_machine,
    runs_wanted,
)

CLEAN = Run(
    kind=RunKind.CLEAN,
    reason="the run ended and nothing was seen",
    signature=(),
    crash=None,
    report=b"",
    exit_code=0,
    signal=None,
    wall_s=0.1,
    peak_memory_mb=10.0,
    randomised=False,
    tier=Tier.NAMESPACES,
    stdout_sha256="0" * 64,
    stderr_sha256="0" * 64,
    report_sha256="0" * 64,
)
CRASH = replace(
    CLEAN,
    kind=RunKind.VIOLATION,
    reason="AddressSanitizer: heap-buffer-overflow",
    signature=("out-of-bounds", "decode", "run"),
    crash=Crash(
        "AddressSanitizer",
        "heap-buffer-overflow",
        "out-of-bounds",
        "WRITE",
        1,
        (Frame("decode"), Frame("run")),
    ),
)
OTHER = replace(CRASH, signature=("bad-free", "close", "run"))
OOM = replace(CLEAN, kind=RunKind.RESOURCE_LIMIT, reason="oom")
UNUSABLE = replace(CLEAN, kind=RunKind.UNUSABLE, reason="the driver cannot read the proof")
FAULT = replace(CLEAN, kind=RunKind.FAULT, reason="the driver ended with 1")
INCONCLUSIVE = replace(CLEAN, kind=RunKind.INCONCLUSIVE, reason="the time grows with exponent 1.5")
kinds = st.sampled_from([CLEAN, CRASH, OTHER, OOM, UNUSABLE, FAULT, INCONCLUSIVE])


def _decide(
    vulnerable: list[Run],
    fixed: list[Run] | None = None,
    *,
    control: Run = CLEAN,
    claim: Claim | None = None,
    minimised: bool = True,
) -> Verdict:
    return decide(
        vulnerable,
        fixed=fixed,
        control=control,
        claim=claim or Claim(),
        build_key="b" * 64,
        observed="crash",
        fixed_version="2.0",
        minimised=minimised,
    )


def test_a_steady_fault_that_the_fix_ends_is_reproduced_at_level_three() -> None:
    verdict = _decide([CRASH] * 5, [CLEAN] * 2)
    assert (verdict.label, verdict.level) == ("reproduced", 3)
    assert verdict.signature == CRASH.signature
    assert _decide([CRASH] * 5, [CLEAN] * 2, minimised=False).level == 2
    assert _decide([CRASH] * 5).label == "reproduced(no fix yet)"


def test_a_fault_in_most_runs_is_reproduced_and_called_flaky() -> None:
    verdict = _decide([CRASH] * 14 + [CLEAN] * 6, [CLEAN] * 2)
    assert verdict.label == "reproduced_flaky(14/20)"
    assert verdict.confirmed


@pytest.mark.parametrize(
    ("vulnerable", "fixed", "kind"),
    [
        ([CLEAN] * 15, None, VerdictKind.NOT_REPRODUCED),
        ([UNUSABLE] * 5, None, VerdictKind.NOT_REPRODUCED),
        ([CRASH] * 2 + [CLEAN] * 18, None, VerdictKind.NOT_REPRODUCED),
        ([CRASH] * 5, [CRASH] * 2, VerdictKind.CRASHES_BOTH),
        ([CRASH] * 5, [CLEAN, OTHER], VerdictKind.CRASHES_BOTH),
        ([OOM] * 5, None, VerdictKind.RESOURCE_LIMIT),
        ([CRASH] * 5, [OOM] * 2, VerdictKind.RESOURCE_LIMIT),
        ([FAULT] * 5, None, VerdictKind.HARNESS_FAULT),
        ([CRASH] * 5, [FAULT] * 2, VerdictKind.HARNESS_FAULT),
    ],
)
def test_every_other_course_of_runs_has_its_own_verdict(
    vulnerable: list[Run], fixed: list[Run] | None, kind: VerdictKind
) -> None:
    verdict = _decide(vulnerable, fixed)
    assert verdict.kind is kind
    assert not verdict.confirmed
    assert verdict.reason


@pytest.mark.parametrize(
    ("vulnerable", "fixed", "label"),
    [
        ([INCONCLUSIVE] * 10, None, "environment_failure"),
        ([INCONCLUSIVE] * 5 + [CLEAN] * 5, None, "environment_failure"),
        ([INCONCLUSIVE] * 4 + [CLEAN] * 6, None, "not_reproduced(bbbbbbbbbbbb)"),
        ([CRASH] * 8 + [INCONCLUSIVE] * 12, None, "environment_failure"),
        ([INCONCLUSIVE] * 6 + [OOM] * 4, None, "environment_failure"),
        ([INCONCLUSIVE] * 4 + [OOM] * 6, None, "resource_limit(oom)"),
        ([CRASH] * 2 + [INCONCLUSIVE] * 2 + [CLEAN] * 16, None, "not_reproduced(bbbbbbbbbbbb)"),
        ([CRASH] * 12 + [INCONCLUSIVE] * 8, [CLEAN] * 2, "reproduced_flaky(12/20)"),
        ([CRASH] * 5, [INCONCLUSIVE] * 5, "environment_failure"),
        ([CRASH] * 5, [INCONCLUSIVE] * 4 + [CRASH], "crashes_both"),
    ],
)
def test_a_measurement_that_stays_open_is_no_verdict_on_the_proof(
    vulnerable: list[Run], fixed: list[Run] | None, label: str
) -> None:
    assert _decide(vulnerable, fixed).label == label


def test_what_stays_open_is_measured_again() -> None:
    assert runs_wanted([INCONCLUSIVE] + [CLEAN] * 4) == 5
    assert runs_wanted([INCONCLUSIVE] * 10) == 0
    assert runs_wanted([INCONCLUSIVE] * 4 + [CRASH]) == 15


@given(st.lists(kinds, min_size=5, max_size=20), st.none() | st.lists(kinds, min_size=1))
def test_what_stands_in_the_brackets_is_of_a_closed_list(
    vulnerable: list[Run], fixed: list[Run] | None
) -> None:
    verdict = _decide(vulnerable, fixed)
    assert verdict.detail in DETAILS.get(verdict.kind, {verdict.detail})


def test_only_what_the_machine_lacked_is_tried_again() -> None:
    again = {"environment_failure(fetch)", "environment_failure", "not_validated(no_sandbox)"}
    final = {"not_validated(no_recipe)", "not_validated(policy)", "reproduced", "harness_fault"}
    assert all(of_the_machine(label) for label in again)
    assert not any(of_the_machine(label) for label in final)


def test_a_refusal_names_the_build_it_was_tried_on() -> None:
    assert _decide([CLEAN] * 15).label == "not_reproduced(bbbbbbbbbbbb)"


def test_a_claim_of_something_else_is_a_different_crash() -> None:
    for claim in (Claim("hang"), Claim("crash", frames=("decode_numeric", "decode_any"))):
        assert _decide([CRASH] * 5, claim=claim).kind is VerdictKind.DIFFERENT_CRASH
    assert _decide([CRASH] * 5, claim=Claim("crash", frames=("decode",))).confirmed


def test_what_the_target_is_not_watched_for_is_a_different_crash() -> None:
    verdict = _decide([replace(CRASH, other=True)] * 5, [CLEAN] * 2)
    assert verdict.kind is VerdictKind.DIFFERENT_CRASH


@pytest.mark.parametrize(
    ("plain", "label"),
    [
        ([CRASH] * 5, "reproduced"),
        ([CRASH] * 4 + [CLEAN], "not_reproduced(bbbbbbbbbbbb)"),
        ([OOM] * 5, "not_reproduced(bbbbbbbbbbbb)"),
        ([], "not_validated(unsupported_class)"),
    ],
)
def test_an_exhausted_stack_counts_only_when_the_plain_build_falls_too(
    plain: list[Run], label: str
) -> None:
    exhausted = replace(CRASH, signature=("stack-exhaustion", "parse"))
    verdict = decide(
        [exhausted] * 5,
        fixed=[CLEAN] * 2,
        control=CLEAN,
        claim=Claim(),
        build_key="b" * 64,
        observed="crash",
        minimised=True,
        plain=plain,
    )
    assert verdict.label == label


def test_a_control_that_stayed_open_is_the_machines_fault() -> None:
    verdict = _decide([CRASH] * 5, control=INCONCLUSIVE)
    assert verdict.label == "environment_failure"


def test_a_report_for_the_fixed_version_is_already_fixed() -> None:
    verdict = _decide([CRASH] * 5, [CLEAN] * 2, claim=Claim(version="2.0"))
    assert verdict.kind is VerdictKind.ALREADY_FIXED


@given(st.lists(kinds, min_size=5, max_size=20), st.none() | st.lists(kinds, max_size=4))
def test_when_the_control_fails_nothing_is_said_of_the_report(
    vulnerable: list[Run], fixed: list[Run] | None
) -> None:
    assert _decide(vulnerable, fixed, control=CRASH).kind in BLAMELESS


@given(st.lists(kinds, min_size=5, max_size=20), st.none() | st.lists(kinds, max_size=4))
def test_nothing_is_confirmed_unless_most_runs_show_one_fault_and_the_fix_none(
    vulnerable: list[Run], fixed: list[Run] | None
) -> None:
    verdict = _decide(vulnerable, fixed)
    if verdict.confirmed:
        assert sum(run.signature == verdict.signature for run in vulnerable) * 2 >= len(vulnerable)
        assert all(run.kind is RunKind.CLEAN for run in fixed or ())
    else:
        assert verdict.level < 2


@given(st.lists(kinds, max_size=25))
def test_more_runs_are_asked_for_only_while_they_can_tell(runs: list[Run]) -> None:
    wanted = runs_wanted(runs)
    violations = sum(run.kind is RunKind.VIOLATION for run in runs)
    assert 0 <= wanted <= 20
    if len(runs) >= 5 and violations in {0, len(runs)} and INCONCLUSIVE not in runs:
        assert wanted == 0
