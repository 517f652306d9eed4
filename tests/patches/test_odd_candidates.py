"""Candidates that stop their proof and do something else besides get the verdict that is due to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clearhold.cases.material import CaseProof
from clearhold.kernel.ids import FindingId
from clearhold.patches import answering, siblings
from clearhold.patches.judge import LaboratoryJudge
from clearhold.patches.judging import Candidate, Judgement
from clearhold.validation.builder import Laboratory
from parcel_project import ESCAPES, FIX, PACKAGE, changed, parcel

Judge = Callable[..., Judgement]

ENTRY = (
    "    done = 0\n"
    "    for line in text.splitlines():\n"
    '        name, _, content = line.partition("=")\n'
    "        if name:\n"
)
ONE_ENTRY = (ENTRY, ENTRY.replace("if name:", "if name and os.pardir not in name:"))


@pytest.fixture(scope="module")
def judged(laboratory: Laboratory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    own, recipe, _ = parcel(laboratory, Path(tmp_path_factory.mktemp("parcel")))
    judge = LaboratoryJudge(own, search_s=0)

    def run(*edits: tuple[str, str]) -> Judgement:
        proof = CaseProof(FindingId("escapes"), f"pkg:pypi/{PACKAGE}", "unpack", ESCAPES)
        return judge.judge_by(recipe, Candidate(changed(*edits), (proof,), ()))[0]

    with pytest.MonkeyPatch.context() as patched:  # fewer inputs than in earnest
        patched.setattr(answering, "MOST_MUTANTS", 2)
        patched.setattr(siblings, "MOST_MUTANTS", 2)
        yield run


def test_a_fix_of_one_entry_is_found_out_through_the_other(judged: Judge) -> None:
    judgement = judged(ONE_ENTRY)
    assert (judgement.kind, [each.stopped for each in judgement.proofs]) == ("symptom_only", [True])
    assert "the target restore" in judgement.reason


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("0o640", "0o644"), "mode of /work/into/one"),
        (("time.gmtime()", "time.gmtime(time.time() + 7200)"), "the time of /tmp/made/a.zip!a"),
    ],
    ids=["mode", "two hours later in an archive"],
)
def test_what_is_written_otherwise_is_a_change_of_behaviour(
    judged: Judge, edit: tuple[str, str], said: str
) -> None:
    judgement = judged(FIX, edit)
    assert judgement.kind == "behaviour_changing", judgement.reason
    assert said in judgement.reason


def test_a_fix_that_refuses_every_name_with_a_dot_is_told_from_a_real_one(
    judged: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "MOST_TARGETS", 1)
    judgement = judged(
        FIX,
        (
            "        if name:\n            write(into, name, content)\n            done",
            "        if name and '.' not in name:\n            write(into, name, content)\n            done",
        ),
    )
    assert judgement.kind in {"over_broad", "behaviour_changing"}, judgement.reason
    assert "a dot in a word" in judgement.reason
