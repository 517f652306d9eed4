"""The answer to whether something is known, and what it may look at."""

from __future__ import annotations

from collections.abc import Iterable

from clearhold.adapters.second_key_http import HttpSecondKey
from clearhold.adapters.secret_file import secret_in
from clearhold.advisories import records as advisory_records
from clearhold.findings.known import service as known_service
from clearhold.findings.known.service import KnownService, Quotas
from clearhold.findings.service import FindingService
from clearhold.kernel.ids import FindingId
from clearhold.kernel.purl import Purl
from clearhold.ports.engine import TaskEngine
from clearhold.ports.keys import KeyRing
from clearhold.settings import Settings
from clearhold.store.unit_of_work import Sessions, UnitOfWork
from clearhold.validation.shelf import Shelf


def known_of(
    settings: Settings,
    sessions: Sessions,
    findings: FindingService,
    *,
    ring: KeyRing,
    engine: TaskEngine,
) -> KnownService:
    """The known-check of a hub, with the second holder of its key where one is named."""
    shelf = Shelf(settings.recipe_directory)

    def public_files(package: Purl) -> Iterable[bytes]:
        recipe = shelf.find(str(package))
        return () if recipe is None else recipe.files.values()

    def public_name(unit: UnitOfWork, finding: FindingId) -> str | None:
        case = findings.head(unit, finding).case
        return None if case is None else advisory_records.published_of(unit, case)

    second = None
    if settings.known_second:
        second = HttpSecondKey(
            settings.known_second,
            secret_in(settings.key_directory / "known-second", "The second holder's token"),
        )
    known = KnownService(
        sessions,
        findings,
        ring=ring,
        second=second,
        quotas=Quotas(settings.known_questions, settings.known_claims),
        public_files=public_files,
        public_name=public_name,
    )
    engine.register(known_service.INDEX, known.index)
    return known
