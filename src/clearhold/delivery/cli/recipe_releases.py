"""The two sides of a draft for a package of npm or PyPI: the releases around a fix."""

from __future__ import annotations

from pathlib import Path

from clearhold.adapters.release_lists import of_npm, of_pypi
from clearhold.delivery.cli.recipe_fetching import Fetched
from clearhold.kernel.errors import NotFoundError
from clearhold.kernel.matching import Affected
from clearhold.kernel.purl import Purl
from clearhold.validation import drafting
from clearhold.validation.drafting import Drafted


def sides_of_releases(
    fetched: Fetched, purl: Purl, affected: Affected, *, vulnerable: str, fixed: str
) -> tuple[dict[str, Drafted], Path]:
    """Both sides and the vulnerable tree. Raises `NotFoundError` for releases nobody published."""
    name = f"{purl.namespace}/{purl.name}" if purl.namespace else purl.name
    releases = of_npm(name) if purl.type == "npm" else of_pypi(name)
    if not (vulnerable and fixed):
        before, after = drafting.around_the_fix(purl.type, list(releases), affected)
        vulnerable, fixed = vulnerable or before, fixed or after
    for version in (vulnerable, fixed):
        if version not in releases:
            raise NotFoundError(
                f"No source of version {version[:60]!a} is published.",
                next_step="Name another with --vulnerable and --fixed.",
            )
    bad, tree = fetched.archive(releases[vulnerable])
    good, _ = fetched.archive(releases[fixed])
    return {"vulnerable": Drafted(vulnerable, (bad,)), "fixed": Drafted(fixed, (good,))}, tree
