"""The lane of a scope: what is leased there, kept in memory by each process and asked exactly.

Fencing tokens grow with every lease of a lane, and the lane's row is held while one is given, so
what a process has not seen of a lane is what was leased after the last token it read: that much is
opened at each question, under one leaf of the ledger. Whether a lease found this way is still in
force is asked of the database, for it may have ended in another process.

Only what is committed is taken in: a transaction may be undone, its tokens are then given again and
what it ended stands. So a transaction brings the lane up to date once, before it writes there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import msgspec

from clearhold.kernel.ids import CompartmentId, PartyId
from clearhold.scanning import records, scope
from clearhold.scanning.index import Entry, LaneIndex
from clearhold.scanning.scope import Scope
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

READER: Final = "service:scanning"
MOST_KEPT: Final = 250_000
_AT_ONCE: Final = 32
_CHECKED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Held:
    """A lease in force and its scope; not `heeded` when its holder is suspended."""

    stored: records.StoredLease
    scope: Scope
    heeded: bool = True


@dataclass(slots=True)
class _Kept:
    """A lane as this process knows it: all leases up to the token `seen`."""

    index: LaneIndex = field(default_factory=LaneIndex)
    seen: int = 0
    swept_at: int = 0
    doubtful: set[int] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)


@dataclass(frozen=True, slots=True)
class Sight:
    """A lane as it was when it was brought up to date."""

    name: bytes
    _kept: _Kept

    def first(
        self,
        unit: UnitOfWork,
        wanted: Scope,
        *,
        among: Callable[[Entry], bool],
        besides: PartyId | None = None,
        end: Callable[[Held], None] | None = None,
    ) -> Held | None:
        """Some lease in force that overlaps a scope, of another party than `besides`.

        Leases of suspended parties are handed to `end` and passed over; without it they count.
        """
        with self._kept.lock:
            for each in self._overlapping(unit, wanted, among):
                if end is not None and not each.heeded:
                    end(each)
                elif each.stored.lease.party != besides:
                    return each
            return None

    def every(
        self, unit: UnitOfWork, wanted: Scope, *, among: Callable[[Entry], bool]
    ) -> tuple[Held, ...]:
        """All leases in force that overlap a scope."""
        with self._kept.lock:
            return tuple(self._overlapping(unit, wanted, among))

    def any_scope(self) -> Scope | None:
        """The scope of some lease that stood here lately."""
        with self._kept.lock:
            return next((each.scope for each in self._kept.index), None)

    def _overlapping(
        self, unit: UnitOfWork, wanted: Scope, among: Callable[[Entry], bool]
    ) -> Iterator[Held]:
        kept = self._kept
        found = kept.index.overlapping(wanted, among=among)
        at_once = 1  # mostly the first stands, and finding the next takes time
        while batch := {each.fence: each.scope for each in islice(found, at_once)}:
            at_once = _AT_ONCE
            there = {
                stored.lease.fence: (stored, heeded)
                for stored, heeded in records.standing(unit, self.name, tuple(batch))
            }
            kept.doubtful |= batch.keys() - there.keys()
            for fence, (stored, heeded) in there.items():
                yield Held(stored, batch[fence], heeded)

    def scopes(self, fences: Iterable[int]) -> dict[int, Scope]:
        """The scopes of some of its leases, by their tokens."""
        with self._kept.lock:
            found = {fence: self._kept.index.of(fence) for fence in fences}
        return {fence: entry.scope for fence, entry in found.items() if entry is not None}


@dataclass(frozen=True, slots=True)
class Entered:
    """A lane that is held until the transaction ends, with the fencing token it gives."""

    fence: int
    within: CompartmentId
    sight: Sight

    @property
    def name(self) -> bytes:
        """The lane's keyed name."""
        return self.sight.name


class Lanes:
    """What is leased in the lanes of this hub; it keeps up to `most` leases in memory."""

    def __init__(self, vault: Vault, *, most: int = MOST_KEPT) -> None:
        self._vault = vault
        self._most = most
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._taken_in = 0

    def of(self, wanted: Scope) -> bytes:
        """The keyed name of a scope's lane."""
        return self.named(wanted.lane_names()[0])

    def named(self, name: str) -> bytes:
        """The keyed name of the lane of that name."""
        return self._vault.matching_hash("lane", name)

    def enter(self, unit: UnitOfWork, name: bytes) -> Entered:
        """Hold a lane until the transaction ends, with its next fencing token.

        The lane is brought up to date, what has lapsed there is written down, and its compartment
        is opened if need be.
        """
        lane = records.advance_lane(unit, name)
        sight = self.look(unit, name)
        records.lapse_overdue(unit, name)
        within = lane.compartment
        if within is None:
            within = self._vault.open_compartment(unit)
            records.set_compartment(unit, name, within)
        return Entered(lane.fence, within, sight)

    def seal(
        self, unit: UnitOfWork, within: CompartmentId, place: tuple[str, str, str], wanted: Scope
    ) -> bytes:
        """A scope sealed for its lane, whose compartment is `within`."""
        return self.seal_content(
            unit, within, place, msgspec.json.encode(wanted.to_plain(), order="sorted")
        )

    def seal_content(
        self, unit: UnitOfWork, within: CompartmentId, place: tuple[str, str, str], content: bytes
    ) -> bytes:
        """Content sealed for its lane, which services alone open."""
        with unit.as_service():
            return self._vault.seal(unit, within, place=place, content=content)

    def open_content(
        self, unit: UnitOfWork, within: CompartmentId, place: tuple[str, str, str], sealed: bytes
    ) -> bytes:
        """What `seal_content` sealed."""
        with unit.as_service():
            return self._vault.unseal(unit, within, place=place, sealed=sealed, reader=READER)

    def open(
        self,
        unit: UnitOfWork,
        within: CompartmentId,
        place: tuple[str, str],
        rows: Sequence[tuple[str, bytes]],
    ) -> tuple[Scope, ...]:
        """Scopes that were sealed for a lane."""
        with unit.as_service():
            opened = self._vault.unseal_batch(unit, within, place=place, rows=rows, reader=READER)
        return tuple(scope.from_plain(msgspec.json.decode(content)) for content in opened)

    def look(self, unit: UnitOfWork, name: bytes) -> Sight:
        """A lane brought up to date without holding it."""
        kept = self._at(name)
        with kept.lock:
            self._take_in(unit, name, kept)
        return Sight(name, kept)

    def _at(self, name: bytes) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault(name, _Kept())
            self._kept.move_to_end(name)
            return kept

    def _make_room(self) -> None:
        """Forget the lanes asked longest ago; they are read again when they are asked."""
        with self._lock:
            total = sum(len(each.index) for each in self._kept.values())
            while (total > self._most or len(self._kept) > self._most) and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                total -= len(dropped.index)

    def _take_in(self, unit: UnitOfWork, name: bytes, kept: _Kept) -> None:
        doubtful = sorted(kept.doubtful)[:_CHECKED_AT_ONCE]
        if doubtful:
            for fence in set(doubtful) - records.fences_in(unit, name, doubtful):
                kept.index.discard(fence)
            kept.doubtful.difference_update(doubtful)
        new = records.in_lane_after(unit, name, kept.seen)
        if not new:
            return
        scopes = self.open(
            unit,
            self.compartment(unit, name),
            ("scan_lease", "in_lane"),
            [(each.lease, each.sealed) for each in new],
        )
        for each, known in zip(new, scopes, strict=True):
            kept.index.add(Entry(each.fence, each.lease, each.mode, known))
        kept.seen = new[-1].fence
        self._taken_in += len(new)
        if self._taken_in > self._most // 16:  # adding up all lanes costs more than a question
            self._taken_in = 0
            self._make_room()
        if len(kept.index) > 2 * kept.swept_at + 64:
            standing = records.fences_in(unit, name)
            for entry in tuple(kept.index):
                if entry.fence not in standing:
                    kept.index.discard(entry.fence)
            kept.swept_at = len(kept.index)

    def compartment(self, unit: UnitOfWork, name: bytes) -> CompartmentId:
        """Where the scopes of a lane that has held leases are sealed."""
        (lane,) = records.lanes(unit, (name,))
        assert lane.compartment is not None  # noqa: S101  # it holds leases
        return lane.compartment
