"""Decision tables of public authorities, held as data so that anybody can recompute a priority."""

from __future__ import annotations

from clearhold.kernel.decisions.table import Assumption, Decision, DecisionPoint, DecisionTable

__all__ = ["Assumption", "Decision", "DecisionPoint", "DecisionTable"]
