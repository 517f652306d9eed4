"""An operator's plan and receipts; a coordinator's preparation and counts.

A coordinator sees how many actions an advisory made and where they stand, never whose they are.
Before publication an operator sees that something urgent is coming, and when, only if the parties
of the embargo agreed to it; otherwise nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.advisories.service import AdvisoryService
from clearhold.inventory.model import plain_name
from clearhold.kernel.errors import ConflictError, IntegrityError, InvalidError, NotFoundError
from clearhold.kernel.events import Event
from clearhold.kernel.ids import ActionId, AdvisoryId, ReceiptId, new_id
from clearhold.kernel.purl import Purl
from clearhold.parties import records as parties
from clearhold.ports.engine import Task
from clearhold.remediation import records
from clearhold.remediation.actions import Details, unseal
from clearhold.remediation.flows import MATCH, READER
from clearhold.remediation.model import DONE, ActionState, state_told_by
from clearhold.remediation.records import Filed, Kept
from clearhold.store.schema import to_microseconds
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault
from clearhold.wire import dsse
from clearhold.wire.receipt import Receipt, verify

ACCEPTED: Final = "receipt.accepted"
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Planned:
    """One action as its operator may see it.

    `tier` is the outcome of BOD 26-04. `details` is None before publication.
    """

    id: ActionId
    state: ActionState
    tier: str
    starts_at: datetime
    due_at: datetime | None
    details: Details | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How far an advisory's actions have come, over all operators together."""

    advisory: AdvisoryId
    actions: int
    states: Mapping[ActionState, int]


class RemediationService:
    """What operators must do, and what they say they did."""

    def __init__(self, sessions: Sessions, vault: Vault, *, advisories: AdvisoryService) -> None:
        self._sessions = sessions
        self._vault = vault
        self._advisories = advisories

    def prepare(self, actor: Actor, advisory: AdvisoryId) -> Counts:
        """Queue the matching of an advisory of the actor's case, under embargo or not.

        Returns the counts as they stand. It may be asked for again, for instance after a redraft.
        """
        actor.need(Permission.ADVISORIES_PUBLISH)
        with self._sessions.transaction() as unit:
            kept = self._advisories.owned(unit, actor, advisory)
            unit.record(
                "remediation:advisory:prepare",
                actor=actor.principal,
                subject=advisory,
                compartment=kept.compartment,
            )
            key = f"{MATCH}:{advisory}:{to_microseconds(unit.now)}"
            unit.enqueue(Task(MATCH, key, {"advisory": advisory}, queue="heavy"))
            return _counts(unit, advisory)

    def counts(self, actor: Actor, advisory: AdvisoryId) -> Counts:
        """How many actions an advisory of the actor's case made, and where they stand."""
        actor.need(Permission.ADVISORIES_PUBLISH)
        with self._sessions.transaction() as unit:
            self._advisories.owned(unit, actor, advisory)
            return _counts(unit, advisory)

    def plan(self, actor: Actor) -> tuple[Planned, ...]:
        """The actor's actions, most urgent first: by due date, then by SSVC; what is done, last.

        Between equals, what several found independently comes first, once it is public: before
        that the order would tell it.
        """
        actor.need(Permission.REMEDIATION_READ)
        with self._sessions.transaction() as unit:
            ranked = [
                (_urgency(kept, details), _planned(kept, details))
                for kept, details in (
                    (kept, self._open(unit, actor, kept)) for kept in records.listing(unit, actor)
                )
            ]
        return tuple(planned for _, planned in sorted(ranked, key=lambda each: each[0]))

    def get(self, actor: Actor, action: ActionId) -> Planned:
        """One action; raises `NotFoundError` for any the actor may not see."""
        actor.need(Permission.REMEDIATION_READ)
        with self._sessions.transaction() as unit:
            found = records.listing(unit, actor, action)
            if not found:
                raise _absent()
            return _planned(found[0], self._open(unit, actor, found[0]))

    def submit(self, actor: Actor, envelope: bytes, *, action: ActionId | None = None) -> Filed:
        """Accept a signed receipt (a DSSE envelope) for one of the actor's actions.

        Without `action` it is found by advisory, package and version. The same envelope again
        gives the same answer. Raises `InvalidError` when it is no receipt or no registered key of
        the actor's party signed it, `ConflictError` for a counter not above the last one of that
        key, and `NotFoundError` when it is about nothing the actor has to do.
        """
        actor.need(Permission.REMEDIATION_REPORT)
        fingerprint = hashlib.sha256(envelope).hexdigest()
        digest = self._vault.matching_hash("receipt", fingerprint)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            earlier = records.filed(unit, actor.party, digest)
            if earlier is not None:
                return earlier
            receipt, key_id = _verified(envelope, parties.keys_of(unit, actor.party))
            kept = self._meant(unit, actor, receipt, action)
            last = records.last_counter(unit, key_id)
            if receipt.counter <= last:
                raise ConflictError(
                    f"This agent's receipt {last} was accepted before; {receipt.counter} is late "
                    "or a replay.",
                    next_step="Send receipts in the order of their counter, each once.",
                )
            return self._file(
                unit, actor, kept, receipt=receipt, key_id=key_id, digest=digest, envelope=envelope
            )

    def _file(
        self,
        unit: UnitOfWork,
        actor: Actor,
        kept: Kept,
        *,
        receipt: Receipt,
        key_id: str,
        digest: bytes,
        envelope: bytes,
    ) -> Filed:
        identity = ReceiptId(new_id(unit.now))
        new = Filed(identity, kept.id, receipt.counter, state_told_by(receipt.state), unit.now)
        records.file(
            unit,
            new,
            party=actor.party,
            compartment=kept.compartment,
            key_id=key_id,
            digest=digest,
            envelope=self._vault.seal(
                unit,
                kept.compartment,
                place=("remediation_receipt", "envelope", identity),
                content=envelope,
            ),
        )
        unit.record(
            "remediation:receipt:accept",
            actor=actor.principal,
            subject=identity,
            compartment=kept.compartment,
            detail={
                "action": kept.id,
                "state": new.state,
                "key": key_id,
                "sha256": hashlib.sha256(envelope).hexdigest(),
            },
        )
        unit.publish(Event(ACCEPTED, identity, {"receipt": identity}))
        return new

    def _meant(
        self, unit: UnitOfWork, actor: Actor, receipt: Receipt, action: ActionId | None
    ) -> Kept:
        """The action a receipt is about."""
        of_advisory = [
            kept
            for kept in records.listing(unit, actor, action, public_id=receipt.advisory)
            if kept.public
        ]
        matching = [
            kept
            for kept in of_advisory
            if _is_about(receipt, unseal(self._vault, unit, kept, reader=READER))
        ]
        if not matching:
            raise NotFoundError(
                "You have no action that this receipt is about.",
                next_step="Compare its advisory, package and version with `clearhold remediate plan`.",
            )
        if len(matching) > 1:
            raise InvalidError(
                "Several of your systems have an action that this receipt could be about.",
                next_step="Name the action with the receipt.",
                facts={"actions": [kept.id for kept in matching]},
            )
        return matching[0]

    def _open(self, unit: UnitOfWork, actor: Actor, kept: Kept) -> Details:
        # What an operator is only told of in outline is opened by the service, not by them.
        reader = actor.principal if kept.public else READER
        return unseal(self._vault, unit, kept, reader=reader)


def _counts(unit: UnitOfWork, advisory: AdvisoryId) -> Counts:
    states = records.counts(unit, advisory)
    return Counts(advisory, sum(states.values()), states)


def _planned(kept: Kept, details: Details) -> Planned:
    return Planned(
        id=kept.id,
        state=kept.state,
        tier=details.priority.directive.outcome,
        starts_at=kept.starts_at,
        due_at=kept.due_at,
        details=details if kept.public else None,
    )


def _urgency(kept: Kept, details: Details) -> tuple[bool, datetime, int, int, str]:
    return (
        kept.state in DONE,
        kept.due_at or _NEVER,
        -details.priority.deployer.rank,
        -details.priority.danger_rank if kept.public else 0,
        kept.id,
    )


def _is_about(receipt: Receipt, details: Details) -> bool:
    """Whether the receipt's package, at the version it started from, is one that was hit."""
    name = plain_name(Purl.parse(receipt.package).name)
    for hit in details.hits:
        if hit.component.startswith("pkg:"):
            purl = Purl.parse(hit.component)
            if str(purl.package) == receipt.package and purl.version == receipt.from_version:
                return True
        elif plain_name(hit.component.split(" ", 1)[0]) == name:
            return True
    return False


def _verified(envelope: bytes, keys: Mapping[str, bytes]) -> tuple[Receipt, str]:
    """The receipt and the id of the key that signed it."""
    known = {name: Ed25519PublicKey.from_public_bytes(raw) for name, raw in keys.items()}
    try:
        _, signer = dsse.verify_with_signer(envelope, known, dsse.IN_TOTO)
        return verify(envelope, {signer: known[signer]}), signer
    except IntegrityError as error:
        raise InvalidError(
            "No key that your party registered signed this receipt, or it was altered.",
            next_step="Register the agent's public key with your hub, and send the receipt unchanged.",
        ) from error


def _absent() -> NotFoundError:
    return NotFoundError("There is no such action.")
