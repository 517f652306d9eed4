"""`clearhold validate recipe new`: a draft of a recipe from a package and a public flaw."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import typer

from clearhold.assembly.laboratory import open_laboratory
from clearhold.delivery.cli.inventory import read_input
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.cli.recipe_debian import sides_of_debian
from clearhold.delivery.cli.recipe_fetching import Fetched
from clearhold.delivery.cli.recipe_releases import Releases
from clearhold.kernel.errors import ClearholdError, InvalidError, NotFoundError, UnavailableError
from clearhold.kernel.matching import Affected, Range
from clearhold.kernel.purl import Purl
from clearhold.settings import from_environment
from clearhold.validation import drafting
from clearhold.validation.builder import Laboratory
from clearhold.validation.drafting import Draft, Drafted, Parts, native, scripted
from clearhold.validation.drafting.trial import PATIENCE_S, best_of, built_one_way, tried
from clearhold.validation.examination import examine
from clearhold.validation.oracles import RunKind
from clearhold.validation.recipe import Recipe, Side, parse
from clearhold.validation.reproduce import reproduce
from clearhold.wire import public_flaw

app = typer.Typer(help="Teach the hub a package.", no_args_is_help=True)

_RECORD = typer.Option(None, help="The OSV or CVE record; left out, the hub's catalogue is asked.")
_VULNERABLE = typer.Option("", help="The vulnerable release, if not the last before the fix.")
_FIXED = typer.Option("", help="The fixed release, if not the one the record names.")
_PROOF = typer.Option(None, help="A proof: it is tried on both sides, and gets a verdict.")
_RUN = typer.Option(
    "", help="Of a Debian package, the command line that takes the proof: 'unzip -t @@'."
)
_BUILD = typer.Option(default=True, help="Build both sides in the sandbox and run the control.")
_KINDS: Final = ("npm", "pypi", "deb")
_SEEN: Final = {RunKind.VIOLATION, RunKind.INCONCLUSIVE}
_NO_WAY: Final = "not_validated(no_recipe)"
"""Where the proof was only guessed to go, that nothing was seen says nothing of the proof."""


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
    proof: Path | None = _PROOF,
    run: str = _RUN,
    *,
    build: bool = _BUILD,
    as_json: bool = JsonOption,
) -> None:
    """Draft a recipe into a new directory, and say what only you can add.

    The package is an npm, PyPI or Debian package URL without version. For Debian the patches that
    name the flaw make the difference; for the others the releases around the fix do. With a proof,
    what it goes to is found by trying, and the verdict on it is printed.
    """
    purl = Purl.parse(package).package
    if purl.type not in _KINDS:
        raise InvalidError(
            f"Recipes are drafted for packages of {', '.join(_KINDS)}, not of {purl.type}.",
            next_step="Write it by hand; docs/recipes.md says how.",
        )
    if directory.exists():
        raise InvalidError("The directory exists already.", next_step="Name a new one.")
    content = None if proof is None else read_input(proof)
    settings = from_environment()
    laboratory = open_laboratory(settings)
    shown: dict[str, Any] = {}
    flaw = _known(purl, cve, record, asked=purl.type != "deb" and not fixed)
    with tempfile.TemporaryDirectory() as scratch:
        fetched = Fetched(settings, Path(scratch))
        if purl.type == "deb":
            found = sides_of_debian(fetched, purl, cve, vulnerable=vulnerable, fixed=fixed)
            sides = found.sides
            flaw = replace(flaw, words=f"{flaw.words}\n{found.words}")
            oracle = drafting.oracle_for(flaw.weaknesses, flaw.words, kind=purl.type)
            parts = by_hand = native.parts(purl.name, found.tree, oracle=oracle)
            if build and content is not None:
                words = f"{flaw.words}\n{found.changes}"
                made = _recipe_of(purl, cve, flaw, sides)
                offers = native.offered(
                    purl.name,
                    sides["vulnerable"].version,
                    found.tree,
                    oracle=oracle,
                    words=words,
                    proof=content,
                    command=run,
                )
                parts = built_one_way(laboratory, made, offers, otherwise=by_hand)
                shown = _unbuilt(parts) if parts is by_hand else {}
        else:
            oracle = drafting.oracle_for(flaw.weaknesses, flaw.words, kind=purl.type)
            releases = Releases(fetched, purl, cve, laboratory.toolchain())
            chosen = releases.around(flaw.affected, vulnerable=vulnerable, fixed=fixed)
            sides, material = releases.sides(chosen, compiled=oracle in drafting.FLAVOURS)
            if build:
                made = _recipe_of(purl, cve, flaw, sides)
                parts = scripted.offered(
                    laboratory, material, made, stated=oracle, words=flaw.words, proof=content
                )
            else:
                parts = scripted.unbuilt(material, oracle)
    drafted = _drafted_of(purl, cve, flaw, sides)
    if content is not None and build and not shown:
        parts, shown = _proved(laboratory, parts, drafted, content)
    draft = drafted(parts)
    problems = _tried(laboratory, draft) if build else []
    draft.write(directory)
    show(
        {
            "directory": str(directory),
            "vulnerable": sides["vulnerable"].version,
            "fixed": sides["fixed"].version,
            "lines_drafted": draft.lines,
            "left_to_do": [*draft.missing, *problems],
            **shown,
        },
        as_json=as_json,
    )


def _drafted_of(
    purl: Purl, cve: str, flaw: _Flaw, sides: Mapping[str, Drafted]
) -> Callable[[Parts], Draft]:
    def drafted(parts: Parts) -> Draft:
        summary = flaw.summary or purl.name
        return drafting.write(parts, purl=str(purl), cve=cve, summary=summary, sides=sides)

    return drafted


def _recipe_of(
    purl: Purl, cve: str, flaw: _Flaw, sides: Mapping[str, Drafted]
) -> Callable[[Parts], Recipe]:
    drafted = _drafted_of(purl, cve, flaw, sides)
    return lambda parts: parse("draft", drafted(parts).files)


def _proved(
    laboratory: Laboratory, parts: Parts, drafted: Callable[[Parts], Draft], proof: bytes
) -> tuple[Parts, dict[str, Any]]:
    """The parts with the one target that the proof goes to, and what is said of the proof."""
    everything = parse("draft", drafted(parts).files)
    trials = tried(laboratory, everything, proof, [each.name for each in parts.targets])
    best = best_of(trials)
    ways = dict(Counter(str(each.vulnerable.kind) for each in trials))
    if best is None:
        return parts, {"verdict": _NO_WAY, "ways_tried": ways}
    kept = parts.only(best.target)
    if not best.telling:
        kept.missing.append(parts.otherwise)
        if left := len(parts.targets) - len(trials):
            kept.missing.append(f"{left} more ways were not tried within {PATIENCE_S:.0f} seconds")
    recipe = parse("draft", drafted(kept).files)
    shown = {
        "ways_tried": ways,
        "target": recipe.target(best.target).summary,
        "oracle": recipe.target(best.target).oracle,
    }
    if best.vulnerable.kind not in _SEEN and not parts.certain:
        reason = f"None of {len(trials)} ways of giving the proof to the package showed a flaw."
        return kept, {**shown, "verdict": _NO_WAY, "level": 0, "reason": reason}
    done = examine(laboratory, recipe, target=best.target, proof=proof)
    return kept, {
        **shown,
        "verdict": done.verdict.label,
        "level": done.verdict.level,
        "reason": done.verdict.reason,
    }


def _unbuilt(parts: Parts) -> dict[str, Any]:
    """What is said of a proof for which nothing could be built."""
    parts.missing.append("build.sh: build the package as its own documentation says")
    reason = "No way of building the package gave anything that takes the proof."
    return {"ways_tried": {}, "verdict": _NO_WAY, "level": 0, "reason": reason}


def _known(purl: Purl, cve: str, record: Path | None, *, asked: bool) -> _Flaw:
    if record is not None:
        flaw = public_flaw.read(read_input(record))
        affected = (flaw.claims.affected if flaw.claims else {}).get(str(purl))
        if cve.upper() not in {each.upper() for each in flaw.names} or affected is None:
            raise InvalidError(
                f"The record is not about {cve} in {purl}.", next_step="Give the one that is."
            )
        words = f"{flaw.title}\n{flaw.text}"
        return _Flaw(affected, flaw.title, words, flaw.weaknesses)
    if not asked:
        return _Flaw(Affected(purl.type))
    try:
        known = hub().get("/catalogue/vulnerabilities", package=str(purl))
    except (NotFoundError, UnavailableError, InvalidError):
        # Without a hub or an account there, the package's own changelog may tell.
        known = ()
    for each in known:
        if cve in (each["id"], *each["aliases"]):
            return _Flaw(_affected(purl, each), each["summary"], each["summary"])
    return _Flaw(Affected(purl.type))


def _affected(purl: Purl, told_by: Mapping[str, Any]) -> Affected:
    ranges = tuple(
        Range(each["introduced"], each["fixed"], each["last_affected"])
        for each in told_by["ranges"]
    )
    return Affected(purl.type, ranges, tuple(told_by["versions"]))


def _tried(laboratory: Laboratory, draft: Draft) -> list[str]:
    """What building both sides and running the controls shows to be wrong."""
    recipe = parse("draft", draft.files)
    problems = []
    for name, target in recipe.targets.items():
        for side in Side:
            try:
                made = laboratory.build(recipe, side, flavour=target.flavour)
                control = recipe.control(name)
                (run,) = reproduce(laboratory, made, target=name, proof=control, runs=1)
                if run.kind is not RunKind.CLEAN:
                    problems.append(f"{side}: the control of {name} does not pass: {run.reason}")
            except ClearholdError as error:
                problems.append(f"{side}: {error.message} {error.next_step}".strip())
    return list(dict.fromkeys(problems))
