"""Findings as scrutineer exports and takes them: its JSON with a `findings` array.

The members are those of its import page; what it adds for its own workflow is passed over. The
repository and commit at the top hold for every finding that states none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from clearhold.kernel.errors import TooLargeError
from clearhold.wire.json_bounds import Limits, decode

MAX_FINDINGS = 1000
_LIMITS = Limits(size=16 * 1024 * 1024, depth=32)
_GITHUB = re.compile(r"https?://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?", re.ASCII)


class Exported(msgspec.Struct):
    """One finding; the texts `boundary` to `rating` are the auditor's reasoning."""

    title: str | None = None
    description: str | None = None
    cwe: str | None = None
    severity: str | None = None
    cvss_vector: str | None = None
    location: str | None = None
    locations: str | None = None
    sub_path: str | None = None
    patch: str | None = None
    suggested_fix: str | None = None
    commit: str | None = None
    cve_id: str | None = None
    boundary: str | None = None
    validation: str | None = None
    prior_art: str | None = None
    reach: str | None = None
    rating: str | None = None


class _Document(msgspec.Struct):
    findings: list[Exported]
    repository: str | None = None
    commit: str | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """The findings of one repository; `package` is its package URL, "" when it has none here."""

    tool: str
    package: str
    commit: str
    findings: tuple[Exported, ...]


def read(data: bytes) -> Export:
    """The export in `data`; raises `InvalidError` and `TooLargeError`."""
    given = decode(data, _Document, limits=_LIMITS, what="scrutineer")
    if len(given.findings) > MAX_FINDINGS:
        raise TooLargeError(
            f"The export has {len(given.findings)} findings; at most {MAX_FINDINGS} are taken.",
            next_step="Export repository by repository.",
        )
    found = _GITHUB.fullmatch((given.repository or "").strip())
    package = f"pkg:github/{found[1].lower()}/{found[2].lower()}" if found else ""
    return Export(given.tool or "", package, given.commit or "", tuple(given.findings))
