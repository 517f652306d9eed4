"""Routes of operators' inventories."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, IdempotencyKey, RawBody, requires
from clearhold.inventory.model import (
    AssetProfile,
    Exposure,
    Inventory,
    Known,
    MissionImpact,
    SafetyImpact,
)
from clearhold.kernel.ids import InventoryId

router = APIRouter(prefix="/inventories", tags=["inventory"])


class ProfileView(BaseModel):
    """What the operator says of the asset."""

    exposure: Exposure
    publicly_exposed: Known
    safety_impact: SafetyImpact
    mission_impact: MissionImpact


class LeftOutView(BaseModel):
    """A component that cannot be matched by its package URL, and why."""

    name: str
    version: str
    reason: str


class InventoryView(BaseModel):
    """The newest revision of an inventory."""

    id: str
    name: str
    revision: int
    uploaded_at: datetime
    profile: ProfileView
    components: int
    left_out: list[LeftOutView]


class SharingView(BaseModel):
    """Whether the caller's inventories count, with those of others, towards a package's exposure."""

    shared: bool


def view(inventory: Inventory) -> InventoryView:
    """An inventory for the wire."""
    profile = inventory.profile
    return InventoryView(
        id=inventory.id,
        name=inventory.name,
        revision=inventory.revision,
        uploaded_at=inventory.uploaded_at,
        profile=ProfileView(
            exposure=profile.exposure,
            publicly_exposed=profile.publicly_exposed,
            safety_impact=profile.safety_impact,
            mission_impact=profile.mission_impact,
        ),
        components=inventory.components,
        left_out=[
            LeftOutView(name=each.name, version=each.version, reason=each.reason)
            for each in inventory.left_out
        ],
    )


@router.post("", status_code=201, **requires(Permission.INVENTORY_WRITE))
def upload(
    hub: HubDep,
    actor: ActorDep,
    document: RawBody,
    key: IdempotencyKey,
    name: str,
    exposure: Exposure = Exposure.UNKNOWN,
    publicly_exposed: Known = Known.UNKNOWN,
    safety_impact: SafetyImpact = SafetyImpact.UNKNOWN,
    mission_impact: MissionImpact = MissionImpact.UNKNOWN,
) -> InventoryView:
    """Take in a CycloneDX document as the newest revision of the inventory of that name."""
    profile = AssetProfile(exposure, publicly_exposed, safety_impact, mission_impact)
    return view(
        hub.inventories.upload(actor, name=name, document=document, profile=profile, key=key)
    )


@router.get("", **requires(Permission.INVENTORY_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[InventoryView]:
    """The caller's inventories."""
    return [view(each) for each in hub.inventories.list(actor)]


@router.get("/sharing", **requires(Permission.INVENTORY_READ))
def shared(hub: HubDep, actor: ActorDep) -> SharingView:
    """Whether the caller's inventories are counted."""
    return SharingView(shared=hub.inventory_sharing.shares(actor))


@router.post("/sharing", **requires(Permission.INVENTORY_WRITE))
def share(hub: HubDep, actor: ActorDep, wanted: SharingView) -> SharingView:
    """Let the caller's inventories be counted from the next count on, or no longer."""
    return SharingView(shared=hub.inventory_sharing.share(actor, wanted=wanted.shared))


@router.get("/{inventory}", **requires(Permission.INVENTORY_READ))
def get(hub: HubDep, actor: ActorDep, inventory: str) -> InventoryView:
    """One inventory of the caller."""
    return view(hub.inventories.get(actor, InventoryId(inventory)))
