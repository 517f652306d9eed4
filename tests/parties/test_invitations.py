"""One person may act for several parties, and stays one person."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from clearhold.access.model import Actor
from clearhold.access.permissions import MemberRole, PartyKind, Permission
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from clearhold.store.all_tables import metadata

Parties = Callable[..., Actor]
DAY = timedelta(days=1)


def person_of(hub: Hub, party: Actor) -> Actor:
    made = hub.parties.add_member(party, party.party, name="Noor", roles=[MemberRole.VIEWER])
    issued = hub.parties.issue_token(party, party.party, life=DAY, member=made.id)
    return hub.authenticate(issued.secret)


def test_an_invited_person_acts_for_both_parties_as_one(hub: Hub, party_of: Parties) -> None:
    lab, vendor = party_of(PartyKind.LAB), party_of(PartyKind.VENDOR)
    noor = person_of(hub, lab)
    made = hub.invitations.invite(vendor, roles=[MemberRole.HANDLER], life=DAY)
    member, issued = hub.invitations.redeem(noor, made.secret, life=DAY)
    assert issued is not None
    there = hub.authenticate(issued.secret)
    assert (there.person, there.party) == (noor.person, vendor.party)
    assert there.principal == member.id != noor.principal
    assert Permission.PATCHES_SUBMIT in there.permissions
    assert Permission.PATCHES_SUBMIT not in noor.permissions
    assert member.name == "Noor"
    (known,) = hub.invitations.list(vendor)
    assert known.member == member.id
    assert hub.invitations.list(lab) == ()


def test_an_invitation_is_for_one_person_once_in_time(
    hub: Hub, party_of: Parties, clock: Any
) -> None:
    lab, vendor = party_of(PartyKind.LAB), party_of(PartyKind.VENDOR)
    noor, bo = person_of(hub, lab), person_of(hub, lab)
    used, revoked, late = (
        hub.invitations.invite(vendor, roles=[MemberRole.VIEWER], life=DAY) for _ in range(3)
    )
    hub.invitations.redeem(noor, used.secret, life=DAY)
    hub.invitations.revoke(vendor, revoked.invitation.id)
    with pytest.raises(ConflictError, match="are a member"):
        hub.invitations.redeem(noor, late.secret, life=DAY)
    clock.advance(DAY)
    told = set()
    for secret in (used.secret, revoked.secret, late.secret, late.secret[:-1] + "x", "", "chi_x"):
        with pytest.raises(NotFoundError) as refused:
            hub.invitations.redeem(bo, secret, life=DAY)
        told.add(str(vars(refused.value)))
    assert len(told) == 1


def test_only_admins_invite_and_only_people_join(hub: Hub, party_of: Parties) -> None:
    lab, vendor = party_of(PartyKind.LAB), party_of(PartyKind.VENDOR)
    noor = person_of(hub, lab)
    with pytest.raises(DeniedError):
        hub.invitations.invite(noor, roles=[MemberRole.ADMIN], life=DAY)
    made = hub.invitations.invite(vendor, roles=[MemberRole.VIEWER], life=DAY)
    with pytest.raises(DeniedError, match="service account"):
        hub.invitations.redeem(lab, made.secret, life=DAY)
    with pytest.raises(NotFoundError):
        hub.invitations.revoke(lab, made.invitation.id)
    for life in (timedelta(0), timedelta(days=15)):
        with pytest.raises(InvalidError):
            hub.invitations.invite(vendor, roles=[MemberRole.VIEWER], life=life)
    with pytest.raises(InvalidError):
        hub.invitations.invite(vendor, roles=[], life=DAY)


def test_nobody_is_invited_among_the_coordinators(hub: Hub) -> None:
    _, issued = hub.parties.found_hub(handle="hub", name="Hub", person="Ada", life=DAY)
    with pytest.raises(ConflictError, match="machine"):
        hub.invitations.invite(hub.authenticate(issued.secret), roles=[MemberRole.ADMIN], life=DAY)


def test_the_secret_of_an_invitation_is_kept_nowhere(
    hub: Hub, party_of: Parties, database: Engine
) -> None:
    made = hub.invitations.invite(party_of(PartyKind.LAB), roles=[MemberRole.VIEWER], life=DAY)
    secret = made.secret.split("_", 2)[2]
    assert secret not in repr(made)
    with database.connect() as connection:
        for table in metadata.sorted_tables:
            assert secret not in repr(connection.execute(select(table)).all())
