"""The scope sealed with each lease, for its holder and for services that act under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from clearhold.access.model import Actor
from clearhold.kernel.ids import CompartmentId, LeaseId
from clearhold.scanning.model import Lease, Scope, State
from clearhold.scanning.records import StoredLease
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault


@dataclass(frozen=True, slots=True)
class SealedContent:
    """What is sealed with a lease: its scope, and those of its paths others had leased too."""

    scope: Scope
    also_leased: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease as its holder sees it.

    `state` takes the time of asking into account; `also_leased` are those of the scope's own paths
    that another lease reached when this one was granted.
    """

    lease: Lease
    state: State
    scope: Scope
    also_leased: tuple[str, ...]


class _Plain(msgspec.Struct, frozen=True):
    scope: Mapping[str, Any]
    also_leased: tuple[str, ...]


class SealedScopes:
    """Seals and opens the content of leases."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(
        self, unit: UnitOfWork, within: CompartmentId, lease: LeaseId, content: SealedContent
    ) -> bytes:
        """What stands in the lease's row."""
        plain = _Plain(content.scope.to_plain(), content.also_leased)
        return self._vault.seal(
            unit,
            within,
            place=_place(lease),
            content=msgspec.json.encode(plain, order="sorted"),
        )

    def open(self, unit: UnitOfWork, held: StoredLease, *, reader: str) -> SealedContent:
        """The content of a lease, released to `reader`."""
        content = self._vault.unseal(
            unit,
            held.lease.compartment,
            place=_place(held.lease.id),
            sealed=held.scope,
            reader=reader,
        )
        plain = msgspec.json.decode(content, type=_Plain)
        return SealedContent(Scope.from_plain(plain.scope), plain.also_leased)

    def view(self, unit: UnitOfWork, actor: Actor, held: StoredLease) -> LeaseView:
        """A lease with its scope, released to its holder."""
        content = self.open(unit, held, reader=actor.principal)
        state = held.lease.state_at(unit.now)
        return LeaseView(held.lease, state, content.scope, content.also_leased)


def _place(lease: LeaseId) -> tuple[str, str, str]:
    return ("scan_lease", "scope", lease)
