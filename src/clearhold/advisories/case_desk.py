"""Looking up cases and their accepted patches for those who publish."""

from __future__ import annotations

from clearhold.access.grants import Tier
from clearhold.access.model import Actor
from clearhold.advisories.case_file import CaseFile
from clearhold.cases import entry, progress
from clearhold.cases.collisions import collision_in
from clearhold.cases.material import CaseMaterial
from clearhold.kernel.ids import CaseId
from clearhold.patches.judging import Delivery
from clearhold.patches.service import PatchService
from clearhold.store.unit_of_work import UnitOfWork


class CaseDesk:
    """Implements `case_file.CaseFiles` on the modules `cases` and `patches`."""

    def __init__(self, material: CaseMaterial, patches: PatchService) -> None:
        self._material = material
        self._patches = patches

    def visible(self, unit: UnitOfWork, actor: Actor, case: CaseId) -> CaseFile:
        """The case, if the actor may see it. Raises `NotFoundError`."""
        entry.seen(unit, actor, case, tier=Tier.FIX)
        return self.current(unit, case)

    def current(self, unit: UnitOfWork, case: CaseId) -> CaseFile:
        """The case as it stands now, for a service's own work."""
        held = progress.current(unit, case)
        term = progress.embargo_of(unit, case)
        return CaseFile(
            id=case,
            compartment=held.compartment,
            level=self._material.level(unit, case),
            embargo_ends=term.until if term is not None and term.in_force else None,
            early_notice=term is not None and term.operators_early_notice,
            collision=collision_in(unit, case).danger,
        )

    def delivery(self, unit: UnitOfWork, case: CaseId, *, reader: str) -> Delivery | None:
        """What the case delivers, released to the service `reader`."""
        return self._patches.delivery_of(unit, case, reader=reader)

    def made_public(self, unit: UnitOfWork, case: CaseId, *, by: str) -> None:
        """Record that the public knows, which ends the embargo."""
        progress.mark(unit, case, "P", by=by)
