"""The two-person rule: one person proposes an act, another approves it, and it is done once.

The act itself calls `consume`, which finds an approval of exactly this act, subject and
particulars, and uses it up in the transaction of the act. Only people propose and approve: a
service account is nobody's second pair of eyes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, false, insert, select, true, update

from clearhold.access.grants import is_recused
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.access.tables import approval, principal
from clearhold.kernel.errors import (
    ApprovalNeededError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import ApprovalId, CompartmentId, PartyId, PersonId, PrincipalId, new_id
from clearhold.store.unit_of_work import Sessions, UnitOfWork

LIFE: Final = timedelta(days=1)
LONGEST_REASON: Final = 200


class Act(StrEnum):
    """What takes two people."""

    BREAK_GLASS = "break-glass"
    EXPORT_CASE = "export-case"
    EXPUNGE = "expunge"
    KEY_BACKUP = "key-backup"
    KEY_DESTRUCTION = "key-destruction"
    KEY_ROTATION = "key-rotation"
    READ_IN_TIER_0 = "read-in-tier-0"
    RECOVERY = "recovery"
    TAKE_OVER_CASE = "take-over-case"


class ApprovalState(StrEnum):
    """How far a proposal has come."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    USED = "used"


@dataclass(frozen=True, slots=True)
class Approval:
    """A proposed act: what exactly, why, by whom, and who approved it."""

    id: ApprovalId
    act: Act
    subject: str
    particulars: Mapping[str, str]
    reason: str
    party: PartyId
    proposed_by: PrincipalId
    proposer: PersonId
    proposed_at: datetime
    expires_at: datetime
    approved_by: PrincipalId | None
    state: ApprovalState


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """People of the proposer's party who may approve see what is proposed there."""
    del now
    if actor.person is None:
        return false()
    return approval.c.party == actor.party


def consume(
    unit: UnitOfWork,
    actor: Actor,
    act: Act,
    subject: str,
    particulars: Mapping[str, str] | None = None,
    *,
    within: CompartmentId | None = None,
) -> Approval:
    """Use up the approval of exactly this act; the actor is its proposer or who approved it.

    Neither may be recused from `within`, nor have left the party since. Raises
    `ApprovalNeededError` when there is none in force.
    """
    rows = unit.connection.execute(
        select(approval)
        .where(
            approval.c.act == act,
            approval.c.subject == subject,
            approval.c.party == actor.party,
            approval.c.approved_at.is_not(None),
            approval.c.refused_at.is_(None),
            approval.c.used_at.is_(None),
            approval.c.expires_at > unit.now,
        )
        .order_by(approval.c.id)
        .with_for_update()
    )
    for row in rows:
        found = _approval(row, unit.now)
        mine = actor.principal in (found.proposed_by, found.approved_by)
        if (
            mine
            and dict(found.particulars) == dict(particulars or {})
            and _both_may(unit, found, within)
        ):
            unit.connection.execute(
                update(approval).where(approval.c.id == found.id).values(used_at=unit.now)
            )
            unit.record(
                "access:approval:use",
                actor=actor.principal,
                subject=found.id,
                detail={"act": act},
            )
            return found
    raise ApprovalNeededError(
        "This takes a second person's approval.",
        facts={"act": act, "subject": subject, "particulars": dict(particulars or {})},
    )


def second_person(found: Approval, actor: Actor) -> PrincipalId:
    """Of the two people of an approval, the one who is not the actor."""
    if found.approved_by is None:
        message = "what is used was approved"
        raise AssertionError(message)
    return found.proposed_by if found.approved_by == actor.principal else found.approved_by


class ApprovalService:
    """Proposing, approving and refusing acts that take two people."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def propose(
        self,
        actor: Actor,
        act: Act,
        subject: str,
        *,
        particulars: Mapping[str, str],
        reason: str,
    ) -> Approval:
        """Ask a second person to approve an act; it expires after a day.

        `reason` stands in plain words where colleagues see it, and must reveal nothing of a flaw.
        Raises `DeniedError` for a service account and `InvalidError` for a reason that is none.
        """
        actor.need(Permission.ACCESS_APPROVE)
        person = _person(actor)
        if not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable():
            raise InvalidError(f"A reason is one line of 1 to {LONGEST_REASON} characters.")
        if len(particulars) > 20 or any(
            len(each) > 500 for each in (subject, *particulars.values())
        ):
            raise InvalidError("The act is described at too great a length.")
        with self._sessions.transaction() as unit:
            identity = ApprovalId(new_id(unit.now))
            unit.connection.execute(
                insert(approval).values(
                    id=identity,
                    act=act,
                    subject=subject,
                    particulars=dict(particulars),
                    reason=reason,
                    party=actor.party,
                    proposed_by=actor.principal,
                    proposer=person,
                    proposed_at=unit.now,
                    expires_at=unit.now + LIFE,
                )
            )
            unit.record(
                "access:approval:propose",
                actor=actor.principal,
                subject=identity,
                detail={"act": act},
            )
            return _one(unit, actor, identity)

    def give(self, actor: Actor, identity: ApprovalId) -> Approval:
        """Approve what somebody else proposed; approving it again changes nothing.

        Raises `NotFoundError`, `DeniedError` for whoever proposed it and for a service account,
        and `ConflictError` when it was refused, used, or has expired.
        """
        actor.need(Permission.ACCESS_APPROVE)
        person = _person(actor)
        with self._sessions.transaction() as unit:
            found = _one(unit, actor, identity)
            if found.proposer == person:
                raise DeniedError(
                    "The second person must be somebody else.",
                    next_step="Ask a colleague to approve it.",
                )
            if found.state is ApprovalState.APPROVED:
                return found
            _check_open(found)
            unit.connection.execute(
                update(approval)
                .where(approval.c.id == identity)
                .values(approved_by=actor.principal, approved_at=unit.now)
            )
            unit.record("access:approval:give", actor=actor.principal, subject=identity)
            return _one(unit, actor, identity)

    def refuse(self, actor: Actor, identity: ApprovalId) -> Approval:
        """Refuse or withdraw what is proposed or approved and not yet done."""
        actor.need(Permission.ACCESS_APPROVE)
        _person(actor)
        with self._sessions.transaction() as unit:
            found = _one(unit, actor, identity)
            if found.state is ApprovalState.REFUSED:
                return found
            if found.state is not ApprovalState.APPROVED:
                _check_open(found)
            unit.connection.execute(
                update(approval).where(approval.c.id == identity).values(refused_at=unit.now)
            )
            unit.record("access:approval:refuse", actor=actor.principal, subject=identity)
            return _one(unit, actor, identity)

    def list(self, actor: Actor) -> tuple[Approval, ...]:
        """What the actor's party proposed, newest first."""
        actor.need(Permission.ACCESS_READ)
        with self._sessions.transaction() as unit:
            return _listing(unit, actor)


def _person(actor: Actor) -> PersonId:
    if actor.person is None:
        raise DeniedError(
            "Only a person takes part in an approval, and this is a service account.",
            next_step="Use your own token or session.",
        )
    return actor.person


def _both_may(unit: UnitOfWork, found: Approval, within: CompartmentId | None) -> bool:
    people = unit.connection.execute(
        select(principal.c.person).where(
            principal.c.id.in_((found.proposed_by, found.approved_by)),
            principal.c.ended_at.is_(None),
        )
    ).scalars()
    present = tuple(map(PersonId, people))
    if len(present) < 2:
        return False
    return within is None or not any(is_recused(unit, each, within) for each in present)


def _check_open(found: Approval) -> None:
    if found.state is not ApprovalState.PROPOSED:
        raise ConflictError(f"This proposal is {found.state}.", next_step="Propose the act anew.")


def _listing(
    unit: UnitOfWork, actor: Actor, identity: ApprovalId | None = None
) -> tuple[Approval, ...]:
    wanted = true() if identity is None else approval.c.id == identity
    rows = unit.connection.execute(
        select(approval)
        .where(and_(visible_to(actor, unit.now), wanted))
        .order_by(approval.c.id.desc())
        .limit(200)
    )
    return tuple(_approval(row, unit.now) for row in rows)


def _one(unit: UnitOfWork, actor: Actor, identity: ApprovalId) -> Approval:
    # Locked first, so that of two people who decide at once the second sees what the first did.
    unit.connection.execute(
        select(approval.c.id).where(approval.c.id == identity).with_for_update()
    )
    found = _listing(unit, actor, identity)
    if not found:
        raise NotFoundError("There is no such proposal.")
    return found[0]


def _approval(row: Row[Any], now: datetime) -> Approval:
    if row.used_at is not None:
        state = ApprovalState.USED
    elif row.refused_at is not None:
        state = ApprovalState.REFUSED
    elif row.expires_at <= now:
        state = ApprovalState.EXPIRED
    else:
        state = ApprovalState.APPROVED if row.approved_at else ApprovalState.PROPOSED
    return Approval(
        id=ApprovalId(row.id),
        act=Act(row.act),
        subject=row.subject,
        particulars=row.particulars,
        reason=row.reason,
        party=PartyId(row.party),
        proposed_by=PrincipalId(row.proposed_by),
        proposer=PersonId(row.proposer),
        proposed_at=row.proposed_at,
        expires_at=row.expires_at,
        approved_by=None if row.approved_by is None else PrincipalId(row.approved_by),
        state=state,
    )
