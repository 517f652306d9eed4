"""The model-testing desk: its services, made together."""

from __future__ import annotations

from dataclasses import dataclass

from clearhold.evaluations.agreements import ModelAgreements
from clearhold.evaluations.engagements import Engagements
from clearhold.store.unit_of_work import Sessions
from clearhold.vault.service import Vault


@dataclass(frozen=True, slots=True)
class ModelDesk:
    """Agreements about testing models, and engagements under them."""

    agreements: ModelAgreements
    engagements: Engagements


def make(sessions: Sessions, vault: Vault) -> ModelDesk:
    """The desk of a hub."""
    agreements = ModelAgreements(sessions, vault)
    return ModelDesk(agreements, Engagements(sessions, vault, agreements))
