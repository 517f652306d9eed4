"""OpenVEX 0.2.0: which versions are affected, fixed or not affected, one by one.

`SCHEMA` is this project's own statement of the published format; it accepts nothing the official
schema refuses. OpenVEX has no ranges of its own, so a range is written as the `vers` qualifier of
the package's purl, beside the single versions that are known.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.wire import vers
from clearhold.wire.claims import Claims, ClaimsBuilder
from clearhold.wire.json_bounds import decode, decode_object
from clearhold.wire.schema_check import SchemaCheck

CONTEXT = "https://openvex.dev/ns/v0.2.0"

JUSTIFICATIONS = (
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
)

_TEXT = {"type": "string"}
_IRI = {"type": "string", "format": "iri"}
_INSTANT = {"type": "string", "format": "date-time"}
_COUNT = {"type": "integer", "minimum": 1}
_DIGESTS = [
    "md5",
    "sha1",
    "sha-256",
    "sha-384",
    "sha-512",
    "sha3-224",
    "sha3-256",
    "sha3-384",
    "sha3-512",
    "blake2s-256",
    "blake2b-256",
    "blake2b-512",
]


def _object(required: str = "", **members: object) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": members,
        "required": required.split(),
        "additionalProperties": False,
    }


def _list(items: object, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "uniqueItems": True, "minItems": least}


def _named(**more: object) -> dict[str, Any]:
    """A product or part of one: named by an IRI, by identifiers, or by both."""
    identifiers = {**_object("", purl=_TEXT, cpe22=_TEXT, cpe23=_TEXT), "minProperties": 1}
    hashes = _object("", **dict.fromkeys(_DIGESTS, _TEXT))
    members = {"@id": _IRI, "identifiers": identifiers, "hashes": hashes, **more}
    return {
        **_object("", **members),
        "anyOf": [{"required": ["@id"]}, {"required": ["identifiers"]}],
    }


def _statement(required: str, *, status: object) -> dict[str, Any]:
    members = {
        "@id": _IRI,
        "version": _COUNT,
        "vulnerability": _object(
            "name", **{"@id": _IRI}, name=_TEXT, description=_TEXT, aliases=_list(_TEXT)
        ),
        "timestamp": _INSTANT,
        "last_updated": _INSTANT,
        "products": _list(_named(subcomponents=_list(_named()))),
        "status": status,
        "supplier": _TEXT,
        "status_notes": _TEXT,
        "justification": {"enum": list(JUSTIFICATIONS)},
        "impact_statement": _TEXT,
        "action_statement": _TEXT,
        "action_statement_timestamp": _INSTANT,
    }
    return _object(f"vulnerability status {required}", **members)


SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "OpenVEX document",
    **_object(
        "@context @id author timestamp version statements",
        **{"@context": {"const": CONTEXT}, "@id": _IRI},
        author=_TEXT,
        role=_TEXT,
        timestamp=_INSTANT,
        last_updated=_INSTANT,
        version=_COUNT,
        tooling=_TEXT,
        statements=_list(
            {
                "anyOf": [
                    _statement("", status={"enum": ["fixed", "under_investigation"]}),
                    _statement("action_statement", status={"const": "affected"}),
                    _statement("justification", status={"const": "not_affected"}),
                    _statement("impact_statement", status={"const": "not_affected"}),
                ]
            },
            least=1,
        ),
    ),
}

_CHECK = SchemaCheck(SCHEMA)


def problems(data: bytes) -> tuple[str, ...]:
    """Where `data` breaks `SCHEMA`; raises as `json_bounds.decode` when it is no JSON object."""
    return _CHECK.problems(decode_object(data, what="OpenVEX"))


class _Identifiers(msgspec.Struct):
    purl: str | None = None


class _Product(msgspec.Struct):
    id: str | None = msgspec.field(default=None, name="@id")
    identifiers: _Identifiers | None = None


class _Vulnerability(msgspec.Struct):
    name: str
    aliases: list[str] = []


class _Statement(msgspec.Struct):
    vulnerability: _Vulnerability
    status: Literal["not_affected", "affected", "fixed", "under_investigation"]
    products: list[_Product] = []


class _Document(msgspec.Struct):
    statements: list[_Statement]


def read(data: bytes) -> Claims:
    """What an OpenVEX document says of products named by purl.

    Raises `InvalidError` when it is unreadable, names no affected product by purl, or states a
    product as affected without saying which versions.
    """
    document = decode(data, _Document, what="OpenVEX")
    claims = ClaimsBuilder()
    names: set[str] = set()
    for statement in document.statements:
        names |= {statement.vulnerability.name, *statement.vulnerability.aliases}
        for product in statement.products:
            text = _purl_of(product)
            if text is None:
                continue
            key, purl = claims.package(text), Purl.parse(text)
            if statement.status == "affected":
                _add_affected(claims, key, purl)
            elif statement.status in {"fixed", "not_affected"} and purl.version is not None:
                claims.add_fixed(key, purl.version)
    return claims.build(names)


def _purl_of(product: _Product) -> str | None:
    if product.identifiers is not None and product.identifiers.purl is not None:
        return product.identifiers.purl
    return product.id if product.id is not None and product.id.startswith("pkg:") else None


def _add_affected(claims: ClaimsBuilder, key: str, purl: Purl) -> None:
    stated = purl.qualifiers.get("vers")
    if stated is not None:
        _, ranges, versions = vers.read(stated)
        claims.add(key, ranges=ranges, versions=versions)
    elif purl.version is not None:
        claims.add(key, versions=(purl.version,))
    else:
        raise InvalidError(
            "The OpenVEX document states a product as affected without a version or a range.",
            next_step="Name the version in the purl, or a range in its vers qualifier.",
        )
