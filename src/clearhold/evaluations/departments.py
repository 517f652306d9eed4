"""Several departments in one engagement: each with its scope, reviewers and slot, none twice the burden.

What a department writes lies where it, the developer and the evaluator may read it, and no other
department. When two ask the same question of the same variant with the same suite, both are told, and
one run serves both. What all of it costs the developer is summed up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.evaluations import engagement_records
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.agreements import ModelAgreements
from clearhold.evaluations.clock import clock
from clearhold.evaluations.engagement_records import StoredEngagement
from clearhold.evaluations.engagement_rules import agreed_end, clock_events
from clearhold.evaluations.engagements import Engagements, side_of
from clearhold.evaluations.model import OVER, Side
from clearhold.evaluations.papers import Kind, Paper, Papers
from clearhold.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from clearhold.kernel.ids import CompartmentId
from clearhold.parties import records as parties
from clearhold.store.unit_of_work import Sessions, UnitOfWork

READER: Final = "service:evaluations"
_LONGEST: Final = 4000


class Department(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A department's part in an engagement: handle, scope in words, reviewers by name, and its slot."""

    begins_at: datetime
    department: str
    ends_at: datetime
    reviewers: tuple[str, ...]
    scope: str


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a department asks: a question of a variant with a suite, and what it will cost.

    `suite_sha256` is the suite's commitment; `hours` are of the developer's people, `tokens` of its model.
    """

    hours: float
    question: str
    suite_sha256: str
    tokens: int
    variant: str

    @property
    def same(self) -> tuple[str, str, str]:
        """What two requests have in common that one run serves."""
        return self.variant, self.suite_sha256, " ".join(self.question.lower().split())


class Duplicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Told to both of two departments that ask the same: whose run serves both, and who asked again."""

    asked_again_by: str
    request: str
    runs: str


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request, who made it, and the request whose run serves it: its own, or an earlier one."""

    id: str
    department: str
    request: Request
    served_by: str


@dataclass(frozen=True, slots=True)
class Burden:
    """What an engagement costs its developer.

    Hours and tokens are of the runs that are needed, `spared` what duplicates would have added;
    `delay_s` is by how much pauses and extensions moved the end of access.
    """

    requests: int
    runs: int
    hours: float
    tokens: int
    spared_hours: float
    spared_tokens: int
    delay_s: int
    by_department: dict[str, int]


class Departments:
    """The departments of engagements and what they ask."""

    def __init__(
        self, sessions: Sessions, register: ModelAgreements, engagements: Engagements, kept: Papers
    ) -> None:
        self._sessions = sessions
        self._register = register
        self._engagements = engagements
        self._papers = kept

    def add(self, actor: Actor, engagement: str, wanted: Department) -> Paper:
        """Give a department of the agreement its part, as the evaluator; a later one replaces it."""
        actor.need(Permission.EVALUATIONS_RUN)
        _check(wanted)
        with self._sessions.transaction() as unit:
            stored, stands = self._engagements.held(unit, actor, engagement)
            if side_of(stands, actor) is not Side.EVALUATOR:
                raise DeniedError("The evaluator says which department does what.")
            terms = self._register.terms(unit, stands, reader=actor.principal)
            if stored.state in OVER or wanted.department not in terms.departments:
                raise InvalidError("That is no department of this agreement, or all is over.")
            with unit.as_service():
                party = parties.by_handle(unit, wanted.department)
            if party is None or party.id in {stands.developer, stands.evaluator}:
                raise InvalidError("The department is no further party of this hub.")
            known = self._known(unit, stored)
            for name, (_, part) in known.items():
                if name != wanted.department and _overlap(part, wanted):
                    raise ConflictError(f"The slot overlaps that of {name}.")
            before = known.get(wanted.department)
            within = (
                before[0].compartment
                if before
                else self._papers.open_compartment(
                    unit, actor, (stands.developer, stands.evaluator, party.id), reason="department"
                )
            )
            content = msgspec.json.encode(wanted, order="deterministic")
            return self._papers.add(
                unit, actor, (stored.id, within), Kind.DEPARTMENT, content, about=wanted.department
            )

    def ask(self, actor: Actor, engagement: str, wanted: Request) -> RequestView:
        """Ask for a test, as a department in its slot; what was asked before is not run again."""
        actor.need(Permission.EVALUATIONS_RUN)
        _check_request(wanted)
        with self._sessions.transaction() as unit:
            stored, stands, handle, within, part = self._mine(unit, actor, engagement)
            if not part.begins_at <= unit.now < part.ends_at or stored.state in OVER:
                raise ConflictError("The department's slot is not now.")
            if not stands.stands_at(unit.now):
                raise ConflictError("The agreement is not in force, so nothing goes on under it.")
            with unit.as_service():
                body = self._engagements.body(unit, stored, reader=READER)
            if wanted.variant not in body.variants:
                raise InvalidError("The variant is not one of the engagement.")
            asked = self._asked(unit, stored)
            for each in asked:
                if each.department == handle and each.request.same == wanted.same:
                    return each
            first = next((each for each in asked if each.request.same == wanted.same), None)
            content = msgspec.json.encode(wanted, order="deterministic")
            made = self._papers.add(
                unit, actor, (stored.id, within), Kind.REQUEST, content, about=handle
            )
            if first is not None:
                self._tell_both(unit, actor, stored, handle, first)
            return RequestView(made.id, handle, wanted, first.served_by if first else made.id)

    def list(self, actor: Actor, engagement: str) -> tuple[RequestView, ...]:
        """The requests that the actor may read: a department its own, the sides all."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            seen = self._papers.seen(unit, actor, engagement, [Kind.DEPARTMENT, Kind.REQUEST])
            if not seen:
                self._engagements.found(unit, actor, engagement)
                return ()
            mine = {paper.id for paper, _ in seen}
            with unit.as_service():
                stored, _ = self._engagements.any_held(unit, engagement)
            return tuple(each for each in self._asked(unit, stored) if each.id in mine)

    def duplicates(self, actor: Actor, engagement: str) -> tuple[Duplicate, ...]:
        """What the actor was told of requests that several departments made."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            seen = self._papers.seen(unit, actor, engagement, [Kind.DUPLICATE])
            return tuple(
                dict.fromkeys(msgspec.json.decode(content, type=Duplicate) for _, content in seen)
            )

    def burden(self, actor: Actor, engagement: str) -> Burden:
        """What the engagement costs its developer, for the two sides."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            stored, stands = self._engagements.found(unit, actor, engagement)
            return self.cost(unit, stored, stands, unit.now)[0]

    def cost(
        self,
        unit: UnitOfWork,
        stored: StoredEngagement,
        stands: StoredAgreement,
        instant: datetime,
    ) -> tuple[Burden, int]:
        """The burden as it stood at an instant, and how many departments had a part then."""
        asked = self._asked(unit, stored, until=instant)
        added = self._papers.every(unit, stored.id, [Kind.DEPARTMENT], reader=READER)
        parts = {paper.about for paper, _ in added if paper.made_at <= instant}
        return burden(asked, _delay(unit, stored, stands, instant)), len(parts)

    def _mine(
        self, unit: UnitOfWork, actor: Actor, engagement: str
    ) -> tuple[StoredEngagement, StoredAgreement, str, CompartmentId, Department]:
        """The engagement as one of its departments sees it. Raises `NotFoundError` for others."""
        with unit.as_service():
            stored, stands = self._engagements.any_held(unit, engagement)
            handle = parties.by_id(unit, actor.party).handle
        found = self._known(unit, stored).get(handle)
        if found is None:
            raise NotFoundError("There is no such engagement.")
        paper, part = found
        return stored, stands, handle, paper.compartment, part

    def _known(
        self, unit: UnitOfWork, stored: StoredEngagement
    ) -> dict[str, tuple[Paper, Department]]:
        """Each department's part as it now is, for the service's own work."""
        return {
            paper.about: (paper, msgspec.json.decode(content, type=Department))
            for paper, content in self._papers.every(
                unit, stored.id, [Kind.DEPARTMENT], reader=READER
            )
        }

    def _asked(
        self, unit: UnitOfWork, stored: StoredEngagement, *, until: datetime | None = None
    ) -> tuple[RequestView, ...]:
        """All requests in their order (up to an instant), each with the first that asked the same."""
        first: dict[tuple[str, str, str], str] = {}
        found = []
        for paper, content in self._papers.every(unit, stored.id, [Kind.REQUEST], reader=READER):
            if until is not None and paper.made_at > until:
                continue
            request = msgspec.json.decode(content, type=Request)
            served = first.setdefault(request.same, paper.id)
            found.append(RequestView(paper.id, paper.about, request, served))
        return tuple(found)

    def _tell_both(
        self,
        unit: UnitOfWork,
        actor: Actor,
        stored: StoredEngagement,
        again: str,
        first: RequestView,
    ) -> None:
        told = Duplicate(asked_again_by=again, request=first.served_by, runs=first.department)
        content = msgspec.json.encode(told, order="deterministic")
        with unit.as_service():  # the other department's papers are not this one's to read
            known = self._known(unit, stored)
            for name in (first.department, again):
                within = (stored.id, known[name][0].compartment)
                about = f"{first.served_by}:{again}"
                self._papers.add(unit, actor, within, Kind.DUPLICATE, content, about=about)


def _delay(
    unit: UnitOfWork, stored: StoredEngagement, stands: StoredAgreement, instant: datetime
) -> int:
    """By how many seconds the end of access had moved at an instant."""
    every = engagement_records.happened(unit, stored.id)
    happened = [each for each in every if each.at <= instant]
    ends = agreed_end(stored, stands, happened, instant)
    began = clock(stored.window, clock_events(happened), instant).began_at
    if ends is None or began is None:
        return 0
    return max(0, int((ends - began - stored.window.length).total_seconds()))


def burden(asked: Iterable[RequestView], delay_s: int) -> Burden:
    """The sum of what was asked; what one run serves costs once, as much as the dearest asked for."""
    by_run: dict[str, list[RequestView]] = {}
    by_department: dict[str, int] = {}
    for each in asked:
        by_run.setdefault(each.served_by, []).append(each)
        by_department[each.department] = by_department.get(each.department, 0) + 1
    groups = [[each.request for each in group] for group in by_run.values()]
    hours = sum(max(each.hours for each in group) for group in groups)
    tokens = sum(max(each.tokens for each in group) for group in groups)
    return Burden(
        requests=sum(map(len, groups)),
        runs=len(groups),
        hours=hours,
        tokens=tokens,
        spared_hours=sum(each.hours for group in groups for each in group) - hours,
        spared_tokens=sum(each.tokens for group in groups for each in group) - tokens,
        delay_s=delay_s,
        by_department=by_department,
    )


def _overlap(one: Department, two: Department) -> bool:
    return one.begins_at < two.ends_at and two.begins_at < one.ends_at


def _check(wanted: Department) -> None:
    names = wanted.reviewers
    right = (
        all(each.tzinfo is not None for each in (wanted.begins_at, wanted.ends_at))
        and wanted.begins_at < wanted.ends_at
        and 0 < len(wanted.scope) <= _LONGEST
        and 1 <= len(names) <= 50
        and len(set(names)) == len(names)
        and all(0 < len(each) <= 200 and each.isprintable() for each in names)
    )
    if not right:
        raise InvalidError("A department has a scope, reviewers each once, and a slot with zones.")


def _check_request(wanted: Request) -> None:
    right = (
        0 < len(wanted.question.strip()) <= len(wanted.question) <= _LONGEST
        and len(wanted.suite_sha256) == 64
        and set(wanted.suite_sha256) <= set("0123456789abcdef")
        and 0 <= wanted.hours <= 10_000
        and 0 <= wanted.tokens <= 10**12
    )
    if not right:
        raise InvalidError("A request has a question, a suite's commitment, hours and tokens.")
