"""CISA Binding Operational Directive 26-04: how soon a federal agency must remediate.

Four facts decide: known exploitation (the KEV catalogue), public exposure of the asset, whether an
attack can be automated, and how much control it gives.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from clearhold.kernel.decisions.points import AUTOMATABLE, SOURCE
from clearhold.kernel.decisions.table import Decision, DecisionPoint, DecisionTable
from clearhold.kernel.errors import InvalidError

YesNo = Literal["N", "Y", "unknown"]
TechnicalImpact = Literal["P", "T", "unknown"]

VERSION = "1.0.0"

TABLE = DecisionTable(
    id="cisa:DT_BOD2604:1.0.0",
    version=VERSION,
    source=SOURCE,
    inputs=(
        DecisionPoint("cisa:KEV:1.0.0", "known_exploited", {"N": "no", "Y": "yes"}),
        DecisionPoint("cisa:PE:1.0.0", "publicly_exposed", {"N": "no", "Y": "yes"}),
        AUTOMATABLE,
        DecisionPoint("ssvc:TI:1.0.0", "technical_impact", {"P": "partial", "T": "total"}),
    ),
    outcome=DecisionPoint(
        "cisa:BOD2604:1.0.0",
        "remediate_within",
        {
            "FSU": "with the next system upgrade",
            "60D": "60 days",
            "14D": "14 days",
            "3D": "3 days",
            "3DF": "3 days, with a forensic investigation",
        },
    ),
    # one line per exploited/exposed pair; automatable no, then yes; impact partial, total
    rows=(
        *("FSU", "FSU", "60D", "60D"),
        *("60D", "14D", "14D", "3D"),
        *("14D", "14D", "14D", "3DF"),
        *("14D", "3DF", "3D", "3DF"),
    ),
)

_DAYS = {"FSU": None, "60D": 60, "14D": 14, "3D": 3, "3DF": 3}


def decide(
    *,
    known_exploited: YesNo,
    publicly_exposed: YesNo,
    automatable: YesNo,
    technical_impact: TechnicalImpact,
) -> Decision:
    """The directive's answer; what is unknown counts at its worst and is reported as assumed."""
    return TABLE.decide(
        {
            "known_exploited": known_exploited,
            "publicly_exposed": publicly_exposed,
            "automatable": automatable,
            "technical_impact": technical_impact,
        }
    )


def allowed_time(outcome: str) -> timedelta | None:
    """How long the directive allows for `outcome`; None means until the next system upgrade.

    Raises `InvalidError` for an outcome the table does not have.
    """
    if outcome not in _DAYS:
        raise InvalidError(
            f"{outcome!a} is no outcome of {TABLE.id}.",
            next_step=f"Use one of {', '.join(_DAYS)}.",
        )
    days = _DAYS[outcome]
    return None if days is None else timedelta(days=days)
