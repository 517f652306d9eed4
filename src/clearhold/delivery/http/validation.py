"""Routes of validation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, requires
from clearhold.kernel.ids import FindingId

router = APIRouter(prefix="/validation", tags=["validation"])


class ValidationOut(BaseModel):
    """How far the validation of a finding got, and what it found."""

    id: str
    finding: str
    state: str
    verdict: str | None
    level: int | None
    decided_at: datetime | None
    summary: dict[str, Any] | None


@router.get("/{finding}", **requires(Permission.VALIDATION_READ))
def of_finding(hub: HubDep, actor: ActorDep, finding: str) -> ValidationOut:
    """The validation of a finding."""
    found = hub.validation.of_finding(actor, FindingId(finding))
    return ValidationOut(
        id=found.id,
        finding=found.finding,
        state=found.state,
        verdict=found.verdict,
        level=found.level,
        decided_at=found.decided_at,
        summary=None if found.summary is None else dict(found.summary),
    )


@router.get("/{finding}/evidence", **requires(Permission.VALIDATION_READ))
def evidence(hub: HubDep, actor: ActorDep, finding: str) -> Response:
    """The signed evidence, a DSSE envelope around an in-toto statement."""
    envelope = hub.validation.evidence(actor, FindingId(finding))
    return Response(envelope, media_type="application/vnd.dsse+json")
