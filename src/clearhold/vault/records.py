"""Queries on compartments' keys, and on the changes of the keys that wrap them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, and_, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from clearhold.kernel.ids import CompartmentId
from clearhold.ports.keys import WrappedKey
from clearhold.vault.tables import artifact, compartment, key_change

_WRAPPING_LOCK = 4410


class ChangeKind(StrEnum):
    """Why the key-encryption key changes."""

    ROTATE = "rotate"
    DESTROY = "destroy"
    EXPUNGE = "expunge"


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A change to the key-encryption key `kek`; one at a time is not ended."""

    id: str
    kind: ChangeKind
    kek: str
    begun_by: str
    begun_at: datetime


def hold_wrapping(connection: Connection) -> None:
    """Say that this transaction wraps a key, so that a rotation's last look waits for it."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        connection.execute(text(f"SELECT pg_advisory_xact_lock_shared({_WRAPPING_LOCK})"))


def begin(connection: Connection, new: KeyChange) -> bool:
    """Insert a change; False while another one runs."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    added = connection.execute(
        insert(key_change)
        .values(
            id=new.id,
            kind=new.kind,
            kek=new.kek,
            begun_by=new.begun_by,
            begun_at=new.begun_at,
            running=1,
        )
        .on_conflict_do_nothing(index_elements=["running"])
        .returning(key_change.c.id)
    )
    return added.one_or_none() is not None


def running(connection: Connection) -> KeyChange | None:
    """The change that has not ended."""
    row = connection.execute(select(key_change).where(key_change.c.running == 1)).one_or_none()
    if row is None:
        return None
    return KeyChange(row.id, ChangeKind(row.kind), row.kek, row.begun_by, row.begun_at)


def end(connection: Connection, change: KeyChange, *, at: datetime) -> bool:
    """Note that a change is done; False when somebody else has."""
    ended = connection.execute(
        update(key_change)
        .where(key_change.c.id == change.id, key_change.c.running == 1)
        .values(running=None, ended_at=at)
    )
    return bool(ended.rowcount)


def wrapped_otherwise(
    connection: Connection, kek: str, *, after: str, limit: int
) -> list[tuple[CompartmentId, WrappedKey]]:
    """Compartments whose key is wrapped under another key than `kek`, by id from `after` on."""
    rows = connection.execute(
        select(compartment.c.id, compartment.c.kek, compartment.c.wrapped_key)
        .where(
            compartment.c.id > after,
            compartment.c.wrapped_key.is_not(None),
            compartment.c.kek != kek,
        )
        .order_by(compartment.c.id)
        .limit(limit)
    )
    return [(CompartmentId(row.id), WrappedKey(row.kek, bytes(row.wrapped_key))) for row in rows]


def none_wrapped_otherwise(connection: Connection, kek: str) -> bool:
    """Whether every key is wrapped under `kek`, once all who are wrapping now have committed."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_WRAPPING_LOCK})"))
    left = connection.execute(
        select(func.count())
        .select_from(compartment)
        .where(compartment.c.wrapped_key.is_not(None), compartment.c.kek != kek)
    ).scalar_one()
    return left == 0


def rewrap(
    connection: Connection, within: CompartmentId, *, before: WrappedKey, after: WrappedKey
) -> None:
    """Put a key wrapped anew in place of the same key, unless it was destroyed meanwhile."""
    connection.execute(
        update(compartment)
        .where(compartment.c.id == within, compartment.c.wrapped_key == before.ciphertext)
        .values(kek=after.kek, wrapped_key=after.ciphertext)
    )


def wrapped_under(connection: Connection) -> dict[str, int]:
    """How many compartments' keys are wrapped under each key-encryption key."""
    rows = connection.execute(
        select(compartment.c.kek, func.count())
        .where(compartment.c.wrapped_key.is_not(None))
        .group_by(compartment.c.kek)
    )
    return {kek: count for kek, count in rows}  # noqa: C416  # rows are not pairs to the checker


def doomed_artefacts(connection: Connection, *, limit: int) -> Sequence[tuple[str, str]]:
    """Artefacts of destroyed compartments whose bytes still lie in the store: id and digest."""
    rows = connection.execute(
        select(artifact.c.id, artifact.c.stored_as)
        .join(compartment, artifact.c.compartment == compartment.c.id)
        .where(and_(artifact.c.removed_at.is_(None), compartment.c.destroyed_at.is_not(None)))
        .order_by(artifact.c.id)
        .limit(limit)
    )
    return [(row.id, row.stored_as) for row in rows]


def note_removed(connection: Connection, artefacts: Sequence[str], *, at: datetime) -> None:
    """Note that the bytes of these artefacts are gone."""
    connection.execute(update(artifact).where(artifact.c.id.in_(artefacts)).values(removed_at=at))
