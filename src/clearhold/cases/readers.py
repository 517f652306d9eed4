"""Who is read in to a case: letting people in and out, recusing them, breaking the glass.

Reading somebody in to everything (tier 0), and taking over a case that was reached through broken
glass, take two people. Who opens a case and whose findings it links are exempt: the one has just
judged the reports as a coordinator and nobody could approve it before the case is there, the others
wrote them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from clearhold.access import glass, grants, members
from clearhold.access.approvals import Act, consume, second_person
from clearhold.access.glass import Broken
from clearhold.access.grants import Grant, Grantee, Tier
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.cases import progress, records
from clearhold.cases.admission import Admission, admit, bar_from, close_to
from clearhold.cases.contact import VendorContact
from clearhold.cases.entry import coordinated, entered, looks_through_glass, need_role, seen
from clearhold.cases.model import Role
from clearhold.cases.records import CaseRecord
from clearhold.cases.views import CaseView, CaseViews, check_line, part_of
from clearhold.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from clearhold.kernel.ids import CaseId, PersonId, PrincipalId
from clearhold.parties import records as parties
from clearhold.parties.model import Party
from clearhold.parties.wish import Allowed, Held
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

LONGEST_REASON: Final = 200

_KINDS_OF: Final = {
    Role.VENDOR: (PartyKind.MAINTAINER, PartyKind.VENDOR),
    Role.COORDINATOR: (PartyKind.COORDINATOR,),
    Role.DEPLOYER: (PartyKind.OPERATOR,),
    # Whoever mends is reached as it wishes, which is kept for vendors.
    Role.OTHER: tuple(set(PartyKind) - {PartyKind.MAINTAINER, PartyKind.VENDOR}),
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who is read in; `member` is None for a whole party, `approved_by` if it took one."""

    party: str
    handle: str
    member: PrincipalId | None
    name: str | None
    tier: Tier
    reason: str
    granted_by: str
    approved_by: str | None
    granted_at: datetime
    expires_at: datetime | None
    emergency: bool


@dataclass(frozen=True, slots=True)
class Recused:
    """Somebody who is barred from a case, and why."""

    person: PersonId
    name: str
    reason: str
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class ReaderList:
    """Who is read in to a case and who is barred from it, as far as the viewer may know."""

    readers: tuple[Reader, ...]
    recused: tuple[Recused, ...]


class CaseReaders:
    """The desk where people are read in and out."""

    def __init__(self, sessions: Sessions, vault: Vault, contact: VendorContact) -> None:
        self._sessions = sessions
        self._contact = contact
        self._views = CaseViews(vault)

    def read_in(
        self,
        actor: Actor,
        case: CaseId,
        handle: str,
        *,
        role: Role,
        tier: int,
        reason: str,
        member: PrincipalId | None = None,
        expires_at: datetime | None = None,
    ) -> CaseView:
        """Make a party a participant and let it, or one `member` of it, see the case.

        A coordinator is always read in by name, so a `member` is needed for one. Vendors and
        coordinators who see content (tier 0 or 1) also see the findings the case links. `reason`
        is kept in plain words in the ledger and must reveal nothing of the flaw. Reading in again
        replaces what was seen before. A vendor is reached as it wishes: one that must wait is read in
        later of itself, which `HeldError` says once it is noted.

        Tier 0 needs a second person's approval, unless it was given before and not for less long.
        Raises `ApprovalNeededError` then, `NotFoundError` for an unknown party or member,
        `InvalidError` for what does not fit, and `ConflictError` when the party has another role
        or does not want to be contacted.
        """
        actor.need(Permission.CASES_READ_IN)
        check_line("reason", reason, LONGEST_REASON)
        if tier not in set(Tier):
            raise InvalidError(
                "A tier is 0, 1, 2 or 3.", next_step="Use 1 for who must know what it is."
            )
        with self._sessions.transaction() as unit:
            party = parties.by_handle(unit, handle)
            if party is not None and role is Role.VENDOR:
                parties.hold(unit, party.id)  # before the case, as everybody who locks both
            held, mine = entered(unit, actor, case, tier=Tier.CONTENT)
            need_role(mine, Role.COORDINATOR)
            expires_at = _checked_end(expires_at, unit.now)
            if party is None:
                raise NotFoundError(
                    "There is no party of that handle.", next_step="See `clearhold party list`."
                )
            _check_fit(unit, party, role, member)
            wanted = Admission(
                Grantee(party.id, member), role, Tier(tier), reason, expires_at=expires_at
            )
            _check_role(unit, held, wanted)
            answer: Allowed | Held = Allowed()
            if role is Role.VENDOR:  # before anybody approves in vain
                answer = self._contact.ask(unit, held, party.id)
            approved = _approved(unit, actor, held, wanted, handle=handle)
            later = None
            if role is Role.VENDOR:
                later = self._contact.reach(unit, held, approved, answer, by=actor.principal)
            else:
                self._contact.drop(unit, held, party.id, by=actor.principal)
                admit(unit, held, approved, by=actor.principal)
            shown = self._views.show(unit, actor, held)
        if later is not None:
            raise later
        return shown

    def read_out(
        self, actor: Actor, case: CaseId, handle: str, *, member: PrincipalId | None = None
    ) -> CaseView:
        """End what a party, or one member of it, sees of a case, at once.

        Its own findings stay its own, and it stays a participant by name. One that waits to be read
        in waits no longer. Raises `NotFoundError`
        when nobody of that name is read in.
        """
        actor.need(Permission.CASES_READ_IN)
        with self._sessions.transaction() as unit:
            held = coordinated(unit, actor, case)
            if looks_through_glass(unit, actor, held):
                raise _only_looking()
            party = parties.by_handle(unit, handle)
            who = None if party is None else Grantee(party.id, member)
            if who is not None and self._contact.drop(unit, held, who.party, by=actor.principal):
                return self._views.show(unit, actor, held)
            known = [each.who for each in grants.grants_in(unit, held.compartment)]
            if who is None or (
                who not in known
                and (member is not None or all(each.party != who.party for each in known))
            ):
                raise NotFoundError(
                    "Nobody of that name is read in.", next_step="See `clearhold case readers`."
                )
            if who.id == actor.principal or (member is None and who.party == actor.party):
                raise ConflictError(
                    "Nobody reads themselves out of a case they coordinate.",
                    next_step="Recuse yourself, or let a colleague do it.",
                )
            close_to(unit, held, who, by=actor.principal)
            return self._views.show(unit, actor, held)

    def recuse(
        self, actor: Actor, case: CaseId, *, reason: str, person: PersonId | None = None
    ) -> None:
        """Bar a person from a case for good: oneself, or by a coordinator of it anybody.

        It holds in every party the person acts for, and ends their part in approving anything
        about the case. Raises `NotFoundError` for a case the actor may not see or a person nobody
        knows, `DeniedError` for a service account that would recuse itself, and `ConflictError`
        when it is not the actor's to do.
        """
        actor.need(Permission.CASES_READ)
        check_line("reason", reason, LONGEST_REASON)
        with self._sessions.transaction() as unit:
            held = seen(unit, actor, case, tier=Tier.NOTICE)
            who = person or actor.person
            if who is None:
                raise DeniedError(
                    "A service account is nobody who could be recused.",
                    next_step="Name the person, or use your own token.",
                )
            if who != actor.person:
                actor.need(Permission.CASES_READ_IN)
                need_role(part_of(records.participants(unit, case), actor.party), Role.COORDINATOR)
                if looks_through_glass(unit, actor, held):
                    raise _only_looking()
            if members.name_of(unit, who) is None:
                raise NotFoundError("There is no such person.")
            grants.recuse(unit, held.compartment, who, reason=reason, by=actor.principal)
            for linked in records.linked_to(unit, case):
                bar_from(unit, linked, who, reason=reason, by=actor.principal)

    def list(self, actor: Actor, case: CaseId) -> ReaderList:
        """Who is read in: everybody to coordinators of the case, its own people to a party."""
        actor.need(Permission.CASES_READ)
        with self._sessions.transaction() as unit:
            held = seen(unit, actor, case, tier=Tier.NOTICE)
            mine = part_of(records.participants(unit, case), actor.party)
            everybody = mine.role is Role.COORDINATOR and grants.sees(
                unit, actor, held.compartment, tier=Tier.CONTENT
            )
            given = tuple(
                each
                for each in grants.grants_in(unit, held.compartment)
                if everybody or each.who.party == actor.party
            )
            barred = grants.recusals_in(unit, held.compartment)
            return ReaderList(
                readers=tuple(_reader(unit, each) for each in given),
                recused=tuple(
                    Recused(
                        each.person,
                        members.name_of(unit, each.person) or "",
                        each.reason,
                        each.made_by,
                        each.made_at,
                    )
                    for each in barred
                    if everybody or members.acts_for(unit, each.person, actor.party)
                ),
            )

    def break_glass(self, actor: Actor, case: CaseId, *, reason: str) -> CaseView:
        """Look at a case one is not read in to, for an hour, after a second person's approval.

        For coordinators who are people. Everyone in the case sees that it happened. It shows tier 1
        and lets act in the case; who shall stay in it, or anybody else, is then read in with
        another approval. Raises `ApprovalNeededError`, also for who is recused, `NotFoundError` for no
        such case, and `ConflictError` when the actor is read in.
        """
        actor.need(Permission.CASES_READ_IN)
        check_line("reason", reason, LONGEST_REASON)
        with self._sessions.transaction() as unit:
            with unit.as_service():
                held = records.held(unit, case)
            # Whether or not the case is there: two people vouch for the question alone.
            within = None if held is None else held.compartment
            whose = {"member": str(actor.principal)}  # or whoever approved could look instead
            used = consume(unit, actor, Act.BREAK_GLASS, case, whose, within=within)
            if held is None:
                raise progress.absent()
            second = second_person(used, actor)
            with unit.as_service():
                self._broken(unit, actor, held, reason=reason, second=second)
            return self._views.show(unit, actor, progress.current(unit, case))

    def _broken(
        self, unit: UnitOfWork, actor: Actor, case: CaseRecord, *, reason: str, second: PrincipalId
    ) -> None:
        # One who was read in by name before would lose that for an hour's look.
        if any(each.who.id == actor.principal for each in grants.grants_in(unit, case.compartment)):
            raise ConflictError(
                "You are read in to this case.", next_step="Ask its coordinator for what you lack."
            )
        ends_at = unit.now + glass.LIFE
        wanted = Admission(
            Grantee(actor.party, actor.principal),
            Role.COORDINATOR,
            Tier.CONTENT,
            reason,
            approved_by=second,
            expires_at=ends_at,
            emergency=True,
        )
        admit(unit, case, wanted, by=actor.principal)
        broken = Broken(
            case.compartment, actor.party, actor.principal, reason, second, unit.now, ends_at
        )
        glass.note(unit, broken)
        unit.record(
            glass.BROKEN,
            actor=actor.principal,
            subject=case.id,
            compartment=case.compartment,
            detail={
                "reason": reason,
                "approved_by": second,
                "ends_at": ends_at.isoformat(),
            },
        )


def _checked_end(expires_at: datetime | None, now: datetime) -> datetime | None:
    if expires_at is None:
        return None
    if expires_at.tzinfo is None or expires_at <= now:
        raise InvalidError(
            "What somebody may see ends at an instant to come, with a time zone.",
            next_step="Write it like 2026-09-01T12:00:00Z.",
        )
    return expires_at.astimezone(UTC)


def _check_fit(unit: UnitOfWork, party: Party, role: Role, member: PrincipalId | None) -> None:
    """Refuse whoever cannot be read in as that."""
    if role is Role.FINDER or party.kind not in _KINDS_OF.get(role, (party.kind,)):
        raise InvalidError(
            f"A party of the kind {party.kind} cannot be read in as {role}.",
            next_step="Vendors are maintainers or vendors, deployers are operators; finders enter "
            "with their findings.",
        )
    if member is not None and not members.belongs(unit, party.id, member):
        raise NotFoundError("The party has no such member.")
    if role is Role.COORDINATOR and (member is None or members.person_of(unit, member) is None):
        raise InvalidError(
            "A coordinator is read in by name, a person and not a whole party or its service.",
            next_step="Name the member; see `clearhold party members`.",
        )


def _check_role(unit: UnitOfWork, case: CaseRecord, wanted: Admission) -> None:
    """Refuse what no approval would allow before asking for one."""
    for part in records.participants(unit, case.id):
        if part.party == wanted.who.party and part.role is not wanted.role:
            raise ConflictError(
                f"The party takes part as {part.role}.", next_step="Read it in as that."
            )


def _approved(
    unit: UnitOfWork, actor: Actor, case: CaseRecord, wanted: Admission, *, handle: str
) -> Admission:
    """The admission with its second person, where it takes one."""
    act = None
    if looks_through_glass(unit, actor, case):
        act = Act.TAKE_OVER_CASE
    elif wanted.tier is Tier.EVERYTHING:
        act = Act.READ_IN_TIER_0
    standing = next(
        (
            each
            for each in grants.grants_in(unit, case.compartment)
            if each.who == wanted.who and each.tier is Tier.EVERYTHING and not each.emergency
        ),
        None,
    )
    if act is Act.READ_IN_TIER_0 and standing is not None and not _longer(standing, wanted):
        return _with(wanted, standing.approved_by)
    if act is None:
        return wanted
    particulars = {"party": handle, "tier": str(int(wanted.tier)), "role": str(wanted.role)}
    if wanted.who.member is not None:
        particulars["member"] = wanted.who.member
    if wanted.expires_at is not None:
        particulars["expires"] = wanted.expires_at.isoformat()
    used = consume(unit, actor, act, case.id, particulars, within=case.compartment)
    return _with(wanted, second_person(used, actor))


def _with(wanted: Admission, approved_by: str | None) -> Admission:
    return Admission(
        wanted.who,
        wanted.role,
        wanted.tier,
        wanted.reason,
        approved_by=approved_by,
        expires_at=wanted.expires_at,
    )


def _longer(standing: Grant, wanted: Admission) -> bool:
    if standing.expires_at is None:
        return False
    return wanted.expires_at is None or wanted.expires_at > standing.expires_at


def _reader(unit: UnitOfWork, given: Grant) -> Reader:
    party = parties.by_id(unit, given.who.party)
    name = None if given.who.member is None else members.member_name(unit, given.who.member)
    return Reader(
        party=party.name,
        handle=party.handle,
        member=given.who.member,
        name=name,
        tier=given.tier,
        reason=given.reason,
        granted_by=given.granted_by,
        approved_by=given.approved_by,
        granted_at=given.granted_at,
        expires_at=given.expires_at,
        emergency=given.emergency,
    )


def _only_looking() -> ConflictError:
    return ConflictError(
        "You see this case through broken glass, which decides nothing about who else does.",
        next_step="Read yourself in with a second person's approval first.",
    )
