"""Leads as their party keeps them: met by campaigns, dismissed with a reason, or proved.

A lead is nobody's finding. It stands in a table of its own, which nothing that ranks, counts, matches
or discloses reads; it becomes `proved` only by naming a finding that the laboratory reproduced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.discovery import lead_records as records
from clearhold.discovery.engine import Ending, Lead, Plan, Searched
from clearhold.discovery.keeping import READER
from clearhold.discovery.lead_records import StoredLead
from clearhold.discovery.records import Campaign
from clearhold.findings import records as finding_records
from clearhold.findings.model import State as FindingState
from clearhold.findings.service import FindingService
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import CompartmentId, DiscoveryId, FindingId, LeadId, PartyId, new_id
from clearhold.kernel.purl import Purl
from clearhold.scanning import paths as globs
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

MOST_LISTED: Final = 100
MOST_KEPT: Final = 10_000
"""Leads that a party keeps on one package."""
LONGEST_REASON: Final = 2000
_LONGEST_PATH: Final = 1000


class LeadState(StrEnum):
    """What became of a lead: nothing yet, put aside by its party, or shown by a finding."""

    OPEN = "open"
    DISMISSED = "dismissed"
    PROVED = "proved"


class _Body(msgspec.Struct, frozen=True):
    """What is sealed of a lead: where it was met last, and what was said of it."""

    package: str
    rule: str
    path: str
    line: int
    message: str
    excerpt: str
    level: str


@dataclass(frozen=True, slots=True)
class LeadView:
    """A lead as its party sees it.

    `package` has the version in which it was met last; `gone_in` names the campaign that read the
    same place later and did not meet it, `finding` what proved it.
    """

    id: LeadId
    engine: str
    state: LeadState
    package: str
    rule: str
    path: str
    line: int
    level: str
    message: str
    excerpt: str
    first_campaign: DiscoveryId
    last_campaign: DiscoveryId
    gone_in: DiscoveryId | None
    finding: FindingId | None
    reason: str
    met_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Taken:
    """How many leads of a campaign are new, were met again, are gone, or found no room."""

    new: int = 0
    again: int = 0
    gone: int = 0
    left_out: int = 0

    def __str__(self) -> str:
        """A line for the campaign's log; empty when there is nothing to say."""
        if not (self.new or self.again or self.gone or self.left_out):
            return ""
        said = f"leads: {self.new} new, {self.again} met again, {self.gone} gone"
        return said + (f", {self.left_out} left out for want of room" if self.left_out else "")


class LeadKeeping:
    """Takes in what campaigns met."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def package_mark(self, party: PartyId, package: str) -> bytes:
        """What stands in an index for a party's package: nothing can be read back from it."""
        bare = Purl.parse(package).package
        return self._vault.matching_hash("lead-package", f"{party}\n{bare}")

    def take(
        self,
        unit: UnitOfWork,
        known: Campaign,
        plan: Plan,
        searched: Searched,
        *,
        scope: Sequence[str],
    ) -> Taken:
        """Keep the leads of a campaign, each once however often it is met.

        Those that an engine met before and does not meet any more where it read everything that
        `scope` names are marked as gone. What was decided on a lead stays.
        """
        whole = searched.ending is Ending.DONE and searched.complete
        if not (searched.leads or whole):
            return Taken()
        package = self.package_mark(known.party, plan.package)
        stored = {each.mark: each for each in records.of_package(unit, known.party, package)}
        met = {self._mark(known.party, each): each for each in searched.leads}
        within = self._compartment(unit, known.party, stored.values()) if met else None
        new: list[StoredLead] = []
        again = {}
        for mark, each in met.items():
            old = stored.get(mark)
            if old is not None:
                sealed = self._sealed(unit, old.compartment, old.id, plan, each)
                again[old.id] = {
                    "sealed_body": sealed,
                    "last_campaign": known.id,
                    "gone_in": None,
                }
            elif len(stored) + len(new) < MOST_KEPT and within is not None:
                identity = LeadId(new_id(unit.now))
                new.append(
                    StoredLead(
                        id=identity,
                        party=known.party,
                        package=package,
                        mark=mark,
                        compartment=within,
                        engine=known.engine,
                        state=LeadState.OPEN,
                        sealed_body=self._sealed(unit, within, identity, plan, each),
                        first_campaign=known.id,
                        last_campaign=known.id,
                        met_at=unit.now,
                    )
                )
        records.add_all(unit, new)
        records.change_all(unit, again)
        missed = [
            each
            for each in stored.values()
            if each.engine == known.engine and each.mark not in met and each.gone_in is None
        ]
        gone = self._read(unit, missed, scope, searched.unread) if whole else []
        records.change_all(unit, {each.id: {"gone_in": known.id} for each in gone})
        return Taken(len(new), len(again), len(gone), len(met) - len(again) - len(new))

    def opened(
        self, unit: UnitOfWork, leads: Sequence[StoredLead], *, reader: str
    ) -> tuple[LeadView, ...]:
        """Leads with what is sealed of them, released to `reader`, in the order given."""
        bodies = self._bodies(unit, leads, "sealed_body", reader=reader)
        reasons = self._bodies(unit, leads, "sealed_reason", reader=reader)
        return tuple(
            _view(
                each,
                msgspec.json.decode(bodies[each.id], type=_Body),
                reasons.get(each.id, b"").decode(),
            )
            for each in leads
        )

    def sealed_reason(self, unit: UnitOfWork, known: StoredLead, reason: str) -> bytes:
        """Why a lead was put aside, as it is stored."""
        place = ("lead", "sealed_reason", known.id)
        return self._vault.seal(unit, known.compartment, place=place, content=reason.encode())

    def _bodies(
        self, unit: UnitOfWork, leads: Sequence[StoredLead], column: str, *, reader: str
    ) -> dict[LeadId, bytes]:
        found: dict[LeadId, bytes] = {}
        for within in dict.fromkeys(each.compartment for each in leads):
            rows = [
                (each.id, sealed)
                for each in leads
                if each.compartment == within and (sealed := getattr(each, column)) is not None
            ]
            opened = self._vault.unseal_batch(
                unit, within, place=("lead", column), rows=rows, reader=reader
            )
            found |= {each[0]: content for each, content in zip(rows, opened, strict=True)}
        return found

    def _read(
        self,
        unit: UnitOfWork,
        missed: Sequence[StoredLead],
        scope: Sequence[str],
        unread: Sequence[str],
    ) -> list[StoredLead]:
        """Those that lie where a campaign of that scope looked, or would have, were they there."""
        if globs.EVERYTHING in scope and not unread:
            return list(missed)
        views = self.opened(unit, missed, reader=READER)
        return [
            each
            for each, view in zip(missed, views, strict=True)
            if view.path not in unread and any(globs.names(glob, view.path) for glob in scope)
        ]

    def _compartment(
        self, unit: UnitOfWork, party: PartyId, stored: Iterable[StoredLead]
    ) -> CompartmentId:
        """The one of the party's leads on a package; opened for it when these are the first."""
        known = next(iter(stored), None)
        if known is not None:
            return known.compartment
        within = self._vault.open_compartment(unit)
        read_in(unit, within, Grantee(party), tier=0, reason="follows the leads", granted_by=READER)
        return within

    def _mark(self, party: PartyId, lead: Lead) -> bytes:
        return self._vault.matching_hash("lead", f"{party}\n{lead.fingerprint}")

    def _sealed(
        self, unit: UnitOfWork, within: CompartmentId, identity: LeadId, plan: Plan, lead: Lead
    ) -> bytes:
        body = _Body(
            plan.package,
            lead.rule,
            lead.path[:_LONGEST_PATH],
            lead.line,
            lead.message,
            lead.excerpt,
            lead.level,
        )
        place = ("lead", "sealed_body", identity)
        return self._vault.seal(unit, within, place=place, content=msgspec.json.encode(body))


class LeadService:
    """What a party sees of its leads and decides on them."""

    def __init__(self, sessions: Sessions, vault: Vault, findings: FindingService) -> None:
        self._sessions = sessions
        self._keeping = LeadKeeping(vault)
        self._findings = findings

    def list(
        self,
        actor: Actor,
        *,
        package: str = "",
        state: LeadState | None = None,
        after: LeadId | None = None,
        limit: int = MOST_LISTED,
    ) -> tuple[LeadView, ...]:
        """The leads the actor may see in the order they were met, of one package or of all."""
        actor.need(Permission.DISCOVERY_READ)
        mark = self._keeping.package_mark(actor.party, package) if package else None
        with self._sessions.transaction() as unit:
            found = records.seen_by(
                unit,
                actor,
                package=mark,
                state=state,
                after=after,
                limit=min(max(limit, 1), MOST_LISTED),
            )
            return self._keeping.opened(unit, found, reader=actor.principal)

    def get(self, actor: Actor, identity: LeadId) -> LeadView:
        """A lead the actor may see. Raises `NotFoundError`."""
        actor.need(Permission.DISCOVERY_READ)
        with self._sessions.transaction() as unit:
            return self._opened(unit, actor, _seen(unit, actor, identity))

    def dismiss(self, actor: Actor, identity: LeadId, *, reason: str) -> LeadView:
        """Put a lead aside; it stays so however often it is met again.

        Raises `NotFoundError`, `InvalidError` without a reason, `ConflictError` for a proved one.
        """
        if not reason.strip() or len(reason) > LONGEST_REASON:
            raise InvalidError(
                f"A reason has between 1 and {LONGEST_REASON} characters.",
                next_step="Say in a sentence why the place is no flaw.",
            )
        return self._decide(actor, identity, LeadState.DISMISSED, reason=reason.strip())

    def reopen(self, actor: Actor, identity: LeadId) -> LeadView:
        """Take a dismissal back. Raises `NotFoundError`, `ConflictError` for a proved one."""
        return self._decide(actor, identity, LeadState.OPEN)

    def prove(self, actor: Actor, identity: LeadId, *, finding: FindingId) -> LeadView:
        """Say that a finding shows what a lead pointed at.

        Raises `NotFoundError` for a lead or finding that the actor may not see, `ConflictError` for
        a finding that the laboratory has not reproduced or that is about another package.
        """
        return self._decide(actor, identity, LeadState.PROVED, finding=finding)

    def _decide(
        self,
        actor: Actor,
        identity: LeadId,
        state: LeadState,
        *,
        reason: str = "",
        finding: FindingId | None = None,
    ) -> LeadView:
        actor.need(Permission.DISCOVERY_RUN)
        with self._sessions.transaction() as unit:
            known = _seen(unit, actor, identity, lock=True)
            if finding is not None:
                self._check_proof(unit, actor, known, finding)
            if known.state == state and known.finding == finding and not reason:
                return self._opened(unit, actor, known)
            if known.state == LeadState.PROVED:
                raise ConflictError(
                    "A finding proved this lead.", next_step="Follow the finding instead."
                )
            sealed = self._keeping.sealed_reason(unit, known, reason) if reason else None
            records.change(
                unit,
                identity,
                {
                    "state": state,
                    "sealed_reason": sealed,
                    "finding": finding,
                    "decided_at": unit.now,
                },
            )
            unit.record(
                "discovery:lead:decide",
                actor=actor.principal,
                subject=identity,
                compartment=known.compartment,
                detail={"state": state},
            )
            return self._opened(unit, actor, _seen(unit, actor, identity))

    def _check_proof(
        self, unit: UnitOfWork, actor: Actor, known: StoredLead, finding: FindingId
    ) -> None:
        actor.need(Permission.FINDINGS_READ)
        head = finding_records.seen(unit, actor, finding)
        if head is None:
            raise NotFoundError("There is no such finding.", next_step="Check the id.")
        about = self._findings.open_for(unit, finding, reader=actor.principal).package
        same = about and self._keeping.package_mark(known.party, about) == known.package
        if not same or head.state is not FindingState.REPRODUCED:
            raise ConflictError(
                "Only a finding on this package that the laboratory reproduced proves a lead.",
                next_step="Submit a proof with `clearhold finding submit`, and wait for its verdict.",
            )

    def _opened(self, unit: UnitOfWork, actor: Actor, known: StoredLead) -> LeadView:
        return self._keeping.opened(unit, [known], reader=actor.principal)[0]


def _seen(unit: UnitOfWork, actor: Actor, identity: LeadId, *, lock: bool = False) -> StoredLead:
    known = records.one_seen_by(unit, actor, identity, lock=lock)
    if known is None:
        raise NotFoundError(
            "There is no such lead.", next_step="See `clearhold discover leads` for yours."
        )
    return known


def _view(known: StoredLead, body: _Body, reason: str) -> LeadView:
    return LeadView(
        id=known.id,
        engine=known.engine,
        state=LeadState(known.state),
        package=body.package,
        rule=body.rule,
        path=body.path,
        line=body.line,
        level=body.level,
        message=body.message,
        excerpt=body.excerpt,
        first_campaign=known.first_campaign,
        last_campaign=known.last_campaign,
        gone_in=known.gone_in,
        finding=known.finding,
        reason=reason,
        met_at=known.met_at,
        decided_at=known.decided_at,
    )
