"""What an advisory is drawn from: its case, and the fix that was accepted there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from clearhold.access.model import Actor
from clearhold.findings.danger import Danger
from clearhold.kernel.ids import CaseId, CompartmentId
from clearhold.patches.judging import Delivery
from clearhold.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The state of a case as far as publishing depends on it.

    `level` is the best validation level of its findings. `embargo_ends` is None while no embargo
    was agreed or once it was terminated. `early_notice` says that the parties agreed to tell
    operators before publication that something urgent is coming. `collision` says how dangerous it is
    that several found the flaw.
    """

    id: CaseId
    compartment: CompartmentId
    level: int
    embargo_ends: datetime | None
    early_notice: bool
    collision: Danger = Danger.SINGLE

    def under_embargo(self, now: datetime) -> bool:
        """Whether nothing may be published yet."""
        return self.embargo_ends is not None and now < self.embargo_ends


class CaseFiles(Protocol):
    """The desk where cases and their accepted patches are looked up."""

    def visible(self, unit: UnitOfWork, actor: Actor, case: CaseId) -> CaseFile:
        """The case, if the actor is read in. Raises `NotFoundError`."""
        ...

    def current(self, unit: UnitOfWork, case: CaseId) -> CaseFile:
        """The case, for a service's own work."""
        ...

    def delivery(self, unit: UnitOfWork, case: CaseId, *, reader: str) -> Delivery | None:
        """What the case delivers, released to the service `reader`; None without an adopted fix."""
        ...

    def made_public(self, unit: UnitOfWork, case: CaseId, *, by: str) -> None:
        """Record that the public knows (P), which ends the embargo; once or many times alike."""
        ...
