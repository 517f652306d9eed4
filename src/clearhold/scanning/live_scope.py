"""What a party means to touch of live systems: targets, by which technique, and how deeply.

The algebra is exact on names, address blocks, ports and paths. Two rules are of our own:

- **Overlap** looks at targets alone. On a live system it is load and alarms that collide, so
  technique and depth set nothing apart.
- **Containment** (an authorisation holds a lease, a lease an action) also wants the technique to be
  named and the depth to be allowed. Several targets together may contain one.

A name and an address are never found equal (see `live_targets`): an authorisation for one does not
cover the other, and leases on them do not collide. Whoever owns both bounds how many scan at once
in the authorisation, and that count knows no such difference.

Places: `places_at` and `places_above` name where targets stand in the trees of names, addresses and
sites. Two scopes can only overlap when a place of one's `places_at` is among the other's `places_at`
or `places_above`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, ClassVar, Final

from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import InvalidError
from clearhold.scanning.live_targets import (
    Addresses,
    Names,
    Plant,
    Target,
    Where,
    merged,
    parse_target,
)

MOST_TARGETS: Final = 64
_MAPPED: Final = 0xFFFF


LIVE_TECHNIQUES: Final = frozenset(
    {Technique.DYNAMIC, Technique.CREDENTIALED, Technique.LIVE_PROBING}
)
"""Dynamic testing uses what anybody may use; credentialed testing signs in with accounts the owner
gave; live probing looks for what answers and what it is."""


class Depth(StrEnum):
    """How far an examination goes; each includes the ones before it.

    Surface: what is reachable and what it says of itself. Checks: whether known weaknesses are
    there, without using them. Proof: using a weakness to show it.
    """

    SURFACE = "surface"
    CHECKS = "checks"
    PROOF = "proof"

    def within(self, deepest: Depth) -> bool:
        """Whether this goes no further than `deepest`."""
        order = list(Depth)
        return order.index(self) <= order.index(deepest)


@dataclass(frozen=True, slots=True)
class LiveScope:
    """Targets on live systems, one technique, and how deeply. Made by `make_live_scope`."""

    targets: tuple[Target, ...]
    technique: Technique
    depth: Depth = Depth.CHECKS

    KIND: ClassVar[str] = "live"

    def overlap(self, other: object) -> tuple[str, ...]:
        """Those of my own targets that the other also reaches; empty when the two are apart."""
        if not isinstance(other, LiveScope):
            return ()
        return tuple(
            mine.text for mine in self.targets if any(mine.meets(each) for each in other.targets)
        )

    def covers(self, other: LiveScope) -> bool:
        """Whether all that the other does lies within this."""
        return (
            self.technique is other.technique
            and other.depth.within(self.depth)
            and cover(self.targets, other.targets)
        )

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.KIND,
            "targets": [each.text for each in self.targets],
            "technique": str(self.technique),
            "depth": str(self.depth),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> LiveScope:
        """From what `to_plain` made, or from hostile text; raises `InvalidError`."""
        targets = plain.get("targets")
        if not isinstance(targets, list | tuple) or not all(isinstance(t, str) for t in targets):
            raise InvalidError("A live scope has a list of targets.")
        try:
            technique = Technique(plain.get("technique", ""))
            depth = Depth(plain.get("depth", Depth.CHECKS))
        except ValueError as error:
            raise _not_live() from error
        return make_live_scope(targets, technique=technique, depth=depth)

    def lane_names(self) -> tuple[str, ...]:
        """All live systems share one lane: they are few, and what one owner allows is counted."""
        return ("live",)

    def index_group(self) -> str:
        """No live system overlaps software."""
        return "live"

    def index_keys(self) -> tuple[tuple[str, ...], ...]:
        """The targets' places as globs: everything below a place is in it."""
        return tuple((*_steps(each), "**") for each in self.targets)

    def index_span(self) -> tuple[bytes, bytes | None]:
        """All of the line: live systems have no versions."""
        return b"", None

    def places_at(self) -> tuple[str, ...]:
        """Where each target stands in the tree of names, addresses or sites."""
        return places_at(self.targets)

    def places_above(self) -> tuple[str, ...]:
        """Every place above one of `places_at`."""
        return places_above(self.targets)


def places_at(targets: Iterable[Target]) -> tuple[str, ...]:
    """Where each target stands in the tree of names, addresses or sites."""
    return tuple(sorted({"/".join(_steps(each)) for each in targets}))


def places_above(targets: Iterable[Target]) -> tuple[str, ...]:
    """Every place above one of `places_at`."""
    found = set()
    for each in targets:
        steps = _steps(each)
        found |= {"/".join(steps[:length]) for length in range(2, len(steps))}
    return tuple(sorted(found))


def make_live_scope(
    targets: Iterable[str], *, technique: Technique, depth: Depth = Depth.CHECKS
) -> LiveScope:
    """A checked scope; what lies in another of its targets is left out. Raises `InvalidError`."""
    if technique not in LIVE_TECHNIQUES:
        raise _not_live()
    return LiveScope(make_targets(targets), technique, depth)


def make_targets(targets: Iterable[str]) -> tuple[Target, ...]:
    """Checked targets in one order for equal sets; what lies in another of them is left out."""
    written = list(targets)
    if not 0 < len(written) <= MOST_TARGETS:
        raise InvalidError(
            f"A live scope has 1 to {MOST_TARGETS} targets.",
            next_step="Use wider targets, or several leases.",
        )
    found = {target.text: target for target in map(parse_target, written)}
    kept: list[Target] = []
    for target in sorted(found.values(), key=lambda each: each.text):
        if any(each.contains(target) for each in kept):
            continue
        kept = [each for each in kept if not target.contains(each)]
        kept.append(target)
    return tuple(sorted(kept, key=lambda each: each.text))


def cover(outer: Sequence[Target], inner: Iterable[Target]) -> bool:
    """Whether every point of the inner targets is one of some outer target."""
    return all(_covered(outer, each) for each in inner)


def _covered(outer: Sequence[Target], inner: Target) -> bool:
    """Exact also when several outer targets make up the inner one.

    Below a path, and below a name, there are endlessly many others: a set of those is only covered
    by one that holds all of it; so is a site, which may have parts in no named zone. Blocks of addresses and of ports add up, so these are cut at every
    border and looked at piece by piece.
    """
    framing = [each for each in outer if each.frames(inner)]
    pieces: Iterable[Where] = (inner.where,)
    if isinstance(inner.where, Addresses):
        pieces = _pieces(framing, inner.where)
    return all(
        _ports_covered([each for each in framing if each.where.contains(piece)], inner)
        for piece in pieces
    )


def _pieces(framing: Iterable[Target], whole: Addresses) -> Iterator[Addresses]:
    borders = {whole.low, whole.high + 1}
    for each in framing:
        if isinstance(each.where, Addresses):
            borders |= {each.where.low, each.where.high + 1}
    cuts = sorted(cut for cut in borders if whole.low <= cut <= whole.high + 1)
    for low, after in pairwise(cuts):
        yield Addresses(low, after - 1)


def _ports_covered(outer: Iterable[Target], inner: Target) -> bool:
    together = merged([each for target in outer for each in target.ports])
    return all(any(a <= low and high <= b for a, b in together) for low, high in inner.ports)


def _steps(target: Target) -> tuple[str, ...]:
    """The way from the top of a tree down to the target's place, or to one just above it."""
    where = target.where
    if isinstance(where, Names):
        return ("name", *reversed(where.name.split(".")))
    if isinstance(where, Plant):
        return ("site", where.operator, where.site)
    length = 128 - (where.high - where.low).bit_length()
    if where.low >> 32 == _MAPPED:
        return ("ipv4", *f"{where.low & 0xFFFFFFFF:08x}"[: (length - 96) // 4])
    return ("ipv6", *f"{where.low:032x}"[: length // 4])


def _not_live() -> InvalidError:
    return InvalidError(
        "There is no such technique or depth for live systems.",
        next_step=f"Techniques: {', '.join(sorted(LIVE_TECHNIQUES))}; depths: {', '.join(Depth)}.",
    )
