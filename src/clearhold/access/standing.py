"""What a principal may do now, whatever it showed who it is with: tokens and sessions ask here.

Agreements are joined to the very query that looks for the credential, so that suspending one counts
from the next request on. A principal has a row for each allowance of its party, and one if there is
none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, select

from clearhold.access.allowances import open_to, stands
from clearhold.access.model import Actor
from clearhold.access.permissions import MemberRole, PartyKind, Permission, held
from clearhold.access.tables import allowance, principal
from clearhold.store.unit_of_work import UnitOfWork

STANDING: Final[tuple[ColumnElement[Any], ...]] = (
    principal.c.id.label("principal"),
    principal.c.party,
    principal.c.kind,
    principal.c.roles,
    principal.c.person,
)
"""The columns of a principal that `permissions_of` and an `Actor` need."""


def permissions_of(row: Row[Any]) -> frozenset[Permission]:
    """What the principal of a row with the columns of `STANDING` may do at most."""
    return held(PartyKind(row.kind), map(MemberRole, row.roles))


def opening(now: datetime) -> tuple[ColumnElement[Any], ...]:
    """The columns of a joined allowance that `permissions_now` needs beside `STANDING`."""
    return (allowance.c.permissions.label("opens"), stands(now).label("stands"))


def unlimited(unit: UnitOfWork, actor: Actor) -> bool:
    """Whether what an actor showed allows all that its principal may do, and was confirmed."""
    rows = unit.connection.execute(
        select(*STANDING, *opening(unit.now))
        .outerjoin(allowance, allowance.c.party == principal.c.party)
        .where(principal.c.id == actor.principal)
    ).all()
    return actor.stepped_up and actor.permissions == permissions_now(rows)


def permissions_now(rows: Sequence[Row[Any]]) -> frozenset[Permission]:
    """What the principal of these rows may do now: what its roles give and its agreements open."""
    kind = PartyKind(rows[0].kind)
    return permissions_of(rows[0]) & open_to(kind, [(each.opens, each.stands) for each in rows])
