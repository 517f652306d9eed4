"""A plan is fixed before the first call, and nothing is looked at before it is done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearhold.evaluations.plan import (
    Arm,
    Completeness,
    Plan,
    PlannedSuite,
    may_estimate,
    read,
    register,
)
from clearhold.kernel.errors import ConflictError, InvalidError

BARE = Arm(budgets=(1000, 10_000), epochs=5, name="bare", variant="candidate")
SUITE = PlannedSuite(commitment="0" * 64, name="ctf", tasks=150, templates=30)


def plan(**changed: Any) -> Plan:
    stated: dict[str, Any] = {
        "arms": (BARE,),
        "attempts": (1, 3),
        "compared_with": ("aurora-8",),
        "confidence": 0.95,
        "detectable": 0.08,
        "engagement": "engagement",
        "hypotheses": ("It solves more than aurora-8.",),
        "nonce": "nonce-1234",
        "seed": 7,
        "stopping": "when-all-trials-are-done",
        "suites": (SUITE,),
        "thresholds": {},
    }
    return Plan(**(stated | changed))


def test_a_plan_has_one_form_and_one_digest() -> None:
    known = register(plan())
    assert read(known.content).sha256 == known.sha256
    assert known.trials == 150 * 5
    for other in (known.content + b" ", b" " + known.content, b"{}", b"\xff", b"[" * 9999):
        with pytest.raises(InvalidError):
            read(other)
    assert register(plan(seed=8)).sha256 != known.sha256


@given(st.integers(0, 749))
def test_nothing_is_estimated_before_all_trials_are_done(done: int) -> None:
    known = register(plan())
    with pytest.raises(ConflictError, match="planned trials"):
        may_estimate(known, done=done, ended=False)
    assert may_estimate(known, done=done, ended=True) is Completeness.ENDED_EARLY
    assert may_estimate(known, done=750, ended=False) is Completeness.AS_PLANNED


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hypotheses": ()}, "asks nothing"),
        ({"hypotheses": ("It solves\0more.",)}, "no line of text"),
        ({"detectable": 0.0}, "detect"),
        ({"attempts": (5,)}, "pass@5 wants more"),
        ({"attempts": (1,) * 1000}, "twice"),
        (
            {"arms": (Arm(budgets=(*range(1, 52),), epochs=5, name="bare", variant="v"),)},
            "too many budgets",
        ),
        ({"arms": (Arm(budgets=(5,), epochs=5, name="bare", variant="v\n\x1b[2J"),)}, "is no name"),
        ({"arms": ()}, "trials"),
        ({"arms": (Arm(budgets=(5,), epochs=5, name="coached", variant="v"),)}, "no bare arm"),
        ({"arms": (BARE, BARE)}, "named twice"),
        ({"arms": (Arm(budgets=(9, 5), epochs=5, name="bare", variant="v"),)}, "do not rise"),
        ({"suites": (SUITE, SUITE)}, "named twice"),
        (
            {"suites": (PlannedSuite(commitment="", name="x", tasks=3, templates=2),)},
            "no commitment",
        ),
        ({"thresholds": {"covered": ""}}, "names no authority"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_a_plan_that_cannot_be_kept_to_is_refused_with_what_is_wrong(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidError, match=said):
        register(plan(**changed))
