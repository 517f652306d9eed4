"""SSVC deployer table: when the one who runs the software should apply the patch."""

from __future__ import annotations

from typing import Literal

from clearhold.kernel.decisions.points import AUTOMATABLE, HUMAN_IMPACT, SOURCE
from clearhold.kernel.decisions.table import Decision, DecisionPoint, DecisionTable

Exploitation = Literal["N", "P", "A", "unknown"]
SystemExposure = Literal["S", "C", "O", "unknown"]
Automatable = Literal["N", "Y", "unknown"]
HumanImpact = Literal["L", "M", "H", "VH", "unknown"]

VERSION = "1.0.0"

TABLE = DecisionTable(
    id="ssvc:DT_DP:1.0.0",
    version=VERSION,
    source=SOURCE,
    inputs=(
        DecisionPoint(
            "ssvc:E:1.1.0",
            "exploitation",
            {"N": "none", "P": "public proof of concept", "A": "active"},
        ),
        DecisionPoint(
            "ssvc:EXP:1.0.1",
            "system_exposure",
            {"S": "small", "C": "controlled", "O": "open"},
        ),
        AUTOMATABLE,
        HUMAN_IMPACT,
    ),
    outcome=DecisionPoint(
        "ssvc:DSOI:1.0.0",
        "priority",
        {"D": "defer", "S": "scheduled", "O": "out of cycle", "I": "immediate"},
    ),
    # one line per exploitation; exposure small, controlled, open; automatable no then yes, each
    # with human impact low, medium, high, very high
    rows=tuple(
        "DDSSDSSS"
        "DSSSSSSS"
        "DSSSSSSO"  # no exploitation known
        "DSSSSSSS"
        "DSSSSSSO"
        "SSSOSSOO"  # a public proof of concept
        "SSOOSOOO"
        "SSOOOOOO"
        "SOOIOOII"  # exploited
    ),
)


def decide(
    *,
    exploitation: Exploitation,
    system_exposure: SystemExposure,
    automatable: Automatable,
    human_impact: HumanImpact,
) -> Decision:
    """The deployer's priority; what is unknown counts at its worst and is reported as assumed."""
    return TABLE.decide(
        {
            "exploitation": exploitation,
            "system_exposure": system_exposure,
            "automatable": automatable,
            "human_impact": human_impact,
        }
    )
