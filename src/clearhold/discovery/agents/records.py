"""Queries on what agents used up, and on their transcripts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from clearhold.discovery.agents.journal import Spent
from clearhold.discovery.agents.tables import agent_piece, agent_run
from clearhold.discovery.tables import campaign
from clearhold.kernel.ids import DiscoveryId, PartyId
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class StoredRun:
    """What a campaign's agent used up, how many pieces of how many bytes in all, and the last digest."""

    spent: Spent
    pieces: int
    size: int
    head: bytes


@dataclass(frozen=True, slots=True)
class StoredPiece:
    """A piece of a transcript as it stands, sealed, with its digest."""

    number: int
    sealed: bytes
    digest: bytes


def run(unit: UnitOfWork, identity: DiscoveryId) -> StoredRun | None:
    """What is kept of a campaign's agent; None before it wrote anything."""
    row = unit.connection.execute(
        select(agent_run).where(agent_run.c.campaign == identity)
    ).one_or_none()
    if row is None:
        return None
    spent = Spent(row.turns, row.prompt_tokens, row.completion_tokens, row.proofs, row.calls)
    return StoredRun(spent, row.pieces, row.bytes, bytes(row.head))


def write(
    unit: UnitOfWork, identity: DiscoveryId, new: StoredRun, piece: StoredPiece, *, first: bool
) -> None:
    """Add a piece, and change what is kept of its run or begin it."""
    values: dict[str, Any] = {
        **asdict(new.spent),
        "pieces": new.pieces,
        "bytes": new.size,
        "head": new.head,
    }
    if first:
        unit.connection.execute(insert(agent_run).values(campaign=identity, **values))
    else:
        unit.connection.execute(
            update(agent_run).where(agent_run.c.campaign == identity).values(**values)
        )
    unit.connection.execute(
        insert(agent_piece).values(
            campaign=identity,
            number=piece.number,
            sealed_content=piece.sealed,
            digest=piece.digest,
        )
    )


def pieces(unit: UnitOfWork, identity: DiscoveryId) -> tuple[StoredPiece, ...]:
    """A transcript in order."""
    rows = unit.connection.execute(
        select(agent_piece).where(agent_piece.c.campaign == identity).order_by(agent_piece.c.number)
    )
    return tuple(
        StoredPiece(row.number, bytes(row.sealed_content), bytes(row.digest)) for row in rows
    )


def tokens_of(unit: UnitOfWork, party: PartyId, *, since: datetime) -> int:
    """Tokens that a party's campaigns since then used up."""
    spent = func.coalesce(func.sum(agent_run.c.prompt_tokens + agent_run.c.completion_tokens), 0)
    with unit.as_service():
        total = unit.connection.execute(
            select(spent)
            .join(campaign, campaign.c.id == agent_run.c.campaign)
            .where(campaign.c.party == party, campaign.c.queued_at > since)
        ).scalar_one()
    return int(total)
