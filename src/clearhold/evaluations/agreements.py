"""Agreements about testing models: offered by one side, signed by both, ended by either at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Final

from clearhold.access.grants import Grantee, Tier, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.evaluations import agreement_records as records
from clearhold.evaluations import terms as rules
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.model import AgreementState, Side
from clearhold.kernel.errors import ConflictError, InvalidError, LimitError, NotFoundError
from clearhold.kernel.ids import ModelAgreementId, PartyId, new_id
from clearhold.parties import records as parties
from clearhold.parties.signatures import signed_by
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault
from clearhold.wire import dsse
from clearhold.wire import model_agreement as wire
from clearhold.wire.model_agreement import ModelAgreement

MOST_LISTED: Final = 100
MOST_OFFERS: Final = 50
"""That wait at once for the other side, of one party."""
_TESTERS: Final = frozenset({PartyKind.EVALUATOR, PartyKind.GOVERNMENT})
_S = AgreementState
_FROM: Final = {
    _S.SUSPENDED: frozenset({_S.IN_FORCE}),
    _S.IN_FORCE: frozenset({_S.SUSPENDED}),
    _S.REFUSED: frozenset({_S.OFFERED}),
    _S.ENDED: frozenset({_S.OFFERED, _S.IN_FORCE, _S.SUSPENDED}),
}


@dataclass(frozen=True, slots=True)
class AgreementView:
    """An agreement as its two sides see it: the terms, and the envelopes each side signed."""

    stored: StoredAgreement
    terms: ModelAgreement
    envelopes: dict[Side, bytes]


class ModelAgreements:
    """The register of agreements between developers and evaluators."""

    def __init__(self, sessions: Sessions, vault: Vault) -> None:
        self._sessions = sessions
        self._vault = vault

    def offer(self, actor: Actor, envelope: bytes) -> AgreementView:
        """Offer an agreement that the actor's party signed to the other side it names.

        The same terms again change nothing. Raises `InvalidError` for terms that cannot stand, and
        when the actor's party is neither side or the other is none that could be.
        """
        actor.need(Permission.EVALUATIONS_AGREE)
        with self._sessions.transaction() as unit:
            payload, key = self._signed(unit, actor, envelope)
            terms = wire.read_agreement(payload)
            rules.check(terms, unit.now)
            developer, evaluator = self._sides(unit, actor, terms)
            side = Side.DEVELOPER if actor.party == developer else Side.EVALUATOR
            digest = hashlib.sha256(payload).digest()
            with unit.as_service():
                parties.hold(unit, developer)  # the same offer at the same moment waits
                known = records.of_digest(unit, developer, evaluator, digest)
            if known is not None:
                return self._view(unit, known, reader=actor.principal)
            if records.open_offers(unit, side, actor.party) >= MOST_OFFERS:
                raise LimitError(
                    f"Your party has {MOST_OFFERS} offers that wait for a signature.",
                    next_step="End some with `clearhold model agreement move AGREEMENT end`.",
                )
            within = self._vault.open_compartment(unit)
            for party in (developer, evaluator):
                read_in(
                    unit,
                    within,
                    Grantee(party),
                    tier=Tier.EVERYTHING,
                    reason="side-of-agreement",
                    granted_by=actor.principal,
                )
            identity = ModelAgreementId(new_id(unit.now))
            new = StoredAgreement(
                id=identity,
                developer=developer,
                evaluator=evaluator,
                compartment=within,
                digest=digest,
                state=AgreementState.OFFERED,
                offered_by=side,
                developer_suspends=False,
                evaluator_suspends=False,
                sealed_developer_envelope=None,
                sealed_evaluator_envelope=None,
                not_before=terms.not_before,
                until=terms.until,
                offered_at=unit.now,
                changed_at=unit.now,
            )
            new = self._with(unit, new, side, envelope)
            records.add(unit, new)
            _tell(unit, actor, new, "offer", key=key)
            return self._view(unit, new, reader=actor.principal)

    def sign(self, actor: Actor, identity: str, envelope: bytes) -> AgreementView:
        """Sign what the other side offered: exactly those bytes. Then it is in force.

        Raises `ConflictError` when it is no open offer, or the actor's own.
        """
        actor.need(Permission.EVALUATIONS_AGREE)
        with self._sessions.transaction() as unit:
            stored, side = self._held(unit, actor, identity)
            payload, key = self._signed(unit, actor, envelope)
            if hashlib.sha256(payload).digest() != stored.digest:
                raise InvalidError(
                    "What was signed is not what was offered.",
                    next_step="Read the offer with `clearhold model agreement show` and sign that.",
                )
            if stored.state is AgreementState.IN_FORCE:
                return self._view(unit, stored, reader=actor.principal)
            if stored.state is not AgreementState.OFFERED or stored.offered_by is side:
                raise ConflictError(
                    f"This agreement is {stored.state} and not yours to sign.",
                    next_step="Only the side that did not offer it signs an offer.",
                )
            if unit.now >= stored.until:
                raise ConflictError("The time of this agreement is over already.")
            signed = self._with(unit, stored, side, envelope)
            signed = replace(signed, state=AgreementState.IN_FORCE, changed_at=unit.now)
            records.change(
                unit,
                stored.id,
                state=signed.state,
                changed_at=signed.changed_at,
                sealed_developer_envelope=signed.sealed_developer_envelope,
                sealed_evaluator_envelope=signed.sealed_evaluator_envelope,
            )
            _tell(unit, actor, signed, "sign", key=key)
            return self._view(unit, signed, reader=actor.principal)

    def move(self, actor: Actor, identity: str, state: AgreementState) -> AgreementView:
        """Refuse, suspend, resume or end it for the actor's side, at once and without a reason.

        A side resumes what it suspended itself; while the other suspends it too, it stays suspended.
        Raises `ConflictError` for what is not possible.
        """
        actor.need(Permission.EVALUATIONS_AGREE)
        with self._sessions.transaction() as unit:
            stored, side = self._held(unit, actor, identity)
            reached, suspending = _moved(stored, side, state)
            if (reached, suspending) == (stored.state, stored.suspended_by):
                return self._view(unit, stored, reader=actor.principal)
            moved = replace(
                stored,
                state=reached,
                developer_suspends=Side.DEVELOPER in suspending,
                evaluator_suspends=Side.EVALUATOR in suspending,
                changed_at=unit.now,
            )
            records.change(
                unit,
                stored.id,
                state=moved.state,
                developer_suspends=moved.developer_suspends,
                evaluator_suspends=moved.evaluator_suspends,
                changed_at=unit.now,
            )
            _tell(unit, actor, moved, str(state), side=side)
            return self._view(unit, moved, reader=actor.principal)

    def get(self, actor: Actor, identity: str) -> AgreementView:
        """One agreement of the actor's party. Raises `NotFoundError`."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            return self._view(unit, find(unit, actor, identity), reader=actor.principal)

    def list(self, actor: Actor, *, after: str | None = None) -> tuple[StoredAgreement, ...]:
        """The agreements of the actor's party, so many at once, without what is sealed of them."""
        actor.need(Permission.EVALUATIONS_READ)
        with self._sessions.transaction() as unit:
            return records.seen_by(unit, actor, after=after, limit=MOST_LISTED)

    def terms(self, unit: UnitOfWork, stored: StoredAgreement, *, reader: str) -> ModelAgreement:
        """What was agreed, released to `reader`."""
        return self._view(unit, stored, reader=reader).terms

    def _held(self, unit: UnitOfWork, actor: Actor, identity: str) -> tuple[StoredAgreement, Side]:
        stored = find(unit, actor, identity, lock=True)
        side = stored.side_of(actor.party)
        if side is None:
            raise _absent()
        return stored, side

    def _signed(self, unit: UnitOfWork, actor: Actor, envelope: bytes) -> tuple[bytes, str]:
        if len(envelope) > 2 * wire.LARGEST:
            raise InvalidError("The signed agreement is too long to be one.")
        return signed_by(unit, actor.party, envelope, wire.AGREEMENT_TYPE, what="agreement")

    def _sides(
        self, unit: UnitOfWork, actor: Actor, terms: ModelAgreement
    ) -> tuple[PartyId, PartyId]:
        """The parties that are the two sides; an unknown one is answered like an unfit one.

        Who is neither side learns nothing of the two that are named.
        """
        with unit.as_service():
            if parties.by_id(unit, actor.party).handle not in {terms.developer, terms.evaluator}:
                raise InvalidError("Your party is neither side of this agreement.")
            developer = parties.by_handle(unit, terms.developer)
            evaluator = parties.by_handle(unit, terms.evaluator)
        if (
            developer is None
            or evaluator is None
            or developer.kind is not PartyKind.LAB
            or evaluator.kind not in _TESTERS
        ):
            raise InvalidError(
                "An agreement is between a lab and an evaluator or government body of this hub.",
                next_step="Ask the other side for its party's handle.",
            )
        return developer.id, evaluator.id

    def _with(
        self, unit: UnitOfWork, stored: StoredAgreement, side: Side, envelope: bytes
    ) -> StoredAgreement:
        name = f"sealed_{side}_envelope"
        place = ("model_agreement", name, stored.id)
        sealed = self._vault.seal(unit, stored.compartment, place=place, content=envelope)
        return (
            replace(stored, sealed_developer_envelope=sealed)
            if side is Side.DEVELOPER
            else replace(stored, sealed_evaluator_envelope=sealed)
        )

    def _view(self, unit: UnitOfWork, stored: StoredAgreement, *, reader: str) -> AgreementView:
        envelopes = {}
        for side in Side:
            name = f"sealed_{side}_envelope"
            sealed = getattr(stored, name)
            if sealed is not None:
                place = ("model_agreement", name, stored.id)
                envelopes[side] = self._vault.unseal(
                    unit, stored.compartment, place=place, sealed=sealed, reader=reader
                )
        payload = dsse.payload_of(envelopes[stored.offered_by])
        return AgreementView(stored, wire.read_agreement(payload), envelopes)


def find(unit: UnitOfWork, actor: Actor, identity: str, *, lock: bool = False) -> StoredAgreement:
    """One agreement the actor may see. Raises `NotFoundError`."""
    stored = records.one_seen_by(unit, actor, identity, lock=lock)
    if stored is None:
        raise _absent()
    return stored


def _moved(
    stored: StoredAgreement, side: Side, state: AgreementState
) -> tuple[AgreementState, frozenset[Side]]:
    """How an agreement stands once a side has moved it, and which sides then suspend it."""
    by = stored.suspended_by
    if stored.state is _S.SUSPENDED and state is _S.SUSPENDED:
        return state, by | {side}
    if stored.state is _S.SUSPENDED and state is _S.IN_FORCE:
        if side not in by:
            raise ConflictError(
                "The other side suspended this agreement, and it alone resumes it.",
                next_step="Either side may still end the agreement.",
            )
        left = by - {side}
        return (_S.SUSPENDED if left else state), left
    if stored.state is state:
        return state, by
    if stored.state not in _FROM.get(state, frozenset()):
        raise ConflictError(f"An agreement that is {stored.state} cannot become {state}.")
    return state, frozenset({side}) if state is _S.SUSPENDED else frozenset()


def _tell(unit: UnitOfWork, actor: Actor, stored: StoredAgreement, act: str, **more: str) -> None:
    unit.record(
        f"evaluations:agreement:{act}",
        actor=actor.principal,
        subject=stored.id,
        compartment=stored.compartment,
        detail={"terms": stored.digest.hex(), **more},
    )


def _absent() -> NotFoundError:
    return NotFoundError("There is no such agreement.")
