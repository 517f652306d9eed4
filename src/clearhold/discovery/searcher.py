"""Searching in a laboratory of this machine, as the discovery service asks for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from clearhold.discovery.agents.engine_model import ModelEngine
from clearhold.discovery.engine import Engine, Engines, Plan, Progress, Searched, Start, Workspace
from clearhold.discovery.engine_afl import Afl
from clearhold.discovery.engine_atheris import Atheris
from clearhold.discovery.engine_libfuzzer import LibFuzzer
from clearhold.discovery.following import (
    Following,
    Moved,
    Step,
    address_of,
    at_commit,
    base_of,
    next_commit,
    origin,
)
from clearhold.discovery.fuzzing import FuzzingEngine
from clearhold.discovery.static.analysers import all_analysers
from clearhold.discovery.static.engine_codeql import CodeqlEngine
from clearhold.discovery.static.engine_static import StaticEngine
from clearhold.discovery.variants.engine_variants import VariantEngine
from clearhold.kernel.errors import (
    ClearholdError,
    InvalidError,
    TooLargeError,
    UnavailableError,
)
from clearhold.kernel.purl import Purl
from clearhold.kernel.versions import scheme_for
from clearhold.ports.model import Model
from clearhold.ports.releases import ReleaseLists
from clearhold.ports.repositories import Repositories
from clearhold.settings import LEAST_CONTEXT
from clearhold.validation.builder import Laboratory
from clearhold.validation.recipe import Recipe, Side, SideSource
from clearhold.validation.releases import Listed, published_releases


def all_engines(model: Model | None = None, *, context: int = LEAST_CONTEXT) -> Engines:
    """Every engine there is; whether a machine has what one needs shows when it searches.

    `model` is the one to search with, `context` how many tokens it takes in.
    """
    fuzzers = (FuzzingEngine(each) for each in (LibFuzzer(), Afl(), Atheris()))
    readers: tuple[Engine, ...] = (
        *map(StaticEngine, all_analysers()),
        CodeqlEngine(),
        VariantEngine(),
    )
    return Engines((*fuzzers, ModelEngine(model, context=context), *readers))


class LaboratorySearcher:
    """Searches the targets of the recipes that the laboratory knows."""

    def __init__(
        self,
        laboratory: Laboratory,
        engines: Engines | None = None,
        *,
        lists: ReleaseLists | None = None,
        repositories: Repositories | None = None,
    ) -> None:
        self._laboratory = laboratory
        self._engines = engines or all_engines()
        self._lists = lists
        self._repositories = repositories

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

    def followed(self, plan: Plan, ref: str) -> Following:
        """What is remembered of refs before the first look at them.

        Raises `InvalidError` when the recipe names no repository, `UnavailableError` without a recipe.
        """
        recipe = self._any(plan)
        return Following(ref, base_of(plan, address_of(recipe)[1]))

    def moved(self, plan: Plan, following: Following) -> Moved:
        """The next new commit at the refs that are followed, its tree pinned by hash.

        A commit that cannot be laid out is passed over, and said. Raises what asking the repository
        and fetching raise.
        """
        if self._repositories is None:
            raise UnavailableError(
                "No repository can be asked here.", next_step="Watch for releases instead."
            )
        recipe = self._any(plan)
        address, _ = address_of(recipe)
        step = next_commit(following, self._repositories.heads(address, following.ref))
        if not step.commit:
            return Moved(step.following)
        try:
            pinned = self._laboratory.pin(origin(address, step.commit))
        except (InvalidError, TooLargeError) as problem:
            return Moved(step.following, note=f"{step.commit} was not searched: {problem.message}")
        return Moved(
            step.following,
            at_commit(recipe, address, step.commit, pinned),
            self._changed(address, step),
        )

    def _changed(self, address: str, step: Step) -> tuple[str, ...]:
        """The files that changed up to a commit; none when that cannot be told."""
        if not step.before or self._repositories is None:
            return ()
        with suppress(ClearholdError):  # it is an order of looking, and no reason not to look
            return self._repositories.changed(address, step.before, step.commit)
        return ()

    def _any(self, plan: Plan) -> Recipe:
        """The recipe about a plan's package. Raises `UnavailableError`."""
        recipe = self._recipe(plan.package, target=plan.target, any_version=True)
        if recipe is None:
            raise _gone()
        return recipe

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
            raise _gone()
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


def _gone() -> UnavailableError:
    return UnavailableError("The recipe of this package is gone.", next_step="Restore the recipe.")
