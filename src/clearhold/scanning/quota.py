"""Counting what a party asks, so that asking often and ever more narrowly maps nobody.

Each attempt is written down before it is answered: the ledger says that it was made and under which
digest, and the answer leaves the hub only once that is committed. The counts depend on the asker's
own attempts alone, so a refusal for their sake tells nothing of anybody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from clearhold.access.model import Actor
from clearhold.kernel.errors import LimitError
from clearhold.kernel.ids import PartyId, new_id
from clearhold.scanning import claim_records as records
from clearhold.scanning.claim_records import Attempt, Kind
from clearhold.scanning.lanes import Entered, Lanes
from clearhold.scanning.limits import DAY, Limits
from clearhold.scanning.scope import Scope, from_plain
from clearhold.store.unit_of_work import UnitOfWork

PLACE = ("scan_attempt", "scope")
_ANSWER = ("scan_attempt", "answer")


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal as it is kept: the claim's key, and the free scopes that were named."""

    key: str
    free: tuple[Scope, ...]


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

    def refused_before(
        self, unit: UnitOfWork, party: PartyId, lane: Entered, *, key: str, request: bytes
    ) -> tuple[str, tuple[Scope, ...]] | None:
        """The attempt at this very claim that was refused within a day, and the scopes it named.

        Whoever sends a claim again, for the answer got lost, is answered the same and not counted.
        """
        found = records.refused_before(unit, party, key, request, since=unit.now - DAY)
        if found is None or found.answer is None:
            return None
        content = self._lanes.open_content(unit, lane.within, (*_ANSWER, found.id), found.answer)
        return found.id, tuple(map(from_plain, msgspec.json.decode(content)))

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
        refused: Refused | None = None,
    ) -> str:
        """Write an attempt down, and in the ledger what it is committed to; its id."""
        identity = new_id(unit.now)
        new = Attempt(identity, actor.party, lane.name, unit.now, kind, told, advised, None)
        if told:
            sealed = self._lanes.seal(unit, lane.within, (*PLACE, identity), wanted)
            new = replace(new, scope=sealed)
        if refused is not None:
            answer = msgspec.json.encode([each.to_plain() for each in refused.free])
            sealed = self._lanes.seal_content(unit, lane.within, (*_ANSWER, identity), answer)
            new = replace(new, idempotency_key=refused.key, request=digest, answer=sealed)
        records.add_attempt(unit, new)
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
