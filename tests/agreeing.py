"""How parties of tests accept what opens the hub to them: with a key of their own, as in life."""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.parties.agreements import AgreementService
from clearhold.parties.service import PartyService
from clearhold.parties.terms import Agreement
from clearhold.wire import acceptance, dsse, key_holding


def envelope_of(
    party: str, agreement: Agreement, key: Ed25519PrivateKey, at: datetime, /, **altered: object
) -> bytes:
    """A signed acceptance."""
    stated = {
        "party": party,
        "agreement": agreement.name,
        "version": agreement.version,
        "text_sha256": agreement.terms.sha256,
        "accepted_at": at,
    } | altered
    statement = acceptance.write(acceptance.Acceptance(**stated))  # type: ignore[arg-type]
    return dsse.sign(statement, acceptance.PAYLOAD_TYPE, key)


def hold(parties: PartyService, actor: Actor, key: Ed25519PrivateKey) -> str:
    """Register a key of a party's own."""
    signature = key_holding.sign(actor.party, key)
    return parties.add_key(actor, key.public_key().public_bytes_raw(), signature)


def agree(
    parties: PartyService, agreements: AgreementService, actor: Actor, at: datetime
) -> Ed25519PrivateKey | None:
    """Let a party accept the agreement for its kind; returns its new key, None for coordinators."""
    if actor.kind is PartyKind.COORDINATOR:
        return None
    key = Ed25519PrivateKey.generate()
    hold(parties, actor, key)
    mine = next(each for each in agreements.list(actor) if actor.kind in each.terms.kinds)
    agreements.accept(actor, mine.name, envelope_of(actor.party, mine, key, at))
    return key
