"""A case as each participant sees it.

Vendors and coordinators see everyone by name. A finder, deployer or other participant sees
themselves, the vendors and the coordinators by name, and the rest by role alone, so that no finder
learns who else found the flaw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clearhold.access.model import Actor
from clearhold.cases import model, progress, records
from clearhold.cases import waiting_records as queue
from clearhold.cases.model import Consent, EmbargoState, ReportState, Role
from clearhold.cases.records import CaseRecord, EmbargoRecord, ParticipantRecord
from clearhold.kernel.ids import CaseId, FindingId, PartyId, VulnerabilityId
from clearhold.parties import records as parties
from clearhold.parties import wishes
from clearhold.parties.contacts import Routes, routes_of
from clearhold.parties.wish import Channel
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

SEES_ALL: Final = frozenset({Role.VENDOR, Role.COORDINATOR})
_UNNAMED: Final[Mapping[Role, str]] = {
    Role.FINDER: "another finder",
    Role.DEPLOYER: "a deployer",
    Role.OTHER: "another participant",
}


@dataclass(frozen=True, slots=True)
class ParticipantView:
    """Someone in a case; `status` is the vendor path as letters, `consent` that to what stands."""

    name: str
    role: Role
    you: bool
    tier: int
    report: ReportState
    status: str
    consent: Consent | None


@dataclass(frozen=True, slots=True)
class EmbargoView:
    """One proposal of an embargo; `until` is its agreed end."""

    id: str
    state: str
    proposed_by: str
    proposed_at: datetime
    until: datetime
    operators_early_notice: bool
    terms: str
    your_consent: Consent | None
    caution: str | None


@dataclass(frozen=True, slots=True)
class WaitingView:
    """A vendor that is read in later, as it wishes; `due_at` when that is known."""

    name: str
    because: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class ContactView:
    """How somebody in a case is reached."""

    name: str
    role: Role
    routes: Routes
    prefers: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as one participant sees it.

    `waiting` is who is read in later, for coordinators alone. `status` is the case state as the protocol writes it, with V, F and D once any participant has
    them. `embargo` is the one in force or last ended, `proposal` one that still waits for answers. `questioned` says
    that attacks are observed and the parties should end the embargo. `findings` are those the
    participant may read.
    """

    id: CaseId
    vulnerability: VulnerabilityId
    title: str
    opened_at: datetime
    closed_at: datetime | None
    role: Role
    report: ReportState
    status: str
    fix_proved_at: datetime | None
    embargo_state: EmbargoState
    embargo: EmbargoView | None
    proposal: EmbargoView | None
    publication_time: datetime | None
    questioned: bool
    findings: tuple[FindingId, ...]
    participants: tuple[ParticipantView, ...]
    waiting: tuple[WaitingView, ...]


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message to a case."""

    id: str
    written_by: str
    written_at: datetime
    body: str


def title_place(case: CaseId) -> tuple[str, str, str]:
    """Where a sealed title stands."""
    return ("disclosure_case", "sealed_title", case)


def terms_place(embargo: str) -> tuple[str, str, str]:
    """Where sealed terms stand."""
    return ("embargo", "sealed_terms", embargo)


def message_place(message: str) -> tuple[str, str, str]:
    """Where a sealed message stands."""
    return ("case_message", "sealed_body", message)


class CaseViews:
    """Shows cases; every title, term and message shown is released in the ledger."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def show(self, unit: UnitOfWork, actor: Actor, case: CaseRecord) -> CaseView:
        """The case for one of its participants."""
        everyone = records.participants(unit, case.id)
        mine = part_of(everyone, actor.party)
        names = _names(unit, everyone, viewer=mine)
        standing = records.embargo_in(unit, case.id, progress.ACTIVE)
        standing = standing or records.embargo_in(unit, case.id, progress.ENDED)
        proposal = records.embargo_in(unit, case.id, progress.PROPOSED)
        asked = proposal or standing
        consents = {} if asked is None else records.consents(unit, asked.id)
        facts = model.NOTHING
        for part in everyone:
            facts |= records.facts_of(case, part)
        linked = records.linked_to(unit, case.id)
        return CaseView(
            id=case.id,
            vulnerability=case.vulnerability,
            title=self._open(unit, actor, case, title_place(case.id), case.sealed_title),
            opened_at=case.opened_at,
            closed_at=case.closed_at,
            role=mine.role,
            report=mine.report_state,
            status=model.word(facts),
            fix_proved_at=case.fix_ready_at,
            embargo_state=case.embargo_state,
            embargo=self._embargo(unit, actor, case, standing, names=names),
            proposal=self._embargo(unit, actor, case, proposal, names=names),
            publication_time=None if standing is None else standing.ended_at or standing.until,
            questioned=model.embargo_questioned(case.embargo_state, facts),
            findings=tuple(
                each.finding
                for each in linked
                if mine.role in SEES_ALL or each.party == actor.party
            ),
            participants=tuple(
                ParticipantView(
                    name=names[part.party],
                    role=part.role,
                    you=part.party == actor.party,
                    tier=part.tier,
                    report=part.report_state,
                    status=model.word(records.facts_of(case, part))[:3],
                    consent=consents.get(part.party),
                )
                for part in everyone
            ),
            waiting=tuple(
                WaitingView(parties.name_of(unit, each.party), each.held_because, each.due_at)
                for each in queue.waiting_in(unit, case.id)
                if mine.role is Role.COORDINATOR
            ),
        )

    def messages(self, unit: UnitOfWork, actor: Actor, case: CaseRecord) -> tuple[MessageView, ...]:
        """Everything that was said in the case, oldest first."""
        everyone = records.participants(unit, case.id)
        names = _names(unit, everyone, viewer=part_of(everyone, actor.party))
        return tuple(
            MessageView(
                each.id,
                names[each.party],
                each.written_at,
                self._open(unit, actor, case, message_place(each.id), each.sealed_body),
            )
            for each in records.messages(unit, case.id)
        )

    def _embargo(
        self,
        unit: UnitOfWork,
        actor: Actor,
        case: CaseRecord,
        embargo: EmbargoRecord | None,
        *,
        names: Mapping[PartyId, str],
    ) -> EmbargoView | None:
        if embargo is None:
            return None
        return EmbargoView(
            id=embargo.id,
            state=embargo.state,
            proposed_by=names[embargo.proposed_by],
            proposed_at=embargo.proposed_at,
            until=embargo.until,
            operators_early_notice=embargo.operators_early_notice,
            terms=self._open(unit, actor, case, terms_place(embargo.id), embargo.sealed_terms),
            your_consent=records.consents(unit, embargo.id).get(actor.party),
            caution=embargo.caution,
        )

    def _open(
        self,
        unit: UnitOfWork,
        actor: Actor,
        case: CaseRecord,
        place: tuple[str, str, str],
        sealed: bytes,
    ) -> str:
        return self._vault.unseal(
            unit, case.compartment, place=place, sealed=sealed, reader=actor.principal
        ).decode()


def contacts_of(unit: UnitOfWork, actor: Actor, case: CaseId) -> tuple[ContactView, ...]:
    """The disclosure routes of those whom the actor knows by name in a case."""
    everyone = records.participants(unit, case)
    viewer = part_of(everyone, actor.party)
    return tuple(
        ContactView(
            parties.name_of(unit, part.party),
            part.role,
            routes_of(unit, part.party),
            wishes.channels_of(unit, part.party),
        )
        for part in everyone
        if _named(part, viewer)
    )


def part_of(everyone: Sequence[ParticipantRecord], party: PartyId) -> ParticipantRecord:
    """A party's own part in a case it takes part in."""
    return next(part for part in everyone if part.party == party)


def _names(
    unit: UnitOfWork, everyone: Sequence[ParticipantRecord], *, viewer: ParticipantRecord
) -> dict[PartyId, str]:
    return {
        part.party: parties.name_of(unit, part.party)
        if _named(part, viewer)
        else _UNNAMED[part.role]
        for part in everyone
    }


def _named(part: ParticipantRecord, viewer: ParticipantRecord) -> bool:
    return viewer.role in SEES_ALL or part.role in SEES_ALL or part.party == viewer.party
