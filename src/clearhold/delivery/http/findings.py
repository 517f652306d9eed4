"""Routes of findings.

A submission travels as JSON with its content in base64, so that neither the package nor anything
else of it stands in an address, which proxies write into their logs.
"""

from __future__ import annotations

import base64
import binascii
import io
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from clearhold.access.permissions import Permission
from clearhold.delivery.http.declare import ActorDep, HubDep, IdempotencyKey, SealingDep, requires
from clearhold.findings.danger import Danger
from clearhold.findings.intake import Format
from clearhold.findings.model import FindingView as SeenFinding
from clearhold.findings.model import Match, Method, QueueEntry, Receipt, State
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import FindingId, LeaseId, SubmissionId

router = APIRouter(prefix="/findings", tags=["findings"])

_ID = r"^[A-Za-z0-9-]{1,64}$"
IdPath = Annotated[str, Path(pattern=_ID)]
After = Annotated[str | None, Query(pattern=_ID)]


class NewSubmission(BaseModel):
    """A submission: `content` is base64; `package` is for formats that name no package.

    `lease` and `fence` name the scan lease it was found under, when there was one. When `lenient`, a
    finding among several that cannot be taken is named in the receipt and does not refuse the rest.
    """

    format: Format
    content: str
    package: str = ""
    lease: str | None = Field(default=None, pattern=_ID)
    fence: int | None = Field(default=None, ge=1, lt=1 << 63)
    lenient: bool = False


class NewUpload(BaseModel):
    """Many findings at once: `content` is base64; without `format`, an archive of submissions."""

    format: Format | None = None
    content: str
    package: str = ""
    lease: str | None = Field(default=None, pattern=_ID)
    fence: int | None = Field(default=None, ge=1, lt=1 << 63)


class PartView(BaseModel):
    """Whether one of the six parts was found, and where."""

    part: str
    given: bool
    where: str


class SkippedView(BaseModel):
    """What became no finding, where it stands, and why."""

    place: str
    reason: str


class RecordTakenView(BaseModel):
    """An interchange record and what it was taken as; never a finding, and binding nobody."""

    place: str
    kind: str
    about: str
    taken_as: str
    next_step: str


class PublicFlawView(BaseModel):
    """A public flaw that the report names or resembles, or that is exploited."""

    id: str
    aliases: tuple[str, ...]
    summary: str
    signs: tuple[str, ...]
    exploited: str
    ransomware: bool


class FindingReceiptView(BaseModel):
    """What is told at once of one finding; see the documentation of findings."""

    finding: str
    missing: tuple[str, ...]
    own_duplicates: tuple[str, ...]
    public: tuple[str, ...]
    perhaps_public: tuple[str, ...]
    public_seen: tuple[PublicFlawView, ...]
    parts: tuple[PartView, ...]
    place: str


class ReceiptView(BaseModel):
    """What is told at once of a submission; `received_at` is its priority."""

    submission: str
    received_at: datetime
    findings: tuple[FindingReceiptView, ...]
    under_lease: bool | None
    skipped: tuple[SkippedView, ...]
    records: tuple[RecordTakenView, ...]


class ProposalView(BaseModel):
    """What a third party says somebody wishes; it binds nobody."""

    kind: str
    about: str
    sent_by: str
    received_at: datetime
    submission: str
    next_step: str


class BulkView(BaseModel):
    """The receipts of the submissions an upload became, and what was refused, where and why."""

    receipts: tuple[ReceiptView, ...]
    refused: tuple[SkippedView, ...]


class StandingView(BaseModel):
    """What is told of the vulnerability once the own proof has reproduced."""

    vulnerability: str
    independent_finders: int
    first: bool


class FindingSummary(BaseModel):
    """A finding without its content."""

    id: str
    submission: str
    received_at: datetime
    state: State
    verdict: str
    level: int
    has_proof: bool
    standing: StandingView | None


class AttachmentView(BaseModel):
    """A file that came along: its name there and its size in bytes."""

    name: str
    size: int


class ContentView(BaseModel):
    """What a finding says; empty means not given."""

    package: str
    title: str
    description: str
    weakness: str
    target: str
    claim: str
    signature: tuple[str, ...]
    severity: str
    locations: tuple[str, ...]
    references: tuple[str, ...]
    provenance: dict[str, str]
    trace: str
    attachments: tuple[AttachmentView, ...]


class FindingView(FindingSummary):
    """A finding with its content."""

    content: ContentView | None


class QueueView(BaseModel):
    """A vulnerability in the coordinator's queue, without content or names.

    Numbers and times are null for who is not read in to the case that it has.
    """

    vulnerability: str
    states: tuple[State, ...]
    case: str | None
    findings: int | None
    independent_finders: int | None
    collision: Danger | None
    best_level: int | None
    first_received_at: datetime | None
    contested: bool | None


def _decoded(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError(
            "The content is not base64.", next_step="Encode the submission's bytes in base64."
        ) from error


class PairView(BaseModel):
    """A pair that waits for a person; `strength` orders pairs, `layers` are what speaks for it."""

    a: str
    b: str
    strength: int
    layers: tuple[str, ...]
    proposed_at: datetime
    readable: bool


class AssertionView(BaseModel):
    """What was asserted of two findings and stands."""

    id: str
    verdict: Match
    method: Method
    asserted_by: str
    asserted_at: datetime


class BesideView(BaseModel):
    """Two findings side by side."""

    findings: tuple[FindingView, ...]
    assertions: tuple[AssertionView, ...]


class Decision(BaseModel):
    """What a person says of two findings."""

    verdict: Match


class DecisionView(BaseModel):
    """The assertion that was made, by whose id it can be withdrawn."""

    assertion: str


def _receipt(receipt: Receipt) -> ReceiptView:
    return ReceiptView.model_validate(msgspec.to_builtins(receipt))


def _summary(seen: SeenFinding) -> FindingSummary:
    head, standing = seen.head, seen.standing
    return FindingSummary(
        id=head.id,
        submission=head.submission,
        received_at=head.received_at,
        state=head.state,
        verdict=head.verdict,
        level=head.level,
        has_proof=head.proof is not None,
        standing=None
        if standing is None
        else StandingView(
            vulnerability=standing.vulnerability,
            independent_finders=standing.independent_finders,
            first=standing.first,
        ),
    )


def _finding(seen: SeenFinding) -> FindingView:
    body = seen.body
    content = None
    if body is not None:
        content = ContentView(
            package=body.package,
            title=body.title,
            description=body.description,
            weakness=body.weakness,
            target=body.target,
            claim=body.claim,
            signature=body.signature,
            severity=body.severity,
            locations=body.locations,
            references=body.references,
            provenance=body.provenance,
            trace=body.trace,
            attachments=tuple(
                AttachmentView(name=each.name, size=each.size) for each in body.attachments
            ),
        )
    return FindingView(**_summary(seen).model_dump(), content=content)


def _entry(entry: QueueEntry) -> QueueView:
    return QueueView(
        vulnerability=entry.vulnerability,
        findings=entry.findings,
        independent_finders=entry.independent_finders,
        collision=entry.collision,
        best_level=entry.best_level,
        first_received_at=entry.first_received_at,
        states=entry.states,
        case=entry.case,
        contested=entry.contested,
    )


def _attachment(content: bytes) -> Response:
    # Always an opaque download: a browser must never be talked into showing a stranger's bytes.
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"Content-Disposition": "attachment"},
    )


@router.post("", status_code=201, **requires(Permission.FINDINGS_SUBMIT))
def submit(hub: HubDep, actor: ActorDep, new: NewSubmission, key: IdempotencyKey) -> ReceiptView:
    """Submit findings and get a receipt at once."""
    raw = _decoded(new.content)
    return _receipt(
        hub.findings.submit(
            actor,
            raw,
            form=new.format,
            key=key,
            package=new.package,
            lease=None if new.lease is None else LeaseId(new.lease),
            fence=new.fence,
            lenient=new.lenient,
        )
    )


@router.post("/bulk", status_code=201, **requires(Permission.FINDINGS_SUBMIT))
def upload(hub: HubDep, actor: ActorDep, new: NewUpload, key: IdempotencyKey) -> BulkView:
    """Submit many findings at once; what cannot be taken is refused alone."""
    done = hub.findings.submit_many(
        actor,
        io.BytesIO(_decoded(new.content)),
        form=new.format,
        key=key,
        package=new.package,
        lease=None if new.lease is None else LeaseId(new.lease),
        fence=new.fence,
    )
    return BulkView(
        receipts=tuple(map(_receipt, done.receipts)),
        refused=tuple(SkippedView(place=each.place, reason=each.reason) for each in done.refused),
    )


@router.get("", **requires(Permission.FINDINGS_READ))
def listing(
    hub: HubDep, actor: ActorDep, after: After = None, limit: int = 200
) -> list[FindingSummary]:
    """The findings the caller may see in the order they came, without content."""
    start = None if after is None else FindingId(after)
    return [_summary(seen) for seen in hub.findings.list(actor, after=start, limit=limit)]


@router.get("/queue", **requires(Permission.FINDINGS_QUEUE))
def queue(hub: HubDep, actor: ActorDep) -> list[QueueView]:
    """Every vulnerability reported, as numbers."""
    return [_entry(entry) for entry in hub.findings.queue(actor)]


@router.get("/proposals", **requires(Permission.FINDINGS_QUEUE))
def proposals(hub: HubDep, actor: ActorDep) -> list[ProposalView]:
    """What third parties say others wish: opt-outs and routes of interchange records."""
    return [
        ProposalView(
            kind=each.kind,
            about=each.about,
            sent_by=each.sent_by,
            received_at=each.received_at,
            submission=each.submission,
            next_step=each.next_step,
        )
        for each in hub.proposals.list(actor)
    ]


@router.get("/reviews", **requires(Permission.FINDINGS_QUEUE))
def reviews(hub: HubDep, actor: ActorDep) -> list[PairView]:
    """Pairs that look like one vulnerability and wait for a person, the strongest first."""
    return [
        PairView(
            a=each.a,
            b=each.b,
            strength=each.strength,
            layers=each.layers,
            proposed_at=each.proposed_at,
            readable=each.readable,
        )
        for each in hub.reviews.waiting(actor)
    ]


@router.post(
    "/matches/{assertion}/withdrawal", status_code=204, **requires(Permission.FINDINGS_JUDGE)
)
def withdraw(hub: HubDep, actor: ActorDep, assertion: IdPath) -> None:
    """Take back what a person asserted of two findings."""
    hub.reviews.withdraw(actor, assertion)


@router.get("/submissions/{submission}", **requires(Permission.FINDINGS_READ))
def receipt(hub: HubDep, actor: ActorDep, submission: IdPath) -> ReceiptView:
    """The receipt of a submission of the caller's."""
    return _receipt(hub.findings.receipt(actor, SubmissionId(submission)))


@router.get(
    "/submissions/{submission}/raw",
    response_class=Response,
    **requires(Permission.FINDINGS_READ),
)
def raw(hub: HubDep, actor: ActorDep, sealing: SealingDep, submission: IdPath) -> Response:
    """A submission of the caller's, byte for byte."""
    return _attachment(sealing(lambda: hub.findings.raw(actor, SubmissionId(submission))))


@router.get("/{finding}", **requires(Permission.FINDINGS_READ))
def one(hub: HubDep, actor: ActorDep, finding: IdPath) -> FindingView:
    """A finding the caller may see."""
    return _finding(hub.findings.get(actor, FindingId(finding)))


@router.get("/{finding}/beside/{other}", **requires(Permission.FINDINGS_QUEUE))
def beside(hub: HubDep, actor: ActorDep, finding: IdPath, other: IdPath) -> BesideView:
    """Two findings that the caller may see, side by side."""
    found = hub.reviews.beside(actor, FindingId(finding), FindingId(other))
    return BesideView(
        findings=tuple(map(_finding, found.findings)),
        assertions=tuple(
            AssertionView(
                id=each.id,
                verdict=each.verdict,
                method=each.method,
                asserted_by=each.asserted_by,
                asserted_at=each.asserted_at,
            )
            for each in found.assertions
        ),
    )


@router.post("/{finding}/beside/{other}", status_code=201, **requires(Permission.FINDINGS_JUDGE))
def decide(
    hub: HubDep, actor: ActorDep, finding: IdPath, other: IdPath, said: Decision
) -> DecisionView:
    """Say what two findings are to each other."""
    return DecisionView(
        assertion=hub.reviews.decide(
            actor, FindingId(finding), FindingId(other), verdict=said.verdict
        )
    )


@router.get("/{finding}/proof", response_class=Response, **requires(Permission.FINDINGS_READ))
def proof(hub: HubDep, actor: ActorDep, sealing: SealingDep, finding: IdPath) -> Response:
    """The proof of a finding the caller may see."""
    return _attachment(sealing(lambda: hub.findings.proof(actor, FindingId(finding))))


@router.get(
    "/{finding}/attachments/{number}",
    response_class=Response,
    **requires(Permission.FINDINGS_READ),
)
def attachment(
    hub: HubDep, actor: ActorDep, sealing: SealingDep, finding: IdPath, number: int
) -> Response:
    """An attachment of a finding the caller may see, by its number from 0."""
    return _attachment(sealing(lambda: hub.findings.attachment(actor, FindingId(finding), number)))
