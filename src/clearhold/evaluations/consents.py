"""What both sides of an engagement sign: pauses and their ends, more time, the end of a hold."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.evaluations import engagement_records as records
from clearhold.evaluations.agreement_records import StoredAgreement
from clearhold.evaluations.agreements import ModelAgreements
from clearhold.evaluations.clock import clock
from clearhold.evaluations.engagement_records import StoredChange, StoredEngagement
from clearhold.evaluations.engagement_rules import LATE_DRAFT, check_change, clock_events
from clearhold.evaluations.engagements import Engagements, EngagementView, note, side_of
from clearhold.evaluations.model import Act, EngagementState, Side
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import new_id
from clearhold.parties.signatures import signed_by
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault
from clearhold.wire import model_agreement as wire
from clearhold.wire.model_agreement import Change


class Consents:
    """Changes that count once both sides have signed the same bytes."""

    def __init__(
        self, sessions: Sessions, vault: Vault, register: ModelAgreements, engagements: Engagements
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._register = register
        self._engagements = engagements

    def consent(self, actor: Actor, identity: str, envelope: bytes) -> EngagementView:
        """Sign a pause, a resumption, more time or the end of a hold; it counts once both have.

        Both sign the same bytes. Raises `ConflictError` when the change is not possible now.
        """
        actor.need(Permission.EVALUATIONS_AGREE)
        if len(envelope) > 2 * wire.LARGEST:
            raise InvalidError("The signed change is too long to be one.")
        with self._sessions.transaction() as unit:
            stored, stands = self._engagements.held(unit, actor, identity)
            side = side_of(stands, actor)
            payload, key = signed_by(
                unit, actor.party, envelope, wire.CHANGE_TYPE, what="change of an engagement"
            )
            change = wire.read_change(payload)
            digest = hashlib.sha256(payload).digest()
            known = records.change_of_digest(unit, stored.id, digest)
            if known is not None and known.signed_at is not None:
                return self._engagements.view(unit, stored, stands, reader=actor.principal)
            check_change(change, stored, stands, unit.now)
            if change.after != records.next_number(unit, stored.id) - 1:
                raise ConflictError(
                    "More has happened in the engagement since this change was asked for.",
                    next_step="Ask for it again with `clearhold model engagement ask`.",
                )
            if change.act == "extend":
                self._check_length(unit, stored, stands, change, reader=actor.principal)
            signed = self._sign(unit, stored, known or _fresh(unit, stored, digest), side, envelope)
            unit.record(
                f"evaluations:change:{change.act}",
                actor=actor.principal,
                subject=stored.id,
                compartment=stored.compartment,
                detail={"change": digest.hex(), "side": side, "key": key},
            )
            if signed.signed_at is not None:
                stored = self._effect(unit, actor, stored, change)
            return self._engagements.view(unit, stored, stands, reader=actor.principal)

    def take_back(self, actor: Actor, identity: str, change: bytes) -> EngagementView:
        """Take back the actor's side's signature on a change, by the SHA-256 of its terms.

        Nothing is left to consent to then. Raises `ConflictError` once both sides have signed, and
        `NotFoundError` for what the actor's side has not signed.
        """
        actor.need(Permission.EVALUATIONS_AGREE)
        with self._sessions.transaction() as unit:
            stored, stands = self._engagements.held(unit, actor, identity)
            side = side_of(stands, actor)
            known = records.change_of_digest(unit, stored.id, change)
            if known is None or getattr(known, f"sealed_{side}_envelope") is None:
                raise NotFoundError("Your side has signed no such change.")
            if known.signed_at is not None:
                raise ConflictError("Both sides have signed this change, so it has taken place.")
            records.forget_change(unit, known.id)
            unit.record(
                "evaluations:change:take-back",
                actor=actor.principal,
                subject=stored.id,
                compartment=stored.compartment,
                detail={"change": change.hex(), "side": side},
            )
            return self._engagements.view(unit, stored, stands, reader=actor.principal)

    def _check_length(
        self,
        unit: UnitOfWork,
        stored: StoredEngagement,
        stands: StoredAgreement,
        change: Change,
        *,
        reader: str,
    ) -> None:
        """An extension too stays within the window of the agreement."""
        most = self._register.terms(unit, stands, reader=reader).window_days
        found = clock(stored.window, clock_events(records.happened(unit, stored.id)), unit.now)
        if found.length + timedelta(hours=change.hours) > timedelta(days=most):
            raise InvalidError(f"Access lasts at most {most} days by the agreement.")
        body = self._engagements.body(unit, stored, reader=reader)
        self._engagements.check_sum(unit, stands, body, timedelta(hours=change.hours))

    def _effect(
        self, unit: UnitOfWork, actor: Actor, stored: StoredEngagement, change: Change
    ) -> StoredEngagement:
        """What both sides have signed takes place now."""
        if change.act == "extend":
            note(unit, actor.principal, stored, "extend", "both", length_s=change.hours * 3600)
            return stored
        if change.act == LATE_DRAFT:
            note(unit, actor.principal, stored, LATE_DRAFT, "both")
            return stored
        if change.act == "lift-hold":
            moved = replace(stored, state=self._held_in(unit, stored), changed_at=unit.now)
            records.change(unit, stored.id, state=moved.state, changed_at=unit.now)
        else:
            moved = self._engagements.reach(unit, stored, Act(change.act))
        pausing = change.act == "pause"
        note(
            unit,
            actor.principal,
            stored,
            change.act,
            "both",
            until=change.until if pausing else None,
            stops_clock=change.stops_clock if pausing else None,
        )
        return moved

    def _held_in(self, unit: UnitOfWork, stored: StoredEngagement) -> EngagementState:
        """Where an engagement goes on after a hold: where it was held, a pause still running too."""
        happened = records.happened(unit, stored.id)
        if Act.BEGIN not in {each.act for each in happened}:
            return EngagementState.ACCESS_VERIFIED
        stands = clock(stored.window, clock_events(happened), unit.now)
        return EngagementState.PAUSED if stands.paused_until else EngagementState.TESTING

    def _sign(
        self,
        unit: UnitOfWork,
        stored: StoredEngagement,
        change: StoredChange,
        side: Side,
        envelope: bytes,
    ) -> StoredChange:
        """The change with one more signature; it counts from the second on."""
        name = f"sealed_{side}_envelope"
        if getattr(change, name) is not None:
            return change
        place = ("engagement_change", name, change.id)
        sealed = self._vault.seal(unit, stored.compartment, place=place, content=envelope)
        second = bool(change.sealed_developer_envelope or change.sealed_evaluator_envelope)
        signed = replace(
            change,
            sealed_developer_envelope=sealed
            if side is Side.DEVELOPER
            else change.sealed_developer_envelope,
            sealed_evaluator_envelope=sealed
            if side is Side.EVALUATOR
            else change.sealed_evaluator_envelope,
            signed_at=unit.now if second else None,
        )
        if second:
            records.sign_change(unit, change.id, **{name: sealed, "signed_at": unit.now})
        else:
            records.add_change(unit, signed)
        return signed


def _fresh(unit: UnitOfWork, stored: StoredEngagement, digest: bytes) -> StoredChange:
    return StoredChange(new_id(unit.now), stored.id, digest, None, None, unit.now, None)
