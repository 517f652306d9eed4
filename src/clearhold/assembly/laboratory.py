"""The laboratory of this machine, which needs no hub, and who examines reports for one."""

from __future__ import annotations

from pathlib import Path

from clearhold.adapters.origins import all_origins
from clearhold.adapters.release_lists import RegistryReleases
from clearhold.adapters.sandbox_bwrap import BUILDERS_UID
from clearhold.adapters.sandbox_strongest import StrongestSandbox
from clearhold.adapters.sources_cache import CachedSources
from clearhold.settings import Settings
from clearhold.validation.builder import Laboratory
from clearhold.validation.examiner import Examiner, LaboratoryExaminer
from clearhold.validation.remote import SpoolExaminer
from clearhold.validation.shelf import Shelf
from clearhold.validation.spool import Spool


def open_laboratory(settings: Settings) -> Laboratory:
    """The laboratory of this machine: its sandbox, its sources and their cache."""
    forbidden = (settings.data_directory, settings.key_directory)
    sandbox = StrongestSandbox(forbidden=forbidden, slots=settings.heavy_slots * 2)
    # A pool and users of their own: builds neither hold up runs nor share a user with them.
    builders = StrongestSandbox(
        forbidden=forbidden, slots=settings.heavy_slots, first_uid=BUILDERS_UID
    )
    cache = settings.cache_directory
    sources = CachedSources(
        cache / "sources",
        origins=all_origins(cache, also=settings.source_networks),
    )
    return Laboratory(
        sandbox,
        sources,
        cache,
        least=settings.least_tier,
        least_code=settings.least_tier_code,
        builders=builders,
        recipes=Shelf(settings.recipe_directory),
    )


def open_examiner(settings: Settings, laboratory: Laboratory) -> Examiner:
    """Who examines reports: the workers of a spool, or this machine."""
    if not settings.validation_spool:
        return LaboratoryExaminer(
            laboratory, RegistryReleases(settings.cache_directory, also=settings.source_networks)
        )
    return SpoolExaminer(Spool(Path(settings.validation_spool)), settings.workers_directory)
