"""An advisory opened together with its case and its fix: what publishing and priorities need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from clearhold.advisories.case_file import CaseFile, CaseFiles
from clearhold.advisories.draft import Draft, advisory_of
from clearhold.advisories.model import Advisory, Publisher
from clearhold.advisories.records import Kept
from clearhold.kernel.ids import AdvisoryId, CompartmentId
from clearhold.patches.judging import Delivery
from clearhold.store.unit_of_work import UnitOfWork
from clearhold.vault.service import Vault


@dataclass(frozen=True, slots=True)
class Dossier:
    """An advisory with everything it is made from."""

    kept: Kept
    draft: Draft
    case: CaseFile
    delivery: Delivery | None
    publisher: Publisher

    def advisory(self, published: datetime) -> Advisory:
        """What is said, as published at `published`. Raises `InvalidError`."""
        return advisory_of(
            self.draft,
            self.kept.public_id,
            publisher=self.publisher,
            published=published,
            delivered=None if self.delivery is None else self.delivery.manifest.version,
        )


class Dossiers:
    """Seals drafts and opens dossiers."""

    def __init__(self, vault: Vault, cases: CaseFiles, publisher: Publisher) -> None:
        self.cases = cases
        self.publisher = publisher
        self._vault = vault

    def seal(
        self, unit: UnitOfWork, identity: AdvisoryId, within: CompartmentId, draft: Draft
    ) -> bytes:
        """The draft as it is kept."""
        return self._vault.seal(
            unit, within, place=_place(identity), content=msgspec.json.encode(draft)
        )

    def unseal(self, unit: UnitOfWork, kept: Kept, *, reader: str) -> Draft:
        """The draft, released to `reader`."""
        content = self._vault.unseal(
            unit, kept.compartment, place=_place(kept.id), sealed=kept.body, reader=reader
        )
        return msgspec.json.decode(content, type=Draft)

    def digest(self, of: str) -> bytes:
        """What tells one request from another without revealing either."""
        return self._vault.matching_hash("advisory-request", of)

    def request_key(self, party: str, key: str) -> str:
        """What is stored of the key that names a request."""
        return self._vault.request_key(party, key)

    def open(self, unit: UnitOfWork, kept: Kept, *, reader: str) -> Dossier:
        """Everything the advisory is made from, released to `reader`."""
        # The case is locked before the ledger, as everywhere, so that no two wait for each other.
        case = self.cases.current(unit, kept.case)
        return Dossier(
            kept=kept,
            draft=self.unseal(unit, kept, reader=reader),
            case=case,
            delivery=self.cases.delivery(unit, kept.case, reader=reader),
            publisher=self.publisher,
        )


def _place(identity: AdvisoryId) -> tuple[str, str, str]:
    return ("advisory", "body", identity)
