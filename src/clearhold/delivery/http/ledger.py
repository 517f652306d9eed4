"""Routes of the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires

router = APIRouter(prefix="/ledger", tags=["ledger"])


class LeafView(BaseModel):
    """One leaf of the chain."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    compartment: str | None
    detail: dict[str, str]
    hash: str


class ChainView(BaseModel):
    """What a check of the whole chain found."""

    intact: bool
    leaves: int
    head: str
    faults: list[str]


@router.get("/leaves", **requires(Permission.LEDGER_READ))
def leaves(
    hub: HubDep,
    actor: ActorDep,
    after: Annotated[int, Query(ge=0, lt=1 << 63)] = 0,
    limit: int = 500,
) -> list[LeafView]:
    """What happened in the compartments the caller is read in to, oldest first."""
    return [
        LeafView(
            seq=leaf.seq,
            at=leaf.at,
            actor=leaf.actor,
            action=leaf.action,
            subject=leaf.subject,
            compartment=leaf.compartment,
            detail=dict(leaf.detail),
            hash=leaf.hash.hex(),
        )
        for leaf in hub.history(actor, after=after, limit=min(max(limit, 1), 1000))
    ]


@router.get("/verification", **requires(Permission.LEDGER_VERIFY))
def verification(hub: HubDep, actor: ActorDep) -> ChainView:
    """Recompute the whole chain."""
    report = hub.verify_ledger(actor)
    return ChainView(
        intact=report.intact,
        leaves=report.leaves,
        head=report.head.hex(),
        faults=list(report.faults),
    )
