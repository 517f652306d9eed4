"""OSV, the Open Source Vulnerability format, schema version 1.7: reader, schema and vocabulary.

`SCHEMA` is this project's own statement of the published format, for what it writes and takes: it
accepts no document that the official schema refuses, and leaves out what OSV allows but an advisory
does not need (git ranges without a package, several ways of saying null).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import msgspec

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Range
from clearhold.wire.claims import Claims, ClaimsBuilder
from clearhold.wire.json_bounds import decode, decode_object
from clearhold.wire.schema_check import SchemaCheck

SCHEMA_VERSION = "1.7.5"

_PREFIXES = [
    "ALPINE",
    "ALSA",
    "ALBA",
    "ALEA",
    "AZL",
    "BELL",
    "BIT",
    "CGA",
    "CLEANSTART",
    "CLSA",
    "CURL",
    "CVE",
    "DEBIAN",
    "DHI",
    "DRUPAL",
    "DSA",
    "DLA",
    "ELA",
    "DTSA",
    "ECHO",
    "EEF",
    "FreeBSD",
    "GHSA",
    "GO",
    "GSD",
    "HSEC",
    "JLSEC",
    "KUBE",
    "LBSEC",
    "LSN",
    "MAL",
    "MINI",
    "MGASA",
    "OESA",
    "OSEC",
    "OSV",
    "PHSA",
    "PSF",
    "PYSEC",
    "RHBA",
    "RHEA",
    "RHSA",
    "RLSA",
    "RXSA",
    "RSEC",
    "ROOT",
    "RUSTSEC",
    "UBUNTU",
    "USN",
    "V8",
    "openSUSE-SU",
    "ASB-A",
    "PUB-A",
]
_ID = rf"^(x_|({'|'.join(_PREFIXES)})-)"

_ECOSYSTEMS = (
    "AlmaLinux|Alpaquita|Alpine|Android|Azure Linux|Bioconductor|Bitnami|Chainguard|ConanCenter|"
    "CRAN|crates\\.io|Debian|FreeBSD|GHC|GitHub Actions|Go|Hackage|Hex|Julia|Kubernetes|Linux|"
    "Mageia|Maven|MinimOS|npm|NuGet|opam|openEuler|openSUSE|OSS-Fuzz|Packagist|Photon OS|Pub|PyPI|"
    "Red Hat|Rocky Linux|RubyGems|SUSE|SwiftURL|Ubuntu|VSCode|Wolfi"
)

CREDIT_TYPES = (
    "FINDER",
    "REPORTER",
    "ANALYST",
    "COORDINATOR",
    "REMEDIATION_DEVELOPER",
    "REMEDIATION_REVIEWER",
    "REMEDIATION_VERIFIER",
    "TOOL",
    "SPONSOR",
    "OTHER",
)
REFERENCE_TYPES = (
    "ADVISORY",
    "ARTICLE",
    "DETECTION",
    "DISCUSSION",
    "REPORT",
    "FIX",
    "INTRODUCED",
    "GIT",
    "PACKAGE",
    "EVIDENCE",
    "WEB",
)

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_INSTANT = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$",
}


def _object(required: str = "", **members: object) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": members,
        "required": required.split(),
        "additionalProperties": False,
    }


def _scored(kind: str, pattern: str) -> dict[str, Any]:
    return _object("type score", type={"const": kind}, score={"type": "string", "pattern": pattern})


_V3_METRICS = (
    "AV:[NALP]|AC:[LH]|PR:[NLH]|UI:[NR]|S:[UC]|[CIA]:[NLH]|E:[XUPFH]|RL:[XOTWU]|RC:[XURC]|"
    "[CIA]R:[XLMH]|MAV:[XNALP]|MAC:[XLH]|MPR:[XNLH]|MUI:[XNR]|MS:[XUC]|M[CIA]:[XNLH]"
)
_V2_METRICS = (
    "AV:[NAL]|AC:[LMH]|Au:[MSN]|[CIA]:[NPC]|E:(U|POC|F|H|ND)|RL:(OF|TF|W|U|ND)|RC:(UC|UR|C|ND)|"
    "CDP:(N|L|LM|MH|H|ND)|TD:(N|L|M|H|ND)|[CIA]R:(L|M|H|ND)"
)
_V4_BASE = "/AV:[NALP]/AC:[LH]/AT:[NP]/PR:[NLH]/UI:[NPA]/VC:[HLN]/VI:[HLN]/VA:[HLN]" + "".join(
    f"/S{what}:[HLN]" for what in "CIA"
)
_V4_OPTIONAL = [
    "E:[XAPU]",
    "CR:[XHML]",
    "IR:[XHML]",
    "AR:[XHML]",
    "MAV:[XNALP]",
    "MAC:[XLH]",
    "MAT:[XNP]",
    "MPR:[XNLH]",
    "MUI:[XNPA]",
    "MVC:[XNLH]",
    "MVI:[XNLH]",
    "MVA:[XNLH]",
    "MSC:[XNLH]",
    "MSI:[XNLHS]",
    "MSA:[XNLHS]",
    "S:[XNP]",
    "AU:[XNY]",
    "R:[XAUI]",
    "V:[XDC]",
    "RE:[XLMH]",
    "U:(X|Clear|Green|Amber|Red)",
]

_SEVERITY = {
    "type": "array",
    "items": {
        "oneOf": [
            _scored("CVSS_V2", f"^(({_V2_METRICS})/)*({_V2_METRICS})$"),
            _scored("CVSS_V3", rf"^CVSS:3\.[01]/(({_V3_METRICS})/)*({_V3_METRICS})$"),
            _scored(
                "CVSS_V4",
                rf"^CVSS:4\.0{_V4_BASE}{''.join(f'(/{metric})?' for metric in _V4_OPTIONAL)}$",
            ),
        ]
    },
}


def _events(*closing: str) -> dict[str, Any]:
    """Events that introduce the flaw, and no bounds but those named in `closing`."""
    kinds = ("introduced", *closing)
    return {
        "type": "array",
        "minItems": 1,
        "contains": {"required": ["introduced"]},
        "items": {"oneOf": [_object(kind, **{kind: _TEXT}) for kind in kinds]},
    }


_RANGE = {
    "oneOf": [
        _object(
            "type events",
            type={"enum": ["SEMVER", "ECOSYSTEM"]},
            events=events,
            database_specific={"type": "object"},
        )
        for events in (
            # a range of single "introduced" events fits both, so the first must hold a bound
            {"allOf": [_events("fixed"), {"contains": {"required": ["fixed"]}}]},
            _events("last_affected"),
        )
    ]
}

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "OSV record as written by this product",
    **_object(
        "schema_version id modified published affected",
        schema_version={"type": "string", "pattern": r"^1\.[0-9]+\.[0-9]+$"},
        id={"type": "string", "pattern": _ID},
        modified=_INSTANT,
        published=_INSTANT,
        withdrawn=_INSTANT,
        aliases=_TEXTS,
        related=_TEXTS,
        upstream=_TEXTS,
        summary=_TEXT,
        details=_TEXT,
        severity=_SEVERITY,
        affected={
            "type": "array",
            "minItems": 1,
            "items": {
                **_object(
                    "",
                    package=_object(
                        "ecosystem name",
                        ecosystem={"type": "string", "pattern": f"^({_ECOSYSTEMS})(:.+)?$"},
                        name=_TEXT,
                        purl={"type": "string", "pattern": "^pkg:"},
                    ),
                    ranges={"type": "array", "items": _RANGE},
                    versions=_TEXTS,
                    ecosystem_specific={"type": "object"},
                    database_specific={"type": "object"},
                ),
                "anyOf": [{"required": ["ranges"]}, {"required": ["versions"]}],
            },
        },
        references={
            "type": "array",
            "items": _object(
                "type url",
                type={"enum": list(REFERENCE_TYPES)},
                url={"type": "string", "format": "uri"},
            ),
        },
        credits={
            "type": "array",
            "items": _object("name", name=_TEXT, contact=_TEXTS, type={"enum": list(CREDIT_TYPES)}),
        },
        database_specific={"type": "object"},
    ),
}

_CHECK = SchemaCheck(SCHEMA)
_HOME_PREFIX = re.compile(_ID)


# The purl type of an ecosystem, with the namespace that stands for a distribution.
_PURL_TYPES = {
    "PyPI": "pypi",
    "npm": "npm",
    "crates.io": "cargo",
    "Go": "golang",
    "RubyGems": "gem",
    "NuGet": "nuget",
    "Packagist": "composer",
    "Hex": "hex",
    "Pub": "pub",
    "OSS-Fuzz": "generic",
    "Maven": "maven",
    "Bitnami": "bitnami",
    "Debian": "deb/debian",
    "Ubuntu": "deb/ubuntu",
    "Alpine": "apk/alpine",
    "Wolfi": "apk/wolfi",
    "Chainguard": "apk/chainguard",
    "AlmaLinux": "rpm/almalinux",
    "Rocky Linux": "rpm/rocky",
    "Red Hat": "rpm/redhat",
}


def purl_of(ecosystem: str, name: str) -> str | None:
    """The package URL of a name in an OSV ecosystem, releases left out; None where none is known."""
    kind = _PURL_TYPES.get(ecosystem.partition(":")[0])
    if kind is None or not name:
        return None
    path = name.replace(":", "/") if kind == "maven" else name
    return f"pkg:{kind}/{quote(path, safe='/')}"


def record_id(advisory_id: str) -> str:
    """`advisory_id` as an OSV id: home databases OSV does not list are marked with `x_`."""
    return advisory_id if _HOME_PREFIX.match(advisory_id) else f"x_{advisory_id}"


def problems(data: bytes) -> tuple[str, ...]:
    """Where `data` breaks `SCHEMA`; raises as `json_bounds.decode` when it is no JSON object."""
    return _CHECK.problems(decode_object(data, what="OSV"))


class _Package(msgspec.Struct):
    ecosystem: str = ""
    name: str = ""
    purl: str | None = None


class Event(msgspec.Struct):
    """One event of a range, in the order given."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class _Range(msgspec.Struct):
    type: str
    events: list[Event]


class _Specific(msgspec.Struct):
    purl: str | None = None


class _Affected(msgspec.Struct):
    package: _Package | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    database_specific: _Specific | None = None


class _Record(msgspec.Struct):
    id: str
    aliases: list[str] | None = None
    affected: list[_Affected] | None = None


def read(data: bytes, *, lenient: bool = False) -> Claims:
    """What an OSV record says of packages named by purl, or by ecosystem and name.

    Git ranges are passed over, since they say nothing of versions. Raises `InvalidError` when the
    record is unreadable, names no package, or has events that do not pair; when `lenient`, a
    package whose name or events cannot be read is passed over while others can be.
    """
    record = decode(data, _Record, what="OSV")
    claims = ClaimsBuilder()
    for affected in record.affected or ():
        try:
            _add(claims, affected)
        except InvalidError:
            if not lenient:
                raise
    return claims.build({record.id.removeprefix("x_"), *(record.aliases or ())})


def _add(claims: ClaimsBuilder, affected: _Affected) -> None:
    purl = affected.package.purl if affected.package is not None else None
    if purl is None and affected.database_specific is not None:
        purl = affected.database_specific.purl
    if purl is None and affected.package is not None:
        purl = purl_of(affected.package.ecosystem, affected.package.name)
    if purl is None:
        return
    ranges = [
        stated
        for given in affected.ranges or ()
        if given.type != "GIT"
        for stated in _paired(given.events)
    ]
    key = claims.package(purl)
    claims.add(key, ranges=ranges, versions=affected.versions or ())
    for stated in ranges:
        if stated.fixed is not None:
            claims.add_fixed(key, stated.fixed)


def _paired(events: list[Event]) -> list[Range]:
    """Ranges from events in the order given: each bound closes the introduction before it."""
    ranges: list[Range] = []
    introduced: str | None = None
    for event in events:
        if event.introduced is not None:
            if introduced is not None:
                ranges.append(Range(introduced))
            introduced = event.introduced
        elif introduced is not None and event.fixed is not None:
            ranges.append(Range(introduced, event.fixed))
            introduced = None
        elif introduced is not None and event.last_affected is not None:
            ranges.append(Range(introduced, None, event.last_affected))
            introduced = None
        elif event.limit is None:
            raise InvalidError(
                "The OSV record has a range whose end has no beginning.",
                next_step="Put an introduced event before each fixed or last_affected event.",
            )
    if introduced is not None:
        ranges.append(Range(introduced))
    return ranges
