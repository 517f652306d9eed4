"""An inventory and what its operator says of the asset it describes.

The asset's words are those of SSVC 2026-07 (System Exposure, Safety Impact, Mission Impact) and of
CISA BOD 26-04 (publicly exposed). What an operator does not know stays "unknown" and is later
decided at its worst.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import InventoryId, PartyId

LONGEST_NAME: Final = 80


class Exposure(StrEnum):
    """How reachable the asset's attack surface is (SSVC System Exposure 1.0.1)."""

    SMALL = "small"
    CONTROLLED = "controlled"
    OPEN = "open"
    UNKNOWN = "unknown"


class Known(StrEnum):
    """Yes, no, or not known."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class SafetyImpact(StrEnum):
    """Harm to people when the asset fails (SSVC Safety Impact 2.0.1)."""

    NEGLIGIBLE = "negligible"
    MARGINAL = "marginal"
    CRITICAL = "critical"
    CATASTROPHIC = "catastrophic"
    UNKNOWN = "unknown"


class MissionImpact(StrEnum):
    """Harm to the operator's mission when the asset fails (SSVC Mission Impact 2.0.0)."""

    DEGRADED = "degraded"
    SUPPORT_CRIPPLED = "support-crippled"
    ESSENTIAL_FAILURE = "essential-failure"
    MISSION_FAILURE = "mission-failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AssetProfile:
    """What decides how urgent a flaw is on this asset; by default nothing is known."""

    exposure: Exposure = Exposure.UNKNOWN
    publicly_exposed: Known = Known.UNKNOWN
    safety_impact: SafetyImpact = SafetyImpact.UNKNOWN
    mission_impact: MissionImpact = MissionImpact.UNKNOWN


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A component that cannot be matched by its package URL, and why."""

    name: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """The newest revision of one inventory, as its operator sees it.

    `components` counts those that are matched; `left_out` lists the others, at most a thousand.
    """

    id: InventoryId
    name: str
    revision: int
    uploaded_at: datetime
    profile: AssetProfile
    components: int
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A newest revision that holds the package asked for; nothing of it is opened yet."""

    inventory: InventoryId
    revision: int
    party: PartyId


@dataclass(frozen=True, slots=True)
class Holding:
    """What one inventory holds, opened for matching.

    `coordinates` are canonical purls with a version, each once.
    """

    inventory: InventoryId
    revision: int
    party: PartyId
    name: str
    profile: AssetProfile
    coordinates: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def plain_name(name: str) -> str:
    """A component's name as names are compared where no usable package URL is given."""
    return name.casefold().replace("_", "-")


def check_name(name: str) -> None:
    """Raise `InvalidError` unless `name` can name an inventory."""
    hidden = any(unicodedata.category(char)[0] == "C" for char in name)
    if not name.strip() or len(name) > LONGEST_NAME or hidden:
        raise InvalidError(
            f"An inventory's name is 1 to {LONGEST_NAME} printable characters.",
            next_step="Choose a short name, such as the system's own.",
        )
