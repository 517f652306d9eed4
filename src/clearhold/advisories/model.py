"""The canonical advisory: one statement from which every published format is rendered.

What the formats cannot all say is not in it. Everything is checked when it is made, so that an
`Advisory` in hand can be rendered.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Affected, Range, Verdict, bounds, judge
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import Scheme, scheme_for
from clearhold.wire.severity_vector import score

MAX_TITLE = 250
MAX_TEXT = 4000
MAX_PRODUCTS = 1000
MAX_VERSIONS = 2000

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_WEAKNESS = re.compile(r"CWE-[1-9][0-9]{0,4}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,250}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Tlp(StrEnum):
    """Traffic Light Protocol 2.0: how far an advisory may be passed on."""

    CLEAR = "CLEAR"
    GREEN = "GREEN"
    AMBER = "AMBER"
    AMBER_STRICT = "AMBER+STRICT"
    RED = "RED"


class ReferenceKind(StrEnum):
    """What a reference leads to."""

    ADVISORY = "advisory"
    FIX = "fix"
    REPORT = "report"
    ARTICLE = "article"
    PACKAGE = "package"
    EVIDENCE = "evidence"
    WEB = "web"


class CreditRole(StrEnum):
    """What somebody is thanked for; OSV and CVE records share this list."""

    FINDER = "finder"
    REPORTER = "reporter"
    ANALYST = "analyst"
    COORDINATOR = "coordinator"
    REMEDIATION_DEVELOPER = "remediation developer"
    REMEDIATION_REVIEWER = "remediation reviewer"
    REMEDIATION_VERIFIER = "remediation verifier"
    TOOL = "tool"
    SPONSOR = "sponsor"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who issues the advisory; `cve_org_id` (UUID version 4) is its identity in the CVE programme."""

    name: str
    namespace: str
    cve_org_id: str
    cve_short_name: str

    def __post_init__(self) -> None:
        _require(bool(_NAME.fullmatch(self.name)), "publisher's name", "Write one short line.")
        _require_web(self.namespace, "publisher's namespace")
        try:
            version = uuid.UUID(self.cve_org_id).version
        except ValueError:
            version = None
        canonical = version == 4 and len(self.cve_org_id) == 36
        _require(canonical, "publisher's CVE organisation id", "Give a UUID of version 4.")
        short = 2 <= len(self.cve_short_name) <= 32 and self.cve_short_name.isprintable()
        _require(short, "publisher's CVE short name", "Give 2 to 32 characters.")


@dataclass(frozen=True, slots=True)
class Reference:
    """A web address and what it leads to."""

    url: str
    summary: str
    kind: ReferenceKind = ReferenceKind.WEB

    def __post_init__(self) -> None:
        _require_web(self.url, "reference's address")
        _require(bool(_NAME.fullmatch(self.summary)), "reference's summary", "Write one line.")


@dataclass(frozen=True, slots=True)
class Credit:
    """Somebody to thank, and for what."""

    name: str
    role: CreditRole = CreditRole.FINDER

    def __post_init__(self) -> None:
        _require(bool(_NAME.fullmatch(self.name)), "credited name", "Write one short line.")


@dataclass(frozen=True, slots=True)
class Revision:
    """One entry of the tracking history; numbers count from 1 without gaps."""

    number: int
    date: datetime
    summary: str


@dataclass(frozen=True, slots=True)
class Product:
    """An affected package: which versions, and what to do.

    `package` is a purl without version. `ecosystem` is OSV's name for where it lives ("PyPI",
    "Debian:12"), "" when OSV has none. `ranges` are half-open or closed; `versions` lists affected
    versions one by one, and may repeat what lies in a range. `fixed_version` is the one to move to.
    """

    package: str
    vendor: str
    ecosystem: str
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()
    fixed_version: str | None = None
    remediation: str = ""

    def __post_init__(self) -> None:
        purl = Purl.parse(self.package)
        if str(purl) != self.package or purl != purl.package:
            raise InvalidError(
                f"{self.package[:80]!a} is not a canonical purl without version.",
                next_step=f"Write it as {purl.package}.",
            )
        _require(bool(_NAME.fullmatch(self.vendor)), "product's vendor", "Name who makes it.")
        _require(bool(self.ranges or self.versions), "product", "State affected versions.")
        few = len(self.versions) <= MAX_VERSIONS and len(self.ranges) <= MAX_VERSIONS
        _require(few, "product's list of versions", f"Give at most {MAX_VERSIONS}.")
        _require_text(self.remediation, "product's remediation")
        self._require_sound_versions()

    @property
    def purl(self) -> Purl:
        """`package`, read."""
        return Purl.parse(self.package)

    @property
    def affected(self) -> Affected:
        """What is affected, for `kernel.matching.judge`."""
        return Affected(self.purl.type, self.ranges, self.versions)

    @property
    def fixed_versions(self) -> tuple[str, ...]:
        """The version to move to, then the end of every half-open range, each once."""
        ends = [stated.fixed for stated in self.ranges]
        return tuple(dict.fromkeys(v for v in (self.fixed_version, *ends) if v is not None))

    @property
    def advice(self) -> str:
        """What to do: `remediation` where it is given, else a sentence about the fixed version."""
        if self.remediation.strip():
            return self.remediation
        if self.fixed_versions:
            return f"Update {self.package} to version {self.fixed_versions[0]}."
        return f"No fixed version of {self.package} is known yet."

    def _require_sound_versions(self) -> None:
        ends = [stated.introduced for stated in self.ranges if stated.introduced != "0"]
        ends += [stated.last_affected for stated in self.ranges if stated.last_affected]
        every = [*ends, *self.fixed_versions, *self.versions]
        for version in every:
            plain = 0 < len(version) <= 256 and version.isascii() and version.isprintable()
            _require(plain and " " not in version, "product's version", "Write it without spaces.")
        if self.ranges:
            scheme = scheme_for(self.purl.type)
            for version in every:
                scheme.key(version)
            for stated in self.ranges:
                _require_range(stated, scheme)
        for version in self.fixed_versions:
            if judge(version, self.affected).verdict is Verdict.AFFECTED:
                raise InvalidError(
                    f"{version} is said to be fixed and affected at once.",
                    next_step="Correct the ranges, the listed versions or the fixed version.",
                )


@dataclass(frozen=True, slots=True)
class Advisory:
    """Everything that is published about one vulnerability.

    `id` is the publisher's own; `aliases` are the names others gave it, a CVE id among them when
    one was assigned. Times are aware; `revision` is the number of the last entry of `history`.
    """

    id: str
    title: str
    summary: str
    details: str
    published: datetime
    modified: datetime
    tlp: Tlp
    publisher: Publisher
    products: tuple[Product, ...]
    references: tuple[Reference, ...]
    history: tuple[Revision, ...]
    aliases: tuple[str, ...] = ()
    weaknesses: tuple[str, ...] = ()
    cvss: tuple[str, ...] = ()
    credits: tuple[Credit, ...] = ()

    def __post_init__(self) -> None:
        _require(bool(_ID.fullmatch(self.id)), "advisory's id", "Use letters, digits and hyphens.")
        title = 0 < len(self.title) <= MAX_TITLE and self.title.isprintable()
        _require(title, "advisory's title", f"Write one line of at most {MAX_TITLE} characters.")
        _require_text(self.summary, "advisory's summary", empty=False)
        _require_text(self.details, "advisory's details", empty=False)
        for name in self.aliases:
            _require(bool(_ID.fullmatch(name)), "alias", "Use an id such as CVE-2021-45958.")
        if len([name for name in self.aliases if _CVE.fullmatch(name)]) > 1:
            raise InvalidError(
                "The advisory has more than one CVE id.",
                next_step="Publish one advisory for each vulnerability.",
            )
        for weakness in self.weaknesses:
            _require(bool(_WEAKNESS.fullmatch(weakness)), "weakness", "Write it as CWE-121.")
        for vector in self.cvss:
            score(vector)
        packages = {product.package for product in self.products}
        distinct = 0 < len(packages) == len(self.products) <= MAX_PRODUCTS
        _require(
            distinct, "advisory's list of products", "Name each package once, and at least one."
        )
        _require(bool(self.references), "advisory's list of references", "Give at least one.")
        once = len({reference.url for reference in self.references}) == len(self.references)
        _require(once, "advisory's list of references", "Give each address once.")
        self._require_sound_history()

    @property
    def revision(self) -> int:
        """The number of this revision."""
        return self.history[-1].number

    @property
    def cve(self) -> str | None:
        """The CVE id, when one was assigned."""
        return next((name for name in self.aliases if _CVE.fullmatch(name)), None)

    @property
    def affected(self) -> dict[str, Affected]:
        """What is affected, per package."""
        return {product.package: product.affected for product in self.products}

    def _require_sound_history(self) -> None:
        times = [self.published, self.modified, *(entry.date for entry in self.history)]
        aware = all(moment.tzinfo is not None for moment in times)
        _require(aware, "advisory's times", "Give every time with its zone.")
        numbers = [entry.number for entry in self.history]
        counted = bool(numbers) and numbers == list(range(1, len(numbers) + 1))
        _require(counted, "advisory's history", "Number its entries from 1 without gaps.")
        dates = [entry.date for entry in self.history]
        ordered = dates == sorted(dates) and self.published == dates[0] <= self.modified
        advice = "Begin it when published, end it when modified, and keep its order."
        _require(ordered and self.modified == dates[-1], "advisory's history", advice)
        for entry in self.history:
            _require_text(entry.summary, "summary of a revision", empty=False)


def _require(holds: bool, what: str, advice: str) -> None:  # noqa: FBT001 # an assertion's subject
    if not holds:
        raise InvalidError(f"The {what} is not acceptable.", next_step=advice)


def _require_range(stated: Range, scheme: Scheme) -> None:
    try:
        bounds(stated, scheme)
    except InvalidError as problem:
        advice = problem.next_step or "End it after it begins, with one kind of end."
        raise InvalidError(problem.message, next_step=advice) from problem


def _require_text(text: str, what: str, *, empty: bool = True) -> None:
    sound = len(text) <= MAX_TEXT and not _CONTROL.search(text) and (empty or bool(text.strip()))
    advice = f"Write {'' if empty else 'some '}plain text of at most {MAX_TEXT} characters."
    _require(sound, what, advice)


def _require_web(url: str, what: str) -> None:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and len(url) <= 2000
    except ValueError:
        sound = False
    plain = url.isascii() and url.isprintable() and not set(url) & set(' "<>\\^`{|}')
    _require(sound and plain, what, "Use an address such as https://example.org/advisory.")
