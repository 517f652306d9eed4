"""Reading and appending ledger rows."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, insert, select, text

from clearhold.kernel.merkle import leaf_hash
from clearhold.ledger.model import GENESIS, SALT_BYTES, Entry, Leaf, Lodgement, committed
from clearhold.ledger.tables import ledger_leaf, ledger_lodgement

_PAGE = 1000
_COLUMNS: Final = tuple(ledger_leaf.c.keys())
# Written out, for building them anew would take longer than running them.
_INSERT: Final = insert(ledger_leaf)
_LOCK: Final = text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key")
_HEADS: Final = {
    "sqlite": text(
        "SELECT compartment, commitment FROM json_each(:names) AS asked JOIN ledger_leaf "
        "ON seq = (SELECT max(seq) FROM ledger_leaf WHERE compartment = asked.value)"
    ),
    "postgresql": text(
        "SELECT last.compartment, last.commitment FROM unnest(CAST(:names AS text[])) AS asked "
        "JOIN LATERAL (SELECT compartment, commitment FROM ledger_leaf "
        "WHERE compartment = asked ORDER BY seq DESC LIMIT 1) AS last ON true"
    ),
}
_NUMBERS: Final = {
    "sqlite": text(
        "INSERT INTO ledger_waiting (leaf) SELECT value + "
        "(SELECT coalesce(max(seq), 0) FROM ledger_leaf) FROM json_each(:steps) RETURNING leaf"
    ),
    "postgresql": text(
        "INSERT INTO ledger_waiting (leaf) SELECT nextval('ledger_leaf_seq') "
        "FROM generate_series(1, :count) RETURNING leaf"
    ),
}


def append(connection: Connection, entries: Sequence[Entry]) -> list[int]:
    """Add leaves within the caller's transaction and return their numbers.

    Call it last: on PostgreSQL it holds, until the transaction ends, a lock on the chain of each
    compartment it adds to. The locks are taken in one order, so that no two writers wait for each
    other; writers in different compartments, or in none, do not meet. On SQLite the transaction
    is the only writer anyway.
    """
    if not entries:
        return []
    compartments = sorted({each.compartment for each in entries if each.compartment is not None})
    heads = _heads(connection, compartments) if compartments else {}
    numbers = _numbers(connection, len(entries))
    rows: list[dict[str, Any]] = []
    for number, entry in zip(numbers, entries, strict=True):
        previous = None
        if entry.compartment is not None:
            previous = heads.get(entry.compartment, GENESIS)
        leaf = committed(number, entry, previous=previous, salt=secrets.token_bytes(SALT_BYTES))
        if entry.compartment is not None:
            heads[entry.compartment] = leaf.hash
        rows.append({name: getattr(leaf, name) for name in _COLUMNS})
    connection.execute(_INSERT, rows)
    return numbers


def _heads(connection: Connection, compartments: Sequence[str]) -> dict[str, bytes]:
    """The hash of the last leaf of each compartment that has one, which nobody else follows now."""
    # Apart from the query below, which must see what the lock was waited for.
    _one_at_a_time(connection, [f"ledger chain {each}" for each in compartments])
    if connection.dialect.name == "postgresql":
        found = connection.execute(_HEADS["postgresql"], {"names": list(compartments)})
    else:
        found = connection.execute(_HEADS["sqlite"], {"names": json.dumps(compartments)})
    return {row.compartment: leaf_hash(bytes(row.commitment)) for row in found}


def _one_at_a_time(connection: Connection, names: Sequence[str]) -> None:
    """Wait until no other open transaction has said one of these names, in one order for all."""
    if connection.dialect.name != "postgresql":
        return  # SQLite lets one transaction write at a time
    digests = {hashlib.sha256(each.encode()).digest()[:8] for each in names}
    keys = sorted(int.from_bytes(each, "big", signed=True) for each in digests)
    connection.execute(_LOCK, {"keys": keys})


def _numbers(connection: Connection, count: int) -> list[int]:
    """The next numbers, queued for the tree. PostgreSQL's may commit in another order, with gaps."""
    if connection.dialect.name == "postgresql":
        found = connection.execute(_NUMBERS["postgresql"], {"count": count})
    else:
        steps = json.dumps(list(range(1, count + 1)))
        found = connection.execute(_NUMBERS["sqlite"], {"steps": steps})
    return sorted(found.scalars())


def leaves(
    connection: Connection,
    *,
    after: int = 0,
    compartments: Sequence[str] | None = None,
    visible: ColumnElement[bool] | None = None,
) -> Iterator[Leaf]:
    """Leaves from number `after` + 1 on: all, those of `compartments`, or those that are `visible`."""
    while True:
        query = select(ledger_leaf).where(ledger_leaf.c.seq > after).order_by(ledger_leaf.c.seq)
        if compartments is not None:
            query = query.where(ledger_leaf.c.compartment.in_(compartments))
        if visible is not None:
            query = query.where(visible)
        rows = connection.execute(query.limit(_PAGE)).all()
        if not rows:
            return
        yield from map(_leaf, rows)
        after = rows[-1].seq


def leaf(connection: Connection, seq: int, *, visible: ColumnElement[bool]) -> Leaf | None:
    """One leaf, when it is visible."""
    row = connection.execute(select(ledger_leaf).where(ledger_leaf.c.seq == seq, visible)).first()
    return None if row is None else _leaf(row)


def _leaf(row: Any) -> Leaf:
    return Leaf(
        row.seq,
        row.at,
        row.actor,
        row.action,
        row.subject,
        row.compartment,
        row.detail,
        None if row.previous is None else bytes(row.previous),
        bytes(row.salt),
        bytes(row.commitment),
    )


def lodged_by(party: str) -> ColumnElement[bool]:
    """Leaves that record a commitment of this party."""
    mine = select(ledger_lodgement.c.leaf).where(ledger_lodgement.c.party == party)
    return ledger_leaf.c.seq.in_(mine)


def lodge(
    connection: Connection, *, identity: str, party: str, commitment: bytes, entry: Entry
) -> Lodgement:
    """Add the leaf that records a commitment, and keep whose it is; one lodged before stays.

    Two at once, of one party, make one.
    """
    _one_at_a_time(connection, [f"ledger lodgement {party}"])
    for known in lodgements(connection, party, commitment=commitment):
        return known
    (number,) = append(connection, [entry])
    connection.execute(
        insert(ledger_lodgement).values(
            id=identity, party=party, commitment=commitment, lodged_at=entry.at, leaf=number
        )
    )
    return Lodgement(identity, commitment, entry.at, number)


def lodgements(
    connection: Connection,
    party: str,
    *,
    after: int = 0,
    limit: int | None = None,
    commitment: bytes | None = None,
) -> tuple[Lodgement, ...]:
    """What a party lodged, oldest first: from leaf `after` + 1 on, or one commitment alone."""
    query = (
        select(ledger_lodgement)
        .where(ledger_lodgement.c.party == party, ledger_lodgement.c.leaf > after)
        .order_by(ledger_lodgement.c.leaf)
        .limit(limit)
    )
    if commitment is not None:
        query = query.where(ledger_lodgement.c.commitment == commitment)
    return tuple(
        Lodgement(row.id, bytes(row.commitment), row.lodged_at, row.leaf)
        for row in connection.execute(query)
    )
