"""Indexing findings under keyed values, and ranking what is held against them.

Everything here is the matcher's, a service: it compares what different parties sent and answers
ids, layers and an order, never content. It runs after the receipt, so that neither what a receipt
says nor how long it takes depends on what anybody else has sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from clearhold.findings import match_records, observed, records
from clearhold.findings.likeness import Held, Pool
from clearhold.findings.match_records import Indexed
from clearhold.findings.merging import Layer, layers
from clearhold.findings.model import FindingBody
from clearhold.findings.observed import layers_between
from clearhold.findings.ranking import INTRODUCED_TOGETHER, rank
from clearhold.findings.report import Report
from clearhold.findings.signals import Signals, places_of, signals, words_of
from clearhold.findings.sketches import Sketch, Sketcher
from clearhold.findings.traces.names import normalised
from clearhold.kernel.ids import FindingId
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

MATCHER: Final = "service:matcher"
MANY: Final = 50
"""The most findings that are ranked at once against all candidates; of more, against fewer each."""
_DAY: Final = 86_400.0
_CANDIDATES: Final = 64
_STACKS: Final = frozenset({Layer.CRASH, Layer.TRACE})
_CANDIDATES_OF_MANY: Final = 12


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finding that may be the same, what speaks for it, and its score; only order means anything."""

    finding: FindingId
    score: float
    layers: tuple[Layer, ...]


def index_batch(
    unit: UnitOfWork, vault: Vault, reports: Sequence[tuple[FindingId, Report]]
) -> None:
    """Index new findings under what their reports say, in a constant number of queries."""
    told = [
        (
            finding,
            str(report.document.package.package),
            signals(
                title=report.document.title,
                description=f"{report.document.description}\n{report.trace}",
                weakness=report.document.weakness,
                claim=report.document.claim.signature,
                locations=report.locations,
            ),
        )
        for finding, report in reports
    ]
    _put(unit, vault, told, received={finding: unit.now for finding, _ in reports})


def index_body(unit: UnitOfWork, vault: Vault, finding: FindingId, body: FindingBody) -> None:
    """Index a finding that is held, from its content; the same content gives the same index."""
    told = signals(
        title=body.title,
        description=f"{body.description}\n{body.trace}",
        weakness=body.weakness,
        claim=body.signature,
        locations=body.locations,
    )
    match_records.drop(unit, [finding])
    received = records.received_at(unit, [finding])
    _put(unit, vault, [(finding, str(body.purl.package), told)], received=received)


def index_frames(unit: UnitOfWork, vault: Vault, finding: FindingId, frames: Sequence[str]) -> None:
    """Index a finding under the frames of the crash that was observed, in place of those claimed."""
    [known] = match_records.of(unit, [finding]) or (None,)
    names = tuple(name for each in frames[:8] if (name := normalised(each)))
    if known is None or not names:
        return
    sketcher = _sketcher(vault, known.package)
    observed = Signals(names, tuple(map(words_of, names)), places_of(names[:3]))
    seen = sketcher.sketch(observed)
    sketch = replace(
        Sketch.from_bytes(known.sketch), frames=seen.frames, words=seen.words, places=seen.places
    )
    tokens = tuple(dict.fromkeys((*sketcher.tokens(observed), *known.tokens)))[:20]
    match_records.drop(unit, [finding])
    match_records.put(unit, [replace(known, sketch=sketch.to_bytes(), tokens=tokens)])


def rank_batch(
    unit: UnitOfWork, findings: Sequence[FindingId], *, limit: int = 10
) -> dict[FindingId, tuple[Candidate, ...]]:
    """The held findings most likely the same as each of these, in a constant number of queries.

    Only findings of the same package are; a finding that is not indexed has no candidates.
    """
    asked = match_records.of(unit, findings)
    packages = sorted({each.package for each in asked})
    posted = match_records.sharing(unit, {token for each in asked for token in each.tokens})
    latest = match_records.newest(unit, packages)
    held = match_records.sizes(unit, packages)
    chosen = {
        each.number: _chosen(each, posted, latest[each.package], many=len(asked) > MANY)
        for each in asked
    }
    known = {each.number: each for each in asked}
    wanted = {number for numbers in chosen.values() for number in numbers} - known.keys()
    known |= {each.number: each for each in match_records.numbered(unit, wanted)}
    seen = observed.known(unit, [each.finding for each in known.values()])
    found: dict[FindingId, tuple[Candidate, ...]] = {}
    for package in packages:
        mine = [each for each in asked if each.package == package]
        found |= _ranked(mine, known, chosen, seen, held=held.get(package, 0), limit=limit)
    return found


def _put(
    unit: UnitOfWork,
    vault: Vault,
    told: Sequence[tuple[FindingId, str, Signals]],
    *,
    received: Mapping[FindingId, datetime],
) -> None:
    sketchers: dict[bytes, Sketcher] = {}
    new = []
    for finding, package, each in told:
        value = vault.matching_hash("package", package)[:8]
        sketcher = sketchers.get(value) or sketchers.setdefault(value, _sketcher(vault, value))
        sketch = sketcher.sketch(each).to_bytes()
        new.append(Indexed(finding, value, received[finding], sketch, sketcher.tokens(each)))
    match_records.put(unit, new)


def _sketcher(vault: Vault, package: bytes) -> Sketcher:
    return Sketcher(vault.matching_hash("match-index", package.hex()))


def _chosen(
    each: Indexed, posted: Mapping[bytes, list[int]], latest: Sequence[int], *, many: bool
) -> list[int]:
    """Whom to compare with: who shares the rarest tokens, then the nearest in time."""
    weights: dict[int, float] = defaultdict(float)
    for token in each.tokens:
        numbers = posted.get(token)
        if numbers:
            weight = 1 / len(numbers)
            for number in numbers:
                weights[number] += weight
    weights.pop(each.number, None)
    most = _CANDIDATES_OF_MANY if many else _CANDIDATES
    alike = sorted(sorted(weights), key=weights.__getitem__, reverse=True)[:most]
    near = sorted((n for n in latest if n != each.number), key=lambda n: (abs(n - each.number), n))
    return list(dict.fromkeys((*alike, *near[: most // 2 if many else len(near)])))


def _ranked(
    mine: Sequence[Indexed],
    known: Mapping[int, Indexed],
    chosen: Mapping[int, Sequence[int]],
    seen: Mapping[FindingId, Mapping[str, bytes]],
    *,
    held: int,
    limit: int,
) -> dict[FindingId, tuple[Candidate, ...]]:
    package = {each.package for each in mine}
    numbers = sorted(
        {each.number for each in mine}
        | {n for each in mine for n in chosen[each.number] if known[n].package in package}
    )
    places = {number: place for place, number in enumerate(numbers)}
    sketches = [Sketch.from_bytes(known[number].sketch) for number in numbers]
    members = [
        Held(sketch, known[number].received_at.timestamp() / _DAY)
        for sketch, number in zip(sketches, numbers, strict=True)
    ]
    pool = Pool(members, held=held)
    found = {}
    for each in mine:
        place = places[each.number]
        others = [places[n] for n in chosen[each.number] if n in places]
        ranked = rank(pool, place, others, limit=len(others)) if others else ()
        candidates = []
        for one in ranked:
            other = known[numbers[one.place]].finding
            said = layers_between(seen.get(each.finding), seen.get(other))
            told = layers(sketches[place], sketches[one.place])
            if said:
                told = (*said, *(layer for layer in told if layer is not Layer.NEAR))
            bonus = INTRODUCED_TOGETHER if Layer.INTRODUCTION in said else 0.0
            candidates.append(Candidate(other, one.score + bonus, told))
        # The model learned from what stack hashing had left over, where equal stacks are other bugs
        # as often as not. Here nothing was hashed away before.
        candidates.sort(key=lambda one: (_STACKS.isdisjoint(one.layers), -one.score))
        found[each.finding] = tuple(candidates[:limit])
    return found
