"""A CVE record (CVE JSON 5) as a report: what the numbering authority's container (`cna`) says.

Products are named by `packageURL` (5.2), else by vendor and product as `pkg:generic/…`. A record
that was rejected or is only reserved describes nothing and is refused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.purl import Purl
from clearhold.wire.advisory_report import (
    MAX_PRODUCTS,
    AdvisoryReport,
    Product,
    named_generically,
    newest_of,
    product,
)
from clearhold.wire.json_bounds import decode


class _Version(msgspec.Struct):
    version: str | None = None
    status: str | None = None
    last: str | None = msgspec.field(default=None, name="lessThanOrEqual")


class _Product(msgspec.Struct):
    vendor: str | None = None
    product: str | None = None
    purl: str | None = msgspec.field(default=None, name="packageURL")
    versions: list[_Version] | None = None


class _Words(msgspec.Struct):
    lang: str | None = None
    value: str | None = None


class _Weakness(msgspec.Struct):
    cwe: str | None = msgspec.field(default=None, name="cweId")
    description: str | None = None


class _Problem(msgspec.Struct):
    descriptions: list[_Weakness] | None = None


class _Reference(msgspec.Struct):
    url: str | None = None


class _Cna(msgspec.Struct):
    title: str | None = None
    affected: list[_Product] | None = None
    descriptions: list[_Words] | None = None
    problems: list[_Problem] | None = msgspec.field(default=None, name="problemTypes")
    metrics: list[dict[str, Any]] | None = None
    references: list[_Reference] | None = None


class _Containers(msgspec.Struct):
    cna: _Cna


class _Metadata(msgspec.Struct):
    id: str = msgspec.field(name="cveId")
    state: str | None = None


class _Record(msgspec.Struct):
    metadata: _Metadata = msgspec.field(name="cveMetadata")
    containers: _Containers
    type: str | None = msgspec.field(default=None, name="dataType")
    version: str | None = msgspec.field(default=None, name="dataVersion")


def read(data: bytes) -> AdvisoryReport:
    """The flaw that the record in `data` describes; raises `InvalidError` and `TooLargeError`."""
    record = decode(data, _Record, what="CVE")
    if not (record.version or "5").startswith("5") or record.type not in {None, "CVE_RECORD"}:
        raise InvalidError(
            "The CVE record is not in CVE JSON 5.", next_step="Convert it to CVE JSON 5 first."
        )
    if record.metadata.state not in {None, "PUBLISHED"}:
        raise InvalidError(
            f"The CVE record is {record.metadata.state[:20]!a} and describes no flaw.",
            next_step="Submit a record whose state is PUBLISHED.",
        )
    cna, place = record.containers.cna, "/containers/cna"
    affected = cna.affected or []
    if len(affected) > MAX_PRODUCTS:
        raise TooLargeError(
            f"The CVE record names {len(affected)} products; at most {MAX_PRODUCTS} are taken.",
            next_step="Name the products that hold the flawed code.",
        )
    words = [each for each in cna.descriptions or () if each.value]
    english = [each for each in words if (each.lang or "").lower().startswith("en")] or words
    weaknesses = [each for one in cna.problems or () for each in one.descriptions or ()]
    return AdvisoryReport(
        names=(record.metadata.id,),
        title=cna.title or "",
        description="\n\n".join(each.value or "" for each in english),
        weaknesses=tuple(each.cwe or each.description or "" for each in weaknesses),
        severities=tuple(_vectors(cna.metrics or [])),
        references=tuple(each.url for each in cna.references or () if each.url),
        products=tuple(_stated(each, f"{place}/affected/{at}") for at, each in enumerate(affected)),
        place=place,
        places={
            "title": f"{place}/title" if cna.title else f"{place}/descriptions",
            "description": f"{place}/descriptions",
            "weakness": f"{place}/problemTypes",
            "severity": f"{place}/metrics",
            "references": f"{place}/references",
        },
    )


def _vectors(metrics: list[dict[str, Any]]) -> list[str]:
    found = []
    for name in ("cvssV4_0", "cvssV3_1", "cvssV3_0", "cvssV2_0"):
        for metric in metrics:
            given = metric.get(name)
            vector = given.get("vectorString") if isinstance(given, dict) else None
            if isinstance(vector, str):
                found.append(vector)
    return found


def _stated(given: _Product, place: str) -> Product:
    # The last version of a bounded range lies inside; its beginning does too.
    named = [
        version
        for each in given.versions or ()
        if each.status == "affected" and (version := _certain(each)) is not None
    ]
    if given.purl is None:
        version = newest_of("generic", named)
        return named_generically(given.vendor or "", given.product or "", version, place)
    try:
        kind = Purl.parse(given.purl).type
    except InvalidError as refused:
        return Product(None, place, refused.message)
    return product(given.purl, newest_of(kind, named), place)


def _certain(stated: _Version) -> str | None:
    """A version that what is stated says to be affected, and that can be named."""
    for version in (stated.last, stated.version):
        if version and version not in {"*", "0", "n/a", "unspecified"} and "<" not in version:
            return version
    return None
