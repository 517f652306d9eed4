"""Nobody sees a compartment they were not read in to, and only for as long as they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearhold.access.grants import Grantee, Tier, compartments_of, parties_in, read_in, read_out
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.kernel.ids import CompartmentId
from clearhold.ledger.records import leaves

Parties = Callable[..., Actor]
SOON = timedelta(hours=1)


@pytest.fixture
def labs(party_of: Parties) -> tuple[Actor, Actor]:
    return party_of(PartyKind.LAB, "lab-alpha"), party_of(PartyKind.LAB, "lab-beta")


@pytest.fixture
def within(hub: Hub) -> CompartmentId:
    with hub.sessions.transaction() as unit:
        return hub.vault.open_compartment(unit)


def seen(hub: Hub, actor: Actor) -> list[str]:
    with hub.sessions.transaction() as unit:
        return list(
            unit.connection.execute(compartments_of(actor, unit.now, tier=Tier.NOTICE)).scalars()
        )


def let_in(hub: Hub, within: CompartmentId, actor: Actor, **options: Any) -> None:
    given = {"tier": 0, "reason": "maintains it", "granted_by": "coordinator"} | options
    with hub.sessions.transaction() as unit:
        read_in(unit, within, Grantee(actor.party), **given)


def test_who_was_not_read_in_sees_nothing_whatever_they_are(
    hub: Hub, party_of: Parties, within: CompartmentId
) -> None:
    assert [seen(hub, party_of(kind)) for kind in PartyKind] == [[]] * len(PartyKind)


def test_who_is_read_in_sees_that_compartment_alone(
    hub: Hub, labs: tuple[Actor, Actor], within: CompartmentId
) -> None:
    with hub.sessions.transaction() as unit:
        hub.vault.open_compartment(unit)
    let_in(hub, within, labs[0])
    assert seen(hub, labs[0]) == [within]
    assert seen(hub, labs[1]) == []


def test_a_grant_expires_at_its_instant(
    hub: Hub, labs: tuple[Actor, Actor], within: CompartmentId, clock: Any
) -> None:
    let_in(hub, within, labs[0], expires_at=clock.now() + SOON)
    clock.advance(SOON - timedelta(microseconds=1))
    assert seen(hub, labs[0]) == [within]
    clock.advance(timedelta(microseconds=1))
    assert seen(hub, labs[0]) == []
    with hub.sessions.transaction() as unit:
        assert parties_in(unit, within) == ()


def test_a_grant_is_revoked_at_once_and_may_be_given_anew(
    hub: Hub, labs: tuple[Actor, Actor], within: CompartmentId
) -> None:
    for actor in labs:
        let_in(hub, within, actor)
    with hub.sessions.transaction() as unit:
        read_out(unit, within, Grantee(labs[0].party), by="coordinator")
        assert parties_in(unit, within) == (labs[1].party,)
    assert seen(hub, labs[0]) == []
    let_in(hub, within, labs[0], tier=2)
    assert seen(hub, labs[0]) == [within]


def test_a_second_reading_in_replaces_the_first(
    hub: Hub, labs: tuple[Actor, Actor], within: CompartmentId, clock: Any
) -> None:
    let_in(hub, within, labs[0])
    let_in(hub, within, labs[0], expires_at=clock.now() + SOON)
    clock.advance(SOON)
    assert seen(hub, labs[0]) == []


def test_every_reading_in_and_out_is_in_the_ledger_with_its_reason(
    hub: Hub, labs: tuple[Actor, Actor], within: CompartmentId
) -> None:
    let_in(hub, within, labs[0], tier=1, reason="ships it")
    with hub.sessions.transaction() as unit:
        read_out(unit, within, Grantee(labs[0].party), by="coordinator")
    with hub.sessions.transaction() as unit:
        told = [
            (leaf.action, leaf.actor, leaf.subject, leaf.detail)
            for leaf in leaves(unit.connection, compartments=[within])
        ]
    assert told == [
        (
            "access:compartment:read-in",
            "coordinator",
            labs[0].party,
            {"tier": "1", "reason": "ships it"},
        ),
        ("access:compartment:read-out", "coordinator", labs[0].party, {}),
    ]


def test_history_shows_leaves_of_ones_own_compartments_alone(
    hub: Hub, labs: tuple[Actor, Actor], within: CompartmentId
) -> None:
    let_in(hub, within, labs[0])
    mine = hub.history(labs[0], after=0, limit=100)
    assert {leaf.compartment for leaf in mine} - {None} == {within}
    others = hub.history(labs[1], after=0, limit=100)
    assert {leaf.compartment for leaf in others} == {None}
    own = {labs[1].party, labs[1].principal}
    assert all(own & {leaf.actor, leaf.subject} for leaf in others)
    accepted = [leaf for leaf in others if leaf.action == "parties:agreement:accept"]
    assert [leaf.actor for leaf in accepted] == [labs[1].principal]


steps = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["in", "brief", "out", "wait"])), max_size=12
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=steps)
def test_what_one_sees_is_what_the_last_step_says(
    hub: Hub, labs: tuple[Actor, Actor], clock: Any, steps: list[tuple[int, str]]
) -> None:
    with hub.sessions.transaction() as unit:
        within = hub.vault.open_compartment(unit)
    expected = {0: "out", 1: "out"}
    for who, step in steps:
        if step == "wait":
            clock.advance(SOON)
            expected = {each: "out" if last == "brief" else last for each, last in expected.items()}
        elif step == "out":
            with hub.sessions.transaction() as unit:
                read_out(unit, within, Grantee(labs[who].party), by="coordinator")
            expected[who] = "out"
        else:
            expires = clock.now() + SOON if step == "brief" else None
            let_in(hub, within, labs[who], expires_at=expires)
            expected[who] = step
        for each, actor in enumerate(labs):
            assert (within in seen(hub, actor)) == (expected[each] != "out")
