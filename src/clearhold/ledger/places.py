"""The tree's rows: which leaf stands where, how far the tree has come, and what is published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from clearhold.kernel.errors import IntegrityError
from clearhold.kernel.merkle import Frontier, leaf_hash
from clearhold.ledger.model import Padding
from clearhold.ledger.tables import ledger_leaf, ledger_place, ledger_tree, ledger_waiting
from clearhold.wire.tlog_tiles import WIDTH

_TREE = 1


@dataclass(frozen=True, slots=True)
class Published:
    """What the log has shown: its size, the instant, the tiles' edge and the signed checkpoint."""

    size: int
    instant: int
    edge: bytes
    note: bytes


@dataclass(frozen=True, slots=True)
class Tree:
    """How far the tree has come. Padding and leaves below its size never change their places."""

    frontier: Frontier
    published: Published


def tree(connection: Connection, *, lock: bool = False) -> Tree:
    """The tree as it stands; with `lock`, nobody else lets it grow until the transaction ends.

    Raises `IntegrityError` when its row is gone or makes no sense.
    """
    query = select(ledger_tree).where(ledger_tree.c.id == _TREE)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise IntegrityError("The ledger's tree is missing from the database.")
    try:
        frontier = Frontier.unpack(row.size, bytes(row.frontier))
    except ValueError as error:
        raise IntegrityError("The ledger's tree in the database was changed.") from error
    published = Published(
        row.published_size, row.published_instant, bytes(row.published_edge), bytes(row.note)
    )
    return Tree(frontier, published)


def take_waiting(connection: Connection, frontier: Frontier, limit: int) -> Frontier:
    """Give the next waiting leaves their places, in one statement, and let the tree grow by them.

    The caller holds the tree's lock.
    """
    first = frontier.size
    chosen = select(ledger_waiting.c.leaf).order_by(ledger_waiting.c.leaf).limit(limit).subquery()
    place = first + func.row_number().over(order_by=chosen.c.leaf) - 1
    connection.execute(
        insert(ledger_place).from_select(["place", "leaf"], select(place, chosen.c.leaf))
    )
    taken = select(ledger_place.c.leaf).where(ledger_place.c.place >= first)
    commitments = connection.execute(
        select(ledger_leaf.c.commitment)
        .join(ledger_place, ledger_place.c.leaf == ledger_leaf.c.seq)
        .where(ledger_place.c.place >= first)
        .order_by(ledger_place.c.place)
    ).scalars()
    removed = connection.execute(delete(ledger_waiting).where(ledger_waiting.c.leaf.in_(taken)))
    grown = frontier.extended(leaf_hash(bytes(each)) for each in commitments)
    if grown.size - first != removed.rowcount:
        raise IntegrityError("A leaf that waits for the ledger's tree is missing.")
    _keep(connection, grown)
    return grown


def pad(connection: Connection, frontier: Frontier, size: int, padding: Padding) -> Frontier:
    """Fill the tree up to `size` with entries that belong to no leaf."""
    places = range(frontier.size, size)
    grown = frontier.extended(leaf_hash(padding(each)) for each in places)
    if places:
        _keep(connection, grown)
    return grown


def _keep(connection: Connection, frontier: Frontier) -> None:
    connection.execute(
        update(ledger_tree)
        .where(ledger_tree.c.id == _TREE)
        .values(size=frontier.size, frontier=frontier.pack())
    )


def keep_published(connection: Connection, published: Published, *, after: int) -> None:
    """Note what the log is about to show, after the size it showed before.

    Raises `IntegrityError` when somebody else has published meanwhile.
    """
    changed = connection.execute(
        update(ledger_tree)
        .where(ledger_tree.c.id == _TREE, ledger_tree.c.published_size == after)
        .values(
            published_size=published.size,
            published_instant=published.instant,
            published_edge=published.edge,
            note=published.note,
        )
    )
    if changed.rowcount != 1:
        raise IntegrityError(
            "Two processes publish the ledger at once.",
            next_step="Let all workers share one data directory whose file system knows locks.",
        )


def waiting(connection: Connection) -> bool:
    """Whether any leaf has no place yet."""
    return connection.execute(select(ledger_waiting.c.leaf).limit(1)).first() is not None


def place_of(connection: Connection, seq: int) -> int | None:
    """Where a leaf stands; None while it waits."""
    query = select(ledger_place.c.place).where(ledger_place.c.leaf == seq)
    return connection.execute(query).scalar_one_or_none()


def placed(connection: Connection, start: int, end: int) -> Iterator[tuple[int, int, bytes | None]]:
    """(place, leaf's number, its commitment or None when it is gone) in order."""
    query = (
        select(ledger_place.c.place, ledger_place.c.leaf, ledger_leaf.c.commitment)
        .outerjoin(ledger_leaf, ledger_leaf.c.seq == ledger_place.c.leaf)
        .where(ledger_place.c.place >= start, ledger_place.c.place < end)
        .order_by(ledger_place.c.place)
    )
    for row in connection.execute(query):
        yield row.place, row.leaf, None if row.commitment is None else bytes(row.commitment)


def rows(
    connection: Connection, start: int, end: int, padding: Padding
) -> Iterator[tuple[bytes, ...]]:
    """The log's entries from `start`, a row's first, to before `end`: a row of 256 at a time.

    Raises `IntegrityError` when a leaf is gone.
    """
    for first in range(start, end, WIDTH):
        last = min(first + WIDTH, end)
        entries = {}
        for place, leaf, commitment in placed(connection, first, last):
            if commitment is None:
                raise IntegrityError(f"Leaf {leaf} of the ledger is missing.")
            entries[place] = commitment
        yield tuple(
            entries[each] if each in entries else padding(each) for each in range(first, last)
        )
