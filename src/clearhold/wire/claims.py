"""What an advisory document of any format says, reduced to what can be compared.

Readers of OSV, CSAF, OpenVEX and CVE records all answer with `Claims`, so that one question put to
four documents can be seen to have one answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.matching import Affected, Judgement, Range, Verdict, judge
from clearhold.kernel.purl import Purl


@dataclass(frozen=True, slots=True)
class Claims:
    """Per package (canonical purl without version): what is affected, and which versions are fixed.

    `names` are the identifiers the document gives to the vulnerability, its own id included.
    """

    names: frozenset[str]
    affected: Mapping[str, Affected]
    fixed: Mapping[str, frozenset[str]]

    def judge(self, package: str, version: str) -> Judgement:
        """Whether `version` of `package` is affected by what the document says."""
        stated = self.affected.get(package)
        if stated is None:
            return Judgement(Verdict.NOT_AFFECTED, f"{package} is not named.")
        return judge(version, stated)


class ClaimsBuilder:
    """Collects statements about packages in the order a document makes them."""

    def __init__(self) -> None:
        self._ranges: dict[str, dict[Range, None]] = {}
        self._versions: dict[str, dict[str, None]] = {}
        self._fixed: dict[str, set[str]] = {}
        self._types: dict[str, str] = {}

    def package(self, text: str) -> str:
        """The key for the package that purl `text` names; raises `InvalidError` when unreadable."""
        package = Purl.parse(text).package
        key = str(package)
        self._types[key] = package.type
        return key

    def add(self, key: str, *, ranges: Iterable[Range] = (), versions: Iterable[str] = ()) -> None:
        """Ranges and versions of the package `key` are affected."""
        self._ranges.setdefault(key, {}).update(dict.fromkeys(ranges))
        self._versions.setdefault(key, {}).update(dict.fromkeys(versions))

    def add_fixed(self, key: str, version: str) -> None:
        """`version` of the package `key` is free of the flaw."""
        self._fixed.setdefault(key, set()).add(version)

    def build(self, names: Iterable[str]) -> Claims:
        """What was collected; raises `InvalidError` when no package was named."""
        if not self._ranges:
            raise InvalidError(
                "The document names no affected package.",
                next_step="Name each package by its purl.",
            )
        return Claims(
            names=frozenset(names),
            affected={
                key: Affected(
                    self._types[key], tuple(self._ranges[key]), tuple(self._versions[key])
                )
                for key in self._ranges
            },
            fixed={key: frozenset(versions) for key, versions in self._fixed.items()},
        )
