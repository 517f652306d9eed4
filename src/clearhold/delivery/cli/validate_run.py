"""`clearhold validate run`: one proof, one recipe, this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from clearhold.adapters.release_lists import RegistryReleases
from clearhold.assembly.laboratory import open_laboratory
from clearhold.delivery.cli.inventory import read_input
from clearhold.delivery.cli.output import EXIT_REFUSED, JsonOption, show, told
from clearhold.settings import from_environment
from clearhold.validation.examination import examine
from clearhold.validation.examiner import facts_of
from clearhold.validation.releases import release_of
from clearhold.validation.shelf import named
from clearhold.validation.verdict import Claim

_SMALLEST = typer.Option(None, help="Where to write the minimised proof.")
_VIOLATION = typer.Option("", help="What the report claims the proof shows.")
_VERSION = typer.Option("", help="The version the report names.")
_FIX = typer.Option(default=True, help="Compare with the fixed side, where there is one.")


class _Violation(StrEnum):
    CRASH = "crash"
    HANG = "hang"
    WRONG_RESULT = "wrong-result"
    ANY = ""


@told
def run(
    recipe: str,
    target: str,
    proof: Path,
    violation: _Violation = _VIOLATION,
    version: str = _VERSION,
    smallest: Path | None = _SMALLEST,
    *,
    fix: bool = _FIX,
    as_json: bool = JsonOption,
) -> None:
    """Say on this machine what a hub would say of a proof; ends with 1 unless it is reproduced.

    RECIPE is the name of a recipe or a directory with one. No hub, account or token is needed.
    """
    content = read_input(proof)
    settings = from_environment()
    laboratory = open_laboratory(settings)
    chosen = named(laboratory.recipes, recipe)
    lists = RegistryReleases(settings.cache_directory, also=settings.source_networks)
    done = examine(
        laboratory,
        chosen,
        target=target,
        proof=content,
        claim=Claim(violation, version),
        compare_with_fix=fix,
        second_environment=fix,
        release=release_of(laboratory, chosen, version, lists),
    )
    if smallest is not None and done.smallest:
        smallest.write_bytes(done.smallest)
    facts = {**facts_of(done), "level": done.verdict.level}
    show(facts, as_json=as_json)
    if not done.verdict.confirmed:
        raise typer.Exit(EXIT_REFUSED)
