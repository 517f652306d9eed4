"""Reading and appending ledger rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from clearhold.ledger.model import GENESIS, ChainReport, Leaf, leaf_hash, verify_chain
from clearhold.ledger.tables import ledger_head, ledger_leaf

_HEAD = 1
_PAGE = 1000


def append(
    connection: Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    compartment: str | None,
    detail: Mapping[str, str],
) -> int:
    """Add one leaf within the caller's transaction and return its number, from 1.

    The head row is locked first, so two writers append one after the other on either database.
    """
    head = connection.execute(
        select(ledger_head.c.seq, ledger_head.c.hash)
        .where(ledger_head.c.id == _HEAD)
        .with_for_update()
    ).one()
    seq: int = head.seq + 1
    fields: dict[str, Any] = {
        "seq": seq,
        "at": at,
        "actor": actor,
        "action": action,
        "subject": subject,
        "compartment": compartment,
        "detail": dict(detail),
        "previous": bytes(head.hash),
    }
    digest = leaf_hash(**fields)
    connection.execute(insert(ledger_leaf).values(**fields, hash=digest))
    connection.execute(
        update(ledger_head).where(ledger_head.c.id == _HEAD).values(seq=seq, hash=digest)
    )
    return seq


def leaves(
    connection: Connection, *, after: int = 0, compartments: Sequence[str] | None = None
) -> Iterator[Leaf]:
    """Leaves in order from number `after` + 1, all of them or those of `compartments` alone."""
    while True:
        query = select(ledger_leaf).where(ledger_leaf.c.seq > after).order_by(ledger_leaf.c.seq)
        if compartments is not None:
            query = query.where(ledger_leaf.c.compartment.in_(compartments))
        rows = connection.execute(query.limit(_PAGE)).all()
        if not rows:
            return
        for row in rows:
            yield Leaf(
                row.seq,
                row.at,
                row.actor,
                row.action,
                row.subject,
                row.compartment,
                row.detail,
                bytes(row.previous),
                bytes(row.hash),
            )
        after = rows[-1].seq


def verify(connection: Connection) -> ChainReport:
    """Check the whole chain against its head."""
    head = connection.execute(select(ledger_head).where(ledger_head.c.id == _HEAD)).one_or_none()
    if head is None:
        return ChainReport(0, GENESIS, ("the ledger has no head",))
    return verify_chain(leaves(connection), head_seq=head.seq, head_hash=bytes(head.hash))
