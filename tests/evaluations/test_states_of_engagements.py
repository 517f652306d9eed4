"""What may happen in an engagement, and that no word of it judges a model."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judging_words import JUDGING

import clearhold.evaluations
from clearhold.delivery.cli import model_agreement as cli_agreement
from clearhold.delivery.cli import model_engagement as cli_engagement
from clearhold.delivery.cli import model_findings as cli_findings
from clearhold.delivery.cli import model_parties as cli_parties
from clearhold.delivery.cli import model_plan as cli_plan
from clearhold.delivery.cli import model_report as cli_report
from clearhold.delivery.http import model_parts, model_reports, model_tests
from clearhold.evaluations.model import (
    BOTH,
    OVER,
    REACHABLE,
    WHO,
    Act,
    EngagementState,
    Side,
    after,
    possible,
)
from clearhold.kernel.errors import ConflictError
from clearhold.wire import model_agreement, model_decision


@pytest.mark.parametrize("state", [*EngagementState])
def test_either_side_may_end_it_at_any_time_without_a_reason(state: EngagementState) -> None:
    if state in OVER:
        assert possible(state) == ()
        return
    assert after(state, Act.WITHDRAW) is EngagementState.WITHDRAWN
    assert after(state, Act.DECLINE) is EngagementState.DECLINED
    assert WHO[Act.WITHDRAW] == {Side.DEVELOPER}
    assert WHO[Act.DECLINE] == {Side.EVALUATOR}
    assert not BOTH & {Act.WITHDRAW, Act.DECLINE}


@given(st.lists(st.sampled_from([*Act]), max_size=30))
def test_no_final_report_without_a_draft_that_the_developer_could_answer(acts: list[Act]) -> None:
    state = EngagementState.PROPOSED
    been = [state]
    for act in acts:
        if act not in possible(state):
            with pytest.raises(ConflictError, match="cannot"):
                after(state, act)
            continue
        state = after(state, act)
        been.append(state)
    if EngagementState.FINAL_ISSUED in been:
        before = been[: been.index(EngagementState.FINAL_ISSUED)]
        assert EngagementState.DRAFT_SENT in before
        assert {
            EngagementState.REPLIED,
            EngagementState.REPLY_WAIVED,
            EngagementState.REPLY_ELAPSED,
        } & set(before)
    if EngagementState.TESTING in been:
        assert EngagementState.ACCESS_VERIFIED in been[: been.index(EngagementState.TESTING)]


def test_a_model_is_within_reach_only_while_it_is_verified_and_tested() -> None:
    assert {
        EngagementState.PROVISIONING,
        EngagementState.ACCESS_VERIFIED,
        EngagementState.TESTING,
    } == REACHABLE


def test_every_state_is_reached_and_leads_somewhere_or_is_over() -> None:
    reached = {EngagementState.PROPOSED}
    while True:
        more = {after(state, act) for state in reached for act in possible(state)} - reached
        if not more:
            break
        reached |= more
    assert reached == set(EngagementState)
    assert all(possible(state) for state in EngagementState if state not in OVER)


def _words(path: Path) -> set[str]:
    """The names of enumerations' members and classes' fields of a module, and members' values."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ClassDef):
            continue
        for line in node.body:
            match line:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    found.add(name)
                    if isinstance(value, ast.Constant):
                        found.add(str(value.value))
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(name)
    return found | _choices(path)


def _choices(path: Path) -> set[str]:
    """The words of `Literal` types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
            found |= {str(each.value) for each in ast.walk(node) if isinstance(each, ast.Constant)}
    return found


def test_no_state_field_or_label_of_the_desk_judges_a_model() -> None:
    files = sorted(Path(clearhold.evaluations.__path__[0]).rglob("*.py"))
    assert len(files) > 5
    files += [
        Path(each.__file__)
        for each in (
            model_agreement,
            model_tests,
            model_reports,
            model_parts,
            model_decision,
            cli_findings,
            cli_parties,
            cli_agreement,
            cli_engagement,
            cli_plan,
            cli_report,
        )
    ]
    assert "maintainer-first" in _words(Path(model_agreement.__file__))
    said = {
        f"{path.name}: {word}"
        for path in files
        for word in _words(path)
        if JUDGING.search(re.sub(r"[-_]", " ", word.lower()))
    }
    assert not said


@pytest.mark.parametrize(
    "word",
    ["approved", "PASSED", "certified", "cleared", "licensed", "blocked", "not_cleared", "safe"],
)
def test_the_words_that_judge_are_known(word: str) -> None:
    assert JUDGING.search(re.sub(r"[-_]", " ", word.lower()))
