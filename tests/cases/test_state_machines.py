"""The four machines hold exactly the protocol's states, transitions and histories."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clearhold.cases import model
from clearhold.cases.model import (
    CONSENT,
    EMBARGO,
    NOTHING,
    REPORT,
    Consent,
    ConsentStep,
    EmbargoState,
    EmbargoStep,
    Fact,
    ReportState,
    ReportStep,
    Role,
)
from clearhold.kernel.errors import ConflictError, InvalidError

NOW = datetime(2026, 6, 5, 12, tzinfo=UTC)
STATES = [Fact(value) for value in range(64) if model.exists(Fact(value))]
LASTING = [state for state in STATES if model.forced(state) is None]


def histories(facts: Fact = NOTHING, told: tuple[Fact, ...] = ()) -> Iterator[tuple[Fact, ...]]:
    if len(told) == 6:
        yield told
    for fact in model.following(facts):
        yield from histories(facts | fact, (*told, fact))


def test_report_management_has_seven_states_and_eleven_transitions() -> None:
    assert len(ReportState) == 7
    assert len(REPORT) == 11
    reached = {ReportState.START} | set(REPORT.values())
    assert reached == set(ReportState)


def test_a_closed_report_is_never_reopened() -> None:
    for step in ReportStep:
        with pytest.raises(ConflictError) as refused:
            model.step_report(ReportState.CLOSED, step)
        assert refused.value.facts["possible"] == []


def test_a_report_is_not_closed_before_it_was_judged() -> None:
    for state in (ReportState.START, ReportState.RECEIVED, ReportState.VALID):
        with pytest.raises(ConflictError) as refused:
            model.step_report(state, ReportStep.CLOSE)
        assert "close" not in str(refused.value.facts["possible"])
        assert refused.value.next_step


def test_embargo_management_has_five_states_and_ten_transitions() -> None:
    assert len(EmbargoState) == 5
    assert len(EMBARGO) == 10
    assert {state for state, _ in EMBARGO} == set(EmbargoState) - {EmbargoState.EXITED}


def test_refusing_a_revision_leaves_the_old_embargo_standing() -> None:
    revising = model.step_embargo(EmbargoState.ACTIVE, EmbargoStep.PROPOSE)
    assert model.step_embargo(revising, EmbargoStep.REJECT) is EmbargoState.ACTIVE


def test_consent_has_eleven_rules() -> None:
    others = [key for key in CONSENT if key[1] is not ConsentStep.RESET]
    resets = [key for key in CONSENT if key[1] is ConsentStep.RESET]
    assert len(others) + 1 == 11
    assert {CONSENT[key] for key in resets} == {Consent.NO_EMBARGO}
    assert len(resets) == len(Consent)


def test_nobody_signs_after_declining_without_a_new_invitation() -> None:
    with pytest.raises(ConflictError):
        model.step_consent(Consent.DECLINED, ConsentStep.ACCEPT)
    invited = model.step_consent(Consent.DECLINED, ConsentStep.INVITE)
    assert model.step_consent(invited, ConsentStep.ACCEPT) is Consent.SIGNATORY


def test_the_case_state_has_32_states_58_edges_and_70_histories() -> None:
    assert len(STATES) == 32
    assert sum(len(model.following(state)) for state in STATES) == 58
    assert len(list(histories())) == 70


def test_the_vendor_path_has_three_edges_and_the_world_twelve() -> None:
    def edges(facts: tuple[Fact, ...]) -> int:
        union = facts[0] | facts[1] | facts[2]
        within = [state for state in STATES if state | union == union]
        return sum(
            1
            for state in within
            for fact in facts
            if fact not in state and model.exists(state | fact)
        )

    assert edges(model.VENDOR_PATH) == 3
    assert len([s for s in STATES if Fact.VENDOR_AWARE not in s]) == 8
    world = [state for state in STATES if not state & (Fact(1) | Fact(2) | Fact(4))]
    assert sum(1 for s in world for fact in model.WORLD if fact not in s) == 12


def test_histories_are_those_that_the_rules_of_order_allow() -> None:
    def valid(order: tuple[str, ...]) -> bool:
        at = {letter: place for place, letter in enumerate(order)}
        path = at["V"] < at["F"] < at["D"]
        exploit = at["P"] < at["X"] or at["P"] == at["X"] + 1
        public = at["V"] < at["P"] or at["V"] == at["P"] + 1
        return path and exploit and public

    wanted = {order for order in permutations("VFDPXA") if valid(order)}
    assert {tuple(fact.letter for fact in each) for each in histories()} == wanted


@given(st.sampled_from(LASTING), st.sampled_from(list(Fact)))
def test_reporting_a_fact_follows_legal_edges_to_a_state_that_lasts(
    state: Fact, fact: Fact
) -> None:
    if fact not in state and fact not in model.following(state):
        assert fact in model.VENDOR_PATH
        with pytest.raises(ConflictError, match="cannot become true before"):
            model.entailed(state, fact)
        return
    reached = state
    for each in model.entailed(state, fact):
        assert each in model.following(reached)
        reached |= each
    assert fact in reached
    assert model.forced(reached) is None


def test_a_public_exploit_makes_the_flaw_public_and_the_vendor_aware() -> None:
    assert model.entailed(NOTHING, Fact.EXPLOIT_PUBLIC) == (
        Fact.EXPLOIT_PUBLIC,
        Fact.PUBLIC_AWARE,
        Fact.VENDOR_AWARE,
    )


def test_a_fix_is_not_deployed_before_it_is_ready() -> None:
    with pytest.raises(ConflictError, match="D cannot become true before F"):
        model.entailed(Fact.VENDOR_AWARE, Fact.FIX_DEPLOYED)


def test_a_case_state_is_written_as_the_protocol_writes_it() -> None:
    assert model.word(NOTHING) == "vfdpxa"
    assert model.word(Fact.VENDOR_AWARE | Fact.FIX_READY | Fact.PUBLIC_AWARE) == "VFdPxa"
    assert [model.parse_fact(letter).letter for letter in "VFDPXA"] == list("VFDPXA")


@pytest.mark.parametrize("letter", ["", "v", "VF", "Z", "\x1b[2J"])
def test_an_unknown_status_letter_is_refused_without_repeating_it(letter: str) -> None:
    with pytest.raises(InvalidError) as refused:
        model.parse_fact(letter)
    assert "\x1b" not in refused.value.message


@given(st.sampled_from(STATES))
def test_an_embargo_starts_only_while_nothing_is_known_or_deployed(state: Fact) -> None:
    possible = model.viability(state)
    assert possible.may_start == (model.word(state)[2:] == "dpxa")
    assert bool(possible.caution) == (model.word(state) == "VFdpxa")
    assert possible.reason


@given(st.sampled_from(list(EmbargoState)), st.sampled_from(list(Fact)))
def test_what_the_world_learns_ends_the_embargo(state: EmbargoState, fact: Fact) -> None:
    after = model.embargo_after(state, fact)
    if fact in (Fact.PUBLIC_AWARE, Fact.EXPLOIT_PUBLIC):
        assert after not in model.IN_FORCE
        assert after is not EmbargoState.PROPOSED
    elif fact is Fact.ATTACKS_OBSERVED:
        assert after is (EmbargoState.NONE if state is EmbargoState.PROPOSED else state)
        assert model.embargo_questioned(state, fact) == (state in model.IN_FORCE)
    else:
        assert after is state


def test_an_embargo_needs_every_vendor_and_a_coordinator() -> None:
    vendor, second = (Role.VENDOR, Consent.SIGNATORY), (Role.VENDOR, Consent.INVITED)
    coordinator = (Role.COORDINATOR, Consent.SIGNATORY)
    assert model.agreed([vendor, coordinator])
    assert model.agreed([vendor, coordinator, (Role.FINDER, Consent.DECLINED)])
    assert not model.agreed([coordinator])
    assert not model.agreed([vendor])
    assert not model.agreed([vendor, second, coordinator])


@pytest.mark.parametrize(
    "until",
    [
        NOW,
        NOW - timedelta(seconds=1),
        NOW + timedelta(days=367),
        (NOW + timedelta(days=1)).replace(tzinfo=None),
    ],
)
def test_an_embargo_ends_at_a_sensible_instant_with_a_zone(until: datetime) -> None:
    with pytest.raises(InvalidError):
        model.check_term(until, NOW)


class OneCase(RuleBasedStateMachine):
    """Any order of steps and reports keeps the machines consistent with one another."""

    def __init__(self) -> None:
        super().__init__()
        self.report = ReportState.START
        self.embargo = EmbargoState.NONE
        self.consent = Consent.NO_EMBARGO
        self.facts = NOTHING

    @rule(step=st.sampled_from(list(ReportStep)))
    def handle(self, step: ReportStep) -> None:
        before = self.report
        try:
            self.report = model.step_report(before, step)
        except ConflictError:
            assert (before, step) not in REPORT
        assert before is not ReportState.CLOSED or self.report is ReportState.CLOSED

    @rule(step=st.sampled_from(list(EmbargoStep)))
    def negotiate(self, step: EmbargoStep) -> None:
        before = self.embargo
        if step is EmbargoStep.PROPOSE and not model.viability(self.facts).may_start:
            return
        try:
            self.embargo = model.step_embargo(before, step)
        except ConflictError:
            assert (before, step) not in EMBARGO

    @rule(step=st.sampled_from(list(ConsentStep)))
    def answer(self, step: ConsentStep) -> None:
        try:
            self.consent = model.step_consent(self.consent, step)
        except ConflictError:
            assert (self.consent, step) not in CONSENT

    @precondition(lambda self: self.report in model.ENGAGED)
    @rule(fact=st.sampled_from([Fact.FIX_READY, Fact.FIX_DEPLOYED]))
    def fix(self, fact: Fact) -> None:
        self.learn(fact)

    @rule(fact=st.sampled_from([Fact.VENDOR_AWARE, *model.WORLD]))
    def observe(self, fact: Fact) -> None:
        self.learn(fact)

    def learn(self, fact: Fact) -> None:
        before = self.facts
        try:
            path = model.entailed(before, fact)
        except ConflictError:
            return
        for each in path:
            self.facts |= each
            self.embargo = model.embargo_after(self.embargo, each)
        assert self.facts & before == before

    @invariant()
    def nothing_public_is_under_embargo(self) -> None:
        if self.facts & (Fact.PUBLIC_AWARE | Fact.EXPLOIT_PUBLIC):
            assert self.embargo not in (*model.IN_FORCE, EmbargoState.PROPOSED)

    @invariant()
    def the_state_exists_and_lasts(self) -> None:
        assert self.facts in STATES
        assert model.forced(self.facts) is None


TestOneCase = OneCase.TestCase
