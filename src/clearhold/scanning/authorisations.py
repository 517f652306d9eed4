"""An owner's signed consent to scans of its live systems, without which there is no live lease."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from clearhold.access import allowances
from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind, Permission
from clearhold.catalogue.model import Technique
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import PartyId, new_id
from clearhold.parties import records as parties
from clearhold.parties import standing_records, subjects, wishes
from clearhold.parties.signatures import signed_by
from clearhold.scanning import live_records as records
from clearhold.scanning.blackouts import MOST_BLACKOUTS, Blackout, first_within, parse_blackout
from clearhold.scanning.live_desk import READER, EndReason, Kind, LiveDesk, subject_of
from clearhold.scanning.live_records import StoredAuthorisation
from clearhold.scanning.live_scope import LIVE_TECHNIQUES, Depth, LiveScope, cover, make_targets
from clearhold.scanning.live_targets import Plant, Target
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.wire import dsse
from clearhold.wire import scan_consent as wire
from clearhold.wire.scan_consent import ScanConsent

LONGEST: Final = timedelta(days=366)
MOST_STANDING: Final = 50
MOST_HOLDERS: Final = 100
MOST_RATE: Final = 100_000
MOST_AT_ONCE: Final = 1000
LONGEST_CONTACT: Final = 200
MOST_LISTED: Final = 200
_PLACE: Final = ("live_authorisation", "envelope")


@dataclass(frozen=True, slots=True)
class Authorisation:
    """A signed consent, read: its targets, techniques and blackouts besides the statement itself."""

    stored: StoredAuthorisation
    consent: ScanConsent
    targets: tuple[Target, ...]
    techniques: frozenset[Technique]
    depth: Depth
    blackouts: tuple[Blackout, ...]

    def allows(self, scope: LiveScope, handle: str) -> bool:
        """Whether a holder of that handle may do all of `scope`, at times that are allowed."""
        named = self.consent.holders is None or handle in self.consent.holders
        return (
            named
            and scope.technique in self.techniques
            and scope.depth.within(self.depth)
            and cover(self.targets, scope.targets)
        )


@dataclass(frozen=True, slots=True)
class Admission:
    """The authorisation that a scope stands on, and until when at most."""

    authorisation: Authorisation
    until: datetime


class Authorisations:
    """Reads and judges authorisations; the services for leases and passports ask here."""

    def __init__(self, desk: LiveDesk) -> None:
        self._desk = desk

    def admit(
        self, unit: UnitOfWork, holder: PartyId, scope: LiveScope, *, until: datetime
    ) -> Admission | ConflictError:
        """The authorisation under which a holder may do all of `scope` from now on, or a refusal.

        It is cut short where the authorisation ends or a blackout begins, at the latest at `until`.
        Whoever no authorisation allows the scope is told nothing else, whatever else there is.
        """
        if any_wish_against(unit, scope.targets):
            return _not_allowed()
        found = records.in_force(unit, self._desk.near(unit, Kind.AUTHORISATION, scope.targets))
        handle = parties.by_id(unit, holder).handle
        if not _agreed(unit, holder, Permission.SCANNING_CLAIM):
            return _not_allowed()
        paused: datetime | None = None
        for each in found:
            read = self.open(unit, each, reader=READER)
            if not read.allows(scope, handle) or not _stands(unit, read):
                continue
            end = min(until, each.until)
            spell = first_within(read.blackouts, unit.now, end)
            if spell is None or spell[0] > unit.now:
                return Admission(read, end if spell is None else spell[0])
            paused = spell[1] if paused is None else min(paused, spell[1])
        if paused is not None:
            return ConflictError(
                "The owner wants no scans at this time.",
                next_step="Claim again when the blackout is over.",
                facts={"until": paused.isoformat()},
            )
        return _not_allowed()

    def holds(self, unit: UnitOfWork, identity: str, holder: PartyId, scope: LiveScope) -> bool:
        """Whether one authorisation still allows all of `scope` to a holder, at this instant."""
        for each in records.in_force(unit, (identity,)):
            read = self.open(unit, each, reader=READER)
            handle = parties.by_id(unit, holder).handle
            return (
                read.allows(scope, handle)
                and _stands(unit, read)
                and _agreed(unit, holder, Permission.SCANNING_CLAIM)
                and not any_wish_against(unit, scope.targets)
                and first_within(read.blackouts, unit.now, unit.now + timedelta(microseconds=1))
                is None
            )
        return False

    def under(self, unit: UnitOfWork, identity: str) -> Authorisation | None:
        """One authorisation in force, for services alone."""
        for each in records.in_force(unit, (identity,)):
            return self.open(unit, each, reader=READER)
        return None

    def open(self, unit: UnitOfWork, stored: StoredAuthorisation, *, reader: str) -> Authorisation:
        """What stands in a sealed envelope, whose signature was verified when it was lodged."""
        if reader == READER:
            with unit.as_service():
                envelope = self._envelope(unit, stored, reader)
        else:
            envelope = self._envelope(unit, stored, reader)
        return _read(stored, wire.read(dsse.payload_of(envelope)))

    def _envelope(self, unit: UnitOfWork, stored: StoredAuthorisation, reader: str) -> bytes:
        return self._desk.vault.unseal(
            unit,
            stored.compartment,
            place=(*_PLACE, stored.id),
            sealed=stored.envelope,
            reader=reader,
        )


class AuthorisationService:
    """Where owners lodge and withdraw their consent."""

    def __init__(self, sessions: Sessions, desk: LiveDesk, authorisations: Authorisations) -> None:
        self._sessions = sessions
        self._desk = desk
        self._authorisations = authorisations

    def lodge(self, actor: Actor, envelope: bytes) -> Authorisation:
        """Lodge a consent that one of the party's registered keys signed; again changes nothing.

        The party must stand for every target: for its domains and networks as `clearhold party
        verify` shows or a coordinator confirmed, and for sites under its own handle. Raises
        `InvalidError` for what cannot be or was not signed by the party, and `ConflictError` when
        it does not stand for a target.
        """
        actor.need(Permission.PARTIES_WISH)
        if len(envelope) > wire.LARGEST:
            raise InvalidError("The signed authorisation is too long to be one.")
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            payload, consent, key = _verified(unit, actor, envelope)
            # Of the statement: an envelope can be written anew around what was withdrawn.
            digest = self._desk.vault.matching_hash("live-authorisation", payload.hex())
            known = records.by_digest(unit, actor.party, digest)
            if known is not None:
                return self._authorisations.open(unit, known, reader=actor.principal)
            within = self._desk.vault.open_compartment(unit)
            identity = new_id(unit.now)
            sealed = self._desk.vault.seal(
                unit, within, place=(*_PLACE, identity), content=envelope
            )
            stored = StoredAuthorisation(
                identity,
                actor.party,
                within,
                sealed,
                digest,
                key,
                consent.not_before,
                consent.until,
                unit.now,
                None,
            )
            new = _read(stored, consent)
            _check(new, unit.now)
            if not owns(unit, actor.party, new.targets):
                raise ConflictError(
                    "Your party does not stand for every target.",
                    next_step="Verify domains with `clearhold party verify`, ask your coordinator "
                    "to confirm networks, and name sites under your own handle.",
                )
            if records.standing_of(unit, actor.party) >= MOST_STANDING:
                raise ConflictError(f"A party has at most {MOST_STANDING} authorisations.")
            read_in(unit, within, Grantee(actor.party), tier=0, reason="owner", granted_by=READER)
            records.add_authorisation(unit, stored)
            self._desk.put_places(unit, identity, Kind.AUTHORISATION, new.targets)
            unit.record(
                "scanning:authorisation:lodge",
                actor=actor.principal,
                subject=identity,
                compartment=within,
                detail={"key": key},
            )
            return new

    def list(self, actor: Actor) -> tuple[Authorisation, ...]:
        """The party's own authorisations, the newest first."""
        actor.need(Permission.PARTIES_STANDING)
        with self._sessions.transaction() as unit:
            found = records.authorisations(unit, actor, limit=MOST_LISTED)
            return tuple(
                self._authorisations.open(unit, each, reader=actor.principal) for each in found
            )

    def get(self, actor: Actor, identity: str) -> Authorisation:
        """One of the party's own authorisations. Raises `NotFoundError`."""
        actor.need(Permission.PARTIES_STANDING)
        with self._sessions.transaction() as unit:
            return self._authorisations.open(
                unit, owned(unit, actor, identity), reader=actor.principal
            )

    def withdraw(self, actor: Actor, identity: str) -> None:
        """Take consent back at once: leases under it end and their passports are revoked.

        Withdrawing again changes nothing. Raises `NotFoundError`.
        """
        actor.need(Permission.SCANNING_STOP)
        with self._sessions.transaction() as unit:
            stored = owned(unit, actor, identity)
            self._desk.hold(unit)
            if stored.withdrawn_at is not None:
                return
            records.withdraw(unit, identity)
            unit.record(
                "scanning:authorisation:withdraw",
                actor=actor.principal,
                subject=identity,
                compartment=stored.compartment,
            )
            ended = records.standing_under(unit, (identity,))
            self._desk.end(unit, ended, cause=identity, reason=EndReason.WITHDRAWN, by=actor)


def owns(unit: UnitOfWork, owner: PartyId, targets: Sequence[Target]) -> bool:
    """Whether a party stands now for every one of some targets."""
    covering = [subjects.covering(s) for each in targets if (s := subject_of(each)) is not None]
    if covering:
        held = standing_records.held_of(unit, owner, {name for names in covering for name in names})
        if not all(held.intersection(names) for names in covering):
            return False
    sites = {each.where.operator for each in targets if isinstance(each.where, Plant)}
    return not sites or sites == {parties.by_id(unit, owner).handle}


def _stands(unit: UnitOfWork, read: Authorisation) -> bool:
    """Whether its owner stands for its targets and has an agreement in force, both now."""
    owner = read.stored.party
    return _agreed(unit, owner, Permission.PARTIES_WISH) and owns(unit, owner, read.targets)


def _agreed(unit: UnitOfWork, party: PartyId, permission: Permission) -> bool:
    """Whether a party is bound by an agreement that opens this; coordinators need none."""
    kind = parties.by_id(unit, party).kind
    return kind is PartyKind.COORDINATOR or allowances.allows(unit, party, permission)


def any_wish_against(unit: UnitOfWork, targets: Sequence[Target]) -> bool:
    """Whether somebody who stands for a target wishes not to have it scanned."""
    about = [subject for each in targets if (subject := subject_of(each)) is not None]
    return bool(about) and wishes.for_subjects(unit, about).do_not_scan


def _verified(unit: UnitOfWork, actor: Actor, envelope: bytes) -> tuple[bytes, ScanConsent, str]:
    payload, key = signed_by(unit, actor.party, envelope, wire.PAYLOAD_TYPE, what="authorisation")
    consent = wire.read(payload)
    if consent.party != actor.party:
        raise InvalidError("What was signed is the authorisation of another party.")
    return payload, consent, key


def _read(stored: StoredAuthorisation, consent: ScanConsent) -> Authorisation:
    try:
        techniques = frozenset(map(Technique, consent.techniques))
        depth = Depth(consent.depth)
    except ValueError as error:
        raise InvalidError("There is no such technique or depth for live systems.") from error
    if not techniques or not techniques <= LIVE_TECHNIQUES:
        raise InvalidError(
            "An authorisation names techniques for live systems.",
            next_step=f"They are {', '.join(sorted(LIVE_TECHNIQUES))}.",
        )
    if len(consent.blackouts) > MOST_BLACKOUTS:
        raise InvalidError(f"An authorisation has at most {MOST_BLACKOUTS} blackouts.")
    return Authorisation(
        stored,
        consent,
        make_targets(consent.targets),
        techniques,
        depth,
        tuple(map(parse_blackout, consent.blackouts)),
    )


def _check(new: Authorisation, now: datetime) -> None:
    consent = new.consent
    if not consent.not_before < consent.until or consent.until - consent.not_before > LONGEST:
        raise InvalidError(f"An authorisation is for more than no time and {LONGEST.days} days.")
    if consent.until <= now:
        raise InvalidError("The authorisation is over already.")
    if not 0 < consent.requests_per_second <= MOST_RATE:
        raise InvalidError(f"A rate is 1 to {MOST_RATE} requests per second.")
    if not 0 < consent.concurrency <= MOST_AT_ONCE:
        raise InvalidError(f"1 to {MOST_AT_ONCE} leases may stand at once.")
    if consent.holders is not None and not 0 < len(consent.holders) <= MOST_HOLDERS:
        raise InvalidError(f"1 to {MOST_HOLDERS} holders are named, or none for all.")
    contact = consent.contact
    if not contact.strip() or len(contact) > LONGEST_CONTACT or not contact.isprintable():
        raise InvalidError("The contact of the security centre is one line of text.")
    if not 8 <= len(consent.nonce) <= 64:
        raise InvalidError("The nonce has 8 to 64 characters.")


def owned(unit: UnitOfWork, actor: Actor, identity: str) -> StoredAuthorisation:
    """One of the authorisations of the party of the actor. Raises `NotFoundError`."""
    for each in records.authorisations(unit, actor, identity, limit=1):
        return each
    raise NotFoundError(
        "There is no such authorisation.", next_step="See `clearhold scan authorisation list`."
    )


def _not_allowed() -> ConflictError:
    return ConflictError(
        "No owner's authorisation lets you do all of this now.",
        next_step="Ask the owner to sign one for these targets, this technique, depth and time.",
    )
