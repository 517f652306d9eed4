"""What takes two people takes two people, for exactly one act, once, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from clearhold.access.approvals import LIFE, Act, Approval, consume
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import (
    ApprovalNeededError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import ApprovalId

Parties = Callable[..., Actor]
ACT = Act.EXPORT_CASE
WHAT = {"format": "zip"}


def coordinator(hub: Hub, person: str) -> Actor:
    life = timedelta(days=365)
    _, issued = hub.parties.found_hub(handle="hub", name="Hub", person=person, life=life)
    return hub.authenticate(issued.secret)


@pytest.fixture
def people(hub: Hub) -> tuple[Actor, Actor, Actor]:
    return coordinator(hub, "Ada"), coordinator(hub, "Bo"), coordinator(hub, "Cy")


def propose(hub: Hub, actor: Actor) -> Approval:
    return hub.approvals.propose(actor, ACT, "case-1", particulars=WHAT, reason="audit")


def act(hub: Hub, actor: Actor, *, subject: str = "case-1", **changed: str) -> Approval:
    with hub.sessions.transaction() as unit:
        return consume(unit, actor, ACT, subject, {**WHAT, **changed})


def test_an_approved_act_is_done_once(hub: Hub, people: tuple[Actor, ...]) -> None:
    ada, bo, _ = people
    made = propose(hub, ada)
    with pytest.raises(ApprovalNeededError):
        act(hub, ada)
    hub.approvals.give(bo, made.id)
    assert act(hub, ada).id == made.id
    with pytest.raises(ApprovalNeededError):
        act(hub, ada)


def test_an_act_that_fails_leaves_its_approval_unused(hub: Hub, people: tuple[Actor, ...]) -> None:
    ada, bo, _ = people
    hub.approvals.give(bo, propose(hub, ada).id)
    with pytest.raises(RuntimeError), hub.sessions.transaction() as unit:
        consume(unit, ada, ACT, "case-1", WHAT)
        raise RuntimeError
    assert act(hub, ada)


def test_nobody_is_their_own_second_person(
    hub: Hub, people: tuple[Actor, ...], party_of: Parties
) -> None:
    ada = people[0]
    made = propose(hub, ada)
    again = coordinator(hub, "Ada")  # another token of the same person
    for actor in (ada, again):
        with pytest.raises(DeniedError, match="somebody else"):
            hub.approvals.give(actor, made.id)
    machine = hub.authenticate(
        hub.parties.issue_token(ada, ada.party, life=timedelta(days=1)).secret
    )
    with pytest.raises(DeniedError, match="service account"):
        hub.approvals.give(machine, made.id)
    with pytest.raises(DeniedError):
        hub.approvals.give(party_of(PartyKind.LAB), made.id)
    with pytest.raises(NotFoundError):
        hub.approvals.give(people[1], ApprovalId("nothing"))


def test_an_approval_is_for_exactly_what_was_proposed(hub: Hub, people: tuple[Actor, ...]) -> None:
    ada, bo, cy = people
    hub.approvals.give(bo, propose(hub, ada).id)
    for wrong in ({"subject": "case-2"}, {"format": "tar"}, {"more": "x"}):
        with pytest.raises(ApprovalNeededError):
            act(hub, ada, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ApprovalNeededError):
        act(hub, cy)
    assert act(hub, bo)


def test_an_approval_ends_after_its_day(hub: Hub, people: tuple[Actor, ...], clock: Any) -> None:
    ada, bo, _ = people
    late, given = propose(hub, ada), propose(hub, ada)
    hub.approvals.give(bo, given.id)
    clock.advance(LIFE)
    with pytest.raises(ConflictError, match="expired"):
        hub.approvals.give(bo, late.id)
    with pytest.raises(ApprovalNeededError):
        act(hub, ada)


NO_REASONS: list[str] = ["", " ", "x" * 201, "two\nlines", "\x1b[2J"]


def test_a_reason_is_one_plain_line(
    hub: Hub, people: tuple[Actor, ...], subtests: pytest.Subtests
) -> None:
    for reason in NO_REASONS:
        with subtests.test(reason=reason), pytest.raises(InvalidError):
            hub.approvals.propose(people[0], ACT, "case-1", particulars={}, reason=reason)


def test_another_coordinating_party_sees_and_gives_nothing(
    hub: Hub, people: tuple[Actor, ...]
) -> None:
    made = propose(hub, people[0])
    life = timedelta(days=1)
    _, issued = hub.parties.found_hub(handle="elsewhere", name="E", person="Zoe", life=life)
    other = hub.authenticate(issued.secret)
    assert hub.approvals.list(other) == ()
    with pytest.raises(NotFoundError):
        hub.approvals.give(other, made.id)


class Desk(RuleBasedStateMachine):
    """Proposals of three people, beside a record of what may be done with each."""

    hub: Hub
    people: tuple[Actor, ...]
    somebody = st.integers(0, 2)

    @initialize()
    def clear(self) -> None:
        self.made: list[ApprovalId] = []
        self.proposers: dict[str, Actor] = {}
        self.state: dict[str, str] = {}

    @rule(who=somebody)
    def propose(self, who: int) -> None:
        made = propose(self.hub, self.people[who]).id
        self.made.append(made)
        self.proposers[made], self.state[made] = self.people[who], "proposed"

    @precondition(lambda self: self.made)
    @rule(who=somebody, which=st.integers(0, 9))
    def give(self, who: int, which: int) -> None:
        made = self.made[which % len(self.made)]
        second = self.people[who] is not self.proposers[made]
        allowed = second and self.state[made] in {"proposed", "approved"}
        try:
            self.hub.approvals.give(self.people[who], made)
        except (DeniedError, ConflictError):
            assert not allowed
        else:
            assert allowed
            self.state[made] = "approved"

    @precondition(lambda self: self.made)
    @rule(who=somebody, which=st.integers(0, 9))
    def refuse(self, who: int, which: int) -> None:
        made = self.made[which % len(self.made)]
        if self.state[made] != "used":
            self.hub.approvals.refuse(self.people[who], made)
            self.state[made] = "refused"

    @rule(who=somebody)
    def act(self, who: int) -> None:
        try:
            used = act(self.hub, self.people[who]).id
        except ApprovalNeededError:
            return
        assert self.state.get(used) == "approved"
        self.state[used] = "used"

    def teardown(self) -> None:
        for made in getattr(self, "made", ()):
            if self.state[made] != "used":
                self.hub.approvals.refuse(self.people[0], made)


def test_whatever_is_proposed_given_and_refused_an_act_has_two_people_behind_it_once(
    hub: Hub, people: tuple[Actor, ...]
) -> None:
    Desk.hub, Desk.people = hub, people
    quick = settings(
        max_examples=8,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Desk, settings=quick)
