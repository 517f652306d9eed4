"""Queries on the match index and on pairs that wait for a person; keyed values and ids alone.

A token keeps at most `MOST_HELD` findings, the first that came: what more have in common says
little, and so no query grows with how much is held. Batches are asked for in as many statements as
it takes to name their tokens, never one for each finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Row, and_, delete, func, insert, literal, or_, select, union_all, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.findings.tables import match_review, match_sketch, match_token
from clearhold.kernel.ids import FindingId
from clearhold.store.unit_of_work import UnitOfWork

MOST_HELD: Final = 48
NEWEST: Final = 64
_COUNTED: Final = 5_000
_AT_ONCE: Final = 10_000
_PACKAGES_AT_ONCE: Final = 100
_TOKEN: Final = 8
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Indexed:
    """A finding in the index; `number` is 0 before it is there."""

    finding: FindingId
    package: bytes
    received_at: datetime
    sketch: bytes
    tokens: tuple[bytes, ...]
    number: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pair that waits for a person: how strong it looks, and what speaks for it."""

    a: FindingId
    b: FindingId
    strength: int
    layers: tuple[str, ...]
    proposed_at: datetime


def put(unit: UnitOfWork, new: Sequence[Indexed]) -> None:
    """Index findings that are not in the index."""
    if not new:
        return
    rows = [
        {
            "finding": each.finding,
            "package": each.package,
            "received_at": each.received_at,
            "sketch": each.sketch,
            "tokens": b"".join(each.tokens),
        }
        for each in new
    ]
    made = insert(match_sketch).returning(match_sketch.c.number, match_sketch.c.finding)
    numbers = {row.finding: row.number for row in unit.connection.execute(made, rows)}
    held = _held(unit, {token for each in new for token in each.tokens})
    postings = []
    for each in sorted(new, key=lambda one: numbers[one.finding]):
        for token in each.tokens:
            if held[token] < MOST_HELD:
                held[token] += 1
                postings.append({"token": token, "number": numbers[each.finding]})
    if postings:
        unit.connection.execute(insert(match_token), postings)


def drop(unit: UnitOfWork, findings: Sequence[FindingId]) -> None:
    """Take findings out of the index."""
    gone = of(unit, findings)
    for each in gone:
        unit.connection.execute(
            delete(match_token).where(
                match_token.c.token.in_(each.tokens), match_token.c.number == each.number
            )
        )
    for part in _parts([each.number for each in gone]):
        unit.connection.execute(delete(match_sketch).where(match_sketch.c.number.in_(part)))


def of(unit: UnitOfWork, findings: Iterable[FindingId]) -> tuple[Indexed, ...]:
    """What the index holds of findings."""
    return tuple(
        _indexed(row)
        for part in _parts(list(findings))
        for row in unit.connection.execute(
            select(match_sketch).where(match_sketch.c.finding.in_(part))
        )
    )


def numbered(unit: UnitOfWork, numbers: Iterable[int]) -> tuple[Indexed, ...]:
    """The findings of these numbers."""
    return tuple(
        _indexed(row)
        for part in _parts(list(numbers))
        for row in unit.connection.execute(
            select(match_sketch).where(match_sketch.c.number.in_(part))
        )
    )


def sharing(unit: UnitOfWork, tokens: Iterable[bytes]) -> dict[bytes, list[int]]:
    """The numbers of the findings under each token."""
    found: dict[bytes, list[int]] = defaultdict(list)
    for part in _parts(list(tokens)):
        for row in unit.connection.execute(
            select(match_token.c.token, match_token.c.number).where(match_token.c.token.in_(part))
        ):
            found[bytes(row.token)].append(row.number)
    return found


def newest(unit: UnitOfWork, packages: Sequence[bytes]) -> dict[bytes, list[int]]:
    """The numbers of the latest findings of each package."""
    found: dict[bytes, list[int]] = defaultdict(list)
    for part in _parts(packages, _PACKAGES_AT_ONCE):
        each = [
            select(match_sketch.c.package, match_sketch.c.number)
            .where(match_sketch.c.package == package)
            .order_by(match_sketch.c.number.desc())
            .limit(NEWEST)
            .subquery()
            for package in part
        ]
        for row in unit.connection.execute(union_all(*(select(one) for one in each))):
            found[bytes(row.package)].append(row.number)
    return found


def sizes(unit: UnitOfWork, packages: Sequence[bytes]) -> dict[bytes, int]:
    """How many findings of each package are held, counted as far as it matters."""
    found: dict[bytes, int] = {}
    for part in _parts(packages, _PACKAGES_AT_ONCE):
        each = [
            select(match_sketch.c.package)
            .where(match_sketch.c.package == package)
            .limit(_COUNTED)
            .subquery()
            for package in part
        ]
        counts = (
            select(literal(place).label("place"), func.count().label("held")).select_from(one)
            for place, one in enumerate(each)
        )
        for row in unit.connection.execute(union_all(*counts)):
            found[part[row.place]] = row.held
    return found


def propose(unit: UnitOfWork, pairs: Sequence[Waiting]) -> None:
    """Let pairs wait for a person; those that wait or were settled stay as they are."""
    if not pairs:
        return
    make = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    rows = [
        {
            "a": each.a,
            "b": each.b,
            "strength": each.strength,
            "layers": each.layers,
            "proposed_at": each.proposed_at,
        }
        for each in pairs
    ]
    unit.connection.execute(make(match_review).values(rows).on_conflict_do_nothing())


def strengthen(unit: UnitOfWork, pairs: Sequence[Waiting]) -> None:
    """Let pairs wait as `propose` does; what speaks for those that wait already is added to.

    What a person settled stays settled.
    """
    propose(unit, pairs)
    for each in pairs:
        this = and_(
            match_review.c.a == each.a,
            match_review.c.b == each.b,
            match_review.c.settled_at.is_(None),
        )
        row = unit.connection.execute(
            select(match_review.c.strength, match_review.c.layers).where(this)
        ).one_or_none()
        if row is None:
            continue
        layers = list(dict.fromkeys((*each.layers, *row.layers)))
        unit.connection.execute(
            update(match_review)
            .where(this)
            .values(strength=max(row.strength, each.strength), layers=layers)
        )


def waiting_with(
    unit: UnitOfWork, finding: FindingId, others: Sequence[FindingId]
) -> dict[FindingId, int]:
    """How strong the pairs look that wait of a finding with each of others, as far as any waits."""
    if not others:
        return {}
    with unit.as_service():
        rows = unit.connection.execute(
            select(match_review.c.a, match_review.c.b, match_review.c.strength).where(
                match_review.c.settled_at.is_(None),
                or_(
                    and_(match_review.c.a == finding, match_review.c.b.in_(others)),
                    and_(match_review.c.b == finding, match_review.c.a.in_(others)),
                ),
            )
        ).all()
    return {FindingId(row.b if row.a == finding else row.a): row.strength for row in rows}


def waiting(unit: UnitOfWork, *, limit: int) -> tuple[Waiting, ...]:
    """The pairs that wait, the strongest first."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(match_review)
            .where(match_review.c.settled_at.is_(None))
            .order_by(match_review.c.strength.desc(), match_review.c.a, match_review.c.b)
            .limit(limit)
        ).all()
    return tuple(
        Waiting(
            FindingId(row.a), FindingId(row.b), row.strength, tuple(row.layers), row.proposed_at
        )
        for row in rows
    )


def settle(unit: UnitOfWork, a: FindingId, b: FindingId, *, at: datetime | None) -> None:
    """Note that a person decided on a pair, or with None that it waits again."""
    unit.connection.execute(
        update(match_review)
        .where(match_review.c.a == a, match_review.c.b == b)
        .values(settled_at=at)
    )


def forget(unit: UnitOfWork, finding: FindingId) -> None:
    """Take a finding out of everything that waits."""
    unit.connection.execute(
        delete(match_review).where(or_(match_review.c.a == finding, match_review.c.b == finding))
    )


def _held(unit: UnitOfWork, tokens: Iterable[bytes]) -> dict[bytes, int]:
    held: dict[bytes, int] = defaultdict(int)
    for part in _parts(list(tokens)):
        for row in unit.connection.execute(
            select(match_token.c.token, func.count().label("held"))
            .where(match_token.c.token.in_(part))
            .group_by(match_token.c.token)
        ):
            held[bytes(row.token)] = row.held
    return held


def _parts(values: Sequence[_T], size: int = _AT_ONCE) -> Iterator[Sequence[_T]]:
    return (values[place : place + size] for place in range(0, len(values), size))


def _indexed(row: Row[Any]) -> Indexed:
    tokens = bytes(row.tokens)
    return Indexed(
        finding=FindingId(row.finding),
        package=bytes(row.package),
        received_at=row.received_at,
        sketch=bytes(row.sketch),
        tokens=tuple(tokens[place : place + _TOKEN] for place in range(0, len(tokens), _TOKEN)),
        number=row.number,
    )
