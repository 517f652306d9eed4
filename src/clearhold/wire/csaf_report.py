"""A CSAF 2.0 document (OASIS) as a report: each of its vulnerabilities in each affected product.

A product is named by the purl among its identification helpers; one without is named by the names
of its branches (vendor, product name, product version), as `pkg:generic/…`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.kernel.purl import Purl
from clearhold.wire import vers
from clearhold.wire.advisory_report import (
    MAX_PRODUCTS,
    AdvisoryReport,
    Product,
    named_generically,
    newest,
    product,
)
from clearhold.wire.json_bounds import decode

# The end of a range that lies within it, as vendors of plants write it, VERS or not.
_INCLUDED = re.compile(r"(?:vers:[\w.+-]+/)?\s*(?:>=?\s*[\w.+-]+\s*\|\s*)?<=\s*([\w.+-]{1,60})")


class _Helper(msgspec.Struct):
    purl: str | None = None


class _Product(msgspec.Struct):
    product_id: str
    name: str | None = None
    helper: _Helper | None = msgspec.field(default=None, name="product_identification_helper")


class _Branch(msgspec.Struct):
    category: str | None = None
    name: str | None = None
    product: _Product | None = None
    branches: list[_Branch] | None = None


class _Relationship(msgspec.Struct):
    full: _Product | None = msgspec.field(default=None, name="full_product_name")
    base: str | None = msgspec.field(default=None, name="product_reference")


class _Tree(msgspec.Struct):
    branches: list[_Branch] | None = None
    full: list[_Product] | None = msgspec.field(default=None, name="full_product_names")
    relationships: list[_Relationship] | None = None


class _Status(msgspec.Struct):
    known_affected: list[str] | None = None
    first_affected: list[str] | None = None
    last_affected: list[str] | None = None


class _Text(msgspec.Struct):
    text: str | None = None
    category: str | None = None


class _Weakness(msgspec.Struct):
    id: str | None = None


class _Cvss(msgspec.Struct):
    vector: str | None = msgspec.field(default=None, name="vectorString")


class _Score(msgspec.Struct):
    v3: _Cvss | None = msgspec.field(default=None, name="cvss_v3")
    v2: _Cvss | None = msgspec.field(default=None, name="cvss_v2")
    v4: _Cvss | None = msgspec.field(default=None, name="cvss_v4")


class _Reference(msgspec.Struct):
    url: str | None = None


class _Vulnerability(msgspec.Struct):
    cve: str | None = None
    cwe: _Weakness | None = None
    title: str | None = None
    ids: list[_Text] | None = None
    notes: list[_Text] | None = None
    status: _Status | None = msgspec.field(default=None, name="product_status")
    scores: list[_Score] | None = None
    references: list[_Reference] | None = None


class _Tracking(msgspec.Struct):
    id: str


class _Head(msgspec.Struct):
    tracking: _Tracking
    title: str | None = None
    version: str | None = msgspec.field(default=None, name="csaf_version")


class _Document(msgspec.Struct):
    document: _Head
    tree: _Tree | None = msgspec.field(default=None, name="product_tree")
    vulnerabilities: list[_Vulnerability] | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """A product of the tree: itself, the branches above it by category, and its pointer."""

    product: _Product
    names: dict[str, str]
    place: str


def read(data: bytes) -> tuple[AdvisoryReport, ...]:
    """The vulnerabilities in `data`, each with the products it affects.

    Raises `InvalidError` and `TooLargeError` for what is no CSAF 2.0 document or has too many.
    """
    document = decode(data, _Document, what="CSAF")
    if document.document.version not in {None, "2.0"}:
        raise InvalidError(
            f"The document says it is CSAF {document.document.version[:20]!a}; 2.0 is taken.",
            next_step="Have the tool write CSAF 2.0.",
        )
    known = _products(document.tree or _Tree())
    reports, total = [], 0
    for at, each in enumerate(document.vulnerabilities or ()):
        status = each.status or _Status()
        named = dict.fromkeys(
            identity
            for listed in (status.known_affected, status.first_affected, status.last_affected)
            for identity in listed or ()
        )
        total += len(named)
        if total > MAX_PRODUCTS:
            raise TooLargeError(
                f"The CSAF document states more than {MAX_PRODUCTS} affected products.",
                next_step="Split it by vulnerability.",
            )
        reports.append(_report(document, each, [_stated(known, one) for one in named], at))
    return tuple(reports)


def _report(
    document: _Document, stated: _Vulnerability, products: list[Product], at: int
) -> AdvisoryReport:
    place = f"/vulnerabilities/{at}"
    notes = [each.text for each in stated.notes or () if each.text]
    scores = [each for one in stated.scores or () for each in (one.v4, one.v3, one.v2) if each]
    names = [document.document.tracking.id, *(each.text for each in stated.ids or () if each.text)]
    if stated.cve is not None:
        names.insert(0, stated.cve)
    return AdvisoryReport(
        names=tuple(dict.fromkeys(names)),
        title=stated.title or document.document.title or "",
        description="\n\n".join(notes),
        weaknesses=(stated.cwe.id,) if stated.cwe and stated.cwe.id else (),
        severities=tuple(each.vector for each in scores if each.vector),
        references=tuple(each.url for each in stated.references or () if each.url),
        products=tuple(products),
        place=place,
        places={
            "title": f"{place}/title" if stated.title else "/document/title",
            "description": f"{place}/notes",
            "weakness": f"{place}/cwe",
            "severity": f"{place}/scores",
            "references": f"{place}/references",
        },
    )


def _products(tree: _Tree) -> dict[str, _Known]:
    known: dict[str, _Known] = {}
    waiting: list[tuple[_Branch, dict[str, str], str]] = [
        (branch, {}, f"/product_tree/branches/{at}")
        for at, branch in enumerate(tree.branches or ())
    ]
    while waiting:
        branch, above, place = waiting.pop()
        names: dict[str, str] = {**above, branch.category or "": branch.name or ""}
        if branch.product is not None:
            known[branch.product.product_id] = _Known(branch.product, names, f"{place}/product")
        waiting += [
            (inner, names, f"{place}/branches/{at}")
            for at, inner in enumerate(branch.branches or ())
        ]
    for at, each in enumerate(tree.full or ()):
        known[each.product_id] = _Known(each, {}, f"/product_tree/full_product_names/{at}")
    for at, relation in enumerate(tree.relationships or ()):
        base = known.get(relation.base or "")
        if relation.full is not None and base is not None:
            place = f"/product_tree/relationships/{at}"
            own = relation.full if relation.full.helper is not None else base.product
            known[relation.full.product_id] = _Known(own, base.names, place)
    return known


def _stated(known: dict[str, _Known], identity: str) -> Product:
    found = known.get(identity)
    if found is None:
        return Product(None, "/product_tree", f"There is no product {identity[:80]!a}.")
    text = found.product.helper.purl if found.product.helper is not None else None
    version = found.names.get("product_version")
    stated = found.names.get("product_version_range")
    if text is None:
        bound = _INCLUDED.fullmatch(stated) if stated is not None else None
        version = bound[1] if bound is not None else version
        vendor, name = found.names.get("vendor", ""), found.names.get("product_name", "")
        return named_generically(vendor, name, version, found.place)
    if stated is not None:
        try:
            _, ranges, versions = vers.read(stated)
            version = newest(Purl.parse(text).type, versions, ranges)
        except InvalidError as refused:
            return Product(None, found.place, refused.message)
    return product(text, version, found.place)
