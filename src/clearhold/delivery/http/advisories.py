"""Routes of advisories before they are public; what is published lies in the feeds."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from clearhold.access.permissions import Permission
from clearhold.advisories.draft import (
    Automatable,
    CreditGiven,
    Draft,
    Exploitation,
    Link,
    PriorityFacts,
    TechnicalImpact,
)
from clearhold.advisories.model import CreditRole, ReferenceKind
from clearhold.advisories.records import State
from clearhold.advisories.service import Notice
from clearhold.delivery.http.declare import ActorDep, HubDep, IdempotencyKey, requires
from clearhold.kernel.ids import AdvisoryId, CaseId
from clearhold.kernel.matching import Range

router = APIRouter(prefix="/advisories", tags=["advisories"])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RangeBody(_Strict):
    """Affected versions from `introduced` ("0": the first) to before `fixed`, or to the last."""

    introduced: str = "0"
    fixed: str | None = None
    last_affected: str | None = None


class LinkBody(_Strict):
    """A web address to refer to."""

    url: str
    summary: str
    kind: ReferenceKind = ReferenceKind.WEB


class CreditBody(_Strict):
    """Somebody to thank, and how they agreed to be named."""

    name: str
    role: CreditRole = CreditRole.FINDER
    consent: str


class FactsBody(_Strict):
    """What decides priorities, each with its source."""

    exploitation: Exploitation
    exploitation_source: str
    automatable: Automatable
    automatable_source: str
    technical_impact: TechnicalImpact
    technical_impact_source: str


class DraftBody(_Strict):
    """An advisory as it is written."""

    title: str
    summary: str
    details: str
    package: str
    vendor: str
    ecosystem: str = ""
    facts: FactsBody
    ranges: list[RangeBody] = []
    versions: list[str] = []
    fixed_version: str | None = None
    remediation: str = ""
    weaknesses: list[str] = []
    cvss: list[str] = []
    aliases: list[str] = []
    links: list[LinkBody] = []
    credits: list[CreditBody] = []


class NewAdvisory(DraftBody):
    """A draft and the case it belongs to."""

    case: str


class Reason(_Strict):
    """Why something cannot wait."""

    reason: str


class NoticeView(BaseModel):
    """What a viewer may know of an advisory without opening it."""

    id: str
    public_id: str
    case: str | None
    state: State
    publish_at: datetime | None
    published_at: datetime | None
    title: str | None


class PreviewView(BaseModel):
    """What would be published, what is left out, and what stands in the way."""

    documents: dict[str, Any]
    left_out: list[str]
    obstacles: list[str]


def _draft(body: DraftBody) -> Draft:
    facts = body.facts
    return Draft(
        title=body.title,
        summary=body.summary,
        details=body.details,
        package=body.package,
        vendor=body.vendor,
        ecosystem=body.ecosystem,
        facts=PriorityFacts(
            facts.exploitation,
            facts.exploitation_source,
            facts.automatable,
            facts.automatable_source,
            facts.technical_impact,
            facts.technical_impact_source,
        ),
        ranges=tuple(
            Range(each.introduced, each.fixed, each.last_affected) for each in body.ranges
        ),
        versions=tuple(body.versions),
        fixed_version=body.fixed_version,
        remediation=body.remediation,
        weaknesses=tuple(body.weaknesses),
        cvss=tuple(body.cvss),
        aliases=tuple(body.aliases),
        links=tuple(Link(each.url, each.summary, each.kind) for each in body.links),
        credits=tuple(CreditGiven(each.name, each.role, each.consent) for each in body.credits),
    )


def _body(draft: Draft) -> DraftBody:
    facts = draft.facts
    return DraftBody(
        title=draft.title,
        summary=draft.summary,
        details=draft.details,
        package=draft.package,
        vendor=draft.vendor,
        ecosystem=draft.ecosystem,
        facts=FactsBody(
            exploitation=facts.exploitation,
            exploitation_source=facts.exploitation_source,
            automatable=facts.automatable,
            automatable_source=facts.automatable_source,
            technical_impact=facts.technical_impact,
            technical_impact_source=facts.technical_impact_source,
        ),
        ranges=[
            RangeBody(
                introduced=each.introduced, fixed=each.fixed, last_affected=each.last_affected
            )
            for each in draft.ranges
        ],
        versions=list(draft.versions),
        fixed_version=draft.fixed_version,
        remediation=draft.remediation,
        weaknesses=list(draft.weaknesses),
        cvss=list(draft.cvss),
        aliases=list(draft.aliases),
        links=[
            LinkBody(url=each.url, summary=each.summary, kind=each.kind) for each in draft.links
        ],
        credits=[
            CreditBody(name=each.name, role=each.role, consent=each.consent)
            for each in draft.credits
        ],
    )


def _view(notice: Notice) -> NoticeView:
    return NoticeView(
        id=notice.id,
        public_id=notice.public_id,
        case=notice.case,
        state=notice.state,
        publish_at=notice.publish_at,
        published_at=notice.published_at,
        title=notice.title,
    )


@router.post("", status_code=201, **requires(Permission.ADVISORIES_WRITE))
def draft(hub: HubDep, actor: ActorDep, new: NewAdvisory, key: IdempotencyKey) -> NoticeView:
    """Begin the advisory of a case."""
    return _view(hub.advisories.draft(actor, CaseId(new.case), _draft(new), key=key))


@router.post("/{advisory}/draft", **requires(Permission.ADVISORIES_WRITE))
def redraft(hub: HubDep, actor: ActorDep, advisory: str, body: DraftBody) -> NoticeView:
    """Replace a draft that is not scheduled yet."""
    return _view(hub.advisories.redraft(actor, AdvisoryId(advisory), _draft(body)))


@router.get("", **requires(Permission.ADVISORIES_READ))
def listing(hub: HubDep, actor: ActorDep) -> list[NoticeView]:
    """What is published, and what lies in the caller's cases."""
    return [_view(each) for each in hub.advisories.list(actor)]


@router.get("/{advisory}", **requires(Permission.ADVISORIES_READ))
def get(hub: HubDep, actor: ActorDep, advisory: str) -> NoticeView:
    """One advisory."""
    return _view(hub.advisories.get(actor, AdvisoryId(advisory)))


@router.get("/{advisory}/draft", **requires(Permission.ADVISORIES_READ))
def read(hub: HubDep, actor: ActorDep, advisory: str) -> DraftBody:
    """What was written, for those read in to the case."""
    return _body(hub.advisories.read(actor, AdvisoryId(advisory)))


@router.get("/{advisory}/preview", **requires(Permission.ADVISORIES_WRITE))
def preview(hub: HubDep, actor: ActorDep, advisory: str) -> PreviewView:
    """The documents as they would be published now."""
    seen = hub.advisories.preview(actor, AdvisoryId(advisory))
    return PreviewView(
        documents={kind: json.loads(data) for kind, data in seen.documents.items()},
        left_out=list(seen.left_out),
        obstacles=list(seen.obstacles),
    )


@router.post("/{advisory}/schedule", **requires(Permission.ADVISORIES_PUBLISH))
def schedule(hub: HubDep, actor: ActorDep, advisory: str) -> NoticeView:
    """Put publication on the clock for the end of the embargo."""
    return _view(hub.advisories.schedule(actor, AdvisoryId(advisory)))


@router.post("/{advisory}/publication", **requires(Permission.ADVISORIES_PUBLISH))
def publish_now(hub: HubDep, actor: ActorDep, advisory: str, why: Reason) -> NoticeView:
    """Publish at once when no embargo stands against it."""
    return _view(hub.advisories.publish_now(actor, AdvisoryId(advisory), reason=why.reason))
