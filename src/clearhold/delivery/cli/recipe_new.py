"""`clearhold validate recipe new`: a draft of a recipe from a package and a public flaw."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import typer

from clearhold.assembly import open_laboratory
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.cli.recipe_debian import sides_of_debian
from clearhold.delivery.cli.recipe_fetching import Fetched
from clearhold.delivery.cli.recipe_releases import sides_of_releases
from clearhold.kernel.errors import ClearholdError, InvalidError, NotFoundError
from clearhold.kernel.matching import Affected, Range
from clearhold.kernel.purl import Purl
from clearhold.settings import Settings, from_environment
from clearhold.validation import drafting
from clearhold.validation.drafting import Draft
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Side, parse
from clearhold.validation.reproduce import reproduce
from clearhold.wire import public_flaw

app = typer.Typer(help="Teach the hub a package.", no_args_is_help=True)

_RECORD = typer.Option(None, help="The OSV or CVE record; left out, the hub's catalogue is asked.")
_VULNERABLE = typer.Option("", help="The vulnerable release, if not the last before the fix.")
_FIXED = typer.Option("", help="The fixed release, if not the one the record names.")
_BUILD = typer.Option(default=True, help="Build both sides in the sandbox and run the control.")
_KINDS: Final = ("npm", "pypi", "deb")


@dataclass(frozen=True, slots=True)
class _Flaw:
    """What is known of the flaw: whom it affects, how it is told, and its weaknesses."""

    affected: Affected
    summary: str = ""
    words: str = ""
    weaknesses: tuple[str, ...] = ()


@app.command("new")
@told
def new(
    package: str,
    cve: str,
    directory: Path,
    record: Path | None = _RECORD,
    vulnerable: str = _VULNERABLE,
    fixed: str = _FIXED,
    *,
    build: bool = _BUILD,
    as_json: bool = JsonOption,
) -> None:
    """Draft a recipe into a new directory, and say what only you can add.

    The package is an npm, PyPI or Debian package URL without version. For Debian the patches that
    name the flaw make the difference; for the others the releases around the fix do.
    """
    purl = Purl.parse(package).package
    if purl.type not in _KINDS:
        raise InvalidError(
            f"Recipes are drafted for packages of {', '.join(_KINDS)}, not of {purl.type}.",
            next_step="Write it by hand; docs/recipes.md says how.",
        )
    if directory.exists():
        raise InvalidError("The directory exists already.", next_step="Name a new one.")
    settings = from_environment()
    flaw = _known(purl, cve, record, asked=purl.type != "deb" and not (vulnerable and fixed))
    with tempfile.TemporaryDirectory() as scratch:
        fetched = Fetched(settings, Path(scratch))
        if purl.type == "deb":
            sides, tree, words = sides_of_debian(fetched, purl, cve)
            flaw = replace(flaw, words=f"{flaw.words}\n{words}")
        else:
            sides, tree = sides_of_releases(
                fetched, purl, flaw.affected, vulnerable=vulnerable, fixed=fixed
            )
        draft = drafting.write(
            purl=str(purl),
            kind=purl.type,
            cve=cve,
            summary=flaw.summary or purl.name,
            oracle=drafting.oracle_for(flaw.weaknesses, flaw.words, kind=purl.type),
            sides=sides,
            tree=tree,
        )
    problems = _tried(draft, settings) if build else []
    directory.mkdir(parents=True)
    for name, content in draft.files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    show(
        {
            "directory": str(directory),
            "vulnerable": sides["vulnerable"].version,
            "fixed": sides["fixed"].version,
            "lines_drafted": draft.lines,
            "left_to_do": [*draft.missing, *problems],
        },
        as_json=as_json,
    )


def _known(purl: Purl, cve: str, record: Path | None, *, asked: bool) -> _Flaw:
    if record is not None:
        try:
            flaw = public_flaw.read(record.read_bytes())
        except OSError as error:
            raise InvalidError(
                f"The record cannot be read: {error.strerror}.", next_step="Check its name."
            ) from error
        affected = (flaw.claims.affected if flaw.claims else {}).get(str(purl))
        if cve.upper() not in {each.upper() for each in flaw.names} or affected is None:
            raise InvalidError(
                f"The record is not about {cve} in {purl}.", next_step="Give the one that is."
            )
        words = f"{flaw.title}\n{flaw.text}"
        return _Flaw(affected, flaw.title, words, flaw.weaknesses)
    if not asked:
        return _Flaw(Affected(purl.type))
    for each in hub().get("/catalogue/vulnerabilities", package=str(purl)):
        if cve in (each["id"], *each["aliases"]):
            return _Flaw(_affected(purl, each), each["summary"], each["summary"])
    raise NotFoundError(
        f"The hub's catalogue does not know {cve} in {purl}.",
        next_step="Give its OSV or CVE record with --record, or --vulnerable and --fixed.",
    )


def _affected(purl: Purl, told_by: Mapping[str, Any]) -> Affected:
    ranges = tuple(
        Range(each["introduced"], each["fixed"], each["last_affected"])
        for each in told_by["ranges"]
    )
    return Affected(purl.type, ranges, tuple(told_by["versions"]))


def _tried(draft: Draft, settings: Settings) -> list[str]:
    """What building both sides and running the control shows to be wrong."""
    recipe = parse("draft", draft.files)
    laboratory = open_laboratory(settings)
    target = recipe.target("main")
    problems = []
    for side in Side:
        try:
            made = laboratory.build(recipe, side, flavour=target.flavour)
            control = recipe.control("main")
            (run,) = reproduce(laboratory, made, target="main", proof=control, runs=1)
            if run.kind is not RunKind.CLEAN:
                problems.append(f"{side}: the control does not pass: {run.reason}")
        except ClearholdError as error:
            problems.append(f"{side}: {error.message} {error.next_step}".strip())
    return problems
