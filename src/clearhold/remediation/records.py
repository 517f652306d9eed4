"""Queries on actions and receipts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, literal, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.advisories.records import State
from clearhold.advisories.tables import advisory
from clearhold.kernel.ids import (
    ActionId,
    AdvisoryId,
    CompartmentId,
    InventoryId,
    PartyId,
    ReceiptId,
)
from clearhold.remediation.model import ActionState
from clearhold.remediation.tables import (
    remediation_action,
    remediation_matter,
    remediation_receipt,
)
from clearhold.store.schema import Flag
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Standing:
    """An advisory that inventories are matched against; `body` is sealed."""

    advisory: AdvisoryId
    compartment: CompartmentId
    body: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """An action as it is kept; `body` is sealed, `public` says its advisory is published."""

    id: ActionId
    advisory: AdvisoryId
    public_id: str
    public: bool
    inventory: InventoryId
    revision: int
    compartment: CompartmentId
    state: ActionState
    starts_at: datetime
    due_at: datetime | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Filed:
    """A receipt that was accepted."""

    id: ReceiptId
    action: ActionId
    counter: int
    state: ActionState
    received_at: datetime


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Actions on the actor's own inventories, of what is public or may be announced early.

    To be used on a join with `advisory`.
    """
    return and_(
        remediation_action.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING)),
        or_(
            advisory.c.state == State.PUBLISHED,
            remediation_action.c.early_notice == literal(True, Flag()),
        ),
    )


def stand(
    unit: UnitOfWork, identity: AdvisoryId, *, compartment: CompartmentId, body: bytes
) -> None:
    """Insert or replace what an advisory says for matching."""
    upsert = sqlite_insert if unit.connection.dialect.name == "sqlite" else postgresql_insert
    values = {"body": body, "opened_at": unit.now}
    unit.connection.execute(
        upsert(remediation_matter)
        .values(advisory=identity, compartment=compartment, **values)
        .on_conflict_do_update(index_elements=["advisory"], set_=values)
    )


def standing(unit: UnitOfWork, identity: AdvisoryId | None = None) -> tuple[Standing, ...]:
    """What is matched against, one advisory or all."""
    wanted = true() if identity is None else remediation_matter.c.advisory == identity
    rows = unit.connection.execute(
        select(
            remediation_matter.c.advisory,
            remediation_matter.c.compartment,
            remediation_matter.c.body,
        )
        .where(wanted)
        .order_by(remediation_matter.c.advisory)
    )
    return tuple(
        Standing(AdvisoryId(row.advisory), CompartmentId(row.compartment), bytes(row.body))
        for row in rows
    )


def _joined() -> Any:
    return select(remediation_action, advisory.c.public_id, advisory.c.state.label("stage")).join(
        advisory, advisory.c.id == remediation_action.c.advisory
    )


def _kept(row: Row[Any]) -> Kept:
    return Kept(
        ActionId(row.id),
        AdvisoryId(row.advisory),
        row.public_id,
        row.stage == State.PUBLISHED,
        InventoryId(row.inventory),
        row.revision,
        CompartmentId(row.compartment),
        ActionState(row.state),
        row.starts_at,
        row.due_at,
        bytes(row.body),
    )


def on(unit: UnitOfWork, identity: AdvisoryId, inventory: InventoryId) -> Kept | None:
    """The action an advisory makes on an inventory, whoever asks: for services alone."""
    row = unit.connection.execute(
        _joined().where(
            remediation_action.c.advisory == identity, remediation_action.c.inventory == inventory
        )
    ).one_or_none()
    return None if row is None else _kept(row)


def inventories_of(unit: UnitOfWork, identity: AdvisoryId) -> tuple[InventoryId, ...]:
    """The inventories an advisory already makes an action on."""
    rows = unit.connection.execute(
        select(remediation_action.c.inventory).where(remediation_action.c.advisory == identity)
    )
    return tuple(InventoryId(each) for each in rows.scalars())


def add(
    unit: UnitOfWork,
    identity: ActionId,
    *,
    of: AdvisoryId,
    inventory: InventoryId,
    party: PartyId,
    compartment: CompartmentId,
    **values: Any,
) -> None:
    """Insert an action."""
    unit.connection.execute(
        insert(remediation_action).values(
            id=identity,
            advisory=of,
            inventory=inventory,
            party=party,
            compartment=compartment,
            matched_at=unit.now,
            **values,
        )
    )


def change(unit: UnitOfWork, identity: ActionId, **values: Any) -> None:
    """Set columns of an action."""
    unit.connection.execute(
        update(remediation_action).where(remediation_action.c.id == identity).values(**values)
    )


def listing(
    unit: UnitOfWork,
    actor: Actor,
    identity: ActionId | None = None,
    *,
    public_id: str | None = None,
) -> tuple[Kept, ...]:
    """The actions the actor may see: one, those of one advisory, or all."""
    wanted = [] if identity is None else [remediation_action.c.id == identity]
    if public_id is not None:
        wanted.append(advisory.c.public_id == public_id)
    rows = unit.connection.execute(
        _joined().where(visible_to(actor, unit.now), *wanted).order_by(remediation_action.c.id)
    )
    return tuple(_kept(row) for row in rows)


def counts(unit: UnitOfWork, identity: AdvisoryId) -> dict[ActionState, int]:
    """How many actions of an advisory are in which state."""
    with unit.as_service():
        rows = unit.connection.execute(
            select(remediation_action.c.state, func.count())
            .where(remediation_action.c.advisory == identity)
            .group_by(remediation_action.c.state)
        ).all()
    return {ActionState(state): count for state, count in rows}


def filed(unit: UnitOfWork, party: PartyId, digest: bytes) -> Filed | None:
    """The receipt a party sent before with that keyed digest."""
    row = unit.connection.execute(
        select(remediation_receipt).where(
            remediation_receipt.c.party == party, remediation_receipt.c.digest == digest
        )
    ).one_or_none()
    if row is None:
        return None
    return Filed(
        ReceiptId(row.id),
        ActionId(row.action),
        row.counter,
        ActionState(row.state),
        row.received_at,
    )


def last_counter(unit: UnitOfWork, key_id: str) -> int:
    """The highest counter accepted from an agent's key; 0 before the first."""
    found: int | None = unit.connection.execute(
        select(func.max(remediation_receipt.c.counter)).where(
            remediation_receipt.c.signed_by == key_id
        )
    ).scalar_one_or_none()
    return found or 0


def file(
    unit: UnitOfWork,
    new: Filed,
    *,
    party: PartyId,
    compartment: CompartmentId,
    key_id: str,
    digest: bytes,
    envelope: bytes,
) -> None:
    """Insert a receipt and let its action's state follow."""
    unit.connection.execute(
        insert(remediation_receipt).values(
            id=new.id,
            action=new.action,
            party=party,
            compartment=compartment,
            signed_by=key_id,
            counter=new.counter,
            state=new.state,
            digest=digest,
            received_at=new.received_at,
            envelope=envelope,
        )
    )
    change(unit, new.action, state=new.state)
