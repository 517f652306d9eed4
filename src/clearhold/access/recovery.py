"""Recovery of a person who lost every credential: two coordinators, a wait, and a veto.

No caller talks their way through one help desk: a second coordinator has to approve, the person and
the admins of their parties are told, and any credential that still works stops it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, false, or_, select, true, update

from clearhold.access import members
from clearhold.access.approvals import Act, consume
from clearhold.access.enrolments import Enrolments, IssuedEnrolment
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.access.tables import enrolment, principal, recovery
from clearhold.kernel.errors import ConflictError, DeniedError, NotFoundError
from clearhold.kernel.ids import PersonId, PrincipalId, RecoveryId, new_id
from clearhold.store.unit_of_work import Sessions, UnitOfWork

_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery as the person, their admins and coordinators see it."""

    id: RecoveryId
    member: PrincipalId
    person: PersonId
    opened_at: datetime
    opens_at: datetime
    expires_at: datetime
    state: str


class RecoveryService:
    """Opening recoveries, seeing them, and stopping them."""

    def __init__(self, sessions: Sessions, enrolments: Enrolments, *, wait: timedelta) -> None:
        self._sessions = sessions
        self._enrolments = enrolments
        self._wait = wait

    def open(self, actor: Actor, member: PrincipalId) -> tuple[Recovery, IssuedEnrolment]:
        """Issue an enrolment that opens after the wait, for a member who lost all credentials.

        Raises `NotFoundError`, `ApprovalNeededError` until a second coordinator has approved, and
        `ConflictError` for a coordinator, who is recovered on the hub's own machine alone.
        """
        actor.need(Permission.ACCESS_APPROVE)
        if actor.kind is not PartyKind.COORDINATOR or actor.person is None:
            raise DeniedError("Only people of the coordinator recover anybody.")
        with self._sessions.transaction() as unit:
            found = members.person_of(unit, member)
            if found is None or found.person is None:
                raise NotFoundError("There is no such member.")
            if _coordinates(unit, found.person):
                raise ConflictError(
                    "A coordinator is recovered on the hub's own machine alone.",
                    next_step="Run clearhold admin found there, with --recover.",
                )
            approved = consume(unit, actor, Act.RECOVERY, member)
            issued = self._enrolments.issue(
                unit, member, found.person, by=actor.principal, wait=self._wait
            )
            identity = RecoveryId(new_id(unit.now))
            unit.connection.execute(
                recovery.insert().values(
                    id=identity,
                    enrolment=issued.id,
                    person=found.person,
                    approval=approved.id,
                    opened_at=unit.now,
                )
            )
            unit.record(
                "access:recovery:open",
                actor=actor.principal,
                subject=identity,
                detail={"member": member, "approval": approved.id},
            )
            (opened,) = _listing(unit, recovery.c.id == identity)
            return opened, issued

    def list(self, actor: Actor) -> tuple[Recovery, ...]:
        """The recoveries the actor is to know of, newest first: a visible notice to all of them."""
        actor.need(Permission.ACCOUNT_READ)
        with self._sessions.transaction() as unit:
            return _listing(unit, visible_to(actor))

    def of_person(self, person: PersonId) -> tuple[Recovery, ...]:
        """The recoveries of a person that still run, for their own pages."""
        with self._sessions.transaction() as unit:
            return tuple(
                each
                for each in _listing(unit, recovery.c.person == person)
                if each.state in {"waiting", "open"}
            )

    def veto(self, actor: Actor, identity: RecoveryId) -> Recovery:
        """Stop a recovery: by the person, with any credential that works, or by a coordinator.

        It asks for no permission on purpose: what a token may do says nothing about whose it is.
        Raises `NotFoundError`, `DeniedError` for those who only look on, and `ConflictError` when
        it was used; stopping it again changes nothing.
        """
        with self._sessions.transaction() as unit:
            seen = or_(visible_to(actor), recovery.c.person == (actor.person or ""))
            found = next(iter(_listing(unit, and_(seen, recovery.c.id == identity))), None)
            if found is None:
                raise NotFoundError("There is no such recovery.")
            if actor.person != found.person:
                if Permission.ACCESS_APPROVE not in actor.permissions or actor.person is None:
                    raise DeniedError(
                        "The person and the coordinators stop a recovery.",
                        next_step="Ask the person whether it is theirs, and tell a coordinator.",
                    )
                actor.need(Permission.ACCESS_APPROVE)
            return _stop(unit, found, by=actor.principal)

    def veto_own(self, person: PersonId, identity: RecoveryId) -> Recovery:
        """Stop a recovery of oneself from a session that has chosen no membership yet."""
        with self._sessions.transaction() as unit:
            mine = and_(recovery.c.person == person, recovery.c.id == identity)
            found = next(iter(_listing(unit, mine)), None)
            if found is None:
                raise NotFoundError("There is no such recovery.")
            return _stop(unit, found, by=person)


def visible_to(actor: Actor) -> ColumnElement[bool]:
    """The person, admins of their parties and coordinators know of a recovery."""
    if actor.kind is PartyKind.COORDINATOR and actor.person is not None:
        return true()
    mine = recovery.c.person == actor.person if actor.person else false()
    if Permission.PARTIES_MEMBERS not in actor.permissions:
        return mine
    colleagues = select(principal.c.person).where(
        principal.c.party == actor.party,
        principal.c.person.is_not(None),
        principal.c.ended_at.is_(None),
    )
    return or_(mine, recovery.c.person.in_(colleagues))


def _coordinates(unit: UnitOfWork, person: PersonId) -> bool:
    found = unit.connection.execute(
        select(principal.c.id).where(
            principal.c.person == person,
            principal.c.kind == PartyKind.COORDINATOR,
            principal.c.ended_at.is_(None),
        )
    ).first()
    return found is not None


def _stop(unit: UnitOfWork, found: Recovery, *, by: str) -> Recovery:
    if found.state == "used":
        raise ConflictError(
            "The recovery was used.", next_step="Tell a coordinator at once if it was not yours."
        )
    if found.state == "stopped":
        return found
    stopped = unit.connection.execute(
        update(enrolment)
        .where(
            enrolment.c.id.in_(select(recovery.c.enrolment).where(recovery.c.id == found.id)),
            enrolment.c.used_at.is_(None),
        )
        .values(revoked_at=unit.now)
    )
    if not stopped.rowcount:
        raise ConflictError("The recovery was used just now.", next_step="Tell a coordinator.")
    unit.connection.execute(
        update(recovery).where(recovery.c.id == found.id).values(vetoed_by=by, vetoed_at=unit.now)
    )
    unit.record("access:recovery:veto", actor=by, subject=found.id)
    (left,) = _listing(unit, recovery.c.id == found.id)
    return left


def _listing(unit: UnitOfWork, wanted: ColumnElement[bool]) -> tuple[Recovery, ...]:
    rows = unit.connection.execute(
        select(
            recovery,
            enrolment.c.principal,
            enrolment.c.opens_at,
            enrolment.c.expires_at,
            enrolment.c.used_at,
            enrolment.c.revoked_at,
        )
        .join(enrolment, recovery.c.enrolment == enrolment.c.id)
        .where(wanted)
        .order_by(recovery.c.id.desc())
        .limit(_SHOWN)
    )
    return tuple(_recovery(row, unit.now) for row in rows)


def _recovery(row: Row[Any], now: datetime) -> Recovery:
    if row.used_at is not None:
        state = "used"
    elif row.revoked_at is not None:
        state = "stopped"
    elif row.expires_at <= now:
        state = "expired"
    else:
        state = "open" if row.opens_at <= now else "waiting"
    return Recovery(
        RecoveryId(row.id),
        PrincipalId(row.principal),
        PersonId(row.person),
        row.opened_at,
        row.opens_at,
        row.expires_at,
        state,
    )
