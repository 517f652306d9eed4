"""Taking in an operator's inventory, and opening it for matching without anybody noticing.

What is matched is a second sealed copy, in a compartment nobody is read in to. Its releases are in
the ledger like any other, but an operator who is read in to their own inventory alone cannot tell
from them that something about their software is being prepared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from clearhold.access.grants import Grantee, read_in
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.inventory import records
from clearhold.inventory.model import (
    AssetProfile,
    Candidate,
    Holding,
    Inventory,
    LeftOut,
    check_name,
    plain_name,
)
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.events import Event
from clearhold.kernel.ids import InventoryId, new_id
from clearhold.kernel.purl import Purl
from clearhold.parties import records as parties
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault
from clearhold.wire import cyclonedx

UPLOADED: Final = "inventory.uploaded"
MEDIA_TYPE: Final = "application/vnd.cyclonedx+json"
_MOST_SHOWN: Final = 1000


class _Summary(msgspec.Struct, frozen=True):
    name: str
    profile: AssetProfile
    components: int
    left_out: tuple[LeftOut, ...]


class _Held(msgspec.Struct, frozen=True):
    name: str
    profile: AssetProfile
    coordinates: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class _Upload:
    name: str
    profile: AssetProfile
    document: bytes
    coordinates: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    request_key: str
    request_digest: bytes
    package_keys: frozenset[bytes]


class InventoryService:
    """Operators' inventories."""

    def __init__(self, sessions: Sessions, vault: Vault) -> None:
        self._sessions = sessions
        self._vault = vault

    def upload(
        self, actor: Actor, *, name: str, document: bytes, profile: AssetProfile, key: str
    ) -> Inventory:
        """Take in a CycloneDX document as the newest revision of the actor's inventory `name`.

        The same `key` with the same content returns what the first call made. Publishes
        `inventory.uploaded`. Raises `InvalidError` or `TooLargeError` for a document that cannot
        be read, and `ConflictError` when `key` was used for something else.
        """
        actor.need(Permission.INVENTORY_WRITE)
        upload = self._read(actor, name, document, profile=profile, key=key)
        with self._sessions.transaction() as unit:
            parties.hold(unit, actor.party)
            earlier = records.earlier_request(unit, actor.party, upload.request_key)
            if earlier is None:
                return self._opened(unit, actor, self._add(unit, actor, upload))
            if earlier.digest != upload.request_digest:
                raise ConflictError(
                    "This idempotency key was used for another upload.",
                    next_step="Send a fresh Idempotency-Key with a new upload.",
                )
            return self._opened(unit, actor, earlier.inventory)

    def list(self, actor: Actor) -> tuple[Inventory, ...]:
        """The actor's inventories, each at its newest revision, in order of their making."""
        actor.need(Permission.INVENTORY_READ)
        with self._sessions.transaction() as unit:
            return tuple(self._show(unit, actor, each) for each in records.listing(unit, actor))

    def get(self, actor: Actor, inventory: InventoryId) -> Inventory:
        """One inventory; raises `NotFoundError` for any the actor may not see."""
        actor.need(Permission.INVENTORY_READ)
        with self._sessions.transaction() as unit:
            return self._opened(unit, actor, inventory)

    def candidates(self, unit: UnitOfWork, packages: Iterable[str]) -> tuple[Candidate, ...]:
        """Every operator's newest inventory that may hold one of `packages` (purls, no version).

        Found by keyed values alone: nothing is opened. Components without a usable package URL
        count when they bear the package's name.
        """
        keys: list[bytes] = []
        for package in packages:
            keys.append(self._package_key(package))
            keys.append(self._name_key(Purl.parse(package).name))
        return records.holding_any(unit, keys)

    def newest(self, unit: UnitOfWork, inventory: InventoryId) -> Candidate | None:
        """The newest revision of an inventory, for a service's own work."""
        return records.newest(unit, inventory)

    def open_for_matching(self, unit: UnitOfWork, candidate: Candidate, *, reader: str) -> Holding:
        """What a candidate holds, released to the service `reader`, which the ledger records."""
        content = self._vault.fetch(unit, records.holding_artifact(unit, candidate), reader=reader)
        held = msgspec.json.decode(content, type=_Held)
        return Holding(
            inventory=candidate.inventory,
            revision=candidate.revision,
            party=candidate.party,
            name=held.name,
            profile=held.profile,
            coordinates=held.coordinates,
            left_out=held.left_out,
        )

    def _read(
        self, actor: Actor, name: str, document: bytes, *, profile: AssetProfile, key: str
    ) -> _Upload:
        check_name(name)
        if not 1 <= len(key) <= 200 or not key.isprintable():
            raise InvalidError(
                "An idempotency key is 1 to 200 printable characters.",
                next_step="Send a fresh UUID in the header Idempotency-Key.",
            )
        bom = cyclonedx.read(document)
        request = msgspec.json.encode([name, profile, hashlib.sha256(document).hexdigest()])
        packages = {str(each.purl.package) for each in bom.components}
        names = {each.name for each in bom.skipped if each.name}
        return _Upload(
            name=name,
            profile=profile,
            document=document,
            coordinates=tuple(dict.fromkeys(str(each.purl) for each in bom.components)),
            left_out=tuple(
                LeftOut(each.name[:200], each.version[:128], each.reason[:300])
                for each in bom.skipped
            ),
            request_key=self._vault.request_key(actor.party, key),
            request_digest=self._vault.matching_hash("inventory-request", request.decode()),
            package_keys=frozenset(
                [self._package_key(package) for package in packages]
                + [self._name_key(given) for given in names]
            ),
        )

    def _add(self, unit: UnitOfWork, actor: Actor, upload: _Upload) -> InventoryId:
        place = self._place(unit, actor, upload.name)
        number = place.newest + 1
        summary = _Summary(
            upload.name, upload.profile, len(upload.coordinates), upload.left_out[:_MOST_SHOWN]
        )
        held = _Held(upload.name, upload.profile, upload.coordinates, upload.left_out)
        records.add_revision(
            unit,
            place.id,
            number,
            owner=actor.party,
            request_key=upload.request_key,
            request_digest=upload.request_digest,
            summary=self._vault.seal(
                unit,
                place.compartment,
                place=_summary_place(place.id, number),
                content=msgspec.json.encode(summary),
            ),
            document=self._vault.store(
                unit, place.compartment, content=upload.document, media_type=MEDIA_TYPE
            ),
            holding=self._vault.store(
                unit,
                place.matching_compartment,
                content=msgspec.json.encode(held),
                media_type="application/json",
            ),
            package_keys=upload.package_keys,
        )
        unit.record(
            "inventory:revision:upload",
            actor=actor.principal,
            subject=place.id,
            compartment=place.compartment,
            detail={"revision": str(number)},
        )
        unit.publish(Event(UPLOADED, f"{place.id}:{number}", {"inventory": place.id}))
        return place.id

    def _place(self, unit: UnitOfWork, actor: Actor, name: str) -> records.Place:
        name_key = self._vault.matching_hash("inventory-name", f"{actor.party}:{name}")
        known = records.by_name(unit, actor.party, name_key)
        if known is not None:
            return known
        place = records.Place(
            id=InventoryId(new_id(unit.now)),
            compartment=self._vault.open_compartment(unit),
            matching_compartment=self._vault.open_compartment(unit),
            newest=0,
        )
        read_in(
            unit,
            place.compartment,
            Grantee(actor.party),
            tier=0,
            reason="owner of the inventory",
            granted_by=actor.principal,
        )
        records.add(unit, place, owner=actor.party, name_key=name_key)
        return place

    def _opened(self, unit: UnitOfWork, actor: Actor, identity: InventoryId) -> Inventory:
        found = records.listing(unit, actor, identity)
        if not found:
            raise NotFoundError("There is no such inventory.")
        return self._show(unit, actor, found[0])

    def _show(self, unit: UnitOfWork, actor: Actor, sealed: records.Sealed) -> Inventory:
        content = self._vault.unseal(
            unit,
            sealed.compartment,
            place=_summary_place(sealed.id, sealed.revision),
            sealed=sealed.summary,
            reader=actor.principal,
        )
        summary = msgspec.json.decode(content, type=_Summary)
        return Inventory(
            id=sealed.id,
            name=summary.name,
            revision=sealed.revision,
            uploaded_at=sealed.uploaded_at,
            profile=summary.profile,
            components=summary.components,
            left_out=summary.left_out,
        )

    def _package_key(self, package: str) -> bytes:
        return package_key(self._vault, package)

    def _name_key(self, name: str) -> bytes:
        return self._vault.matching_hash("inventory-component-name", plain_name(name))


def package_key(vault: Vault, package: str) -> bytes:
    """What stands in the index for a package (a purl without version)."""
    return vault.matching_hash("inventory-package", package)


def _summary_place(identity: InventoryId, number: int) -> tuple[str, str, str]:
    return ("inventory_revision", "summary", f"{identity}:{number}")
