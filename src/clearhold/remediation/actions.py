"""What an action says once its operator may read it, and how it is kept until then."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from clearhold.kernel.ids import ActionId, CompartmentId
from clearhold.remediation.model import Advice, Hit, Priority
from clearhold.remediation.records import Kept
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault


@dataclass(frozen=True, slots=True)
class Details:
    """Everything about an action: which advisory, which system, what hit it, how urgent, what to do.

    `advisory` is the public id, `inventory` the operator's own name for the system.
    """

    advisory: str
    title: str
    inventory: str
    revision: int
    hits: tuple[Hit, ...]
    priority: Priority
    advice: Advice


def seal(
    vault: Vault, unit: UnitOfWork, within: CompartmentId, action: ActionId, details: Details
) -> bytes:
    """The details as they are kept."""
    return vault.seal(unit, within, place=_place(action), content=msgspec.json.encode(details))


def unseal(vault: Vault, unit: UnitOfWork, kept: Kept, *, reader: str) -> Details:
    """The details of an action, released to `reader`."""
    content = vault.unseal(
        unit, kept.compartment, place=_place(kept.id), sealed=kept.body, reader=reader
    )
    return msgspec.json.decode(content, type=Details)


def _place(action: ActionId) -> tuple[str, str, str]:
    return ("remediation_action", "body", action)
