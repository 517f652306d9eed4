"""Writing an advisory under embargo, and agreeing when it is published.

Publishing itself is `flows.publish`; here it is only allowed and put on the clock.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.advisories import records, release
from clearhold.advisories.dossier import Dossier, Dossiers
from clearhold.advisories.draft import Draft, PriorityFacts, advisory_of
from clearhold.advisories.model import Advisory
from clearhold.advisories.records import Kept, State
from clearhold.advisories.renderings import Kind
from clearhold.findings.danger import Danger
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import AdvisoryId, CaseId, CompartmentId, new_id
from clearhold.parties import records as parties
from clearhold.ports.engine import Task
from clearhold.store.schema import to_microseconds
from clearhold.store.unit_of_work import Sessions, UnitOfWork

PUBLISH: Final = "advisories.publish"
READER: Final = "service:advisories"
LEAST_LEVEL: Final = 3
_ALPHABET: Final = "23456789CFGHJMPQRVWX"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a viewer may know of an advisory without opening it; `title` only once published."""

    id: AdvisoryId
    public_id: str
    case: CaseId
    state: State
    publish_at: datetime | None
    published_at: datetime | None
    title: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be published now: each format's document, what is left out, and why not yet."""

    documents: Mapping[Kind, bytes]
    left_out: tuple[str, ...]
    obstacles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matter:
    """What remediation works with: the advisory, its priority facts, and its place in time.

    `starts_at` is when operators can act: the instant of publication, past or agreed; None while
    nothing is agreed. `delivered` says whether a patch ready to install comes with it,
    and `collision` how dangerous it is that several found the flaw.
    """

    id: AdvisoryId
    public_id: str
    compartment: CompartmentId
    published: bool
    starts_at: datetime | None
    early_notice: bool
    advisory: Advisory
    facts: PriorityFacts
    delivered: bool
    collision: Danger = Danger.SINGLE


class AdvisoryService:
    """Advisories before they are public."""

    def __init__(self, sessions: Sessions, dossiers: Dossiers) -> None:
        self._sessions = sessions
        self._dossiers = dossiers
        self._cases = dossiers.cases

    def draft(self, actor: Actor, case: CaseId, draft: Draft, *, key: str) -> Notice:
        """Begin the advisory of a case the actor is read in to.

        The same `key` with the same draft returns the first one. Raises `InvalidError` when it
        could never be published, and `ConflictError` when `key` was used for something else.
        """
        actor.need(Permission.ADVISORIES_WRITE)
        if not 1 <= len(key) <= 200 or not key.isprintable():
            raise InvalidError(
                "An idempotency key is 1 to 200 printable characters.",
                next_step="Send a fresh UUID in the header Idempotency-Key.",
            )
        key = self._dossiers.request_key(actor.party, key)
        digest = self._dossiers.digest(f"{case}:{msgspec.json.encode(draft).decode()}")
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            file = self._cases.visible(unit, actor, case)
            earlier = records.earlier_request(unit, actor.party, key)
            if earlier is not None:
                return self._repeated(unit, actor, earlier, digest)
            identity = AdvisoryId(new_id(unit.now))
            new = Kept(
                id=identity,
                public_id=_public_id(unit.now),
                case=case,
                compartment=file.compartment,
                state=State.DRAFT,
                body=self._dossiers.seal(unit, identity, file.compartment, draft),
                made_at=unit.now,
                publish_at=None,
                published_at=None,
                title=None,
                patch_needed=True,
            )
            self._publishable(draft, new.public_id, at=unit.now)
            records.add(unit, new, party=actor.party, key=key, digest=digest)
            _tell(unit, "advisories:advisory:draft", actor.principal, new)
            return _notice(new)

    def redraft(self, actor: Actor, advisory: AdvisoryId, draft: Draft) -> Notice:
        """Replace a draft that is not scheduled yet; raises `ConflictError` once it is."""
        actor.need(Permission.ADVISORIES_WRITE)
        with self._sessions.transaction() as unit:
            kept = self._unpublished(unit, actor, advisory)
            if kept.state is not State.DRAFT:
                raise ConflictError(
                    "The advisory is scheduled and is not changed any more.",
                    next_step="Publish it, then issue a correction.",
                )
            self._publishable(draft, kept.public_id, at=unit.now)
            body = self._dossiers.seal(unit, kept.id, kept.compartment, draft)
            records.change(unit, kept.id, body=body)
            _tell(unit, "advisories:advisory:redraft", actor.principal, kept)
            return _notice(kept)

    def list(self, actor: Actor) -> tuple[Notice, ...]:
        """What is published, and what lies in the actor's cases, oldest first."""
        actor.need(Permission.ADVISORIES_READ)
        with self._sessions.transaction() as unit:
            return tuple(_notice(each) for each in records.listing(unit, actor))

    def get(self, actor: Actor, advisory: AdvisoryId) -> Notice:
        """One of them; raises `NotFoundError` for any the actor may not see."""
        actor.need(Permission.ADVISORIES_READ)
        with self._sessions.transaction() as unit:
            found = records.listing(unit, actor, advisory)
            if not found:
                raise _absent()
            return _notice(found[0])

    def read(self, actor: Actor, advisory: AdvisoryId) -> Draft:
        """What was written, released to an actor who is read in to the case."""
        actor.need(Permission.ADVISORIES_READ)
        with self._sessions.transaction() as unit:
            kept = self.owned(unit, actor, advisory)
            return self._dossiers.unseal(unit, kept, reader=actor.principal)

    def preview(self, actor: Actor, advisory: AdvisoryId) -> Preview:
        """The documents as they would be now, and everything that stands in the way."""
        actor.need(Permission.ADVISORIES_WRITE)
        with self._sessions.transaction() as unit:
            kept = self.owned(unit, actor, advisory)
            dossier = self._dossiers.open(unit, kept, reader=actor.principal)
            moment = kept.publish_at or unit.now
        obstacles = list(_obstacles(dossier))
        documents: Mapping[Kind, bytes] = {}
        said = dossier.advisory(moment)
        try:
            documents = dict(release.checked(said, dossier.delivery).items())
        except InvalidError as error:
            obstacles += [error.message, *error.facts.get("problems", ())]  # type: ignore[misc]  # facts are plain objects, this one a list
        return Preview(documents, release.left_out(said), tuple(obstacles))

    def schedule(self, actor: Actor, advisory: AdvisoryId) -> Notice:
        """Put publication on the clock for the end of the case's embargo.

        Needs a validation of level 3 or more, an accepted patch and an embargo that has an end.
        Again for an advisory that is scheduled already, it takes over the embargo's end as it is
        now. Raises `ConflictError` saying what is missing, and `InvalidError` listing what is
        wrong with its documents.
        """
        actor.need(Permission.ADVISORIES_PUBLISH)
        with self._sessions.transaction() as unit:
            kept = self._unpublished(unit, actor, advisory)
            dossier = self._dossiers.open(unit, kept, reader=READER)
            obstacles = _obstacles(dossier)
            if obstacles:
                raise ConflictError(
                    " ".join(obstacles), next_step="Complete the case, then schedule again."
                )
            ends = dossier.case.embargo_ends
            if ends is None or not dossier.case.under_embargo(unit.now):
                raise ConflictError(
                    "No embargo is in force whose end could be waited for.",
                    next_step="Agree on an embargo, or publish now with a reason.",
                )
            if kept.state is State.SCHEDULED and kept.publish_at == ends:
                return _notice(kept)
        release.checked(dossier.advisory(ends), dossier.delivery)
        with self._sessions.transaction() as unit:
            self._unchanged(unit, actor, dossier)
            put_on_clock(unit, kept.id, ends)
            records.change(unit, kept.id, patch_needed=True)
            at = ends.isoformat()
            _tell(unit, "advisories:advisory:schedule", actor.principal, kept, publish_at=at)
            return self._notice_of(unit, actor, kept.id)

    def publish_now(self, actor: Actor, advisory: AdvisoryId, *, reason: str) -> Notice:
        """Publish at once, with a reason for the ledger, when no embargo stands against it.

        It is published with the fix the case delivers, or without one when there is none.

        Raises `ConflictError` while the embargo is in force, whoever asks, and when a fix would go
        out on less evidence than level 3.
        """
        actor.need(Permission.ADVISORIES_PUBLISH)
        if not 0 < len(reason.strip()) <= 500 or not reason.isprintable():
            raise InvalidError(
                "Publishing at once needs a reason of at most 500 characters on one line.",
                next_step="Say why it cannot wait.",
            )
        with self._sessions.transaction() as unit:
            kept = self._unpublished(unit, actor, advisory)
            dossier = self._dossiers.open(unit, kept, reader=READER)
            now = unit.now
            if dossier.case.under_embargo(now):
                raise ConflictError(
                    "The case is under embargo.",
                    next_step="Wait for its end, or terminate the embargo first.",
                )
            if dossier.delivery is not None and dossier.case.level < LEAST_LEVEL:
                raise ConflictError(
                    " ".join(_obstacles(dossier)),
                    next_step="Validate the case's proofs against a fixed version, or ask for another"
                    " try of their validation.",
                )
        release.checked(dossier.advisory(now), dossier.delivery)
        with self._sessions.transaction() as unit:
            self._unchanged(unit, actor, dossier)
            put_on_clock(unit, kept.id, unit.now)
            records.change(unit, kept.id, patch_needed=False)
            _tell(unit, "advisories:advisory:publish-now", actor.principal, kept, reason=reason)
            return self._notice_of(unit, actor, kept.id)

    def matter(self, unit: UnitOfWork, advisory: AdvisoryId, *, reader: str) -> Matter | None:
        """What remediation needs of an advisory, released to the service `reader`."""
        kept = records.locked(unit, advisory)
        if kept is None:
            return None
        dossier = self._dossiers.open(unit, kept, reader=reader)
        starts_at = kept.published_at or kept.publish_at or dossier.case.embargo_ends
        return Matter(
            id=kept.id,
            public_id=kept.public_id,
            compartment=kept.compartment,
            published=kept.state is State.PUBLISHED,
            starts_at=starts_at,
            early_notice=dossier.case.early_notice,
            advisory=dossier.advisory(starts_at or unit.now),
            facts=dossier.draft.facts,
            delivered=dossier.delivery is not None,
            collision=dossier.case.collision,
        )

    def owned(self, unit: UnitOfWork, actor: Actor, advisory: AdvisoryId) -> Kept:
        """The advisory, of a case the actor is read in to. Raises `NotFoundError`."""
        kept = records.read_in_to(unit, actor, advisory)
        if kept is None:
            raise _absent()
        return kept

    def _publishable(self, draft: Draft, public_id: str, *, at: datetime) -> None:
        advisory_of(
            draft,
            public_id,
            publisher=self._dossiers.publisher,
            published=at,
            delivered=None,
        )

    def _unpublished(self, unit: UnitOfWork, actor: Actor, advisory: AdvisoryId) -> Kept:
        self.owned(unit, actor, advisory)
        kept = records.locked(unit, advisory)
        if kept is None or kept.state in {State.RELEASING, State.PUBLISHED}:
            raise ConflictError("The advisory is published.", next_step="Read it in the feeds.")
        return kept

    def _unchanged(self, unit: UnitOfWork, actor: Actor, dossier: Dossier) -> None:
        """Make sure that what was checked outside the transaction is still what there is."""
        kept = self._unpublished(unit, actor, dossier.kept.id)
        if kept != dossier.kept or self._cases.current(unit, kept.case) != dossier.case:
            raise ConflictError(
                "The advisory or its case was changed meanwhile.", next_step="Try again."
            )

    def _notice_of(self, unit: UnitOfWork, actor: Actor, advisory: AdvisoryId) -> Notice:
        return _notice(self.owned(unit, actor, advisory))

    def _repeated(
        self, unit: UnitOfWork, actor: Actor, earlier: tuple[AdvisoryId, bytes], digest: bytes
    ) -> Notice:
        if earlier[1] != digest:
            raise ConflictError(
                "This idempotency key was used for another draft.",
                next_step="Send a fresh Idempotency-Key with a new draft.",
            )
        return _notice(self.owned(unit, actor, earlier[0]))


def put_on_clock(unit: UnitOfWork, identity: AdvisoryId, at: datetime) -> None:
    """Set when an advisory is published, and queue that."""
    records.change(unit, identity, state=State.SCHEDULED, publish_at=at)
    unit.enqueue(
        Task(
            flow=PUBLISH,
            key=f"{PUBLISH}:{identity}:{to_microseconds(at)}:{to_microseconds(unit.now)}",
            arguments={"advisory": identity},
            queue="heavy",
        ),
        delay=max(at - unit.now, timedelta(0)),
    )


def _obstacles(dossier: Dossier) -> tuple[str, ...]:
    found = []
    level = dossier.case.level
    if level < LEAST_LEVEL:
        found.append(
            f"The case's best validation is of level {level}; level {LEAST_LEVEL} is needed."
        )
    if dossier.delivery is None:
        found.append("No patch was accepted yet.")
    return tuple(found)


def _public_id(now: datetime) -> str:
    """An id that tells nothing of how many advisories there are: 20 letters to the power of 8."""
    return f"CH-{now.year}-{''.join(secrets.choice(_ALPHABET) for _ in range(8))}"


def _notice(kept: Kept) -> Notice:
    return Notice(
        id=kept.id,
        public_id=kept.public_id,
        case=kept.case,
        state=kept.state,
        publish_at=kept.publish_at,
        published_at=kept.published_at,
        title=kept.title,
    )


def _tell(unit: UnitOfWork, action: str, actor: str, kept: Kept, **detail: str) -> None:
    unit.record(action, actor=actor, subject=kept.id, compartment=kept.compartment, detail=detail)


def _absent() -> NotFoundError:
    return NotFoundError("There is no such advisory.")
