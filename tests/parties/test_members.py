"""Who acts for a party is the party's own to say, and nobody makes up a second coordinator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from clearhold.access.members import Member
from clearhold.access.model import Actor
from clearhold.access.permissions import PERMISSIONS, MemberRole, PartyKind, Permission
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    NotFoundError,
    UnauthenticatedError,
)

Parties = Callable[..., Actor]
DAY = timedelta(days=1)


def founder(hub: Hub, person: str = "Ada") -> Actor:
    _, issued = hub.parties.found_hub(handle="hub", name="Hub", person=person, life=DAY)
    return hub.authenticate(issued.secret)


def member(hub: Hub, admin: Actor, *roles: MemberRole) -> tuple[Member, Actor]:
    made = hub.parties.add_member(admin, admin.party, name="Noor", roles=roles)
    issued = hub.parties.issue_token(admin, admin.party, life=DAY, member=made.id)
    return made, hub.authenticate(issued.secret)


def test_a_member_acts_as_a_person_with_what_its_roles_give(hub: Hub, party_of: Parties) -> None:
    lab = party_of(PartyKind.LAB)
    made, viewer = member(hub, lab, MemberRole.VIEWER)
    assert viewer.person == made.person is not None
    assert viewer.party == lab.party
    reads = {each for each in PERMISSIONS[PartyKind.LAB] if each.endswith(":read")}
    assert viewer.permissions == reads | {Permission.ACCOUNT_WRITE}
    _, handler = member(hub, lab, MemberRole.HANDLER)
    assert Permission.FINDINGS_SUBMIT in handler.permissions
    assert Permission.PARTIES_MEMBERS not in handler.permissions
    with pytest.raises(DeniedError):
        hub.parties.add_member(handler, lab.party, name="Eve", roles=[MemberRole.ADMIN])


def test_a_member_that_is_ended_is_out_at_once_with_every_token(
    hub: Hub, party_of: Parties
) -> None:
    lab = party_of(PartyKind.LAB)
    made, actor = member(hub, lab, MemberRole.HANDLER)
    again = hub.parties.issue_token(actor, lab.party, life=DAY, member=actor.principal)
    hub.parties.end_member(lab, lab.party, made.id)
    with pytest.raises(UnauthenticatedError):
        hub.authenticate(again.secret)
    with pytest.raises(NotFoundError):
        hub.parties.issue_token(lab, lab.party, life=DAY, member=made.id)


def test_an_admin_cannot_act_as_a_member_who_has_come(hub: Hub, party_of: Parties) -> None:
    lab = party_of(PartyKind.LAB)
    made, _ = member(hub, lab, MemberRole.HANDLER)
    with pytest.raises(ConflictError, match="no longer yours"):
        hub.parties.issue_token(lab, lab.party, life=DAY, member=made.id)


def test_a_narrow_credential_makes_no_wider_one(hub: Hub, party_of: Parties) -> None:
    lab = party_of(PartyKind.LAB)
    narrow = hub.authenticate(
        hub.parties.issue_token(
            lab,
            lab.party,
            life=DAY,
            member=lab.principal,
            permissions=[Permission.PARTIES_READ],
        ).secret
    )
    assert narrow.permissions == {Permission.PARTIES_READ}
    with pytest.raises(ClearholdError):
        hub.parties.issue_token(
            narrow,
            lab.party,
            life=DAY,
            member=lab.principal,
            permissions=[Permission.FINDINGS_READ],
        )
    with pytest.raises(DeniedError):
        hub.parties.issue_token(narrow, lab.party, life=DAY)
    same = hub.parties.issue_token(narrow, lab.party, life=DAY, member=lab.principal)
    assert hub.authenticate(same.secret).permissions == narrow.permissions


def test_a_coordinator_adds_the_first_member_of_a_party_and_no_other(hub: Hub) -> None:
    ada = founder(hub)
    party = hub.parties.register(ada, handle="aurora", name="Aurora", kind=PartyKind.LAB)
    hub.parties.add_member(ada, party.id, name="Noor", roles=[MemberRole.ADMIN])
    with pytest.raises(ConflictError, match="its own to choose"):
        hub.parties.add_member(ada, party.id, name="Eve", roles=[MemberRole.ADMIN])


def test_no_coordinator_makes_up_a_second_one(hub: Hub) -> None:
    ada, bo = founder(hub), founder(hub, "Bo")
    assert ada.party == bo.party
    assert ada.person != bo.person
    for one, other in ((ada, bo), (bo, ada)):
        with pytest.raises(ConflictError, match="machine"):
            hub.parties.add_member(one, one.party, name="Eve", roles=[MemberRole.HANDLER])
        with pytest.raises(ConflictError, match="machine"):
            hub.parties.issue_token(one, one.party, life=DAY, member=other.principal)
        with pytest.raises(ConflictError):
            hub.parties.end_member(one, one.party, other.principal)


def test_the_members_of_another_party_are_as_if_it_were_not_there(
    hub: Hub, party_of: Parties
) -> None:
    lab, other = party_of(PartyKind.LAB), party_of(PartyKind.LAB)
    for party in (other.party, "nobody"):
        with pytest.raises(NotFoundError) as told:
            hub.parties.members(lab, party)  # type: ignore[arg-type]
        assert told.value.message == "There is no such party."
