"""Reports of tests at the hub: the plan beforehand, the draft in time, the reply, and what is signed.

The developer has the draft as long before the end of access as was agreed, five days at least; later
only if both sides signed that (`late-draft`). Without a draft there is no reply, and without the time
for one there is no final report.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.evaluations import engagement_records as records
from clearhold.evaluations import papers
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.agreements import ModelAgreements
from clearhold.evaluations.beside_tests import BesideTests
from clearhold.evaluations.engagement_records import StoredEngagement
from clearhold.evaluations.engagement_rules import LATE_DRAFT, access_clock, agreed_end
from clearhold.evaluations.engagements import Engagements, note, side_of
from clearhold.evaluations.model import Act, EngagementState, Side, after
from clearhold.evaluations.papers import Kind, Paper, Papers
from clearhold.evaluations.plan import Completeness
from clearhold.evaluations.reporting import closing, document, signed
from clearhold.evaluations.reporting.beside import Beside
from clearhold.evaluations.reporting.document import LONGEST_TEXT, Access, Reply, Report, Tested
from clearhold.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from clearhold.kernel.ids import PartyId
from clearhold.ledger import records as ledger
from clearhold.parties import records as parties
from clearhold.parties.signatures import signed_by
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire import dsse

_S = EngagementState
_HOW: Final[dict[EngagementState, Literal["waived", "elapsed"]]] = {
    _S.REPLY_WAIVED: "waived",
    _S.REPLY_ELAPSED: "elapsed",
}
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class PaperView:
    """A paper and what stands in it."""

    paper: Paper
    content: bytes


@dataclass(frozen=True, slots=True)
class FinalReport:
    """A final report as its file, without the log's proof, and the leaf that names it once it is written."""

    packed: bytes
    leaf: int | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a draft has to say of an engagement, and until when it is sent.

    `access` is None before access began. `plan_sha256` is empty where no plan was registered.
    """

    tested: Tested
    access: Access | None
    plan_sha256: str
    beside: Beside
    draft_due: datetime | None
    late_draft_agreed: bool
    reply_until: datetime | None


class Reports:
    """Plans, drafts, replies and final reports of engagements."""

    def __init__(
        self,
        sessions: Sessions,
        register: ModelAgreements,
        engagements: Engagements,
        kept: Papers,
        beside: BesideTests,
    ) -> None:
        self._sessions = sessions
        self._register = register
        self._engagements = engagements
        self._papers = kept
        self._beside = beside

    def facts(self, actor: Actor, engagement: str) -> Facts:
        """What a draft has to say, and by when."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            stored, stands = self._engagements.found(unit, actor, engagement)
            return self._facts(unit, actor, stored, stands)

    def plan(self, actor: Actor, engagement: str, sha256: str) -> Paper:
        """Register a plan by its digest, before access begins. Raises `ConflictError` afterwards."""
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, stands = self._held(unit, actor, engagement, Side.EVALUATOR)
            happened = records.happened(unit, stored.id)
            if any(each.act == Act.VERIFY_ACCESS for each in happened) or not stands.stands_at(
                unit.now
            ):
                raise ConflictError(
                    "A plan is registered before access begins, while the agreement is in force.",
                    next_step="What was tested without a plan has no report here.",
                )
            within = (stored.id, stored.compartment)
            return self._papers.add(unit, actor, within, Kind.PLAN, sha256.encode())

    def send(self, actor: Actor, engagement: str, content: bytes) -> PaperView:
        """Send the developer the draft of the report. Raises for one that comes too late."""
        actor.need(Permission.EVALUATIONS_RUN)
        with self._sessions.transaction() as unit:
            stored, stands = self._held(unit, actor, engagement, Side.EVALUATOR)
            known = self._papers.last(unit, stored.id, Kind.DRAFT)
            if known is not None and known.digest == hashlib.sha256(content).digest():
                return PaperView(known, content)
            after(stored.state, Act.SEND_DRAFT)
            self._check_in_force(unit, stands)
            draft = document.read(content)
            if draft.report.closing is not None:
                raise InvalidError("This is a final report; the draft is sent first.")
            self._check_draft(unit, actor, stored, stands, draft.report)
            self._check_beside(unit, actor, stored, stands, draft.report)
            terms = self._register.terms(unit, stands, reader=actor.principal)
            kept = self._papers.add(
                unit, actor, (stored.id, stored.compartment), Kind.DRAFT, content
            )
            self._engagements.reach(unit, stored, Act.SEND_DRAFT)
            until = unit.now + timedelta(days=terms.reply_days)
            note(unit, actor.principal, stored, Act.SEND_DRAFT, Side.EVALUATOR, until=until)
            return PaperView(kept, content)

    def reply(self, actor: Actor, engagement: str, text: str) -> PaperView:
        """Reply to the draft, once; the words go into the final report unchanged."""
        actor.need(Permission.EVALUATIONS_RUN)
        content = text.encode()
        if not 0 < len(text) <= LONGEST_TEXT:
            raise InvalidError(f"A reply has 1 to {LONGEST_TEXT} characters.")
        if not text.replace("\n", "").replace("\t", "").isprintable():
            raise InvalidError("A reply is plain text; something in it cannot be printed.")
        with self._sessions.transaction() as unit:
            stored, _ = self._held(unit, actor, engagement, Side.DEVELOPER)
            known = self._papers.last(unit, stored.id, Kind.REPLY)
            if known is not None and known.digest == hashlib.sha256(content).digest():
                return PaperView(known, content)
            self._engagements.reach(unit, stored, Act.REPLY)
            kept = self._papers.add(
                unit, actor, (stored.id, stored.compartment), Kind.REPLY, content
            )
            note(unit, actor.principal, stored, Act.REPLY, Side.DEVELOPER)
            return PaperView(kept, content)

    def issue(self, actor: Actor, engagement: str, content: bytes, envelope: bytes) -> FinalReport:
        """Issue the final report, signed by a registered key of the evaluator."""
        actor.need(Permission.EVALUATIONS_AGREE)
        with self._sessions.transaction() as unit:
            stored, stands = self._held(unit, actor, engagement, Side.EVALUATOR)
            known = self._papers.last(unit, stored.id, Kind.FINAL)
            packed = signed.pack(content, envelope, None)
            if known is not None and known.digest == hashlib.sha256(packed).digest():
                return self._final(unit, known, packed)
            after(stored.state, Act.ISSUE)
            self._check_in_force(unit, stands)
            final = document.read(content)
            draft = self._kept(unit, stored, Kind.DRAFT, actor)
            was = document.read(draft)
            closing.check(was, final, self._reply(unit, stored, actor))
            if not document.same_beside(was.report.beside, final.report):
                self._check_beside(unit, actor, stored, stands, final.report)
            self._check_time(unit, final.report)
            payload, key = signed_by(
                unit, actor.party, envelope, dsse.IN_TOTO, what="report of a test"
            )
            signed.check_payload(payload, final)
            self._papers.add(unit, actor, (stored.id, stored.compartment), Kind.FINAL, packed)
            if stored.state is _S.REPLY_ELAPSED:
                note(unit, actor.principal, stored, Act.LET_REPLY_ELAPSE, "clock")
            self._engagements.reach(unit, stored, Act.ISSUE)
            note(unit, actor.principal, stored, Act.ISSUE, Side.EVALUATOR)
            unit.record(
                signed.LOGGED,
                actor=actor.principal,
                subject=stored.id,
                compartment=stored.compartment,
                detail={
                    "report": final.sha256,
                    "envelope": hashlib.sha256(envelope).hexdigest(),
                    "key": key,
                },
            )
            return FinalReport(packed, None)

    def final(self, actor: Actor, engagement: str) -> FinalReport:
        """The final report of an engagement. Raises `NotFoundError` as long as there is none."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            stored, _ = self._engagements.found(unit, actor, engagement)
            known = self._papers.last(unit, stored.id, Kind.FINAL)
            if known is None:
                raise NotFoundError("There is no final report of this engagement.")
            packed = self._papers.content(unit, known, reader=actor.principal)
            return self._final(unit, known, packed)

    def papers(self, actor: Actor, engagement: str) -> tuple[Paper, ...]:
        """The papers of an engagement that the actor may read, without what stands in them."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            found = papers.seen_by(unit, actor, engagement)
            if not found:  # told as one who may see that there is nothing yet, or as a stranger
                self._engagements.found(unit, actor, engagement)
            return found

    def paper(self, actor: Actor, identity: str) -> PaperView:
        """One paper. Raises `NotFoundError`."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            found = papers.one_seen_by(unit, actor, identity)
            if found is None:
                raise NotFoundError("There is no such paper.")
            return PaperView(found, self._papers.content(unit, found, reader=actor.principal))

    def _held(
        self, unit: UnitOfWork, actor: Actor, engagement: str, side: Side
    ) -> tuple[StoredEngagement, StoredAgreement]:
        stored, stands = self._engagements.held(unit, actor, engagement)
        if side_of(stands, actor) is not side:
            raise DeniedError(f"That is for the {side} of this engagement.")
        return stored, stands

    def _check_in_force(self, unit: UnitOfWork, stands: StoredAgreement) -> None:
        if not stands.stands_at(unit.now):
            raise ConflictError(
                "The agreement is not in force, so nothing goes on under it.",
                next_step="Either side may still end the engagement.",
            )

    def _check_time(self, unit: UnitOfWork, final: Report) -> None:
        if final.made_at > unit.now + _SECOND:
            raise InvalidError("The report tells of a time that lies ahead.")

    def _check_beside(
        self,
        unit: UnitOfWork,
        actor: Actor,
        stored: StoredEngagement,
        stands: StoredAgreement,
        report: Report,
    ) -> None:
        """What is told besides the tests is what the hub knows, but for what was removed from it."""
        known = self._beside.check(unit, actor, stored, stands, report.beside)
        if not document.same_beside(known, report):
            raise InvalidError(
                "The report tells of safeguards, burden or decisions otherwise than the hub knows.",
                next_step="Let `clearhold model report draft` write it anew; nothing of it is the "
                "evaluator's to leave out.",
            )

    def _check_draft(
        self,
        unit: UnitOfWork,
        actor: Actor,
        stored: StoredEngagement,
        stands: StoredAgreement,
        draft: Report,
    ) -> None:
        facts = self._facts(unit, actor, stored, stands)
        if not facts.plan_sha256:
            raise ConflictError(
                "No plan was registered before access began, so there is no report."
            )
        happened = records.happened(unit, stored.id)
        stands_at = access_clock(stored, stands, happened, unit.now)
        access, known = draft.access, facts.access
        same = known is not None and (
            abs(access.began_at - known.began_at) < _SECOND
            and abs(access.ends_at - known.ends_at) < _SECOND
            and access.spent_s <= known.spent_s + 1
        )
        faults = [
            said
            for right, said in (
                (draft.tested == facts.tested, "another model, agreement or side"),
                (draft.plan_sha256 == facts.plan_sha256, "another plan than was registered"),
                (same, "another time of access"),
                (draft.made_at <= unit.now + _SECOND, "a time that lies ahead"),
            )
            if not right
        ]
        if faults:
            raise InvalidError(
                f"The draft tells of {', '.join(faults)}.",
                next_step="Let `clearhold model report draft` write it anew.",
            )
        early = draft.results.completeness is Completeness.ENDED_EARLY
        if early and stored.state is not _S.ANALYSIS and not stands_at.elapsed:
            raise ConflictError(
                "Not all planned trials are done, and access is still open: nothing is told yet.",
                next_step="Go on, or end access with `clearhold model engagement act ... analyse`.",
            )
        if not early and draft.results.done < draft.results.planned:
            raise InvalidError("The draft says that all trials were done, and counts fewer.")
        late = facts.draft_due is not None and unit.now > facts.draft_due
        if late and not facts.late_draft_agreed:
            raise ConflictError(
                f"The draft was due on {facts.draft_due:%Y-%m-%d %H:%M} UTC, for the developer has it "
                "so long before access ends.",
                next_step="Ask the developer with `clearhold model engagement ask ... late-draft`, or "
                "for more time; without either there is no report.",
            )

    def _facts(
        self, unit: UnitOfWork, actor: Actor, stored: StoredEngagement, stands: StoredAgreement
    ) -> Facts:
        happened = records.happened(unit, stored.id)
        found = access_clock(stored, stands, happened, unit.now)
        ends = agreed_end(stored, stands, happened, unit.now)
        plan = self._papers.last(unit, stored.id, Kind.PLAN)
        body = self._engagements.body(unit, stored, reader=actor.principal)
        terms = self._register.terms(unit, stands, reader=actor.principal)
        sent = (each.until for each in reversed(happened) if each.act == Act.SEND_DRAFT)
        return Facts(
            tested=Tested(
                agreement_sha256=stands.digest.hex(),
                developer=_handle(unit, stands.developer),
                engagement=stored.id,
                evaluator=_handle(unit, stands.evaluator),
                model=body.model,
                variants=body.variants,
            ),
            access=Access(
                began_at=found.began_at, ends_at=ends, spent_s=int(found.spent.total_seconds())
            )
            if found.began_at and ends
            else None,
            plan_sha256=""
            if plan is None
            else self._papers.content(unit, plan, reader=actor.principal).decode(),
            beside=self._beside.at(unit, actor, stored, stands, instant=unit.now),
            draft_due=None if ends is None else ends - timedelta(days=terms.draft_days),
            late_draft_agreed=any(each.act == LATE_DRAFT for each in happened),
            reply_until=next(sent, None),
        )

    def _reply(self, unit: UnitOfWork, stored: StoredEngagement, actor: Actor) -> Reply:
        how = _HOW.get(stored.state)
        if how is not None:
            return closing.reply_of(how)
        text = self._kept(unit, stored, Kind.REPLY, actor).decode()
        return closing.reply_of("replied", text)

    def _kept(self, unit: UnitOfWork, stored: StoredEngagement, kind: Kind, actor: Actor) -> bytes:
        found = self._papers.last(unit, stored.id, kind)
        if found is None:
            raise NotFoundError(f"There is no {kind} of this engagement.")
        return self._papers.content(unit, found, reader=actor.principal)

    def _final(self, unit: UnitOfWork, known: Paper, packed: bytes) -> FinalReport:
        leaves = ledger.leaves(unit.connection, compartments=[known.compartment])
        found = (each.seq for each in leaves if each.action == signed.LOGGED)
        return FinalReport(packed, next(found, None))


def _handle(unit: UnitOfWork, party: PartyId) -> str:
    with unit.as_service():
        return parties.by_id(unit, party).handle
