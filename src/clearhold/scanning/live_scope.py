"""What a party means to touch of live systems: targets, by which technique, and how deeply.

The algebra is exact on names, address blocks, ports and paths. Two rules are of our own:

- **Overlap** looks at targets alone. On a live system it is load and alarms that collide, so
  technique and depth set nothing apart.
- **Containment** (an authorisation holds a lease, a lease an action) also wants the technique to be
  named and the depth to be allowed. Several targets together may contain one.

A name and an address are never found equal (see `live_targets`): an authorisation for one does not
cover the other, and leases on them do not collide. Whoever owns both bounds how many scan at once
in the authorisation, and that count knows no such difference.

The index: `lane_names` are coarse and the same for all that may overlap, to be held while one claim
is decided. `index_at` and `index_above` find candidates: two scopes can only overlap when a token of
one's `index_at` is among the other's `index_at` or `index_above`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

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
_V4_BITS: Final = (8, 16, 24, 32)
_V6_BITS: Final = (16, 32, 48, 64, 80, 96, 112, 128)
_MAPPED: Final = 0xFFFF


class LiveTechnique(StrEnum):
    """How a live system is examined.

    Dynamic testing uses what anybody may use; credentialed testing signs in with accounts the owner
    gave; live probing looks for what answers and what it is.
    """

    DYNAMIC = "dynamic"
    CREDENTIALED = "credentialed"
    LIVE_PROBING = "live-probing"


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
    technique: LiveTechnique
    depth: Depth = Depth.CHECKS

    def overlap(self, other: LiveScope) -> tuple[Target, ...]:
        """Those of my own targets that the other also reaches; empty when the two are apart."""
        return tuple(
            mine for mine in self.targets if any(mine.meets(each) for each in other.targets)
        )

    def covers(self, other: LiveScope) -> bool:
        """Whether all that the other does lies within this."""
        return (
            self.technique is other.technique
            and other.depth.within(self.depth)
            and cover(self.targets, other.targets)
        )

    def to_plain(self) -> dict[str, Any]:
        """For JSON. A scope of software has `package` where this has `targets`."""
        return {
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
            technique = LiveTechnique(plain.get("technique", ""))
            depth = Depth(plain.get("depth", Depth.CHECKS))
        except ValueError as error:
            raise InvalidError(
                "There is no such technique or depth for live systems.",
                next_step=f"Techniques: {', '.join(LiveTechnique)}; depths: {', '.join(Depth)}.",
            ) from error
        return make_live_scope(targets, technique=technique, depth=depth)

    def lane_names(self) -> tuple[str, ...]:
        """Names to hold, in order, while a claim is decided: overlapping scopes share at least one."""
        return tuple(sorted({_lane(each) for each in self.targets}))

    def index_at(self) -> tuple[str, ...]:
        """Where each target stands in the tree of names, addresses or sites."""
        return tuple(sorted({_tokens(each)[-1] for each in self.targets}))

    def index_above(self) -> tuple[str, ...]:
        """Every place above one of `index_at`."""
        return tuple(sorted({token for each in self.targets for token in _tokens(each)[:-1]}))


def make_live_scope(
    targets: Iterable[str], *, technique: LiveTechnique, depth: Depth = Depth.CHECKS
) -> LiveScope:
    """A checked scope; what lies in another of its targets is left out. Raises `InvalidError`."""
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


def _tokens(target: Target) -> tuple[str, ...]:
    """The places from the top of a tree down to the target's own, coarser than the target."""
    where = target.where
    if isinstance(where, Names):
        labels = where.name.split(".")
        return tuple(f"name {'.'.join(labels[at:])}" for at in range(len(labels) - 2, -1, -1))
    if isinstance(where, Plant):
        return (f"site {where.operator}/{where.site}",)
    length = 128 - (where.high - where.low).bit_length()
    bits: tuple[int, ...]
    if where.low >> 32 == _MAPPED:
        number, size, bits = where.low & 0xFFFFFFFF, 32, _V4_BITS
        length -= 96
    else:
        number, size, bits = where.low, 128, _V6_BITS
    kept = [each for each in bits if each <= length]
    return tuple(f"ip{size} {number >> (size - each):x}/{each}" for each in kept)


def _lane(target: Target) -> str:
    """The top of the target's tree: two labels of a name, an IPv4 /8, an IPv6 /16, or a site."""
    return f"live {_tokens(target)[0]}"
