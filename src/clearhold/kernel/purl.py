"""Package URLs (ECMA-427, "purl"): how the product names software, everywhere.

Parsing and normalisation are packageurl-python's; this adds bounds and one error family.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from packageurl import PackageURL

from clearhold.kernel.errors import InvalidError

MAX_LENGTH = 1024

_NEXT_STEP = "Write it as pkg:type/namespace/name@version, for example pkg:pypi/ujson@5.1.0."


@dataclass(frozen=True, slots=True)
class Purl:
    """One package, at a version when `version` is not None.

    Every part is held decoded and normalised for its type (PyPI names lower-case with hyphens,
    and so on); `str()` gives the canonical text, equal for equal packages.
    """

    type: str
    name: str
    namespace: str | None = None
    version: str | None = None
    qualifiers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    subpath: str | None = None

    @classmethod
    def parse(cls, text: str) -> Purl:
        """Read `text`; raises `InvalidError` when it is not a package URL within the bounds."""
        if len(text) > MAX_LENGTH:
            raise InvalidError(
                f"The package URL is {len(text)} characters long; at most {MAX_LENGTH} are taken.",
                next_step=_NEXT_STEP,
            )
        shown = text if text.isprintable() else ascii(text)
        try:
            parsed = PackageURL.from_string(text.strip())
            canonical = parsed.to_string()
        except (ValueError, TypeError, AttributeError) as problem:
            raise InvalidError(
                f"{shown!r} is not a package URL.", next_step=_NEXT_STEP
            ) from problem
        if not canonical.isprintable() or not _clean(parsed):
            raise InvalidError(
                f"The package URL {text!a} holds control characters.", next_step=_NEXT_STEP
            )
        name, namespace = parsed.name, parsed.namespace
        if parsed.type == "nuget":
            name = name.lower()  # NuGet takes ids of any case for one package
        if parsed.type in {"deb", "rpm"} and namespace:
            namespace = (
                namespace.lower()
            )  # vendors are case-insensitive, says the type's definition
        if parsed.type == "pypi":
            if parsed.namespace:
                raise InvalidError("PyPI knows no namespaces.", next_step=_NEXT_STEP)
            name = re.sub(r"[-_.]+", "-", name).lower()  # PEP 503: one project, one name
        qualifiers = parsed.qualifiers if isinstance(parsed.qualifiers, dict) else {}
        return cls(
            type=parsed.type,
            namespace=namespace,
            name=name,
            version=parsed.version,
            qualifiers=MappingProxyType(dict(sorted(qualifiers.items()))),
            subpath=parsed.subpath,
        )

    @property
    def package(self) -> Purl:
        """The package without version, qualifiers and subpath: what advisories are matched on."""
        return Purl(type=self.type, namespace=self.namespace, name=self.name)

    def at(self, version: str) -> Purl:
        """The same package at `version`."""
        return Purl(
            type=self.type,
            namespace=self.namespace,
            name=self.name,
            version=version,
            qualifiers=self.qualifiers,
            subpath=self.subpath,
        )

    def qualified(self, **qualifiers: str) -> Purl:
        """The same package with exactly these qualifiers."""
        return Purl(
            type=self.type,
            namespace=self.namespace,
            name=self.name,
            version=self.version,
            qualifiers=MappingProxyType(dict(sorted(qualifiers.items()))),
            subpath=self.subpath,
        )

    def __str__(self) -> str:
        return PackageURL(
            type=self.type,
            namespace=self.namespace,
            name=self.name,
            version=self.version,
            qualifiers=dict(self.qualifiers),
            subpath=self.subpath,
        ).to_string()


def _clean(parsed: PackageURL) -> bool:
    parts = (parsed.namespace, parsed.name, parsed.version, parsed.subpath)
    return all(part is None or part.isprintable() for part in parts)
