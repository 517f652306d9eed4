"""What an operator must do about one advisory on one system, and how urgent that is.

Urgency is decided twice: by CISA BOD 26-04, which sets the due date, and by the SSVC deployer
table, which ranks. Both keep every input with its source, so that anybody can decide again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from clearhold.advisories.draft import Automatable, Exploitation, PriorityFacts, TechnicalImpact
from clearhold.findings.danger import Danger
from clearhold.inventory.model import AssetProfile, Exposure, Known, MissionImpact, SafetyImpact
from clearhold.kernel.decisions import Decision, bod_26_04, human_impact, ssvc_deployer
from clearhold.kernel.matching import Verdict
from clearhold.wire.receipt import ReceiptState

COLLISION: Final = "collision"


class ActionState(StrEnum):
    """Where an action stands; those after `open` and `not_present` are told by receipts."""

    OPEN = "open"
    NOT_PRESENT = "not_present"
    RECEIVED = "received"
    VERIFIED = "verified"
    STAGED = "staged"
    APPLIED = "applied"
    VERIFIED_FIXED = "verified_fixed"
    ROLLED_BACK = "rolled_back"
    DECLINED = "declined"


DONE: Final = frozenset({ActionState.VERIFIED_FIXED, ActionState.NOT_PRESENT})


@dataclass(frozen=True, slots=True)
class Input:
    """One fact that went into a decision, and where it comes from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Reasoned:
    """What a published table answers to these inputs; `assumed` names those taken at their worst.

    `rank` is the outcome's place in its scale, 0 for the mildest.
    """

    table: str
    inputs: tuple[Input, ...]
    assumed: tuple[str, ...]
    outcome: str
    outcome_name: str
    rank: int


@dataclass(frozen=True, slots=True)
class Priority:
    """The three decisions, each recomputable from its inputs.

    `beside` is what no published table asks for and changes no outcome or date: the danger class of
    a flaw that several found puts the more dangerous first where the tables see no difference.
    """

    directive: Reasoned
    human_impact: Reasoned
    deployer: Reasoned
    beside: tuple[Input, ...] = ()

    @property
    def danger_rank(self) -> int:
        """The place of the danger class in its scale; the mildest when none was recorded."""
        named = (each.value for each in self.beside if each.name == COLLISION)
        return Danger(next(named, Danger.SINGLE)).rank

    def due(self, starts_at: datetime) -> datetime | None:
        """When it must be done, counted from `starts_at`; None means with the next upgrade."""
        allowed = bod_26_04.allowed_time(self.directive.outcome)
        return None if allowed is None else starts_at + allowed


@dataclass(frozen=True, slots=True)
class Hit:
    """A component that is affected, or of which that cannot be told, and why."""

    component: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, in words for whoever does it."""

    what: str
    where: str
    when: str
    who: str
    if_you_cannot_patch: str


_EXPLOITATION: Final[dict[Exploitation, ssvc_deployer.Exploitation]] = {
    Exploitation.NONE: "N",
    Exploitation.POC: "P",
    Exploitation.ACTIVE: "A",
    Exploitation.UNKNOWN: "unknown",
}
_KNOWN_EXPLOITED: Final[dict[Exploitation, bod_26_04.YesNo]] = {
    Exploitation.NONE: "N",
    Exploitation.POC: "N",
    Exploitation.ACTIVE: "Y",
    Exploitation.UNKNOWN: "unknown",
}
_AUTOMATABLE: Final[dict[Automatable, Literal["N", "Y", "unknown"]]] = {
    Automatable.NO: "N",
    Automatable.YES: "Y",
    Automatable.UNKNOWN: "unknown",
}
_TECHNICAL: Final[dict[TechnicalImpact, bod_26_04.TechnicalImpact]] = {
    TechnicalImpact.PARTIAL: "P",
    TechnicalImpact.TOTAL: "T",
    TechnicalImpact.UNKNOWN: "unknown",
}
_EXPOSURE: Final[dict[Exposure, ssvc_deployer.SystemExposure]] = {
    Exposure.SMALL: "S",
    Exposure.CONTROLLED: "C",
    Exposure.OPEN: "O",
    Exposure.UNKNOWN: "unknown",
}
_EXPOSED: Final[dict[Known, bod_26_04.YesNo]] = {
    Known.NO: "N",
    Known.YES: "Y",
    Known.UNKNOWN: "unknown",
}
_SAFETY: Final[dict[SafetyImpact, human_impact.SafetyImpact]] = {
    SafetyImpact.NEGLIGIBLE: "N",
    SafetyImpact.MARGINAL: "M",
    SafetyImpact.CRITICAL: "R",
    SafetyImpact.CATASTROPHIC: "C",
    SafetyImpact.UNKNOWN: "unknown",
}
_MISSION: Final[dict[MissionImpact, human_impact.MissionImpact]] = {
    MissionImpact.DEGRADED: "D",
    MissionImpact.SUPPORT_CRIPPLED: "MSC",
    MissionImpact.ESSENTIAL_FAILURE: "MEF",
    MissionImpact.MISSION_FAILURE: "MF",
    MissionImpact.UNKNOWN: "unknown",
}


def prioritise(
    profile: AssetProfile,
    facts: PriorityFacts,
    *,
    profile_source: str,
    collision: Danger = Danger.SINGLE,
) -> Priority:
    """Decide how urgent an advisory with `facts` is on an asset with `profile`.

    Known exploitation follows from the advisory's exploitation: only "active" counts as known.
    """
    directive = bod_26_04.decide(
        known_exploited=_KNOWN_EXPLOITED[facts.exploitation],
        publicly_exposed=_EXPOSED[profile.publicly_exposed],
        automatable=_AUTOMATABLE[facts.automatable],
        technical_impact=_TECHNICAL[facts.technical_impact],
    )
    people = human_impact.decide(
        safety_impact=_SAFETY[profile.safety_impact],
        mission_impact=_MISSION[profile.mission_impact],
    )
    # The table answers one of its own keys, so narrowing the text to them is sound.
    impact = next(key for key in _IMPACTS if key == people.outcome)
    deployer = ssvc_deployer.decide(
        exploitation=_EXPLOITATION[facts.exploitation],
        system_exposure=_EXPOSURE[profile.exposure],
        automatable=_AUTOMATABLE[facts.automatable],
        human_impact=impact,
    )
    sources = {
        "known_exploited": f"exploitation is {facts.exploitation}: {facts.exploitation_source}",
        "exploitation": facts.exploitation_source,
        "automatable": facts.automatable_source,
        "technical_impact": facts.technical_impact_source,
        "publicly_exposed": profile_source,
        "system_exposure": profile_source,
        "safety_impact": profile_source,
        "mission_impact": profile_source,
        "human_impact": f"{people.table_id}, decided from the two impacts",
    }
    return Priority(
        _reasoned(directive, sources),
        _reasoned(people, sources),
        _reasoned(deployer, sources),
        beside=(Input(COLLISION, collision, collision.reason),),
    )


_IMPACTS: Final[tuple[Literal["L", "M", "H", "VH"], ...]] = ("L", "M", "H", "VH")


def _reasoned(decision: Decision, sources: dict[str, str]) -> Reasoned:
    return Reasoned(
        table=decision.table_id,
        inputs=tuple(Input(name, value, sources[name]) for name, value in decision.inputs.items()),
        assumed=tuple(f"{each.input} at {each.value}" for each in decision.assumed),
        outcome=decision.outcome,
        outcome_name=decision.outcome_name,
        rank=decision.rank,
    )


def state_told_by(receipt: ReceiptState) -> ActionState:
    """The state an action is in once this receipt is accepted."""
    return ActionState(receipt.value)
