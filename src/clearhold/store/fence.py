"""The second fence, on PostgreSQL: a request reads secret rows only as far as its caller may.

Whoever serves requests opens `request()` around each and says with `identify` who calls. Every
transaction of that request then runs in a database role to which row-level security applies, and
until the caller is known as nobody. Work outside any request is the hub's own. The policies stand
in migration 6; SQLite has no such thing, and there the application's predicates stand alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from clearhold.store.schema import to_microseconds

ROLE: Final = "clearhold_request"
SERVICE_ROLE: Final = "clearhold_service"
_RAISE: Final = text(
    "SELECT set_config('clearhold.party', :party, true),"
    " set_config('clearhold.principal', :principal, true),"
    " set_config('clearhold.person', :person, true),"
    " set_config('clearhold.now', :now, true),"
    f" set_config('role', '{ROLE}', true)"
)
_LOWER: Final = text("SELECT set_config('role', 'none', true)")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a request acts for, in the words of the grants; empty where there is nobody."""

    party: str = ""
    principal: str = ""
    person: str = ""


@dataclass(slots=True)
class _Request:
    caller: Identity


# What the variable holds is changed in place: threads get a copy of the context, not of this.
_request: ContextVar[_Request | None] = ContextVar("clearhold_request", default=None)


@contextmanager
def request() -> Iterator[None]:
    """Everything within is a request, of nobody until `identify` says whose."""
    before = _request.set(_Request(Identity()))
    try:
        yield
    finally:
        _request.reset(before)


def identify(caller: Identity) -> None:
    """Say whose request this is; outside a request it changes nothing."""
    within = _request.get()
    if within is not None:
        within.caller = caller


def caller() -> Identity | None:
    """Whose request this is; None outside any."""
    within = _request.get()
    return None if within is None else within.caller


def raise_for(connection: Connection, who: Identity, *, now: datetime) -> None:
    """Let the rest of the transaction read secret rows only as far as `who` may at `now`."""
    parameters = {
        "party": who.party,
        "principal": who.principal,
        "person": who.person,
        "now": str(to_microseconds(now)),
    }
    connection.execute(_RAISE, parameters)


def weakness(connection: Connection) -> str:
    """Why the fence is weaker than it could be for this connection's user; empty when it is not.

    Whoever owns a table, or may bypass row-level security, reads everything once it leaves the
    role of requests.
    """
    row = connection.execute(
        text(
            "SELECT rolsuper OR rolbypassrls AS bypasses,"
            " EXISTS (SELECT FROM pg_class c WHERE c.relname = 'finding'"
            " AND pg_has_role(current_user, c.relowner, 'USAGE')) AS owns"
            " FROM pg_roles WHERE rolname = current_user"
        )
    ).one()
    if row.bypasses:
        return "the database user bypasses row-level security"
    return "the database user owns the tables" if row.owns else ""


def lower(connection: Connection) -> None:
    """Let the transaction go on as the hub itself."""
    connection.execute(_LOWER)
