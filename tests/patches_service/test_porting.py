"""An accepted fix goes to other versions, each with a verdict of its own, and nothing is asked twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from judging_rules import FIX, HIDES_ONE, Workbench, join

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.cases.material import CaseMaterial
from clearhold.kernel.errors import (
    ConflictError,
    InvalidError,
    LimitError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from clearhold.kernel.ids import FindingId
from clearhold.patches import backporting
from clearhold.patches.asking import MOST_VERSIONS
from clearhold.patches.backporting import tips
from clearhold.patches.flows import Judging
from clearhold.patches.judging import Candidate, Judgement, ProofOutcome
from clearhold.patches.porting import PORT, Ported, Porting
from clearhold.patches.records import State
from clearhold.patches.service import JUDGE
from clearhold.ports.engine import AGAIN_AFTER
from clearhold.validation.builder import BuildFailedError
from clearhold.validation.recipe import Side, load


@dataclass
class RulingPorter:
    """Finds that 1.1 needs another diff, that 1.2 lacks the flaw, and nothing of any other."""

    asked: list[str] = field(default_factory=list)
    failing: list[Exception] = field(default_factory=list)

    def versions(self, candidate: Candidate) -> tuple[str, ...]:
        assert candidate.proofs
        assert not candidate.others
        return ("1.1", "1.2")

    def port(self, candidate: Candidate, version: str) -> Ported:
        self.asked.append(version)
        if version == "1.2" and self.failing:
            raise self.failing.pop()
        if version == "1.2":
            return Ported(version, "not_affected", "No proof works on 1.2.")
        if version != "1.1":
            return Ported(version, "not_published", "There is none.")
        outcomes = tuple(
            ProofOutcome(str(each.finding), stopped=True, observed="SECRET-FRAME")
            for each in candidate.proofs
        )
        facts = {"recipe_sha256": "0" * 64, "search_s": 6}
        judged = Judgement(State.ACCEPTED, "accepted", "It stops all.", outcomes, facts=facts)
        return Ported(version, "adapted", "With less context.", b"--- a/q.c\n+++ b/q.c\n", judged)


@pytest.fixture
def porter(bench: Workbench) -> RulingPorter:
    made = RulingPorter()
    parts: tuple[Any, ...] = (bench.hub.sessions, bench.hub.vault, CaseMaterial(bench.hub.findings))
    bench.engine.register(JUDGE, Judging(*parts, bench.judge, onward=True).judge)
    bench.engine.register(PORT, Porting(*parts, made).run)
    return made


def told(bench: Workbench, patch: Any) -> list[tuple[str, str]]:
    shown = bench.hub.patches.get(bench.maintainer, patch.id)
    return [(each.version, each.outcome) for each in shown.backports]


def test_what_is_accepted_goes_to_other_versions_by_itself(
    bench: Workbench, porter: RulingPorter
) -> None:
    shown = bench.judged(bench.maintainer, FIX)
    assert told(bench, shown) == [("1.1", "adapted"), ("1.2", "not_affected")]
    first = shown.backports[0].judgement
    assert first is not None
    assert [each.stopped for each in first.proofs] == [True, True]
    diff = bench.hub.patches.backported(bench.maintainer, shown.id, "1.1")
    assert diff == b"--- a/q.c\n+++ b/q.c\n"
    assert bench.hub.patches.backport_evidence(bench.maintainer, shown.id, "1.1")
    with pytest.raises(NotFoundError):
        bench.hub.patches.backported(bench.maintainer, shown.id, "1.2")
    assert not bench.judged(bench.maintainer, HIDES_ONE, key="other").backports


def test_a_version_is_asked_once_and_a_named_one_again_while_it_has_no_verdict(
    bench: Workbench, porter: RulingPorter
) -> None:
    shown = bench.judged(bench.maintainer, FIX)
    asked = bench.hub.patches.backport(bench.maintainer, shown.id, ["1.1", "1.2", "9"])
    assert asked.backports_left == ("1.2", "9")
    bench.engine.run_due()
    assert porter.asked == ["1.1", "1.2", "1.2", "9"]
    assert told(bench, shown)[1:] == [("1.2", "not_affected"), ("9", "not_published")]


def test_what_was_found_out_before_a_proof_joined_counts_no_more(
    bench: Workbench,
    porter: RulingPorter,
    party_of: Callable[..., Actor],
    found: Callable[..., FindingId],
) -> None:
    shown = bench.judged(bench.maintainer, FIX)
    join(bench.hub, bench.findings[0], found(party_of(PartyKind.LAB), b"PROOF-THREE"))
    bench.engine.run_due()
    assert told(bench, shown) == []
    later = bench.hub.patches.get(bench.maintainer, shown.id)
    assert later.backports_left == ("1.1", "1.2")
    with pytest.raises(NotFoundError):
        bench.hub.patches.backported(bench.maintainer, shown.id, "1.1")
    bench.hub.patches.backport(bench.maintainer, shown.id, ["1.1"])
    bench.engine.run_due()
    assert told(bench, shown) == [("1.1", "adapted"), ("1.2", "not_affected")]
    ported = bench.hub.patches.get(bench.maintainer, shown.id).backports[0].judgement
    assert ported is not None
    assert len(ported.proofs) == 3


def test_what_a_machine_lacks_is_tried_again_where_it_was(
    bench: Workbench, porter: RulingPorter, clock: Any
) -> None:
    porter.failing.append(UnavailableError("No registry.", next_step="Wait."))
    shown = bench.judged(bench.maintainer, FIX)
    assert told(bench, shown) == [("1.1", "adapted")]
    assert shown.backports_waiting == "No registry. Wait."
    clock.advance(AGAIN_AFTER[0] + timedelta(seconds=1))
    bench.engine.run_due()
    assert porter.asked == ["1.1", "1.2", "1.2"]
    again = bench.hub.patches.get(bench.maintainer, shown.id)
    assert (len(again.backports), again.backports_left, again.backports_waiting) == (2, (), "")


def test_what_cannot_be_asked_now_holds_up_no_other_version(
    bench: Workbench, porter: RulingPorter
) -> None:
    shown = bench.judged(bench.maintainer, FIX)
    porter.failing.append(UnavailableError("It is gone.", next_step="Wait."))
    bench.hub.patches.backport(bench.maintainer, shown.id, ["1.2", "9"])
    bench.engine.run_due()
    assert told(bench, shown) == [("1.1", "adapted"), ("9", "not_published")]
    seen = bench.hub.patches.get(bench.maintainer, shown.id)
    assert (seen.backports_left, seen.backports_waiting) == (("1.2",), "It is gone. Wait.")


def test_a_list_that_cannot_be_read_is_told_and_named_versions_are_asked(
    bench: Workbench, porter: RulingPorter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def versions(_candidate: Candidate) -> tuple[str, ...]:
        raise TooLargeError("The list is too long.", next_step="Name versions.")

    monkeypatch.setattr(porter, "versions", versions)
    shown = bench.judged(bench.maintainer, FIX)
    assert shown.backports_waiting == "The list is too long. Name versions."
    bench.hub.patches.backport(bench.maintainer, shown.id, ["1.1"])
    bench.engine.run_due()
    assert told(bench, shown) == [("1.1", "adapted")]


def test_a_release_that_does_not_build_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_given: Any) -> None:
        raise BuildFailedError("It does not build.", next_step="Look.", stage="build", log="")

    recipe = load("wheel")
    version = recipe.side(Side.VULNERABLE).version
    monkeypatch.setattr(backporting, "_one", fails)
    monkeypatch.setattr(backporting, "read_diff", lambda diff: diff)
    judge: Any = SimpleNamespace(recipe_for=lambda _candidate: recipe)
    nothing: Any = None
    made = backporting.LaboratoryPorter(nothing, judge, None, most=1)
    ported = made.port(Candidate(b"", (), ()), version)
    assert (ported.outcome, ported.words) == ("not_built", "It does not build. Look.")


def test_a_fault_on_one_version_is_told_and_the_others_go_on(
    bench: Workbench, porter: RulingPorter
) -> None:
    porter.failing.append(InvalidError("Its archive is broken.", next_step="Name another."))
    shown = bench.judged(bench.maintainer, FIX)
    assert told(bench, shown) == [("1.1", "adapted"), ("1.2", "not_built")]


def test_only_who_stands_behind_fixes_names_versions_and_only_for_an_accepted_one(
    bench: Workbench, porter: RulingPorter
) -> None:
    hub = bench.hub
    good, bad = (
        bench.judged(bench.maintainer, diff, key=str(number))
        for number, diff in enumerate((FIX, HIDES_ONE))
    )
    with pytest.raises(ConflictError, match="refused, not accepted"):
        hub.patches.backport(bench.maintainer, bad.id, [])
    with pytest.raises(NotFoundError):
        hub.patches.backport(bench.finder, good.id, [])
    for versions in ([""], ["1\n2"], ["1"] * (MOST_VERSIONS + 1)):
        with pytest.raises(InvalidError):
            hub.patches.backport(bench.maintainer, good.id, versions)
    for start in (0, MOST_VERSIONS):
        names = [str(number) for number in range(start, start + MOST_VERSIONS)]
        hub.patches.backport(bench.maintainer, good.id, names)
    with pytest.raises(LimitError):
        hub.patches.backport(bench.maintainer, good.id, ["one more"])


def test_who_may_not_read_a_finding_is_not_told_of_it_by_another_version(
    bench: Workbench, porter: RulingPorter
) -> None:
    sent = bench.submit(bench.lab, FIX)
    bench.engine.run_due()
    assert not bench.hub.patches.get(bench.lab, sent.id).backports
    assert bench.hub.patches.get(bench.maintainer, sent.id).backports


@pytest.mark.parametrize(
    ("kind", "versions", "known", "fixed", "found"),
    [
        ("npm", "0.2.1 0.2.4 1.1.0 1.2.5 1.2.6 1.2.8", "1.2.5", "1.2.6", "0.2.4 1.1.0"),
        ("npm", "1.0.0 1.2.5 1.3.0 2.0.0 2.1.0", "1.2.5", "", "2.1.0 1.0.0 1.3.0"),
        ("pypi", "3.13 4.1 4.2 5.1 5.3.1", "5.1", "5.3.1", "4.2 3.13"),
        ("pypi", "2.9 2.10 2.10.1", "2.9", "", "2.10.1"),
        ("deb", "1.0-1 1.0-1+deb1 2.1.0-3 2.1.0-5", "2.1.0-3", "2.1.0-5", "1.0-1+deb1"),
    ],
)
def test_the_newest_of_each_line_that_has_no_fix_yet_is_asked(
    kind: str, versions: str, known: str, fixed: str, found: str
) -> None:
    assert list(tips(kind, versions.split(), known=known, fixed=fixed)) == found.split()
