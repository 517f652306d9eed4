"""Checking the ledger's rows against each other, the tree, and the published files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, func, select

from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.kernel.merkle import EMPTY_ROOT
from clearhold.ledger import places, records
from clearhold.ledger.model import ChainCheck, LedgerReport, Padding
from clearhold.ledger.places import Published
from clearhold.ledger.public_log import MOST_FAULTS, PublicLog, TileCheck
from clearhold.ledger.tables import ledger_leaf, ledger_place, ledger_waiting
from clearhold.ledger.tiling import Cut, Tiler
from clearhold.wire.signed_note import Checkpoint, open_checkpoint
from clearhold.wire.tlog_tiles import CHECKPOINT, WIDTH, Tile, unpack_entries


def verify(
    connection: Connection, *, padding: Padding | None = None, log: PublicLog | None = None
) -> LedgerReport:
    """Check every leaf, every chain, every place and every tile, and name what is wrong.

    `padding` recomputes the entries that belong to no leaf; without it they count as faults. With
    `log`, the published files are compared too. The connection must show one instant, or a leaf
    written meanwhile would look like a fault.
    """
    # Read first: the file follows the database, so it cannot be newer than what is read after it.
    shown = None if log is None else log.read(CHECKPOINT)
    chains = ChainCheck()
    faults = chains.faults
    try:
        tree = places.tree(connection)
    except IntegrityError as error:
        return LedgerReport(0, 0, EMPTY_ROOT, 0, 0, (error.message,))
    for leaf in records.leaves(connection):
        chains.look_at(leaf)
    waiting = _check_places(connection, tree.frontier.size, faults)
    check = _Replay(connection, padding, log, faults)
    root = check.replay(tree.published, tree.frontier.size)
    if check.tiler.root(check.rest) != tree.frontier.root():
        faults.append("the leaves in their places do not make the tree that was recorded")
    if log is not None:
        signed = _check_note(log, tree.published, shown, faults)
        if signed is None or (signed.size, signed.root) == (tree.published.size, root):
            faults += check.tile_faults
        else:  # the rows are what differs, where tiles and rows do
            faults.append("the leaves in their places do not make the tree that was signed")
            faults += check.strangers
    return LedgerReport(
        chains.count,
        tree.frontier.size,
        tree.frontier.root(),
        tree.published.size,
        waiting,
        tuple(dict.fromkeys(faults[:MOST_FAULTS])),
    )


def _check_places(connection: Connection, size: int, faults: list[str]) -> int:
    """Each leaf must stand in the tree or wait for it, exactly once; returns how many wait."""
    leaf, place, waits = ledger_leaf.c.seq, ledger_place.c.leaf, ledger_waiting.c.leaf
    odd = (
        (
            select(leaf)
            .outerjoin(ledger_place, place == leaf)
            .outerjoin(ledger_waiting, waits == leaf)
            .where(place.is_(None), waits.is_(None)),
            "leaf {} has no place in the tree and does not wait for one",
        ),
        (
            select(waits).outerjoin(ledger_leaf, leaf == waits).where(leaf.is_(None)),
            "leaf {} is missing",
        ),
        (select(waits).join(ledger_place, place == waits), "leaf {} waits for a place it has"),
        (
            select(place).where(ledger_place.c.place >= size),
            "leaf {} stands outside the tree",
        ),
    )
    for query, sentence in odd:
        found = connection.execute(query.limit(MOST_FAULTS)).scalars()
        faults += [sentence.format(each) for each in found]
    return connection.execute(select(func.count()).select_from(ledger_waiting)).scalar_one()


class _Replay:
    """Makes the tree anew from the rows, and compares its tiles where they are published."""

    def __init__(
        self,
        connection: Connection,
        padding: Padding | None,
        log: PublicLog | None,
        faults: list[str],
    ) -> None:
        self._connection = connection
        self._padding = padding
        self._log = log
        self._faults = faults
        self.tiler = Tiler()
        self.rest: tuple[bytes, ...] = ()
        self.tile_faults: list[str] = []
        self.strangers: list[str] = []
        self._leaves: dict[int, int] = {}

    def replay(self, published: Published, size: int) -> bytes:
        """Go through the whole tree; returns the root at the published size."""
        check = None if self._log is None else TileCheck(self._log, self.tile_faults)
        root = EMPTY_ROOT
        for first, entries in self._rows(size):
            shown = min(max(published.size - first, 0), len(entries))
            self._compare_entries(first, entries[:shown])
            if check is not None and 0 < shown < WIDTH:
                self._compare_edge(check, self.tiler.row(entries[:shown]))
            if 0 < shown < WIDTH:
                root = self._at_published(check, published, entries[:shown])
            cuts = list(self.tiler.row(entries))
            if check is not None and shown == WIDTH:
                check.compare(cuts)
            if shown == WIDTH and published.size == first + WIDTH:
                root = self._at_published(check, published, ())
            self.rest = entries if len(entries) < WIDTH else ()
        return root

    def _at_published(
        self, check: TileCheck | None, published: Published, rest: tuple[bytes, ...]
    ) -> bytes:
        if check is not None:
            self._compare_edge(check, self.tiler.partial())
        if self.tiler.edge != published.edge:
            self._faults.append("the edge of the published tree was changed in the database")
        return self.tiler.root(rest)

    def _compare_edge(self, check: TileCheck, cuts: Iterable[Cut]) -> None:
        """Look at tiles that are not full, and at those of older checkpoints that they outgrew."""
        for tile, expected in cuts:
            check.compare([(tile, expected)])
            for width in range(1, tile.width):
                older = Tile(tile.level, tile.number, width)
                content = check.log.read(older.path)
                if (
                    content is not None
                    and content != expected[: len(expected) * width // tile.width]
                ):
                    self.tile_faults.append(f"{older.path} was changed")

    def _rows(self, size: int) -> Iterator[tuple[int, tuple[bytes, ...]]]:
        for first in range(0, size, WIDTH):
            last = min(first + WIDTH, size)
            entries = dict[int, bytes]()
            self._leaves.clear()
            for place, leaf, commitment in places.placed(self._connection, first, last):
                self._leaves[place] = leaf
                if commitment is None:
                    self._faults.append(f"leaf {leaf} is missing")
                    entries[place] = self._shown(place)
                else:
                    entries[place] = commitment
            yield (
                first,
                tuple(
                    entries[each] if each in entries else self._pad(each)
                    for each in range(first, last)
                ),
            )

    def _compare_entries(self, first: int, entries: tuple[bytes, ...]) -> None:
        """Note which leaves are not what the published log holds in their places."""
        if self._log is None or not entries or len(self.strangers) >= MOST_FAULTS:
            return
        content = self._log.tile(Tile(-1, first // WIDTH, len(entries)))
        served = None if content is None else unpack_entries(content, len(entries))
        for place, (ours, theirs) in enumerate(zip(entries, served or (), strict=False), first):
            if ours != theirs:
                leaf = self._leaves.get(place)
                what = (
                    "no leaf stands there now" if leaf is None else f"leaf {leaf} stands there now"
                )
                self.strangers.append(f"place {place} was published with another entry; {what}")

    def _pad(self, place: int) -> bytes:
        if self._padding is None:
            self._faults.append(f"place {place} of the tree belongs to no leaf")
            return self._shown(place)
        return self._padding(place)

    def _shown(self, place: int) -> bytes:
        """What the published log has at a place whose leaf is gone, to go on with."""
        tile = Tile(-1, place // WIDTH)
        content = None if self._log is None else self._log.tile(tile)
        entries = None if content is None else unpack_entries(content, WIDTH)
        return bytes(32) if entries is None else entries[place % WIDTH]


def _check_note(
    log: PublicLog, published: Published, shown: bytes | None, faults: list[str]
) -> Checkpoint | None:
    """What was signed last; None when nothing was, or when it was changed."""
    if not published.note:
        if shown is not None:
            faults.append("a checkpoint is published that the database does not know")
        return None
    try:
        # An older file is what a crash leaves; the sequencer replaces it when it starts.
        older = shown is not None and open_checkpoint(shown, log.verifier).size < published.size
    except (InvalidError, IntegrityError):
        older = False
    if shown != published.note and not older:
        faults.append("the published checkpoint is missing or was changed")
    try:
        return open_checkpoint(published.note, log.verifier)
    except (InvalidError, IntegrityError):
        faults.append("the signed checkpoint was changed in the database")
        return None
