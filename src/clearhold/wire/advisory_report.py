"""What a finder says in the format of an advisory: one flaw in some products, not published yet.

Readers of OSV, CSAF and CVE records for submission answer with these. The readers for comparing
what published documents claim are others (`osv`, `csaf_document`, `cve_record`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Range
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for

MAX_PRODUCTS = 1000


@dataclass(frozen=True, slots=True)
class Product:
    """A product said to be affected: its package with a version, or why there is none."""

    package: Purl | None
    place: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AdvisoryReport:
    """One flaw; `places` says by JSON pointer where each field stood."""

    names: tuple[str, ...]
    title: str
    description: str
    weaknesses: tuple[str, ...]
    severities: tuple[str, ...]
    references: tuple[str, ...]
    products: tuple[Product, ...]
    place: str
    places: Mapping[str, str] = field(default_factory=dict)


def newest(purl_type: str, versions: Iterable[str], ranges: Sequence[Range]) -> str | None:
    """One version that is certainly affected: the newest of those named, by the type's scheme.

    Named are listed versions, and the ends of ranges that lie within them.
    """
    named = [*versions]
    named += [each.last_affected for each in ranges if each.last_affected is not None]
    if not named:
        named = [each.introduced for each in ranges if each.introduced not in {"", "0"}]
    return newest_of(purl_type, named)


def newest_of(purl_type: str, named: Sequence[str]) -> str | None:
    """The newest of some versions; where the scheme cannot tell, the last one given."""
    best: tuple[bytes, str] | None = None
    try:
        scheme = scheme_for(purl_type)
        for version in named:
            key = scheme.key(version)
            if best is None or key > best[0]:
                best = (key, version)
    except InvalidError:
        return named[-1] if named else None
    return best[1] if best else None


def product(text: str, version: str | None, place: str) -> Product:
    """A product from its package URL, with its own version or the one given."""
    try:
        package = Purl.parse(text)
        if package.version is None and version is not None:
            package = Purl.parse(f"{package.package}").at(version)
    except InvalidError as refused:
        return Product(None, place, refused.message)
    if package.version is None:
        return Product(None, place, "No affected version is named.")
    return Product(package, place)


def named_generically(vendor: str, name: str, version: str | None, place: str) -> Product:
    """A product known by names alone, as `pkg:generic/vendor/name@version`."""
    known = [each.strip() for each in (vendor, name) if each.strip().lower() not in {"", "n/a"}]
    if not known or known[-1] != name.strip():
        return Product(None, place, "The product has no package URL and no name.")
    if (
        version is None
        or re.search(r"[*<>|]|^vers:", version)
        or version.strip().lower() in {"", "n/a", "*", "unspecified", "unknown"}
    ):
        return Product(None, place, "The product names no affected version.")
    try:
        package = Purl.parse("pkg:generic/" + "/".join(quote(each, safe="") for each in known))
        return Product(Purl.parse(str(package.at(version.strip()))), place)
    except InvalidError as refused:
        return Product(None, place, refused.message)
