"""Broken glass: a coordinator who was not read in looks for an hour, and everyone there sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import insert, select

from clearhold.access.tables import broken_glass
from clearhold.kernel.ids import CompartmentId, PartyId, PrincipalId, new_id
from clearhold.store.unit_of_work import UnitOfWork

BROKEN: Final = "access:glass:break"
LIFE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Broken:
    """Who broke the glass of a compartment, why, with whom, and until when it let them see."""

    compartment: CompartmentId
    party: PartyId
    principal: PrincipalId
    reason: str
    approved_by: PrincipalId
    broken_at: datetime
    ends_at: datetime


def note(unit: UnitOfWork, broken: Broken) -> None:
    """Keep for good that it was broken."""
    unit.connection.execute(
        insert(broken_glass).values(
            id=new_id(unit.now),
            compartment=broken.compartment,
            party=broken.party,
            principal=broken.principal,
            reason=broken.reason,
            approved_by=broken.approved_by,
            broken_at=broken.broken_at,
            ends_at=broken.ends_at,
        )
    )


def broken_in(
    unit: UnitOfWork, compartments: Iterable[CompartmentId]
) -> dict[CompartmentId, list[Broken]]:
    """Every time it was broken in these compartments, oldest first."""
    rows = unit.connection.execute(
        select(broken_glass)
        .where(broken_glass.c.compartment.in_(tuple(compartments)))
        .order_by(broken_glass.c.broken_at, broken_glass.c.id)
    )
    found: dict[CompartmentId, list[Broken]] = {}
    for row in rows:
        each = Broken(
            CompartmentId(row.compartment),
            PartyId(row.party),
            PrincipalId(row.principal),
            row.reason,
            PrincipalId(row.approved_by),
            row.broken_at,
            row.ends_at,
        )
        found.setdefault(each.compartment, []).append(each)
    return found
