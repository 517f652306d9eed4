"""What is said of a version that a fix is brought to follows from what its unpatched build shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from clearhold.cases.material import CaseProof
from clearhold.kernel.errors import UnavailableError
from clearhold.kernel.ids import FindingId
from clearhold.patches import attempts, backporting
from clearhold.patches.fitting import Fit
from clearhold.patches.judging import Judgement
from clearhold.patches.porting import Ported
from clearhold.patches.records import State
from clearhold.validation.diff import read_diff
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import load

DIFF = read_diff(b"--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n")
PROOF = CaseProof(FindingId("f"), "pkg:pypi/ujson@5.1.0", "encode", b"proof")
CLEAN, SHOWS, UNCLEAR = RunKind.CLEAN, RunKind.VIOLATION, RunKind.INCONCLUSIVE
NO_FIT = Fit("5.1.0", "", already=False, failed=(), diff=b"")
FITS = Fit("5.1.0", "exact", already=False, failed=(), diff=b"")
ALREADY = Fit("5.1.0", "", already=True, failed=(), diff=b"")

Told = Callable[..., Ported]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What becomes of a fix while the runs of its proof come out like this, the last one on."""

    def ask(runs: Sequence[RunKind], *, fit: Fit = NO_FIT, benign: RunKind = CLEAN) -> Ported:
        left = list(runs)

        def of_proof() -> RunKind:
            return left.pop(0) if len(left) > 1 else left[0]

        def many(_laboratory: Any, _build: Any, *, proofs: Sequence[bytes], **_: Any) -> Any:
            kinds = [of_proof() if each == PROOF.proof else benign for each in proofs]
            return tuple((SimpleNamespace(kind=kind, signature=("s",)),) for kind in kinds)

        monkeypatch.setattr(attempts, "run_many", many)
        monkeypatch.setattr(backporting, "run_many", many)
        monkeypatch.setattr(backporting, "fit", lambda *_given: fit)
        laboratory: Any = SimpleNamespace(build=lambda *_given, **_more: None)
        judged = Judgement(State.ACCEPTED, "accepted", "It stops all.")
        judge: Any = SimpleNamespace(judge_by=lambda *_given: (judged, None))
        return backporting._one(laboratory, load("ujson"), DIFF, [PROOF], judge)

    return ask


@pytest.mark.parametrize(
    ("runs", "given", "outcome"),
    [
        ([CLEAN], {}, "not_affected"),
        ([CLEAN], {"fit": ALREADY}, "already_fixed"),
        ([CLEAN], {"benign": RunKind.FAULT}, "not_built"),
        ([RunKind.RESOURCE_LIMIT], {}, "not_built"),
        ([SHOWS], {}, "does_not_fit"),
        ([SHOWS], {"fit": FITS}, "fits"),
        ([CLEAN, SHOWS], {"fit": FITS}, "fits"),
        ([UNCLEAR, SHOWS], {"fit": FITS}, "fits"),
        ([UNCLEAR, CLEAN], {}, "not_affected"),
    ],
)
def test_what_is_said_follows_from_what_the_proofs_show(
    told: Told, runs: list[RunKind], given: dict[str, Any], outcome: str
) -> None:
    made = told(runs, **given)
    assert made.outcome == outcome
    assert bool(made.judgement) == bool(made.diff) == (outcome == "fits")


def test_what_cannot_be_measured_is_no_outcome(told: Told) -> None:
    with pytest.raises(UnavailableError):
        told([UNCLEAR])
