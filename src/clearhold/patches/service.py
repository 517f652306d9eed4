"""Taking candidate fixes in, showing what became of them, and standing behind one.

Acceptance is a machine's verdict and delivers nothing. What is delivered to operators is what a
vendor or coordinator of the case has adopted: submitting a fix that is accepted adopts it, and a
fix from anyone else must be adopted by one of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.access.grants import Tier, compartments_of, sees
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.cases import progress
from clearhold.cases import records as cases
from clearhold.cases.entry import entered
from clearhold.cases.material import CaseMaterial
from clearhold.cases.model import Role
from clearhold.cases.records import CaseRecord
from clearhold.kernel.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import CaseId, PartyId, PatchId, new_id
from clearhold.parties import records as parties
from clearhold.patches import attestation, porting, records
from clearhold.patches.asking import check, check_versions
from clearhold.patches.judging import (
    Delivery,
    Judgement,
    Manifest,
    ProofOutcome,
)
from clearhold.patches.porting import Book, Ported
from clearhold.patches.records import READER, Origin, PatchRecord, State, found
from clearhold.ports.engine import AGAIN_AFTER, Task
from clearhold.store.schema import to_microseconds
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault
from clearhold.wire import dsse

JUDGE: Final = "patches.judge"

STANDS_BEHIND: Final = frozenset({Role.VENDOR, Role.COORDINATOR})


@dataclass(frozen=True, slots=True)
class PatchView:
    """A candidate as someone who may see it sees it.

    `judgement` is None until decided; outcomes of proofs that the viewer may not read carry no
    finding and no observation. `deliverable` says that a package ready to install was made.
    `backports` tells what became of it on other versions, to who may read the case's content,
    `backports_left` which are still to be asked, and `backports_waiting` what that waits for.
    """

    id: PatchId
    case: CaseId
    origin: Origin
    own: bool
    state: State
    note: str
    judgement: Judgement | None
    submitted_at: datetime
    decided_at: datetime | None
    adopted_at: datetime | None
    deliverable: bool
    backports: tuple[Ported, ...] = ()
    backports_left: tuple[str, ...] = ()
    backports_waiting: str = ""


class PatchService:
    """The desk where fixes are judged."""

    def __init__(
        self,
        sessions: Sessions,
        vault: Vault,
        material: CaseMaterial,
        *,
        signing_key: Ed25519PrivateKey,
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._material = material
        self._signing_key = signing_key

    def submit(
        self, actor: Actor, case: CaseId, diff: bytes, *, origin: Origin, note: str, key: str
    ) -> PatchView:
        """Submit a fix to a case the actor takes part in and queue its judging.

        `diff` is a unified diff against the vulnerable version, taken as it is. The same `key` with
        the same request returns the same candidate. Raises `InvalidError` or `TooLargeError` for
        what cannot be taken, `NotFoundError` for a case the actor may not see, and `ConflictError`
        for a closed case or a key used for something else.
        """
        actor.need(Permission.PATCHES_SUBMIT)
        check(diff, note, key)
        key = self._vault.request_key(actor.party, key)
        request = self._digest(case, diff, origin, note)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            earlier = records.by_key(unit, actor.party, key)
            if earlier is not None:
                if earlier.request != request:
                    raise ConflictError(
                        "This idempotency key was used for another request.",
                        next_step="Use a new key for each request.",
                    )
                return self._show(unit, actor, found(records.seen(unit, actor, earlier.id)))
            held, mine = entered(unit, actor, case)
            if origin is Origin.MAINTAINER and mine.role is not Role.VENDOR:
                raise InvalidError(
                    "Only a vendor of the case submits a maintainer's fix.",
                    next_step="Say where this one comes from: finder, model or distribution.",
                )
            new = self._new(unit, actor, held, diff, origin=origin, note=note, request=request)
            records.add(unit, new, key=key)
            tell(unit, new, "patches:candidate:submit", by=actor.principal, origin=origin)
            unit.enqueue(judging_task(new.id))
            return self._show(unit, actor, new)

    def repeat(self, actor: Actor, patch: PatchId) -> PatchView:
        """Ask for another try of a judgement that this machine could not carry out.

        It is tried again by itself, too, after growing pauses. Raises `NotFoundError`, and
        `ConflictError` when there is a verdict or a try is under way.
        """
        actor.need(Permission.PATCHES_SUBMIT)
        with self._sessions.transaction() as unit:
            known = found(records.seen(unit, actor, patch))
            if known.verdict != records.ENVIRONMENT_FAILURE:
                raise ConflictError(
                    "The candidate is judged, or still on trial.", next_step="Read its verdict."
                )
            records.change(unit, patch, state=State.RECEIVED, verdict=None)
            task = judging_task(patch, attempt=len(AGAIN_AFTER))
            unit.enqueue(replace(task, key=f"{task.key}:asked:{to_microseconds(unit.now)}"))
            tell(unit, known, "patches:candidate:repeat", by=actor.principal)
            return self._show(unit, actor, found(records.held(unit, patch)))

    def get(self, actor: Actor, patch: PatchId) -> PatchView:
        """A candidate the actor may see. Raises `NotFoundError`."""
        actor.need(Permission.PATCHES_READ)
        with self._sessions.transaction() as unit:
            return self._show(unit, actor, found(records.seen(unit, actor, patch)))

    def list(self, actor: Actor, case: CaseId) -> tuple[PatchView, ...]:
        """The candidates of a case that the actor may see, oldest first."""
        actor.need(Permission.PATCHES_READ)
        with self._sessions.transaction() as unit:
            return tuple(
                self._show(unit, actor, each) for each in records.listing(unit, actor, case)
            )

    def diff(self, actor: Actor, patch: PatchId) -> bytes:
        """The diff of a candidate the actor may see, as submitted. Raises `NotFoundError`."""
        actor.need(Permission.PATCHES_READ)
        with self._sessions.transaction() as unit:
            known = found(records.seen(unit, actor, patch))
            return self._vault.fetch(unit, known.diff, reader=actor.principal)

    def evidence(self, actor: Actor, patch: PatchId) -> bytes:
        """The signed evidence of a judgement, a DSSE envelope by which it can be run again.

        For who may read the case's content. It holds the proofs that the actor may read. Raises
        `NotFoundError`, and `ConflictError` while there is no verdict on anything that was run.
        """
        actor.need(Permission.PATCHES_READ)
        with self._sessions.transaction() as unit:
            known = found(records.seen(unit, actor, patch))
            whole = self._judgement(unit, known, reader=actor.principal)
            diff = self._vault.fetch(unit, known.diff, reader=actor.principal)
            return self._attested(unit, actor, known, whole, diff)

    def backport(self, actor: Actor, patch: PatchId, versions: Sequence[str]) -> PatchView:
        """Have an accepted fix brought to these versions, or without any to the newest of each line.

        For vendors and coordinators of the case. A version that was asked before and came to no
        verdict is asked again. Raises `InvalidError`, `LimitError` for too many, and `ConflictError`
        for others and for a fix that was not accepted.
        """
        actor.need(Permission.PATCHES_SUBMIT)
        check_versions(versions)
        with self._sessions.transaction() as unit:
            known = self._accepted(unit, actor, patch)
            among = self._material.with_proof(unit, known.case)
            porting.name_versions(unit, self._vault, known, versions, among=among)
            asked = str(to_microseconds(unit.now))
            unit.enqueue(porting.porting_task(patch, lines=not versions, asked=asked))
            tell(unit, known, "patches:candidate:ask-backport", by=actor.principal)
            return self._show(unit, actor, found(records.held(unit, patch)))

    def backported(self, actor: Actor, patch: PatchId, version: str) -> bytes:
        """The diff that was judged on another version. Raises `NotFoundError` when none was."""
        actor.need(Permission.PATCHES_READ)
        with self._sessions.transaction() as unit:
            known = found(records.seen(unit, actor, patch))
            return self._ported(unit, actor, known, version).diff

    def backport_evidence(self, actor: Actor, patch: PatchId, version: str) -> bytes:
        """The signed evidence of the judgement on another version, as `evidence` gives it."""
        actor.need(Permission.PATCHES_READ)
        with self._sessions.transaction() as unit:
            known = found(records.seen(unit, actor, patch))
            made = self._ported(unit, actor, known, version)
            return self._attested(unit, actor, known, made.judgement, made.diff)

    def _attested(
        self,
        unit: UnitOfWork,
        actor: Actor,
        known: PatchRecord,
        whole: Judgement | None,
        diff: bytes,
    ) -> bytes:
        shown = None if whole is None else _for_reader(unit, actor, known, whole)
        if shown is None or "recipe_sha256" not in shown.facts:
            raise ConflictError(
                "There is no evidence of a judgement that you may read.",
                next_step="Read the fix's verdict and reason.",
            )
        may_read = {each.finding for each in shown.proofs if each.finding}
        proofs = [
            proof
            for proof in self._material.proofs_of_case(unit, known.case, reader=READER)
            if str(proof.finding) in may_read
        ]
        said = attestation.statement(
            shown, package=proofs[0].package if proofs else "", diff=diff, proofs=proofs
        )
        tell(unit, known, "patches:candidate:attest", by=actor.principal)
        return dsse.sign(said, dsse.IN_TOTO, self._signing_key)

    def _book(self, unit: UnitOfWork, actor: Actor, known: PatchRecord) -> Book:
        """Where a fix was brought, for who may read the case's content; else nothing."""
        if not sees(unit, actor, known.compartment, tier=Tier.CONTENT):
            return Book()
        if known.sealed_backports is None:
            return Book()
        among = self._material.with_proof(unit, known.case)
        return porting.read_book(unit, self._vault, known, reader=actor.principal, among=among)

    def _ported(self, unit: UnitOfWork, actor: Actor, known: PatchRecord, version: str) -> Ported:
        for each in self._book(unit, actor, known).done:
            if each.version == version and each.diff:
                return each
        raise NotFoundError(
            "No diff of this fix was judged on that version.",
            next_step="See `clearhold patch show`.",
        )

    def _accepted(self, unit: UnitOfWork, actor: Actor, patch: PatchId) -> PatchRecord:
        """An accepted candidate, locked, that the actor stands behind fixes of."""
        known = found(records.seen(unit, actor, patch))
        _, mine = entered(unit, actor, known.case, tier=Tier.CONTENT)
        known = found(records.held(unit, patch))
        if mine.role not in STANDS_BEHIND:
            raise ConflictError(
                "Only a vendor or coordinator of the case may do this.",
                next_step="Ask one of them in the case.",
            )
        if known.state is not State.ACCEPTED:
            raise ConflictError(
                f"The fix is {known.state}, not accepted.", next_step="Look at its verdict."
            )
        return known

    def wheel(self, actor: Actor, patch: PatchId) -> tuple[str, bytes]:
        """The name and content of the package made of an accepted fix.

        For who is read in to the case. Raises `NotFoundError` when there is none to see.
        """
        actor.need(Permission.PATCHES_READ)
        with self._sessions.transaction() as unit:
            known = found(records.seen(unit, actor, patch))
            made = None
            if sees(unit, actor, known.compartment, tier=Tier.FIX):
                made = self._delivery(unit, known, reader=actor.principal)
            if made is None:
                raise NotFoundError(
                    "There is no package of this fix.", next_step="Look at its verdict."
                )
            return made.manifest.wheel_name, made.wheel

    def adopt(self, actor: Actor, patch: PatchId) -> PatchView:
        """Stand behind an accepted fix, so that it is what the case delivers.

        For vendors and coordinators of the case; the last adopted counts. Raises `ConflictError`
        for others, and for a fix that was not accepted.
        """
        actor.need(Permission.PATCHES_SUBMIT)
        with self._sessions.transaction() as unit:
            known = self._accepted(unit, actor, patch)
            if not self._covers(unit, known, reader=READER):
                raise ConflictError(
                    "A proof has joined the case that the fix was not judged by.",
                    next_step="Submit the fix again with a new key, so that it is judged anew.",
                )
            stand_behind(unit, known, party=actor.party, by=actor.principal)
            return self._show(unit, actor, found(records.held(unit, patch)))

    def delivery_of(self, unit: UnitOfWork, case: CaseId, *, reader: str) -> Delivery | None:
        """What the case delivers, released to the service `reader`: the fix adopted last.

        None while none is adopted, while its recipe makes no package, and once a proof has joined
        the case that this fix was not judged by.
        """
        known = records.adopted(unit, case)
        if known is None or not self._covers(unit, known, reader=reader):
            return None
        return self._delivery(unit, known, reader=reader)

    def _covers(self, unit: UnitOfWork, known: PatchRecord, *, reader: str) -> bool:
        """Whether the fix was shown to stop every proof that its case holds now."""
        whole = self._judgement(unit, known, reader=reader)
        outcomes = () if whole is None else whole.proofs
        stopped = {each.finding for each in outcomes if each.stopped}
        return all(finding in stopped for finding in self._material.with_proof(unit, known.case))

    def _judgement(self, unit: UnitOfWork, known: PatchRecord, *, reader: str) -> Judgement | None:
        if known.sealed_verdict is None:
            return None
        opened = self._vault.unseal(
            unit,
            known.compartment,
            place=verdict_place(known.id),
            sealed=known.sealed_verdict,
            reader=reader,
        )
        return Judgement.from_bytes(opened)

    def _delivery(self, unit: UnitOfWork, known: PatchRecord, *, reader: str) -> Delivery | None:
        if known.wheel is None or known.delivery is None:
            return None
        manifest = Manifest.from_bytes(self._vault.fetch(unit, known.delivery, reader=reader))
        return Delivery(manifest, self._vault.fetch(unit, known.wheel, reader=reader))

    def _new(
        self,
        unit: UnitOfWork,
        actor: Actor,
        case: CaseRecord,
        diff: bytes,
        *,
        origin: Origin,
        note: str,
        request: bytes,
    ) -> PatchRecord:
        identity = PatchId(new_id(unit.now))
        return PatchRecord(
            id=identity,
            case=case.id,
            compartment=case.compartment,
            party=actor.party,
            origin=origin,
            state=State.RECEIVED,
            verdict=None,
            diff=self._vault.store(unit, case.compartment, content=diff, media_type="text/x-diff"),
            sealed_note=self._vault.seal(
                unit, case.compartment, place=_note_place(identity), content=note.encode()
            ),
            sealed_verdict=None,
            sealed_backports=None,
            wheel=None,
            delivery=None,
            submitted_at=unit.now,
            decided_at=None,
            adopted_at=None,
            request=request,
        )

    def _show(self, unit: UnitOfWork, actor: Actor, known: PatchRecord) -> PatchView:
        whole = self._judgement(unit, known, reader=actor.principal)
        note = self._vault.unseal(
            unit,
            known.compartment,
            place=_note_place(known.id),
            sealed=known.sealed_note,
            reader=actor.principal,
        )
        book = self._book(unit, actor, known)
        return PatchView(
            id=known.id,
            case=known.case,
            origin=known.origin,
            own=known.party == actor.party,
            state=known.state,
            note=note.decode(),
            judgement=None if whole is None else _for_reader(unit, actor, known, whole),
            submitted_at=known.submitted_at,
            decided_at=known.decided_at,
            adopted_at=known.adopted_at,
            deliverable=known.wheel is not None,
            backports=tuple(
                each
                if each.judgement is None
                else msgspec.structs.replace(
                    each, judgement=_for_reader(unit, actor, known, each.judgement)
                )
                for each in book.done
            ),
            backports_left=book.left,
            backports_waiting=book.waiting,
        )

    def _digest(self, case: CaseId, diff: bytes, origin: Origin, note: str) -> bytes:
        # Keyed, because a plain digest of a diff can be compared with a guess.
        whole = hashlib.sha256(diff)
        whole.update(f"\0{case}\0{origin}\0{note}".encode())
        return self._vault.matching_hash("patch:submit", whole.hexdigest())


def verdict_place(patch: PatchId) -> tuple[str, str, str]:
    """Where a sealed verdict stands."""
    return ("patch", "sealed_verdict", patch)


def tell(unit: UnitOfWork, patch: PatchRecord, action: str, *, by: str, **detail: str) -> None:
    """Record what happened to a candidate."""
    unit.record(
        action,
        actor=by,
        subject=patch.id,
        compartment=patch.compartment,
        detail={"case": patch.case, **detail},
    )


def judging_task(patch: PatchId, *, attempt: int = 0) -> Task:
    """The task that judges a candidate."""
    return Task(JUDGE, f"{JUDGE}:{patch}", {"patch": patch, "attempt": str(attempt)}, "heavy")


def stand_behind(unit: UnitOfWork, patch: PatchRecord, *, party: PartyId, by: str) -> None:
    """Adopt an accepted candidate for a party, whose case has a fix ready by that."""
    records.change(unit, patch.id, adopted_by=party, adopted_at=unit.now)
    tell(unit, patch, "patches:candidate:adopt", by=by, party=party)
    progress.mark(unit, patch.case, "F", by=by)


def _note_place(patch: PatchId) -> tuple[str, str, str]:
    return ("patch", "sealed_note", patch)


def _for_reader(unit: UnitOfWork, actor: Actor, patch: PatchRecord, whole: Judgement) -> Judgement:
    """A judgement without what it tells of findings that the actor may not read."""
    rows = unit.connection.execute(compartments_of(actor, unit.now, tier=Tier.CONTENT))
    readable = {row.compartment for row in rows}
    own = {
        str(linked.finding)
        for linked in cases.linked_to(unit, patch.case)
        if linked.compartment in readable
    }
    return msgspec.structs.replace(
        whole,
        proofs=tuple(
            each if each.finding in own else ProofOutcome("", each.stopped) for each in whole.proofs
        ),
        facts=whole.facts if patch.compartment in readable else {},
    )
