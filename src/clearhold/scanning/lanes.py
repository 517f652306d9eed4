"""The lane of a package: which scopes are leased there, opened once per question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from clearhold.kernel.ids import LeaseId
from clearhold.kernel.purl import Purl
from clearhold.scanning import records
from clearhold.scanning.model import Lease, Scope
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault

READER = "service:scanning"


@dataclass(frozen=True, slots=True)
class Held:
    """A lease in force and its scope."""

    lease: Lease
    scope: Scope


class Lanes:
    """Reads and writes the sealed registers of lanes."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def of(self, package: Purl) -> bytes:
        """The keyed name of a package's lane."""
        return self._vault.matching_hash("lane", str(package.package))

    def enter(self, unit: UnitOfWork, name: bytes) -> tuple[int, tuple[Held, ...]]:
        """Hold a lane until the transaction ends; its next fencing token and the leases in force."""
        lane = records.advance_lane(unit, name)
        records.lapse_overdue(unit, name)
        return lane.fence, self._held(unit, (lane,))

    def look(self, unit: UnitOfWork, names: Iterable[bytes]) -> tuple[Held, ...]:
        """The leases in force in some lanes, which are not held."""
        return self._held(unit, records.lanes(unit, names))

    def register(self, unit: UnitOfWork, name: bytes, scopes: Mapping[LeaseId, Scope]) -> None:
        """Write which scopes are leased in a lane that is held; all others are forgotten."""
        known = records.lanes(unit, (name,))[0].compartment
        within = known or self._vault.open_compartment(unit)
        content = msgspec.json.encode(
            {identity: scope.to_plain() for identity, scope in scopes.items()}, order="sorted"
        )
        with unit.as_service():
            sealed = self._vault.seal(unit, within, place=_place(name), content=content)
        records.write_register(unit, name, compartment=within, register=sealed)

    def _held(self, unit: UnitOfWork, lanes: Iterable[records.Lane]) -> tuple[Held, ...]:
        scopes: dict[str, Scope] = {}
        filled = [lane for lane in lanes if lane.register is not None]
        if not filled:
            return ()
        live = records.live_in(unit, [lane.package for lane in filled])
        busy = {each.lane for each in live}
        for lane in filled:
            if lane.package in busy and lane.compartment is not None and lane.register is not None:
                with unit.as_service():
                    content = self._vault.unseal(
                        unit,
                        lane.compartment,
                        place=_place(lane.package),
                        sealed=lane.register,
                        reader=READER,
                    )
                plain: dict[str, Any] = msgspec.json.decode(content)
                scopes |= {key: Scope.from_plain(value) for key, value in plain.items()}
        return tuple(Held(each.lease, scopes[each.lease.id]) for each in live)


def _place(name: bytes) -> tuple[str, str, str]:
    return ("scan_lane", "register", name.hex())
