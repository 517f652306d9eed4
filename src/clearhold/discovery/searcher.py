"""Searching in a laboratory of this machine, as the discovery service asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from clearhold.discovery.agents.engine_model import ModelEngine
from clearhold.discovery.engine import Engine, Engines, Plan, Progress, Searched, Start, Workspace
from clearhold.discovery.engine_afl import Afl
from clearhold.discovery.engine_atheris import Atheris
from clearhold.discovery.engine_libfuzzer import LibFuzzer
from clearhold.discovery.fuzzing import FuzzingEngine
from clearhold.discovery.static.analysers import all_analysers
from clearhold.discovery.static.engine_static import StaticEngine
from clearhold.discovery.variants.engine_variants import VariantEngine
from clearhold.kernel.errors import UnavailableError
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.ports.model import Model
from clearhold.ports.releases import ReleaseLists
from clearhold.settings import LEAST_CONTEXT
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side, SideSource
from clearhold.validation.releases import Listed, published_releases


def all_engines(model: Model | None = None, *, context: int = LEAST_CONTEXT) -> Engines:
    """Every engine there is; whether a machine has what one needs shows when it searches.

    `model` is the one to search with, `context` how many tokens it takes in.
    """
    fuzzers = (FuzzingEngine(each) for each in (LibFuzzer(), Afl(), Atheris()))
    readers: tuple[Engine, ...] = (*map(StaticEngine, all_analysers()), VariantEngine())
    return Engines((*fuzzers, ModelEngine(model, context=context), *readers))


class LaboratorySearcher:
    """Searches the targets of the recipes that the laboratory knows."""

    def __init__(
        self,
        laboratory: Laboratory,
        engines: Engines | None = None,
        *,
        lists: ReleaseLists | None = None,
    ) -> None:
        self._laboratory = laboratory
        self._engines = engines or all_engines()
        self._lists = lists

    def engine(self, name: str) -> Engine:
        """The engine of that name. Raises `InvalidError`."""
        return self._engines.get(name)

    def targets(self, package: str, engine: str) -> tuple[str, ...]:
        """What an engine can search of the package, when a recipe is about this very version."""
        recipe = self._recipe(package)
        return () if recipe is None else self.engine(engine).targets(recipe)

    def newer(self, package: str, target: str, *, after: str) -> SideSource | None:
        """The newest release when it is newer than `after`, its archives pinned by hash.

        It is laid out like the version that a recipe is about; None when there is no such recipe or
        release. Raises what asking the registry and fetching raise.
        """
        recipe = self._recipe(package, target=target, any_version=True)
        if recipe is None:
            return None
        newest = published_releases(recipe, self._lists)[0][-1]
        key = scheme_for(Purl.parse(package).type).key
        if key(newest.version) <= key(after):
            return None
        return newest.pinned(self._laboratory) if isinstance(newest, Listed) else newest

    def search(
        self,
        plan: Plan,
        start: Start,
        *,
        on_progress: Callable[[Progress], None],
        pulse: Callable[[], None],
    ) -> Searched:
        """Let the plan's engine search in this laboratory."""
        recipe = self._recipe(plan.package, target=plan.target, any_version=plan.source is not None)
        if recipe is not None and plan.source is not None:
            recipe = replace(recipe, sides={Side.VULNERABLE: plan.source})
        if recipe is None:
            raise UnavailableError(
                "The recipe of this package is gone.", next_step="Restore the recipe."
            )
        workspace = Workspace(self._laboratory, recipe, start, pulse)
        return self.engine(plan.engine).search(plan, workspace, on_progress)

    def _recipe(
        self, package: str, target: str = "", *, any_version: bool = False
    ) -> Recipe | None:
        """The recipe about this very version, or about the package, when there is one."""
        purl = Purl.parse(package)
        version = purl.version or ""
        targets = (target,) if target else ()
        found = self._laboratory.recipes.find(str(purl.package), version=version, targets=targets)
        if found is None or (not any_version and found.side(Side.VULNERABLE).version != version):
            return None
        return found
