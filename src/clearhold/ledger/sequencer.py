"""The sequencer: gives every committed leaf its place in the tree, and publishes at fixed instants.

Integrating is one transaction a batch, which holds the lock of the tree's row: of several
processes one goes on and the others find nothing left. Publishing goes in steps, each of which can
be the last one of a killed process:

1. the tree is padded up to the size that the instant demands; from then on nothing below changes;
2. tiles are written: until a checkpoint covers them they are nothing, and written again they are
   the same bytes;
3. the database notes what is published, with the signed checkpoint;
4. the checkpoint is written as a file. A file that is older than the note is written again.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from clearhold.kernel.errors import ClearholdError, IntegrityError, InvalidError
from clearhold.ledger import places
from clearhold.ledger.files import LogFiles
from clearhold.ledger.model import Cadence, Padding
from clearhold.ledger.places import Published
from clearhold.ledger.tiling import Tiler
from clearhold.ports.clock import Clock
from clearhold.store.database import reachable, snapshot
from clearhold.wire.signed_note import Checkpoint, NoteSigner, open_checkpoint
from clearhold.wire.tlog_tiles import WIDTH, Tile

_BATCH: Final = 2000
_EVERY_S: Final = 0.3
_AFTER_A_FAULT_S: Final = 30.0

_log = logging.getLogger(__name__)


class Sequencer:
    """Integrates and publishes the ledger of one database; several may run."""

    def __init__(
        self,
        database: Engine,
        files: LogFiles,
        *,
        signer: NoteSigner,
        padding: Padding,
        cadence: Cadence,
        clock: Clock,
    ) -> None:
        self._database = database
        self._files = files
        self._signer = signer
        self._padding = padding
        self._cadence = cadence
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Work in a thread of its own until `end`."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._live, name="sequencer", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let the work at hand come to its end, and stop."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _live(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = _EVERY_S
            try:
                self.integrate()
                self.publish(self._clock.now())
            except (ClearholdError, OSError) as error:
                _log.warning("the ledger's log stands still for now: %s", error)
                pause = _AFTER_A_FAULT_S
            except SQLAlchemyError as error:  # whose text could hold what a row holds
                _log.warning("the ledger's log stands still for now: %s", type(error).__name__)
                pause = _AFTER_A_FAULT_S

    def integrate(self) -> int:
        """Give every committed leaf that waits its place; returns how many there were.

        Raises `UnavailableError` when the database cannot be reached, and `IntegrityError` when
        its rows cannot be right.
        """
        with snapshot(self._database) as connection:
            if not places.waiting(connection):
                return 0
        count = taken = 0
        while count == 0 or taken == _BATCH:
            with reachable(), self._database.begin() as connection:
                tree = places.tree(connection, lock=True)
                grown = places.take_waiting(connection, tree.frontier, _BATCH)
            taken = grown.size - tree.frontier.size
            count += taken
            if taken == 0 or self._stopping.is_set():
                break
        return count

    def publish(self, now: datetime) -> bool:
        """Show the log as it must be at the latest of the fixed instants; whether anything was new.

        A hub that was down shows one quantum for all the instants it missed. Raises `IntegrityError`
        rather than sign what contradicts a checkpoint that was already shown.
        """
        instant = self._cadence.instant(now)
        with self._files.alone() as alone:
            if not alone:
                return False
            with snapshot(self._database) as connection:
                published = places.tree(connection).published
            self._repair(published)
            if instant <= published.instant:
                return False
            size = published.size + self._cadence.quantum
            with reachable(), self._database.begin() as connection:
                tree = places.tree(connection, lock=True)
                frontier = places.pad(connection, tree.frontier, size, self._padding)
            tiler = self._continued(published)
            root, full = self._write_tiles(tiler, size)
            if frontier.size == size and frontier.root() != root:
                raise IntegrityError(
                    "The ledger's leaves are not those that its tree was made of.",
                    next_step="Run `clearhold ledger verify`, which names them.",
                )
            moment = datetime.fromtimestamp(instant, UTC)
            checkpoint = Checkpoint.at(self._signer.verifier.name, size, root, moment)
            note = self._signer.sign(checkpoint.text)
            with reachable(), self._database.begin() as connection:
                new = Published(size, instant, tiler.edge, note)
                places.keep_published(connection, new, after=published.size)
            self._files.write_checkpoint(note)
            for tile in full:
                self._files.drop_partial(tile)
        return True

    def _continued(self, published: Published) -> Tiler:
        """The edge of the published log, once it is shown to make what was signed last.

        Raises `IntegrityError`.
        """
        changed = IntegrityError(
            "The ledger's published edge or leaves were changed in the database.",
            next_step="Run `clearhold ledger verify`, which names what differs.",
        )
        try:
            tiler = Tiler(published.size, published.edge)
        except ValueError as error:
            raise changed from error
        try:
            signed = open_checkpoint(published.note, self._signer.verifier)
        except (InvalidError, IntegrityError):
            return tiler  # nothing is signed, or under another key: a new log begins
        with snapshot(self._database) as connection:
            rest = next(places.rows(connection, tiler.size, published.size, self._padding), ())
        if tiler.root(rest) != signed.root:
            raise changed
        return tiler

    def _write_tiles(self, tiler: Tiler, size: int) -> tuple[bytes, list[Tile]]:
        """Write what a log of `size` has beyond the tiler's; its root, and the full tiles."""
        full: list[Tile] = []
        rest: tuple[bytes, ...] = ()
        with snapshot(self._database) as connection:
            for entries in places.rows(connection, tiler.size, size, self._padding):
                for tile, content in tiler.row(entries):
                    self._files.write_tile(tile, content)
                    full += [tile] if tile.width == WIDTH else []
                rest = entries if len(entries) < WIDTH else ()
        for tile, content in tiler.partial():
            self._files.write_tile(tile, content)
        return tiler.root(rest), full

    def _repair(self, published: Published) -> None:
        """Bring the files to what the database says was published.

        Raises `IntegrityError` when the files show what the database does not know: it is an older
        copy, and to go on from it would show the world two different logs.
        """
        shown = self._files.checkpoint()
        if shown == published.note or (shown is None and not published.note):
            return
        try:
            size = None if shown is None else open_checkpoint(shown, self._signer.verifier).size
        except (InvalidError, IntegrityError):
            size = None  # damaged, or not of this log
        if size is not None and size >= published.size:
            raise IntegrityError(
                "The published log is newer than the database, which must be an older copy.",
                next_step="Restore the newest backup; docs/operations.md tells what else to do.",
            )
        if size is None:
            self._write_tiles(Tiler(), published.size)
        if published.note:
            self._files.write_checkpoint(published.note)
