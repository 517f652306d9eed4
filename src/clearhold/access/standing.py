"""What a principal may do now, whatever it showed who it is with: tokens and sessions ask here."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Row

from clearhold.access.permissions import MemberRole, PartyKind, Permission, held
from clearhold.access.tables import principal

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
