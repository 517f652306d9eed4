"""Which leases of a lane may stand against a scope: an index in memory, pure.

Index keys are globs as parts. They are kept in a trie, one for each index group, and a question
walks it once with all positions it may have reached in its own glob (the automaton of
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
    points: dict[bytes, list[Entry]] = field(default_factory=dict)
    ranges: list[Entry] = field(default_factory=list)

    def here(self, low: bytes, high: bytes | None) -> Iterator[Entry]:
        """What ends here and whose span meets this one."""
        if high == low + b"\x00":
            yield from self.points.get(low, ())
        else:
            for point, entries in list(self.points.items()):
                if low <= point and (high is None or point < high):
                    yield from entries
        for each in self.ranges:
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


class LaneIndex:
    """The leases of one lane, found by what they reach."""

    def __init__(self) -> None:
        self._roots: dict[str, _Node] = {}
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
        low, high = entry.scope.index_span()
        for key in dict.fromkeys(entry.scope.index_keys()):
            node = self._roots.setdefault(entry.scope.index_group(), _Node())
            for part in key:
                kind = node.plain if _WILD.isdisjoint(part) else node.wild
                node = kind.setdefault(part, _Node())
            if high == low + b"\x00":
                node.points.setdefault(low, []).append(entry)
            else:
                node.ranges.append(entry)

    def discard(self, fence: int) -> None:
        """Take a lease out that is over."""
        entry = self._entries.pop(fence, None)
        if entry is None:
            return
        low, high = entry.scope.index_span()
        group = entry.scope.index_group()
        for key in dict.fromkeys(entry.scope.index_keys()):
            way = [self._roots[group]]
            for part in key:
                node = way[-1]
                way.append((node.plain if _WILD.isdisjoint(part) else node.wild)[part])
            if high == low + b"\x00":
                left = [each for each in way[-1].points.get(low, ()) if each.fence != fence]
                if left:
                    way[-1].points[low] = left
                else:
                    way[-1].points.pop(low, None)
            else:
                way[-1].ranges = [each for each in way[-1].ranges if each.fence != fence]
            self._prune(group, way, key)

    def _prune(self, group: str, way: list[_Node], key: tuple[str, ...]) -> None:
        for depth in range(len(key), -1, -1):
            node = way[depth]
            if node.points or node.ranges or node.plain or node.wild:
                return
            if depth == 0:
                del self._roots[group]
            else:
                parent = way[depth - 1]
                (parent.plain if _WILD.isdisjoint(key[depth - 1]) else parent.wild).pop(
                    key[depth - 1]
                )

    def candidates(self, scope: Scope) -> Iterator[Entry]:
        """Leases whose group and span meet those of `scope` and one of whose keys meets one of its.

        Each comes once.
        """
        root = self._roots.get(scope.index_group())
        if root is None:
            return
        low, high = scope.index_span()
        told: set[int] = set()
        for key in scope.index_keys():
            for node in _Question.of(key).walk(root):
                for entry in node.here(low, high):
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
