"""Verdicts: a closed list, and a pure decision from recorded runs.

Levels of evidence: 0 text only, 1 a trace to code that exists at that version, 2 reproduced,
3 reproduced, gone on the fixed version and minimised, 4 the same in a second environment that another
compiler made. A verdict that the laboratory itself failed never counts against a submitter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from clearhold.validation.crash import similar
from clearhold.validation.oracles import RunKind
from clearhold.validation.reproduce import Run

FIRST_RUNS = 5
EXTENDED_RUNS = 20
OPEN_RUNS = 10
"""How often is measured in all when some of the first measurements stayed open."""
MINIMISED_LEVEL = 3
FLAKY_SHARE = 0.5
EXHAUSTED = "stack-exhaustion"
"""The family of faults that instrumentation alone can bring about."""


class VerdictKind(StrEnum):
    """Everything a validation can end with."""

    REPRODUCED = "reproduced"
    REPRODUCED_FLAKY = "reproduced_flaky"
    NOT_REPRODUCED = "not_reproduced"
    CRASHES_BOTH = "crashes_both"
    DIFFERENT_CRASH = "different_crash"
    HARNESS_FAULT = "harness_fault"
    RESOURCE_LIMIT = "resource_limit"
    ENVIRONMENT_FAILURE = "environment_failure"
    NOT_VALIDATED = "not_validated"
    ALREADY_FIXED = "already_fixed"


DETAILS: Final[Mapping[VerdictKind, frozenset[str]]] = {
    VerdictKind.REPRODUCED: frozenset({"", "no fix yet"}),
    VerdictKind.CRASHES_BOTH: frozenset({""}),
    VerdictKind.DIFFERENT_CRASH: frozenset({""}),
    VerdictKind.HARNESS_FAULT: frozenset({""}),
    VerdictKind.RESOURCE_LIMIT: frozenset({"oom", "timeout", "disk", "output"}),
    VerdictKind.ENVIRONMENT_FAILURE: frozenset({"fetch", "build", "toolchain", ""}),
    VerdictKind.NOT_VALIDATED: frozenset(
        {"no_sandbox", "no_recipe", "unsupported_class", "policy", "no_proof"}
    ),
}
"""What stands in the brackets of a verdict; of the kinds left out, a share, a build or a version."""

BLAMELESS = frozenset(
    {
        VerdictKind.HARNESS_FAULT,
        VerdictKind.ENVIRONMENT_FAILURE,
        VerdictKind.NOT_VALIDATED,
    }
)
"""Verdicts that say nothing about the report and never count against who sent it."""


def of_the_machine(label: str) -> bool:
    """Whether a verdict is only about the machine that looked, so that another try may tell more."""
    no_sandbox = f"{VerdictKind.NOT_VALIDATED}(no_sandbox)"
    return label.startswith(VerdictKind.ENVIRONMENT_FAILURE) or label == no_sandbox


@dataclass(frozen=True, slots=True)
class Claim:
    """What a report says: the class of violation, the version, functions of the stack, if any.

    `violation` is crash, hang, wrong-result or empty when the report does not say; `toolchain` is
    gcc, clang or empty likewise.
    """

    violation: str = ""
    version: str = ""
    frames: tuple[str, ...] = ()
    toolchain: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict: its kind, the detail in its brackets, the level of evidence, and why."""

    kind: VerdictKind
    level: int
    reason: str
    detail: str = ""
    signature: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The kind with its detail, as `reproduced_flaky(14/20)`."""
        return f"{self.kind}({self.detail})" if self.detail else str(self.kind)

    @property
    def confirmed(self) -> bool:
        """Whether the reported violation was shown on the version it was reported for."""
        return self.kind in {VerdictKind.REPRODUCED, VerdictKind.REPRODUCED_FLAKY}


def runs_wanted(runs: Sequence[Run]) -> int:
    """How many more runs on the vulnerable side a decision needs: none, or up to twenty in all."""
    violations = sum(run.kind is RunKind.VIOLATION for run in runs)
    still_open = sum(run.kind is RunKind.INCONCLUSIVE for run in runs)
    if len(runs) < FIRST_RUNS:
        return FIRST_RUNS - len(runs)
    if 0 < violations < len(runs) and len(runs) < EXTENDED_RUNS:
        return EXTENDED_RUNS - len(runs)
    if still_open and not violations and len(runs) < OPEN_RUNS:
        return OPEN_RUNS - len(runs)
    return 0


def decide(
    vulnerable: Sequence[Run],
    *,
    fixed: Sequence[Run] | None,
    control: Run,
    claim: Claim,
    build_key: str,
    observed: str,
    fixed_version: str = "",
    minimised: bool = False,
    plain: Sequence[Run] | None = None,
) -> Verdict:
    """The verdict on runs of one proof.

    `vulnerable` and `fixed` are its runs on the two sides (`fixed` None when no fix exists or it
    is withheld), `control` a run of the benign input on the vulnerable build, `observed` the class
    of violation that the oracle used can see, `minimised` whether the proof has been minimised.
    `plain` are its runs on the build as users have it, empty when the recipe makes none; they are
    asked for when a stack was exhausted, because instrumented frames are several times larger.
    """
    if control.kind is not RunKind.CLEAN:
        return _of_control(control)
    violations = [run for run in vulnerable if run.kind is RunKind.VIOLATION]
    if not violations:
        return _nothing_seen(vulnerable, build_key)
    signature = Counter(run.signature for run in violations).most_common(1)[0][0]
    alike = sum(similar(run.signature, signature) for run in violations)
    share = f"{alike}/{len(vulnerable)}"
    if alike < FLAKY_SHARE * len(vulnerable):
        return _left_open(vulnerable, seen=alike) or Verdict(
            VerdictKind.NOT_REPRODUCED,
            0,
            f"The same violation was seen in only {share} runs.",
            build_key[:12],
            signature,
        )
    refused = _inflated(plain, build_key, signature) or _mismatch(claim, observed, violations)
    if refused:
        return replace(refused, signature=signature)
    steady = alike == len(vulnerable)
    shown = Verdict(
        VerdictKind.REPRODUCED if steady else VerdictKind.REPRODUCED_FLAKY,
        2,
        f"{violations[0].reason} in {share} runs",
        "" if steady else share,
        signature,
    )
    if fixed is None:
        return replace(
            shown,
            reason=f"{shown.reason}, the benign control passes; no fix yet to compare with.",
            detail=shown.detail or "no fix yet",
        )
    return _against_fix(shown, fixed, claim=claim, fixed_version=fixed_version, minimised=minimised)


def _of_control(control: Run) -> Verdict:
    if control.kind is RunKind.INCONCLUSIVE:
        reason = f"The benign control stayed open: {control.reason}."
        return Verdict(VerdictKind.ENVIRONMENT_FAILURE, 0, reason)
    return Verdict(
        VerdictKind.HARNESS_FAULT,
        0,
        f"The benign control does not pass on the unchanged harness: {control.reason}.",
    )


def _nothing_seen(runs: Sequence[Run], build_key: str) -> Verdict:
    def common(*kinds: RunKind) -> str:
        reasons = Counter(run.reason for run in runs if run.kind in kinds)
        return reasons.most_common(1)[0][0] if reasons else ""

    if fault := common(RunKind.FAULT):
        return Verdict(VerdictKind.HARNESS_FAULT, 0, f"The harness failed: {fault}.")
    if undecided := _left_open(runs):
        return undecided
    if limit := common(RunKind.RESOURCE_LIMIT):
        why = "The run reached a limit, which proves nothing under this oracle."
        return Verdict(VerdictKind.RESOURCE_LIMIT, 0, why, limit)
    if common(RunKind.UNUSABLE):
        why = "The proof is not of the form that the target takes."
    else:
        why = f"No violation in {len(runs)} runs."
    return Verdict(VerdictKind.NOT_REPRODUCED, 0, why, build_key[:12])


def _left_open(runs: Sequence[Run], *, seen: int = 0) -> Verdict | None:
    """The verdict where so many measurements stayed open that they could have made another one.

    `seen` runs showed the violation. None when even all open ones would not make half of the runs.
    """
    reasons = Counter(run.reason for run in runs if run.kind is RunKind.INCONCLUSIVE)
    if not reasons or reasons.total() + seen < FLAKY_SHARE * len(runs):
        return None
    return Verdict(
        VerdictKind.ENVIRONMENT_FAILURE,
        0,
        f"The measurement stayed open in {reasons.total()} of {len(runs)} runs "
        f"({reasons.most_common(1)[0][0]}), which says nothing of the proof; a proof that grows "
        "further, or a quieter machine, may tell.",
    )


def _inflated(
    plain: Sequence[Run] | None, build_key: str, signature: tuple[str, ...]
) -> Verdict | None:
    """A refusal when only the instrumented build exhausts its stack; else None."""
    if plain is None or signature[0] != EXHAUSTED:
        return None
    if not plain:
        return Verdict(
            VerdictKind.NOT_VALIDATED,
            0,
            "The recipe has no plain build, and the instrumented one exhausts its stack too early.",
            "unsupported_class",
        )
    if all(run.kind is RunKind.VIOLATION for run in plain):
        return None
    return Verdict(
        VerdictKind.NOT_REPRODUCED,
        0,
        "Only the instrumented build exhausts its stack; the build as users have it does not.",
        build_key[:12],
    )


def _mismatch(claim: Claim, observed: str, violations: Sequence[Run]) -> Verdict | None:
    """A refusal when what was seen is not what was claimed; else None."""
    functions = {frame.function for run in violations if run.crash for frame in run.crash.frames}
    if sum(run.other for run in violations) * 2 > len(violations):
        reason = f"The target is watched for something else than this: {violations[0].reason}."
    elif claim.violation and claim.violation != observed:
        reason = f"A {claim.violation} was claimed; the proof shows a {observed}."
    elif claim.frames and functions and not functions & set(claim.frames):
        reason = "None of the claimed functions is on the stack of the fault that was seen."
    else:
        return None
    return Verdict(VerdictKind.DIFFERENT_CRASH, 0, reason)


def _against_fix(
    shown: Verdict,
    fixed: Sequence[Run],
    *,
    claim: Claim,
    fixed_version: str,
    minimised: bool,
) -> Verdict:
    # A violation weighs more than a measurement that stayed open.
    unfixed = next((run for run in fixed if run.kind is RunKind.VIOLATION), None) or next(
        (run for run in fixed if run.kind is not RunKind.CLEAN), None
    )
    if unfixed is None:
        if claim.version and claim.version == fixed_version:
            return Verdict(
                VerdictKind.ALREADY_FIXED,
                0,
                f"Reported for {claim.version}, which does not show it.",
                fixed_version,
                shown.signature,
            )
        ending = "; the proof is minimised." if minimised else "."
        return replace(
            shown,
            level=3 if minimised else 2,
            reason=f"{shown.reason}; {fixed_version} shows nothing in {len(fixed)} runs{ending}",
        )
    if unfixed.kind is RunKind.VIOLATION:
        same = "the same" if similar(unfixed.signature, shown.signature) else "another"
        return Verdict(
            VerdictKind.CRASHES_BOTH,
            1,
            f"{fixed_version} shows {same} violation: {unfixed.reason}.",
            signature=shown.signature,
        )
    if unfixed.kind is RunKind.INCONCLUSIVE:
        return Verdict(
            VerdictKind.ENVIRONMENT_FAILURE,
            0,
            f"{shown.reason}, but of {fixed_version} the measurement stayed open: {unfixed.reason}.",
        )
    if unfixed.kind is RunKind.RESOURCE_LIMIT:
        return Verdict(
            VerdictKind.RESOURCE_LIMIT, 0, "The fixed side reached a limit.", unfixed.reason
        )
    return Verdict(VerdictKind.HARNESS_FAULT, 0, f"The fixed side failed: {unfixed.reason}.")
