"""Which leases of a lane may stand against a scope: an index in memory, pure.

Index keys are globs as parts. They are kept in two tries for each index group, read from the front
and from the back, and a question walks one with all positions it may have reached in its own glob (the automaton of
`scanning.paths`, run against every glob of the lane at a time). A branch that no position survives
is left, and where only plain names can go on, only those children are looked at. Answers come
lazily, so that whoever needs one stops at one. Each is then decided exactly by the scopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from clearhold.kernel.ids import LeaseId
from clearhold.scanning.model import Mode
from clearhold.scanning.paths import EVERYTHING, names_meet
from clearhold.scanning.scope import Scope

_WILD: Final = frozenset("*?")


@dataclass(frozen=True, slots=True)
class Entry:
    """A lease as the index knows it; whether it still stands is asked elsewhere."""

    fence: int
    lease: LeaseId
    mode: Mode
    scope: Scope


@dataclass(slots=True)
class _Node:
    """A place in the trie: what may follow, and what ends here by its span."""

    plain: dict[str, _Node] = field(default_factory=dict)
    wild: dict[str, _Node] = field(default_factory=dict)
    points: dict[bytes, dict[int, Entry]] = field(default_factory=dict)
    ranges: dict[int, Entry] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing ends here or goes on."""
        return not (self.points or self.ranges or self.plain or self.wild)

    def put(self, entry: Entry) -> None:
        """Let an entry end here."""
        low, high = entry.scope.index_span()
        if high == low + b"\x00":
            self.points.setdefault(low, {})[entry.fence] = entry
        else:
            self.ranges[entry.fence] = entry

    def take(self, entry: Entry) -> None:
        """Let an entry no longer end here."""
        low, high = entry.scope.index_span()
        if high == low + b"\x00":
            there = self.points[low]
            del there[entry.fence]
            if not there:
                del self.points[low]
        else:
            del self.ranges[entry.fence]

    def here(self, low: bytes, high: bytes | None) -> Iterator[Entry]:
        """What ends here and whose span meets this one."""
        if high == low + b"\x00":
            yield from self.points.get(low, {}).values()
        else:
            for point, entries in self.points.items():
                if low <= point and (high is None or point < high):
                    yield from entries.values()
        for each in self.ranges.values():
            start, end = each.scope.index_span()
            if (high is None or start < high) and (end is None or low < end):
                yield each


@dataclass(frozen=True, slots=True)
class _Question:
    """A glob as parts, with the bits that say where it holds stars and wildcards."""

    parts: tuple[str, ...]
    stars: int
    wild: int

    @classmethod
    def of(cls, parts: tuple[str, ...]) -> _Question:
        return cls(
            parts,
            sum(1 << n for n, part in enumerate(parts) if part == EVERYTHING),
            sum(1 << n for n, part in enumerate(parts) if not _WILD.isdisjoint(part)),
        )

    def past_stars(self, row: int) -> int:
        while (more := row | ((row & self.stars) << 1)) != row:
            row = more
        return row

    def step(self, row: int, edge: str) -> int:
        """The positions reached when the other glob goes over `edge`."""
        if edge == EVERYTHING:
            return ((1 << len(self.parts) + 1) - 1) & ~((row & -row) - 1)
        reached = row & self.stars
        places = row & ~self.stars & ((1 << len(self.parts)) - 1)
        while places:
            place = (places & -places).bit_length() - 1
            places &= places - 1
            if names_meet(edge, self.parts[place]):
                reached |= 1 << place + 1
        return self.past_stars(reached)

    def walk(self, root: _Node) -> Iterator[_Node]:
        """The nodes of a trie at which a glob ends that meets this one."""
        last = 1 << len(self.parts)
        pending = [(root, self.past_stars(1))]
        while pending:
            node, row = pending.pop()
            if row & last and (node.points or node.ranges):
                yield node
            for edge, child in node.wild.items():
                if reached := self.step(row, edge):
                    pending.append((child, reached))
            if row & self.wild:
                children: Iterator[tuple[str, _Node]] = iter(node.plain.items())
            else:
                children = (
                    (part, node.plain[part])
                    for n, part in enumerate(self.parts)
                    if row >> n & 1 and part in node.plain
                )
            for edge, child in children:
                if reached := self.step(row, edge):
                    pending.append((child, reached))


@dataclass(slots=True)
class _Group:
    """The leases of one index group: by their globs read from either end, and by their spans."""

    forward: _Node = field(default_factory=_Node)
    backward: _Node = field(default_factory=_Node)
    spans: _Node = field(default_factory=_Node)

    def walks(self, key: tuple[str, ...], low: bytes, high: bytes | None) -> Iterator[Entry]:
        """Entries one of whose globs may meet `key` and whose span meets this one.

        From the end that begins plainly few branches can go on. Where neither does, as in `**/*.c`,
        most globs meet and the span tells more.
        """
        if _WILD.isdisjoint(key[0]):
            nodes = _Question.of(key).walk(self.forward)
        elif _WILD.isdisjoint(key[-1]):
            nodes = _Question.of(key[::-1]).walk(self.backward)
        else:
            nodes = iter((self.spans,))
        for node in nodes:
            yield from node.here(low, high)

    def ways(self, entry: Entry) -> Iterator[tuple[_Node, tuple[str, ...]]]:
        """Where an entry stands: from which root, by which parts."""
        for key in dict.fromkeys(entry.scope.index_keys()):
            yield self.forward, key
            yield self.backward, key[::-1]
        yield self.spans, ()


class LaneIndex:
    """The leases of one lane, found by what they reach."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._entries: dict[int, Entry] = {}

    def __len__(self) -> int:
        """How many leases it holds."""
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Every lease it holds, the oldest first."""
        return iter(self._entries.values())

    def of(self, fence: int) -> Entry | None:
        """The lease of that fencing token."""
        return self._entries.get(fence)

    def add(self, entry: Entry) -> None:
        """Put a lease in; putting it in twice changes nothing."""
        if entry.fence in self._entries:
            return
        self._entries[entry.fence] = entry
        group = self._groups.setdefault(entry.scope.index_group(), _Group())
        for root, parts in group.ways(entry):
            node = root
            for part in parts:
                kind = node.plain if _WILD.isdisjoint(part) else node.wild
                node = kind.setdefault(part, _Node())
            node.put(entry)

    def discard(self, fence: int) -> None:
        """Take a lease out that is over."""
        entry = self._entries.pop(fence, None)
        if entry is None:
            return
        name = entry.scope.index_group()
        group = self._groups[name]
        for root, parts in group.ways(entry):
            way = [root]
            for part in parts:
                node = way[-1]
                way.append((node.plain if _WILD.isdisjoint(part) else node.wild)[part])
            way[-1].take(entry)
            for part in reversed(parts):
                if not way.pop().empty:
                    break
                (way[-1].plain if _WILD.isdisjoint(part) else way[-1].wild).pop(part)
        if group.spans.empty:
            del self._groups[name]

    def candidates(self, scope: Scope) -> Iterator[Entry]:
        """Leases that may overlap `scope`, and all that do; each comes once."""
        group = self._groups.get(scope.index_group())
        if group is None:
            return
        low, high = scope.index_span()
        told: set[int] = set()
        for key in scope.index_keys():
            for entry in group.walks(key, low, high):
                if entry.fence not in told:
                    told.add(entry.fence)
                    yield entry

    def overlapping(
        self, scope: Scope, *, among: Callable[[Entry], bool] = lambda _entry: True
    ) -> Iterator[Entry]:
        """Leases `among` which are looked for whose scope overlaps `scope`, each once."""
        for each in self.candidates(scope):
            if among(each) and scope.overlap(each.scope):
                yield each
