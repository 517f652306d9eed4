"""What the services for live systems share: their lane, places, pseudonyms, and how leases end.

Everything that grants, ends or revokes on live systems holds one lane, so that a passport is issued
either before a stop, which revokes it, or after, and then it is refused, on either database.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from clearhold.access.model import Actor
from clearhold.kernel.ids import PartyId, new_id
from clearhold.parties import subjects
from clearhold.parties.subjects import Subject
from clearhold.scanning import live_records as records
from clearhold.scanning.live_records import Notice, StoredLiveLease
from clearhold.scanning.live_scope import LiveScope, places_above, places_at
from clearhold.scanning.live_targets import Addresses, Names, Target, network_of
from clearhold.scanning.model import State
from clearhold.scanning.records import advance_lane
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

READER: Final = "service:live-scanning"


class Kind(StrEnum):
    """What has a place in the trees."""

    AUTHORISATION = "authorisation"
    LEASE = "lease"
    STOP = "stop"


class EndReason(StrEnum):
    """Why a lease on live systems ended before its time, as its holder is told."""

    WITHDRAWN = "owner-withdrew"
    EMERGENCY = "emergency-stop"
    LAPSED = "no-longer-authorised"


@dataclass(frozen=True, slots=True)
class Held:
    """A live lease in force and its scope."""

    stored: StoredLiveLease
    scope: LiveScope


class LiveDesk:
    """The common hands of the services for live systems."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault

    def hold(self, unit: UnitOfWork) -> int:
        """Hold the lane of live systems until the transaction ends; the next fencing token."""
        fence = advance_lane(unit, self.lane).fence
        records.lapse(unit)
        return fence

    @property
    def lane(self) -> bytes:
        """The keyed name of the lane of live systems."""
        return self.vault.matching_hash("lane", "live systems")

    def pseudonym(self, owner: PartyId, holder: PartyId) -> str:
        """What an owner may know a holder by: the same for all its scans there, and nowhere else."""
        keyed = self.vault.matching_hash("scan-holder", f"{owner}:{holder}")
        return f"h-{base64.b32encode(keyed[:15]).decode().lower()}"

    def put_places(
        self, unit: UnitOfWork, subject: str, kind: Kind, targets: Sequence[Target]
    ) -> None:
        """Let something be found by its targets."""
        at, above = self._tokens(targets)
        records.put_places(unit, subject, kind, at=at, above=above)

    def near(self, unit: UnitOfWork, kind: Kind, targets: Sequence[Target]) -> frozenset[str]:
        """What of a kind may overlap some targets."""
        at, above = self._tokens(targets)
        return records.near(unit, kind, at=at, above=above)

    def open_scopes(self, unit: UnitOfWork, stored: Iterable[StoredLiveLease]) -> list[Held]:
        """Leases with their scopes, opened by the hub itself."""
        return [Held(each, self.scope_of(unit, each, reader=READER)) for each in stored]

    def scope_of(self, unit: UnitOfWork, stored: StoredLiveLease, *, reader: str) -> LiveScope:
        """The scope of a lease, released to `reader`."""
        if reader == READER:
            with unit.as_service():
                return self._scope(unit, stored, reader)
        return self._scope(unit, stored, reader)

    def _scope(self, unit: UnitOfWork, stored: StoredLiveLease, reader: str) -> LiveScope:
        content = self.vault.unseal(
            unit,
            stored.lease.compartment,
            place=("live_lease", "scope", stored.lease.id),
            sealed=stored.scope,
            reader=reader,
        )
        return LiveScope.from_plain(msgspec.json.decode(content))

    def end(
        self,
        unit: UnitOfWork,
        ended: Sequence[StoredLiveLease],
        *,
        cause: str,
        reason: EndReason,
        by: Actor | None,
    ) -> None:
        """End leases and their passports at once, and leave their holders a notice each.

        Without `by` it is the hub itself that ends them, in the owner's name.
        """
        if not ended:
            return
        ids = [each.lease.id for each in ended]
        owners = records.owners(unit, {each.authorisation for each in ended})
        records.set_state(unit, ids, State.REVOKED)
        records.revoke_passports(unit, ids)
        notices = []
        for each in ended:
            owner = owners[each.authorisation]
            notices.append(
                Notice(
                    id=new_id(unit.now),
                    cause=cause,
                    lease=each.lease.id,
                    party=each.lease.party,
                    owner=owner,
                    by=owner if by is None else by.party,
                    pseudonym=self.pseudonym(owner, each.lease.party),
                    reason=reason,
                    made_at=unit.now,
                    acknowledged_at=None,
                )
            )
            unit.record(
                "scanning:live:end",
                actor=READER if by is None else by.principal,
                subject=each.lease.id,
                compartment=each.lease.compartment,
                detail={"reason": reason},
            )
        records.add_notices(unit, notices)

    def _tokens(self, targets: Sequence[Target]) -> tuple[list[bytes], list[bytes]]:
        def keyed(places: Iterable[str]) -> list[bytes]:
            return [self.vault.matching_hash("live-place", each) for each in places]

        return keyed(places_at(targets)), keyed(places_above(targets))


def subject_of(target: Target) -> Subject | None:
    """Whoever stands for this subject may speak for a target; None for a site of an operator's."""
    if isinstance(target.where, Names):
        return subjects.of_domain(target.where.name)
    if isinstance(target.where, Addresses):
        return subjects.of_network(network_of(target.where))
    return None
