"""An operator's choice to let its inventories count towards how exposed a package is.

What is counted is how many operators who agreed run a package, by the keyed index alone: nothing is
opened, and neither who nor which version is told. It is counted once a week for everybody, so that
no count can be tied to one upload or one change of mind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from clearhold.access import allowances
from clearhold.access.model import Actor
from clearhold.access.permissions import Permission
from clearhold.inventory.service import package_key
from clearhold.inventory.tables import inventory, inventory_package, inventory_sharing
from clearhold.kernel.events import Event
from clearhold.kernel.ids import PartyId, new_id
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

CHANGED: Final = "inventory.sharing-changed"
_AT_ONCE: Final = 500


class InventorySharing:
    """Who shares that it runs what, in counts alone."""

    def __init__(self, sessions: Sessions, vault: Vault) -> None:
        self._sessions = sessions
        self._vault = vault

    def share(self, actor: Actor, *, wanted: bool) -> bool:
        """Let the actor's inventories be counted, or no longer, from the next count on."""
        actor.need(Permission.INVENTORY_WRITE)
        with self._sessions.transaction() as unit:
            if _shares(unit, actor.party) is wanted:
                return wanted
            if wanted:
                insert = sqlite.insert if _on_sqlite(unit) else postgresql.insert
                unit.connection.execute(
                    insert(inventory_sharing)
                    .values(party=actor.party, since=unit.now)
                    .on_conflict_do_nothing()
                )
            else:
                unit.connection.execute(
                    delete(inventory_sharing).where(inventory_sharing.c.party == actor.party)
                )
            act = "share" if wanted else "withdraw"
            unit.record(f"inventory:exposure:{act}", actor=actor.principal, subject=actor.party)
            unit.publish(Event(CHANGED, new_id(unit.now), {"party": actor.party}))
            return wanted

    def shares(self, actor: Actor) -> bool:
        """Whether the actor's inventories are counted."""
        actor.need(Permission.INVENTORY_READ)
        with self._sessions.transaction() as unit:
            return _shares(unit, actor.party)

    def anybody(self, unit: UnitOfWork) -> bool:
        """Whether any operator shares: for services alone."""
        return bool(_parties(unit))

    def holders(self, unit: UnitOfWork, packages: Iterable[str]) -> dict[str, int]:
        """How many operators who share run each package, those that some run: for services alone.

        An operator with several inventories counts once; one whose agreement is not in force does
        not count.
        """
        sharing = [
            party
            for party in _parties(unit)
            if allowances.allows(unit, party, Permission.INVENTORY_WRITE)
        ]
        by_key = {package_key(self._vault, package): package for package in packages}
        keys = sorted(by_key)
        counts: dict[str, int] = {}
        if not sharing:
            return counts
        for place in range(0, len(keys), _AT_ONCE):
            rows = unit.connection.execute(
                select(inventory_package.c.package_key, func.count(inventory.c.party.distinct()))
                .join(inventory, inventory.c.id == inventory_package.c.inventory)
                .where(
                    inventory_package.c.package_key.in_(keys[place : place + _AT_ONCE]),
                    inventory.c.party.in_(sharing),
                )
                .group_by(inventory_package.c.package_key)
            )
            counts |= {by_key[bytes(key)]: count for key, count in rows}
        return counts


def _shares(unit: UnitOfWork, party: PartyId) -> bool:
    mine = select(inventory_sharing.c.party).where(inventory_sharing.c.party == party)
    return unit.connection.execute(mine).first() is not None


def _parties(unit: UnitOfWork) -> tuple[PartyId, ...]:
    found = select(inventory_sharing.c.party).order_by(inventory_sharing.c.party)
    return tuple(map(PartyId, unit.connection.execute(found).scalars()))


def _on_sqlite(unit: UnitOfWork) -> bool:
    return unit.connection.dialect.name == "sqlite"
