"""Signed statements: DSSE envelopes (secure-systems-lab, protocol v1.0.2) around in-toto Statement v1.

Only Ed25519 (RFC 8032) is spoken. A key id is the SHA-256, in lower-case hexadecimal, of the raw
32-byte public key; as the protocol says it is only a hint, trust comes from the key that verifies.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from clearhold.kernel.errors import IntegrityError, InvalidError, TooLargeError

IN_TOTO: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
MAX_ENVELOPE_BYTES: Final = 8 * 1024 * 1024
MAX_SIGNATURES: Final = 16
MAX_SUBJECTS: Final = 10_000

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class _Signature(msgspec.Struct):
    sig: str
    keyid: str = ""


class _Envelope(msgspec.Struct):
    payload: str
    payloadType: str  # noqa: N815  (the protocol's own field name)
    signatures: list[_Signature]


class _Subject(msgspec.Struct):
    digest: dict[str, str]
    name: str = ""


class _Statement(msgspec.Struct):
    subject: list[_Subject]
    predicateType: str  # noqa: N815  (the format's own field name)
    predicate: dict[str, Any]
    type_: str = msgspec.field(name="_type")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a statement is about: a name and the SHA-256 of its bytes (64 hexadecimal digits)."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Statement:
    """An in-toto Statement v1: subjects, a predicate type (a URI) and the predicate itself."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, Any]


def key_id(key: Ed25519PublicKey) -> str:
    """The SHA-256 of the raw public key, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The bytes a DSSE signature covers (PAE): both parts with their lengths, so neither can move."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(statement: bytes, payload_type: str, key: Ed25519PrivateKey) -> bytes:
    """A DSSE envelope (JSON) around `statement` with one Ed25519 signature by `key`."""
    signature = key.sign(pre_authentication_encoding(payload_type, statement))
    return msgspec.json.encode(
        _Envelope(
            payload=base64.b64encode(statement).decode(),
            payloadType=payload_type,
            signatures=[
                _Signature(keyid=key_id(key.public_key()), sig=base64.b64encode(signature).decode())
            ],
        )
    )


def verify(envelope: bytes, keys: Mapping[str, Ed25519PublicKey], payload_type: str) -> bytes:
    """The payload of `envelope`, if one of `keys` signed it as `payload_type`.

    `keys` are named by key id or by any name of the caller's.

    Raises `TooLargeError` beyond 8 MiB, `InvalidError` when it is no DSSE envelope, and
    `IntegrityError` when the type differs or no trusted key's signature verifies.
    """
    return verify_with_signer(envelope, keys, payload_type)[0]


def verify_with_signer(
    envelope: bytes, keys: Mapping[str, Ed25519PublicKey], payload_type: str
) -> tuple[bytes, str]:
    """As `verify`, with the key id (as named in `keys`) whose signature verified."""
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise TooLargeError(
            f"The signed envelope has {len(envelope)} bytes; at most {MAX_ENVELOPE_BYTES} are read.",
            next_step="Send large evidence as separate files and sign their hashes.",
        )
    try:
        parsed = msgspec.json.decode(envelope, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(
            f"This is not a DSSE envelope: {error}",
            next_step="Send the envelope exactly as it was signed.",
        ) from error
    if not 0 < len(parsed.signatures) <= MAX_SIGNATURES:
        raise InvalidError(
            f"The envelope has {len(parsed.signatures)} signatures; 1 to {MAX_SIGNATURES} are read.",
            next_step="Send the envelope exactly as it was signed.",
        )
    if parsed.payloadType != payload_type:
        raise IntegrityError(
            f"The envelope signs {parsed.payloadType[:80]!r} where {payload_type!r} is expected.",
            next_step="Check that the right kind of document was sent.",
        )
    payload = _base64(parsed.payload)
    signed = pre_authentication_encoding(parsed.payloadType, payload)
    for signature in parsed.signatures:
        raw = _base64(signature.sig)
        for name, key in keys.items():
            if signature.keyid not in {"", name, key_id(key)}:
                continue
            try:
                key.verify(raw, signed)
            except InvalidSignature:
                continue
            return payload, name
    raise IntegrityError(
        "No trusted key signed this envelope, or it was altered after signing.",
        next_step="Ask the signer for the original and check that their public key is registered.",
    )


def payload_of(envelope: bytes) -> bytes:
    """What stands in an envelope whose signature was verified before it was kept."""
    return _base64(msgspec.json.decode(envelope, type=_Envelope).payload)


def write_statement(statement: Statement) -> bytes:
    """The statement as canonical JSON (keys sorted, no spaces): the same statement, the same bytes."""
    return msgspec.json.encode(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {"name": s.name, "digest": {"sha256": s.sha256}} for s in statement.subjects
            ],
            "predicateType": statement.predicate_type,
            "predicate": dict(statement.predicate),
        },
        order="deterministic",
    )


def read_statement(data: bytes, predicate_type: str) -> Statement:
    """Read an in-toto Statement v1 whose predicate is of `predicate_type`.

    Raises `InvalidError` when it is malformed, of another type, or a subject has no SHA-256.
    """
    try:
        parsed = msgspec.json.decode(data, type=_Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(
            f"This is not an in-toto statement: {error}",
            next_step="Send an in-toto Statement v1.",
        ) from error
    if parsed.type_ != STATEMENT_TYPE or parsed.predicateType != predicate_type:
        raise InvalidError(
            f"The statement is {parsed.type_[:80]!r} about {parsed.predicateType[:80]!r}.",
            next_step=f"Send {STATEMENT_TYPE} about {predicate_type}.",
        )
    if not 0 < len(parsed.subject) <= MAX_SUBJECTS:
        raise InvalidError(
            f"The statement has {len(parsed.subject)} subjects; 1 to {MAX_SUBJECTS} are read.",
            next_step="Name what the statement is about.",
        )
    return Statement(
        subjects=tuple(Subject(s.name, _sha256(s.digest)) for s in parsed.subject),
        predicate_type=parsed.predicateType,
        predicate=parsed.predicate,
    )


def _sha256(digest: Mapping[str, str]) -> str:
    value = digest.get("sha256", "")
    if not _SHA256.fullmatch(value):
        raise InvalidError(
            "A subject of the statement has no SHA-256 digest.",
            next_step="Give each subject a digest of 64 lower-case hexadecimal digits.",
        )
    return value


def _base64(text: str) -> bytes:
    """Decode standard or URL-safe base64; the protocol obliges verifiers to accept either."""
    plain = text.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError(
            "The envelope holds text that is not base64.",
            next_step="Send the envelope exactly as it was signed.",
        ) from error
