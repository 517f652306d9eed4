"""Scan passports: issued under a live lease, revoked with it, and checked by anybody who was shown one.

The status list of a day is 32,768 bits. Each bit that no passport has turns to 1 at an instant drawn
from the matching key, and a passport is given a bit that will not turn before its end: so the list
tells whoever has no passport in hand neither how many there are nor how many were revoked.

The public check wants what only a holder shows while scanning: the passport, or the code that comes
with it. A question by source, target and time alone would tell anybody who scans whom.
"""

from __future__ import annotations

import array
import hashlib
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.access.throttle import Throttle
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
)
from clearhold.kernel.ids import LeaseId, new_id
from clearhold.parties import records as parties
from clearhold.scanning import live_records as records
from clearhold.scanning import passport_records as passports
from clearhold.scanning.authorisations import Authorisations
from clearhold.scanning.emergency import Stops
from clearhold.scanning.live_desk import LiveDesk
from clearhold.scanning.live_leases import find, unacknowledged
from clearhold.scanning.live_scope import cover, make_targets
from clearhold.scanning.live_targets import parse_target
from clearhold.scanning.model import LIVE
from clearhold.scanning.passport_reading import Probe, faults_beside_status, source_of, sources_of
from clearhold.scanning.passport_records import StoredPassport
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire import scan_passport as wire
from clearhold.wire.scan_passport import BITS, LONGEST, Passport, Signer, StatusReference, Terms

LONGEST_LIFE: Final = timedelta(hours=4)
STATUS_LIFE: Final = timedelta(minutes=5)
STATUS_REFRESH_S: Final = 60
MOST_VALID: Final = 8
MOST_SOURCES: Final = 16
_DAY: Final = timedelta(days=1)
_SPAN: Final = _DAY + LONGEST_LIFE + timedelta(hours=2)
_TRIES: Final = 4000
_NONCE: Final = b"\0" * 12  # a capsule's key encrypts nothing else
_DECOY: Final = "csp-" + "a" * 32


@dataclass(frozen=True, slots=True)
class Issued:
    """A passport, and the code to show where a whole one does not fit; both are for its holder."""

    id: str
    token: str
    code: str
    expires_at: datetime


class PassportService:
    """Issues, revokes and publishes."""

    def __init__(
        self,
        sessions: Sessions,
        desk: LiveDesk,
        authorisations: Authorisations,
        stops: Stops,
        signer: Signer,
    ) -> None:
        self._sessions = sessions
        self._desk = desk
        self._authorisations = authorisations
        self._stops = stops
        self._signer = signer

    def issue(
        self,
        actor: Actor,
        lease: LeaseId,
        *,
        fence: int,
        sources: Sequence[str],
        life: timedelta,
        targets: Sequence[str] = (),
    ) -> Issued:
        """A passport for a live lease of the actor's, or for some of its targets.

        It ends with the lease's window at the latest; renew it by asking for another. `sources` are
        the addresses and networks that will be scanned from. Raises `ConflictError` when the lease
        is over or stopped or its authorisation no longer allows it.
        """
        actor.need(Permission.SCANNING_CLAIM)
        if not timedelta(minutes=1) <= life <= LONGEST_LIFE:
            raise InvalidError("A passport is for a minute to four hours.")
        if not 0 < len(sources) <= MOST_SOURCES:
            raise InvalidError(f"A passport has 1 to {MOST_SOURCES} sources.")
        origins = sources_of(sources)
        with self._sessions.transaction() as unit:
            self._desk.hold(unit)
            stored = find(unit, actor, lease)
            if stored.lease.fence != fence:
                raise ConflictError("The fencing token is not that of this lease.")
            waiting = records.notices_to(unit, actor)
            if waiting:
                raise unacknowledged(waiting)
            scope = self._desk.scope_of(unit, stored, reader=actor.principal)
            wanted = make_targets(targets) if targets else scope.targets
            if not cover(scope.targets, wanted):
                raise InvalidError("The lease does not have all of these targets.")
            under = self._authorisations.under(unit, stored.authorisation)
            allowed = (
                under is not None
                and stored.lease.state_at(unit.now) in LIVE
                and self._authorisations.holds(unit, stored.authorisation, actor.party, scope)
                and not self._stops.reach(unit, wanted, owner=under.stored.party)
            )
            if under is None or not allowed:
                raise ConflictError(
                    "The lease is over, or its authorisation no longer allows it.",
                    next_step="Stop scanning; claim the scope again if you need more time.",
                )
            if passports.valid(unit, lease) >= MOST_VALID:
                raise ConflictError(
                    f"A lease has at most {MOST_VALID} passports at a time.",
                    next_step="Revoke one that is not needed, or let it expire.",
                )
            expires_at = min(unit.now + life, stored.lease.window_ends_at)
            terms = Terms(
                contact=under.consent.contact,
                depth=scope.depth,
                requests_per_second=under.consent.requests_per_second,
                sources=origins,
                targets=tuple(each.text for each in wanted),
                technique=scope.technique,
            )
            issued = self._sign(
                unit,
                lease,
                audience=parties.by_id(unit, under.stored.party).handle,
                holder=self._desk.pseudonym(under.stored.party, actor.party),
                terms=terms,
                expires_at=expires_at,
            )
            unit.record(
                "scanning:passport:issue",
                actor=actor.principal,
                subject=issued.id,
                compartment=stored.lease.compartment,
                detail={"lease": lease, "expires_at": expires_at.isoformat()},
            )
            return issued

    def revoke(self, actor: Actor, identity: str) -> None:
        """Revoke a passport of the actor's own, or one for its own systems; again changes nothing.

        Raises `NotFoundError`.
        """
        actor.need(Permission.SCANNING_STOP)
        with self._sessions.transaction() as unit:
            self._desk.hold(unit)
            if not passports.may_revoke(unit, actor, identity):
                raise NotFoundError(
                    "There is no such passport.", next_step="Its id is the member jti in it."
                )
            passports.revoke(unit, identity)
            unit.record("scanning:passport:revoke", actor=actor.principal, subject=identity)

    def keys(self) -> bytes:
        """The public keys, for everybody."""
        return self._signer.keys()

    def status(self, day: str) -> str:
        """The signed status list of the passports issued on a day, for everybody.

        Raises `NotFoundError` for any day but those of which a passport may still be valid.
        """
        with self._sessions.transaction() as unit:
            today = unit.now.date()
            if day not in {str(today), str(today - _DAY)}:
                raise NotFoundError("There is no status list for that day.")
            bits = bytearray(BITS // 8)
            passed = (unit.now - _begins(day)) / _SPAN * 65536
            turns = self._turns(day)
            for index in [at for at, turn in enumerate(turns) if turn <= passed]:
                bits[index >> 3] |= 1 << (index & 7)
            for index in passports.invalid_indices(unit, day):
                bits[index >> 3] |= 1 << (index & 7)
            return self._signer.status(
                self._uri(day),
                bytes(bits),
                issued_at=unit.now,
                expires_at=unit.now + STATUS_LIFE,
                ttl=STATUS_REFRESH_S,
            )

    def _sign(
        self,
        unit: UnitOfWork,
        lease: LeaseId,
        *,
        audience: str,
        holder: str,
        terms: Terms,
        expires_at: datetime,
    ) -> Issued:
        day = str(unit.now.date())
        turns = self._turns(day)
        end = (expires_at - _begins(day)) / _SPAN * 65536 + 1
        for _ in range(_TRIES):
            index = secrets.randbelow(BITS)
            if turns[index] <= end:
                continue
            identity, code = new_id(unit.now), _new_code()
            token = self._signer.passport(
                identity=identity,
                audience=audience,
                holder=holder,
                issued_at=unit.now,
                expires_at=expires_at,
                reference=StatusReference(index, self._uri(day)),
                terms=terms,
            )
            stored = StoredPassport(
                identity,
                lease,
                day,
                index,
                code_digest(self._desk, code),
                _close(code, token),
                unit.now,
                expires_at,
                None,
            )
            if passports.add(unit, stored):
                return Issued(identity, token, code, expires_at)
        raise ConflictError(
            "No more passports can be issued today.", next_step="Try again tomorrow."
        )

    def _turns(self, day: str) -> array.array[int]:
        """When each bit of a day's list turns by itself, in parts of its span."""
        seed = self._desk.vault.matching_hash("scan-status", day)
        turns = array.array("H", hashlib.shake_256(seed).digest(BITS * 2))
        if sys.byteorder == "big":
            turns.byteswap()
        return turns

    def _uri(self, day: str) -> str:
        return f"{self._signer.issuer}{wire.STATUS_PATH}/{day}"


class PublicCheck:
    """Answers "is this scan authorised?" to whoever was shown a passport or its code: yes or no.

    Every question costs one query, one decryption and one verification, whatever the answer. Too
    many noes, from one place or about one code, are throttled, so that a code seen in passing does
    not map the targets it is for.
    """

    def __init__(
        self, sessions: Sessions, desk: LiveDesk, signer: Signer, throttle: Throttle
    ) -> None:
        self._sessions = sessions
        self._desk = desk
        self._signer = signer
        self._throttle = throttle
        self._reading = _Reading.under(signer)

    def authorised(self, presented: str, *, target: str, source: str, asked_from: str) -> bool:
        """Whether a scan that shows this, seen from `source` at `target`, is authorised now.

        Raises `InvalidError` for what is no question and `ThrottledError`.
        """
        probe = Probe(target=parse_target(target), source=source_of(source))
        presented = presented.strip()
        if not 0 < len(presented) <= LONGEST:
            raise InvalidError("That is neither a passport nor a code.")
        credential = hashlib.sha256(presented.encode(errors="replace")).hexdigest()
        try:
            with self._throttle.attempt(asked_from, credential):
                self._ask(presented, probe)
        except UnauthenticatedError:
            return False
        return True

    def _ask(self, presented: str, probe: Probe) -> None:
        if not self._holds(presented, probe):
            raise UnauthenticatedError("No.")  # what the throttle counts

    def _holds(self, presented: str, probe: Probe) -> bool:
        is_token = "." in presented
        reading = self._current()
        shown = reading.read(presented) if is_token else None
        code = _DECOY if is_token else presented
        with self._sessions.transaction() as unit:
            found = passports.counting(
                unit,
                identity=shown.jti if shown else "",
                code=code_digest(self._desk, code),
            )
            now = unit.now
        opened = _open(_DECOY, reading.capsule) if is_token or found is None else ""
        if not is_token:
            opened = opened or _open(code, found[1] if found else reading.capsule)
            shown = reading.read(opened or reading.decoy)
        if found is None or shown is None or shown.jti != found[0]:
            return False
        # Whether it is revoked the query has answered, more freshly than any list.
        return not faults_beside_status(shown, probe, now)

    def _current(self) -> _Reading:
        published = self._signer.keys()
        if published != self._reading.published:
            self._reading = _Reading.under(self._signer)
        return self._reading


@dataclass(frozen=True, slots=True)
class _Reading:
    """What passports are read with while these keys are published.

    `decoy` is a token that is worked on where there is none; it allows nothing and is never sent.
    """

    published: bytes
    trusted: wire.TrustedKeys
    decoy: str
    capsule: bytes

    @classmethod
    def under(cls, signer: Signer) -> _Reading:
        """For the keys of this moment."""
        never = datetime.fromtimestamp(0, UTC)
        decoy = signer.passport(
            identity="none",
            audience="",
            holder="",
            issued_at=never,
            expires_at=never,
            reference=StatusReference(0, ""),
            terms=Terms(
                contact="",
                depth="",
                requests_per_second=0,
                sources=(),
                targets=("host:192.0.2.1",),
                technique="",
            ),
        )
        published = signer.keys()
        return cls(published, wire.read_keys(published), decoy, _close(_DECOY, decoy))

    def read(self, token: str) -> Passport | None:
        try:
            return wire.read_passport(token, self.trusted)
        except ClearholdError:
            return None


def code_digest(desk: LiveDesk, code: str) -> bytes:
    """What the database knows a code by."""
    return desk.vault.matching_hash("scan-code", code)


def _new_code() -> str:
    return f"csp-{secrets.token_hex(16)}"


def _key(code: str) -> bytes:
    return hashlib.sha256(b"clearhold scan passport capsule\0" + code.encode()).digest()


def _close(code: str, token: str) -> bytes:
    return AESGCM(_key(code)).encrypt(_NONCE, token.encode().ljust(LONGEST), None)


def _open(code: str, capsule: bytes) -> str:
    try:
        return AESGCM(_key(code)).decrypt(_NONCE, capsule, None).decode().rstrip()
    except InvalidTag:
        return ""


def _begins(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
