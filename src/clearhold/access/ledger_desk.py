"""What of the ledger an actor may see and prove, and the commitments that finders lodge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import islice

from sqlalchemy import ColumnElement, or_

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.kernel.errors import ConflictError, IntegrityError, NotFoundError
from clearhold.kernel.ids import new_id
from clearhold.kernel.merkle import includes, inclusion_proof
from clearhold.ledger import audit, places, records
from clearhold.ledger.bundle import COMMITMENT, LODGED
from clearhold.ledger.model import Entry, Inclusion, Leaf, LedgerReport, Lodgement, Padding
from clearhold.ledger.public_log import PublicLog
from clearhold.ledger.tiling import node_reader
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire.signed_note import open_checkpoint

_PAGE = 500


class LedgerDesk:
    """Reads the ledger for those who may, and proves single leaves from the published log."""

    def __init__(
        self,
        sessions: Sessions,
        log: PublicLog,
        padding: Padding,
        *,
        history: Callable[[Actor, datetime], ColumnElement[bool]],
    ) -> None:
        """Show leaves by the predicate `history`, and to each party what it lodged."""
        self._history = history
        self._sessions = sessions
        self._log = log
        self._padding = padding

    def published_file(self, path: str) -> bytes | None:
        """A file of the published log, for everybody; None when it is not there."""
        return self._log.read(path)

    def leaves(self, actor: Actor, *, after: int, limit: int) -> tuple[Leaf, ...]:
        """The leaves that the actor may see, from number `after` + 1 on."""
        actor.need(Permission.LEDGER_READ)
        with self._sessions.transaction() as unit:
            seen = records.leaves(
                unit.connection, after=after, visible=self._visible_to(actor, unit)
            )
            return tuple(islice(seen, limit))

    def prove(self, actor: Actor, seq: int) -> Inclusion:
        """A leaf that the actor may see, with its proof from the published log.

        Raises `NotFoundError`, and `ConflictError` while the published log does not reach it yet.
        """
        actor.need(Permission.LEDGER_READ)
        with self._sessions.transaction() as unit:
            leaf = records.leaf(unit.connection, seq, visible=self._visible_to(actor, unit))
            if leaf is None:
                raise NotFoundError("There is no such leaf.")
            place = places.place_of(unit.connection, seq)
            published = places.tree(unit.connection).published
        checkpoint = open_checkpoint(published.note, self._log.verifier) if published.note else None
        if place is None or checkpoint is None or place >= checkpoint.size:
            raise ConflictError(
                "The published log does not reach this leaf yet.",
                next_step="Ask again after the next instant at which the log is published.",
            )
        try:
            nodes = node_reader(checkpoint.size, self._log.hashes)
            proof = inclusion_proof(place, checkpoint.size, nodes)
        except ValueError as error:
            raise IntegrityError("A tile of the published log was changed.") from error
        if not includes(
            leaf.hash, index=place, size=checkpoint.size, root=checkpoint.root, proof=proof
        ):
            raise IntegrityError(
                "The published log does not hold this leaf as the ledger does.",
                next_step="Have the hub run `clearhold ledger verify`, and keep what you know.",
            )
        return Inclusion(leaf, place, proof, published.note)

    def verify(self, actor: Actor) -> LedgerReport:
        """Check the whole ledger against itself and the published log."""
        actor.need(Permission.LEDGER_VERIFY)
        with self._sessions.snapshot() as connection:
            return audit.verify(connection, padding=self._padding, log=self._log)

    def lodge(self, actor: Actor, commitment: bytes) -> Lodgement:
        """Record that a party knows what it keeps to itself; again, it changes nothing."""
        actor.need(Permission.LEDGER_LODGE)
        with self._sessions.transaction() as unit:
            identity = new_id(unit.now)
            entry = Entry(
                at=unit.now,
                actor=actor.principal,
                action=LODGED,
                subject=identity,
                compartment=None,
                detail={COMMITMENT: commitment.hex(), "party": actor.party},
            )
            return records.lodge(
                unit.connection,
                identity=identity,
                party=actor.party,
                commitment=commitment,
                entry=entry,
            )

    def lodged(self, actor: Actor, *, after: int, limit: int = _PAGE) -> tuple[Lodgement, ...]:
        """What the actor's party lodged, from leaf `after` + 1 on."""
        actor.need(Permission.LEDGER_LODGE)
        with self._sessions.transaction() as unit:
            return records.lodgements(unit.connection, actor.party, after=after, limit=limit)

    def _visible_to(self, actor: Actor, unit: UnitOfWork) -> ColumnElement[bool]:
        return or_(self._history(actor, unit.now), records.lodged_by(actor.party))
