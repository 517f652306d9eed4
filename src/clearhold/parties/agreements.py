"""Agreements: what a party must accept before anything is open to it, and may leave at any time.

What is in force is written to `access` as an allowance in the same transaction, so that it counts
from the very next request, whatever tokens and sessions there are.
"""

from __future__ import annotations

import hashlib
from typing import Final

from clearhold.access import allowances
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.kernel.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import PartyId, new_id
from clearhold.parties import agreement_records as records
from clearhold.parties import records as parties
from clearhold.parties import terms as rules
from clearhold.parties.agreement_records import SignedAcceptance
from clearhold.parties.signatures import signed_by
from clearhold.parties.terms import Act, Adherence, Agreement, Terms
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire import acceptance as wire

LONGEST_REASON: Final = 200


class AgreementService:
    """The register of agreements and of who stands how to them."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def publish(self, actor: Actor, name: str, terms: Terms) -> Agreement:
        """Publish a version; publishing what stands as the newest already changes nothing.

        With `reaccept_by`, acceptances of earlier versions end then. Raises `InvalidError` for
        terms that cannot be.
        """
        actor.need(Permission.PARTIES_PUBLISH)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            return _publish(unit, name, terms, by=actor.principal)

    def list(self, actor: Actor) -> tuple[Agreement, ...]:
        """The newest version of every agreement; all parties may read all of them."""
        actor.need(Permission.PARTIES_AGREEMENTS)
        with self._sessions.transaction() as unit:
            return records.latest(unit)

    def get(self, actor: Actor, name: str, version: int | None = None) -> Agreement:
        """One version of an agreement, the newest by default. Raises `NotFoundError`."""
        actor.need(Permission.PARTIES_AGREEMENTS)
        with self._sessions.transaction() as unit:
            if version is None:
                return _latest(unit, name)
            found = records.version(unit, name, version)
            if found is None:
                raise _absent()
            return found

    def standings(self, actor: Actor, name: str | None = None) -> tuple[Adherence, ...]:
        """How the actor's party stands to what it once accepted; for coordinators, how all do."""
        actor.need(Permission.PARTIES_AGREEMENTS)
        with self._sessions.transaction() as unit:
            return records.standings(unit, actor, name)

    def signed(self, actor: Actor) -> tuple[SignedAcceptance, ...]:
        """Everything the actor's party signed, as it was signed; it stays after a withdrawal."""
        actor.need(Permission.PARTIES_AGREEMENTS)
        with self._sessions.transaction() as unit:
            return records.signed_by(unit, actor.party)

    def accept(self, actor: Actor, name: str, envelope: bytes) -> Adherence:
        """Accept the newest version with a statement one of the party's own keys signed.

        The same envelope again changes nothing while the agreement is in force. Raises
        `NotFoundError` for an unknown agreement, `InvalidError` when it is for other kinds of party
        or what was signed is something else, and `ConflictError` when the statement was used up,
        or a coordinator has suspended or ended the agreement.
        """
        actor.need(Permission.PARTIES_ACCEPT)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            newest = _latest(unit, name)
            if actor.kind not in newest.terms.kinds:
                raise InvalidError(
                    f"This agreement is not for a party of the kind {actor.kind}.",
                    next_step="See `clearhold agreement list` for the one that is.",
                )
            signed, key = _verified(unit, actor, newest, envelope)
            known = records.standing(unit, actor.party, name)
            stands = rules.accepted(known, newest, actor.party, unit.now)
            new = SignedAcceptance(
                new_id(unit.now),
                actor.party,
                name,
                newest.version,
                signed.accepted_at,
                actor.principal,
                unit.now,
                key,
                envelope,
            )
            if not records.sign(unit, new):
                same = known is not None and known.version == newest.version and known.in_force
                if same and known is not None:
                    return known
                raise ConflictError(
                    "This very statement was accepted before.", next_step="Sign a new one."
                )
            unit.record(
                "parties:agreement:accept",
                actor=actor.principal,
                subject=new.id,
                detail={
                    "agreement": name,
                    "version": str(newest.version),
                    "party": actor.party,
                    "text": newest.terms.sha256,
                    "envelope": hashlib.sha256(envelope).hexdigest(),
                    "key": key,
                },
            )
            return _stand(unit, stands)

    def act(self, actor: Actor, name: str, act: Act) -> Adherence:
        """Suspend, resume or withdraw from an agreement for the actor's own party, at once.

        Raises `NotFoundError` when it never accepted it and `ConflictError` for what is not
        possible.
        """
        actor.need(Permission.PARTIES_ACCEPT)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            known = _known(unit, actor.party, name)
            stands = rules.acted(known, act, unit.now)
            if stands == known:
                return known
            _tell(unit, actor, stands, act)
            return _stand(unit, stands)

    def bar(self, actor: Actor, name: str, party: PartyId, act: Act, *, reason: str) -> Adherence:
        """Suspend or end another party's agreement as a coordinator, or take that back.

        `reason` is kept in plain words in the ledger. Raises `NotFoundError` when the party never
        accepted it and `ConflictError` for what is not possible.
        """
        actor.need(Permission.PARTIES_PUBLISH)
        if not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable():
            raise InvalidError(f"A reason is one line of 1 to {LONGEST_REASON} characters.")
        with self._sessions.transaction() as unit:
            parties.hold(unit, party)
            known = _known(unit, party, name)
            stands = rules.barred(known, act, unit.now)
            if stands == known:
                return known
            _tell(unit, actor, stands, act, reason=reason)
            return _stand(unit, stands)


def publish_by_default(unit: UnitOfWork, *, by: str) -> None:
    """Publish the agreements a hub begins with, as far as it has none of their names."""
    there = {each.name for each in records.latest(unit)}
    for name, terms in rules.by_default().items():
        if name not in there:
            _publish(unit, name, terms, by=by)


def _publish(unit: UnitOfWork, name: str, terms: Terms, *, by: str) -> Agreement:
    rules.check_name(name)
    newest = next(iter(records.latest(unit, name)), None)
    if newest is not None and newest.terms == terms:
        return newest
    rules.check_terms(terms, unit.now)
    new = Agreement(name, 1 if newest is None else newest.version + 1, terms, unit.now)
    records.publish(unit, new, by=by)
    if terms.reaccept_by is not None:
        records.end_earlier(unit, name, at=terms.reaccept_by)
        allowances.end_all(unit, _source(name), at=terms.reaccept_by)
    unit.record(
        "parties:agreement:publish",
        actor=by,
        subject=name,
        detail={
            "version": str(new.version),
            "text": terms.sha256,
            "opens": " ".join(sorted(terms.opens)),
            "kinds": " ".join(sorted(terms.kinds)),
        },
    )
    return new


def _verified(
    unit: UnitOfWork, actor: Actor, newest: Agreement, envelope: bytes
) -> tuple[wire.Acceptance, str]:
    """What was signed and by which of the party's keys; it names exactly this version, and now."""
    if len(envelope) > wire.LARGEST:
        raise InvalidError("The signed acceptance is too long to be one.")
    payload, key = signed_by(unit, actor.party, envelope, wire.PAYLOAD_TYPE, what="acceptance")
    signed = wire.read(payload)
    asked = (actor.party, newest.name, newest.version, newest.terms.sha256)
    if (signed.party, signed.agreement, signed.version, signed.text_sha256) != asked:
        raise InvalidError(
            "What was signed is another party, agreement, version or text.",
            next_step=f"Read and sign version {newest.version} of {newest.name}.",
        )
    if abs(signed.accepted_at - unit.now) > rules.CLOCK_TOLERANCE:
        raise InvalidError(
            "The statement was not signed just now.",
            next_step="Set your clock right and sign again.",
        )
    return signed, key


def _stand(unit: UnitOfWork, stands: Adherence) -> Adherence:
    """Write how a party stands, and with it what is open to it."""
    signed = records.version(unit, stands.agreement, stands.version)
    if signed is None:
        raise _absent()
    records.stand(unit, stands)
    allowances.write(
        unit,
        stands.party,
        _source(stands.agreement),
        permissions=signed.terms.opens,
        in_force=stands.in_force,
        ends_at=stands.ends_at,
    )
    return stands


def _tell(unit: UnitOfWork, actor: Actor, stands: Adherence, act: Act, **detail: str) -> None:
    unit.record(
        f"parties:agreement:{act}",
        actor=actor.principal,
        subject=stands.party,
        detail={"agreement": stands.agreement, "version": str(stands.version), **detail},
    )


def _latest(unit: UnitOfWork, name: str) -> Agreement:
    for found in records.latest(unit, name):
        return found
    raise _absent()


def _known(unit: UnitOfWork, party: PartyId, name: str) -> Adherence:
    known = records.standing(unit, party, name)
    if known is None:
        raise NotFoundError(
            "That agreement was never accepted here.", next_step="See `clearhold agreement list`."
        )
    return known


def _source(name: str) -> str:
    return f"agreement:{name}"


def _absent() -> NotFoundError:
    return NotFoundError("There is no such agreement.", next_step="See `clearhold agreement list`.")
