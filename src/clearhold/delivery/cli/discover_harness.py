"""`clearhold discover harness`: a recipe of harnesses for a package that nobody has written one for."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from clearhold.assembly.laboratory import open_laboratory
from clearhold.delivery.cli.harness_source import Subject, subject_of
from clearhold.delivery.cli.output import JsonOption, show, told
from clearhold.delivery.cli.recipe_fetching import Fetched
from clearhold.discovery.harness import native, scripted
from clearhold.discovery.harness.draft import PATIENCE_S, Box, Harnesses
from clearhold.discovery.harness.trial import SEARCH_S, sound
from clearhold.kernel.errors import InvalidError
from clearhold.settings import from_environment
from clearhold.validation import drafting
from clearhold.validation.builder import Laboratory
from clearhold.validation.drafting import Draft, Parts
from clearhold.validation.recipe import Recipe, is_name, parse

_SHOWN: Final = 40


@told
def harness(
    source: Annotated[
        str,
        typer.Argument(
            help="A package URL of Debian or PyPI, a directory or archive, or a recipe."
        ),
    ],
    directory: Annotated[Path, typer.Argument(help="The new directory of the recipe.")],
    *,
    package: Annotated[
        str, typer.Option(help="The package URL with version of a directory or archive.")
    ] = "",
    seconds: Annotated[
        int, typer.Option(min=1, max=60, help="How long each harness is searched to try it.")
    ] = SEARCH_S,
    patience: Annotated[
        int, typer.Option(min=1, help="Seconds after which no further harness is tried.")
    ] = int(PATIENCE_S),
    as_json: bool = JsonOption,
) -> None:
    """Draft fuzz harnesses, try them in the sandbox, and write those that work as a recipe.

    Of a library in C from its headers and the fuzzers in its source, of a Python package from what can
    be called of it. No hub is asked, and nothing of it runs outside the sandbox.
    """
    box = Box(seconds, float(patience), lambda words: typer.echo(words, err=True))
    shown = drafted(source, directory, package=package, box=box)
    show(shown, as_json=as_json)
    if not shown["harnesses"]:
        raise InvalidError(
            "No harness that was drafted works, so nothing was written.",
            next_step="Read why each was left out; docs/recipes.md says what a harness is.",
        )


def drafted(source: str, directory: Path, *, package: str, box: Box) -> dict[str, Any]:
    """What was drafted of a source, for people: the harnesses that work, in a recipe at `directory`.

    Nothing is written when none works. Raises `InvalidError` for a directory that exists or that no
    recipe can be called by, and whatever fetching and building raise.
    """
    if directory.exists():
        raise InvalidError("The directory exists already.", next_step="Name a new one.")
    if not is_name(directory.resolve().name):
        raise InvalidError(
            "A recipe cannot be called so.",
            next_step="Name its directory in lower-case letters, digits, dots, dashes and _.",
        )
    settings = from_environment()
    laboratory = open_laboratory(settings)
    with tempfile.TemporaryDirectory() as scratch:
        subject = subject_of(laboratory, Fetched(settings, Path(scratch)), source, package)
        found = _harnesses(laboratory, subject, box)
    shown = _told(subject, found)
    if found.offered:
        draft = _draft(subject, found.parts)
        _check(laboratory, parse(directory.resolve().name, draft.files))
        draft.write(directory)
        shown["directory"] = str(directory)
    return shown


def _harnesses(laboratory: Laboratory, subject: Subject, box: Box) -> Harnesses:
    made: Callable[[Parts], Recipe] = lambda parts: parse("draft", _draft(subject, parts).files)  # noqa: E731
    if subject.material is not None:
        return scripted.harnesses(laboratory, made, subject.material, subject.tree, box=box)
    return native.harnesses(
        laboratory,
        made,
        subject.tree,
        name=subject.purl.name,
        version=subject.drafted.version,
        box=box,
    )


def _draft(subject: Subject, parts: Parts) -> Draft:
    return drafting.write(
        parts,
        purl=str(subject.purl.package),
        cve="",
        summary=f"{subject.purl.name}, with harnesses that were drafted",
        sides={"vulnerable": subject.drafted},
    )


def _check(laboratory: Laboratory, recipe: Recipe) -> None:
    """Raise `InvalidError` when the recipe as it is written does not do what its draft did."""
    for name in recipe.targets:
        why_not, _ = sound(laboratory, recipe, name)
        if why_not:
            raise InvalidError(
                f"The harness {name} does not do as in its trial: {why_not}",
                next_step="Try again; when it stays so, write the harness by hand.",
            )


def _told(subject: Subject, found: Harnesses) -> dict[str, Any]:
    summaries = {each.name: each.summary for each in found.parts.targets}
    left_out = dict(list(found.left_out.items())[:_SHOWN])
    return {
        "package": f"{subject.purl.package}@{subject.drafted.version}",
        "harnesses": [
            {
                "target": each.target,
                "gives": summaries[each.target],
                "edges": each.edges,
                "tried": each.executions,
                "inputs_reaching_more": each.new,
                "seeds": len(each.seeds),
                "met": each.met,
            }
            for each in found.offered
        ],
        "left_out": left_out,
    }
