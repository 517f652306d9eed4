"""`clearhold recipe`: what can be built and replayed on this machine."""

from __future__ import annotations

from pathlib import Path

import typer

from clearhold.assembly.laboratory import open_laboratory
from clearhold.delivery.cli.output import JsonOption, show, told
from clearhold.patches.delivery import build_delivery
from clearhold.settings import from_environment
from clearhold.validation.recipe import Side
from clearhold.validation.shelf import Shelf, named

app = typer.Typer(help="See and build the recipes known here.", no_args_is_help=True)


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List the recipes with their versions and targets."""
    show(
        [
            {
                "name": recipe.name,
                "package": recipe.package,
                "versions": {str(side): recipe.side(side).version for side in recipe.sides},
                "targets": list(recipe.targets),
            }
            for recipe in Shelf(from_environment().recipe_directory).all()
        ],
        as_json=as_json,
    )


@app.command("wheel")
@told
def wheel(name: str, side: Side, directory: Path, *, as_json: bool = JsonOption) -> None:
    """Build one side from its published source in the sandbox and write it as a wheel."""
    laboratory = open_laboratory(from_environment())
    recipe = named(laboratory.recipes, name)
    version = recipe.side(side).version
    made = build_delivery(laboratory, recipe, patch=None, version=version, side=side)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / made.filename
    path.write_bytes(made.wheel)
    show({"wheel": str(path), "sha256": made.sha256, "package": made.package}, as_json=as_json)
