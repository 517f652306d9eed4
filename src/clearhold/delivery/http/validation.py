"""Routes of validation."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, SealingDep, requires
from clearhold.kernel.ids import FindingId
from clearhold.validation.service import ValidationView

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
    return _view(hub.validation.of_finding(actor, FindingId(finding)))


@router.post("/{finding}/repeat", status_code=202, **requires(Permission.VALIDATION_REPEAT))
def repeat(hub: HubDep, actor: ActorDep, finding: str) -> ValidationOut:
    """Ask for another try of a validation that the hub's machine could not carry out."""
    return _view(hub.validation.repeat(actor, FindingId(finding)))


def _view(found: ValidationView) -> ValidationOut:
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
def evidence(hub: HubDep, actor: ActorDep, sealing: SealingDep, finding: str) -> Response:
    """The signed evidence, a DSSE envelope around an in-toto statement."""
    envelope = sealing(lambda: hub.validation.evidence(actor, FindingId(finding)))
    return Response(envelope, media_type="application/vnd.dsse+json")


@router.get("/{finding}/affected", **requires(Permission.VALIDATION_READ))
def affected(hub: HubDep, actor: ActorDep, sealing: SealingDep, finding: str) -> Response:
    """The signed evidence of which releases are affected, a DSSE envelope."""
    envelope = sealing(lambda: hub.affected.evidence(actor, FindingId(finding)))
    return Response(envelope, media_type="application/vnd.dsse+json")


@router.get("/{finding}/logs", **requires(Permission.VALIDATION_READ))
def logs(hub: HubDep, actor: ActorDep, sealing: SealingDep, finding: str) -> Response:
    """What each run printed, as JSON with the streams in base64, for who may read the proof.

    Of a long stream the middle is left out; one that was not kept is named by its hash alone.
    """
    content = sealing(
        lambda: msgspec.json.encode(
            [asdict(run) for run in hub.validation.logs(actor, FindingId(finding))]
        )
    )
    return Response(
        content,
        media_type="application/octet-stream" if sealing.to else "application/json",
        headers={"Content-Disposition": "attachment"},
    )
