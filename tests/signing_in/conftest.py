"""A coordinator, and a lab whose admin has entered with a passkey."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from signing_in_people import Person, enter

from agreeing import agree
from clearhold.access.model import Actor
from clearhold.access.permissions import MemberRole, PartyKind
from clearhold.assembly.hub import Hub

ALL = (MemberRole.ADMIN, MemberRole.HANDLER)


@pytest.fixture
def coordinator(hub: Hub) -> Callable[[str], Actor]:
    def found(person: str) -> Actor:
        _, issued = hub.parties.found_hub(
            handle="hub", name="Hub", person=person, life=timedelta(days=30)
        )
        return hub.authenticate(issued.secret)

    return found


@pytest.fixture
def lab(hub: Hub, coordinator: Callable[[str], Actor]) -> Person:
    """The first person of a lab, its admin, who has entered with a passkey and accepted for it."""
    ada = coordinator("Ada")
    party = hub.parties.register(ada, handle="lab", name="Lab", kind=PartyKind.LAB)
    made = hub.parties.add_member(ada, party.id, name="Lin", roles=ALL)
    issued = hub.party_sign_in.enrol(ada, party.id, made.id)
    person = enter(hub, made, issued.secret)
    agree(hub.parties, hub.agreements, person.actor, hub.clock.now())
    return person
