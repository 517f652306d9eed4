"""An advisory as a CSAF 2.0 document (OASIS), profile 4 "Security Advisory".

CWE numbers are left out: CSAF 2.0 wants each with its exact catalogue name, and the other three
formats carry the bare number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clearhold.advisories.model import Advisory, Product, Reference, ReferenceKind, Tlp
from clearhold.wire import vers
from clearhold.wire.severity_vector import score
from clearhold.wire.timestamps import rfc3339

# CSAF 2.0 speaks TLP 1: CLEAR was WHITE, and AMBER+STRICT is added in words
_TLP = {
    Tlp.CLEAR: "WHITE",
    Tlp.GREEN: "GREEN",
    Tlp.AMBER: "AMBER",
    Tlp.AMBER_STRICT: "AMBER",
    Tlp.RED: "RED",
}


def document(advisory: Advisory) -> dict[str, Any]:
    """`advisory` as a CSAF 2.0 document of the profile "Security Advisory"."""
    publisher = {
        "category": "coordinator",
        "name": advisory.publisher.name,
        "namespace": advisory.publisher.namespace,
    }
    distribution: dict[str, Any] = {"tlp": {"label": _TLP[advisory.tlp]}}
    if advisory.tlp is Tlp.AMBER_STRICT:
        distribution["text"] = "TLP 2.0: AMBER+STRICT, for the recipient's organisation only."
    head: dict[str, Any] = {
        "category": "csaf_security_advisory",
        "csaf_version": "2.0",
        "lang": "en",
        "title": advisory.title,
        "publisher": publisher,
        "distribution": distribution,
        "notes": [{"category": "summary", "title": "Summary", "text": advisory.summary}],
        "references": [
            {
                "category": "self" if _is_own(reference, advisory) else "external",
                "summary": reference.summary,
                "url": reference.url,
            }
            for reference in advisory.references
        ],
        "tracking": {
            "id": advisory.id,
            "status": "final",
            "version": str(advisory.revision),
            "initial_release_date": rfc3339(advisory.published),
            "current_release_date": rfc3339(advisory.modified),
            "generator": {"engine": {"name": "Clearhold"}},
            "revision_history": [
                {
                    "number": str(entry.number),
                    "date": rfc3339(entry.date),
                    "summary": entry.summary,
                }
                for entry in advisory.history
            ],
        },
    }
    if advisory.credits:
        head["acknowledgments"] = [
            {"names": [credit.name], "summary": f"Role: {credit.role.value}"}
            for credit in advisory.credits
        ]
    listed = [_listed(product, i) for i, product in enumerate(advisory.products, start=1)]
    return {
        "document": head,
        "product_tree": _tree(advisory, listed),
        "vulnerabilities": [_vulnerability(advisory, listed)],
    }


def _is_own(reference: Reference, advisory: Advisory) -> bool:
    """Whether the reference leads to this advisory at its publisher's."""
    home = advisory.publisher.namespace.rstrip("/") + "/"
    return reference.kind is ReferenceKind.ADVISORY and reference.url.startswith(home)


@dataclass(frozen=True, slots=True)
class _Listed:
    """One product's leaves of the tree, and the ids of those affected and those fixed."""

    leaves: list[dict[str, Any]]
    affected: list[str]
    fixed: list[str]


def _listed(product: Product, number: int) -> _Listed:
    purl = product.purl
    affected: dict[str, dict[str, Any]] = {}
    fixed: dict[str, dict[str, Any]] = {}
    for i, stated in enumerate(product.ranges, start=1):
        place, name = f"P{number}-R{i}", vers.write(purl.type, stated)
        affected[place] = _leaf("product_version_range", place, name, product.package)
    for i, version in enumerate(dict.fromkeys(product.versions), start=1):
        place = f"P{number}-V{i}"
        affected[place] = _leaf("product_version", place, version, str(purl.at(version)))
    for i, version in enumerate(product.fixed_versions, start=1):
        place = f"P{number}-F{i}"
        fixed[place] = _leaf("product_version", place, version, str(purl.at(version)))
    return _Listed([*affected.values(), *fixed.values()], list(affected), list(fixed))


def _leaf(category: str, place: str, name: str, purl: str) -> dict[str, Any]:
    product = {
        "name": f"{purl} {name}",
        "product_id": place,
        "product_identification_helper": {"purl": purl},
    }
    return {"category": category, "name": name, "product": product}


def _tree(advisory: Advisory, listed: list[_Listed]) -> dict[str, Any]:
    vendors: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for product, own in zip(advisory.products, listed, strict=True):
        names = vendors.setdefault(product.vendor, {})
        names.setdefault(product.purl.name, []).extend(own.leaves)
    return {
        "branches": [
            {
                "category": "vendor",
                "name": vendor,
                "branches": [
                    {"category": "product_name", "name": name, "branches": leaves}
                    for name, leaves in names.items()
                ],
            }
            for vendor, names in vendors.items()
        ]
    }


def _vulnerability(advisory: Advisory, listed: list[_Listed]) -> dict[str, Any]:
    affected = [place for own in listed for place in own.affected]
    fixed = [place for own in listed for place in own.fixed]
    vulnerability: dict[str, Any] = {
        "title": advisory.title,
        "notes": [{"category": "description", "title": "Description", "text": advisory.details}],
        "product_status": {"known_affected": affected},
        "remediations": [
            {
                "category": "vendor_fix" if own.fixed else "none_available",
                "details": product.advice,
                "product_ids": own.affected,
            }
            for product, own in zip(advisory.products, listed, strict=True)
        ],
    }
    if fixed:
        vulnerability["product_status"]["fixed"] = fixed
    if advisory.cve is not None:
        vulnerability["cve"] = advisory.cve
    others = [name for name in advisory.aliases if name != advisory.cve]
    vulnerability["ids"] = [
        {"system_name": advisory.publisher.name, "text": name} for name in (advisory.id, *others)
    ]
    for vector in advisory.cvss:
        scored = score(vector)
        if scored.version in {"3.0", "3.1"}:
            metric = {
                "version": scored.version,
                "vectorString": scored.vector,
                "baseScore": scored.base_score,
                "baseSeverity": scored.base_severity,
            }
            vulnerability["scores"] = [{"products": affected, "cvss_v3": metric}]
            break
    return vulnerability
