"""Who acts for a party: people who are members of it, and its service account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, exists, insert, or_, select, update

from clearhold.access.permissions import MemberRole, PartyKind
from clearhold.access.tables import browser_session, passkey, person, principal, token
from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.ids import PartyId, PersonId, PrincipalId, new_id
from clearhold.store.unit_of_work import UnitOfWork

SERVICE_ACCOUNT: Final = "service"
_SERVICE_ROLES: Final = (MemberRole.ADMIN, MemberRole.HANDLER)


@dataclass(frozen=True, slots=True)
class Member:
    """A principal of a party; `person` is None for its service account."""

    id: PrincipalId
    party: PartyId
    person: PersonId | None
    name: str
    roles: tuple[MemberRole, ...]
    made_at: datetime
    ended_at: datetime | None


def add_person(unit: UnitOfWork, name: str) -> PersonId:
    """Note a person, who is nobody's member yet."""
    identity = PersonId(new_id(unit.now))
    unit.connection.execute(insert(person).values(id=identity, name=name, made_at=unit.now))
    return identity


def add(
    unit: UnitOfWork,
    party: PartyId,
    kind: PartyKind,
    *,
    name: str,
    roles: Iterable[MemberRole],
    who: PersonId | None,
    by: str,
) -> Member:
    """Make `who` a member of a party, or None its service account, and say so in the ledger."""
    chosen = tuple(sorted(set(roles)))
    new = Member(PrincipalId(new_id(unit.now)), party, who, name, chosen, unit.now, None)
    unit.connection.execute(
        insert(principal).values(
            id=new.id,
            party=party,
            person=who,
            kind=kind,
            name=name,
            roles=list(chosen),
            made_at=unit.now,
        )
    )
    if who is not None:
        detail = {"party": party, "roles": " ".join(chosen)}
        unit.record("access:member:add", actor=by, subject=new.id, detail=detail)
    return new


def service_account(unit: UnitOfWork, party: PartyId, kind: PartyKind, *, by: str) -> Member:
    """The party's service account, made now if there is none; the caller holds the party."""
    for each in of_party(unit, party):
        if each.person is None and each.ended_at is None:
            return each
    return add(unit, party, kind, name=SERVICE_ACCOUNT, roles=_SERVICE_ROLES, who=None, by=by)


def of_party(unit: UnitOfWork, party: PartyId) -> tuple[Member, ...]:
    """Everyone who acts or acted for a party, oldest first."""
    rows = unit.connection.execute(
        select(principal)
        .where(principal.c.party == party)
        .order_by(principal.c.made_at, principal.c.id)
    )
    return tuple(map(_member, rows))


def party_of(unit: UnitOfWork, member: PrincipalId) -> PartyId:
    """The party a principal acts for."""
    return PartyId(
        unit.connection.execute(
            select(principal.c.party).where(principal.c.id == member)
        ).scalar_one()
    )


def belongs(unit: UnitOfWork, party: PartyId, member: PrincipalId) -> bool:
    """Whether a principal acts for this party now."""
    return any(each.id == member and each.ended_at is None for each in of_party(unit, party))


def end(unit: UnitOfWork, party: PartyId, member: PrincipalId, *, by: str) -> None:
    """End what a member may do, at once; its tokens and sessions end with it.

    Raises `NotFoundError` when the party has no such member; ending it again changes nothing.
    """
    if all(each.id != member for each in of_party(unit, party)):
        raise NotFoundError("The party has no such member.")
    changed = unit.connection.execute(
        update(principal)
        .where(principal.c.id == member, principal.c.ended_at.is_(None))
        .values(ended_at=unit.now)
    )
    if changed.rowcount:
        unit.connection.execute(
            update(browser_session)
            .where(browser_session.c.principal == member, browser_session.c.ended_at.is_(None))
            .values(ended_at=unit.now)
        )
        unit.record("access:member:end", actor=by, subject=member)


def name_of(unit: UnitOfWork, who: PersonId) -> str | None:
    """A person's name; None for nobody."""
    return unit.connection.execute(
        select(person.c.name).where(person.c.id == who)
    ).scalar_one_or_none()


def member_name(unit: UnitOfWork, member: PrincipalId) -> str:
    """The name of a principal that is known to exist."""
    name: str = unit.connection.execute(
        select(principal.c.name).where(principal.c.id == member)
    ).scalar_one()
    return name


def acts_for(unit: UnitOfWork, who: PersonId, party: PartyId) -> bool:
    """Whether a person is, or was, a member of a party."""
    return any(each.person == who for each in of_party(unit, party))


def entered_before(unit: UnitOfWork, member: PrincipalId) -> bool:
    """Whether whoever this principal is has ever used a credential, for whichever party."""
    who = select(principal.c.person).where(principal.c.id == member).scalar_subquery()
    same = select(principal.c.id).where(or_(principal.c.id == member, principal.c.person == who))
    used = or_(
        exists().where(token.c.principal.in_(same), token.c.first_used_at.is_not(None)),
        exists().where(passkey.c.person == who),
    )
    return bool(unit.connection.execute(select(used)).scalar_one())


def person_of(unit: UnitOfWork, member: PrincipalId) -> Member | None:
    """The member of that id who is a person and acts still, of whatever party."""
    rows = unit.connection.execute(
        select(principal).where(
            principal.c.id == member,
            principal.c.person.is_not(None),
            principal.c.ended_at.is_(None),
        )
    )
    return next(map(_member, rows), None)


def of_person(unit: UnitOfWork, who: PersonId) -> tuple[Member, ...]:
    """The memberships of a person that have not ended, oldest first."""
    rows = unit.connection.execute(
        select(principal)
        .where(principal.c.person == who, principal.c.ended_at.is_(None))
        .order_by(principal.c.made_at, principal.c.id)
    )
    return tuple(map(_member, rows))


def _member(row: Row[Any]) -> Member:
    return Member(
        PrincipalId(row.id),
        PartyId(row.party),
        None if row.person is None else PersonId(row.person),
        row.name,
        tuple(map(MemberRole, row.roles)),
        row.made_at,
        row.ended_at,
    )
