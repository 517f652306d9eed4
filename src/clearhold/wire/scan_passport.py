"""Scan passports and the list that revokes them, as signed tokens that verify without a network.

A passport is a JSON Web Token (RFC 7519) in JWS compact form (RFC 7515), signed with Ed25519 under
the fully specified algorithm name (RFC 9864) and explicitly typed (RFC 8725 section 3.11). The
status list is the Token Status List of the IETF's OAuth working group with one bit for each index:
1 is revoked, and says nothing of an index that no passport in hand names. The keys are a JWK Set
(RFC 7517) with a member `issuer`; a key's id is its thumbprint (RFC 7638).

Readers take one algorithm, one type for each purpose, a known key and no other header; what a token
names as a key or address is looked up in what the reader already holds and never fetched or opened.
"""

from __future__ import annotations

import base64
import binascii
import json
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from clearhold.kernel.errors import IntegrityError, InvalidError, TooLargeError

ALGORITHM: Final = "Ed25519"
PASSPORT_TYPE: Final = "scan-passport+jwt"
STATUS_TYPE: Final = "statuslist+jwt"
LONGEST: Final = 12 * 1024
LONGEST_STATUS: Final = 64 * 1024
LARGEST_KEYS: Final = 64 * 1024
BITS: Final = 1 << 15
CHECK_PATH: Final = "/.well-known/clearhold/scan-check"
KEYS_PATH: Final = "/.well-known/clearhold/scan-keys.json"
STATUS_PATH: Final = "/.well-known/clearhold/scan-status"
_HEADERS: Final = frozenset({"alg", "kid", "typ"})
_MOST_KEYS: Final = 16


class StatusReference(msgspec.Struct, frozen=True):
    """Where a passport's status stands: the list of a day, and which bit."""

    idx: int
    uri: str


class _Status(msgspec.Struct, frozen=True):
    status_list: StatusReference


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a passport allows: targets and depth in the words of scopes, from where, and how fast."""

    contact: str
    depth: str
    requests_per_second: int
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    technique: str


class Passport(msgspec.Struct, frozen=True, kw_only=True):
    """A passport's claims; `sub` is the holder's pseudonym towards the owner who is `aud`."""

    aud: str
    exp: int
    iat: int
    iss: str
    jti: str
    nbf: int
    scan: Terms
    status: _Status
    sub: str

    @property
    def reference(self) -> StatusReference:
        """Where its status stands."""
        return self.status.status_list


class _List(msgspec.Struct, frozen=True):
    bits: int
    lst: str


class _StatusToken(msgspec.Struct, frozen=True, kw_only=True):
    exp: int
    iat: int
    iss: str
    status_list: _List
    sub: str
    ttl: int


@dataclass(frozen=True, slots=True)
class StatusList:
    """Which indices of the list at `uri` are revoked; not to be used from `expires_at` on."""

    uri: str
    issued_at: datetime
    expires_at: datetime
    bits: bytes

    def revoked(self, index: int) -> bool:
        """Whether a bit is set; one outside the list counts as set."""
        if not 0 <= index < len(self.bits) * 8:
            return True
        return bool(self.bits[index >> 3] >> (index & 7) & 1)


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Who signs, and the public keys by id."""

    issuer: str
    keys: Mapping[str, OKPKey]


SigningKeys = Callable[[], Sequence[Ed25519PrivateKey]]
"""The key that signs at this moment, followed by others that are only published."""


class _Pair:
    """A key to sign with, and how it is published."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        shown = _text(key.public_key().public_bytes_raw())
        public: dict[str, str | list[str]] = {"kty": "OKP", "crv": "Ed25519", "x": shown}
        self.key = OKPKey.import_key({**public, "d": _text(key.private_bytes_raw())})
        self.id = OKPKey.import_key(public).thumbprint()
        self.shown = {**public, "alg": ALGORITHM, "use": "sig", "kid": self.id}


class Signer:
    """Signs passports and lists in the name of an issuer."""

    def __init__(self, issuer: str, keys: SigningKeys) -> None:
        self.issuer = issuer.rstrip("/")
        self._keys = keys
        self._pairs: dict[bytes, _Pair] = {}

    def keys(self) -> bytes:
        """The published JWK Set."""
        shown = [each.shown for each in self._listed()]
        return msgspec.json.encode({"issuer": self.issuer, "keys": shown}, order="sorted")

    def _listed(self) -> list[_Pair]:
        keys = {each.private_bytes_raw(): each for each in self._keys()}
        self._pairs = {raw: self._pairs.get(raw) or _Pair(key) for raw, key in keys.items()}
        return list(self._pairs.values())

    def passport(
        self,
        *,
        identity: str,
        audience: str,
        holder: str,
        issued_at: datetime,
        expires_at: datetime,
        reference: StatusReference,
        terms: Terms,
    ) -> str:
        """A signed passport. Raises `TooLargeError` when it would be too long to be read."""
        claims = Passport(
            aud=audience,
            exp=int(expires_at.timestamp()),
            iat=int(issued_at.timestamp()),
            iss=self.issuer,
            jti=identity,
            nbf=int(issued_at.timestamp()),
            scan=terms,
            status=_Status(reference),
            sub=holder,
        )
        token = self._sign(PASSPORT_TYPE, msgspec.json.encode(claims))
        if len(token) > LONGEST:
            raise TooLargeError(
                "A passport for so many targets would be too long.",
                next_step="Ask for a passport for some of the lease's targets at a time.",
            )
        return token

    def status(
        self, uri: str, bits: bytes, *, issued_at: datetime, expires_at: datetime, ttl: int
    ) -> str:
        """A signed status list; readers should fetch a new one after `ttl` seconds."""
        claims = _StatusToken(
            exp=int(expires_at.timestamp()),
            iat=int(issued_at.timestamp()),
            iss=self.issuer,
            status_list=_List(1, _text(zlib.compress(bits, 6))),
            sub=uri,
            ttl=ttl,
        )
        return self._sign(STATUS_TYPE, msgspec.json.encode(claims))

    def _sign(self, kind: str, payload: bytes) -> str:
        signing = self._listed()[0]
        header = {"alg": ALGORITHM, "kid": signing.id, "typ": kind}
        return jws.serialize_compact(header, payload, signing.key, algorithms=[ALGORITHM])


def read_keys(data: bytes) -> TrustedKeys:
    """Published keys; raises `InvalidError` unless all are public Ed25519 keys for signatures."""
    if len(data) > LARGEST_KEYS:
        raise TooLargeError("That is too long to be a set of keys.")
    try:
        plain = msgspec.json.decode(data, type=dict[str, Any])
        issuer, listed = plain["issuer"], plain["keys"]
        if not isinstance(issuer, str) or not 0 < len(listed) <= _MOST_KEYS:
            raise _no_keys()
        found = {}
        for each in listed:
            if each["kty"] != "OKP" or each["crv"] != "Ed25519" or "d" in each:
                raise _no_keys()
            if each.get("use", "sig") != "sig":
                raise _no_keys()
            key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": each["x"]})
            found[key.thumbprint()] = key
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
        RecursionError,
        KeyError,
        TypeError,
        AttributeError,
        ValueError,
        JoseError,
    ) as error:
        raise _no_keys() from error
    return TrustedKeys(issuer, found)


def read_passport(token: str, trusted: TrustedKeys) -> Passport:
    """A passport's claims, if a trusted key signed it; times and scope are the caller's to check.

    Raises `TooLargeError`, `InvalidError` and `IntegrityError`.
    """
    payload = _verified(token, trusted, PASSPORT_TYPE, longest=LONGEST)
    try:
        passport = msgspec.json.decode(payload, type=Passport)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed() from error
    _check_issuer(passport.iss, trusted)
    return passport


def read_status(token: str, trusted: TrustedKeys) -> StatusList:
    """A status list, if a trusted key signed it; whether it is fresh is the caller's to check.

    Raises `TooLargeError`, `InvalidError` and `IntegrityError`.
    """
    payload = _verified(token, trusted, STATUS_TYPE, longest=LONGEST_STATUS)
    try:
        parsed = msgspec.json.decode(payload, type=_StatusToken)
        if parsed.status_list.bits != 1:
            raise _malformed()
        packed = base64.urlsafe_b64decode(parsed.status_list.lst + "==")
        unpacking = zlib.decompressobj()
        bits = unpacking.decompress(packed, BITS)
        issued_at, expires_at = instant(parsed.iat), instant(parsed.exp)
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
        RecursionError,
        binascii.Error,
        ValueError,
        zlib.error,
    ) as error:
        raise _malformed() from error
    if not unpacking.eof:
        raise _malformed()
    _check_issuer(parsed.iss, trusted)
    return StatusList(parsed.sub, issued_at, expires_at, bits)


def instant(seconds: int) -> datetime:
    """The instant a claim names; raises `InvalidError` beyond the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise _malformed() from error


def _verified(token: str, trusted: TrustedKeys, kind: str, *, longest: int) -> bytes:
    if len(token) > longest:
        raise TooLargeError("The token is longer than any of its kind.")
    token = token.strip()
    header = _header(token)
    key = trusted.keys.get(header["kid"])
    if key is None or header["alg"] != ALGORITHM or header["typ"] != kind:
        raise IntegrityError(
            "The token is of another kind, or no trusted key signed it.",
            next_step="Fetch the hub's published keys anew; do not trust the token until then.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = jws.deserialize_compact(token, key, algorithms=[ALGORITHM])
    except (JoseError, ValueError, TypeError) as error:
        raise IntegrityError(
            "The token's signature is wrong.", next_step="Do not trust it."
        ) from error
    if opened.headers() != header:
        raise _malformed()
    return opened.payload or b""


def _header(token: str) -> dict[str, str]:
    """The header, before anything is looked up; it has exactly three members, all of them text."""
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii() or not all(parts):
        raise _malformed()
    try:
        raw = base64.urlsafe_b64decode(parts[0] + "==")
        header = json.loads(raw, object_pairs_hook=_once)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _malformed() from error
    if not isinstance(header, dict) or header.keys() != _HEADERS:
        raise _malformed()
    if not all(isinstance(value, str) for value in header.values()):
        raise _malformed()
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed()
    return found


def _check_issuer(issuer: str, trusted: TrustedKeys) -> None:
    if issuer != trusted.issuer:
        raise IntegrityError(
            "The token was issued by another hub than these keys are of.",
            next_step="Use the keys of the hub that the token names.",
        )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _malformed() -> InvalidError:
    return InvalidError("That is not a token of this kind.", next_step="Take it as it was sent.")


def _no_keys() -> InvalidError:
    return InvalidError(
        "That is not a set of public keys.", next_step=f"Fetch it from the hub's {KEYS_PATH}."
    )
