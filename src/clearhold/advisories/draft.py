"""What a coordinator writes, and the advisory it becomes.

The three facts a priority needs (SSVC Exploitation, Automatable, Technical Impact) travel with it,
each with where it comes from, so that every operator's priority can be recomputed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from clearhold.advisories.model import (
    Advisory,
    Credit,
    CreditRole,
    Product,
    Publisher,
    Reference,
    ReferenceKind,
    Revision,
    Tlp,
)
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Range
from clearhold.kernel.purl import Purl

LONGEST_SOURCE: Final = 500
_FILE_NAME: Final = re.compile(r"[^+\-a-z0-9]+")


class Exploitation(StrEnum):
    """Evidence of exploitation at the time of writing (SSVC Exploitation 1.1.0)."""

    NONE = "none"
    POC = "poc"
    ACTIVE = "active"
    UNKNOWN = "unknown"


class Automatable(StrEnum):
    """Whether an attack can be automated (SSVC Automatable 2.0.0)."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class TechnicalImpact(StrEnum):
    """How much control an attack gives (SSVC Technical Impact 1.0.0)."""

    PARTIAL = "partial"
    TOTAL = "total"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PriorityFacts:
    """The advisory's share of what decides a priority, each with its source in words."""

    exploitation: Exploitation
    exploitation_source: str
    automatable: Automatable
    automatable_source: str
    technical_impact: TechnicalImpact
    technical_impact_source: str

    def __post_init__(self) -> None:
        for source in (
            self.exploitation_source,
            self.automatable_source,
            self.technical_impact_source,
        ):
            if not 0 < len(source.strip()) <= LONGEST_SOURCE or not source.isprintable():
                raise InvalidError(
                    "A fact that decides priorities needs its source in one line.",
                    next_step="Say where it comes from, such as the case's evidence or a catalogue.",
                )


@dataclass(frozen=True, slots=True)
class CreditGiven:
    """Somebody to thank by name, and how they agreed to be named."""

    name: str
    role: CreditRole
    consent: str

    def __post_init__(self) -> None:
        if not 0 < len(self.consent.strip()) <= LONGEST_SOURCE:
            raise InvalidError(
                f"Nobody is named without their consent, and none is stated for {self.name[:80]!a}.",
                next_step="Say how they agreed to be named, or leave the credit out.",
            )


@dataclass(frozen=True, slots=True)
class Link:
    """A web address to refer to."""

    url: str
    summary: str
    kind: ReferenceKind = ReferenceKind.WEB


@dataclass(frozen=True, slots=True)
class Draft:
    """An advisory before it is published.

    `package` is a purl without version; `ranges` and `versions` are what is affected. Without
    `fixed_version` the version of the accepted patch's delivery is the one to move to. `aliases`
    holds a CVE id when one was assigned; without one no CVE record is published.
    """

    title: str
    summary: str
    details: str
    package: str
    vendor: str
    ecosystem: str
    facts: PriorityFacts
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()
    fixed_version: str | None = None
    remediation: str = ""
    weaknesses: tuple[str, ...] = ()
    cvss: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    credits: tuple[CreditGiven, ...] = ()


def csaf_path(public_id: str, published: datetime) -> str:
    """Where the CSAF document is found below the provider's directory (CSAF 2.0, section 5.1)."""
    name = _FILE_NAME.sub("_", public_id.lower())
    return f"{published.year}/{name}.json"


def advisory_of(
    draft: Draft,
    public_id: str,
    *,
    publisher: Publisher,
    published: datetime,
    delivered: str | None,
) -> Advisory:
    """The advisory that `draft` says, as published at `published`, whole seconds of UTC.

    `delivered` is the version the accepted patch's delivery brings, if there is one. Raises
    `InvalidError` for anything that cannot be published.
    """
    moment = published.replace(microsecond=0)
    own = Reference(
        url=f"{publisher.namespace.rstrip('/')}/.well-known/csaf/{csaf_path(public_id, moment)}",
        summary=f"{public_id} in CSAF 2.0",
        kind=ReferenceKind.ADVISORY,
    )
    product = Product(
        package=str(Purl.parse(draft.package).package),
        vendor=draft.vendor,
        ecosystem=draft.ecosystem,
        ranges=draft.ranges,
        versions=draft.versions,
        fixed_version=draft.fixed_version or delivered,
        remediation=draft.remediation,
    )
    return Advisory(
        id=public_id,
        title=draft.title,
        summary=draft.summary,
        details=draft.details,
        published=moment,
        modified=moment,
        tlp=Tlp.CLEAR,
        publisher=publisher,
        products=(product,),
        references=(
            own,
            *(Reference(link.url, link.summary, link.kind) for link in draft.links),
        ),
        history=(Revision(1, moment, "First publication."),),
        aliases=draft.aliases,
        weaknesses=draft.weaknesses,
        cvss=draft.cvss,
        credits=tuple(Credit(each.name, each.role) for each in draft.credits),
    )
