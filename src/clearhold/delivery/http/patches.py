"""Routes of candidate fixes."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, IdempotencyKey, SealingDep, requires
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import CaseId, PatchId
from clearhold.patches.records import Origin, State
from clearhold.patches.service import PatchView

router = APIRouter(prefix="/patches", tags=["patches"])


class NewPatch(BaseModel):
    """A fix for a case: a unified diff in base64, where it comes from, and a note."""

    model_config = ConfigDict(extra="forbid")

    case: str
    diff: str
    origin: Origin
    note: str = ""


class OutcomeBody(BaseModel):
    """What became of one proof; `finding` is empty when the viewer may not read it."""

    model_config = ConfigDict(from_attributes=True)

    finding: str
    stopped: bool
    observed: str


class JudgementBody(BaseModel):
    """Whether a candidate is a fix, and why."""

    model_config = ConfigDict(from_attributes=True)

    state: State
    kind: str
    reason: str
    proofs: list[OutcomeBody]
    tests: str
    limits: list[str]
    facts: dict[str, Any]


class BackportBody(BaseModel):
    """What became of a fix on another version; its diff and evidence are fetched by themselves."""

    model_config = ConfigDict(from_attributes=True)

    version: str
    outcome: str
    words: str
    judgement: JudgementBody | None


class Versions(BaseModel):
    """Versions that a fix is to be brought to; none for the newest of each line of releases."""

    model_config = ConfigDict(extra="forbid")

    versions: list[str] = []


class PatchBody(BaseModel):
    """A candidate as its viewers see it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    case: str
    origin: Origin
    own: bool
    state: State
    note: str
    judgement: JudgementBody | None
    submitted_at: datetime
    decided_at: datetime | None
    adopted_at: datetime | None
    deliverable: bool
    backports: list[BackportBody]
    backports_left: list[str]
    backports_waiting: str


def view(patch: PatchView) -> PatchBody:
    """A candidate for the wire."""
    return PatchBody.model_validate(patch)


@router.post("", status_code=201, **requires(Permission.PATCHES_SUBMIT))
def submit(hub: HubDep, actor: ActorDep, new: NewPatch, key: IdempotencyKey) -> PatchBody:
    """Submit a fix to a case the caller takes part in."""
    try:
        diff = base64.b64decode(new.diff, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError(
            "The diff is not base64.", next_step="Encode the diff's bytes in base64."
        ) from error
    return view(
        hub.patches.submit(actor, CaseId(new.case), diff, origin=new.origin, note=new.note, key=key)
    )


@router.get("", **requires(Permission.PATCHES_READ))
def listing(hub: HubDep, actor: ActorDep, case: str) -> list[PatchBody]:
    """The candidates of a case that the caller may see, oldest first."""
    return [view(each) for each in hub.patches.list(actor, CaseId(case))]


@router.get("/{patch}", **requires(Permission.PATCHES_READ))
def single(hub: HubDep, actor: ActorDep, patch: str) -> PatchBody:
    """A candidate the caller may see, with its verdict."""
    return view(hub.patches.get(actor, PatchId(patch)))


@router.get("/{patch}/diff", **requires(Permission.PATCHES_READ))
def diff(hub: HubDep, actor: ActorDep, sealing: SealingDep, patch: str) -> Response:
    """The diff as submitted."""
    content = sealing(lambda: hub.patches.diff(actor, PatchId(patch)))
    return Response(content, media_type="application/octet-stream")


@router.get("/{patch}/evidence", **requires(Permission.PATCHES_READ))
def evidence(hub: HubDep, actor: ActorDep, sealing: SealingDep, patch: str) -> Response:
    """The signed evidence of the judgement, by which it can be run again."""
    content = sealing(lambda: hub.patches.evidence(actor, PatchId(patch)))
    return Response(content, media_type="application/octet-stream")


@router.get("/{patch}/wheel", **requires(Permission.PATCHES_READ))
def wheel(hub: HubDep, actor: ActorDep, sealing: SealingDep, patch: str) -> Response:
    """The package made of an accepted fix."""
    named: list[str] = []

    def release() -> bytes:
        name, content = hub.patches.wheel(actor, PatchId(patch))
        named.append(name)
        return content

    return Response(
        sealing(release),
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{named[0]}"'},
    )


@router.post("/{patch}/backports", status_code=202, **requires(Permission.PATCHES_SUBMIT))
def backport(hub: HubDep, actor: ActorDep, patch: str, wanted: Versions) -> PatchBody:
    """Have an accepted fix brought to other versions of the package, and judged on each."""
    return view(hub.patches.backport(actor, PatchId(patch), wanted.versions))


@router.get("/{patch}/backports/{version}/diff", **requires(Permission.PATCHES_READ))
def backported(
    hub: HubDep, actor: ActorDep, sealing: SealingDep, patch: str, version: str
) -> Response:
    """The diff that was judged on another version."""
    content = sealing(lambda: hub.patches.backported(actor, PatchId(patch), version))
    return Response(content, media_type="application/octet-stream")


@router.get("/{patch}/backports/{version}/evidence", **requires(Permission.PATCHES_READ))
def backport_evidence(
    hub: HubDep, actor: ActorDep, sealing: SealingDep, patch: str, version: str
) -> Response:
    """The signed evidence of the judgement on another version."""
    content = sealing(lambda: hub.patches.backport_evidence(actor, PatchId(patch), version))
    return Response(content, media_type="application/octet-stream")


@router.post("/{patch}/repeat", status_code=202, **requires(Permission.PATCHES_SUBMIT))
def repeat(hub: HubDep, actor: ActorDep, patch: str) -> PatchBody:
    """Ask for another try of a judgement that the hub's machine could not carry out."""
    return view(hub.patches.repeat(actor, PatchId(patch)))


@router.post("/{patch}/adoption", **requires(Permission.PATCHES_SUBMIT))
def adopt(hub: HubDep, actor: ActorDep, patch: str) -> PatchBody:
    """Stand behind an accepted fix, so that it is what the case delivers."""
    return view(hub.patches.adopt(actor, PatchId(patch)))
