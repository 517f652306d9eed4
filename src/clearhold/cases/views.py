"""A case as each participant sees it.

How much is shown is the viewer's tier: at the last one only that something comes and when, before
that the title, the embargo and who takes part, and the findings' ids to who sees content.

Vendors and coordinators see everyone by name. A finder, deployer or other participant sees
themselves, the vendors and the coordinators by name, and the rest by role alone, so that no finder
learns who else found the flaw. Whoever sees a notice alone sees nobody but the coordinators by name,
since a vendor's name would tell where the flaw is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from clearhold.access import glass
from clearhold.access.grants import Tier
from clearhold.access.model import Actor
from clearhold.cases import embargo_records, model, progress, records
from clearhold.cases import waiting_records as queue
from clearhold.cases.collisions import collisions_in
from clearhold.cases.embargo_records import EmbargoRecord
from clearhold.cases.model import Consent, EmbargoState, ReportState, Role
from clearhold.cases.records import CaseRecord, LinkedFinding, ParticipantRecord
from clearhold.cases.waiting_records import WaitingRecord
from clearhold.findings.danger import Collision, Danger
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import CaseId, CompartmentId, FindingId, PartyId, VulnerabilityId
from clearhold.parties import records as parties
from clearhold.parties import wishes
from clearhold.parties.contacts import Routes, routes_of
from clearhold.parties.wish import Channel, tellable
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Sealed, Vault

SEES_ALL: Final = frozenset({Role.VENDOR, Role.COORDINATOR})
_UNNAMED: Final[Mapping[Role, str]] = {
    Role.FINDER: "another finder",
    Role.DEPLOYER: "a deployer",
    Role.OTHER: "another participant",
    Role.VENDOR: "a vendor",
}
_SHOWN: Final = (progress.ACTIVE, progress.ENDED, progress.PROPOSED)
_Place = tuple[str, str, str]
_OfCase = TypeVar("_OfCase", ParticipantRecord, LinkedFinding, WaitingRecord)


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
    """One proposal of an embargo; `until` is its agreed end, `terms` None in a notice and in lists."""

    id: str
    state: str
    proposed_by: str
    proposed_at: datetime
    until: datetime
    operators_early_notice: bool
    terms: str | None
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
class GlassView:
    """That somebody broke the glass: a coordinator who was not read in, with a second person."""

    party: str
    reason: str
    broken_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as one participant sees it, at `tier`.

    `waiting` is who is read in later, for coordinators alone. `status` is the case state as the protocol writes it, with V, F and D once any participant has
    them. `embargo` is the one in force or last ended, `proposal` one that still waits for answers. `questioned` says
    that attacks are observed and the parties should end the embargo. `collision` says how dangerous it
    is that several found the flaw, and `collided_since` that another finder has joined since the
    embargo in force was proposed, which is a reason to negotiate anew. `findings` are those the
    participant may read. What the tier does not show is None or empty.
    """

    id: CaseId
    tier: Tier
    vulnerability: VulnerabilityId | None
    title: str | None
    opened_at: datetime
    closed_at: datetime | None
    role: Role
    report: ReportState
    status: str | None
    fix_proved_at: datetime | None
    embargo_state: EmbargoState
    embargo: EmbargoView | None
    proposal: EmbargoView | None
    publication_time: datetime | None
    questioned: bool
    collision: Danger | None
    collided_since: bool
    findings: tuple[FindingId, ...]
    participants: tuple[ParticipantView, ...]
    broken_glass: tuple[GlassView, ...]
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


@dataclass(frozen=True, slots=True)
class _Material:
    """What several cases are shown from, read in a fixed number of queries."""

    tiers: Mapping[CaseId, Tier]
    parts: Mapping[CaseId, Sequence[ParticipantRecord]]
    names: Mapping[PartyId, str]
    embargoes: Mapping[tuple[CaseId, str], EmbargoRecord]
    consents: Mapping[str, Mapping[PartyId, Consent]]
    linked: Mapping[CaseId, Sequence[LinkedFinding]]
    glass: Mapping[CompartmentId, Sequence[glass.Broken]]
    waiting: Mapping[CaseId, Sequence[WaitingRecord]]
    collisions: Mapping[CaseId, Collision]
    opened: Mapping[_Place, str]


class CaseViews:
    """Shows cases; every title, term and message shown is released in the ledger."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def show(self, unit: UnitOfWork, actor: Actor, case: CaseRecord) -> CaseView:
        """The case for one of its participants."""
        return self.show_all(unit, actor, [case])[0]

    def show_all(
        self, unit: UnitOfWork, actor: Actor, cases: Sequence[CaseRecord], *, terms: bool = True
    ) -> tuple[CaseView, ...]:
        """Cases for one of their participants; as many queries for a hundred as for one.

        Without `terms` those of embargoes stay sealed, and so are not counted as read.
        """
        material = self._material(unit, actor, cases, terms=terms)
        return tuple(_shown(actor, case, material) for case in cases)

    def messages(self, unit: UnitOfWork, actor: Actor, case: CaseRecord) -> tuple[MessageView, ...]:
        """Everything that was said in the case, oldest first."""
        everyone = records.participants(unit, case.id)
        named = parties.names_of(unit, [part.party for part in everyone])
        names = _names(everyone, named, viewer=part_of(everyone, actor.party), tier=Tier.CONTENT)
        written = records.messages(unit, case.id)
        opened = self._open(
            unit,
            actor,
            [
                Sealed(case.compartment, message_place(each.id), each.sealed_body)
                for each in written
            ],
        )
        return tuple(
            MessageView(each.id, names[each.party], each.written_at, opened[message_place(each.id)])
            for each in written
        )

    def _material(
        self, unit: UnitOfWork, actor: Actor, cases: Sequence[CaseRecord], *, terms: bool
    ) -> _Material:
        identities = [case.id for case in cases]
        parts = _grouped(records.participants(unit, *identities))
        links = records.linked_to(unit, *identities)
        roles = {case: part_of(everyone, actor.party).role for case, everyone in parts.items()}
        embargoes = embargo_records.embargoes(unit, identities, _SHOWN)
        tiers = records.tiers(unit, actor, cases, roles)
        everybody = {part.party for everyone in parts.values() for part in everyone}
        broken = glass.broken_in(unit, [case.compartment for case in cases])
        everybody |= {each.party for several in broken.values() for each in several}
        waiting = queue.waiting_in(unit, _coordinated(cases, roles, tiers))
        everybody |= {each.party for each in waiting}
        return _Material(
            tiers=tiers,
            parts=parts,
            names=parties.names_of(unit, everybody),
            embargoes=embargoes,
            consents=embargo_records.consents_to(unit, [each.id for each in embargoes.values()]),
            linked=_grouped(links),
            glass=broken,
            waiting=_grouped(waiting),
            collisions=collisions_in(
                unit, [each for each in links if tiers[each.case] <= Tier.CONTENT]
            ),
            opened=self._open(unit, actor, _sealed(cases, tiers, embargoes, terms=terms)),
        )

    def _open(self, unit: UnitOfWork, actor: Actor, sealed: Sequence[Sealed]) -> dict[_Place, str]:
        opened = self._vault.unseal_all(unit, sealed, reader=actor.principal)
        return {each.place: text.decode() for each, text in zip(sealed, opened, strict=True)}


def contacts_of(unit: UnitOfWork, actor: Actor, case: CaseId) -> tuple[ContactView, ...]:
    """The disclosure routes of those whom the actor, who sees the fix, knows by name in a case."""
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
        if _named(part, viewer, Tier.FIX)
    )


def part_of(everyone: Sequence[ParticipantRecord], party: PartyId) -> ParticipantRecord:
    """A party's own part in a case it takes part in."""
    return next(part for part in everyone if part.party == party)


def check_line(name: str, text: str, most: int) -> None:
    """Raise `InvalidError` unless `text` is one printable line that is not empty."""
    if not text.strip() or len(text) > most or not text.isprintable():
        raise InvalidError(
            f"A {name} is one line of 1 to {most} printable characters.",
            next_step="Shorten it or take out what cannot be printed.",
        )


def _sealed(
    cases: Sequence[CaseRecord],
    tiers: Mapping[CaseId, Tier],
    embargoes: Mapping[tuple[CaseId, str], EmbargoRecord],
    *,
    terms: bool,
) -> list[Sealed]:
    """What the viewer's tiers show of what is sealed, and no more: each is a release."""
    sealed = []
    for case in cases:
        if tiers[case.id] > Tier.FIX:
            continue
        sealed.append(Sealed(case.compartment, title_place(case.id), case.sealed_title))
        if not terms:
            continue
        both = (_standing(case.id, embargoes), embargoes.get((case.id, progress.PROPOSED)))
        sealed += [
            Sealed(case.compartment, terms_place(each.id), each.sealed_terms)
            for each in both
            if each is not None
        ]
    return sealed


def _coordinated(
    cases: Sequence[CaseRecord], roles: Mapping[CaseId, Role], tiers: Mapping[CaseId, Tier]
) -> list[CaseId]:
    return [
        case.id
        for case in cases
        if roles[case.id] is Role.COORDINATOR and tiers[case.id] <= Tier.CONTENT
    ]


def _standing(
    case: CaseId, embargoes: Mapping[tuple[CaseId, str], EmbargoRecord]
) -> EmbargoRecord | None:
    return embargoes.get((case, progress.ACTIVE)) or embargoes.get((case, progress.ENDED))


def _shown(actor: Actor, case: CaseRecord, material: _Material) -> CaseView:
    everyone, tier = material.parts[case.id], material.tiers[case.id]
    mine = part_of(everyone, actor.party)
    names = _names(everyone, material.names, viewer=mine, tier=tier)
    standing = _standing(case.id, material.embargoes)
    proposal = material.embargoes.get((case.id, progress.PROPOSED))
    asked = proposal or standing
    consents = {} if asked is None else material.consents[asked.id]
    facts = model.NOTHING
    for part in everyone:
        facts |= records.facts_of(case, part)
    prepares = tier <= Tier.FIX
    collision = material.collisions.get(case.id)
    return CaseView(
        id=case.id,
        tier=tier,
        vulnerability=case.vulnerability if tier <= Tier.CONTENT else None,
        title=material.opened.get(title_place(case.id)),
        opened_at=case.opened_at,
        closed_at=case.closed_at,
        role=mine.role,
        report=mine.report_state,
        status=model.word(facts) if prepares else None,
        fix_proved_at=case.fix_ready_at if prepares else None,
        embargo_state=case.embargo_state,
        embargo=_embargo(actor, case, standing, names, material),
        proposal=_embargo(actor, case, proposal, names, material),
        publication_time=None if standing is None else standing.ended_at or standing.until,
        questioned=prepares and model.embargo_questioned(case.embargo_state, facts),
        collision=None if collision is None else collision.danger,
        collided_since=(
            tier <= Tier.CONTENT
            and standing is not None
            and standing.state == progress.ACTIVE
            and any(
                part.role is Role.FINDER and part.joined_at > standing.proposed_at
                for part in everyone
            )
        ),
        findings=tuple(
            each.finding
            for each in material.linked.get(case.id, ())
            if tier <= Tier.CONTENT and (mine.role in SEES_ALL or each.party == actor.party)
        ),
        participants=tuple(
            ParticipantView(
                name=names[part.party],
                role=part.role,
                you=part.party == actor.party,
                tier=max(part.tier, Tier.CONTENT) if part.role is Role.FINDER else part.tier,
                report=part.report_state,
                status=model.word(records.facts_of(case, part))[:3],
                consent=consents.get(part.party),
            )
            for part in everyone
            if prepares or part.party == actor.party
        ),
        broken_glass=tuple(
            GlassView(material.names[each.party], each.reason, each.broken_at, each.ends_at)
            for each in material.glass.get(case.compartment, ())
        ),
        waiting=tuple(
            WaitingView(
                material.names[each.party],
                each.held_because,
                tellable(each.held_because, each.due_at),
            )
            for each in material.waiting.get(case.id, ())
        ),
    )


def _embargo(
    actor: Actor,
    case: CaseRecord,
    embargo: EmbargoRecord | None,
    names: Mapping[PartyId, str],
    material: _Material,
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
        terms=material.opened.get(terms_place(embargo.id)),
        your_consent=material.consents[embargo.id].get(actor.party),
        caution=_caution(case, embargo, material),
    )


def _caution(case: CaseRecord, embargo: EmbargoRecord, material: _Material) -> str | None:
    """How the embargo lies outside what vendors wish and, from the content tier, what is advised.

    The time counts from the opening of the case, so that no chain of revisions outruns it.
    """
    said = []
    if embargo.caution and material.tiers[case.id] <= Tier.FIX:
        said.append(embargo.caution)
    collision = material.collisions.get(case.id)
    if collision is not None and embargo.state != progress.ENDED:
        said.append(collision.danger.caution(embargo.until - case.opened_at))
    return " ".join(filter(None, said)) or None


def _names(
    everyone: Sequence[ParticipantRecord],
    named: Mapping[PartyId, str],
    *,
    viewer: ParticipantRecord,
    tier: Tier,
) -> dict[PartyId, str]:
    return {
        part.party: named[part.party] if _named(part, viewer, tier) else _UNNAMED[part.role]
        for part in everyone
    }


def _named(part: ParticipantRecord, viewer: ParticipantRecord, tier: Tier) -> bool:
    prepares = tier <= Tier.FIX
    by_name = SEES_ALL if prepares else frozenset({Role.COORDINATOR})
    everybody = viewer.role in SEES_ALL and prepares
    return everybody or part.role in by_name or part.party == viewer.party


def _grouped(found: Sequence[_OfCase]) -> dict[CaseId, list[_OfCase]]:
    grouped: dict[CaseId, list[_OfCase]] = {}
    for each in found:
        grouped.setdefault(each.case, []).append(each)
    return grouped
