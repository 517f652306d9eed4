"""CVE records, CVE JSON 5.1, published state: reader and official schema (as cvelib ships it).

Packages are named by `packageURL` (CVE JSON 5.2, which 5.1 lets pass), read together with
`versions` in the record's own terms.
"""

from __future__ import annotations

import importlib.resources
from functools import cache
from typing import Any

import msgspec

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Range
from clearhold.wire.advisory_report import named_generically
from clearhold.wire.claims import Claims, ClaimsBuilder
from clearhold.wire.json_bounds import decode, decode_object
from clearhold.wire.schema_check import SchemaCheck

DATA_VERSION = "5.1"

_SCHEMA_FILE = "schemas/CVE_JSON_bundled_5.1.1.json"


@cache
def _check() -> SchemaCheck:
    published = importlib.resources.files("cvelib").joinpath(_SCHEMA_FILE).read_bytes()
    schema: dict[str, Any] = msgspec.json.decode(published)
    # both record states are tried by the published schema; only this one is ever written, and
    # asking for it alone makes problems readable
    schema.update(schema.pop("oneOf")[0])
    return SchemaCheck(schema)


def problems(data: bytes) -> tuple[str, ...]:
    """Where `data` breaks the schema of a published record; raises as `json_bounds.decode`."""
    return _check().problems(decode_object(data, what="CVE"))


class _Version(msgspec.Struct):
    version: str
    status: str
    less_than: str | None = msgspec.field(default=None, name="lessThan")
    less_than_or_equal: str | None = msgspec.field(default=None, name="lessThanOrEqual")
    changes: list[object] | None = None


class _Product(msgspec.Struct):
    vendor: str | None = None
    product: str | None = None
    package_url: str | None = msgspec.field(default=None, name="packageURL")
    default_status: str | None = msgspec.field(default=None, name="defaultStatus")
    versions: list[_Version] = []


class _Cna(msgspec.Struct):
    affected: list[_Product] = []


class _Containers(msgspec.Struct):
    cna: _Cna


class _Metadata(msgspec.Struct):
    cve_id: str = msgspec.field(name="cveId")


class _Record(msgspec.Struct):
    metadata: _Metadata = msgspec.field(name="cveMetadata")
    containers: _Containers


def read(data: bytes, *, lenient: bool = False) -> Claims:
    """What the numbering authority's container says of products named by package URL.

    Raises `InvalidError` when the record is unreadable, names no affected product that way, or
    says it in a manner whose meaning is not certain (affected by default, changes in a range).
    When `lenient`, products without package URL are `pkg:generic/vendor/product`, and what is not
    certain counts as affected.
    """
    record = decode(data, _Record, what="CVE")
    claims = ClaimsBuilder()
    for product in record.containers.cna.affected:
        name = product.package_url or (_generic(product) if lenient else None)
        if name is None:
            continue
        if lenient:
            _add_leniently(claims, name, product)
            continue
        if product.default_status not in {None, "unaffected", "unknown"}:
            raise _uncertain("a product that is affected by default")
        key = claims.package(name)
        for stated in product.versions:
            _add(claims, key, stated)
    return claims.build({record.metadata.cve_id})


def _generic(product: _Product) -> str | None:
    named = named_generically(product.vendor or "", product.product or "", "0", "")
    return None if named.package is None else str(named.package.package)


def _add_leniently(claims: ClaimsBuilder, name: str, product: _Product) -> None:
    try:
        key = claims.package(name)
    except InvalidError:
        return
    if product.default_status == "affected":
        claims.add(key, ranges=(Range(),))
        return
    claims.add(key)
    for stated in product.versions:
        if stated.changes and stated.status == "affected":
            claims.add(key, ranges=(Range(stated.version),))
        elif not stated.changes:
            _add(claims, key, stated)


def _add(claims: ClaimsBuilder, key: str, stated: _Version) -> None:
    bounded = stated.less_than is not None or stated.less_than_or_equal is not None
    if stated.changes:
        raise _uncertain("a range with changes of status inside")
    if stated.status == "unaffected" and not bounded:
        claims.add_fixed(key, stated.version)
    elif stated.status == "affected" and not bounded:
        claims.add(key, versions=(stated.version,))
    elif stated.status == "affected":
        fixed = None if stated.less_than == "*" else stated.less_than
        last = None if stated.less_than_or_equal == "*" else stated.less_than_or_equal
        claims.add(key, ranges=(Range(stated.version, fixed, last),))


def _uncertain(what: str) -> InvalidError:
    return InvalidError(
        f"The CVE record states {what}, which is not taken.",
        next_step="State affected versions and ranges one by one, unaffected by default.",
    )
