"""One advisory in four formats: CSAF 2.0, OSV 1.7, OpenVEX 0.2.0 and CVE JSON 5.1.

Rendering is deterministic: the same advisory gives the same bytes. `disagreements` reads all four
back and compares what they say with the advisory, so that nothing is published in two minds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from clearhold.advisories import csaf_rendering
from clearhold.advisories.model import Advisory, Product, ReferenceKind
from clearhold.kernel.errors import ClearholdError
from clearhold.kernel.matching import Range, Verdict, judge
from clearhold.wire import csaf_document, cve_record, openvex, osv, vers
from clearhold.wire.claims import Claims
from clearhold.wire.json_bounds import canonical
from clearhold.wire.severity_vector import score
from clearhold.wire.timestamps import rfc3339

Kind = Literal["csaf", "osv", "openvex", "cve"]
KINDS: tuple[Kind, ...] = ("csaf", "osv", "openvex", "cve")

_CVE_TAGS = {
    ReferenceKind.ADVISORY: "third-party-advisory",
    ReferenceKind.FIX: "patch",
    ReferenceKind.REPORT: "issue-tracking",
    ReferenceKind.ARTICLE: "technical-description",
    ReferenceKind.PACKAGE: "product",
    ReferenceKind.EVIDENCE: "exploit",
}
_VERSION_TYPES = {"pypi": "python", "deb": "deb"}
_SEMVER_TYPES = {"npm", "cargo", "golang"}


@dataclass(frozen=True, slots=True)
class Renderings:
    """An advisory in every format; `cve` is None while no CVE id is assigned."""

    csaf: bytes
    osv: bytes
    openvex: bytes
    cve: bytes | None

    def items(self) -> tuple[tuple[Kind, bytes], ...]:
        """The formats that are there, each with its bytes."""
        every: tuple[tuple[Kind, bytes | None], ...] = (
            ("csaf", self.csaf),
            ("osv", self.osv),
            ("openvex", self.openvex),
            ("cve", self.cve),
        )
        return tuple((kind, data) for kind, data in every if data is not None)


def render(advisory: Advisory) -> Renderings:
    """`advisory` in every format, as canonical JSON."""
    return Renderings(
        csaf=canonical(csaf_rendering.document(advisory)),
        osv=canonical(_osv(advisory)),
        openvex=canonical(_openvex(advisory)),
        cve=None if advisory.cve is None else canonical(_cve(advisory, advisory.cve)),
    )


def affected_set(kind: Kind, data: bytes) -> Claims:
    """What a document of `kind` says is affected and fixed; raises `InvalidError` if unreadable."""
    match kind:
        case "csaf":
            return csaf_document.read(data)
        case "osv":
            return osv.read(data)
        case "openvex":
            return openvex.read(data)
        case "cve":
            return cve_record.read(data)
        case _:
            assert_never(kind)


def validate(kind: Kind, data: bytes) -> tuple[str, ...]:
    """Where `data` breaks the schema (and for CSAF the mandatory tests) of `kind`; empty is valid."""
    match kind:
        case "csaf":
            return csaf_document.problems(data)
        case "osv":
            return osv.problems(data)
        case "openvex":
            return openvex.problems(data)
        case "cve":
            return cve_record.problems(data)
        case _:
            assert_never(kind)


def disagreements(
    advisory: Advisory, renderings: Renderings, *, probes: Mapping[str, Iterable[str]]
) -> tuple[str, ...]:
    """Where a rendering says something else than `advisory`, one sentence each; empty is agreement.

    Compared are the vulnerability's names, the packages, and the verdict on every version that the
    advisory or any rendering mentions and every one of `probes` (versions per package).
    """
    found: list[str] = []
    claims: dict[Kind, Claims] = {}
    for kind, data in renderings.items():
        try:
            claims[kind] = affected_set(kind, data)
        except ClearholdError as problem:
            found.append(f"{kind}: cannot be read back: {problem.message}")
    if advisory.cve is not None and renderings.cve is None:
        found.append(f"cve: there is no record for {advisory.cve}.")
    names = {advisory.id, *advisory.aliases}
    for kind, said in claims.items():
        found += _name_disagreements(kind, said, names, advisory.cve)
        if set(said.affected) != set(advisory.affected):
            found.append(
                f"{kind}: names the packages {', '.join(sorted(said.affected))}, "
                f"not {', '.join(sorted(advisory.affected))}."
            )
    for product in advisory.products:
        asked = _mentioned(product, claims.values()) | set(probes.get(product.package, ()))
        found += _verdict_disagreements(product, claims, sorted(asked))
    return tuple(found)


def _verdict_disagreements(
    product: Product, claims: Mapping[Kind, Claims], versions: Iterable[str]
) -> list[str]:
    found: list[str] = []
    for version in versions:
        expected = judge(version, product.affected).verdict
        for kind, said in claims.items():
            answers = [said.judge(product.package, version).verdict]
            if version in said.fixed.get(product.package, ()):
                answers.append(Verdict.NOT_AFFECTED)
            found += [
                f"{kind}: {product.package} {version} is {answer}, "
                f"while the advisory says {expected}."
                for answer in answers
                if answer is not expected
            ]
    return found


def _name_disagreements(
    kind: Kind, said: Claims, names: set[str], cve: str | None
) -> tuple[str, ...]:
    strangers = said.names - names
    if strangers:
        return (f"{kind}: speaks of {', '.join(sorted(strangers))}.",)
    if cve is not None and cve not in said.names:
        return (f"{kind}: does not name {cve}.",)
    return ()


def _mentioned(product: Product, claims: Iterable[Claims]) -> set[str]:
    versions = {*product.versions, *product.fixed_versions}
    ranges = list(product.ranges)
    for said in claims:
        stated = said.affected.get(product.package)
        if stated is not None:
            versions |= set(stated.versions)
            ranges += stated.ranges
        versions |= said.fixed.get(product.package, frozenset())
    for stated_range in ranges:
        versions |= {
            bound
            for bound in (stated_range.introduced, stated_range.fixed, stated_range.last_affected)
            if bound is not None
        }
    return versions


def _event(stated: Range) -> list[dict[str, str]]:
    events = [{"introduced": stated.introduced}]
    if stated.fixed is not None:
        events.append({"fixed": stated.fixed})
    elif stated.last_affected is not None:
        events.append({"last_affected": stated.last_affected})
    return events


def _osv(advisory: Advisory) -> dict[str, Any]:
    record: dict[str, Any] = {
        "schema_version": osv.SCHEMA_VERSION,
        "id": osv.record_id(advisory.id),
        "published": rfc3339(advisory.published),
        "modified": rfc3339(advisory.modified),
        "aliases": list(advisory.aliases),
        "summary": advisory.title,
        "details": f"{advisory.summary}\n\n{advisory.details}",
        "affected": [_osv_affected(product) for product in advisory.products],
        "references": [
            {"type": reference.kind.value.upper(), "url": reference.url}
            for reference in advisory.references
        ],
        "credits": [
            {"name": credit.name, "type": credit.role.value.upper().replace(" ", "_")}
            for credit in advisory.credits
        ],
        "database_specific": {
            "cwe_ids": list(advisory.weaknesses),
            "revision": advisory.revision,
            "tlp": advisory.tlp.value,
        },
    }
    scores = [score(vector) for vector in advisory.cvss]
    if scores:
        record["severity"] = [
            {"type": f"CVSS_V{scored.version[0]}", "score": scored.vector} for scored in scores
        ]
    return record


def _osv_affected(product: Product) -> dict[str, Any]:
    purl = product.purl
    kind = "SEMVER" if purl.type in _SEMVER_TYPES else "ECOSYSTEM"
    affected: dict[str, Any] = {
        "ranges": [{"type": kind, "events": _event(stated)} for stated in product.ranges],
        "versions": list(product.versions),
        "database_specific": {"purl": product.package},
    }
    if product.ecosystem:
        name = purl.name
        if purl.namespace is not None and purl.type != "deb":
            separator = ":" if purl.type == "maven" else "/"
            name = f"{purl.namespace}{separator}{purl.name}"
        affected["package"] = {
            "ecosystem": product.ecosystem,
            "name": name,
            "purl": product.package,
        }
    if product.fixed_version is not None:
        affected["database_specific"]["fixed_version"] = product.fixed_version
    return affected


def _openvex(advisory: Advisory) -> dict[str, Any]:
    vulnerability = {
        "name": advisory.cve or advisory.id,
        "description": advisory.summary,
        "aliases": sorted({advisory.id, *advisory.aliases} - {advisory.cve or advisory.id}),
    }
    statements: list[dict[str, Any]] = []
    for product in advisory.products:
        purl = product.purl
        named = [
            str(purl.qualified(vers=vers.write(purl.type, stated))) for stated in product.ranges
        ]
        named += [str(purl.at(version)) for version in product.versions]
        statements.append(
            {
                "vulnerability": vulnerability,
                "status": "affected",
                "products": [_openvex_product(text) for text in dict.fromkeys(named)],
                "action_statement": product.advice,
            }
        )
        if product.fixed_versions:
            fixed = [str(purl.at(version)) for version in product.fixed_versions]
            statements.append(
                {
                    "vulnerability": vulnerability,
                    "status": "fixed",
                    "products": [_openvex_product(text) for text in fixed],
                }
            )
    return {
        "@context": openvex.CONTEXT,
        "@id": f"{advisory.publisher.namespace.rstrip('/')}/openvex/{advisory.id}",
        "author": advisory.publisher.name,
        "role": "Coordinator",
        "timestamp": rfc3339(advisory.published),
        "last_updated": rfc3339(advisory.modified),
        "version": advisory.revision,
        "tooling": "Clearhold",
        "statements": statements,
    }


def _openvex_product(text: str) -> dict[str, Any]:
    return {"@id": text, "identifiers": {"purl": text}}


def _cve(advisory: Advisory, cve: str) -> dict[str, Any]:
    provider = {
        "orgId": advisory.publisher.cve_org_id,
        "shortName": advisory.publisher.cve_short_name,
        "dateUpdated": rfc3339(advisory.modified),
    }
    container: dict[str, Any] = {
        "providerMetadata": provider,
        "title": advisory.title,
        "datePublic": rfc3339(advisory.published),
        "descriptions": [{"lang": "en", "value": advisory.details}],
        "affected": [_cve_product(product) for product in advisory.products],
        "references": [
            {"url": reference.url, "name": reference.summary}
            | ({"tags": [_CVE_TAGS[reference.kind]]} if reference.kind in _CVE_TAGS else {})
            for reference in advisory.references
        ],
        "solutions": [
            {"lang": "en", "value": text}
            for text in dict.fromkeys(product.advice for product in advisory.products)
        ],
        "source": {"advisory": advisory.id, "discovery": "EXTERNAL"},
    }
    if advisory.weaknesses:
        container["problemTypes"] = [
            {"descriptions": [_cve_weakness(weakness)]} for weakness in advisory.weaknesses
        ]
    if advisory.cvss:
        container["metrics"] = [_cve_metric(vector) for vector in dict.fromkeys(advisory.cvss)]
    if advisory.credits:
        container["credits"] = [
            {"lang": "en", "value": credit.name, "type": credit.role.value}
            for credit in dict.fromkeys(advisory.credits)
        ]
    return {
        "dataType": "CVE_RECORD",
        "dataVersion": cve_record.DATA_VERSION,
        "cveMetadata": {
            "cveId": cve,
            "assignerOrgId": provider["orgId"],
            "assignerShortName": provider["shortName"],
            "state": "PUBLISHED",
            "datePublished": rfc3339(advisory.published),
            "dateUpdated": rfc3339(advisory.modified),
        },
        "containers": {"cna": container},
    }


def _cve_weakness(weakness: str) -> dict[str, str]:
    return {"lang": "en", "type": "CWE", "cweId": weakness, "description": weakness}


def _cve_metric(vector: str) -> dict[str, Any]:
    scored = score(vector)
    metric: dict[str, Any] = {
        "version": scored.version,
        "vectorString": scored.vector,
        "baseScore": scored.base_score,
    }
    if scored.version != "2.0":
        metric["baseSeverity"] = scored.base_severity
    return {"format": "CVSS", f"cvssV{scored.version.replace('.', '_')}": metric}


def _cve_product(product: Product) -> dict[str, Any]:
    version_type = _VERSION_TYPES.get(product.purl.type, "semver")
    versions: list[dict[str, str]] = []
    for stated in product.ranges:
        entry = {"version": stated.introduced, "status": "affected", "versionType": version_type}
        if stated.last_affected is not None:
            entry["lessThanOrEqual"] = stated.last_affected
        else:
            entry["lessThan"] = stated.fixed if stated.fixed is not None else "*"
        versions.append(entry)
    for status, listed in (("affected", product.versions), ("unaffected", product.fixed_versions)):
        versions += [
            {"version": version, "status": status, "versionType": version_type}
            for version in dict.fromkeys(listed)
        ]
    return {
        "vendor": product.vendor,
        "product": product.purl.name,
        "packageURL": product.package,
        "defaultStatus": "unaffected",
        "versions": versions,
    }
