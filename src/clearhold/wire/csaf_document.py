"""CSAF 2.0 documents (OASIS): reader, and validation by the csaf library.

Packages are read from the product tree: a `product_version_range` in VERS or a `product_version`,
each with its purl as identification helper.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, cast

import msgspec

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.wire import vers
from clearhold.wire.claims import Claims, ClaimsBuilder
from clearhold.wire.json_bounds import decode, decode_object

_MAX_PROBLEMS = 20


@cache
def _library() -> Callable[[dict[str, Any]], Any]:
    # importing csaf installs a handler and a level on the root logger, which are the site's to set
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        module = importlib.import_module("csaf.csaf.v20._validator")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return cast("Callable[[dict[str, Any]], Any]", module.validate)


def problems(data: bytes) -> tuple[str, ...]:
    """Where `data` breaks the CSAF 2.0 schema or a mandatory test (section 6.1), at most twenty.

    Raises as `json_bounds.decode` when it is no JSON object.
    """
    report = _library()(decode_object(data, what="CSAF"))
    found = [
        f"{result.id} {error.instance_path}: {error.message[:300]}"
        for result in report.results
        if not result.passed and not result.skipped
        for error in result.errors
    ]
    if not report.overall_valid and not found:
        found = [f"{result.id}: {result.title}" for result in report.results if not result.passed]
    return tuple(found[:_MAX_PROBLEMS])


class _Helper(msgspec.Struct):
    purl: str | None = None


class _Product(msgspec.Struct):
    product_id: str
    helper: _Helper | None = msgspec.field(default=None, name="product_identification_helper")


class _Branch(msgspec.Struct):
    category: str
    name: str
    product: _Product | None = None
    branches: list[_Branch] = []


class _Tree(msgspec.Struct):
    branches: list[_Branch] = []


class _Status(msgspec.Struct):
    known_affected: list[str] = []
    fixed: list[str] = []
    known_not_affected: list[str] = []


class _Id(msgspec.Struct):
    text: str


class _Vulnerability(msgspec.Struct):
    cve: str | None = None
    ids: list[_Id] = []
    product_status: _Status = msgspec.field(default_factory=_Status)


class _Tracking(msgspec.Struct):
    id: str


class _Head(msgspec.Struct):
    tracking: _Tracking


class _Document(msgspec.Struct):
    document: _Head
    product_tree: _Tree = msgspec.field(default_factory=_Tree)
    vulnerabilities: list[_Vulnerability] = []


def read(data: bytes) -> Claims:
    """What a CSAF document says of products named by purl.

    Raises `InvalidError` when it is unreadable, names no affected product by purl, or states an
    affected product whose versions cannot be read.
    """
    document = decode(data, _Document, what="CSAF")
    leaves = {
        branch.product.product_id: branch
        for branch in _leaves(document.product_tree.branches)
        if branch.product is not None
    }
    claims = ClaimsBuilder()
    names = {document.document.tracking.id}
    for vulnerability in document.vulnerabilities:
        names |= {given.text for given in vulnerability.ids}
        if vulnerability.cve is not None:
            names.add(vulnerability.cve)
        status = vulnerability.product_status
        for product_id in status.known_affected:
            _add_affected(claims, leaves.get(product_id))
        for product_id in (*status.fixed, *status.known_not_affected):
            _add_fixed(claims, leaves.get(product_id))
    return claims.build(names)


def _leaves(branches: list[_Branch]) -> Iterator[_Branch]:
    for branch in branches:
        yield branch
        yield from _leaves(branch.branches)


def _purl(branch: _Branch | None) -> str | None:
    if branch is None or branch.product is None or branch.product.helper is None:
        return None
    return branch.product.helper.purl


def _add_affected(claims: ClaimsBuilder, branch: _Branch | None) -> None:
    text = _purl(branch)
    if branch is None or text is None:
        return
    key = claims.package(text)
    if branch.category == "product_version_range":
        _, ranges, versions = vers.read(branch.name)
        claims.add(key, ranges=ranges, versions=versions)
        return
    version = Purl.parse(text).version
    if branch.category != "product_version" or version is None:
        raise InvalidError(
            "The CSAF document states a product as affected whose versions cannot be read.",
            next_step="Use product_version with a versioned purl, or product_version_range.",
        )
    claims.add(key, versions=(version,))


def _add_fixed(claims: ClaimsBuilder, branch: _Branch | None) -> None:
    text = _purl(branch)
    if text is None:
        return
    version = Purl.parse(text).version
    if version is not None:
        claims.add_fixed(claims.package(text), version)
