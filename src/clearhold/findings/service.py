"""Taking findings in, showing them to those who may see them, and telling which are one bug.

Methods that take an actor are use cases of their own; those that take a unit of work are for
modules to the right, which call them inside their own transaction and name the reader on whose
behalf plaintext is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import BinaryIO, Final

from sqlalchemy.exc import IntegrityError as BrokenConstraintError

from clearhold.access.grants import Tier
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.findings import match_index, match_records, records
from clearhold.findings.bulk import BulkReceipt, pieces, refusals
from clearhold.findings.danger import collision_of
from clearhold.findings.intake import NAMES_ITS_OWN, Format, take
from clearhold.findings.model import (
    HIGHEST_LEVEL,
    Assertion,
    Cluster,
    FindingBody,
    FindingHead,
    FindingView,
    Match,
    Method,
    QueueEntry,
    Receipt,
    Skipped,
    Standing,
    State,
    check_step,
    clusters,
)
from clearhold.findings.reception import SUBMITTED, Sent, body_place, receipt_place, receive
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError, TooLargeError
from clearhold.kernel.events import Event
from clearhold.kernel.ids import (
    ArtifactId,
    CaseId,
    FindingId,
    LeaseId,
    SubmissionId,
    VulnerabilityId,
    new_id,
)
from clearhold.scanning.service import ScanningService
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

MOST_LISTED: Final = 200
MOST_CANDIDATES: Final = 50
MOST_UNPACKED: Final = 1 << 30
"""Bytes that come out of an uploaded archive. A KiB can hold a TiB, which would take hours."""


class FindingService:
    """The register of findings."""

    def __init__(self, sessions: Sessions, vault: Vault, scanning: ScanningService) -> None:
        self._sessions = sessions
        self._vault = vault
        self._scanning = scanning

    def submit(
        self,
        actor: Actor,
        raw: bytes,
        *,
        form: Format,
        key: str,
        package: str = "",
        lease: LeaseId | None = None,
        fence: int | None = None,
        lenient: bool = False,
    ) -> Receipt:
        """Take in a submission and answer at once; the time of receipt is its priority.

        `package`, with a version, is needed for formats that name none. `lease` and `fence` name the scan
        lease it was found under; a lapsed or foreign one does not lose the finding, the receipt
        says so. The same `key` and content answer the same receipt again. When `lenient`, a finding
        among several that cannot be taken does not refuse the others, and the receipt names it.

        Raises `InvalidError` or `TooLargeError` for what cannot be read, and `ConflictError` when
        the key was used for something else.
        """
        actor.need(Permission.FINDINGS_SUBMIT)
        if (lease is None) is not (fence is None):
            raise InvalidError(
                "A lease and its fencing token are given together.",
                next_step="Give both as `clearhold scan claim` answered them, or neither.",
            )
        taken = take(raw, form, package=package, lenient=lenient)
        if not taken.reports and not taken.records:
            raise InvalidError(
                "Nothing in the submission can be taken.",
                next_step="Correct what is named and send it again.",
                facts={"skipped": [[each.place, each.reason] for each in taken.skipped]},
            )
        asked = "\0".join((hashlib.sha256(raw).hexdigest(), form, package, str(lease), str(fence)))
        asked += "\0lenient" * lenient
        request = self._vault.matching_hash("submission", asked)
        named = self._vault.request_key(actor.party, key)
        sent = Sent(raw, form, taken, lease, fence, named, request)
        try:
            return self._submit(actor, sent)
        except BrokenConstraintError:
            # The same key came in at the same instant; now there is an answer to give again.
            return self._submit(actor, sent)

    def submit_many(
        self,
        actor: Actor,
        file: BinaryIO,
        *,
        form: Format | None,
        key: str,
        package: str = "",
        lease: LeaseId | None = None,
        fence: int | None = None,
    ) -> BulkReceipt:
        """Take in an upload piece by piece, each a submission that lasts once it is written.

        What cannot be taken is refused alone, with its place and the reason, and loses nothing of
        the rest. The same upload under the same `key` answers the same receipts and goes on where
        it was interrupted. Without `form` an archive holds submissions; see `bulk.pieces`.
        """
        actor.need(Permission.FINDINGS_SUBMIT)
        receipts: list[Receipt] = []
        refused: list[Skipped] = []
        try:
            for piece in pieces(file, form, unpacked=MOST_UNPACKED):
                if isinstance(piece, Skipped):
                    refused.append(piece)
                    continue
                try:
                    receipt = self.submit(
                        actor,
                        piece.raw,
                        form=piece.form,
                        key=piece.key(key),
                        package="" if piece.form in NAMES_ITS_OWN else package,
                        lease=lease,
                        fence=fence,
                        lenient=True,
                    )
                except (InvalidError, TooLargeError) as problem:
                    refused += refusals(piece, problem)
                else:
                    receipts.append(receipt)
                    refused += map(piece.placed, receipt.skipped)
        except (InvalidError, TooLargeError) as problem:
            if not receipts:
                raise
            refused.append(Skipped("the rest", f"{problem.message} {problem.next_step}"))
        return BulkReceipt(tuple(receipts), tuple(refused))

    def announce(self, submission: SubmissionId) -> tuple[FindingId, ...]:
        """Tell the modules to the right of each finding of a submission; told twice, once heard.

        Returns the findings in their order, for what can be done for all of them at once.
        """
        with self._sessions.transaction() as unit:
            findings = records.of_submission(unit, submission)
            for finding in findings:
                ids = {"finding": finding, "submission": submission}
                unit.publish(Event(SUBMITTED, finding, ids))
            return findings

    def receipt(self, actor: Actor, submission: SubmissionId) -> Receipt:
        """The receipt of a submission the actor may see. Raises `NotFoundError`."""
        actor.need(Permission.FINDINGS_READ)
        with self._sessions.transaction() as unit:
            return self._receipt(unit, actor, _seen_submission(unit, actor, submission))

    def raw(self, actor: Actor, submission: SubmissionId) -> bytes:
        """A submission as it was received, byte for byte. Raises `NotFoundError`."""
        actor.need(Permission.FINDINGS_READ)
        with self._sessions.transaction() as unit:
            known = _seen_submission(unit, actor, submission)
            return self._vault.fetch(unit, known.raw, reader=actor.principal)

    def get(self, actor: Actor, finding: FindingId) -> FindingView:
        """A finding the actor may see. Raises `NotFoundError`."""
        actor.need(Permission.FINDINGS_READ)
        with self._sessions.transaction() as unit:
            head = _seen(unit, actor, finding)
            body = self._open(unit, head, reader=actor.principal)
            return FindingView(head, body, self._standings(unit, [head]).get(head.id))

    def list(
        self, actor: Actor, *, after: FindingId | None = None, limit: int = MOST_LISTED
    ) -> tuple[FindingView, ...]:
        """The findings the actor may see in the order they came, without their content."""
        actor.need(Permission.FINDINGS_READ)
        with self._sessions.transaction() as unit:
            heads = records.listing(unit, actor, after=after, limit=min(max(limit, 1), MOST_LISTED))
            standings = self._standings(unit, heads)
            return tuple(FindingView(head, None, standings.get(head.id)) for head in heads)

    def proof(self, actor: Actor, finding: FindingId) -> bytes:
        """The proof of concept of a finding the actor may see. Raises `NotFoundError`."""
        actor.need(Permission.FINDINGS_READ)
        with self._sessions.transaction() as unit:
            head = _seen(unit, actor, finding, tier=Tier.EVERYTHING)
            if head.proof is None:
                raise NotFoundError(
                    "The finding came without a proof.", next_step="Ask its finder for one."
                )
            return self._vault.fetch(unit, head.proof, reader=actor.principal)

    def attachment(self, actor: Actor, finding: FindingId, number: int) -> bytes:
        """An attachment of a finding the actor may see, by its number from 0.

        Raises `NotFoundError`.
        """
        actor.need(Permission.FINDINGS_READ)
        with self._sessions.transaction() as unit:
            head = _seen(unit, actor, finding, tier=Tier.EVERYTHING)
            files = self._open(unit, head, reader=actor.principal).attachments
            if not 0 <= number < len(files):
                raise NotFoundError(
                    "The finding came without such an attachment.",
                    next_step="See `clearhold finding show` for what it came with.",
                )
            artifact = ArtifactId(files[number].artifact)
            return self._vault.fetch(unit, artifact, reader=actor.principal)

    def queue(self, actor: Actor) -> tuple[QueueEntry, ...]:
        """Every vulnerability reported, for the coordinator who looks for what to open a case of.

        What waits for a case is told in numbers. Of what has one, those who may not read it learn
        ids and states alone.
        """
        actor.need(Permission.FINDINGS_QUEUE)
        with self._sessions.transaction() as unit:
            heads = records.all_heads(unit)
            mine = records.readable(unit, actor)
            received = {identity: head.received_at for identity, head in heads.items()}
            grouped = clusters(received, records.assertions(unit))
            return tuple(
                _entry(cluster, [heads[member] for member in cluster.members], mine)
                for cluster in grouped
            )

    def head(self, unit: UnitOfWork, finding: FindingId) -> FindingHead:
        """Ids, state and times of a finding. Raises `NotFoundError`."""
        return _found(records.head(unit, finding))

    def open_for(self, unit: UnitOfWork, finding: FindingId, *, reader: str) -> FindingBody:
        """The content of a finding, released to `reader`. Raises `NotFoundError`."""
        return self._open(unit, self.head(unit, finding), reader=reader)

    def proof_of(self, unit: UnitOfWork, finding: FindingId, *, reader: str) -> bytes | None:
        """The proof of a finding, released to `reader`; None when it came without one."""
        head = self.head(unit, finding)
        return None if head.proof is None else self._vault.fetch(unit, head.proof, reader=reader)

    def set_verdict(
        self,
        unit: UnitOfWork,
        finding: FindingId,
        *,
        state: State,
        verdict: str,
        level: int,
        by: str = "service:validation",
    ) -> None:
        """Write where a finding stands; the same again changes nothing.

        `level` is the level of evidence from 0 to 4. Raises `ConflictError` for a step that is
        not allowed and `InvalidError` for a level or verdict that is none.
        """
        if not 0 <= level <= HIGHEST_LEVEL or len(verdict) > 200 or not verdict.isprintable():
            raise InvalidError("A verdict is a short name and a level from 0 to 4.")
        head = _found(records.head(unit, finding, lock=True))
        check_step(head.state, state)
        if (head.state, head.verdict, head.level) == (state, verdict, level):
            return
        records.set_state(unit, finding, state=state, verdict=verdict, level=level)
        unit.record(
            "findings:finding:verdict",
            actor=by,
            subject=finding,
            compartment=head.compartment,
            detail={"state": state, "verdict": verdict, "level": str(level)},
        )

    def index_signature(self, unit: UnitOfWork, finding: FindingId, frames: Sequence[str]) -> None:
        """Index a finding under the frames of its observed crash, in place of earlier ones."""
        self._indexed(unit, finding)
        match_index.index_frames(unit, self._vault, finding, frames)

    def candidates(
        self, unit: UnitOfWork, finding: FindingId, *, limit: int = MOST_CANDIDATES
    ) -> tuple[FindingId, ...]:
        """Other findings of the same package, whoever sent them, the most alike first."""
        self._indexed(unit, finding)
        ranked = match_index.rank_batch(unit, [finding], limit=limit)
        return tuple(each.finding for each in ranked.get(finding, ()))

    def assert_match(
        self,
        unit: UnitOfWork,
        a: FindingId,
        b: FindingId,
        *,
        verdict: Match,
        method: Method,
        evidence: Mapping[str, str],
        by: str,
    ) -> str:
        """Assert that two findings are the same, different or related; returns its id.

        `evidence` holds ids and digests alone. What stands already, said by the same method, is
        returned as it is; a changed mind of one method withdraws what it said before.
        """
        if a == b:
            raise InvalidError("A finding cannot be matched with itself.")
        for end in sorted((a, b)):
            _found(records.head(unit, end, lock=True))
        for each in records.assertions(unit, (a,)):
            if each.pair == (min(a, b), max(a, b)) and each.method is method:
                if each.verdict is verdict:
                    return each.id
                self.withdraw_match(unit, each.id, by=by)
        new = Assertion(
            id=new_id(unit.now),
            a=a,
            b=b,
            verdict=Match(verdict),
            method=Method(method),
            evidence=evidence,
            asserted_by=by,
            asserted_at=unit.now,
        )
        records.add_assertion(unit, new)
        unit.record(
            "findings:match:assert",
            actor=by,
            subject=new.id,
            detail={"a": a, "b": b, "verdict": new.verdict, "method": new.method},
        )
        unit.publish(
            Event("finding.matched", new.id, {"a": a, "b": b, "verdict": str(new.verdict)})
        )
        return new.id

    def withdraw_match(self, unit: UnitOfWork, assertion: str, *, by: str) -> None:
        """Take an assertion back; clusters are then as if it had never been made.

        Raises `NotFoundError` when none of that id is in force.
        """
        if records.assertion(unit, assertion) is None:
            raise NotFoundError("There is no such assertion in force.")
        records.withdraw(unit, assertion, by=by)
        unit.record("findings:match:withdraw", actor=by, subject=assertion)

    def cluster_of(self, unit: UnitOfWork, finding: FindingId) -> Cluster:
        """The vulnerability a finding belongs to, with all its findings. Raises `NotFoundError`."""
        self.head(unit, finding)
        around = records.neighbourhood(unit, [finding])
        grouped = clusters(around.received, around.assertions)
        return next(cluster for cluster in grouped if finding in cluster.members)

    def note_case(
        self, unit: UnitOfWork, findings: Iterable[FindingId], case: CaseId | None
    ) -> None:
        """Note which case findings belong to, or with None that they belong to none."""
        records.set_case(unit, findings, case)

    def _indexed(self, unit: UnitOfWork, finding: FindingId) -> None:
        """Index a finding that came before there was an index; the matcher reads it for that."""
        if not match_records.of(unit, [finding]):
            body = self.open_for(unit, finding, reader=match_index.MATCHER)
            match_index.index_body(unit, self._vault, finding, body)

    def _standings(
        self, unit: UnitOfWork, heads: Sequence[FindingHead]
    ) -> dict[FindingId, Standing]:
        """What may be told of the vulnerabilities of those findings whose own proof reproduced."""
        shown = [head.id for head in heads if head.state is State.REPRODUCED]
        if not shown:
            return {}
        around = records.neighbourhood(unit, shown)
        standings = {}
        for cluster in clusters(around.received, around.assertions):
            proven = [
                each
                for each in (around.heads[member] for member in cluster.members)
                if each.state is State.REPRODUCED
            ]
            for member in proven:
                standings[member.id] = Standing(
                    vulnerability=self._vault.matching_hash("standing", proven[0].id).hex()[:32],
                    independent_finders=len({each.party for each in proven}),
                    first=member.id == proven[0].id,
                )
        return {identity: standings[identity] for identity in shown}

    def _open(self, unit: UnitOfWork, head: FindingHead, *, reader: str) -> FindingBody:
        content = self._vault.unseal(
            unit,
            head.compartment,
            place=body_place(head.id),
            sealed=records.sealed_body(unit, head.id),
            reader=reader,
        )
        return FindingBody.from_bytes(content)

    def _receipt(self, unit: UnitOfWork, actor: Actor, known: records.StoredSubmission) -> Receipt:
        content = self._vault.unseal(
            unit,
            known.compartment,
            place=receipt_place(known.id),
            sealed=known.receipt,
            reader=actor.principal,
        )
        return Receipt.from_bytes(content)

    def _submit(self, actor: Actor, sent: Sent) -> Receipt:
        with self._sessions.transaction() as unit:
            known = records.submission_by_key(unit, actor.party, sent.key)
            if known is None:
                return receive(
                    unit, self._vault, actor, sent, under_lease=self._under_lease(unit, actor, sent)
                )
            if known.request != sent.request:
                raise ConflictError(
                    "This idempotency key was used for another submission.",
                    next_step="Use a new key for each submission.",
                )
            return self._receipt(unit, actor, _seen_submission(unit, actor, known.id))

    def _under_lease(self, unit: UnitOfWork, actor: Actor, sent: Sent) -> bool | None:
        if sent.lease is None or sent.fence is None:
            return None
        packages = sorted({str(report.document.package) for report in sent.reports})
        return self._scanning.covers(
            unit, actor.party, sent.lease, fence=sent.fence, packages=packages
        )


def _found(head: FindingHead | None) -> FindingHead:
    if head is None:
        raise NotFoundError(
            "There is no such finding.", next_step="See `clearhold finding list` for yours."
        )
    return head


def _seen(
    unit: UnitOfWork, actor: Actor, finding: FindingId, *, tier: Tier = Tier.CONTENT
) -> FindingHead:
    return _found(records.seen(unit, actor, finding, tier=tier))


def _seen_submission(
    unit: UnitOfWork, actor: Actor, identity: SubmissionId
) -> records.StoredSubmission:
    known = records.submission_seen(unit, actor, identity)
    if known is None:
        raise NotFoundError("There is no such submission.")
    return known


def _entry(
    cluster: Cluster, heads: Sequence[FindingHead], readable: AbstractSet[FindingId]
) -> QueueEntry:
    bare = QueueEntry(
        vulnerability=VulnerabilityId(cluster.id),
        states=tuple(sorted({head.state for head in heads})),
        case=next((head.case for head in heads if head.case is not None), None),
    )
    if bare.case is not None and readable.isdisjoint(cluster.members):
        return bare
    proven = {head.party for head in heads if head.state is State.REPRODUCED}
    return replace(
        bare,
        findings=len(heads),
        independent_finders=len(proven),
        best_level=max(head.level for head in heads),
        first_received_at=heads[0].received_at,
        contested=cluster.contested,
        collision=collision_of(
            (head.party, head.received_at) for head in heads if head.state is State.REPRODUCED
        ).danger,
    )
