"""What a developer gives: an endpoint whose key nobody sees again, grants, and a switch.

The developer registers where its variants are served and grants named evaluators what the agreement
gives them. An evaluator fetches the token of its grant itself, so neither ever sees the other's
secret. The developer's switch, and taking back a grant or the endpoint, hold from the next call on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from clearhold.access import opaque
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.evaluations import engagement_records as engagements
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.agreements import ModelAgreements
from clearhold.evaluations.call_chain import RecordedCall
from clearhold.evaluations.engagement_records import StoredEngagement
from clearhold.evaluations.engagements import Engagements, note, side_of
from clearhold.evaluations.gateway import records, rounds
from clearhold.evaluations.gateway.opened import EndpointBody, GrantBody, Opened
from clearhold.evaluations.gateway.records import (
    StoredEndpoint,
    StoredGateway,
    StoredGrant,
    StoredNotice,
    StoredRound,
)
from clearhold.evaluations.model import OVER, EngagementState, Side
from clearhold.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from clearhold.kernel.ids import EndpointId, ModelGrantId, new_id
from clearhold.ports.endpoints import Endpoints
from clearhold.ports.keys import KeyRing
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire.model_agreement import Evaluator

PREFIX: Final = "cg"
LONGEST_CREDENTIAL: Final = 4000
LONGEST_NAME: Final = 200
MOST_GRANTS: Final = 200
_NOT_YET: Final = frozenset({EngagementState.PROPOSED, EngagementState.ACCEPTED})


@dataclass(frozen=True, slots=True)
class GrantView:
    """A grant as both sides see it."""

    stored: StoredGrant
    body: GrantBody


@dataclass(frozen=True, slots=True)
class GatewayView:
    """How the gateway of an engagement stands; nothing here is the endpoint's address or key."""

    stored: StoredGateway
    endpoint: StoredEndpoint | None
    served: tuple[str, ...]
    grants: tuple[GrantView, ...]
    rounds: tuple[StoredRound, ...]
    notices: tuple[StoredNotice, ...]
    counted: dict[str, int]


class Provisioning:
    """Endpoints, grants and the switch."""

    def __init__(
        self,
        sessions: Sessions,
        register: ModelAgreements,
        engagements_: Engagements,
        *,
        opened: Opened,
        ring: KeyRing,
        endpoints: Endpoints,
    ) -> None:
        self._sessions = sessions
        self._register = register
        self._engagements = engagements_
        self._opened = opened
        self._ring = ring
        self._endpoints = endpoints

    def register(self, actor: Actor, engagement: str, body: EndpointBody) -> GatewayView:
        """Say where the variants are served, in place of what was said before; the developer's alone.

        Evaluators reach it once a canary round has passed. Raises `InvalidError` for an address the
        hub may not ask, and for names that are none.
        """
        actor.need(Permission.EVALUATIONS_RUN)
        _check(body)
        with self._sessions.transaction() as unit:
            self._given(unit, actor, engagement, Side.DEVELOPER)
        self._endpoints.check(body.address)  # which looks a name up, and may take its time
        with self._sessions.transaction() as unit:
            stored, _ = self._given(unit, actor, engagement, Side.DEVELOPER)
            if stored.state in _NOT_YET:
                raise ConflictError(
                    f"The engagement is {stored.state}.",
                    next_step="Say `provision` first, with `clearhold model engagement act`.",
                )
            known = self._engagements.body(unit, stored, reader=actor.principal)
            if not body.models or not body.models.keys() <= set(known.variants):
                raise InvalidError("An endpoint serves variants of its engagement, and no others.")
            body = msgspec.structs.replace(body, among=known.variants)
            identity = EndpointId(new_id(unit.now))
            place = ("model_endpoint", identity)
            sealed = self._opened.seal(unit, stored.compartment, place, body)
            records.gateway(unit, stored.id, lock=True)
            records.add_endpoint(unit, StoredEndpoint(identity, stored.id, sealed, unit.now, None))
            note(unit, actor.principal, stored, "register-endpoint", Side.DEVELOPER)
            if stored.state is not EngagementState.PROVISIONING:
                rounds.queue(unit, stored.id, rounds.Kind.ENDPOINT, at_once=True)
            return self._view(unit, stored)

    def withdraw_endpoint(self, actor: Actor, engagement: str) -> GatewayView:
        """Take the endpoint back; no call reaches it any more. The developer's alone."""
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, _ = self._given(unit, actor, engagement, Side.DEVELOPER, anytime=True)
            records.gateway(unit, stored.id, lock=True)
            if records.withdraw_endpoints(unit, stored.id):
                note(unit, actor.principal, stored, "withdraw-endpoint", Side.DEVELOPER)
            return self._view(unit, stored)

    def switch(self, actor: Actor, engagement: str, *, off: bool) -> GatewayView:
        """Switch all access off, or on again, from the next call on. The developer's alone."""
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, _ = self._given(unit, actor, engagement, Side.DEVELOPER, anytime=True)
            known = records.gateway(unit, stored.id, lock=True)
            if known.switched_off != off:
                records.change_gateway(unit, stored.id, switched_off=off)
                note(
                    unit,
                    actor.principal,
                    stored,
                    "switch-off" if off else "switch-on",
                    Side.DEVELOPER,
                )
            return self._view(unit, stored)

    def grant(
        self,
        actor: Actor,
        engagement: str,
        body: GrantBody,
        *,
        begins_at: datetime | None,
        ends_at: datetime | None,
        tokens: int,
    ) -> GrantView:
        """Give a named evaluator access to variants; the developer's alone.

        Never more than the agreement gives that evaluator, in tokens over all its grants. Without
        instants it holds from now on and until the agreement ends; the clock stands above it anyway.
        """
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, stands = self._given(unit, actor, engagement, Side.DEVELOPER)
            # No earlier than now: an instant before all years in UTC could be kept and never read.
            begins, ends = max(begins_at or unit.now, unit.now), ends_at or stands.until
            if not unit.now < ends <= stands.until or begins >= ends:
                raise InvalidError("A grant ends after it begins, ahead and within the agreement.")
            body = self._checked(unit, actor, (stored, stands), body, tokens)
            records.gateway(unit, stored.id, lock=True)
            identity = ModelGrantId(new_id(unit.now))
            sealed = self._opened.seal(unit, stored.compartment, ("model_grant", identity), body)
            new = StoredGrant(
                identity, stored.id, sealed, None, tokens, 0, 0, begins, ends, unit.now, None
            )
            records.add_grant(unit, new)
            self._tell(unit, actor, stored, new, "grant")
            return GrantView(new, body)

    def token(self, actor: Actor, engagement: str, grant: str) -> str:
        """A fresh token of a grant, for the evaluator's side alone; one there was counts no more."""
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, _ = self._given(unit, actor, engagement, Side.EVALUATOR)
            known = _of(unit, stored, grant)
            if known.withdrawn_at is not None:
                raise ConflictError("This grant was taken back.")
            secret = opaque.mint()
            records.change_grant(
                unit, known.id, secret_hash=grant_hash(self._ring, known.id, secret)
            )
            self._tell(unit, actor, stored, known, "token")
            return opaque.write(PREFIX, known.id, secret)

    def withdraw_grant(self, actor: Actor, engagement: str, grant: str) -> GrantView:
        """Take a grant back, for either side; no call comes by it any more."""
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, _ = self._engagements.held(unit, actor, engagement)
            known = _of(unit, stored, grant)
            if known.withdrawn_at is None:
                records.change_grant(unit, known.id, withdrawn_at=unit.now)
                self._tell(unit, actor, stored, known, "withdraw")
                known = _of(unit, stored, grant)
            return GrantView(known, self._opened.grant(unit, stored.compartment, known))

    def get(self, actor: Actor, engagement: str) -> GatewayView:
        """How the gateway of one of the actor's engagements stands. Raises `NotFoundError`."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            stored, _ = self._engagements.found(unit, actor, engagement)
            return self._view(unit, stored)

    def calls(self, actor: Actor, engagement: str, *, after: int) -> tuple[RecordedCall, ...]:
        """The record of calls after a number, so many at once."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            stored, _ = self._engagements.found(unit, actor, engagement)
            return records.calls(unit, stored.id, after=after)

    def _given(
        self, unit: UnitOfWork, actor: Actor, engagement: str, side: Side, *, anytime: bool = False
    ) -> tuple[StoredEngagement, StoredAgreement]:
        """An engagement that the actor acts in for `side`, and that goes on unless `anytime`."""
        stored, stands = self._engagements.held(unit, actor, engagement)
        if side_of(stands, actor) is not side:
            raise DeniedError(f"Only the {side} does this.")
        if not anytime and (stored.state in OVER or not stands.stands_at(unit.now)):
            raise ConflictError(
                f"The engagement is {stored.state}, or its agreement is not in force."
            )
        return stored, stands

    def _checked(
        self,
        unit: UnitOfWork,
        actor: Actor,
        within: tuple[StoredEngagement, StoredAgreement],
        body: GrantBody,
        tokens: int,
    ) -> GrantBody:
        """A grant's body if the agreement gives as much. Raises `InvalidError`."""
        stored, stands = within
        terms = self._register.terms(unit, stands, reader=actor.principal)
        named = next((each for each in terms.evaluators if each.name == body.evaluator), None)
        if named is None:
            raise InvalidError(
                "The agreement names no such evaluator.",
                next_step="See `clearhold model agreement show` for whom it names.",
            )
        about = self._engagements.body(unit, stored, reader=actor.principal)
        if not body.variants or not set(body.variants) <= set(named.variants) & set(about.variants):
            raise InvalidError("A variant is not this evaluator's, or not of this engagement.")
        if not body.kinds or not {str(each) for each in body.kinds} <= set(named.kinds):
            raise InvalidError("The agreement gives this evaluator no such kind of access.")
        left = self._left(unit, stored, stands, named)
        if not 0 < tokens <= left:
            raise InvalidError(f"Of its tokens by the agreement this evaluator has {left} left.")
        return msgspec.structs.replace(body, among=about.variants)

    def _left(
        self,
        unit: UnitOfWork,
        stored: StoredEngagement,
        stands: StoredAgreement,
        named: Evaluator,
    ) -> int:
        """What the agreement still gives an evaluator over all engagements under it."""
        within = {each.id: each.compartment for each in engagements.under(unit, stands.id)}
        given = records.grants(unit, *within)
        if sum(each.engagement == stored.id for each in given) >= MOST_GRANTS:
            raise ConflictError(f"An engagement has at most {MOST_GRANTS} grants.")
        taken = sum(
            each.tokens if each.withdrawn_at is None else each.spent + each.held
            for each in given
            if self._opened.grant(unit, within[each.engagement], each).evaluator == named.name
        )
        return max(0, named.tokens - taken)

    def _view(self, unit: UnitOfWork, stored: StoredEngagement) -> GatewayView:
        served: tuple[str, ...] = ()
        endpoint = records.endpoint(unit, stored.id)
        if endpoint is not None:
            opened = self._opened.endpoint(unit, stored.compartment, endpoint)
            served = tuple(sorted(opened.models))
        return GatewayView(
            records.gateway(unit, stored.id),
            endpoint,
            served,
            tuple(
                GrantView(each, self._opened.grant(unit, stored.compartment, each))
                for each in records.grants(unit, stored.id)
            ),
            records.rounds(unit, stored.id),
            records.notices(unit, stored.id),
            records.counted(unit, stored.id),
        )

    def _tell(
        self,
        unit: UnitOfWork,
        actor: Actor,
        stored: StoredEngagement,
        grant: StoredGrant,
        act: str,
    ) -> None:
        unit.record(
            f"evaluations:grant:{act}",
            actor=actor.principal,
            subject=grant.id,
            compartment=stored.compartment,
            detail={"engagement": stored.id},
        )


def grant_hash(ring: KeyRing, grant: str, secret: str) -> bytes:
    """What is kept of a grant's token."""
    return ring.keyed_hash("model grant", f"{grant}:{secret}".encode())


def _of(unit: UnitOfWork, stored: StoredEngagement, grant: str) -> StoredGrant:
    known = records.grant(unit, grant)
    if known is None or known.engagement != stored.id:
        raise NotFoundError("There is no such grant.")
    return known


def _check(body: EndpointBody) -> None:
    """Raise `InvalidError` for what is no endpoint."""
    if any(each in body.address for each in "?#\\"):
        raise InvalidError("An endpoint's address is a base URL, as https://host/v1.")
    names = (*body.models, *body.models.values())
    if not all(0 < len(each) <= LONGEST_NAME and each.isprintable() for each in names):
        raise InvalidError(f"A model's name is one line of 1 to {LONGEST_NAME} characters.")
    key = body.credential
    if len(key) > LONGEST_CREDENTIAL or not key.isascii() or (key and not key.isprintable()):
        raise InvalidError(
            "The endpoint's key holds what no key holds.", next_step="Give the key alone."
        )
