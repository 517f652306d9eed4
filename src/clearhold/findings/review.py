"""Pairs that look like one vulnerability, for a person to decide on.

A pair comes from the ranking and waits here; it joins nothing. A coordinator who is read in to both
findings sees them side by side and says what they are; that is an assertion like any other, which
can be withdrawn. Who is read in to one of them alone does not learn that there is a pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.findings import match_records, records
from clearhold.findings.match_index import MANY, MATCHER, Candidate, rank_batch
from clearhold.findings.match_records import Waiting
from clearhold.findings.merging import Copy, Layer, certain
from clearhold.findings.model import Assertion, FindingView, Match, Method, State
from clearhold.findings.service import FindingService
from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.ids import FindingId
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

MOST_LISTED: Final = 200
_PROPOSED: Final = 3
_PROOF: Final = 1_000_000
_SCALE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair that waits, the strongest first in a list; `layers` are what speaks for it.

    `strength` orders pairs and means nothing else. `readable` says whether the one who asks may see
    both findings side by side.
    """

    a: FindingId
    b: FindingId
    strength: int
    layers: tuple[str, ...]
    proposed_at: datetime
    readable: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """Two findings side by side, with what was asserted of them and stands."""

    findings: tuple[FindingView, FindingView]
    assertions: tuple[Assertion, ...]


class ReviewService:
    """The desk where a person decides what a machine cannot be certain of."""

    def __init__(self, sessions: Sessions, vault: Vault, findings: FindingService) -> None:
        self._sessions = sessions
        self._vault = vault
        self._findings = findings

    def propose(self, finding: FindingId) -> None:
        """Let the likeliest candidates of a finding wait for a person; again changes nothing.

        Runs after the receipt. Candidates that merely came in at the same time are left out.
        """
        self._propose([finding])

    def propose_batch(self, findings: Sequence[FindingId]) -> None:
        """As `propose` for each, in as many queries for fifty findings as for one."""
        for start in range(0, len(findings), MANY):
            self._propose(findings[start : start + MANY])

    def _propose(self, findings: Sequence[FindingId]) -> None:
        with self._sessions.transaction() as unit:
            copied = records.copies_of_all(unit, findings)
            ranked = rank_batch(unit, findings)
            decided = {each.pair for each in records.assertions(unit, findings)}
            pairs: dict[tuple[FindingId, FindingId], Waiting] = {}
            for finding in findings:
                same = copied.get(finding, ())
                told = [_waiting(finding, each, _PROOF, (Layer.PROOF,), unit.now) for each in same]
                telling = [each for each in ranked.get(finding, ()) if each.layers != (Layer.NEAR,)]
                told += [
                    _waiting(finding, each.finding, _strength(each), each.layers, unit.now)
                    for each in telling[:_PROPOSED]
                    if each.finding not in same
                ]
                for one in told:
                    pairs.setdefault((one.a, one.b), one)
            match_records.propose(unit, [one for key, one in pairs.items() if key not in decided])

    def join_copies(self, finding: FindingId) -> None:
        """After a proof has reproduced: join what sent the very same proof of the same claim.

        Nothing else is joined without a person or a fix that stops both.
        """
        with self._sessions.transaction() as unit:
            head = self._findings.head(unit, finding)
            for other in records.copies(unit, finding):
                # The query compared the keys.
                pair = [Copy(b"", each.state is State.REPRODUCED) for each in (head, other)]
                if certain(*pair):
                    self._findings.assert_match(
                        unit,
                        finding,
                        other.id,
                        verdict=Match.SAME,
                        method=Method.FINGERPRINT,
                        evidence={"layer": Layer.PROOF},
                        by=MATCHER,
                    )

    def waiting(self, actor: Actor, *, limit: int = MOST_LISTED) -> tuple[Pair, ...]:
        """The pairs that wait, the strongest first.

        Pairs that touch a case the actor is not read in to are left out.
        """
        actor.need(Permission.FINDINGS_QUEUE)
        with self._sessions.transaction() as unit:
            mine = records.readable(unit, actor)
            pairs = match_records.waiting(unit, limit=min(max(limit, 1), MOST_LISTED))
            cased = records.in_cases(unit, {end for each in pairs for end in (each.a, each.b)})
            return tuple(
                Pair(
                    each.a,
                    each.b,
                    each.strength,
                    each.layers,
                    each.proposed_at,
                    readable={each.a, each.b} <= mine,
                )
                for each in pairs
                if ({each.a, each.b} & cased) <= mine
            )

    def beside(self, actor: Actor, a: FindingId, b: FindingId) -> Beside:
        """Two findings the actor may see, side by side. Raises `NotFoundError`."""
        actor.need(Permission.FINDINGS_QUEUE)
        with self._sessions.transaction() as unit:
            self._both(unit, actor, a, b)
            stated = records.assertions(unit, [a])
        views = (self._findings.get(actor, a), self._findings.get(actor, b))
        return Beside(views, tuple(each for each in stated if each.pair == (min(a, b), max(a, b))))

    def decide(self, actor: Actor, a: FindingId, b: FindingId, *, verdict: Match) -> str:
        """Assert what two findings are to each other; returns the assertion's id.

        Takes a coordinator who is read in to both. Raises `NotFoundError` for any other pair and
        `InvalidError` for a finding beside itself.
        """
        actor.need(Permission.FINDINGS_JUDGE)
        with self._sessions.transaction() as unit:
            self._both(unit, actor, a, b)
            stated = self._findings.assert_match(
                unit,
                a,
                b,
                verdict=verdict,
                method=Method.PERSON,
                evidence={},
                by=actor.principal,
            )
            match_records.settle(unit, min(a, b), max(a, b), at=unit.now)
            return stated

    def withdraw(self, actor: Actor, assertion: str) -> None:
        """Take back what a person asserted; the pair waits again if it did before.

        Everything is then as if it had never been said. Raises `NotFoundError` when there is no
        such assertion by a person on findings that the actor may see.
        """
        actor.need(Permission.FINDINGS_JUDGE)
        with self._sessions.transaction() as unit:
            known = records.assertion(unit, assertion)
            if known is None or known.method is not Method.PERSON:
                raise _absent()
            self._both(unit, actor, *known.pair)
            self._findings.withdraw_match(unit, assertion, by=actor.principal)
            match_records.settle(unit, *known.pair, at=None)

    def _both(self, unit: UnitOfWork, actor: Actor, a: FindingId, b: FindingId) -> None:
        if any(records.seen(unit, actor, each) is None for each in (a, b)):
            raise _absent()


def _absent() -> NotFoundError:
    return NotFoundError(
        "There is no such pair.", next_step="See `clearhold finding reviews` for those that wait."
    )


def _waiting(
    one: FindingId, other: FindingId, strength: int, layers: tuple[Layer, ...], now: datetime
) -> Waiting:
    return Waiting(min(one, other), max(one, other), strength, tuple(map(str, layers)), now)


def _strength(each: Candidate) -> int:
    """The model's score between 0 and a thousand, a hundred more for each layer."""
    return round(_SCALE / (1 + math.exp(-each.score))) + 100 * len(each.layers)
