"""What was seen of findings when their proofs ran, for the order of candidates and nothing else.

The stack of the minimised proof and the release that brought the flaw stand in the index as keyed
values. Equal ones move a candidate up and are told as what speaks for a pair; they join nothing,
since one release brings many flaws and one function has many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import delete, select

from clearhold.findings import match_records, records
from clearhold.findings.match_records import Waiting
from clearhold.findings.merging import Layer
from clearhold.findings.tables import match_key
from clearhold.kernel.ids import FindingId
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

LAYERS: Final[Mapping[str, Layer]] = {"trace": Layer.TRACE, "introduced": Layer.INTRODUCTION}
LEAST_ALIKE: Final = 0.5
"""Traces less alike than this propose no pair."""
MOST_PROPOSED: Final = 3
_SEEN: Final = 2_000
_MOST_ALIKE: Final = 50
_MOST_ASKED: Final = 10_000
_SCALE: Final = 1_000


def note_trace(
    unit: UnitOfWork, vault: Vault, finding: FindingId, package: str, trace: Sequence[str]
) -> None:
    """Index a finding under the trace of its minimised proof, in place of an earlier one."""
    told = "\0".join((package, *trace)) if len(trace) > 1 else ""
    _note(unit, vault, finding, "trace", told)


def note_introduction(
    unit: UnitOfWork, vault: Vault, finding: FindingId, package: str, introduction: Sequence[str]
) -> None:
    """Index a finding under what brought its flaw: the last good release and the first bad one.

    An empty one, for a flaw that was always there, says nothing and takes an earlier one back.
    """
    told = "\0".join((package, *introduction)) if introduction else ""
    _note(unit, vault, finding, "introduced", told)


def propose(unit: UnitOfWork, finding: FindingId, likeness: Mapping[FindingId, float]) -> None:
    """Let the findings with the likest minimised traces wait beside this one for a person.

    `likeness` is from 0 to 1. Pairs that anything was asserted of are left out.
    """
    likest = sorted(likeness.items(), key=lambda each: (-each[1], each[0]))[:MOST_PROPOSED]
    _propose(
        unit,
        finding,
        {
            other: (Layer.TRACE, _SEEN + round(_SCALE * alike))
            for other, alike in likest
            if alike >= LEAST_ALIKE and other != finding
        },
    )


def propose_introduced_together(unit: UnitOfWork, finding: FindingId) -> None:
    """Say of pairs that wait already that one release brought both flaws.

    By itself it proposes none: most releases that bring a flaw bring several.
    """
    others = _alike(unit, finding, "introduced")
    waiting = match_records.waiting_with(unit, finding, others)
    _propose(
        unit,
        finding,
        {
            other: (Layer.INTRODUCTION, strength + _SCALE // 2)
            for other, strength in waiting.items()
        },
    )


def layers_between(
    mine: Mapping[str, bytes] | None, other: Mapping[str, bytes] | None
) -> tuple[Layer, ...]:
    """What speaks for two findings by what was seen of them, from their keyed values alone."""
    if not mine or not other:
        return ()
    return tuple(
        layer for kind, layer in LAYERS.items() if kind in mine and mine[kind] == other.get(kind)
    )


def _note(unit: UnitOfWork, vault: Vault, finding: FindingId, kind: str, told: str) -> None:
    _drop(unit, finding, kind)
    if told:
        value = vault.matching_hash(f"observed-{kind}", told)
        records.add_all_keys(unit, {finding: [(kind, value)]})


def _propose(
    unit: UnitOfWork, finding: FindingId, told: Mapping[FindingId, tuple[Layer, int]]
) -> None:
    decided = {each.pair for each in records.assertions(unit, [finding])}
    pairs = [
        Waiting(min(finding, other), max(finding, other), strength, (str(layer),), unit.now)
        for other, (layer, strength) in told.items()
    ]
    match_records.strengthen(unit, [one for one in pairs if (one.a, one.b) not in decided])


def _drop(unit: UnitOfWork, identity: FindingId, kind: str) -> None:
    """Take a finding out from under the keyed values of one kind."""
    unit.connection.execute(
        delete(match_key).where(match_key.c.finding == identity, match_key.c.kind == kind)
    )


def known(unit: UnitOfWork, identities: Sequence[FindingId]) -> dict[FindingId, dict[str, bytes]]:
    """What was seen of findings as keyed values by kind: for the matcher."""
    found: dict[FindingId, dict[str, bytes]] = {}
    with unit.as_service():
        for start in range(0, len(identities), _MOST_ASKED):
            for row in unit.connection.execute(
                select(match_key).where(
                    match_key.c.finding.in_(identities[start : start + _MOST_ASKED]),
                    match_key.c.kind.in_(tuple(LAYERS)),
                )
            ):
                found.setdefault(FindingId(row.finding), {})[row.kind] = bytes(row.value)
    return found


def _alike(unit: UnitOfWork, identity: FindingId, kind: str) -> tuple[FindingId, ...]:
    """Other findings under the same keyed value of a kind, whoever sent them: for the matcher."""
    mine = select(match_key.c.value).where(
        match_key.c.kind == kind, match_key.c.finding == identity
    )
    with unit.as_service():
        rows = unit.connection.execute(
            select(match_key.c.finding)
            .where(
                match_key.c.kind == kind,
                match_key.c.value.in_(mine.scalar_subquery()),
                match_key.c.finding != identity,
            )
            .order_by(match_key.c.finding)
            .limit(_MOST_ALIKE)
        )
        return tuple(FindingId(each) for each in rows.scalars())
