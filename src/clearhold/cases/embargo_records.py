"""Queries on embargoes, and on what the participants of their cases said to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from clearhold.cases.model import Consent
from clearhold.cases.tables import embargo, embargo_consent
from clearhold.kernel.ids import CaseId, PartyId
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class EmbargoRecord:
    """One proposal: `state` is proposed, active, rejected, superseded or ended.

    `caution` says how it lies outside what a vendor of the case wishes.
    """

    id: str
    case: CaseId
    proposed_by: PartyId
    proposed_at: datetime
    until: datetime
    operators_early_notice: bool
    sealed_terms: bytes
    state: str
    ended_at: datetime | None
    caution: str | None


def overdue(unit: UnitOfWork, cases: Iterable[CaseId]) -> frozenset[CaseId]:
    """Those of these cases whose proposal or embargo has run out and has not been ended yet."""
    rows = unit.connection.execute(
        select(embargo.c.case).where(
            embargo.c.case.in_(tuple(cases)),
            embargo.c.state.in_(("proposed", "active")),
            embargo.c.until <= unit.now,
        )
    )
    return frozenset(map(CaseId, rows.scalars()))


def propose(unit: UnitOfWork, new: EmbargoRecord) -> None:
    """Insert a proposal."""
    unit.connection.execute(
        insert(embargo).values(
            id=new.id,
            case=new.case,
            proposed_by=new.proposed_by,
            proposed_at=new.proposed_at,
            until=new.until,
            operators_early_notice=new.operators_early_notice,
            sealed_terms=new.sealed_terms,
            state=new.state,
            caution=new.caution,
        )
    )


def embargo_in(unit: UnitOfWork, case: CaseId, state: str) -> EmbargoRecord | None:
    """The newest embargo of a case in a state; at most one is ever proposed or active."""
    row = unit.connection.execute(
        select(embargo)
        .where(embargo.c.case == case, embargo.c.state == state)
        .order_by(embargo.c.proposed_at.desc(), embargo.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _embargo(row)


def embargoes(
    unit: UnitOfWork, cases: Iterable[CaseId], states: Iterable[str]
) -> dict[tuple[CaseId, str], EmbargoRecord]:
    """The newest embargo of each of these cases in each of these states."""
    rows = unit.connection.execute(
        select(embargo)
        .where(embargo.c.case.in_(tuple(cases)), embargo.c.state.in_(tuple(states)))
        .order_by(embargo.c.proposed_at, embargo.c.id)
    )
    return {(CaseId(row.case), row.state): _embargo(row) for row in rows}


def change_embargo(unit: UnitOfWork, identity: str, **values: Any) -> None:
    """Write columns of an embargo."""
    unit.connection.execute(update(embargo).where(embargo.c.id == identity).values(**values))


def consents(unit: UnitOfWork, identity: str) -> dict[PartyId, Consent]:
    """What each participant said to an embargo."""
    return consents_to(unit, [identity])[identity]


def consents_to(
    unit: UnitOfWork, embargoes: Iterable[str]
) -> defaultdict[str, dict[PartyId, Consent]]:
    """What each participant said to each of these embargoes."""
    rows = unit.connection.execute(
        select(embargo_consent).where(embargo_consent.c.embargo.in_(tuple(embargoes)))
    )
    found: defaultdict[str, dict[PartyId, Consent]] = defaultdict(dict)
    for row in rows:
        found[row.embargo][PartyId(row.party)] = Consent(row.consent)
    return found


def invite(unit: UnitOfWork, identity: str, party: PartyId) -> None:
    """Ask a participant to consent to an embargo."""
    unit.connection.execute(
        insert(embargo_consent).values(
            embargo=identity, party=party, consent=Consent.INVITED, changed_at=unit.now
        )
    )


def change_consent(unit: UnitOfWork, identity: str, party: PartyId, consent: Consent) -> None:
    """Write a participant's consent to an embargo."""
    unit.connection.execute(
        update(embargo_consent)
        .where(embargo_consent.c.embargo == identity, embargo_consent.c.party == party)
        .values(consent=consent, changed_at=unit.now)
    )


def _embargo(row: Row[Any]) -> EmbargoRecord:
    return EmbargoRecord(
        id=row.id,
        case=CaseId(row.case),
        proposed_by=PartyId(row.proposed_by),
        proposed_at=row.proposed_at,
        until=row.until,
        operators_early_notice=row.operators_early_notice,
        sealed_terms=bytes(row.sealed_terms),
        state=row.state,
        ended_at=row.ended_at,
        caution=row.caution,
    )
