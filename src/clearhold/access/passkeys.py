"""Passkeys (W3C Web Authentication Level 3): registering, signing in, confirming, taking away.

The person is always verified by the authenticator, so that a passkey is something they have and
something they know or are. No attestation is asked for: which make it is, is the owner's own affair.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import webauthn
from sqlalchemy import Row, delete, insert, select, update
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import base64url_to_bytes, options_to_json
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from clearhold.access import browser_sessions
from clearhold.access.browser_sessions import BrowserSessions, OpenSession, SignedIn
from clearhold.access.ceremonies import Ceremonies, Kind
from clearhold.access.enrolments import Enrolments
from clearhold.access.tables import passkey, person
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
)
from clearhold.kernel.ids import PasskeyId, PersonId, new_id
from clearhold.store.unit_of_work import Sessions, UnitOfWork

_MOST: Final = 20
_LONGEST_NAME: Final = 80
_ALGORITHMS: Final = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Under which name and origin the hub asks for passkeys; they work nowhere else."""

    id: str
    origin: str
    name: str

    @classmethod
    def at(cls, address: str, name: str) -> RelyingParty:
        """The relying party of a hub that browsers reach at `address`."""
        parts = urlsplit(address)
        return cls(parts.hostname or "", f"{parts.scheme}://{parts.netloc}".lower(), name)


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as its owner sees it; `copied` when its counter betrayed a copy of it."""

    id: PasskeyId
    name: str
    made_at: datetime
    last_used_at: datetime | None
    copied: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What the browser hands to its authenticator, and the cookie that binds the answer to it."""

    options: str
    cookie: str


class PasskeyService:
    """Everything a person does with passkeys."""

    def __init__(
        self,
        sessions: Sessions,
        ceremonies: Ceremonies,
        browsers: BrowserSessions,
        enrolments: Enrolments,
        *,
        party: RelyingParty,
    ) -> None:
        self._sessions = sessions
        self._ceremonies = ceremonies
        self._browsers = browsers
        self._enrolments = enrolments
        self._party = party

    def begin_sign_in(self) -> Asked:
        """Ask for any passkey of this hub, without saying whose."""
        with self._sessions.transaction() as unit:
            begun = self._ceremonies.begin(unit, Kind.SIGN_IN)
        return Asked(self._request(begun.challenge), begun.cookie)

    def sign_in(self, cookie: str, answer: Mapping[str, Any], *, agent: str) -> OpenSession:
        """Open a session for whoever's passkey answered. Raises `UnauthenticatedError`."""
        begun = self._ceremonies.take(cookie, Kind.SIGN_IN)
        with self._sessions.transaction() as unit:
            shown = self._check(unit, answer, begun.challenge)
            if not isinstance(shown, ClearholdError):
                return self._browsers.open(unit, shown, agent=agent, confirmed=True)
        raise shown

    def begin_confirm(self, signed: SignedIn) -> Asked:
        """Ask for a passkey of the person whose session this is."""
        with self._sessions.transaction() as unit:
            begun = self._ceremonies.begin(unit, Kind.CONFIRM, session=signed.session)
            own = _credentials(unit, signed.person)
        return Asked(self._request(begun.challenge, own), begun.cookie)

    def confirm(self, signed: SignedIn, cookie: str, answer: Mapping[str, Any]) -> OpenSession:
        """Confirm a session with a passkey of its person. Raises `UnauthenticatedError`."""
        begun = self._ceremonies.take(cookie, Kind.CONFIRM, session=signed.session)
        with self._sessions.transaction() as unit:
            shown = self._check(unit, answer, begun.challenge)
            if not isinstance(shown, ClearholdError):
                if shown != signed.person:
                    raise _refusal()
                return self._browsers.confirm(unit, signed)
        raise shown

    def begin_enrol(self, secret: str) -> Asked:
        """Ask for a new passkey, on an enrolment. Raises as `Enrolments.find` does."""
        with self._sessions.transaction() as unit:
            found = self._enrolments.find(unit, secret)
            begun = self._ceremonies.begin(unit, Kind.ENROL, enrolment=found.id)
            options = self._creation(unit, found.person, begun.challenge)
        return Asked(options, begun.cookie)

    def enrol(
        self, cookie: str, answer: Mapping[str, Any], *, name: str, agent: str
    ) -> OpenSession:
        """Register the passkey, use the enrolment up, and sign the person in."""
        check_name(name)
        begun = self._ceremonies.take(cookie, Kind.ENROL)
        if begun.enrolment is None:
            raise _refusal()
        with self._sessions.transaction() as unit:
            found = self._enrolments.use(unit, begun.enrolment)
            self._register(unit, found.person, answer, begun.challenge, name=name)
            return self._browsers.open(unit, found.person, agent=agent, confirmed=True)

    def begin_add(self, signed: SignedIn) -> Asked:
        """Ask for one more passkey. Raises `StepUpError` in a session not confirmed lately."""
        signed.need_confirmed()
        with self._sessions.transaction() as unit:
            begun = self._ceremonies.begin(unit, Kind.ADD_PASSKEY, session=signed.session)
            return Asked(self._creation(unit, signed.person, begun.challenge), begun.cookie)

    def add(
        self, signed: SignedIn, cookie: str, answer: Mapping[str, Any], *, name: str
    ) -> Passkey:
        """Register one more passkey of the person whose session this is."""
        signed.need_confirmed()
        check_name(name)
        begun = self._ceremonies.take(cookie, Kind.ADD_PASSKEY, session=signed.session)
        with self._sessions.transaction() as unit:
            return self._register(unit, signed.person, answer, begun.challenge, name=name)

    def list(self, owner: PersonId) -> tuple[Passkey, ...]:
        """A person's own passkeys, oldest first."""
        with self._sessions.transaction() as unit:
            return tuple(_passkey(row) for row in _rows(unit, owner))

    def rename(self, signed: SignedIn, identity: PasskeyId, *, name: str) -> Passkey:
        """Name a passkey. Raises `NotFoundError`, `InvalidError`."""
        check_name(name)
        with self._sessions.transaction() as unit:
            _own(unit, signed.person, identity)
            unit.connection.execute(
                update(passkey).where(passkey.c.id == identity).values(name=name)
            )
            unit.record("access:passkey:rename", actor=signed.name, subject=identity)
            return _own(unit, signed.person, identity)

    def remove(self, signed: SignedIn, identity: PasskeyId) -> None:
        """Take a passkey away and end every other session of the person.

        Raises `NotFoundError`, `StepUpError`, and `ConflictError` for the last one that works:
        whoever lost it asks for recovery.
        """
        signed.need_confirmed()
        with self._sessions.transaction() as unit:
            # The person's row is held, so that two who remove at once do not remove both.
            unit.connection.execute(
                select(person.c.id).where(person.c.id == signed.person).with_for_update()
            )
            _own(unit, signed.person, identity)
            rows = _rows(unit, signed.person)
            if all(row.id == identity or row.copied_at for row in rows):
                raise ConflictError(
                    "This is your last passkey.", next_step="Add another one before you remove it."
                )
            unit.connection.execute(delete(passkey).where(passkey.c.id == identity))
            unit.record("access:passkey:remove", actor=signed.name, subject=identity)
            browser_sessions.end_of_person(unit, signed.person, by=signed.name, but=signed.session)

    def _request(self, challenge: bytes, own: tuple[bytes, ...] = ()) -> str:
        return options_to_json(
            webauthn.generate_authentication_options(
                rp_id=self._party.id,
                challenge=challenge,
                allow_credentials=[PublicKeyCredentialDescriptor(id=each) for each in own],
                user_verification=UserVerificationRequirement.REQUIRED,
            )
        )

    def _creation(self, unit: UnitOfWork, owner: PersonId, challenge: bytes) -> str:
        name = unit.connection.execute(
            select(person.c.name).where(person.c.id == owner)
        ).scalar_one()
        known = _credentials(unit, owner)
        if len(known) >= _MOST:
            raise ConflictError(
                f"You have {_MOST} passkeys.", next_step="Remove one you no longer use."
            )
        return options_to_json(
            webauthn.generate_registration_options(
                rp_id=self._party.id,
                rp_name=self._party.name,
                user_name=name,
                user_id=uuid.UUID(owner).bytes,
                challenge=challenge,
                authenticator_selection=AuthenticatorSelectionCriteria(
                    resident_key=ResidentKeyRequirement.REQUIRED,
                    user_verification=UserVerificationRequirement.REQUIRED,
                ),
                exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
                supported_pub_key_algs=_ALGORITHMS,
            )
        )

    def _register(
        self,
        unit: UnitOfWork,
        owner: PersonId,
        answer: Mapping[str, Any],
        challenge: bytes,
        *,
        name: str,
    ) -> Passkey:
        try:
            verified = webauthn.verify_registration_response(
                credential=dict(answer),
                expected_challenge=challenge,
                expected_rp_id=self._party.id,
                expected_origin=self._party.origin,
                require_user_verification=True,
                supported_pub_key_algs=_ALGORITHMS,
            )
        except Exception as error:  # hostile bytes, and readers that promise no family
            raise _refusal() from error
        taken = unit.connection.execute(
            select(passkey.c.id).where(passkey.c.credential == verified.credential_id)
        ).first()
        if taken is not None:
            raise _refusal()
        identity = PasskeyId(new_id(unit.now))
        unit.connection.execute(
            insert(passkey).values(
                id=identity,
                person=owner,
                credential=verified.credential_id,
                public_key=verified.credential_public_key,
                sign_count=verified.sign_count,
                name=name,
                made_at=unit.now,
            )
        )
        unit.record("access:passkey:add", actor=owner, subject=identity)
        return _own(unit, owner, identity)

    def _check(
        self, unit: UnitOfWork, answer: Mapping[str, Any], challenge: bytes
    ) -> PersonId | ClearholdError:
        """Whose passkey answered; an error when it may not be let in but must be noted."""
        row = _of_answer(unit, answer)
        verified = self._verify(row, answer, challenge)
        if row.copied_at is not None:
            raise _refusal()
        # Both zero: the authenticator does not count, as synchronised passkeys do not.
        count = verified.new_sign_count
        if (count or row.sign_count) and count <= row.sign_count:
            unit.connection.execute(
                update(passkey).where(passkey.c.id == row.id).values(copied_at=unit.now)
            )
            unit.record("access:passkey:copied", actor=row.person, subject=row.id)
            browser_sessions.end_of_person(unit, PersonId(row.person), by=row.id)
            return UnauthenticatedError(
                "The passkey was not accepted: its counter went backwards, as a copy's does.",
                next_step="Sign in with another passkey and remove this one.",
            )
        unit.connection.execute(
            update(passkey)
            .where(passkey.c.id == row.id)
            .values(sign_count=count, last_used_at=unit.now)
        )
        return PersonId(row.person)

    def _verify(
        self, row: Row[Any], answer: Mapping[str, Any], challenge: bytes
    ) -> VerifiedAuthentication:
        try:
            handle = answer["response"].get("userHandle")
            verified = webauthn.verify_authentication_response(
                credential=dict(answer),
                expected_challenge=challenge,
                expected_rp_id=self._party.id,
                expected_origin=self._party.origin,
                credential_public_key=bytes(row.public_key),
                credential_current_sign_count=0,  # looked at by `_check`, which notes what it sees
                require_user_verification=True,
            )
            known = handle is None or base64url_to_bytes(handle) == uuid.UUID(row.person).bytes
        except Exception as error:  # as in `_register`
            raise _refusal() from error
        if not known:
            raise _refusal()
        return verified


def check_name(name: str) -> None:
    """Raise `InvalidError` unless this can name a passkey."""
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidError(f"A passkey's name is one line of 1 to {_LONGEST_NAME} characters.")


def _of_answer(unit: UnitOfWork, answer: Mapping[str, Any]) -> Row[Any]:
    raw = answer.get("rawId")
    try:
        credential = base64url_to_bytes(raw) if isinstance(raw, str) else b""
    except ValueError:
        credential = b""
    row = unit.connection.execute(
        select(passkey).where(passkey.c.credential == credential).with_for_update()
    ).one_or_none()
    if row is None:
        raise _refusal()
    return row


def _rows(unit: UnitOfWork, owner: PersonId) -> list[Row[Any]]:
    query = select(passkey).where(passkey.c.person == owner).order_by(passkey.c.id)
    return list(unit.connection.execute(query))


def _credentials(unit: UnitOfWork, owner: PersonId) -> tuple[bytes, ...]:
    return tuple(bytes(row.credential) for row in _rows(unit, owner))


def _own(unit: UnitOfWork, owner: PersonId, identity: PasskeyId) -> Passkey:
    for row in _rows(unit, owner):
        if row.id == identity:
            return _passkey(row)
    raise NotFoundError("You have no such passkey.")


def _passkey(row: Row[Any]) -> Passkey:
    return Passkey(
        PasskeyId(row.id), row.name, row.made_at, row.last_used_at, row.copied_at is not None
    )


def _refusal() -> UnauthenticatedError:
    return UnauthenticatedError("The passkey was not accepted.", next_step="Begin again.")
