"""What is written in an engagement, kept sealed and in its order; who may read it is its compartment's.

A paper is never changed: what follows it is another one that says what it is about. How something
stands is read from the papers about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, insert, select

from clearhold.access.grants import Grantee, Tier, compartments_of, read_in
from clearhold.access.model import Actor
from clearhold.evaluations.paper_tables import engagement_paper as paper
from clearhold.kernel.errors import LimitError
from clearhold.kernel.ids import CompartmentId, EngagementId, PartyId, new_id
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

MOST_PAPERS: Final = 2000
"""In one engagement; whoever writes more is not reporting on a test."""
_COLUMN: Final = "sealed_content"


class Kind(StrEnum):
    """What a paper is."""

    PLAN = "plan"
    DRAFT = "draft"
    REPLY = "reply"
    FINAL = "final"
    HANDOVER = "handover"
    SAFEGUARD = "safeguard"
    SAFEGUARD_STEP = "safeguard-step"
    SAFEGUARD_KIT = "safeguard-kit"
    SAFEGUARD_EFFORT = "safeguard-effort"
    DETERMINATION = "determination"
    PARTNER = "partner"
    PARTNER_CONSENT = "partner-consent"
    PARTNER_END = "partner-end"
    DEPARTMENT = "department"
    REQUEST = "request"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper; `about` names the paper that it follows, or is empty."""

    id: str
    engagement: EngagementId
    number: int
    compartment: CompartmentId
    kind: str
    about: str
    party: PartyId
    digest: bytes
    sealed_content: bytes
    made_at: datetime


class Papers:
    """The papers of engagements."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def add(
        self,
        unit: UnitOfWork,
        actor: Actor,
        within: tuple[EngagementId, CompartmentId],
        kind: str,
        content: bytes,
        *,
        about: str = "",
    ) -> Paper:
        """Keep a paper and tell the ledger of its digest; the caller holds the engagement's row.

        The last one of its kind about the same thing again, from the same party, changes nothing.
        """
        engagement, compartment = within
        digest = hashlib.sha256(content).digest()
        last = self.last(unit, engagement, kind, about=about, within=compartment)
        if last is not None and (last.digest, last.party) == (digest, actor.party):
            return last
        with unit.as_service():
            number = (
                1
                + unit.connection.execute(
                    select(func.coalesce(func.max(paper.c.number), 0)).where(
                        paper.c.engagement == engagement
                    )
                ).scalar_one()
            )
        if number > MOST_PAPERS:
            raise LimitError(f"An engagement has at most {MOST_PAPERS} papers.")
        identity = new_id(unit.now)
        place = ("engagement_paper", _COLUMN, identity)
        new = Paper(
            id=identity,
            engagement=engagement,
            number=number,
            compartment=compartment,
            kind=kind,
            about=about,
            party=actor.party,
            digest=digest,
            sealed_content=self._vault.seal(unit, compartment, place=place, content=content),
            made_at=unit.now,
        )
        unit.connection.execute(
            insert(paper).values({each.name: getattr(new, each.name) for each in paper.c})
        )
        unit.record(
            f"evaluations:paper:{kind}",
            actor=actor.principal,
            subject=engagement,
            compartment=compartment,
            detail={"paper": identity, "sha256": digest.hex(), "about": about},
        )
        return new

    def content(self, unit: UnitOfWork, found: Paper, *, reader: str) -> bytes:
        """What stands in a paper, released to `reader`."""
        return self._vault.unseal(
            unit,
            found.compartment,
            place=("engagement_paper", _COLUMN, found.id),
            sealed=found.sealed_content,
            reader=reader,
        )

    def seen(
        self, unit: UnitOfWork, actor: Actor, engagement: str, kinds: Sequence[str]
    ) -> tuple[tuple[Paper, bytes], ...]:
        """The papers of these kinds that the actor may read, in their order, with what stands in them."""
        return tuple(
            (each, self.content(unit, each, reader=actor.principal))
            for each in seen_by(unit, actor, engagement, kinds)
        )

    def every(
        self, unit: UnitOfWork, engagement: EngagementId, kinds: Sequence[str], *, reader: str
    ) -> tuple[tuple[Paper, bytes], ...]:
        """All of these kinds, whoever may read them, for a service's own work."""
        query = select(paper).where(paper.c.engagement == engagement, paper.c.kind.in_(kinds))
        with unit.as_service():
            rows = unit.connection.execute(query.order_by(paper.c.number)).all()
            found = [_record(row) for row in rows]
            return tuple((each, self.content(unit, each, reader=reader)) for each in found)

    def open_compartment(
        self, unit: UnitOfWork, actor: Actor, parties: Sequence[PartyId], *, reason: str
    ) -> CompartmentId:
        """A compartment for papers that these parties alone may read."""
        within = self._vault.open_compartment(unit)
        for party in dict.fromkeys(parties):
            read_in(
                unit,
                within,
                Grantee(party),
                tier=Tier.EVERYTHING,
                reason=reason,
                granted_by=actor.principal,
            )
        return within

    def last(
        self,
        unit: UnitOfWork,
        engagement: EngagementId,
        kind: str,
        *,
        about: str = "",
        within: CompartmentId | None = None,
    ) -> Paper | None:
        """The newest of its kind, for the service's own work."""
        query = select(paper).where(
            paper.c.engagement == engagement, paper.c.kind == kind, paper.c.about == about
        )
        if within is not None:
            query = query.where(paper.c.compartment == within)
        with unit.as_service():
            row = unit.connection.execute(
                query.order_by(paper.c.number.desc()).limit(1)
            ).one_or_none()
        return None if row is None else _record(row)


def visible_to(actor: Actor, now: datetime) -> ColumnElement[bool]:
    """Those of compartments the actor is read in to."""
    return paper.c.compartment.in_(compartments_of(actor, now, tier=Tier.EVERYTHING))


def seen_by(
    unit: UnitOfWork, actor: Actor, engagement: str, kinds: Sequence[str] = ()
) -> tuple[Paper, ...]:
    """The papers of an engagement that the actor may read, in their order."""
    query = select(paper).where(visible_to(actor, unit.now), paper.c.engagement == engagement)
    if kinds:
        query = query.where(paper.c.kind.in_(kinds))
    rows = unit.connection.execute(query.order_by(paper.c.number).limit(MOST_PAPERS))
    return tuple(_record(row) for row in rows)


def one_seen_by(unit: UnitOfWork, actor: Actor, identity: str) -> Paper | None:
    """One paper, if the actor may read it."""
    query = select(paper).where(visible_to(actor, unit.now), paper.c.id == identity)
    row = unit.connection.execute(query).one_or_none()
    return None if row is None else _record(row)


def _record(row: Row[Any]) -> Paper:
    return Paper(
        id=row.id,
        engagement=EngagementId(row.engagement),
        number=row.number,
        compartment=CompartmentId(row.compartment),
        kind=row.kind,
        about=row.about,
        party=PartyId(row.party),
        digest=bytes(row.digest),
        sealed_content=bytes(row.sealed_content),
        made_at=row.made_at,
    )
