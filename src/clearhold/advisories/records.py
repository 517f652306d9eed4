"""Queries on advisories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, or_, select, true, update

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.advisories.tables import advisory, advisory_bundle, advisory_target
from clearhold.kernel.ids import AdvisoryId, CaseId, CompartmentId, PartyId
from clearhold.store.unit_of_work import UnitOfWork


class State(StrEnum):
    """How far an advisory has come; `releasing` means frozen, its instant having come."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RELEASING = "releasing"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class Kept:
    """An advisory as it is kept; `body` is sealed, `title` is plain once published.

    `patch_needed` says that it is published with a patch or not at all.
    """

    id: AdvisoryId
    public_id: str
    case: CaseId
    compartment: CompartmentId
    state: State
    body: bytes
    made_at: datetime
    publish_at: datetime | None
    published_at: datetime | None
    title: str | None
    patch_needed: bool


@dataclass(frozen=True, slots=True)
class Document:
    """One published rendering."""

    public_id: str
    kind: str
    published_at: datetime
    content: bytes


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """What is published, and what lies in a case the actor is read in to."""
    return or_(
        advisory.c.state == State.PUBLISHED,
        advisory.c.compartment.in_(compartments_of(actor, now, tier=Tier.FIX)),
    )


def _kept(row: Row[Any]) -> Kept:
    return Kept(
        AdvisoryId(row.id),
        row.public_id,
        CaseId(row.case_id),
        CompartmentId(row.compartment),
        State(row.state),
        bytes(row.body),
        row.made_at,
        row.publish_at,
        row.published_at,
        row.title,
        row.patch_needed,
    )


def published_of(unit: UnitOfWork, case: CaseId) -> str | None:
    """The public id of a case's advisory once everybody may read it."""
    return unit.connection.execute(
        select(advisory.c.public_id)
        .where(advisory.c.case_id == case, advisory.c.state == State.PUBLISHED)
        .order_by(advisory.c.public_id)
        .limit(1)
    ).scalar_one_or_none()


def add(unit: UnitOfWork, new: Kept, *, party: PartyId, key: str, digest: bytes) -> None:
    """Insert a draft."""
    unit.connection.execute(
        insert(advisory).values(
            id=new.id,
            public_id=new.public_id,
            case_id=new.case,
            compartment=new.compartment,
            party=party,
            request_key=key,
            request_digest=digest,
            state=new.state,
            body=new.body,
            made_at=new.made_at,
            patch_needed=new.patch_needed,
        )
    )


def change(unit: UnitOfWork, identity: AdvisoryId, **values: Any) -> None:
    """Set columns of an advisory."""
    unit.connection.execute(update(advisory).where(advisory.c.id == identity).values(**values))


def earlier_request(unit: UnitOfWork, party: PartyId, key: str) -> tuple[AdvisoryId, bytes] | None:
    """The draft a party made under `key`, with the digest of what it sent."""
    with unit.as_service():
        row = unit.connection.execute(
            select(advisory.c.id, advisory.c.request_digest).where(
                advisory.c.party == party, advisory.c.request_key == key
            )
        ).one_or_none()
    return None if row is None else (AdvisoryId(row.id), bytes(row.request_digest))


def listing(unit: UnitOfWork, actor: Actor, identity: AdvisoryId | None = None) -> tuple[Kept, ...]:
    """The advisories the actor may see, one or all, oldest first."""
    wanted = true() if identity is None else advisory.c.id == identity
    rows = unit.connection.execute(
        select(advisory).where(and_(visible_to(actor, unit.now), wanted)).order_by(advisory.c.id)
    )
    return tuple(_kept(row) for row in rows)


def read_in_to(unit: UnitOfWork, actor: Actor, identity: AdvisoryId) -> Kept | None:
    """The advisory, if the actor is read in to its case, published or not."""
    row = unit.connection.execute(
        select(advisory).where(
            advisory.c.id == identity,
            advisory.c.compartment.in_(compartments_of(actor, unit.now, tier=Tier.FIX)),
        )
    ).one_or_none()
    return None if row is None else _kept(row)


def locked(unit: UnitOfWork, identity: AdvisoryId) -> Kept | None:
    """The advisory, whoever asks, held until the transaction ends: for services alone."""
    row = unit.connection.execute(
        select(advisory).where(advisory.c.id == identity).with_for_update()
    ).one_or_none()
    return None if row is None else _kept(row)


def due(unit: UnitOfWork) -> tuple[AdvisoryId, ...]:
    """Advisories whose instant has come and that are not published yet, earliest first."""
    rows = unit.connection.execute(
        select(advisory.c.id)
        .where(
            advisory.c.state.in_((State.SCHEDULED, State.RELEASING)),
            advisory.c.publish_at <= unit.now,
        )
        .order_by(advisory.c.publish_at, advisory.c.id)
    )
    return tuple(AdvisoryId(identity) for identity in rows.scalars())


def freeze(
    unit: UnitOfWork, identity: AdvisoryId, targets: Mapping[str, tuple[str, bytes]]
) -> None:
    """Insert what will be published: path to (kind, content)."""
    unit.connection.execute(
        insert(advisory_target),
        [
            {"advisory": identity, "path": path, "kind": kind, "content": content}
            for path, (kind, content) in targets.items()
        ],
    )


def last_bundle(unit: UnitOfWork) -> tuple[int, bytes] | None:
    """The newest bundle's number and content."""
    row = unit.connection.execute(
        select(advisory_bundle.c.number, advisory_bundle.c.content)
        .order_by(advisory_bundle.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.number, bytes(row.content))


def add_bundle(unit: UnitOfWork, number: int, identity: AdvisoryId, content: bytes) -> None:
    """Insert the bundle that first carries an advisory."""
    unit.connection.execute(
        insert(advisory_bundle).values(number=number, advisory=identity, content=content)
    )


def frozen_targets(unit: UnitOfWork, identity: AdvisoryId) -> dict[str, bytes]:
    """Everything a release of `identity` needs to be whole.

    The bundle that carries it carries every advisory frozen before, so those that are still being
    released come along.
    """
    number = (
        select(advisory_bundle.c.number)
        .where(advisory_bundle.c.advisory == identity)
        .scalar_subquery()
    )
    rows = unit.connection.execute(
        select(advisory_target.c.path, advisory_target.c.content)
        .join(advisory, advisory.c.id == advisory_target.c.advisory)
        .join(advisory_bundle, advisory_bundle.c.advisory == advisory.c.id)
        .where(
            advisory_bundle.c.number <= number,
            or_(advisory.c.state == State.RELEASING, advisory.c.id == identity),
        )
    )
    return {row.path: bytes(row.content) for row in rows}


def bundle_of(unit: UnitOfWork, identity: AdvisoryId) -> tuple[int, bytes]:
    """The number and content of the bundle that first carries an advisory."""
    row = unit.connection.execute(
        select(advisory_bundle.c.number, advisory_bundle.c.content).where(
            advisory_bundle.c.advisory == identity
        )
    ).one()
    return row.number, bytes(row.content)


def published_documents(
    unit: UnitOfWork, kind: str, public_id: str | None = None
) -> tuple[Document, ...]:
    """Published renderings of one kind, newest first: the public's view, without any actor."""
    wanted = true() if public_id is None else advisory.c.public_id == public_id
    rows = unit.connection.execute(
        select(advisory.c.public_id, advisory.c.published_at, advisory_target.c.content)
        .join(advisory_target, advisory_target.c.advisory == advisory.c.id)
        .where(advisory.c.state == State.PUBLISHED, advisory_target.c.kind == kind, wanted)
        .order_by(advisory.c.published_at.desc(), advisory.c.public_id)
    )
    return tuple(
        Document(row.public_id, kind, row.published_at, bytes(row.content)) for row in rows
    )


def last_published(unit: UnitOfWork) -> datetime | None:
    """When something was last published."""
    found: datetime | None = unit.connection.execute(
        select(func.max(advisory.c.published_at)).where(advisory.c.state == State.PUBLISHED)
    ).scalar_one_or_none()
    return found
