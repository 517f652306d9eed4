"""SSVC human impact: harm to people and to the mission, taken together, as one input."""

from __future__ import annotations

from typing import Literal

from clearhold.kernel.decisions.points import HUMAN_IMPACT, SOURCE
from clearhold.kernel.decisions.table import Decision, DecisionPoint, DecisionTable

SafetyImpact = Literal["N", "M", "R", "C", "unknown"]
MissionImpact = Literal["D", "MSC", "MEF", "MF", "unknown"]

VERSION = "1.0.0"

TABLE = DecisionTable(
    id="ssvc:DT_HI:1.0.0",
    version=VERSION,
    source=SOURCE,
    inputs=(
        DecisionPoint(
            "ssvc:SI:2.0.1",
            "safety_impact",
            {"N": "negligible", "M": "marginal", "R": "critical", "C": "catastrophic"},
        ),
        DecisionPoint(
            "ssvc:MI:2.0.0",
            "mission_impact",
            {
                "D": "degraded",
                "MSC": "support of an essential function crippled",
                "MEF": "an essential function fails",
                "MF": "the mission fails",
            },
        ),
    ),
    outcome=HUMAN_IMPACT,
    # one line per safety impact; the mission's impact rises along the line
    rows=(
        *("L", "L", "M", "VH"),
        *("L", "L", "M", "VH"),
        *("M", "H", "H", "VH"),
        *("VH", "VH", "VH", "VH"),
    ),
)


def decide(*, safety_impact: SafetyImpact, mission_impact: MissionImpact) -> Decision:
    """The human impact; what is unknown counts at its worst and is reported as assumed."""
    return TABLE.decide({"safety_impact": safety_impact, "mission_impact": mission_impact})
