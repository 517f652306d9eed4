"""Queries on sealed cases and their letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, insert, select, true

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.cases.tables import sealed_case, sealed_letter, sealed_reader
from clearhold.kernel.ids import ArtifactId, CompartmentId, PartyId, SealedCaseId
from clearhold.parties.tables import party
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class SealedCaseRecord:
    """A case of which the hub knows who lodged it, when, and who may fetch it."""

    id: SealedCaseId
    compartment: CompartmentId
    party: PartyId
    lodged_at: datetime
    key: str
    request: bytes


@dataclass(frozen=True, slots=True)
class LetterRecord:
    """One ciphertext in a sealed case."""

    id: str
    case: SealedCaseId
    party: PartyId
    written_at: datetime
    content: ArtifactId
    size: int
    key: str
    request: bytes


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Sealed cases the actor's party lodged or was named in."""
    return sealed_case.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def letter_visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Letters of such cases that the actor's party wrote or that are sealed to it."""
    return and_(
        exists().where(
            sealed_reader.c.letter == sealed_letter.c.id, sealed_reader.c.party == actor.party
        ),
        exists().where(sealed_case.c.id == sealed_letter.c.case, visible_to(actor, now)),
    )


def listing(
    unit: UnitOfWork, actor: Actor, identity: SealedCaseId | None = None
) -> list[SealedCaseRecord]:
    """The sealed cases the actor may see, newest first, one or all."""
    wanted = true() if identity is None else sealed_case.c.id == identity
    rows = unit.connection.execute(
        select(sealed_case)
        .where(visible_to(actor, unit.now), wanted)
        .order_by(sealed_case.c.lodged_at.desc(), sealed_case.c.id)
    )
    return [
        SealedCaseRecord(
            SealedCaseId(row.id),
            CompartmentId(row.compartment),
            PartyId(row.party),
            row.lodged_at,
            row.key,
            bytes(row.request),
        )
        for row in rows
    ]


def by_key(unit: UnitOfWork, owner: PartyId, key: str) -> tuple[SealedCaseId, bytes] | None:
    """The sealed case a party lodged under that key, and the digest of the request."""
    row = unit.connection.execute(
        select(sealed_case.c.id, sealed_case.c.request).where(
            sealed_case.c.party == owner, sealed_case.c.key == key
        )
    ).one_or_none()
    return None if row is None else (SealedCaseId(row.id), bytes(row.request))


def letters(
    unit: UnitOfWork, actor: Actor, cases: Iterable[SealedCaseId], identity: str | None = None
) -> list[LetterRecord]:
    """The letters of these cases that the actor may see, oldest first, one or all."""
    wanted = true() if identity is None else sealed_letter.c.id == identity
    rows = unit.connection.execute(
        select(sealed_letter)
        .where(sealed_letter.c.case.in_(list(cases)), letter_visible_to(actor, unit.now), wanted)
        .order_by(sealed_letter.c.written_at, sealed_letter.c.id)
    )
    return [
        LetterRecord(
            row.id,
            SealedCaseId(row.case),
            PartyId(row.party),
            row.written_at,
            ArtifactId(row.content),
            row.size,
            row.key,
            bytes(row.request),
        )
        for row in rows
    ]


def readers(unit: UnitOfWork, letters: Iterable[str]) -> dict[str, list[str]]:
    """The handles of the parties each letter is for, its writer included."""
    rows = unit.connection.execute(
        select(sealed_reader.c.letter, party.c.handle)
        .join(party, party.c.id == sealed_reader.c.party)
        .where(sealed_reader.c.letter.in_(list(letters)))
        .order_by(party.c.handle)
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.letter, []).append(row.handle)
    return found


def handles(unit: UnitOfWork, parties: Iterable[PartyId]) -> dict[PartyId, str]:
    """The handles of parties that share a sealed case with the asker."""
    rows = unit.connection.execute(
        select(party.c.id, party.c.handle).where(party.c.id.in_(set(parties)))
    )
    return {PartyId(row.id): row.handle for row in rows}


def count_letters(unit: UnitOfWork, case: SealedCaseId) -> int:
    """How many letters a case has, whoever may see them: for its limit, never for an answer."""
    with unit.as_service():
        counted: int = unit.connection.execute(
            select(func.count()).select_from(sealed_letter).where(sealed_letter.c.case == case)
        ).scalar_one()
    return counted


def add_case(unit: UnitOfWork, new: SealedCaseRecord) -> None:
    """Insert a sealed case."""
    unit.connection.execute(
        insert(sealed_case).values(
            id=new.id,
            compartment=new.compartment,
            party=new.party,
            lodged_at=new.lodged_at,
            key=new.key,
            request=new.request,
        )
    )


def add_letter(unit: UnitOfWork, new: LetterRecord, *, readers: Sequence[PartyId]) -> None:
    """Insert a letter and who may fetch it."""
    unit.connection.execute(
        insert(sealed_letter).values(
            id=new.id,
            case=new.case,
            party=new.party,
            written_at=new.written_at,
            content=new.content,
            size=new.size,
            key=new.key,
            request=new.request,
        )
    )
    unit.connection.execute(
        insert(sealed_reader), [{"letter": new.id, "party": reader} for reader in readers]
    )
