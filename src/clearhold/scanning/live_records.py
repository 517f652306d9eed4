"""Queries on authorisations, live leases, passports, stops and notices; what is sealed stays so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, literal, or_, select, update

from clearhold.access.allowances import open_now
from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.kernel.ids import CompartmentId, LeaseId, PartyId
from clearhold.scanning.live_tables import live_authorisation as authorisation
from clearhold.scanning.live_tables import live_lease as lease
from clearhold.scanning.live_tables import live_notice as notice
from clearhold.scanning.live_tables import live_passport as passport
from clearhold.scanning.live_tables import live_place as place
from clearhold.scanning.live_tables import live_stop as stop
from clearhold.scanning.model import LIVE, Lease, Mode, State
from clearhold.store.schema import Flag
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class StoredAuthorisation:
    """An authorisation with its sealed envelope; `signed_with` is the key that signed it."""

    id: str
    party: PartyId
    compartment: CompartmentId
    envelope: bytes
    digest: bytes
    signed_with: str
    not_before: datetime
    until: datetime
    lodged_at: datetime
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredLiveLease:
    """A lease on live systems with its sealed scope and the authorisation it stands on."""

    lease: Lease
    authorisation: str
    scope: bytes
    idempotency_key: str
    request: bytes


@dataclass(frozen=True, slots=True)
class StoredStop:
    """A stop; what it reaches and why is sealed."""

    id: str
    party: PartyId
    compartment: CompartmentId
    body: bytes
    made_at: datetime
    lifted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Notice:
    """That a holder's lease was ended, and when the holder acknowledged it."""

    id: str
    cause: str
    lease: LeaseId
    party: PartyId
    owner: PartyId
    by: PartyId
    pseudonym: str
    reason: str
    made_at: datetime
    acknowledged_at: datetime | None


def authorisations_visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """An authorisation is seen by the party read in to its compartment: its owner."""
    return authorisation.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A live lease is seen by the party read in to its compartment: its holder."""
    return lease.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def stops_visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A stop is seen by who is read in to its compartment: the party or coordinator who made it."""
    return stop.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def notices_visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """A notice is seen by its holder, by the owner of the systems and by who stopped the scan."""
    del now
    mine = actor.party
    return or_(notice.c.party == mine, notice.c.owner == mine, notice.c.by == mine)


def add_authorisation(unit: UnitOfWork, new: StoredAuthorisation) -> None:
    """Insert an authorisation."""
    unit.connection.execute(
        insert(authorisation).values(
            id=new.id,
            party=new.party,
            compartment=new.compartment,
            envelope=new.envelope,
            digest=new.digest,
            signed_with=new.signed_with,
            not_before=new.not_before,
            until=new.until,
            lodged_at=new.lodged_at,
        )
    )


def by_digest(unit: UnitOfWork, party: PartyId, digest: bytes) -> StoredAuthorisation | None:
    """A party's authorisation by the keyed digest of its envelope."""
    row = unit.connection.execute(
        select(authorisation).where(
            authorisation.c.party == party, authorisation.c.digest == digest
        )
    ).one_or_none()
    return None if row is None else _authorisation(row)


def authorisations(
    unit: UnitOfWork, actor: Actor, identity: str | None = None, *, limit: int
) -> tuple[StoredAuthorisation, ...]:
    """The authorisations the actor may see, one or all, the newest first."""
    condition = authorisations_visible_to(actor, unit.now)
    if identity is not None:
        condition = and_(condition, authorisation.c.id == identity)
    rows = unit.connection.execute(
        select(authorisation)
        .where(condition)
        .order_by(authorisation.c.lodged_at.desc(), authorisation.c.id.desc())
        .limit(limit)
    )
    return tuple(map(_authorisation, rows))


def standing_of(unit: UnitOfWork, party: PartyId) -> int:
    """How many authorisations of a party are neither withdrawn nor over."""
    return unit.connection.execute(
        select(func.count())
        .select_from(authorisation)
        .where(
            authorisation.c.party == party,
            authorisation.c.withdrawn_at.is_(None),
            authorisation.c.until > unit.now,
        )
    ).scalar_one()


def in_force(unit: UnitOfWork, identities: Iterable[str]) -> tuple[StoredAuthorisation, ...]:
    """Those of some authorisations that are in force now, for services alone."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(authorisation)
            .where(
                authorisation.c.id.in_(tuple(identities)),
                authorisation.c.withdrawn_at.is_(None),
                authorisation.c.not_before <= unit.now,
                authorisation.c.until > unit.now,
            )
            .order_by(authorisation.c.lodged_at.desc(), authorisation.c.id)
        ).all()
    return tuple(map(_authorisation, rows))


def owners(unit: UnitOfWork, identities: Iterable[str]) -> dict[str, PartyId]:
    """Whose some authorisations are, for services alone."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(authorisation.c.id, authorisation.c.party).where(
                authorisation.c.id.in_(tuple(identities))
            )
        ).all()
    return {row.id: PartyId(row.party) for row in rows}


def withdraw(unit: UnitOfWork, identity: str) -> None:
    """Let an authorisation count no more."""
    unit.connection.execute(
        update(authorisation).where(authorisation.c.id == identity).values(withdrawn_at=unit.now)
    )


def put_places(
    unit: UnitOfWork, subject: str, kind: str, *, at: Iterable[bytes], above: Iterable[bytes]
) -> None:
    """Write where something stands in the trees, by keyed hashes."""
    rows = [(token, False) for token in at] + [(token, True) for token in above]
    if rows:
        unit.connection.execute(
            insert(place),
            [
                {"subject": subject, "token": token, "above": above_it, "kind": kind}
                for token, above_it in rows
            ],
        )


def near(
    unit: UnitOfWork, kind: str, *, at: Sequence[bytes], above: Sequence[bytes]
) -> frozenset[str]:
    """What of a kind may overlap something at these places, for services alone."""
    here = and_(place.c.token.in_((*at, *above)), place.c.above == literal(False, Flag()))
    below = and_(place.c.token.in_(at), place.c.above == literal(True, Flag()))
    with unit.as_service():
        rows = unit.connection.execute(
            select(place.c.subject).distinct().where(place.c.kind == kind, or_(here, below))
        ).all()
    return frozenset(row.subject for row in rows)


def add_lease(unit: UnitOfWork, new: StoredLiveLease) -> None:
    """Insert a lease."""
    held = new.lease
    unit.connection.execute(
        insert(lease).values(
            id=held.id,
            authorisation=new.authorisation,
            party=held.party,
            compartment=held.compartment,
            mode=held.mode,
            state=held.state,
            fence=held.fence,
            scope=new.scope,
            budget_s=held.budget_s,
            granted_at=held.granted_at,
            expires_at=held.expires_at,
            window_ends_at=held.window_ends_at,
            idempotency_key=new.idempotency_key,
            request=new.request,
        )
    )


def lease_by_key(unit: UnitOfWork, party: PartyId, key: str) -> StoredLiveLease | None:
    """The lease a party's earlier request with the same key made."""
    row = unit.connection.execute(
        select(lease).where(lease.c.party == party, lease.c.idempotency_key == key)
    ).one_or_none()
    return None if row is None else _lease(row)


def leases(
    unit: UnitOfWork, actor: Actor, identity: LeaseId | None = None, *, limit: int
) -> tuple[StoredLiveLease, ...]:
    """The live leases the actor may see, one or all, the newest first."""
    condition = visible_to(actor, unit.now)
    if identity is not None:
        condition = and_(condition, lease.c.id == identity)
    rows = unit.connection.execute(
        select(lease)
        .where(condition)
        .order_by(lease.c.granted_at.desc(), lease.c.id.desc())
        .limit(limit)
    )
    return tuple(map(_lease, rows))


def heeded_at(now: datetime) -> ColumnElement[bool]:
    """Leases whose holder and whose systems' owner are both bound by an agreement in force.

    To be used in a query that joins leases with their authorisations.
    """
    return and_(
        open_now(lease.c.party, Permission.SCANNING_CLAIM, now),
        open_now(authorisation.c.party, Permission.PARTIES_WISH, now),
    )


def unheeded(unit: UnitOfWork, among: Sequence[StoredLiveLease]) -> tuple[StoredLiveLease, ...]:
    """Those of some leases whose holder or owner is suspended: for services alone."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(lease.c.id)
            .join(authorisation, authorisation.c.id == lease.c.authorisation)
            .where(lease.c.id.in_([each.lease.id for each in among]), heeded_at(unit.now))
        ).scalars()
        heeded = set(rows)
    return tuple(each for each in among if each.lease.id not in heeded)


def standing_at(now: datetime) -> ColumnElement[bool]:
    """Leases in force."""
    return and_(lease.c.state.in_(LIVE), lease.c.expires_at > now)


def standing_among(unit: UnitOfWork, identities: Iterable[str]) -> tuple[StoredLiveLease, ...]:
    """Those of some leases that are in force, whoever holds them: for services alone."""
    return _select(unit, lease.c.id.in_(tuple(identities)))


def standing_under(unit: UnitOfWork, authorisations: Iterable[str]) -> tuple[StoredLiveLease, ...]:
    """The leases in force under some authorisations: for services alone."""
    return _select(unit, lease.c.authorisation.in_(tuple(authorisations)))


def _select(unit: UnitOfWork, condition: ColumnElement[bool]) -> tuple[StoredLiveLease, ...]:
    with unit.as_service():
        rows = unit.connection.execute(
            select(lease).where(condition, standing_at(unit.now)).order_by(lease.c.fence)
        ).all()
    return tuple(map(_lease, rows))


def lapse(unit: UnitOfWork) -> None:
    """Write down as expired what has expired, so that no clock that is behind brings it back."""
    with unit.as_service():
        unit.connection.execute(
            update(lease)
            .where(lease.c.state.in_(LIVE), lease.c.expires_at <= unit.now)
            .values(state=State.EXPIRED)
        )


def set_state(
    unit: UnitOfWork, identities: Iterable[str], state: State, *, expires_at: datetime | None = None
) -> None:
    """Write how leases stand."""
    values: dict[str, Any] = {"state": state}
    if expires_at is not None:
        values["expires_at"] = expires_at
    with unit.as_service():
        unit.connection.execute(
            update(lease).where(lease.c.id.in_(tuple(identities))).values(**values)
        )


def revoke_passports(unit: UnitOfWork, of: Iterable[str]) -> None:
    """Revoke every passport of some leases."""
    with unit.as_service():
        unit.connection.execute(
            update(passport)
            .where(passport.c.lease.in_(tuple(of)), passport.c.revoked_at.is_(None))
            .values(revoked_at=unit.now)
        )


def add_stop(unit: UnitOfWork, new: StoredStop) -> None:
    """Insert a stop."""
    unit.connection.execute(
        insert(stop).values(
            id=new.id,
            party=new.party,
            compartment=new.compartment,
            body=new.body,
            made_at=new.made_at,
        )
    )


def stops(
    unit: UnitOfWork, actor: Actor, identity: str | None = None, *, limit: int
) -> tuple[StoredStop, ...]:
    """The stops the actor may see, one or all, the newest first."""
    condition = stops_visible_to(actor, unit.now)
    if identity is not None:
        condition = and_(condition, stop.c.id == identity)
    rows = unit.connection.execute(
        select(stop).where(condition).order_by(stop.c.made_at.desc(), stop.c.id.desc()).limit(limit)
    )
    return tuple(map(_stop, rows))


def standing_stops(unit: UnitOfWork, among: Iterable[str]) -> tuple[StoredStop, ...]:
    """Those of some stops that are not lifted: for services alone."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(stop).where(stop.c.id.in_(tuple(among)), stop.c.lifted_at.is_(None))
        ).all()
    return tuple(map(_stop, rows))


def lift(unit: UnitOfWork, identity: str) -> None:
    """Let a stop stand no more."""
    unit.connection.execute(
        update(stop)
        .where(stop.c.id == identity, stop.c.lifted_at.is_(None))
        .values(lifted_at=unit.now)
    )


def add_notices(unit: UnitOfWork, new: Sequence[Notice]) -> None:
    """Insert notices."""
    if new:
        unit.connection.execute(
            insert(notice),
            [
                {
                    "id": each.id,
                    "cause": each.cause,
                    "lease": each.lease,
                    "party": each.party,
                    "owner": each.owner,
                    "by": each.by,
                    "pseudonym": each.pseudonym,
                    "reason": each.reason,
                    "made_at": each.made_at,
                }
                for each in new
            ],
        )


def notices_to(unit: UnitOfWork, actor: Actor, identity: str | None = None) -> tuple[Notice, ...]:
    """The unacknowledged notices to the actor's party, the oldest first; or one, whatever it is."""
    wanted = notice.c.id == identity if identity else notice.c.acknowledged_at.is_(None)
    return _notices(unit, actor, and_(notice.c.party == actor.party, wanted))


def notices_of(unit: UnitOfWork, actor: Actor, causes: Iterable[str]) -> tuple[Notice, ...]:
    """The notices that some stops or withdrawals of the actor's, or on its systems, sent."""
    mine = or_(notice.c.owner == actor.party, notice.c.by == actor.party)
    return _notices(unit, actor, and_(mine, notice.c.cause.in_(tuple(causes))))


def _notices(unit: UnitOfWork, actor: Actor, condition: ColumnElement[bool]) -> tuple[Notice, ...]:
    rows = unit.connection.execute(
        select(notice)
        .where(condition, notices_visible_to(actor, unit.now))
        .order_by(notice.c.made_at, notice.c.id)
    )
    return tuple(map(_notice, rows))


def acknowledge(unit: UnitOfWork, identity: str) -> None:
    """Write that a notice was acknowledged; the first time counts."""
    unit.connection.execute(
        update(notice)
        .where(notice.c.id == identity, notice.c.acknowledged_at.is_(None))
        .values(acknowledged_at=unit.now)
    )


def _authorisation(row: Row[Any]) -> StoredAuthorisation:
    return StoredAuthorisation(
        row.id,
        PartyId(row.party),
        CompartmentId(row.compartment),
        bytes(row.envelope),
        bytes(row.digest),
        row.signed_with,
        row.not_before,
        row.until,
        row.lodged_at,
        row.withdrawn_at,
    )


def _lease(row: Row[Any]) -> StoredLiveLease:
    held = Lease(
        id=LeaseId(row.id),
        party=PartyId(row.party),
        compartment=CompartmentId(row.compartment),
        mode=Mode(row.mode),
        state=State(row.state),
        fence=row.fence,
        granted_at=row.granted_at,
        expires_at=row.expires_at,
        window_ends_at=row.window_ends_at,
        budget_s=row.budget_s,
    )
    return StoredLiveLease(
        held, row.authorisation, bytes(row.scope), row.idempotency_key, bytes(row.request)
    )


def _stop(row: Row[Any]) -> StoredStop:
    return StoredStop(
        row.id,
        PartyId(row.party),
        CompartmentId(row.compartment),
        bytes(row.body),
        row.made_at,
        row.lifted_at,
    )


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        row.id,
        row.cause,
        LeaseId(row.lease),
        PartyId(row.party),
        PartyId(row.owner),
        PartyId(row.by),
        row.pseudonym,
        row.reason,
        row.made_at,
        row.acknowledged_at,
    )
