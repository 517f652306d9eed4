"""Matching every inventory against an advisory, and an advisory list against a new inventory.

Who is not affected gets nothing: no row, no count, no ledger leaf in any compartment they are read
in to. Both flows may run again at any time and end in the same state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from clearhold.access import allowances
from clearhold.access.permissions import Permission
from clearhold.advisories.service import AdvisoryService, Matter
from clearhold.inventory.model import Candidate, Holding
from clearhold.inventory.records import compartment_of
from clearhold.inventory.service import InventoryService
from clearhold.kernel.ids import ActionId, AdvisoryId, CompartmentId, InventoryId, new_id
from clearhold.remediation import records
from clearhold.remediation.actions import Details, seal
from clearhold.remediation.matching import advise, hits
from clearhold.remediation.model import ActionState, Hit, prioritise
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.vault.service import Vault

MATCH: Final = "remediation.match"
READER: Final = "service:remediation"


class Matching:
    """The flows `remediation.match` and `on:inventory.uploaded`."""

    def __init__(
        self,
        sessions: Sessions,
        vault: Vault,
        *,
        advisories: AdvisoryService,
        inventories: InventoryService,
    ) -> None:
        self._sessions = sessions
        self._vault = vault
        self._advisories = advisories
        self._inventories = inventories

    def match(self, arguments: Mapping[str, str]) -> None:
        """Match the advisory named in `arguments` against every operator's newest inventory."""
        identity = AdvisoryId(arguments["advisory"])
        with self._sessions.transaction() as unit:
            matter = self._advisories.matter(unit, identity, reader=READER)
            if matter is None:
                return
            self._stand(unit, matter)
        # An inventory uploaded after this point finds the advisory standing and matches itself;
        # one uploaded before is among the candidates.
        with self._sessions.transaction() as unit:
            found = {
                each.inventory: each
                for each in self._inventories.candidates(unit, matter.advisory.affected)
            }
            for inventory in records.inventories_of(unit, identity):
                known = self._inventories.newest(unit, inventory)
                if known is not None:
                    found.setdefault(inventory, known)
        for candidate in found.values():
            self._judge(matter, self._open(candidate))

    def rematch(self, arguments: Mapping[str, str]) -> None:
        """Match the newly uploaded inventory named in `arguments` against all that stands."""
        inventory = InventoryId(arguments["inventory"])
        with self._sessions.transaction() as unit:
            candidate = self._inventories.newest(unit, inventory)
            matters = [self._recall(unit, each) for each in records.standing(unit)]
        if candidate is None or not matters:
            return
        holding = self._open(candidate)
        for matter in matters:
            self._judge(matter, holding)

    def _stand(self, unit: UnitOfWork, matter: Matter) -> None:
        known = records.standing(unit, matter.id)
        within = known[0].compartment if known else self._vault.open_compartment(unit)
        body = self._vault.seal(
            unit, within, place=_place(matter.id), content=msgspec.json.encode(matter)
        )
        records.stand(unit, matter.id, compartment=within, body=body)
        unit.record(
            "remediation:advisory:match", actor=READER, subject=matter.id, compartment=within
        )

    def _recall(self, unit: UnitOfWork, standing: records.Standing) -> Matter:
        content = self._vault.unseal(
            unit,
            standing.compartment,
            place=_place(standing.advisory),
            sealed=standing.body,
            reader=READER,
        )
        return msgspec.json.decode(content, type=Matter)

    def _open(self, candidate: Candidate) -> Holding:
        with self._sessions.transaction() as unit:
            return self._inventories.open_for_matching(unit, candidate, reader=READER)

    def _judge(self, matter: Matter, holding: Holding) -> None:
        found = hits(matter.advisory, holding)
        with self._sessions.transaction() as unit:
            newest = self._inventories.newest(unit, holding.inventory)
            if newest is None or newest.revision != holding.revision:
                return  # the newer revision's own upload matches it
            known = records.on(unit, matter.id, holding.inventory)
            if matter.early_notice and not allowances.allows(
                unit, holding.party, Permission.REMEDIATION_READ
            ):
                return  # what is not public yet is for parties whose agreement is in force
            if found:
                self._act(unit, matter, holding, found, known)
            elif known is not None and known.revision != holding.revision:
                records.change(unit, known.id, revision=holding.revision, state=_gone(known.state))

    def _act(
        self,
        unit: UnitOfWork,
        matter: Matter,
        holding: Holding,
        found: tuple[Hit, ...],
        known: records.Kept | None,
    ) -> None:
        priority = prioritise(
            holding.profile,
            matter.facts,
            profile_source=f"the operator's profile of “{holding.name}”",
            collision=matter.collision,
        )
        starts_at = matter.starts_at or unit.now
        details = Details(
            advisory=matter.public_id,
            title=matter.advisory.title,
            inventory=holding.name,
            revision=holding.revision,
            hits=found,
            priority=priority,
            advice=advise(matter, holding, found, priority=priority),
        )
        identity = ActionId(new_id(unit.now)) if known is None else known.id
        within = compartment_of(unit, holding.inventory) if known is None else known.compartment
        values = {
            "revision": holding.revision,
            "early_notice": matter.early_notice,
            "starts_at": starts_at,
            "due_at": priority.due(starts_at),
            "body": seal(self._vault, unit, within, identity, details),
        }
        if known is not None:
            reopened = known.revision != holding.revision and known.state in _REOPENED
            records.change(
                unit, known.id, state=ActionState.OPEN if reopened else known.state, **values
            )
            return
        records.add(
            unit,
            identity,
            of=matter.id,
            inventory=holding.inventory,
            party=holding.party,
            compartment=within,
            state=ActionState.OPEN,
            **values,
        )
        standing = records.standing(unit, matter.id)[0]
        unit.record(
            "remediation:action:open",
            actor=READER,
            subject=identity,
            compartment=CompartmentId(standing.compartment),
        )


_REOPENED: Final = frozenset(
    {ActionState.NOT_PRESENT, ActionState.VERIFIED_FIXED, ActionState.APPLIED}
)
"""States that a newer inventory contradicts when it still holds what is affected."""


def _gone(state: ActionState) -> ActionState:
    """The state once a newer inventory no longer holds it: what receipts proved is kept."""
    return state if state is ActionState.VERIFIED_FIXED else ActionState.NOT_PRESENT


def _place(advisory: AdvisoryId) -> tuple[str, str, str]:
    return ("remediation_matter", "body", advisory)
