"""Agreeing to keep a case quiet until an instant, changing that, and ending it.

A proposal is signed by whoever makes it. It becomes active when every vendor and one coordinator
at least have signed; a vendor or coordinator who declines rejects it for everybody. A proposal
made while an embargo is active is a revision of it: until it is agreed, the old one stands, and a
newer proposal takes the place of one that is still open. Any participant may end an embargo; it
binds nobody who does not want to be bound, and the ledger keeps who ended it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from clearhold.access.grants import Tier
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.cases import embargo_records, model, progress, records
from clearhold.cases.collisions import collision_in
from clearhold.cases.contact import VendorContact
from clearhold.cases.embargo_records import EmbargoRecord
from clearhold.cases.entry import entered
from clearhold.cases.model import (
    IN_FORCE,
    Consent,
    ConsentStep,
    EmbargoStep,
    Fact,
    step_consent,
)
from clearhold.cases.records import CaseRecord
from clearhold.cases.views import CaseView, CaseViews, terms_place
from clearhold.kernel.errors import ConflictError, InvalidError
from clearhold.kernel.events import Event
from clearhold.kernel.ids import CaseId, new_id
from clearhold.parties.wish import EmbargoPolicy
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

LONGEST_TERMS: Final = 20_000


class EmbargoService:
    """The desk where embargoes are agreed."""

    def __init__(self, sessions: Sessions, vault: Vault, contact: VendorContact) -> None:
        self._sessions = sessions
        self._vault = vault
        self._contact = contact
        self._views = CaseViews(vault)

    def propose(
        self,
        actor: Actor,
        case: CaseId,
        *,
        until: datetime | None = None,
        terms: str = "",
        operators_early_notice: bool = False,
    ) -> CaseView:
        """Propose to keep the case quiet until an instant, or to change what was agreed.

        Without `until`, the vendors' own policy says for how long. What lies outside that policy is
        marked with a caution, or refused where the policy is firm; a vendor may change its mind.
        So is, for who may read the content, what is longer than advised for a flaw that so many found.
        `operators_early_notice` lets operators be told before that instant that something urgent
        is coming, without saying what. Proposing again what one's own open proposal says changes
        nothing. Raises `ConflictError` when something is public already, the embargo has ended or a
        firm policy forbids it, and `InvalidError` for an instant or terms that cannot be.
        """
        actor.need(Permission.CASES_CONSENT)
        if len(terms) > LONGEST_TERMS:
            raise InvalidError(
                f"Terms have at most {LONGEST_TERMS} characters.", next_step="Shorten them."
            )
        with self._sessions.transaction() as unit:
            held, _ = entered(unit, actor, case)
            wished = self._contact.policy(unit, case, of_others=actor.party)
            if until is None:
                until = _usual(wished, unit.now)
            model.check_term(until, unit.now)
            self._viable(unit, held)
            caution = self._caution(unit, case, wished, until)
            earlier = embargo_records.embargo_in(unit, case, progress.PROPOSED)
            if earlier is None or not self._repeats(
                unit, actor, held, earlier, until=until, terms=terms, notice=operators_early_notice
            ):
                held = self._write(
                    unit,
                    actor,
                    held,
                    until=until,
                    terms=terms,
                    notice=operators_early_notice,
                    caution=caution,
                )
            return self._views.show(unit, actor, self._settled(unit, held, by=actor))

    def accept(self, actor: Actor, case: CaseId, embargo: str) -> CaseView:
        """Sign an embargo, proposed or active; signing twice changes nothing.

        Raises `ConflictError` when it is no longer open, or was declined and not proposed anew.
        """
        actor.need(Permission.CASES_CONSENT)
        with self._sessions.transaction() as unit:
            held, _ = entered(unit, actor, case, tier=Tier.NOTICE)
            asked = _open(unit, case, embargo)
            if embargo_records.consents(unit, asked.id)[actor.party] is not Consent.SIGNATORY:
                _answer(unit, actor, held, asked, ConsentStep.ACCEPT)
            return self._views.show(unit, actor, self._settled(unit, held, by=actor))

    def decline(self, actor: Actor, case: CaseId, embargo: str) -> CaseView:
        """Decline an embargo; a vendor or coordinator so rejects a proposal for everybody.

        Who has signed is bound until the embargo ends. Raises `ConflictError` then, and when it is
        no longer open.
        """
        actor.need(Permission.CASES_CONSENT)
        with self._sessions.transaction() as unit:
            held, mine = entered(unit, actor, case, tier=Tier.NOTICE)
            asked = _open(unit, case, embargo)
            if embargo_records.consents(unit, asked.id)[actor.party] is not Consent.DECLINED:
                _answer(unit, actor, held, asked, ConsentStep.DECLINE)
                if asked.state == progress.PROPOSED and model.decisive(mine.role):
                    held = progress.reject_proposal(unit, held, by=actor.principal)
            return self._views.show(unit, actor, held)

    def terminate(self, actor: Actor, case: CaseId) -> CaseView:
        """End the embargo in force at once; what the case holds may be published from now on.

        An end that lies ahead is a revision instead. Raises `ConflictError` when none is in force.
        """
        actor.need(Permission.CASES_CONSENT)
        with self._sessions.transaction() as unit:
            held, _ = entered(unit, actor, case)
            if held.embargo_state not in IN_FORCE:
                model.step_embargo(held.embargo_state, EmbargoStep.TERMINATE)
            held = progress.end_embargo(unit, held, at=unit.now, by=actor.principal)
            return self._views.show(unit, actor, held)

    def _caution(
        self, unit: UnitOfWork, case: CaseId, wished: EmbargoPolicy, until: datetime
    ) -> str:
        """How an end lies outside the vendors' policy; `ConflictError` where that is firm."""
        standing = embargo_records.embargo_in(unit, case, progress.ACTIVE)
        began = unit.now if standing is None else standing.proposed_at
        caution = wished.outside(until - began)
        if caution and wished.firm:
            raise ConflictError(
                caution, next_step="Propose an end that keeps to it, or let them propose one."
            )
        return caution

    def _viable(self, unit: UnitOfWork, case: CaseRecord) -> None:
        facts = model.NOTHING
        for part in records.participants(unit, case.id):
            facts |= records.facts_of(case, part)
        possible = model.viability(facts)
        # A deployed fix forbids a new embargo, but one in force may still run on or be revised.
        running = case.embargo_state in IN_FORCE and not case.world and Fact.FIX_DEPLOYED in facts
        if not possible.may_start and not running:
            raise ConflictError(
                f"An embargo cannot be proposed: {possible.reason}.",
                next_step="Publish what is known instead.",
            )

    def _repeats(
        self,
        unit: UnitOfWork,
        actor: Actor,
        case: CaseRecord,
        earlier: EmbargoRecord,
        *,
        until: datetime,
        terms: str,
        notice: bool,
    ) -> bool:
        same = (earlier.proposed_by, earlier.until, earlier.operators_early_notice)
        if same != (actor.party, until, notice):
            return False
        said = self._vault.unseal(
            unit,
            case.compartment,
            place=terms_place(earlier.id),
            sealed=earlier.sealed_terms,
            reader=actor.principal,
        )
        return said.decode() == terms

    def _write(
        self,
        unit: UnitOfWork,
        actor: Actor,
        case: CaseRecord,
        *,
        until: datetime,
        terms: str,
        notice: bool,
        caution: str,
    ) -> CaseRecord:
        identity = new_id(unit.now)
        new = EmbargoRecord(
            id=identity,
            case=case.id,
            proposed_by=actor.party,
            proposed_at=unit.now,
            until=until.astimezone(UTC),
            operators_early_notice=notice,
            sealed_terms=self._vault.seal(
                unit, case.compartment, place=terms_place(identity), content=terms.encode()
            ),
            state=progress.PROPOSED,
            ended_at=None,
            caution=caution or None,
        )
        earlier = embargo_records.embargo_in(unit, case.id, progress.PROPOSED)
        case = progress.move_embargo(
            unit,
            case,
            EmbargoStep.PROPOSE,
            embargo=new,
            by=actor.principal,
            collision=collision_in(unit, case.id).danger,
        )
        if earlier is not None:
            embargo_records.change_embargo(
                unit, earlier.id, state=progress.SUPERSEDED, decided_at=unit.now
            )
        embargo_records.propose(unit, new)
        for part in records.participants(unit, case.id):
            embargo_records.invite(unit, new.id, part.party)
        _answer(unit, actor, case, new, ConsentStep.ACCEPT)
        return case

    def _settled(self, unit: UnitOfWork, case: CaseRecord, *, by: Actor) -> CaseRecord:
        """Make the open proposal the embargo once those have signed who must."""
        proposal = embargo_records.embargo_in(unit, case.id, progress.PROPOSED)
        if proposal is None:
            return case
        given = embargo_records.consents(unit, proposal.id)
        everyone = records.participants(unit, case.id)
        if not model.agreed((part.role, given[part.party]) for part in everyone):
            return case
        revised = embargo_records.embargo_in(unit, case.id, progress.ACTIVE)
        if revised is not None:
            _lapse(unit, revised)
        case = progress.move_embargo(
            unit,
            case,
            EmbargoStep.ACCEPT,
            embargo=proposal,
            by=by.principal,
            collision=collision_in(unit, case.id).danger,
        )
        embargo_records.change_embargo(
            unit, proposal.id, state=progress.ACTIVE, decided_at=unit.now
        )
        unit.publish(Event("embargo.agreed", proposal.id, {"case": case.id}))
        return case


def _usual(wished: EmbargoPolicy, now: datetime) -> datetime:
    if wished.usual is None:
        raise InvalidError(
            "No vendor of this case says how long an embargo usually is.",
            next_step="Say until when.",
        )
    return now + timedelta(days=wished.usual)


def _open(unit: UnitOfWork, case: CaseId, embargo: str) -> EmbargoRecord:
    for state in (progress.PROPOSED, progress.ACTIVE):
        asked = embargo_records.embargo_in(unit, case, state)
        if asked is not None and asked.id == embargo:
            return asked
    raise ConflictError(
        "That embargo is not open to an answer.",
        next_step="Look at the case: another proposal may have taken its place.",
    )


def _answer(
    unit: UnitOfWork, actor: Actor, case: CaseRecord, embargo: EmbargoRecord, step: ConsentStep
) -> None:
    before = embargo_records.consents(unit, embargo.id)[actor.party]
    after = step_consent(before, step)
    embargo_records.change_consent(unit, embargo.id, actor.party, after)
    detail: dict[str, str] = {"case": case.id, "party": actor.party, "consent": after}
    if step is ConsentStep.ACCEPT:
        # What its length was judged by at that moment, so that the caution can be worked out again.
        detail["collision"] = collision_in(unit, case.id).danger
    unit.record(
        "cases:consent:answer",
        actor=actor.principal,
        subject=embargo.id,
        compartment=case.compartment,
        detail=detail,
    )


def _lapse(unit: UnitOfWork, revised: EmbargoRecord) -> None:
    """Set aside an embargo whose revision was agreed; who had signed it must sign anew."""
    for party, consent in embargo_records.consents(unit, revised.id).items():
        if consent is Consent.SIGNATORY:
            lapsed = step_consent(consent, ConsentStep.REVISE)
            embargo_records.change_consent(unit, revised.id, party, lapsed)
    embargo_records.change_embargo(unit, revised.id, state=progress.SUPERSEDED, decided_at=unit.now)
