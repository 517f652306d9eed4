"""Queries on validations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select, update

from clearhold.access.grants import Tier, compartments_of
from clearhold.access.model import Actor
from clearhold.kernel.ids import ArtifactId, CompartmentId, FindingId, ValidationId
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.validation.tables import validation


@dataclass(frozen=True, slots=True)
class ValidationRecord:
    """One validation as stored; `state` is queued or decided, what is sealed is still so.

    `logs` is what its runs printed; `affected` the signed evidence of which releases are affected,
    and `sealed_affected` the same in short.
    """

    id: ValidationId
    finding: FindingId
    compartment: CompartmentId
    state: str
    verdict: str | None
    level: int | None
    sealed_summary: bytes | None
    evidence: ArtifactId | None
    queued_at: datetime
    decided_at: datetime | None
    logs: ArtifactId | None
    affected: ArtifactId | None
    sealed_affected: bytes | None


def visible_to(actor: Actor, now: datetime, *, tier: Tier = Tier.CONTENT) -> ColumnElement[bool]:
    """Those of findings whose content the actor may see; their logs, who sees everything."""
    return validation.c.compartment.in_(compartments_of(actor, now, tier=tier))


def add(
    unit: UnitOfWork, identity: ValidationId, *, finding: FindingId, compartment: CompartmentId
) -> None:
    """Insert a queued validation."""
    unit.connection.execute(
        insert(validation).values(
            id=identity,
            finding=finding,
            compartment=compartment,
            state="queued",
            queued_at=unit.now,
        )
    )


def decide(unit: UnitOfWork, identity: ValidationId, values: Mapping[str, Any]) -> None:
    """Write what a validation found."""
    unit.connection.execute(
        update(validation)
        .where(validation.c.id == identity)
        .values(state="decided", decided_at=unit.now, **values)
    )


def note_affected(
    unit: UnitOfWork, identity: ValidationId, *, evidence: ArtifactId, sealed: bytes
) -> None:
    """Write which releases a proof shows the flaw on."""
    unit.connection.execute(
        update(validation)
        .where(validation.c.id == identity)
        .values(affected=evidence, sealed_affected=sealed)
    )


def reopen(unit: UnitOfWork, identity: ValidationId) -> None:
    """Queue a decided validation again."""
    unit.connection.execute(
        update(validation)
        .where(validation.c.id == identity)
        .values(state="queued", decided_at=None, verdict=None, level=None)
    )


def of_finding(unit: UnitOfWork, finding: FindingId) -> ValidationRecord | None:
    """The validation of a finding, for services."""
    row = unit.connection.execute(
        select(validation).where(validation.c.finding == finding)
    ).one_or_none()
    return None if row is None else _record(row)


def seen_by(
    unit: UnitOfWork, actor: Actor, finding: FindingId, *, tier: Tier = Tier.CONTENT
) -> ValidationRecord | None:
    """The validation of a finding, when the actor may see it."""
    visible = visible_to(actor, unit.now, tier=tier)
    row = unit.connection.execute(
        select(validation).where(validation.c.finding == finding, visible)
    ).one_or_none()
    return None if row is None else _record(row)


def _record(row: Row[Any]) -> ValidationRecord:
    return ValidationRecord(
        id=ValidationId(row.id),
        finding=FindingId(row.finding),
        compartment=CompartmentId(row.compartment),
        state=row.state,
        verdict=row.verdict,
        level=row.level,
        sealed_summary=None if row.sealed_summary is None else bytes(row.sealed_summary),
        evidence=None if row.evidence is None else ArtifactId(row.evidence),
        queued_at=row.queued_at,
        decided_at=row.decided_at,
        logs=None if row.logs is None else ArtifactId(row.logs),
        affected=None if row.affected is None else ArtifactId(row.affected),
        sealed_affected=None if row.sealed_affected is None else bytes(row.sealed_affected),
    )
