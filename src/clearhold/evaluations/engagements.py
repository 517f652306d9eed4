"""Engagements: one test of one model under an agreement, with a clock that only both sides change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from clearhold.access.grants import Grantee, Tier, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.evaluations import agreement_records, agreements
from clearhold.evaluations import engagement_records as records
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.agreements import ModelAgreements
from clearhold.evaluations.clock import LONGEST, Clock, clock
from clearhold.evaluations.engagement_records import StoredEngagement, StoredEvent
from clearhold.evaluations.engagement_rules import (
    MOVE_RELEASE,
    Body,
    access_clock,
    check_against,
    check_body,
    check_release,
    clock_events,
)
from clearhold.evaluations.model import (
    BOTH,
    BY_REPORT,
    OVER,
    WHO,
    Act,
    EngagementState,
    Side,
    after,
)
from clearhold.kernel.errors import ConflictError, DeniedError, NotFoundError
from clearhold.kernel.ids import EngagementId, new_id
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault
from clearhold.wire import dsse
from clearhold.wire import model_agreement as wire
from clearhold.wire.model_agreement import Change

MOST_LISTED: Final = 100
_PLACE: Final = "sealed_body"
_READER: Final = "service:evaluations"
_ANYTIME: Final = frozenset({Act.WITHDRAW, Act.DECLINE, Act.HOLD, Act.REPLY, Act.WAIVE_REPLY})
"""What takes no agreement in force: to end, to stop, and to answer a draft that was sent."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change that one side signed and the other has not: its terms, who signed, the envelope."""

    change: Change
    signed_by: Side
    envelope: bytes


@dataclass(frozen=True, slots=True)
class EngagementView:
    """An engagement as its two sides see it."""

    stored: StoredEngagement
    agreement: StoredAgreement
    body: Body
    clock: Clock
    happened: tuple[StoredEvent, ...]
    waiting: tuple[Waiting, ...]


class Engagements:
    """The register of engagements."""

    def __init__(self, sessions: Sessions, vault: Vault, register: ModelAgreements) -> None:
        self._sessions = sessions
        self._vault = vault
        self._register = register

    def propose(
        self,
        actor: Actor,
        agreement: str,
        body: Body,
        *,
        length: timedelta,
        release_at: datetime | None,
        key: str,
    ) -> EngagementView:
        """Propose to test a model, or offer one to be tested, under an agreement in force.

        `length` is at most the agreement's window. `release_at` is the developer's planned release
        to others, None where there is none. The same `key` answers the same engagement again, and
        raises `ConflictError` for another.
        """
        actor.need(Permission.EVALUATIONS_RUN)
        check_body(body)
        with self._sessions.transaction() as unit:
            stands = agreements.find(unit, actor, agreement, lock=True)
            side = side_of(stands, actor)
            known = records.of_key(unit, stands.id, key)
            if known is not None:
                found = self.view(unit, known, stands, reader=actor.principal)
                wanted = (body, side, int(length.total_seconds()), release_at)
                if wanted != (found.body, found.happened[0].side, known.length_s, known.release_at):
                    raise ConflictError("This idempotency key was used for another request.")
                return found
            if not stands.stands_at(unit.now):
                raise ConflictError(
                    "The agreement is not in force.",
                    next_step="See `clearhold model agreement show` for how it stands.",
                )
            terms = self._register.terms(unit, stands, reader=actor.principal)
            check_against(body, terms, length, release_at, unit.now)
            self.check_sum(unit, stands, body, length)
            within = self._vault.open_compartment(unit)
            for party in (stands.developer, stands.evaluator):
                read_in(
                    unit,
                    within,
                    Grantee(party),
                    tier=Tier.EVERYTHING,
                    reason="side-of-engagement",
                    granted_by=actor.principal,
                )
            identity = EngagementId(new_id(unit.now))
            new = StoredEngagement(
                id=identity,
                agreement=stands.id,
                compartment=within,
                sealed_body=self._vault.seal(
                    unit,
                    within,
                    place=("engagement", _PLACE, identity),
                    content=msgspec.json.encode(body),
                ),
                state=EngagementState.PROPOSED,
                length_s=int(length.total_seconds()),
                release_at=release_at,
                credits_outages=terms.credits_outages,
                proposed_at=unit.now,
                changed_at=unit.now,
                idempotency_key=key,
            )
            records.add(unit, new)
            note(unit, actor.principal, new, "propose", side)
            return self.view(unit, new, stands, reader=actor.principal)

    def act(self, actor: Actor, identity: str, act: Act) -> EngagementView:
        """Move an engagement on, for the actor's side. What both must sign is in `consents`.

        To accept takes the side that did not propose. Raises `ConflictError` for what is not
        possible now and `DeniedError` for what is the other side's to do.
        """
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, stands = self.held(unit, actor, identity)
            side = side_of(stands, actor)
            if act in BOTH:
                raise ConflictError(
                    f"To {act} takes the signatures of both sides.",
                    next_step="Sign it with `clearhold model engagement consent`.",
                )
            if act in BY_REPORT:
                raise ConflictError(
                    f"To {act} takes what is to be read.",
                    next_step="Use `clearhold model report`.",
                )
            if act is Act.ACCEPT:
                first = records.happened(unit, stored.id)[0]
                allowed = first.side != side
            else:
                allowed = side in WHO.get(act, frozenset())
            if not allowed:
                raise DeniedError(
                    f"To {act} is not for your side of this engagement.",
                    next_step="The other side or the hub itself does it.",
                )
            if act not in _ANYTIME and not stands.stands_at(unit.now) and stored.state not in OVER:
                raise ConflictError(
                    "The agreement is not in force, so nothing goes on under it.",
                    next_step="Either side may still end the engagement.",
                )
            moved = self.reach(unit, stored, act)
            note(unit, actor.principal, stored, act, side)
            return self.view(unit, moved, stands, reader=actor.principal)

    def move_release(self, actor: Actor, identity: str, to: datetime | None) -> EngagementView:
        """Say that the planned release has moved, or is none any more: the developer's alone."""
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, stands = self.held(unit, actor, identity)
            if to is not None:
                check_release(to, unit.now)
            if side_of(stands, actor) is not Side.DEVELOPER:
                raise DeniedError("Only the developer moves its release.")
            if stored.state in OVER:
                raise ConflictError(f"The engagement is {stored.state}.")
            note(unit, actor.principal, stored, MOVE_RELEASE, Side.DEVELOPER, until=to)
            return self.view(unit, stored, stands, reader=actor.principal)

    def get(self, actor: Actor, identity: str) -> EngagementView:
        """One engagement of the actor's party. Raises `NotFoundError`."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            stored, stands = self.found(unit, actor, identity)
            return self.view(unit, stored, stands, reader=actor.principal)

    def list(self, actor: Actor, *, after: str | None = None) -> tuple[StoredEngagement, ...]:
        """The engagements of the actor's party, so many at once, without what is sealed of them."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            found = records.seen_by(unit, actor, after=after, limit=MOST_LISTED)
            return tuple(settled(unit, each) for each in found)

    def found(
        self, unit: UnitOfWork, actor: Actor, identity: str, *, lock: bool = False
    ) -> tuple[StoredEngagement, StoredAgreement]:
        """An engagement the actor may see, with its agreement. Raises `NotFoundError`."""
        stored = records.one_seen_by(unit, actor, identity, lock=lock)
        if stored is None:
            raise _absent()
        # Locked too, so that no agreement is suspended or ended while something goes on under it.
        stands = agreements.find(unit, actor, stored.agreement, lock=lock)
        return settled(unit, stored), stands

    def held(
        self, unit: UnitOfWork, actor: Actor, identity: str
    ) -> tuple[StoredEngagement, StoredAgreement]:
        """Likewise, locked, for one of its two sides. Raises `NotFoundError` for others."""
        stored, stands = self.found(unit, actor, identity, lock=True)
        if stands.side_of(actor.party) is None:
            raise _absent()
        return stored, stands

    def any_held(self, unit: UnitOfWork, identity: str) -> tuple[StoredEngagement, StoredAgreement]:
        """An engagement whoever asks, locked, as a service. Raises `NotFoundError`."""
        stored = records.hold(unit, identity)
        if stored is None:
            raise _absent()
        return settled(unit, stored), agreement_records.hold(unit, stored.agreement)

    def reach(self, unit: UnitOfWork, stored: StoredEngagement, act: Act) -> StoredEngagement:
        """Move an engagement on; the caller holds its row and notes what happened."""
        moved = replace(stored, state=after(stored.state, act), changed_at=unit.now)
        records.change(unit, stored.id, state=moved.state, changed_at=unit.now)
        return moved

    def check_sum(
        self, unit: UnitOfWork, stands: StoredAgreement, body: Body, length: timedelta
    ) -> None:
        """Thirty days are for a variant, however many engagements under an agreement name it."""
        taken = dict.fromkeys(body.variants, timedelta(0))
        for each in records.under(unit, stands.id):
            known = self.body(unit, each, reader=_READER)
            found = clock(each.window, clock_events(records.happened(unit, each.id)), unit.now)
            for variant in taken.keys() & set(known.variants):
                taken[variant] += found.spent if each.state in OVER else found.length
        for variant, sum_ in taken.items():
            if sum_ + length > LONGEST:
                raise ConflictError(
                    f"Access to {variant} lasts {LONGEST.days} days in sum, and other engagements"
                    f" have {sum_ / timedelta(days=1):.1f} of them.",
                    next_step="Ask for less, or end an engagement that is not needed.",
                )

    def body(self, unit: UnitOfWork, stored: StoredEngagement, *, reader: str) -> Body:
        """What an engagement is about, released to `reader`."""
        content = self._vault.unseal(
            unit,
            stored.compartment,
            place=("engagement", _PLACE, stored.id),
            sealed=stored.sealed_body,
            reader=reader,
        )
        return msgspec.json.decode(content, type=Body)

    def view(
        self,
        unit: UnitOfWork,
        stored: StoredEngagement,
        stands: StoredAgreement,
        *,
        reader: str,
    ) -> EngagementView:
        """An engagement as it is shown to `reader`, to whom what is sealed of it is released."""
        happened = records.happened(unit, stored.id)
        return EngagementView(
            stored,
            stands,
            self.body(unit, stored, reader=reader),
            access_clock(stored, stands, happened, unit.now),
            happened,
            tuple(self._waiting(unit, stored, len(happened), reader=reader)),
        )

    def _waiting(
        self, unit: UnitOfWork, stored: StoredEngagement, last: int, *, reader: str
    ) -> Iterator[Waiting]:
        """The changes that the other side may still sign; `last` numbers what happened last."""
        for each in records.waiting(unit, stored.id):
            for side in Side:
                name = f"sealed_{side}_envelope"
                sealed = getattr(each, name)
                if sealed is None:
                    continue
                envelope = self._vault.unseal(
                    unit,
                    stored.compartment,
                    place=("engagement_change", name, each.id),
                    sealed=sealed,
                    reader=reader,
                )
                change = wire.read_change(dsse.payload_of(envelope))
                if change.after == last:
                    yield Waiting(change, side, envelope)


def note(
    unit: UnitOfWork,
    by: str,
    stored: StoredEngagement,
    act: str,
    side: str,
    *,
    at: datetime | None = None,
    until: datetime | None = None,
    length_s: int | None = None,
    stops_clock: bool | None = None,
) -> int:
    """Write down what happened, here and in the ledger; returns its number.

    The caller holds the engagement's row. `at` is when it began, if not now.
    """
    number = records.next_number(unit, stored.id)
    happened = at or unit.now
    records.note(
        unit,
        StoredEvent(stored.id, number, act, side, happened, until, length_s, stops_clock, None),
    )
    unit.record(
        f"evaluations:engagement:{act}",
        actor=by,
        subject=stored.id,
        compartment=stored.compartment,
        detail={"side": side, "number": str(number)},
    )
    return number


def settled(unit: UnitOfWork, stored: StoredEngagement) -> StoredEngagement:
    """An engagement as it stands now: a pause and a reply whose time is over have ended by themselves."""
    if stored.state is EngagementState.DRAFT_SENT:
        happened = records.happened(unit, stored.id)
        until = next(
            (each.until for each in reversed(happened) if each.act == Act.SEND_DRAFT), None
        )
        elapsed = until is not None and unit.now >= until
        return replace(stored, state=EngagementState.REPLY_ELAPSED) if elapsed else stored
    if stored.state is not EngagementState.PAUSED:
        return stored
    stands = clock(stored.window, clock_events(records.happened(unit, stored.id)), unit.now)
    paused = stands.paused_until is not None
    return stored if paused else replace(stored, state=EngagementState.TESTING)


def side_of(stands: StoredAgreement, actor: Actor) -> Side:
    """Which side the actor's party is. Raises `NotFoundError` for any other."""
    side = stands.side_of(actor.party)
    if side is None:
        raise _absent()
    return side


def _absent() -> NotFoundError:
    return NotFoundError("There is no such engagement.")
