"""Opening cases, and what each participant reports.

Who is read in is decided in `clearhold.cases.readers`, embargoes are in `clearhold.cases.embargoes`, and what follows from facts, with what modules to the
right ask, in `clearhold.cases.progress` and `clearhold.cases.material`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from dataclasses import replace
from typing import Final

from clearhold.access.grants import Grantee, Tier
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.cases import embargo_records, model, progress, records
from clearhold.cases.admission import Admission, admit, has_fix
from clearhold.cases.contact import VendorContact
from clearhold.cases.entry import entered, need_role, seen
from clearhold.cases.material import CaseMaterial
from clearhold.cases.model import EmbargoState, Fact, ReportState, ReportStep, Role
from clearhold.cases.records import CaseRecord, MessageRecord, ParticipantRecord
from clearhold.cases.views import (
    CaseView,
    CaseViews,
    ContactView,
    MessageView,
    check_line,
    contacts_of,
    message_place,
    title_place,
)
from clearhold.findings import records as findings
from clearhold.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from clearhold.kernel.events import Event
from clearhold.kernel.ids import CaseId, FindingId, VulnerabilityId, new_id
from clearhold.parties import records as parties
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

LONGEST_TITLE: Final = 300
LONGEST_MESSAGE: Final = 20_000
MOST_LISTED: Final = 50


class CaseService:
    """The register of cases."""

    def __init__(
        self, sessions: Sessions, vault: Vault, material: CaseMaterial, contact: VendorContact
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._material = material
        self._contact = contact
        self._views = CaseViews(vault)

    def open(
        self, actor: Actor, vulnerability: VulnerabilityId, *, title: str, key: str
    ) -> CaseView:
        """Open the case of a vulnerability that was reproduced, with its finders in it.

        The coordinator who opens it is read in to it and to the findings it links. The same `key`
        with the same request returns the same case. Raises `DeniedError` for a service account,
        which several people may use and nobody can recuse, `NotFoundError` for an unknown
        vulnerability, `InvalidError` for a title that is none, and `ConflictError` when nothing of
        it has reproduced, when it has a case, or when `key` was used for something else.
        """
        actor.need(Permission.CASES_OPEN)
        if actor.person is None:
            raise DeniedError(
                "A case is opened by a person, who is read in to it, and this is a service account.",
                next_step="Use your own token or session.",
            )
        check_line("title", title, LONGEST_TITLE)
        _check_key(key)
        key = self._vault.request_key(actor.party, key)
        request = self._digest("case:open", vulnerability, title)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            earlier = records.by_key(unit, actor.party, key)
            if earlier is not None:
                _check_same(earlier.request, request)
                held = seen(unit, actor, earlier.id, tier=Tier.NOTICE)
                return self._views.show(unit, actor, held)
            case = self._new(unit, actor, vulnerability, title=title, key=key, request=request)
            return self._views.show(unit, actor, case)

    def get(self, actor: Actor, case: CaseId) -> CaseView:
        """A case the actor takes part in. Raises `NotFoundError`."""
        actor.need(Permission.CASES_READ)
        with self._sessions.transaction() as unit:
            return self._views.show(unit, actor, seen(unit, actor, case, tier=Tier.NOTICE))

    def list(
        self, actor: Actor, *, cursor: str = "", limit: int = MOST_LISTED
    ) -> tuple[tuple[CaseView, ...], str]:
        """A page of the cases the actor takes part in, newest first, and where the next one begins.

        The cursor is empty at the end. One that was given to somebody else is none: it raises
        `InvalidError` like any made-up text. Terms of embargoes are shown with single cases alone.
        """
        actor.need(Permission.CASES_READ)
        most = min(max(limit, 1), MOST_LISTED)
        before = CaseId(self._place(actor, cursor)) if cursor else None
        with self._sessions.transaction() as unit:
            found = records.listing(unit, actor, before=before, limit=most + 1)
            page = found[:most]
            late = embargo_records.overdue(unit, [case.id for case in page])
            page = tuple(
                progress.current(unit, case.id) if case.id in late else case for case in page
            )
            shown = self._views.show_all(unit, actor, page, terms=False)
        return shown, self._cursor(actor, page[-1].id) if len(found) > most else ""

    def step(self, actor: Actor, case: CaseId, step: ReportStep) -> CaseView:
        """Say how far the actor has come with the report; each participant says it for itself.

        Raises `ConflictError`, with what is possible instead, for a step that is not.
        """
        actor.need(Permission.CASES_CONSENT)
        with self._sessions.transaction() as unit:
            held, mine = entered(unit, actor, case)
            after = model.step_report(mine.report_state, step)
            if mine.role is Role.VENDOR and has_fix(mine) and after not in model.ENGAGED:
                raise ConflictError("A vendor who has a fix has accepted or deferred the report.")
            records.change_part(unit, case, actor.party, report_state=after)
            _tell(unit, actor, held, "cases:report:step", state=after)
            if after is ReportState.CLOSED:
                self._contact.freed(unit, actor.party)
            if held.fix_ready_at is not None:
                progress.share_fix(unit, replace(mine, report_state=after))
            return self._views.show(unit, actor, held)

    def report_status(self, actor: Actor, case: CaseId, letter: str) -> CaseView:
        """Report one of the facts V, F, D, P, X and A; reporting what is known changes nothing.

        V, F and D are the vendor's own and D also a deployer's; anyone in the case may report that
        the flaw (P) or an exploit (X) is public, which ends the embargo at once, or that attacks
        are observed (A). Raises `InvalidError` when the fact is not the actor's to report and
        `ConflictError` when something must come before it.
        """
        actor.need(Permission.CASES_CONSENT)
        fact = model.parse_fact(letter)
        with self._sessions.transaction() as unit:
            held, mine = entered(unit, actor, case)
            if fact in model.WORLD:
                held = progress.learn(unit, held, fact, by=actor.principal)
            else:
                self._report_own(unit, actor, held, mine, fact)
            return self._views.show(unit, actor, held)

    def say(self, actor: Actor, case: CaseId, text: str, *, key: str) -> MessageView:
        """Write to everyone in the case. The same `key` and text are written once."""
        actor.need(Permission.CASES_CONSENT)
        if not text.strip() or len(text) > LONGEST_MESSAGE:
            raise InvalidError(
                f"A message has 1 to {LONGEST_MESSAGE} characters.", next_step="Shorten it."
            )
        _check_key(key)
        key = self._vault.request_key(actor.party, key)
        request = self._digest("case:say", case, text)
        with self._sessions.transaction() as unit:
            held, _ = entered(unit, actor, case, tier=Tier.CONTENT)
            earlier = records.messages(unit, case, party=actor.party, key=key)
            if earlier:
                _check_same(earlier[0].request, request)
                return self._message(unit, actor, earlier[0], text)
            identity = new_id(unit.now)
            sealed = self._vault.seal(
                unit, held.compartment, place=message_place(identity), content=text.encode()
            )
            new = MessageRecord(identity, actor.party, unit.now, sealed, request)
            records.write_message(unit, case, new, key=key)
            _tell(unit, actor, held, "cases:message:write", message=identity)
            return self._message(unit, actor, new, text)

    def messages(self, actor: Actor, case: CaseId) -> tuple[MessageView, ...]:
        """What was said in a case the actor takes part in, oldest first."""
        actor.need(Permission.CASES_READ)
        with self._sessions.transaction() as unit:
            return self._views.messages(unit, actor, seen(unit, actor, case, tier=Tier.CONTENT))

    def contacts(self, actor: Actor, case: CaseId) -> tuple[ContactView, ...]:
        """How those are reached whom the actor knows by name in a case it takes part in."""
        actor.need(Permission.CASES_READ)
        with self._sessions.transaction() as unit:
            seen(unit, actor, case, tier=Tier.FIX)
            return contacts_of(unit, actor, case)

    def close(self, actor: Actor, case: CaseId) -> CaseView:
        """Close the case, by a coordinator in it; closing it again changes nothing.

        What is proposed is rejected. Raises `ConflictError` while an embargo is in force.
        """
        actor.need(Permission.CASES_OPEN)
        with self._sessions.transaction() as unit:
            held = seen(unit, actor, case, tier=Tier.CONTENT)
            if held.closed_at is None:
                held, mine = entered(unit, actor, case, tier=Tier.CONTENT)
                need_role(mine, Role.COORDINATOR)
                held = self._close(unit, actor, held)
            return self._views.show(unit, actor, held)

    def _new(
        self,
        unit: UnitOfWork,
        actor: Actor,
        vulnerability: VulnerabilityId,
        *,
        title: str,
        key: str,
        request: bytes,
    ) -> CaseRecord:
        first = FindingId(vulnerability)
        if findings.head(unit, first) is None:
            raise NotFoundError(
                "There is no such vulnerability.", next_step="See `clearhold finding queue`."
            )
        # Locks them, so that two coordinators do not open a case each for one vulnerability.
        proven = self._material.proven(unit, first)
        if not proven:
            raise ConflictError(
                "Nothing of this vulnerability has been reproduced.",
                next_step="Wait for its validation, or ask its finder for a better proof.",
            )
        if any(head.case is not None for head in proven):
            raise ConflictError(
                "The vulnerability has a case.", next_step="Ask its coordinator to read you in."
            )
        identity = CaseId(new_id(unit.now))
        within = self._vault.open_compartment(unit)
        case = CaseRecord(
            id=identity,
            vulnerability=VulnerabilityId(proven[0].id),
            compartment=within,
            opened_by=actor.party,
            opened_at=unit.now,
            closed_at=None,
            sealed_title=self._vault.seal(
                unit, within, place=title_place(identity), content=title.encode()
            ),
            embargo_state=EmbargoState.NONE,
            fix_ready_at=None,
            world={},
            request=request,
        )
        records.add(unit, case, key=key)
        _tell(unit, actor, case, "cases:case:open", vulnerability=case.vulnerability)
        opener = Grantee(actor.party, actor.principal)
        coordinator = Admission(opener, Role.COORDINATOR, Tier.EVERYTHING, "coordinates the case")
        admit(unit, case, coordinator, by=actor.principal)
        self._material.link(unit, case, proven, by=actor.principal)
        unit.publish(Event("case.opened", identity, {"case": identity}))
        return case

    def _report_own(
        self,
        unit: UnitOfWork,
        actor: Actor,
        case: CaseRecord,
        mine: ParticipantRecord,
        fact: Fact,
    ) -> None:
        reporters = {Role.VENDOR, Role.DEPLOYER} if fact is Fact.FIX_DEPLOYED else {Role.VENDOR}
        if mine.role not in reporters:
            raise InvalidError(
                f"{fact.letter} is not for the role {mine.role} to report.",
                next_step="Vendors report V, F and D; deployers report D; all report P, X and A.",
            )
        new = model.entailed(records.facts_of(case, mine), fact)
        if not new:
            return
        if mine.role is Role.VENDOR and mine.report_state not in model.ENGAGED:
            raise ConflictError(
                f"A vendor cannot report {fact.letter} of a report that is {mine.report_state}.",
                next_step="Validate and accept the report first.",
            )
        for each in new:
            columns = {records.PATH_COLUMNS[each]: unit.now}
            records.change_part(unit, case.id, actor.party, **columns)
            _tell(unit, actor, case, "cases:fact:report", fact=each.letter)
        if fact is Fact.FIX_READY:
            for part in records.participants(unit, case.id):
                if part.role is Role.DEPLOYER:
                    progress.share_fix(unit, part)

    def _close(self, unit: UnitOfWork, actor: Actor, case: CaseRecord) -> CaseRecord:
        if case.embargo_state in model.IN_FORCE:
            raise ConflictError(
                "The case is under embargo.",
                next_step="Publish its advisory, or end the embargo first.",
            )
        if case.embargo_state is EmbargoState.PROPOSED:
            case = progress.reject_proposal(unit, case, by=actor.principal)
        records.change(unit, case.id, closed_at=unit.now)
        records.change_part(unit, case.id, actor.party, report_state=ReportState.CLOSED)
        _tell(unit, actor, case, "cases:case:close")
        for part in records.participants(unit, case.id):
            if part.role is Role.VENDOR:
                self._contact.freed(unit, part.party)
        unit.publish(Event("case.closed", case.id, {"case": case.id}))
        return replace(case, closed_at=unit.now)

    def _message(
        self, unit: UnitOfWork, actor: Actor, message: MessageRecord, text: str
    ) -> MessageView:
        name = parties.name_of(unit, actor.party)
        return MessageView(message.id, name, message.written_at, text)

    def _cursor(self, actor: Actor, place: CaseId) -> str:
        tag = self._vault.matching_hash("case:cursor", f"{actor.principal}:{place}")[:16]
        return base64.urlsafe_b64encode(uuid.UUID(place).bytes + tag).rstrip(b"=").decode()

    def _place(self, actor: Actor, cursor: str) -> str:
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            place = str(uuid.UUID(bytes=raw[:16]))
        except ValueError:
            place = ""
        if not place or not hmac.compare_digest(self._cursor(actor, CaseId(place)), cursor):
            raise InvalidError(
                "This is no cursor of yours.", next_step="Begin again without a cursor."
            )
        return place

    def _digest(self, kind: str, *parts: str) -> bytes:
        # Keyed, because a plain digest of a title can be guessed from a stolen database.
        whole = hashlib.sha256()
        for part in parts:
            whole.update(f"{len(part.encode())}:{part}".encode())
        return self._vault.matching_hash(kind, whole.hexdigest())


def _check_key(key: str) -> None:
    if not 1 <= len(key) <= 200 or not key.isprintable():
        raise InvalidError(
            "An idempotency key is 1 to 200 printable characters.",
            next_step="Send a fresh UUID in the header Idempotency-Key.",
        )


def _check_same(earlier: bytes, now: bytes) -> None:
    if earlier != now:
        raise ConflictError(
            "This idempotency key was used for another request.",
            next_step="Use a new key for each request.",
        )


def _tell(unit: UnitOfWork, actor: Actor, case: CaseRecord, action: str, **detail: str) -> None:
    unit.record(
        action,
        actor=actor.principal,
        subject=case.id,
        compartment=case.compartment,
        detail=detail,
    )
