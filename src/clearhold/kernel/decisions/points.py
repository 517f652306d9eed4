"""SSVC decision points that several tables share (CERT/CC SSVC, 2026-07)."""

from __future__ import annotations

from clearhold.kernel.decisions.table import DecisionPoint

SOURCE = "CERTCC/SSVC e3b00a25 (2026-07-20), data/json/decision_tables"

AUTOMATABLE = DecisionPoint("ssvc:A:2.0.0", "automatable", {"N": "no", "Y": "yes"})

HUMAN_IMPACT = DecisionPoint(
    "ssvc:HI:2.0.2",
    "human_impact",
    {"L": "low", "M": "medium", "H": "high", "VH": "very high"},
)
