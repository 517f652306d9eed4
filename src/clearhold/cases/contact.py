"""Reaching vendors as they wish: refused, at once, or held until their hours and caps allow it.

Caps are counted here, where cases are, while the vendor's own row is held: two coordinators who
read one vendor in to two cases at the same moment do so one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from clearhold.access import grants, members
from clearhold.access.grants import Grantee, Tier
from clearhold.access.permissions import PartyKind
from clearhold.cases import progress, records
from clearhold.cases import waiting_records as queue
from clearhold.cases.admission import Admission, admit
from clearhold.cases.material import CaseMaterial
from clearhold.cases.model import Role
from clearhold.cases.records import CaseRecord
from clearhold.cases.waiting_records import WaitingRecord
from clearhold.kernel.errors import ConflictError, HeldError
from clearhold.kernel.ids import CaseId, PartyId, PrincipalId, new_id
from clearhold.parties import records as parties
from clearhold.parties import wishes
from clearhold.parties.wish import (
    NOTHING,
    WEEK,
    Allowed,
    EmbargoPolicy,
    Held,
    Refused,
    Wishes,
    may_contact,
)
from clearhold.ports.engine import Task
from clearhold.store.unit_of_work import Sessions, UnitOfWork

RELEASE: Final = "cases.release"
READER: Final = "service:cases"


class VendorContact:
    """Asks what a vendor wishes before it is read in, and reads it in later if it must wait."""

    def __init__(self, sessions: Sessions, material: CaseMaterial) -> None:
        self._sessions = sessions
        self._material = material

    def ask(self, unit: UnitOfWork, case: CaseRecord, party: PartyId) -> Allowed | Held:
        """Whether a vendor may be read in to a case now, or waits.

        Who takes part already is not contacted anew. Raises `ConflictError` when the vendor does
        not want to be contacted. The caller holds the vendor's row since before it locked the case.
        """
        if any(part.party == party for part in records.participants(unit, case.id)):
            return Allowed()
        with unit.as_service():  # what counts against its caps are cases of others
            answer = self._answer(unit, case.id, party)
        if isinstance(answer, Refused):
            raise ConflictError(
                answer.reason, next_step="Publish without them, or ask them by other means."
            )
        return answer

    def reach(
        self,
        unit: UnitOfWork,
        case: CaseRecord,
        wanted: Admission,
        answer: Allowed | Held,
        *,
        by: PrincipalId,
    ) -> HeldError | None:
        """Read a vendor in now, or note it for later and return what to tell the asker.

        The caller raises what is returned once the note is committed.
        """
        if isinstance(answer, Held):
            self._note(unit, case, wanted, answer, by=by)
            return HeldError(
                f"The party is read in later: {answer.reason}.",
                facts={
                    "held": answer.reason,
                    "due_at": None if answer.told is None else answer.told.isoformat(),
                },
            )
        queue.drop_waiting(unit, case.id, wanted.who.party)
        admit(unit, case, wanted, by=by)
        return None

    def policy(self, unit: UnitOfWork, case: CaseId, *, of_others: PartyId) -> EmbargoPolicy:
        """The strictest of the embargo policies of a case's vendors, but for one that proposes."""
        together = NOTHING
        with unit.as_service():
            for part in records.participants(unit, case):
                if part.role is Role.VENDOR and part.party != of_others:
                    together = together.with_(self._wishes(unit, case, part.party))
        return together.embargo

    def freed(self, unit: UnitOfWork, party: PartyId) -> None:
        """Look again at who waits to reach a party, now that a case of it is over."""
        with unit.as_service():
            waiting = queue.waiting_for(unit, party)
        if waiting:
            _later(unit, party, unit.now)

    def heed(self, _ids: Mapping[str, str]) -> None:
        """After `wish.changed`: look again at who waits to reach anybody whom it may concern."""
        with self._sessions.transaction() as unit:
            waiting = queue.waited_for(unit)
        for party in waiting:
            self.release({"party": party})

    def release(self, ids: Mapping[str, str]) -> None:
        """Read a party in to the cases that wait for it, the oldest first, as far as it wishes.

        May run at any time and again. What nobody stands behind any more is dropped.
        """
        party = PartyId(ids["party"])
        with self._sessions.transaction() as unit:
            waiting = queue.waiting_for(unit, party)
        for each in waiting:  # each case by itself, so that no two are locked at once
            with self._sessions.transaction() as unit:
                self._release(unit, each)

    def _release(self, unit: UnitOfWork, waiting: WaitingRecord) -> None:
        # First the party, then the case, as everybody who locks both.
        parties.hold(unit, waiting.party)
        case = progress.current(unit, waiting.case)
        if waiting not in queue.waiting_for(unit, waiting.party):
            return  # another worker was first
        if case.closed_at is not None or not _stands(unit, case, waiting):
            self.drop(unit, case, waiting.party, by=READER)
            return
        match self._answer(unit, case.id, waiting.party):
            case Allowed():
                queue.drop_waiting(unit, case.id, waiting.party)
                who = Grantee(waiting.party, waiting.member)
                wanted = Admission(
                    who,
                    Role.VENDOR,
                    Tier(waiting.tier),
                    waiting.reason,
                    approved_by=waiting.approved_by,
                    expires_at=waiting.expires_at,
                )
                admit(unit, case, wanted, by=waiting.asked_by)
            case Refused():
                self.drop(unit, case, waiting.party, by=READER)
            case Held(reason, due_at):
                queue.hold_waiting(unit, case.id, waiting.party, held_because=reason, due_at=due_at)
                if due_at is not None:
                    _later(unit, waiting.party, due_at)

    def _answer(self, unit: UnitOfWork, case: CaseId, party: PartyId) -> Allowed | Refused | Held:
        wished = self._wishes(unit, case, party)
        return may_contact(
            wished,
            unit.now,
            open_cases=queue.open_as_vendor(unit, party),
            begun=queue.begun_as_vendor(unit, party, since=unit.now - WEEK),
        )

    def _wishes(self, unit: UnitOfWork, case: CaseId, party: PartyId) -> Wishes:
        if not wishes.any_stand(unit):
            return NOTHING  # nothing sealed is opened for the sake of wishes nobody has
        packages = self._material.packages(unit, case, reader=READER)
        kind: PartyKind = parties.by_id(unit, party).kind
        return wishes.for_contact(unit, party, kind, packages)

    def _note(
        self,
        unit: UnitOfWork,
        case: CaseRecord,
        wanted: Admission,
        held: Held,
        *,
        by: PrincipalId,
    ) -> None:
        new = WaitingRecord(
            case=case.id,
            party=wanted.who.party,
            member=wanted.who.member,
            tier=wanted.tier,
            reason=wanted.reason,
            approved_by=wanted.approved_by,
            expires_at=wanted.expires_at,
            asked_by=by,
            asked_at=unit.now,
            held_because=held.reason,
            due_at=held.due_at,
        )
        if not queue.wait(unit, new):
            return
        unit.record(
            "cases:participant:hold",
            actor=by,
            subject=new.party,
            compartment=case.compartment,
            detail={"case": case.id, "because": held.reason},
        )
        if held.due_at is not None:
            _later(unit, new.party, held.due_at)

    def drop(self, unit: UnitOfWork, case: CaseRecord, party: PartyId, *, by: str) -> bool:
        """Let a party wait no longer to be read in to a case; False when it did not."""
        if not queue.drop_waiting(unit, case.id, party):
            return False
        unit.record(
            "cases:participant:drop",
            actor=by,
            subject=party,
            compartment=case.compartment,
            detail={"case": case.id},
        )
        return True


def _stands(unit: UnitOfWork, case: CaseRecord, waiting: WaitingRecord) -> bool:
    """Whether what was asked for may still be given: by whom, with whom, to whom and until when."""
    if any(part.party == waiting.party for part in records.participants(unit, case.id)):
        return False  # it was let in otherwise meanwhile
    if waiting.expires_at is not None and waiting.expires_at <= unit.now:
        return False
    to = waiting.member
    if to is not None and not members.belongs(unit, waiting.party, to):
        return False
    asker = Grantee(members.party_of(unit, waiting.asked_by), waiting.asked_by)
    sees = any(
        each.who == asker and each.tier <= Tier.CONTENT
        for each in grants.grants_in(unit, case.compartment)
    )
    behind = (waiting.asked_by, waiting.approved_by)
    return sees and all(_may(unit, case, each) for each in behind if each is not None)


def _may(unit: UnitOfWork, case: CaseRecord, principal: str) -> bool:
    person = members.person_of(unit, PrincipalId(principal))
    return person is not None and not grants.is_recused(unit, person.person, case.compartment)


def _later(unit: UnitOfWork, party: PartyId, due_at: datetime) -> None:
    delay = max(due_at - unit.now, timedelta(0))
    # Each time anew: looking again once too often changes nothing.
    unit.enqueue(Task(RELEASE, f"{RELEASE}:{new_id(unit.now)}", {"party": party}), delay=delay)
