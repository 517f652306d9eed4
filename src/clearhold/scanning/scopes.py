"""The scope sealed with each lease, for its holder and for services that act under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from clearhold.access.model import Actor
from clearhold.kernel.ids import CompartmentId, LeaseId
from clearhold.scanning.model import Lease, State
from clearhold.scanning.records import StoredLease
from clearhold.scanning.scope import Scope, from_plain
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault


@dataclass(frozen=True, slots=True)
class SealedContent:
    """What is sealed with a lease: its scope, and whether others were there when it was granted."""

    scope: Scope
    others_there: bool


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease as its holder sees it.

    `state` takes the time of asking into account; `others_there` says that a lease of somebody else
    overlapped it when it was granted, and nothing else of it.
    """

    lease: Lease
    state: State
    scope: Scope
    others_there: bool
    introduces: bool = False


class _Plain(msgspec.Struct, frozen=True):
    scope: Mapping[str, Any]
    others_there: bool = False


class SealedScopes:
    """Seals and opens the content of leases."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(
        self, unit: UnitOfWork, within: CompartmentId, lease: LeaseId, content: SealedContent
    ) -> bytes:
        """What stands in the lease's row."""
        plain = _Plain(content.scope.to_plain(), content.others_there)
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
        return SealedContent(from_plain(plain.scope), plain.others_there)

    def view(self, unit: UnitOfWork, actor: Actor, held: StoredLease) -> LeaseView:
        """A lease with its scope, released to its holder."""
        content = self.open(unit, held, reader=actor.principal)
        return LeaseView(
            held.lease,
            held.lease.state_at(unit.now),
            content.scope,
            content.others_there,
            introduces=held.introduce is not None,
        )


def _place(lease: LeaseId) -> tuple[str, str, str]:
    return ("scan_lease", "scope", lease)
