"""Searching in a laboratory of this machine, as the discovery service asks for it."""

from __future__ import annotations

from collections.abc import Callable

from clearhold.discovery.engine_libfuzzer import fuzz
from clearhold.discovery.service import Plan, Searched
from clearhold.kernel.errors import UnavailableError
from clearhold.kernel.purl import Purl
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Flavour, Recipe, Side


class LaboratorySearcher:
    """Searches the targets of the recipes that the laboratory knows."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory

    def targets(self, package: str) -> tuple[str, ...]:
        """The recipe's targets with a harness, when the recipe is about this very version."""
        recipe = self._recipe(package)
        if recipe is None:
            return ()
        return tuple(name for name, target in recipe.targets.items() if target.fuzz)

    def search(self, plan: Plan, *, on_progress: Callable[[int, int], None]) -> Searched:
        """Build the harness, or take it from the cache, and search."""
        recipe = self._recipe(plan.package, target=plan.target)
        if recipe is None:
            raise UnavailableError(
                "The recipe of this package is gone.", next_step="Restore the recipe."
            )
        build = self._laboratory.build(recipe, Side.VULNERABLE, flavour=Flavour.FUZZ)
        found = fuzz(
            self._laboratory,
            build,
            plan.target,
            seed=plan.seed,
            budget_s=plan.budget_s,
            on_progress=on_progress,
        )
        return Searched(found.crash, found.executions, found.edges, found.log)

    def _recipe(self, package: str, target: str = "") -> Recipe | None:
        """The recipe about this very version, when there is one."""
        purl = Purl.parse(package)
        version = purl.version or ""
        targets = (target,) if target else ()
        found = self._laboratory.recipes.find(str(purl.package), version=version, targets=targets)
        if found is None or found.side(Side.VULNERABLE).version != version:
            return None
        return found
