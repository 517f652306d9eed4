"""Searching in a laboratory of this machine, as the discovery service asks for it."""

from __future__ import annotations

from collections.abc import Callable

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
from clearhold.ports.model import Model
from clearhold.settings import LEAST_CONTEXT
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side


def all_engines(model: Model | None = None, *, context: int = LEAST_CONTEXT) -> Engines:
    """Every engine there is; whether a machine has what one needs shows when it searches.

    `model` is the one to search with, `context` how many tokens it takes in.
    """
    fuzzers = (FuzzingEngine(each) for each in (LibFuzzer(), Afl(), Atheris()))
    readers: tuple[Engine, ...] = (*map(StaticEngine, all_analysers()), VariantEngine())
    return Engines((*fuzzers, ModelEngine(model, context=context), *readers))


class LaboratorySearcher:
    """Searches the targets of the recipes that the laboratory knows."""

    def __init__(self, laboratory: Laboratory, engines: Engines | None = None) -> None:
        self._laboratory = laboratory
        self._engines = engines or all_engines()

    def engine(self, name: str) -> Engine:
        """The engine of that name. Raises `InvalidError`."""
        return self._engines.get(name)

    def targets(self, package: str, engine: str) -> tuple[str, ...]:
        """What an engine can search of the package, when a recipe is about this very version."""
        recipe = self._recipe(package)
        return () if recipe is None else self.engine(engine).targets(recipe)

    def search(
        self,
        plan: Plan,
        start: Start,
        *,
        on_progress: Callable[[Progress], None],
        pulse: Callable[[], None],
    ) -> Searched:
        """Let the plan's engine search in this laboratory."""
        recipe = self._recipe(plan.package, target=plan.target)
        if recipe is None:
            raise UnavailableError(
                "The recipe of this package is gone.", next_step="Restore the recipe."
            )
        workspace = Workspace(self._laboratory, recipe, start, pulse)
        return self.engine(plan.engine).search(plan, workspace, on_progress)

    def _recipe(self, package: str, target: str = "") -> Recipe | None:
        """The recipe about this very version, when there is one."""
        purl = Purl.parse(package)
        version = purl.version or ""
        targets = (target,) if target else ()
        found = self._laboratory.recipes.find(str(purl.package), version=version, targets=targets)
        if found is None or found.side(Side.VULNERABLE).version != version:
            return None
        return found
