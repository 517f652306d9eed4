"""What agreements open to a party: written by whoever keeps them, read at every authentication."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, Text, and_, exists, or_, select, type_coerce, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.access.permissions import PartyKind, Permission, opened
from clearhold.access.tables import allowance, principal
from clearhold.kernel.ids import PartyId
from clearhold.store.unit_of_work import UnitOfWork


def write(
    unit: UnitOfWork,
    party: PartyId,
    source: str,
    *,
    permissions: Iterable[Permission],
    in_force: bool,
    ends_at: datetime | None,
) -> None:
    """Let a source open permissions to a party until `ends_at`, or no longer, from now on."""
    insert = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    values = {"permissions": sorted(permissions), "in_force": in_force, "ends_at": ends_at}
    unit.connection.execute(
        insert(allowance)
        .values(party=party, source=source, **values)
        .on_conflict_do_update(index_elements=["party", "source"], set_=values)
    )


def end_all(unit: UnitOfWork, source: str, *, at: datetime) -> None:
    """Let what a source opens to anybody end at an instant, unless it ends before."""
    unit.connection.execute(
        update(allowance)
        .where(
            allowance.c.source == source,
            or_(allowance.c.ends_at.is_(None), allowance.c.ends_at > at),
        )
        .values(ends_at=at)
    )


def stands(now: datetime) -> ColumnElement[bool]:
    """Allowances in force at `now`."""
    unended = or_(allowance.c.ends_at.is_(None), allowance.c.ends_at > now)
    return and_(allowance.c.in_force == 1, unended)


def open_to(
    kind: PartyKind, found: Iterable[tuple[list[str] | None, bool | None]]
) -> frozenset[Permission]:
    """What allowances open, as pairs of their permissions and whether they are in force."""
    now: set[str] = set()
    lapsed: set[str] = set()
    for permissions, in_force in found:
        (now if in_force else lapsed).update(permissions or ())
    return opened(kind, now, lapsed)


def open_now(
    party: ColumnElement[str], permission: Permission, now: datetime
) -> ColumnElement[bool]:
    """Whether a permission is open to the party in a column: by an agreement, or to who needs none.

    Asked within the very query that it bears on, so that a suspension counts at once.
    """
    named = f'"{permission}"'  # as a list in JSON writes it, and nothing else in there can
    agreed = exists().where(
        allowance.c.party == party,
        stands(now),
        type_coerce(allowance.c.permissions, Text).contains(named, autoescape=True),
    )
    coordinates = exists().where(
        principal.c.party == party, principal.c.kind == PartyKind.COORDINATOR
    )
    return or_(agreed, coordinates)


def allows(unit: UnitOfWork, party: PartyId, permission: Permission) -> bool:
    """Whether an agreement in force opens a permission to a party: for services that act for it."""
    rows = unit.connection.execute(
        select(allowance.c.permissions).where(allowance.c.party == party, stands(unit.now))
    )
    return any(permission in row.permissions for row in rows)
