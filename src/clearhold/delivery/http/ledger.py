"""Routes of the ledger, and the public log as files."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import PUBLIC, ActorDep, HubDep, requires
from clearhold.kernel.errors import NotFoundError
from clearhold.ledger import bundle
from clearhold.ledger.model import Lodgement
from clearhold.wire.tlog_tiles import CHECKPOINT, Tile

router = APIRouter(prefix="/ledger", tags=["ledger"])
log = APIRouter(prefix="/log", tags=["log"])

_NUMBER: Final = re.compile("[1-9][0-9]{0,17}")
_AFTER = Query(ge=0, lt=1 << 63)
# As C2SP tlog-tiles asks: a tile never changes, the checkpoint does.
_FOREVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_FRESH: Final = {"Cache-Control": "public, no-cache"}


class LeafView(BaseModel):
    """One leaf. The first of a compartment has 64 zeros as `previous`, one without has none."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    compartment: str | None
    detail: dict[str, str]
    previous: str | None
    salt: str
    hash: str


class LedgerView(BaseModel):
    """What a check of the whole ledger found."""

    intact: bool
    leaves: int
    head: str
    size: int
    published: int
    waiting: int
    faults: list[str]


class LodgedView(BaseModel):
    """A lodged commitment, and the leaf that records it."""

    id: str
    commitment: str
    lodged_at: datetime
    leaf: int


class NewCommitment(BaseModel):
    """32 bytes in hexadecimal that say nothing of what they stand for."""

    commitment: str = Field(pattern="^[0-9a-f]{64}$")


@router.get("/leaves", **requires(Permission.LEDGER_READ))
def leaves(
    hub: HubDep, actor: ActorDep, after: Annotated[int, _AFTER] = 0, limit: int = 500
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
            previous=None if leaf.previous is None else leaf.previous.hex(),
            salt=leaf.salt.hex(),
            hash=leaf.hash.hex(),
        )
        for leaf in hub.history(actor, after=after, limit=min(max(limit, 1), 1000))
    ]


@router.get("/leaves/{seq}/proof", **requires(Permission.LEDGER_READ))
def proof(hub: HubDep, actor: ActorDep, seq: str) -> dict[str, Any]:
    """A leaf with its proof from the public log, to be checked by anybody without the hub."""
    number = int(seq) if _NUMBER.fullmatch(seq) else 0  # the number of no leaf
    return bundle.write(hub.ledger.prove(actor, number))


@router.get("/verification", **requires(Permission.LEDGER_VERIFY))
def verification(hub: HubDep, actor: ActorDep) -> LedgerView:
    """Check every leaf, chain, place and published tile."""
    report = hub.verify_ledger(actor)
    return LedgerView(
        intact=report.intact,
        leaves=report.leaves,
        head=report.head.hex(),
        size=report.size,
        published=report.published,
        waiting=report.waiting,
        faults=list(report.faults),
    )


@router.post("/commitments", **requires(Permission.LEDGER_LODGE))
def lodge(hub: HubDep, actor: ActorDep, new: NewCommitment) -> LodgedView:
    """Lodge a commitment to something that stays with the caller; again, it changes nothing."""
    return _lodged(hub.ledger.lodge(actor, bytes.fromhex(new.commitment)))


@router.get("/commitments", **requires(Permission.LEDGER_LODGE))
def lodged(
    hub: HubDep, actor: ActorDep, after: Annotated[int, _AFTER] = 0, limit: int = 500
) -> list[LodgedView]:
    """What the caller's party lodged, from leaf `after` + 1 on."""
    found = hub.ledger.lodged(actor, after=after, limit=min(max(limit, 1), 1000))
    return [_lodged(each) for each in found]


def _lodged(lodgement: Lodgement) -> LodgedView:
    return LodgedView(
        id=lodgement.id,
        commitment=lodgement.commitment.hex(),
        lodged_at=lodgement.lodged_at,
        leaf=lodgement.leaf,
    )


@log.get("/checkpoint", **requires(PUBLIC))
def checkpoint(hub: HubDep) -> Response:
    """The signed checkpoint of the public log (C2SP tlog-checkpoint)."""
    return _file(hub, CHECKPOINT, "text/plain; charset=utf-8", _FRESH)


@log.get("/tile/{path:path}", **requires(PUBLIC))
def tile(hub: HubDep, path: str) -> Response:
    """A tile of the public log (C2SP tlog-tiles)."""
    if Tile.parse(f"tile/{path}") is None:
        raise _absent()
    return _file(hub, f"tile/{path}", "application/octet-stream", _FOREVER)


def _file(hub: HubDep, path: str, media_type: str, headers: dict[str, str]) -> Response:
    content = hub.ledger.published_file(path)
    if content is None:
        raise _absent()
    return Response(content, media_type=media_type, headers=headers)


def _absent() -> NotFoundError:
    return NotFoundError(
        "The log has no such file.",
        next_step="Read the checkpoint first; where a partial tile is gone, ask for the full one.",
    )
