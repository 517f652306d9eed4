"""Decisions of named authorities, and early access for partners: signed by who says so, never computed.

A decision lies where developer, evaluator and the authority may read it, a partner's access where those
three may. What was decided is never changed; a later decision stands beside the earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.evaluations import engagement_records
from clearhold.evaluations import papers as kept_papers
from clearhold.evaluations.agreements import ModelAgreements
from clearhold.evaluations.engagement_records import StoredEngagement
from clearhold.evaluations.engagements import Engagements
from clearhold.evaluations.papers import Kind, Paper, Papers
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import PartyId
from clearhold.parties import records as parties
from clearhold.parties.signatures import signed_by
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire import dsse
from clearhold.wire import model_decision as wire
from clearhold.wire.model_decision import Determination, PartnerAccess

LONGEST_PARTNERSHIP: Final = timedelta(days=366)
_SLACK: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class DecisionView:
    """A decision, with the envelope in which its authority signed it."""

    paper: Paper
    decision: Determination
    envelope: bytes


@dataclass(frozen=True, slots=True)
class PartnerView:
    """A partner's access: who has signed, who ended it, and whether it is in force at this instant."""

    id: str
    access: PartnerAccess
    signed_by: tuple[PartyId, ...]
    ended_by: PartyId | None
    in_force: bool
    envelope: bytes


class Decisions:
    """Records what authorities decided, and what partners were granted with everybody's consent."""

    def __init__(
        self, sessions: Sessions, register: ModelAgreements, engagements: Engagements, kept: Papers
    ) -> None:
        self._sessions = sessions
        self._register = register
        self._engagements = engagements
        self._papers = kept

    def decide(self, actor: Actor, envelope: bytes) -> DecisionView:
        """Record a decision that the actor's party signed as the authority it names.

        A government body does so that is the evaluator of the engagement or a department of its
        agreement. Raises `NotFoundError` for others, whatever engagement they name.
        """
        actor.need(Permission.EVALUATIONS_AGREE)
        with self._sessions.transaction() as unit:
            payload, _ = self._signed(unit, actor, envelope, wire.DETERMINATION_TYPE)
            said = wire.read_determination(payload)
            stored, sides, department = self._named(unit, actor, said.engagement)
            mine = _handle(unit, actor.party)
            if actor.kind is not PartyKind.GOVERNMENT or (
                actor.party not in sides and not department
            ):
                raise NotFoundError("There is no such engagement.")
            _check_decision(said, mine)
            if said.decided_at > unit.now + _SLACK:
                raise InvalidError("A decision is recorded once it was made.")
            for known in self._opened(unit, actor, stored.id, Kind.DETERMINATION):
                if known[1] == envelope:
                    return DecisionView(known[0], said, envelope)
            within = self._papers.open_compartment(
                unit, actor, (*sides, actor.party), reason="decision"
            )
            made = self._papers.add(unit, actor, (stored.id, within), Kind.DETERMINATION, envelope)
            return DecisionView(made, said, envelope)

    def decided(self, actor: Actor, engagement: str) -> tuple[DecisionView, ...]:
        """The decisions about an engagement that the actor may read, in their order."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            found = self._opened(unit, actor, engagement, Kind.DETERMINATION)
            if not found:
                self._engagements.found(unit, actor, engagement)
            return tuple(
                DecisionView(paper, wire.read_determination(dsse.payload_of(envelope)), envelope)
                for paper, envelope in found
            )

    def propose(self, actor: Actor, envelope: bytes) -> PartnerView:
        """Propose early access for a partner, as a side of the engagement that signed it."""
        actor.need(Permission.EVALUATIONS_AGREE)
        with self._sessions.transaction() as unit:
            payload, _ = self._signed(unit, actor, envelope, wire.PARTNER_TYPE)
            wanted = wire.read_partner(payload)
            stored, stands = self._engagements.held(unit, actor, wanted.engagement)
            body = self._engagements.body(unit, stored, reader=actor.principal)
            with unit.as_service():
                developer = parties.by_id(unit, stands.developer)
                mine = parties.by_id(unit, actor.party)
                partner = parties.by_handle(unit, wanted.partner)
            faults = [
                said
                for right, said in (
                    (wanted.developer == developer.handle, "it names another developer"),
                    (wanted.proposer == mine.handle, "it names another proposer"),
                    (bool(wanted.variants), "it names no variant"),
                    (set(wanted.variants) <= set(body.variants), "a variant is not tested here"),
                    (0 < len(wanted.scope) <= 20_000, "its scope has 1 to 20000 characters"),
                    (8 <= len(wanted.nonce) <= 64, "its nonce has 8 to 64 characters"),
                    (unit.now < wanted.until, "its end is over"),
                    (wanted.not_before < wanted.until, "it ends before it begins"),
                    (wanted.until - unit.now <= LONGEST_PARTNERSHIP, "it lasts over a year"),
                    (stands.stands_at(unit.now), "the agreement is not in force"),
                )
                if not right
            ]
            if partner is None or partner.id in {stands.developer, stands.evaluator}:
                faults.append("its partner is no other party of this hub")
            if faults or partner is None:
                raise InvalidError(f"This access cannot be proposed: {'; '.join(faults)}.")
            for known in self._partners(unit, actor, stored.id):
                if known.access == wanted:
                    return known
            within = self._papers.open_compartment(
                unit, actor, (stands.developer, actor.party, partner.id), reason="partner-access"
            )
            made = self._papers.add(unit, actor, (stored.id, within), Kind.PARTNER, envelope)
            return self._partner(unit, actor, stored.id, made.id)

    def consent(self, actor: Actor, engagement: str, identity: str, envelope: bytes) -> PartnerView:
        """Sign a proposal as the developer or the partner it names: exactly its bytes."""
        actor.need(Permission.EVALUATIONS_AGREE)
        with self._sessions.transaction() as unit:
            view, paper = self._open_proposal(unit, actor, engagement, identity)
            payload, _ = self._signed(unit, actor, envelope, wire.PARTNER_TYPE)
            if payload != dsse.payload_of(view.envelope):
                raise InvalidError("What was signed is not what was proposed.")
            if actor.party in view.signed_by:
                return view
            if view.ended_by is not None or unit.now >= view.access.until:
                raise ConflictError("This access has ended.")
            within = (paper.engagement, paper.compartment)
            self._papers.add(unit, actor, within, Kind.PARTNER_CONSENT, envelope, about=identity)
            return self._partner(unit, actor, engagement, identity)

    def end(self, actor: Actor, engagement: str, identity: str) -> PartnerView:
        """End it for good, as any of the three, at once and without a reason."""
        actor.need(Permission.EVALUATIONS_AGREE)
        with self._sessions.transaction() as unit:
            view, paper = self._open_proposal(unit, actor, engagement, identity)
            if view.ended_by is None:
                within = (paper.engagement, paper.compartment)
                self._papers.add(unit, actor, within, Kind.PARTNER_END, b"ended", about=identity)
            return self._partner(unit, actor, engagement, identity)

    def partners(self, actor: Actor, engagement: str) -> tuple[PartnerView, ...]:
        """The early access under an engagement that the actor is a party to."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            found = self._partners(unit, actor, engagement)
            if not found:
                self._engagements.found(unit, actor, engagement)
            return found

    def _named(
        self, unit: UnitOfWork, actor: Actor, engagement: str
    ) -> tuple[StoredEngagement, tuple[PartyId, PartyId], bool]:
        """An engagement with its sides, and whether the actor's party is a department of it."""
        with unit.as_service():
            stored, stands = self._engagements.any_held(unit, engagement)
            terms = self._register.terms(unit, stands, reader="service:evaluations")
            handle = parties.by_id(unit, actor.party).handle
        return stored, (stands.developer, stands.evaluator), handle in terms.departments

    def _signed(
        self, unit: UnitOfWork, actor: Actor, envelope: bytes, kind: str
    ) -> tuple[bytes, str]:
        if len(envelope) > 2 * wire.LARGEST:
            raise InvalidError("What was signed is too long.")
        return signed_by(unit, actor.party, envelope, kind, what="statement")

    def _opened(
        self, unit: UnitOfWork, actor: Actor, engagement: str, kind: Kind
    ) -> tuple[tuple[Paper, bytes], ...]:
        return self._papers.seen(unit, actor, engagement, [kind])

    def _open_proposal(
        self, unit: UnitOfWork, actor: Actor, engagement: str, identity: str
    ) -> tuple[PartnerView, Paper]:
        with unit.as_service():  # whoever writes about an engagement holds its row
            engagement_records.hold(unit, engagement)
        view = self._partner(unit, actor, engagement, identity)
        paper = kept_papers.one_seen_by(unit, actor, identity)
        if paper is None:
            raise NotFoundError("There is no such access.")
        return view, paper

    def _partner(
        self, unit: UnitOfWork, actor: Actor, engagement: str, identity: str
    ) -> PartnerView:
        for each in self._partners(unit, actor, engagement):
            if each.id == identity:
                return each
        raise NotFoundError("There is no such access.")

    def _partners(self, unit: UnitOfWork, actor: Actor, engagement: str) -> tuple[PartnerView, ...]:
        kinds = [Kind.PARTNER, Kind.PARTNER_CONSENT, Kind.PARTNER_END]
        found = self._papers.seen(unit, actor, engagement, kinds)
        return tuple(
            _partner_of(
                unit, paper, envelope, [each for each, _ in found if each.about == paper.id]
            )
            for paper, envelope in found
            if paper.kind == Kind.PARTNER
        )


def _partner_of(unit: UnitOfWork, paper: Paper, envelope: bytes, about: list[Paper]) -> PartnerView:
    access = wire.read_partner(dsse.payload_of(envelope))
    signed = dict.fromkeys(
        [paper.party, *(each.party for each in about if each.kind == Kind.PARTNER_CONSENT)]
    )
    ended = next((each.party for each in about if each.kind == Kind.PARTNER_END), None)
    needed = len({access.developer, access.partner, access.proposer})
    stands = len(signed) == needed and ended is None
    in_force = stands and access.not_before <= unit.now < access.until
    return PartnerView(paper.id, access, tuple(signed), ended, in_force, envelope)


def _check_decision(said: Determination, handle: str) -> None:
    texts = (said.basis, said.decided_by, said.rule)
    faults = [
        fault
        for right, fault in (
            (said.authority == handle, "it names another authority than the one that signed"),
            (
                all(0 < len(each) <= 20_000 for each in texts),
                "it does not say who, why or by what rule",
            ),
            (1 <= len(said.inputs) <= 200, "it names 1 to 200 inputs"),
            (8 <= len(said.nonce) <= 64, "its nonce has 8 to 64 characters"),
            (
                all(
                    0 < len(each.what) <= 300
                    and len(each.sha256) == 64
                    and set(each.sha256) <= set("0123456789abcdef")
                    for each in said.inputs
                ),
                "an input has no name or SHA-256",
            ),
        )
        if not right
    ]
    if faults:
        raise InvalidError(f"The decision cannot be recorded: {'; '.join(faults)}.")


def _handle(unit: UnitOfWork, party: PartyId) -> str:
    with unit.as_service():
        return parties.by_id(unit, party).handle
