"""What a party signed: DSSE envelopes that must verify under one of its registered keys."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.kernel.ids import PartyId
from clearhold.parties import records
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.wire import dsse


def signed_by(
    unit: UnitOfWork, party: PartyId, envelope: bytes, payload_type: str, *, what: str
) -> tuple[bytes, str]:
    """The payload and the id of the party's key that signed it.

    Raises `InvalidError`, which calls it `what`, when none of the party's keys did.
    """
    keys = {
        name: Ed25519PublicKey.from_public_bytes(raw)
        for name, raw in records.keys_of(unit, party).items()
    }
    try:
        return dsse.verify_with_signer(envelope, keys, payload_type)
    except IntegrityError as error:
        raise InvalidError(
            f"No registered key of your party signed this {what}.",
            next_step="Make and register one with `clearhold party key make`, then sign with it.",
        ) from error
