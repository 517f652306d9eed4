"""Sealed mode: cases whose body the hub cannot read.

A party encrypts on its own machine to age recipients of parties it names, and lodges the ciphertext.
The hub checks that it has the form of an age file with one stanza per named recipient and a padded
size, keeps it and hands it to those parties alone. It never has a key for it. What it sees is who
lodged, when, for whom, and in which size bucket. Whether each stanza is for the recipient that was
named, the hub cannot know; who cannot open a letter says so to its sender.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clearhold.access import grants
from clearhold.access.grants import Grantee
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.cases import sealed_records as records
from clearhold.cases.sealed_records import LetterRecord, SealedCaseRecord
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import PartyId, SealedCaseId, new_id
from clearhold.parties import recipients
from clearhold.parties import records as parties
from clearhold.parties.recipients import Recipient
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault
from clearhold.wire import age, letter

MOST_LETTERS: Final = 1000
_MEDIA_TYPE: Final = "application/age"
_REASON: Final = "named in a sealed case"


@dataclass(frozen=True, slots=True)
class Addressee:
    """A recipient as the sender names it: the party's handle and the recipient's fingerprint."""

    party: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LetterView:
    """What shows of a letter; `size` is its bucket, `readers` are handles."""

    id: str
    written_by: str
    written_at: datetime
    size: int
    readers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SealedCaseView:
    """A sealed case with the letters the viewer may fetch."""

    id: SealedCaseId
    lodged_by: str
    lodged_at: datetime
    letters: tuple[LetterView, ...]


class SealedCaseService:
    """The desk for what the hub cannot read."""

    def __init__(self, sessions: Sessions, vault: Vault) -> None:
        self._sessions = sessions
        self._vault = vault

    def lodge(
        self, actor: Actor, ciphertext: bytes, to: Sequence[Addressee], *, key: str
    ) -> SealedCaseView:
        """Lodge a case for the parties of these recipients and nobody else.

        The same `key` and content give the same case again. Raises `InvalidError` for what is not a
        padded age file to exactly these recipients, `NotFoundError` for a recipient that is not
        findable, and `ConflictError` when the key was used for something else.
        """
        actor.need(Permission.CASES_SEAL)
        size = _checked(ciphertext, to, key)
        key = self._vault.request_key(actor.party, key)
        request = self._digest("lodge", ciphertext, to)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            earlier = records.by_key(unit, actor.party, key)
            if earlier is not None:
                _check_same(earlier[1], request)
                return self._one(unit, actor, earlier[0])
            named = _named(unit, actor, to)
            within = self._vault.open_compartment(unit)
            case = SealedCaseRecord(
                SealedCaseId(new_id(unit.now)), within, actor.party, unit.now, key, request
            )
            records.add_case(unit, case)
            members = dict.fromkeys((recipients.acting(actor), *(each.grantee for each in named)))
            for member in members:
                grants.read_in(
                    unit, within, member, tier=0, reason=_REASON, granted_by=actor.principal
                )
            readers = dict.fromkeys(member.party for member in members)
            self._write(
                unit, actor, case, ciphertext, size=size, readers=readers, key=key, request=request
            )
            unit.record(
                "cases:sealed:lodge", actor=actor.principal, subject=case.id, compartment=within
            )
            return self._one(unit, actor, case.id)

    def reply(
        self,
        actor: Actor,
        case: SealedCaseId,
        ciphertext: bytes,
        to: Sequence[Addressee],
        *,
        key: str,
    ) -> SealedCaseView:
        """Add a letter to a sealed case, for recipients of its members alone.

        Raises `NotFoundError` for a case the actor may not see or a recipient of somebody else, and
        what `lodge` raises.
        """
        actor.need(Permission.CASES_SEAL)
        size = _checked(ciphertext, to, key)
        key = self._vault.request_key(actor.party, key)
        request = self._digest(f"reply:{case}", ciphertext, to)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            held = _seen(unit, actor, case)
            own = records.letters(unit, actor, [case])
            earlier = next(
                (each for each in own if (each.party, each.key) == (actor.party, key)), None
            )
            if earlier is not None:
                _check_same(earlier.request, request)
                return self._one(unit, actor, case)
            if records.count_letters(unit, case) >= MOST_LETTERS:
                raise ConflictError(
                    f"A sealed case holds at most {MOST_LETTERS} letters.",
                    next_step="Lodge a new one.",
                )
            members = grants.grantees_in(unit, held.compartment)
            named = _named(unit, actor, to, among=members)
            readers = dict.fromkeys((actor.party, *(each.party for each in named)))
            self._write(
                unit, actor, held, ciphertext, size=size, readers=readers, key=key, request=request
            )
            return self._one(unit, actor, case)

    def list(self, actor: Actor) -> tuple[SealedCaseView, ...]:
        """The sealed cases the actor's party lodged or was named in, newest first."""
        actor.need(Permission.CASES_READ)
        with self._sessions.transaction() as unit:
            return _views(unit, actor, records.listing(unit, actor))

    def get(self, actor: Actor, case: SealedCaseId) -> SealedCaseView:
        """One of them. Raises `NotFoundError`."""
        actor.need(Permission.CASES_READ)
        with self._sessions.transaction() as unit:
            return self._one(unit, actor, case)

    def fetch(self, actor: Actor, case: SealedCaseId, letter: str) -> bytes:
        """The ciphertext of a letter to the actor's party or by it. Raises `NotFoundError`."""
        actor.need(Permission.CASES_READ)
        with self._sessions.transaction() as unit:
            held = _seen(unit, actor, case)
            found = records.letters(unit, actor, [case], letter)
            if not found:
                raise NotFoundError("There is no such letter.")
            content = self._vault.fetch(unit, found[0].content, reader=actor.principal)
            unit.record(
                "cases:sealed:fetch",
                actor=actor.principal,
                subject=letter,
                compartment=held.compartment,
            )
            return content

    def _write(
        self,
        unit: UnitOfWork,
        actor: Actor,
        case: SealedCaseRecord,
        ciphertext: bytes,
        *,
        size: int,
        readers: dict[PartyId, None],
        key: str,
        request: bytes,
    ) -> None:
        # Sealed once more under the hub's own keys: a stolen disk does not show even the header.
        content = self._vault.store(
            unit, case.compartment, content=ciphertext, media_type=_MEDIA_TYPE
        )
        new = LetterRecord(
            new_id(unit.now), case.id, actor.party, unit.now, content, size, key, request
        )
        records.add_letter(unit, new, readers=list(readers))
        unit.record(
            "cases:sealed:write",
            actor=actor.principal,
            subject=new.id,
            compartment=case.compartment,
            detail={"case": case.id},
        )

    def _one(self, unit: UnitOfWork, actor: Actor, case: SealedCaseId) -> SealedCaseView:
        return _views(unit, actor, [_seen(unit, actor, case)])[0]

    def _digest(self, kind: str, ciphertext: bytes, to: Sequence[Addressee]) -> bytes:
        named = ",".join(sorted(f"{each.party}:{each.fingerprint}" for each in to))
        whole = hashlib.sha256(ciphertext).hexdigest()
        return self._vault.matching_hash("sealed-request", f"{kind}:{named}:{whole}")


def _checked(ciphertext: bytes, to: Sequence[Addressee], key: str) -> int:
    """The padded size of a letter that may be lodged."""
    if not 1 <= len(key) <= 200 or not key.isprintable():
        raise InvalidError(
            "An idempotency key is 1 to 200 printable characters.",
            next_step="Send a fresh UUID in the header Idempotency-Key.",
        )
    outside = age.read(ciphertext, largest=letter.LARGEST)
    if outside.recipients != len(to) or len(set(to)) != len(to):
        raise InvalidError(
            "The letter does not have exactly one stanza for each recipient named.",
            next_step="Name each recipient once, and seal the letter to these and no others.",
        )
    if not letter.is_bucket(outside.size):
        raise InvalidError(
            "The letter is not padded, so its size would tell of its content.",
            next_step="Seal it with `clearhold case sealed lodge`, which pads it.",
        )
    return outside.size


def _named(
    unit: UnitOfWork,
    actor: Actor,
    to: Sequence[Addressee],
    *,
    among: Sequence[Grantee] | None = None,
) -> list[Recipient]:
    """The recipients named: findable ones or one's own, and with `among` only of those members."""
    found = []
    for each in to:
        known = recipients.by_handle(unit, each.party)
        fits = [
            one
            for one in known
            if one.fingerprint == each.fingerprint
            and (one.findable or one.party == actor.party)
            and (among is None or one.grantee in among)
        ]
        if not fits:
            raise recipients.absent()
        found += fits
    return found


def _seen(unit: UnitOfWork, actor: Actor, case: SealedCaseId) -> SealedCaseRecord:
    found = records.listing(unit, actor, case)
    if not found:
        raise NotFoundError("There is no such sealed case.")
    return found[0]


def _views(
    unit: UnitOfWork, actor: Actor, cases: Sequence[SealedCaseRecord]
) -> tuple[SealedCaseView, ...]:
    written = records.letters(unit, actor, [case.id for case in cases])
    readers = records.readers(unit, [each.id for each in written])
    writers = [*(case.party for case in cases), *(each.party for each in written)]
    names = records.handles(unit, writers)
    return tuple(
        SealedCaseView(
            case.id,
            names[case.party],
            case.lodged_at,
            tuple(
                LetterView(
                    each.id,
                    names[each.party],
                    each.written_at,
                    each.size,
                    tuple(readers[each.id]),
                )
                for each in written
                if each.case == case.id
            ),
        )
        for case in cases
    )


def _check_same(earlier: bytes, now: bytes) -> None:
    if earlier != now:
        raise ConflictError(
            "This idempotency key was used for another request.",
            next_step="Use a new key for each request.",
        )
