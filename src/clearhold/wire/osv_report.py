"""An OSV record (schema 1.7) as a report of a flaw, as finders' tools export it before disclosure.

A package is named by its purl, or by its ecosystem and name where those have one. A Git range of a repository on GitHub names the package `pkg:github/owner/name` at its last
affected, else its introducing, commit.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.matching import Range
from clearhold.kernel.purl import Purl
from clearhold.wire.advisory_report import (
    MAX_PRODUCTS,
    AdvisoryReport,
    Product,
    newest,
    product,
)
from clearhold.wire.json_bounds import decode
from clearhold.wire.osv import Event, purl_of

_GITHUB = re.compile(r"https?://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?", re.ASCII)
_WEAKNESS = re.compile(r"CWE-[1-9][0-9]{0,4}")


class _Package(msgspec.Struct):
    ecosystem: str | None = None
    name: str | None = None
    purl: str | None = None


class _Range(msgspec.Struct):
    type: str | None = None
    repo: str | None = None
    events: list[Event] | None = None


class _Score(msgspec.Struct):
    score: str | None = None


class _Affected(msgspec.Struct):
    package: _Package | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    severity: list[_Score] | None = None


class _Reference(msgspec.Struct):
    url: str | None = None


class _Record(msgspec.Struct):
    id: str
    aliases: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    affected: list[_Affected] | None = None
    severity: list[_Score] | None = None
    references: list[_Reference] | None = None
    specific: dict[str, Any] | None = msgspec.field(default=None, name="database_specific")
    withdrawn: str | None = None


def read(data: bytes) -> AdvisoryReport:
    """The flaw that the record in `data` describes.

    Raises `InvalidError` and `TooLargeError` for what is no record or was withdrawn.
    """
    record = decode(data, _Record, what="OSV")
    if record.withdrawn is not None:
        raise InvalidError(
            "The OSV record was withdrawn.", next_step="Submit what still holds, without it."
        )
    affected = record.affected or []
    if len(affected) > MAX_PRODUCTS:
        raise TooLargeError(
            f"The OSV record names {len(affected)} packages; at most {MAX_PRODUCTS} are taken.",
            next_step="Name the packages that hold the flawed code, not all that use them.",
        )
    severities = [*(record.severity or ())]
    severities += [each for one in affected for each in one.severity or ()]
    return AdvisoryReport(
        names=tuple(dict.fromkeys((record.id.removeprefix("x_"), *(record.aliases or ())))),
        title=record.summary or "",
        description=record.details or record.summary or "",
        weaknesses=_weaknesses(record.specific or {}),
        severities=tuple(each.score for each in severities if each.score),
        references=tuple(each.url for each in record.references or () if each.url),
        products=tuple(_product(each, f"/affected/{at}") for at, each in enumerate(affected)),
        place="",
        places={
            "title": "/summary",
            "description": "/details" if record.details else "/summary",
            "weakness": "/database_specific",
            "severity": "/severity",
            "references": "/references",
        },
    )


def _weaknesses(specific: dict[str, Any]) -> tuple[str, ...]:
    given = specific.get("cwe_ids") or specific.get("cwes") or specific.get("cwe") or []
    texts = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    return tuple(found for each in texts for found in _WEAKNESS.findall(str(each)))


def _product(affected: _Affected, place: str) -> Product:
    given = affected.package or _Package()
    ranges = [each for each in affected.ranges or () if each.type != "GIT"]
    text = given.purl or purl_of(given.ecosystem or "", given.name or "")
    if text is None:
        return _from_git(affected, place)
    try:
        kind = Purl.parse(text).type
    except InvalidError as refused:
        return Product(None, place, refused.message)
    stated = [Range(*_bounds(each.events or [])) for each in ranges]
    return product(text, newest(kind, affected.versions or (), stated), place)


def _bounds(events: list[Event]) -> tuple[str, None, str | None]:
    introduced = [each.introduced for each in events if each.introduced is not None]
    last = [each.last_affected for each in events if each.last_affected is not None]
    return introduced[-1] if introduced else "0", None, last[-1] if last else None


def _from_git(affected: _Affected, place: str) -> Product:
    for each in affected.ranges or ():
        found = _GITHUB.fullmatch(each.repo or "") if each.type == "GIT" else None
        if found is None:
            continue
        introduced, _, last = _bounds(each.events or [])
        commit = last or (introduced if introduced != "0" else None)
        return product(f"pkg:github/{found[1]}/{found[2]}", commit, place)
    return Product(None, place, "The package has no package URL.")
