"""The hub's side: evaluating blinded questions, keeping rooms, and answering claims.

What the hub sees of a question is who asks, when, in which of 256 rooms, for which commitment, and
sixteen elements that are uniformly random whatever is asked. Whether it was a hit it learns from a
claim alone, which nobody has to make.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.findings.known import oprf, records
from clearhold.findings.known.keys import RoomKeys
from clearhold.findings.known.oprf import Evaluation
from clearhold.findings.known.question import (
    TAG_BYTES,
    TICKET_BYTES,
    Opening,
    digest_of,
    tag_of,
    ticket_of,
)
from clearhold.findings.known.records import Asked, Entry, Epoch
from clearhold.findings.known.signatures import PER_QUESTION, ROOMS, Public, derive, room_of
from clearhold.findings.model import FindingBody, State
from clearhold.findings.service import FindingService
from clearhold.kernel.errors import (
    ConflictError,
    IntegrityError,
    InvalidError,
    LimitError,
    NotFoundError,
    UnavailableError,
)
from clearhold.kernel.ids import FindingId
from clearhold.kernel.purl import Purl
from clearhold.ports.engine import Task, next_try
from clearhold.ports.keys import KeyRing
from clearhold.ports.second_key import SecondKey
from clearhold.store.unit_of_work import Sessions, UnitOfWork

READER: Final = "service:known"
INDEX: Final = "findings.known.index"
_PACKAGE: Final = 16  # bytes of the keyed value of a package
_PROOF: Final = 64  # bytes of two scalars
_ELEMENT: Final = 32
_START: Final = 4096
_QUANTUM: Final = 64
_EVERY: Final = timedelta(hours=1)
_MOST_TAGS: Final = 1 << 20
_MOST_SENT: Final = 4 * PER_QUESTION  # three answers may get lost, and each place be claimed once

PublicFiles = Callable[[Purl], Iterable[bytes]]
"""Public inputs of a package, such as the seeds of its recipe."""

PublicName = Callable[[UnitOfWork, FindingId], str | None]
"""The public advisory of a finding, None while there is none."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """How much a party may ask and be told.

    Questions are counted by room and day; a room holds a package whole, so no package is guessed at
    more often. Findings of others that are claimed are counted by package and 30 days.
    """

    questions: int = 16
    claims: int = 4


class Known(StrEnum):
    """What a claim is answered."""

    OWN = "own"
    PUBLIC = "public"
    COORDINATED = "coordinated"


@dataclass(frozen=True, slots=True)
class Answer:
    """`name` is the finding's id when it is one's own, the advisory's when it is public.

    Of another's there is no more than the month in which the earliest report came.
    """

    known: Known
    name: str
    since: str


@dataclass(frozen=True, slots=True)
class Published:
    """The epoch in use with its public keys, for each holder one a room."""

    epoch: int
    publics: tuple[tuple[bytes, ...], ...]
    digest: str


class KnownService:
    """Answers "is it known?" without being told what."""

    def __init__(
        self,
        sessions: Sessions,
        findings: FindingService,
        *,
        ring: KeyRing,
        second: SecondKey | None = None,
        quotas: Quotas | None = None,
        public_files: PublicFiles = lambda _package: (),
        public_name: PublicName = lambda _unit, _finding: None,
    ) -> None:
        self._sessions = sessions
        self._findings = findings
        self._ring = ring
        self._second = second
        self._quotas = quotas or Quotas()
        self._public_files = public_files
        self._public_name = public_name
        self._keys: dict[int, RoomKeys] = {}
        self._publics: dict[int, tuple[tuple[bytes, ...], ...]] = {}

    def published(self, actor: Actor) -> Published:
        """The keys by which answers are checked; their digest stands in the ledger, too."""
        actor.need(Permission.FINDINGS_SUBMIT)
        epoch = self._in_use()
        return Published(epoch.number, self._published(epoch), epoch.digest)

    def tags(self, actor: Actor, epoch: int, room: int, *, after: int = 0) -> bytes:
        """A room's list of tags from place `after` on, eight bytes each.

        It grows by the same number every hour, whatever came in: what no entry takes, padding does,
        and nothing but the function's key tells the two apart. Nothing ever moves in it.
        """
        actor.need(Permission.FINDINGS_SUBMIT)
        if not 0 <= room < ROOMS or after < 0:
            raise InvalidError(f"Rooms have numbers from 0 to {ROOMS - 1}, places are from 0 on.")
        with self._sessions.transaction() as unit:
            current = _current(records.epochs(unit), epoch)
            end = min(_length(current, unit), after + _MOST_TAGS)
            found = records.placed(unit, epoch, room, after=after, before=end)
        listed = bytearray(self._padding(epoch, room, max(end, after))[after * TAG_BYTES :])
        for place, tag in found:
            start = (place - after) * TAG_BYTES
            listed[start : start + TAG_BYTES] = tag
        return bytes(listed)

    def ask(
        self, actor: Actor, epoch: int, room: int, *, lodgement: str, elements: Sequence[bytes]
    ) -> tuple[Evaluation, ...]:
        """Evaluate blinded elements, once for a commitment that was lodged before.

        The same again is answered again and counted once; the second holder's half of the answer
        is kept for that. Raises `NotFoundError` for a commitment the party did not lodge,
        `ConflictError` for one that was used for another question, and `LimitError` when the party
        has asked enough in this room today or the second holder was asked this too often in vain.
        """
        actor.need(Permission.FINDINGS_SUBMIT)
        if len(elements) != PER_QUESTION or not 0 <= room < ROOMS:
            raise InvalidError(f"A question is {PER_QUESTION} elements in one of {ROOMS} rooms.")
        keys = self._room_keys(epoch).pair(room)
        own = oprf.evaluate(keys, elements)  # refuses what is no element before anything is used up
        digest = hashlib.sha256(b"".join(elements)).digest()
        with self._sessions.transaction() as unit:
            _current(records.epochs(unit), epoch)
            records.one_at_a_time(unit, "questions", actor.party)
            if records.lodged(unit, actor, lodgement) is None:
                raise NotFoundError(
                    "Your party lodged no such commitment.",
                    next_step="Lodge it first; `clearhold finding known` does.",
                )
            before = records.asked(unit, actor, lodgement)
            new = Asked(epoch, room, digest)
            if before is None:
                self._count(unit, actor, room)
                records.add_question(unit, actor, lodgement, new)
                unit.record("findings:known:ask", actor=actor.principal, subject=lodgement)
            elif before != new:
                raise ConflictError(
                    "This commitment was used for another question.",
                    next_step="Lodge a new one for each question.",
                )
            kept = records.half_of(unit, actor, lodgement)
            if self._second is not None and kept is None:
                self._may_send(unit, actor, lodgement, len(elements))
        if kept is not None:
            return (own, _unpacked(kept))
        halves = self._second_half(epoch, room, elements)
        if halves:
            with self._sessions.transaction() as unit:
                records.keep_half(unit, actor, lodgement, _packed(halves[0]))
        return (own, *halves)

    def claim(self, actor: Actor, *, lodgement: str, ticket: bytes, opening: Opening) -> Answer:
        """What is known of a hit: for who shows that the signature was committed to before asking.

        Raises `NotFoundError` when the ticket leads nowhere or the commitment does not hold the
        signature it came of, and `LimitError` when the party was told enough of this package, or
        claimed so often under this question that the second holder is not asked any more.
        """
        actor.need(Permission.FINDINGS_SUBMIT)
        with self._sessions.transaction() as unit:
            commitment = records.lodged(unit, actor, lodgement)
            asked = records.asked(unit, actor, lodgement)
            if commitment is None or asked is None or not opening.opens(commitment):
                raise _leads_nowhere()
            # Nobody guesses a ticket, so looking first tells nothing and spares the second holder.
            if not records.held_under(unit, asked.epoch, asked.room, _stored(ticket)):
                raise _leads_nowhere()
            if self._second is not None:
                self._may_send(unit, actor, lodgement, 1)
        output = self._values(asked.epoch, asked.room, [opening.signature])[0]
        if len(ticket) != TICKET_BYTES or not hmac.compare_digest(ticket_of(output), ticket):
            raise _leads_nowhere()
        with self._sessions.transaction() as unit:
            held = records.held_under(unit, asked.epoch, asked.room, _stored(ticket))
            if not held:
                raise _leads_nowhere()
            for each in held:
                if each.party == actor.party:
                    return Answer(Known.OWN, each.finding, _month(each))
            for each in held:
                if (name := self._public_name(unit, each.finding)) is not None:
                    return Answer(Known.PUBLIC, name, _month(each))
            self._tell(unit, actor, held[0], lodgement)
            return Answer(Known.COORDINATED, "", _month(held[0]))

    def on_decided(self, ids: Mapping[str, str]) -> None:
        """Queue the indexing of a finding whose validation was decided."""
        finding = FindingId(ids["finding"])
        with self._sessions.transaction() as unit:
            if self._findings.head(unit, finding).state is State.REPRODUCED:
                key = f"{INDEX}:{ids.get('validation', finding)}"
                unit.enqueue(Task(INDEX, key, {"finding": finding}))

    def index(self, ids: Mapping[str, str]) -> None:
        """Write a reproduced finding's entries; again, it changes nothing.

        Only what reproduced is indexed: otherwise made-up proofs could make others believe that
        their flaws are known. While the second holder does not answer it is tried again later.
        """
        finding = FindingId(ids["finding"])
        try:
            self._in_use()
            for epoch in self._epochs():
                self._index(finding, epoch)
        except UnavailableError:
            later = next_try(Task(INDEX, f"{INDEX}:{finding}", dict(ids)))
            if later is None:
                raise
            with self._sessions.transaction() as unit:
                unit.enqueue(later[0], delay=later[1])

    def rotate(
        self, *, by: str, told: Callable[[int, int], None] = lambda _done, _all: None
    ) -> int:
        """Fill an epoch with new keys and then use it; what was cut off is taken up again.

        Questions of the epoch before cannot be claimed any more. Returns the epoch's number.
        """
        self._in_use()
        epochs = self._epochs()
        preparing = epochs[-1] if epochs[-1].ready_at is None else None
        epoch = preparing or self._begin(epochs[-1].number + 1, ready=False, by=by)
        with self._sessions.transaction() as unit:
            proven = records.proven(unit)
        for done, finding in enumerate(proven, start=1):
            self._index(finding, epoch)
            told(done, len(proven))
        with self._sessions.transaction() as unit:
            length = max(_START, 2 * records.longest_list(unit, epoch.number))
            records.make_ready(unit, epoch.number, start=1 << (length - 1).bit_length())
            unit.record("findings:known:rotate", actor=by, subject=str(epoch.number))
        return epoch.number

    def _index(self, finding: FindingId, epoch: Epoch) -> None:
        with self._sessions.transaction() as unit:
            head = self._findings.head(unit, finding)
            if head.state is not State.REPRODUCED or head.proof is None:
                return
            body = self._findings.open_for(unit, finding, reader=READER)
            proof = self._findings.proof_of(unit, finding, reader=READER) or b""
        room, values = self._signed(body, proof)
        outputs = self._values(epoch.number, room, values) if values else []
        package = self._ring.keyed_hash("known package", str(body.purl.package).encode())[:_PACKAGE]
        entries = [Entry(tag_of(each), _stored(ticket_of(each)), package) for each in outputs]
        with self._sessions.transaction() as unit:
            first = _length(epoch, unit)
            records.add_entries(unit, finding, entries, epoch=epoch.number, room=room, first=first)
            unit.record(
                "findings:known:index",
                actor=READER,
                subject=finding,
                compartment=head.compartment,
                detail={"epoch": str(epoch.number)},
            )

    def _signed(self, body: FindingBody, proof: bytes) -> tuple[int, list[bytes]]:
        package = body.purl.package
        files = self._public_files(package)
        public = Public.of(package, frames=body.signature, files=files)
        signed = derive(package, [proof], frames=body.signature, public=public)
        return room_of(package), [each.value for each in signed]

    def _values(self, epoch: int, room: int, values: Sequence[bytes]) -> list[bytes]:
        """The function on the hub's own inputs; the second holder is asked blindly, like by others."""
        keys = self._room_keys(epoch).pair(room)
        if self._second is None:
            return [oprf.value_of(keys.secret, each) for each in values]
        blinded = [oprf.blind(each) for each in values]
        elements = [each.element for each in blinded]
        own = oprf.evaluate(keys, elements)
        added = oprf.together([own, *self._second_half(epoch, room, elements)])
        return [oprf.finalize(one, other) for one, other in zip(blinded, added, strict=True)]

    def _second_half(
        self, epoch: int, room: int, elements: Sequence[bytes]
    ) -> tuple[Evaluation, ...]:
        if self._second is None:
            return ()
        with self._sessions.transaction() as unit:
            standing = next(each for each in records.epochs(unit) if each.number == epoch)
        publics = self._published(standing)[1]
        answered, proof = self._second.evaluate(epoch, room, elements)
        half = Evaluation(answered, proof)
        oprf.check(publics[room], elements, half)
        return (half,)

    def _published(self, epoch: Epoch) -> tuple[tuple[bytes, ...], ...]:
        """The public keys of an epoch; `IntegrityError` when they are not those it began with."""
        publics = self._all_publics(epoch.number)
        if digest_of(publics) != epoch.digest:
            self._publics.pop(epoch.number, None)
            raise IntegrityError(
                "A key is not the one that was published when its epoch began.",
                next_step="Restore the key ring and the second holder's key, or rotate.",
            )
        return publics

    def _all_publics(self, epoch: int) -> tuple[tuple[bytes, ...], ...]:
        if epoch not in self._publics:
            own = self._room_keys(epoch).publics
            others = () if self._second is None else (self._second.publics(epoch),)
            self._publics[epoch] = (own, *others)
        return self._publics[epoch]

    def _room_keys(self, epoch: int) -> RoomKeys:
        if epoch not in self._keys:
            root = self._ring.keyed_hash("known", b"root of the keys for asking privately")
            self._keys[epoch] = RoomKeys.of(root, epoch)
        return self._keys[epoch]

    def _epochs(self) -> tuple[Epoch, ...]:
        with self._sessions.transaction() as unit:
            return records.epochs(unit)

    def _in_use(self) -> Epoch:
        """The epoch in use; the first begins when it is first needed."""
        epochs = self._epochs()
        return epochs[0] if epochs else self._begin(1, ready=True, by=READER)

    def _begin(self, number: int, *, ready: bool, by: str) -> Epoch:
        digest = digest_of(self._all_publics(number))
        with self._sessions.transaction() as unit:
            records.one_at_a_time(unit, "epochs")
            for standing in records.epochs(unit):
                if standing.number == number:
                    return standing
            new = Epoch(number, unit.now, unit.now if ready else None, _START, digest)
            records.add_epoch(unit, new)
            unit.record(
                "findings:known:begin", actor=by, subject=str(number), detail={"keys": digest}
            )
            return new

    def _padding(self, epoch: int, room: int, length: int) -> bytes:
        """What stands in a list where no entry does: a stream only the ring's key can tell."""
        key = self._ring.keyed_hash("known padding", b"%d %d" % (epoch, room))
        stream = Cipher(AES(key), CTR(bytes(16))).encryptor()
        return stream.update(bytes(length * TAG_BYTES))

    def _count(self, unit: UnitOfWork, actor: Actor, room: int) -> None:
        since = unit.now - timedelta(days=1)
        if records.questions_since(unit, actor, room, since) >= self._quotas.questions:
            raise LimitError(
                f"Your party asked {self._quotas.questions} questions here within a day.",
                next_step="Ask again tomorrow, or submit the finding.",
            )

    def _may_send(self, unit: UnitOfWork, actor: Actor, lodgement: str, elements: int) -> None:
        """Count what the second holder is sent for one question, whose allowance all share."""
        if not records.may_send(unit, actor, lodgement, elements=elements, most=_MOST_SENT):
            raise LimitError(
                "The second holder of the key was asked often enough for this question.",
                next_step="Lodge a new commitment and ask anew.",
            )

    def _tell(self, unit: UnitOfWork, actor: Actor, held: records.Holder, lodgement: str) -> None:
        """Count that the party is told of another's finding.

        The finding stays closed: a release would show in its ledger, and tell that somebody asked.
        """
        records.one_at_a_time(unit, "claims", actor.party)
        if records.claimed(unit, actor, held.finding):
            return
        since = unit.now - timedelta(days=30)
        if records.claims_since(unit, actor, held.package, since) >= self._quotas.claims:
            raise LimitError(
                "Your party was told enough of this package's findings within 30 days.",
                next_step="Submit what you found; it is compared once its proof has reproduced.",
            )
        records.add_claim(unit, actor, held.finding, held.package)
        unit.record("findings:known:claim", actor=actor.principal, subject=lodgement)


def _current(epochs: Sequence[Epoch], wanted: int) -> Epoch:
    if not epochs or epochs[0].number != wanted or epochs[0].ready_at is None:
        raise ConflictError(
            "This is not the epoch in use.", next_step="Fetch the public keys again and ask anew."
        )
    return epochs[0]


def _length(epoch: Epoch, unit: UnitOfWork) -> int:
    """How long the lists of an epoch are now: entries written now stand behind that."""
    if epoch.ready_at is None:
        return 0
    return epoch.start + _QUANTUM * ((unit.now - epoch.ready_at) // _EVERY)


def _packed(half: Evaluation) -> bytes:
    return half.proof + b"".join(half.elements)


def _unpacked(kept: bytes) -> Evaluation:
    proof, elements = kept[:_PROOF], kept[_PROOF:]
    places = range(0, len(elements), _ELEMENT)
    return Evaluation(tuple(elements[place : place + _ELEMENT] for place in places), proof)


def _stored(ticket: bytes) -> bytes:
    """What is kept of a ticket, so that a stolen database holds none."""
    return hashlib.sha256(ticket).digest()


def _month(held: records.Holder) -> str:
    return held.received_at.strftime("%Y-%m")


def _leads_nowhere() -> NotFoundError:
    return NotFoundError(
        "This leads to nothing that is known.",
        next_step="Claim what `clearhold finding known` found, within the same epoch.",
    )
