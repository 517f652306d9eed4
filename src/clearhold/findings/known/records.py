"""Queries on rooms, questions and claims."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select, text, update

from clearhold.access.model import Actor
from clearhold.findings.known.tables import known_claim, known_entry, known_epoch, known_question
from clearhold.findings.model import State
from clearhold.findings.tables import finding
from clearhold.kernel.ids import FindingId, PartyId
from clearhold.ledger.tables import ledger_lodgement
from clearhold.store.unit_of_work import UnitOfWork

_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


@dataclass(frozen=True, slots=True)
class Epoch:
    """A key's time; until `ready_at` its rooms are being filled. `start` is a list's first length."""

    number: int
    begun_at: datetime
    ready_at: datetime | None
    start: int
    digest: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one signature of a finding left in a room. `ticket` is the hash of the real one.

    `package` is the keyed value of what the finding is about.
    """

    tag: bytes
    ticket: bytes
    package: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was answered: for which lodged commitment, in which room."""

    epoch: int
    room: int
    elements: bytes


@dataclass(frozen=True, slots=True)
class Holder:
    """A finding that a ticket leads to, with the keyed value of its package."""

    finding: FindingId
    party: PartyId
    received_at: datetime
    package: bytes


def one_at_a_time(unit: UnitOfWork, *names: object) -> None:
    """Wait until no other open transaction has said this name; SQLite has one writer anyway."""
    if unit.connection.dialect.name == "postgresql":
        digest = hashlib.sha256("\0".join(map(str, ("known", *names))).encode()).digest()[:8]
        unit.connection.execute(_LOCK, {"key": int.from_bytes(digest, "big", signed=True)})


def epochs(unit: UnitOfWork) -> tuple[Epoch, ...]:
    """The epoch in use and those being prepared, in this order."""
    rows = unit.connection.execute(select(known_epoch).order_by(known_epoch.c.number)).all()
    found = [Epoch(row.number, row.begun_at, row.ready_at, row.start, row.digest) for row in rows]
    ready = [each.number for each in found if each.ready_at is not None]
    return tuple(each for each in found if each.number >= max(ready, default=0))


def add_epoch(unit: UnitOfWork, new: Epoch) -> None:
    """Begin an epoch."""
    unit.connection.execute(
        insert(known_epoch).values(
            number=new.number,
            begun_at=new.begun_at,
            ready_at=new.ready_at,
            start=new.start,
            digest=new.digest,
        )
    )


def make_ready(unit: UnitOfWork, number: int, *, start: int) -> None:
    """Let an epoch be used from now on, and empty those before it."""
    unit.connection.execute(
        update(known_epoch)
        .where(known_epoch.c.number == number)
        .values(ready_at=unit.now, start=start)
    )
    unit.connection.execute(delete(known_entry).where(known_entry.c.epoch < number))


def longest_list(unit: UnitOfWork, number: int) -> int:
    """The length of an epoch's longest room."""
    last = unit.connection.execute(
        select(func.max(known_entry.c.place)).where(known_entry.c.epoch == number)
    ).scalar_one()
    return 0 if last is None else int(last) + 1


def placed(
    unit: UnitOfWork, epoch: int, room: int, *, after: int, before: int
) -> list[tuple[int, bytes]]:
    """(place, tag) of a room's entries from one place to before another."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(known_entry.c.place, known_entry.c.tag).where(
                known_entry.c.epoch == epoch,
                known_entry.c.room == room,
                known_entry.c.place >= after,
                known_entry.c.place < before,
            )
        )
        return [(row.place, bytes(row.tag)) for row in rows]


def add_entries(
    unit: UnitOfWork,
    identity: FindingId,
    entries: Sequence[Entry],
    *,
    epoch: int,
    room: int,
    first: int,
) -> None:
    """Add a finding's entries behind all others and from place `first` on; again, nothing.

    A tag that stands already gets no second place, which would tell that two findings share it.
    """
    one_at_a_time(unit, "room", epoch, room)
    tickets = [each.ticket for each in entries]
    rows = unit.connection.execute(
        select(known_entry.c.ticket, known_entry.c.finding).where(
            known_entry.c.epoch == epoch, known_entry.c.ticket.in_(tickets)
        )
    ).all()
    standing = {bytes(row.ticket) for row in rows}
    mine = {bytes(row.ticket) for row in rows if row.finding == identity}
    last = unit.connection.execute(
        select(func.max(known_entry.c.place)).where(
            known_entry.c.epoch == epoch, known_entry.c.room == room
        )
    ).scalar_one()
    place = max(first, 0 if last is None else int(last) + 1)
    values = []
    for each in entries:
        if each.ticket in mine:
            continue
        own = None if each.ticket in standing else place
        place += own is not None
        values.append(
            {
                "finding": identity,
                "epoch": epoch,
                "ticket": each.ticket,
                "room": room,
                "place": own,
                "tag": each.tag,
                "package": each.package,
            }
        )
    if values:
        unit.connection.execute(insert(known_entry), values)


def drop(unit: UnitOfWork, identity: FindingId) -> None:
    """Take a finding out of every room; another one's equal entry takes over the place."""
    with unit.as_service():
        rows = unit.connection.execute(
            delete(known_entry)
            .where(known_entry.c.finding == identity)
            .returning(known_entry.c.epoch, known_entry.c.ticket, known_entry.c.place)
        ).all()
        for row in rows:
            if row.place is None:
                continue
            heir = (
                select(func.min(known_entry.c.finding))
                .where(known_entry.c.epoch == row.epoch, known_entry.c.ticket == row.ticket)
                .scalar_subquery()
            )
            unit.connection.execute(
                update(known_entry)
                .where(
                    known_entry.c.epoch == row.epoch,
                    known_entry.c.ticket == row.ticket,
                    known_entry.c.finding == heir,
                )
                .values(place=row.place)
            )
        unit.connection.execute(delete(known_claim).where(known_claim.c.finding == identity))


def held_under(unit: UnitOfWork, epoch: int, room: int, ticket: bytes) -> tuple[Holder, ...]:
    """The findings a ticket leads to, the earliest first."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(finding.c.id, finding.c.party, finding.c.received_at, known_entry.c.package)
            .join(known_entry, known_entry.c.finding == finding.c.id)
            .where(
                known_entry.c.epoch == epoch,
                known_entry.c.room == room,
                known_entry.c.ticket == ticket,
            )
            .order_by(finding.c.received_at, finding.c.id)
        ).all()
    return tuple(
        Holder(FindingId(row.id), PartyId(row.party), row.received_at, bytes(row.package))
        for row in rows
    )


def lodged(unit: UnitOfWork, actor: Actor, lodgement: str) -> bytes | None:
    """The commitment the actor's own party lodged under an id."""
    found = unit.connection.execute(
        select(ledger_lodgement.c.commitment).where(
            ledger_lodgement.c.id == lodgement, ledger_lodgement.c.party == actor.party
        )
    ).scalar_one_or_none()
    return None if found is None else bytes(found)


def asked(unit: UnitOfWork, actor: Actor, lodgement: str) -> Asked | None:
    """The question that a commitment of the actor's party was used up for."""
    row = unit.connection.execute(
        select(known_question).where(
            known_question.c.lodgement == lodgement, known_question.c.party == actor.party
        )
    ).one_or_none()
    return None if row is None else Asked(row.epoch, row.room, bytes(row.elements))


def add_question(unit: UnitOfWork, actor: Actor, lodgement: str, new: Asked) -> None:
    """Use a commitment up."""
    unit.connection.execute(
        insert(known_question).values(
            lodgement=lodgement,
            party=actor.party,
            epoch=new.epoch,
            room=new.room,
            asked_at=unit.now,
            elements=new.elements,
        )
    )


def half_of(unit: UnitOfWork, actor: Actor, lodgement: str) -> bytes | None:
    """What the second holder answered to a question of the actor's party; None until it has."""
    found = unit.connection.execute(
        select(known_question.c.half).where(
            known_question.c.lodgement == lodgement, known_question.c.party == actor.party
        )
    ).scalar_one_or_none()
    return None if found is None else bytes(found)


def keep_half(unit: UnitOfWork, actor: Actor, lodgement: str, half: bytes) -> None:
    """Keep what the second holder answered, so that it need not be asked again."""
    unit.connection.execute(
        update(known_question)
        .where(known_question.c.lodgement == lodgement, known_question.c.party == actor.party)
        .values(half=half)
    )


def may_send(unit: UnitOfWork, actor: Actor, lodgement: str, *, elements: int, most: int) -> bool:
    """Count elements that the second holder is sent for a question, unless they exceed `most`."""
    counted = unit.connection.execute(
        update(known_question)
        .where(
            known_question.c.lodgement == lodgement,
            known_question.c.party == actor.party,
            known_question.c.sent <= most - elements,
        )
        .values(sent=known_question.c.sent + elements)
    )
    return counted.rowcount == 1


def questions_since(unit: UnitOfWork, actor: Actor, room: int, since: datetime) -> int:
    """How many questions the actor's party asked in a room."""
    return unit.connection.execute(
        select(func.count()).where(
            known_question.c.party == actor.party,
            known_question.c.room == room,
            known_question.c.asked_at > since,
        )
    ).scalar_one()


def claimed(unit: UnitOfWork, actor: Actor, identity: FindingId) -> bool:
    """Whether the actor's party was told of this finding before."""
    found = unit.connection.execute(
        select(known_claim.c.finding).where(
            known_claim.c.party == actor.party, known_claim.c.finding == identity
        )
    ).first()
    return found is not None


def claims_since(unit: UnitOfWork, actor: Actor, package: bytes, since: datetime) -> int:
    """How many findings of a package the actor's party was told of."""
    return unit.connection.execute(
        select(func.count()).where(
            known_claim.c.party == actor.party,
            known_claim.c.package == package,
            known_claim.c.claimed_at > since,
        )
    ).scalar_one()


def add_claim(unit: UnitOfWork, actor: Actor, identity: FindingId, package: bytes) -> None:
    """Write that the actor's party was told of a finding."""
    unit.connection.execute(
        insert(known_claim).values(
            party=actor.party, finding=identity, package=package, claimed_at=unit.now
        )
    )


def proven(unit: UnitOfWork) -> tuple[FindingId, ...]:
    """Every finding that has a proof which reproduced, in the order they came."""
    rows = unit.connection.execute(
        select(finding.c.id)
        .where(finding.c.proof.is_not(None), finding.c.state == State.REPRODUCED)
        .order_by(finding.c.id)
    ).scalars()
    return tuple(map(FindingId, rows))
