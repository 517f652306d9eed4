"""Calls of evaluators: let through as agreed, counted, recorded, and ended by either side at once.

Tokens are held before an endpoint is asked and settled after, so that calls at the same moment cannot
spend more than there is. What was agreed is looked at before the call and again before its answer is
given: a developer who switches off while a model still speaks is heard. Every call of a known grant
leaves a record, refused ones too; one that the hub's end cut short is recorded later as lost.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from clearhold.access import opaque
from clearhold.access.fair_share import FairShare
from clearhold.evaluations import engagement_records as engagements
from clearhold.evaluations.access import Grant, Refused, Standing, decide, shut
from clearhold.evaluations.call_chain import Outcome, RecordedCall
from clearhold.evaluations.engagement_rules import access_clock
from clearhold.evaluations.engagements import settled
from clearhold.evaluations.gateway import call_records, records, rounds
from clearhold.evaluations.gateway.call_records import OpenCall, Whole
from clearhold.evaluations.gateway.exchange import LONGEST_S, Exchanged, exchange
from clearhold.evaluations.gateway.opened import EndpointBody, GrantBody, Opened, place_of
from clearhold.evaluations.gateway.provision import PREFIX, grant_hash
from clearhold.kernel.errors import (
    ClearholdError,
    DeniedError,
    InvalidError,
    LimitError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from clearhold.kernel.ids import EngagementId, ModelGrantId, new_id
from clearhold.ports.endpoints import Endpoints
from clearhold.ports.keys import KeyRing
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire.model_calls import Asked, Dialect, read_request

PLACES: Final = 128
MOST_AT_ONCE: Final = 32
"""Calls under way in this process, of all engagements and of one; fewer of one as places fill."""
LOST_AFTER: Final = timedelta(seconds=2 * LONGEST_S)
_SENTENCES: Final = {
    Refused.ENDED: "The engagement or its agreement lets no calls through now.",
    Refused.SWITCHED_OFF: "The developer has switched access off.",
    Refused.NOT_OPEN: "The clock does not run: access has not begun, is paused, or is over.",
    Refused.NOT_YET: "The grant does not hold yet.",
    Refused.EXPIRED: "The time of the grant is over.",
    Refused.WITHDRAWN: "The grant was taken back.",
    Refused.OTHER_VARIANT: "The grant is not for this variant.",
    Refused.OTHER_KIND: "The grant is not for this kind of access.",
    Refused.NO_ENDPOINT: "No endpoint serves this variant that has passed a canary round.",
    Refused.NO_TOKENS: "The grant has not as many tokens left as this call may use.",
    Refused.TOO_MANY: "As many calls of this engagement are under way as may be now.",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer for its evaluator, and the number of its call in the record."""

    body: bytes
    number: int


class Gateway:
    """Lets calls of evaluators through to a developer's endpoint."""

    def __init__(
        self, sessions: Sessions, *, opened: Opened, ring: KeyRing, endpoints: Endpoints
    ) -> None:
        self._sessions = sessions
        self._opened = opened
        self._ring = ring
        self._endpoints = endpoints
        self._under_way = FairShare(PLACES, MOST_AT_ONCE)

    def variants(self, presented: str) -> tuple[str, ...]:
        """The variants that a grant is for. Raises `UnauthenticatedError`."""
        with self._sessions.transaction() as unit, unit.as_service():
            found = self._known(unit, presented)
            return self._body(unit, found).variants

    def holder(self, presented: str) -> ModelGrantId:
        """Whose token it is. Raises `UnauthenticatedError`."""
        with self._sessions.transaction() as unit, unit.as_service():
            return self._known(unit, presented).grant.id

    def call(self, presented: str, dialect: Dialect, data: bytes) -> Answered:
        """Pass a call on and give its answer.

        Raises `UnauthenticatedError` for a token that is none, `InvalidError` for a request that
        cannot be passed on, `DeniedError` and `LimitError` for what is refused, with the reason
        among its facts, and `UnavailableError` when the endpoint gives no usable answer.
        """
        if opaque.read(PREFIX, presented) is None:
            raise _unknown()
        digest = hashlib.sha256(data).digest()
        asked = _read(data, dialect)
        with ExitStack() as ending:
            begun = self._begin(presented, dialect, asked, digest, ending)
            if isinstance(begun, ClearholdError):
                raise begun
            call, endpoint, known = begun
            went = exchange(self._endpoints, endpoint, known, meanwhile=self._sessions.synchronise)
            return self._settle(call, went)

    def close_lost(self) -> int:
        """Record the calls that began so long ago that nobody can still be making them."""
        with self._sessions.transaction() as unit, unit.as_service():
            lost = call_records.begun_before(unit, unit.now - LOST_AFTER)
        for call in lost:
            with self._sessions.transaction() as unit, unit.as_service():
                engagements.steady(unit, call.engagement)
                if call_records.end(unit, call, spent=call.held):
                    went = Exchanged(Outcome.LOST, prompt_tokens=call.held)
                    call_records.chain(unit, recorded(call, went))
        return len(lost)

    def _known(self, unit: UnitOfWork, presented: str) -> Whole:
        read = opaque.read(PREFIX, presented)
        if read is None:
            raise _unknown()
        found = call_records.whole(unit, read.id)
        kept = found.grant.secret_hash if found is not None else None
        told = grant_hash(self._ring, read.id, read.secret)
        if not hmac.compare_digest(kept or bytes(len(told)), told) or found is None or not kept:
            raise _unknown()
        return found

    def _begin(
        self,
        presented: str,
        dialect: Dialect,
        asked: Asked | ClearholdError,
        digest: bytes,
        ending: ExitStack,
    ) -> tuple[OpenCall, EndpointBody, Asked] | ClearholdError:
        """Hold tokens for a call that may go through; else record why it may not.

        What is held is on the disk before anything of the answer is given, not before the endpoint is
        asked: the disk is waited for while the endpoint thinks, and where it answers at once, with
        what settles the call. A refusal waits for it here.
        """
        with self._sessions.transaction(synced=False) as unit, unit.as_service():
            found = self._known(unit, presented)
            if isinstance(asked, ClearholdError):
                return self._refuse(unit, (found, digest, 0), "invalid", asked)
            fits = ending.enter_context(self._one_more(found.engagement.id))
            identity = found.grant.id
            body, endpoint = self._body(unit, found), self._endpoint(unit, found)
            place = place_of(body, asked.variant)
            grant, standing = self._standing(unit, found, body, endpoint)
            reason = decide(grant, standing, asked, unit.now)
            if reason is None and not fits:
                reason = Refused.TOO_MANY
            if reason is None and endpoint is not None and endpoint.dialect is not dialect:
                words = InvalidError(
                    f"This model is spoken to in the words of {endpoint.dialect}.",
                    next_step=f"Call {endpoint.dialect.path} instead.",
                )
                return self._refuse(unit, (found, digest, place), "other-words", words)
            if reason is None and not call_records.reserve(unit, identity, asked.most_in_all):
                reason = Refused.NO_TOKENS
            if reason is not None or endpoint is None:
                reason = reason or Refused.NO_ENDPOINT
                if reason is Refused.NOT_OPEN:
                    rounds.begin(unit, found)
                error = _refusal(reason, found, asked)
                return self._refuse(unit, (found, digest, place), reason, error)
            call = OpenCall(
                new_id(unit.now),
                found.engagement.id,
                identity,
                place,
                digest,
                asked.most_in_all,
                unit.now,
            )
            call_records.begin(unit, call)
            return call, endpoint, asked

    def _settle(self, call: OpenCall, went: Exchanged) -> Answered:
        """Count and record a call that is over; its answer is given if it still may be.

        The disk is waited for after the commit, when nobody waits for this one any more.
        """
        with self._sessions.transaction(synced=False) as unit, unit.as_service():
            unit.insist()
            found = self._again(unit, call.granted)
            body, endpoint = self._body(unit, found), self._endpoint(unit, found)
            grant, standing = self._standing(unit, found, body, endpoint)
            reason = shut(grant, standing, unit.now)
            if reason is None and endpoint is None:
                reason = Refused.NO_ENDPOINT
            if reason is not None and went.outcome is Outcome.ANSWERED:
                went = _cut_off(went)
            # Never more than was held: what an endpoint says of itself moves no budget further.
            spent = min(call.held, went.prompt_tokens + went.answer_tokens)
            ended = call_records.end(unit, call, spent=spent)
            linked = call_records.chain(unit, recorded(call, went)) if ended else None
            if went.troubled and found.gateway.suspected_at is None:
                records.change_gateway(unit, call.engagement, suspected_at=unit.now)
        if linked is None:
            raise UnavailableError("The answer came after its call was given up.")
        if went.outcome is Outcome.ANSWERED:
            return Answered(went.shown, linked.number)
        raise _failure(went, reason, linked.number)

    def _standing(
        self, unit: UnitOfWork, found: Whole, body: GrantBody, endpoint: EndpointBody | None
    ) -> tuple[Grant, Standing]:
        """What decides about calls by a grant at this instant."""
        stored = settled(unit, found.engagement)
        happened = call_records.happened(unit, stored.id)
        standing = Standing(
            state=stored.state,
            clock=access_clock(stored, found.agreement, happened, unit.now),
            agreed=found.agreement.stands_at(unit.now),
            served=frozenset(endpoint.models)
            if endpoint is not None and found.identified
            else frozenset(),
            off=found.gateway.switched_off,
        )
        kept = found.grant
        grant = Grant(
            evaluator=body.evaluator,
            variants=frozenset(body.variants),
            kinds=frozenset(body.kinds),
            begins_at=kept.begins_at,
            ends_at=kept.ends_at,
            tokens=kept.tokens,
            spent=kept.spent,
            held=kept.held,
            withdrawn_at=kept.withdrawn_at,
        )
        return grant, standing

    def _again(self, unit: UnitOfWork, identity: ModelGrantId) -> Whole:
        found = call_records.whole(unit, identity)
        if found is None:
            raise NotFoundError("There is no such grant.")
        return found

    def _body(self, unit: UnitOfWork, found: Whole) -> GrantBody:
        return self._opened.grant(unit, found.engagement.compartment, found.grant)

    def _endpoint(self, unit: UnitOfWork, found: Whole) -> EndpointBody | None:
        if found.endpoint is None:
            return None
        return self._opened.endpoint(unit, found.engagement.compartment, found.endpoint)

    def _refuse(
        self,
        unit: UnitOfWork,
        call: tuple[Whole, bytes, int],
        reason: str,
        error: ClearholdError,
    ) -> ClearholdError:
        """Record a refusal of a call, known by its grant, its digest and its variant's place."""
        found, digest, place = call
        refused = OpenCall("", found.engagement.id, found.grant.id, place, digest, 0, unit.now)
        linked = call_records.chain(unit, recorded(refused, Exchanged(Outcome.REFUSED), reason))
        unit.insist()
        error.facts |= {"refused": reason, "call": linked.number}
        return error

    @contextmanager
    def _one_more(self, engagement: EngagementId) -> Iterator[bool]:
        """Count a call under way; False when there are as many as may be."""
        fits = self._under_way.take(engagement)
        try:
            yield fits
        finally:
            if fits:
                self._under_way.give_back(engagement)


def _unknown() -> UnauthenticatedError:
    return UnauthenticatedError(
        "The token is not one of a grant.",
        next_step="Fetch one with `clearhold model grant token`.",
    )


def _read(data: bytes, dialect: Dialect) -> Asked | ClearholdError:
    """What is asked, or why it cannot be; read before a transaction, which others wait for."""
    try:
        return read_request(data, dialect)
    except ClearholdError as error:
        return error


def recorded(call: OpenCall, went: Exchanged, reason: str = "") -> RecordedCall:
    """What is recorded of a call, but for its place in the chain."""
    return RecordedCall(
        answer_sha256=hashlib.sha256(went.given).hexdigest(),
        answer_tokens=went.answer_tokens,
        at=call.begun_at,
        caller=call.granted,
        engagement=call.engagement,
        number=0,
        outcome=f"{went.outcome}:{reason}" if reason else str(went.outcome),
        previous="",
        prompt_tokens=went.prompt_tokens,
        request_sha256=call.request_sha256.hex(),
        status=went.status,
        variant=call.variant,
    )


def _cut_off(went: Exchanged) -> Exchanged:
    return Exchanged(
        Outcome.CUT_OFF,
        went.status,
        went.given,
        prompt_tokens=went.prompt_tokens,
        answer_tokens=went.answer_tokens,
    )


def _refusal(reason: Refused, found: Whole, asked: Asked) -> ClearholdError:
    sentence = _SENTENCES[reason]
    grant = found.grant
    held = reason is Refused.NO_TOKENS and grant.tokens - grant.spent >= asked.most_in_all
    if reason is Refused.TOO_MANY or held:
        return LimitError(sentence, next_step="Wait until calls under way are over.")
    return DeniedError(sentence, next_step="See `clearhold model engagement show`.")


def _failure(went: Exchanged, reason: Refused | None, number: int) -> ClearholdError:
    facts: dict[str, object] = {"call": number, "outcome": str(went.outcome)}
    if went.retry_after:
        facts["retry_after"] = went.retry_after
    match went.outcome:
        case Outcome.CUT_OFF:
            why = _SENTENCES[reason or Refused.SWITCHED_OFF]
            return DeniedError(f"{why} The answer came too late.", facts=facts)
        case Outcome.RATE_LIMITED:
            return LimitError("The developer's endpoint takes no more calls now.", facts=facts)
        case Outcome.ENDPOINT_ERROR if went.said:
            return InvalidError(f"The endpoint did not take it: {went.said}", facts=facts)
        case _:
            return UnavailableError(
                "The developer's endpoint gave no usable answer.",
                next_step="Try again later; the gateway looks after it.",
                facts=facts,
            )
