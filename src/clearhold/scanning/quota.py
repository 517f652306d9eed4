"""Counting what a party asks, so that asking often and ever more narrowly maps nobody.

Each attempt is written down before it is answered: the ledger says that it was made and under which
digest, and the answer leaves the hub only once that is committed. The counts depend on the asker's
own attempts alone, so a refusal for their sake tells nothing of anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clearhold.access.model import Actor
from clearhold.kernel.errors import LimitError
from clearhold.kernel.ids import new_id
from clearhold.scanning import claim_records as records
from clearhold.scanning.claim_records import Attempt, Kind
from clearhold.scanning.lanes import Entered, Lanes
from clearhold.scanning.limits import DAY, Limits
from clearhold.scanning.scope import Scope
from clearhold.store.unit_of_work import UnitOfWork

PLACE = ("scan_attempt", "scope")


@dataclass(frozen=True, slots=True)
class Allowed:
    """An attempt that may be answered, and how.

    `narrower`: it overlaps one that was told of others; `advice`: free scopes may be named, and
    `near` some of the same package.
    """

    narrower: bool
    advice: bool
    near: bool


class Quota:
    """Admits and notes attempts."""

    def __init__(self, lanes: Lanes, limits: Limits) -> None:
        self._lanes = lanes
        self._limits = limits

    def admit(self, unit: UnitOfWork, actor: Actor, lane: Entered, wanted: Scope) -> Allowed:
        """Whether a claim may be answered now. Raises `LimitError` when the day's answers are used."""
        limits, since = self._limits, unit.now - DAY
        records.forget_attempts(unit, lane.name, since)
        earlier = records.attempts_since(unit, actor.party, since, lane=lane.name)
        claims = [each for each in earlier if each.kind is Kind.CLAIM]
        told = [each for each in claims if each.told]
        if len(claims) >= limits.answers:
            raise _used_up(claims[0].asked_at)
        if len(told) >= limits.told:
            raise _used_up(told[0].asked_at)
        if records.how_many_since(unit, actor.party, since) >= limits.answers_in_all:
            raise LimitError(
                "Your party has had as many answers to claims as a day allows.",
                next_step="Keep the leases you hold, and claim wider ones later.",
            )
        kept = [(each.id, each.scope) for each in told if each.scope is not None]
        scopes = self._lanes.open(unit, lane.within, PLACE, kept)
        narrower = any(wanted.overlap(each) for each in scopes)
        advised = records.how_many_since(unit, actor.party, since, advised=True)
        return Allowed(narrower, advice=advised < limits.advice, near=not told)

    def admit_wait(self, unit: UnitOfWork, actor: Actor, lane: Entered) -> None:
        """Whether a party may join a queue now. Raises `LimitError`."""
        limits, since = self._limits, unit.now - DAY
        earlier = records.attempts_since(unit, actor.party, since, lane=lane.name)
        places = [each for each in earlier if each.kind is Kind.WAIT]
        if len(places) >= limits.waits:
            raise _used_up(places[0].asked_at)
        if records.waits_since(unit, actor.party, since) >= limits.waits_in_all:
            raise LimitError(
                "Your party has joined as many queues as a day allows.",
                next_step="Leave the places you have, and ask again tomorrow.",
            )

    def note(
        self,
        unit: UnitOfWork,
        actor: Actor,
        lane: Entered,
        wanted: Scope,
        *,
        kind: Kind,
        digest: bytes,
        told: bool,
        advised: bool = False,
    ) -> str:
        """Write an attempt down, and in the ledger what it is committed to; its id."""
        identity = new_id(unit.now)
        sealed = None
        if told:
            sealed = self._lanes.seal(unit, lane.within, (*PLACE, identity), wanted)
        records.add_attempt(
            unit,
            Attempt(identity, actor.party, lane.name, unit.now, kind, told, advised, sealed),
        )
        unit.record(
            "scanning:claim:commit",
            actor=actor.principal,
            subject=actor.party,
            detail={"attempt": identity, "digest": digest.hex()},
        )
        return identity


def _used_up(oldest: datetime) -> LimitError:
    again = oldest + DAY
    return LimitError(
        "Your party has had as many answers about this package as a day allows.",
        next_step=f"Join the queue for what you want, or ask again after {again.isoformat()}.",
        facts={"again_at": again.isoformat()},
    )
