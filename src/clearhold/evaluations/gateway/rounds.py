"""Canary rounds: the same fixed prompts at the start, in the middle and at the end of access.

The first round that passes starts the clock, asked for by the evaluator or its first call. A later
one that finds another model holds the engagement, and both sides sign before it goes on; from then
on what is served is measured anew. Only digests of answers are kept, sealed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Final

import msgspec

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.evaluations import agreement_records as agreements
from clearhold.evaluations import canary
from clearhold.evaluations import engagement_records as engagements
from clearhold.evaluations.call_chain import Outcome, RecordedCall
from clearhold.evaluations.canary import FEWEST_REPEATS, Identity
from clearhold.evaluations.engagement_records import StoredEngagement
from clearhold.evaluations.engagements import Engagements, note, side_of
from clearhold.evaluations.gateway import call_records, records
from clearhold.evaluations.gateway.call_records import Whole
from clearhold.evaluations.gateway.exchange import Exchanged, exchange
from clearhold.evaluations.gateway.opened import READER, EndpointBody, Opened, place_of
from clearhold.evaluations.gateway.records import StoredEndpoint, StoredRound
from clearhold.evaluations.model import OVER, REACHABLE, Act, EngagementState, Side, possible
from clearhold.kernel.errors import ConflictError, DeniedError
from clearhold.kernel.ids import EngagementId
from clearhold.ports.endpoints import Endpoints
from clearhold.ports.engine import Task
from clearhold.store.schema import EPOCH
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault
from clearhold.wire.json_bounds import canonical
from clearhold.wire.model_calls import Asked, Dialect, read_request, text_of

RUN: Final = "evaluations.canary"
GATEWAY: Final = "gateway"
BETWEEN: Final = timedelta(minutes=10)
"""How long after a round another one may be asked for: each costs the developer tokens."""
LONGEST_S: Final = 120.0
LONGEST_ROUND_S: Final = 1800.0
"""A slow endpoint keeps a worker for so long and no longer."""
MOST_TOKENS: Final = 64
_COMPARED: Final = 80
PROMPTS: Final = (
    "Name three rivers of Asia and say one thing about each.",
    "Write two sentences about a lighthouse keeper who is afraid of the sea.",
    "What is 17 times 23? Explain each step in a few words.",
    "Explain to a child, in two sentences, why the sky is blue.",
    "Translate into French: The old clock stopped the night the snow came.",
    "Write a Python function that tells whether a word is a palindrome.",
    "List four uses of a paper clip, the strangest first.",
    "Continue: The first thing she noticed about the empty house was",
)


class Kind(StrEnum):
    """Why a round is asked."""

    START = "start"
    MIDDLE = "middle"
    END = "end"
    ENDPOINT = "endpoint"
    ASKED = "asked"


class Body(msgspec.Struct, frozen=True):
    """What is sealed of a round: digests of answers by variant and prompt; the baseline, if new."""

    answers: dict[str, dict[str, str]]
    baseline: dict[str, dict[str, list[str]]] | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a round is about, as it stood when it began."""

    stored: StoredEngagement
    endpoint: StoredEndpoint
    body: EndpointBody
    known: tuple[StoredRound, ...]
    baseline: dict[str, dict[str, list[str]]]


class Rounds:
    """Asks rounds and judges them."""

    def __init__(
        self,
        sessions: Sessions,
        vault: Vault,
        register: Engagements,
        *,
        opened: Opened,
        endpoints: Endpoints,
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._register = register
        self._opened = opened
        self._endpoints = endpoints

    def ask(self, actor: Actor, engagement: str) -> None:
        """Ask for a round: the first one, or another; the evaluator alone asks for the first.

        Raises `ConflictError` without an endpoint, and within ten minutes of the last round.
        """
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, stands = self._register.held(unit, actor, engagement)
            first = stored.state is EngagementState.PROVISIONING
            if first and side_of(stands, actor) is not Side.EVALUATOR:
                raise DeniedError(
                    "The clock starts with the first round, which the evaluator asks for.",
                    next_step="Tell the evaluator that the endpoint is registered.",
                )
            endpoint = records.endpoint(unit, stored.id)
            if endpoint is None:
                raise ConflictError(
                    "No endpoint is registered.",
                    next_step="The developer does so with `clearhold model endpoint register`.",
                )
            if not _may(unit, stored, stands.stands_at(unit.now)):
                raise ConflictError("No call may reach the model now.")
            if not queue(unit, stored.id, Kind.START if first else Kind.ASKED):
                raise ConflictError(
                    "A round was made less than ten minutes ago.",
                    next_step="See what it came to with `clearhold model endpoint show`.",
                )

    def run(self, ids: Mapping[str, str]) -> None:
        """The flow: ask a round, and do what follows from it. May run again; it then asks again."""
        engagement, kind = EngagementId(ids["engagement"]), Kind(ids["round"])
        with self._sessions.transaction() as unit, unit.as_service():
            about = self._about(unit, engagement, kind)
        if about is None:
            return
        said: dict[str, dict[str, list[str]]] = {}
        until = time.monotonic() + LONGEST_ROUND_S
        for variant in sorted(about.body.models):
            said[variant] = {}
            repeats = 1 if variant in about.baseline else FEWEST_REPEATS + 1
            for number, prompt in enumerate(PROMPTS):
                told = []
                for _ in range(repeats):
                    if not self._still(about, kind):
                        return  # the developer is heard between one prompt and the next
                    answer = self._say(about, variant, prompt)
                    if answer is None or time.monotonic() > until:
                        self._conclude(about, kind, Outcome.NO_ANSWER, Body({}))
                        return
                    told.append(answer)
                said[variant][str(number)] = told
        outcome, body = _judge(about.baseline, said)
        self._conclude(about, kind, outcome, body)

    def probe(self, engagement: EngagementId) -> Outcome | None:
        """How one call by the gateway itself goes; None when none is to be made now."""
        with self._sessions.transaction() as unit, unit.as_service():
            about = self._about(unit, engagement, Kind.ASKED)
        if about is None:
            return None
        return self._exchange(about, min(about.body.models), PROMPTS[0]).outcome

    def _still(self, about: _Asked, kind: Kind) -> bool:
        """Whether a round that has begun goes on."""
        with self._sessions.transaction() as unit, unit.as_service():
            stored = engagements.one(unit, about.stored.id)
            same = records.endpoint(unit, about.stored.id) == about.endpoint
            return stored is not None and same and _due(unit, stored, kind)

    def _say(self, about: _Asked, variant: str, prompt: str) -> str | None:
        """The digest of a model's answer to a prompt; None when it gives none."""
        went = self._exchange(about, variant, prompt)
        if went.fields is None:
            return None
        text = " ".join(text_of(went.fields, about.body.dialect).split())[:_COMPARED]
        return hashlib.sha256(text.casefold().encode()).hexdigest()

    def _exchange(self, about: _Asked, variant: str, prompt: str) -> Exchanged:
        """A call by the gateway itself, recorded like any other."""
        dialect = about.body.dialect
        request = _request(variant, prompt, dialect)
        went = exchange(self._endpoints, about.body, request, within_s=LONGEST_S)
        if went.status == HTTPStatus.BAD_REQUEST and dialect is Dialect.OPENAI:
            # Some endpoints know the limit by another name, and some take no temperature.
            request = _request(variant, prompt, dialect, plain=True)
            went = exchange(self._endpoints, about.body, request, within_s=LONGEST_S)
        with self._sessions.transaction() as unit, unit.as_service():
            engagements.steady(unit, about.stored.id)
            call_records.chain(unit, _recorded(about, request, went, unit.now))
        return went

    def _about(self, unit: UnitOfWork, engagement: EngagementId, kind: Kind) -> _Asked | None:
        """What a round would be about; None when it is not to be made any more."""
        stored = engagements.one(unit, engagement)
        endpoint = records.endpoint(unit, engagement)
        if stored is None or endpoint is None:
            return None
        if not _due(unit, stored, kind):
            return None
        known = records.rounds(unit, engagement)
        body = self._opened.endpoint(unit, stored.compartment, endpoint)
        baseline = self._baseline(unit, stored, known, kind)
        return _Asked(stored, endpoint, body, known, baseline)

    def _baseline(
        self, unit: UnitOfWork, stored: StoredEngagement, known: tuple[StoredRound, ...], kind: Kind
    ) -> dict[str, dict[str, list[str]]]:
        """What later answers are compared with; nothing when it is to be made now."""
        happened = engagements.happened(unit, stored.id)
        lifted = max((each.at for each in happened if each.act == Act.LIFT_HOLD), default=None)
        for each in reversed(known):
            renewed = each.outcome == Identity.DIFFERENT and lifted and lifted >= each.at
            if kind is Kind.START or renewed:
                return {}
            content = self._vault.unseal(
                unit,
                stored.compartment,
                place=("model_canary", "sealed_body", f"{stored.id}:{each.number}"),
                sealed=each.sealed_body,
                reader=READER,
            )
            body = msgspec.json.decode(content, type=Body)
            if body.baseline is not None:
                return body.baseline
        return {}

    def _conclude(self, about: _Asked, kind: Kind, outcome: Identity | Outcome, body: Body) -> None:
        with self._sessions.transaction() as unit, unit.as_service():
            stored = engagements.hold(unit, about.stored.id)
            endpoint = records.endpoint(unit, about.stored.id)
            if stored is None or stored.state in OVER or endpoint != about.endpoint:
                return
            number = len(about.known) + 1
            if len(records.rounds(unit, stored.id)) >= number:
                return  # another worker was first
            sealed = self._vault.seal(
                unit,
                stored.compartment,
                place=("model_canary", "sealed_body", f"{stored.id}:{number}"),
                content=msgspec.json.encode(body),
            )
            new = StoredRound(stored.id, number, kind, endpoint.id, outcome, sealed, unit.now)
            records.add_round(unit, new)
            unit.record(
                f"evaluations:canary:{outcome}",
                actor=READER,
                subject=stored.id,
                compartment=stored.compartment,
                detail={"round": kind, "number": str(number)},
            )
            if outcome is Outcome.NO_ANSWER:
                records.change_gateway(unit, stored.id, suspected_at=unit.now)
            if outcome is Identity.SAME and kind is Kind.START and _due(unit, stored, kind):
                self._move(unit, stored, Act.VERIFY_ACCESS)
            elif outcome is Identity.DIFFERENT and Act.HOLD in possible(stored.state):
                self._move(unit, stored, Act.HOLD)

    def _move(self, unit: UnitOfWork, stored: StoredEngagement, act: Act) -> None:
        self._register.reach(unit, stored, act)
        note(unit, READER, stored, act, GATEWAY)


def queue(unit: UnitOfWork, engagement: EngagementId, kind: Kind, *, at_once: bool = False) -> bool:
    """Queue a round; False within ten minutes of the last one, unless it cannot wait.

    The same one is queued once in as long as a round lasts: one that was cut off may be asked anew.
    """
    known = records.rounds(unit, engagement)
    if known and not at_once and unit.now - known[-1].at < BETWEEN:
        return False
    ids = {"engagement": engagement, "round": str(kind)}
    there = records.endpoint(unit, engagement)
    slot = (unit.now - EPOCH) // timedelta(seconds=LONGEST_ROUND_S)
    of = f"{engagement}:{len(known) + 1}:{kind}:{there.id if there else ''}:{slot}"
    unit.enqueue(Task(RUN, f"{RUN}:{of}", ids))
    return True


def begin(unit: UnitOfWork, found: Whole) -> None:
    """Queue the first round when an evaluator's first call finds that there was none."""
    ready = found.endpoint is not None and found.engagement.state is EngagementState.PROVISIONING
    if ready and _may(unit, found.engagement, found.agreement.stands_at(unit.now)):
        queue(unit, found.engagement.id, Kind.START)


def _due(unit: UnitOfWork, stored: StoredEngagement, kind: Kind) -> bool:
    """Whether a round of this kind may be made: the first one before access begins, others after."""
    stands = agreements.one(unit, stored.agreement)
    first = stored.state is EngagementState.PROVISIONING
    return (
        stands is not None
        and _may(unit, stored, stands.stands_at(unit.now))
        and (kind is Kind.START) == first
    )


def _may(unit: UnitOfWork, stored: StoredEngagement, agreed: bool) -> bool:  # noqa: FBT001
    off = records.gateway(unit, stored.id).switched_off
    return agreed and not off and stored.state in REACHABLE


def _judge(
    baseline: dict[str, dict[str, list[str]]], said: dict[str, dict[str, list[str]]]
) -> tuple[Identity, Body]:
    """What a round tells of all variants together: the worst that it tells of one.

    A variant that was never measured is measured now. Those that were stay as they were measured,
    also while they are not served: to serve one more makes no other model of the rest.
    """
    fresh = {
        variant: {prompt: told[:-1] for prompt, told in by.items()}
        for variant, by in said.items()
        if variant not in baseline
    }
    answers = {
        variant: {prompt: told[-1] for prompt, told in by.items()} for variant, by in said.items()
    }
    known = baseline | fresh
    found = {canary.compare(known[variant], answers[variant]).identity for variant in answers}
    worst = (Identity.DIFFERENT, Identity.UNCLEAR, Identity.SAME)
    return next(each for each in worst if each in found), Body(answers, known if fresh else None)


def _request(variant: str, prompt: str, dialect: Dialect, *, plain: bool = False) -> Asked:
    """A prompt as it is asked; `plain` as endpoints take it that take fewer fields."""
    wish: dict[str, object] = {
        "model": variant,
        "messages": [{"role": "user", "content": prompt}],
        "max_completion_tokens" if plain else "max_tokens": MOST_TOKENS,
    }
    if not plain:
        wish["temperature"] = 0
    return read_request(canonical(wish), dialect)


def _recorded(about: _Asked, asked: Asked, went: Exchanged, now: datetime) -> RecordedCall:
    return RecordedCall(
        answer_sha256=hashlib.sha256(went.given).hexdigest(),
        answer_tokens=went.answer_tokens,
        at=now,
        caller=GATEWAY,
        engagement=about.stored.id,
        number=0,
        outcome=str(went.outcome),
        previous="",
        prompt_tokens=went.prompt_tokens,
        request_sha256=hashlib.sha256(canonical(asked.fields)).hexdigest(),
        status=went.status,
        variant=place_of(about.body, asked.variant),
    )
