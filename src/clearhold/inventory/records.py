"""Queries on inventories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, insert, select, true, update

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.inventory.model import Candidate
from clearhold.inventory.tables import inventory, inventory_package, inventory_revision
from clearhold.kernel.ids import ArtifactId, CompartmentId, InventoryId, PartyId
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Place:
    """Where an inventory of one name is kept, and its newest revision (0: none yet)."""

    id: InventoryId
    compartment: CompartmentId
    matching_compartment: CompartmentId
    newest: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """The newest revision of an inventory, still sealed."""

    id: InventoryId
    compartment: CompartmentId
    revision: int
    uploaded_at: datetime
    summary: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """An upload that was accepted before under a caller's key."""

    inventory: InventoryId
    revision: int
    digest: bytes


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """The inventories whose compartment the actor is read in to: their owner's alone."""
    return inventory.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def earlier_request(unit: UnitOfWork, owner: PartyId, key: str) -> Request | None:
    """The upload the party made under `key`, if any."""
    row = unit.connection.execute(
        select(
            inventory_revision.c.inventory,
            inventory_revision.c.number,
            inventory_revision.c.request_digest,
        ).where(inventory_revision.c.party == owner, inventory_revision.c.request_key == key)
    ).one_or_none()
    if row is None:
        return None
    return Request(InventoryId(row.inventory), row.number, bytes(row.request_digest))


def by_name(unit: UnitOfWork, owner: PartyId, name_key: bytes) -> Place | None:
    """Where the party's inventory of that keyed name is kept."""
    row = unit.connection.execute(
        select(inventory).where(inventory.c.party == owner, inventory.c.name_key == name_key)
    ).one_or_none()
    if row is None:
        return None
    return Place(
        InventoryId(row.id),
        CompartmentId(row.compartment),
        CompartmentId(row.matching_compartment),
        row.newest,
    )


def add(unit: UnitOfWork, place: Place, *, owner: PartyId, name_key: bytes) -> None:
    """Insert an inventory without revisions."""
    unit.connection.execute(
        insert(inventory).values(
            id=place.id,
            party=owner,
            compartment=place.compartment,
            matching_compartment=place.matching_compartment,
            name_key=name_key,
            newest=place.newest,
            made_at=unit.now,
        )
    )


def add_revision(
    unit: UnitOfWork,
    identity: InventoryId,
    number: int,
    *,
    owner: PartyId,
    request_key: str,
    request_digest: bytes,
    summary: bytes,
    document: ArtifactId,
    holding: ArtifactId,
    package_keys: Iterable[bytes],
) -> None:
    """Insert a revision, make it the newest, and index it in place of the one before."""
    unit.connection.execute(
        insert(inventory_revision).values(
            inventory=identity,
            number=number,
            party=owner,
            request_key=request_key,
            request_digest=request_digest,
            uploaded_at=unit.now,
            summary=summary,
            document=document,
            holding=holding,
        )
    )
    unit.connection.execute(
        update(inventory).where(inventory.c.id == identity).values(newest=number)
    )
    unit.connection.execute(
        delete(inventory_package).where(inventory_package.c.inventory == identity)
    )
    rows = [{"package_key": key, "inventory": identity} for key in sorted(set(package_keys))]
    if rows:
        unit.connection.execute(insert(inventory_package), rows)


def listing(
    unit: UnitOfWork, actor: Actor, identity: InventoryId | None = None
) -> tuple[Sealed, ...]:
    """The newest revisions the actor may see, of one inventory or all."""
    wanted = true() if identity is None else inventory.c.id == identity
    rows = unit.connection.execute(
        select(
            inventory.c.id,
            inventory.c.compartment,
            inventory_revision.c.number,
            inventory_revision.c.uploaded_at,
            inventory_revision.c.summary,
        )
        .join(
            inventory_revision,
            and_(
                inventory_revision.c.inventory == inventory.c.id,
                inventory_revision.c.number == inventory.c.newest,
            ),
        )
        .where(and_(visible_to(actor, unit.now), wanted))
        .order_by(inventory.c.id)
    )
    return tuple(
        Sealed(
            InventoryId(row.id),
            CompartmentId(row.compartment),
            row.number,
            row.uploaded_at,
            bytes(row.summary),
        )
        for row in rows
    )


def holding_any(unit: UnitOfWork, package_keys: Sequence[bytes]) -> tuple[Candidate, ...]:
    """The newest revisions indexed under any of the keys, whoever's: for services alone."""
    rows = unit.connection.execute(
        select(inventory.c.id, inventory.c.newest, inventory.c.party)
        .where(
            inventory.c.id.in_(
                select(inventory_package.c.inventory).where(
                    inventory_package.c.package_key.in_(package_keys)
                )
            )
        )
        .order_by(inventory.c.id)
    )
    return tuple(Candidate(InventoryId(row.id), row.newest, PartyId(row.party)) for row in rows)


def newest(unit: UnitOfWork, identity: InventoryId) -> Candidate | None:
    """The newest revision of an inventory, whoever's: for services alone."""
    row = unit.connection.execute(
        select(inventory.c.id, inventory.c.newest, inventory.c.party).where(
            inventory.c.id == identity
        )
    ).one_or_none()
    return None if row is None else Candidate(identity, row.newest, PartyId(row.party))


def holding_artifact(unit: UnitOfWork, candidate: Candidate) -> ArtifactId:
    """The artefact that lists what a revision holds."""
    identity: str = unit.connection.execute(
        select(inventory_revision.c.holding).where(
            inventory_revision.c.inventory == candidate.inventory,
            inventory_revision.c.number == candidate.revision,
        )
    ).scalar_one()
    return ArtifactId(identity)


def compartment_of(unit: UnitOfWork, identity: InventoryId) -> CompartmentId:
    """The compartment in which an inventory's operator alone is read in."""
    found: str = unit.connection.execute(
        select(inventory.c.compartment).where(inventory.c.id == identity)
    ).scalar_one()
    return CompartmentId(found)
