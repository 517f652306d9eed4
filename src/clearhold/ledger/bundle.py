"""A leaf with all that proves it to be in the published log, as one JSON document to carry away.

With the salt of a lodged commitment it also proves, beside the text itself, that the text was known
when the log's checkpoint was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from clearhold.kernel.errors import IntegrityError, InvalidError, TooLargeError
from clearhold.kernel.merkle import includes
from clearhold.ledger.model import SALT_BYTES, Entry, Inclusion, Leaf, committed, lodged_commitment
from clearhold.wire.signed_note import Checkpoint, NoteVerifier, open_checkpoint

FORMAT: Final = "clearhold-inclusion/1"
LODGED: Final = "ledger:commitment:lodge"
COMMITMENT: Final = "commitment"
MAX_BYTES: Final = 1 << 20
_MAX_PROOF: Final = 64


class _Leaf(msgspec.Struct, forbid_unknown_fields=True):
    seq: int
    at: str
    actor: str
    action: str
    subject: str
    compartment: str | None
    detail: dict[str, str]
    previous: str | None
    salt: str


class _Opening(msgspec.Struct, forbid_unknown_fields=True):
    salt: str


class _Bundle(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    leaf: _Leaf
    index: int
    proof: list[str]
    checkpoint: str
    opening: _Opening | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What a document proves: the leaf, and the checkpoint whose log holds it."""

    leaf: Leaf
    index: int
    checkpoint: Checkpoint
    opened: bool


def write(inclusion: Inclusion) -> dict[str, Any]:
    """The document of a leaf."""
    leaf = inclusion.leaf
    return {
        "format": FORMAT,
        "leaf": {
            "seq": leaf.seq,
            "at": leaf.at.isoformat(timespec="microseconds"),
            "actor": leaf.actor,
            "action": leaf.action,
            "subject": leaf.subject,
            "compartment": leaf.compartment,
            "detail": dict(leaf.detail),
            "previous": None if leaf.previous is None else leaf.previous.hex(),
            "salt": leaf.salt.hex(),
        },
        "index": inclusion.index,
        "proof": [each.hex() for each in inclusion.proof],
        "checkpoint": inclusion.note.decode(),
    }


def from_view(told: Mapping[str, Any]) -> Leaf:
    """A leaf as the hub lists it, with the commitment that its own fields make.

    Raises `IntegrityError` when its hash is not that of its fields, `InvalidError` on other shapes.
    """
    try:
        at = datetime.fromisoformat(told["at"]).isoformat(timespec="microseconds")
        fields = {name: told[name] for name in _Leaf.__struct_fields__}
        leaf = _leaf(msgspec.convert(fields | {"at": at}, _Leaf))
        stated = str(told["hash"])
    except (msgspec.ValidationError, ValueError, TypeError, LookupError) as error:
        raise _refused("a leaf has not the right shape") from error
    if leaf.hash.hex() != stated:
        raise IntegrityError(
            f"Leaf {leaf.seq} was changed: its hash is not that of its fields.",
            next_step="Keep what you have, and show it to the other participants.",
        )
    return leaf


def with_opening(document: Mapping[str, Any], salt: bytes) -> dict[str, Any]:
    """The document of a lodged commitment with the salt that opens it."""
    return {**document, "opening": {"salt": salt.hex()}}


def check(content: bytes, verifier: NoteVerifier, *, text: bytes | None = None) -> Checked:
    """Verify a document with the log's key alone; with an opening, `text` must be what was lodged.

    Raises `TooLargeError` or `InvalidError` on what is no such document, and `IntegrityError` on
    one that does not verify.
    """
    bundle = _read(content)
    leaf = _leaf(bundle.leaf)
    checkpoint = open_checkpoint(bundle.checkpoint.encode(), verifier)
    proof = [_hash(each) for each in bundle.proof]
    if not includes(
        leaf.hash, index=bundle.index, size=checkpoint.size, root=checkpoint.root, proof=proof
    ):
        raise IntegrityError(
            "The log does not hold this leaf: the document was changed.",
            next_step="Ask whoever gave it to you for a new one.",
        )
    if bundle.opening is None:
        if text is not None:
            raise InvalidError(
                "The document does not open a lodged commitment.",
                next_step="Make it with `clearhold ledger reveal`, or leave the text out.",
            )
        return Checked(leaf, bundle.index, checkpoint, opened=False)
    if text is None:
        raise InvalidError(
            "The document opens a lodged commitment, but the text is not given.",
            next_step="Name the file with --text.",
        )
    salt = _hash(bundle.opening.salt)
    lodged = leaf.detail.get(COMMITMENT) if leaf.action == LODGED else None
    if lodged != lodged_commitment(salt, text).hex():
        raise IntegrityError(
            "This text is not what was lodged.",
            next_step="Check that the file is the same to the byte.",
        )
    return Checked(leaf, bundle.index, checkpoint, opened=True)


def _read(content: bytes) -> _Bundle:
    if len(content) > MAX_BYTES:
        raise TooLargeError("A proof from the ledger has at most 1 MiB.")
    try:
        bundle = msgspec.json.decode(content, type=_Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(str(error)) from error
    if bundle.format != FORMAT or len(bundle.proof) > _MAX_PROOF:
        raise _refused(f"its format is not {FORMAT}")
    return bundle


def _leaf(told: _Leaf) -> Leaf:
    try:
        at = datetime.fromisoformat(told.at)
    except ValueError as error:
        raise _refused("the leaf's time cannot be read") from error
    if at.tzinfo is None or at.isoformat(timespec="microseconds") != told.at:
        raise _refused("the leaf's time is not written as it was committed to")
    previous = None if told.previous is None else _hash(told.previous)
    try:
        entry = Entry(at, told.actor, told.action, told.subject, told.compartment, told.detail)
        return committed(told.seq, entry, previous=previous, salt=_hash(told.salt))
    except UnicodeEncodeError as error:
        raise _refused("a field of the leaf is no text") from error


def _hash(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != SALT_BYTES or value.hex() != text:
        raise _refused("a hash or salt is not 64 hexadecimal digits")
    return value


def _refused(reason: str) -> InvalidError:
    return InvalidError(
        f"This is not a proof from a ledger: {reason}.",
        next_step="Give the file as `clearhold ledger prove` or `reveal` wrote it.",
    )
