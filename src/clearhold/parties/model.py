"""A party and the names it may have."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clearhold.access.permissions import PartyKind
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import PartyId

_HANDLE: Final = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")

SECTORS: Final = (
    "chemical",
    "commercial-facilities",
    "communications",
    "critical-manufacturing",
    "dams",
    "defense-industrial-base",
    "emergency-services",
    "energy",
    "financial-services",
    "food-and-agriculture",
    "government-facilities",
    "healthcare-and-public-health",
    "information-technology",
    "nuclear",
    "transportation",
    "water-and-wastewater",
)
"""The sixteen critical-infrastructure sectors of Presidential Policy Directive 21."""


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation or person that takes part."""

    id: PartyId
    handle: str
    name: str
    kind: PartyKind
    sector: str | None
    registered_at: datetime


def check_name(name: str) -> None:
    """Raise `InvalidError` unless this can be the name of a party or person."""
    unprintable = any(unicodedata.category(char)[0] == "C" for char in name)
    if not name.strip() or len(name) > 200 or unprintable:
        raise InvalidError("A name is 1 to 200 printable characters.", next_step="Shorten it.")


def check_party(handle: str, name: str, *, kind: PartyKind, sector: str | None) -> None:
    """Raise `InvalidError` unless these can describe a party."""
    if _HANDLE.fullmatch(handle) is None:
        raise InvalidError(
            "A handle is 3 to 40 lower-case letters, digits and hyphens, starting with a letter.",
            next_step="Choose another handle.",
        )
    check_name(name)
    if sector is not None and sector not in SECTORS:
        raise InvalidError(
            "The sector is not one of the sixteen critical-infrastructure sectors.",
            next_step=f"Use one of: {', '.join(SECTORS)}.",
        )
    if sector is not None and kind is not PartyKind.OPERATOR:
        raise InvalidError("Only an operator has a sector.", next_step="Leave the sector out.")
