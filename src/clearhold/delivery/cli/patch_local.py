"""`clearhold patch judge`, `replay` and `backport`: fixes judged on this machine, without a hub."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.assembly.laboratory import open_laboratory
from clearhold.cases.material import CaseProof
from clearhold.delivery.cli.inventory import read_input
from clearhold.delivery.cli.output import EXIT_REFUSED, JsonOption, show, told
from clearhold.delivery.cli.party_key import public_key
from clearhold.delivery.cli.validate import with_cache
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import FindingId
from clearhold.patches import attestation, replaying
from clearhold.patches.backporting import backport
from clearhold.patches.judge import DEFAULT_SEARCH_S, LaboratoryJudge
from clearhold.patches.judging import Candidate, Judgement
from clearhold.patches.porting import Ported
from clearhold.patches.records import State
from clearhold.settings import from_environment
from clearhold.validation.recipe import Recipe, Side
from clearhold.validation.shelf import named
from clearhold.validation.versions import read_releases
from clearhold.wire import dsse

_PROOFS = typer.Option(
    ..., "--proof", help="TARGET=FILE: a proof that the fix must stop; as often as there are."
)
_MORE_PROOFS = typer.Option(
    None, "--proof", help="The file of a proof that the evidence only names by its hash."
)
_TESTS = typer.Option(None, help="A diff of tests that must fail before the fix and pass after.")
_SEARCH = typer.Option(
    DEFAULT_SEARCH_S, min=0, max=3600, help="Seconds of each target's search for other ways in."
)
_EVIDENCE = typer.Option(None, help="Where to write evidence that `patch replay` runs again.")
_REGRESSION = typer.Option(None, help="Where to write the regression test that was made.")
_KEY = typer.Option("", help="The public key that must have signed the evidence.")
_RECIPE = typer.Option("", help="The directory of a recipe that is not among those known here.")
_RELEASES = typer.Option(
    None, help="YAML list of releases: version and sources of each. Else the recipe's own two."
)
_OUT = typer.Option(None, help="A directory for the diffs, one for each version.")


@told
def judge(
    recipe: str,
    diff: Path,
    proofs: list[str] = _PROOFS,
    tests: Path | None = _TESTS,
    search: int = _SEARCH,
    evidence: Path | None = _EVIDENCE,
    regression: Path | None = _REGRESSION,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Say on this machine whether a diff is a fix; ends with 1 unless it is accepted.

    RECIPE is the name of a recipe or a directory with one. No hub, account or token is needed.
    """
    with tempfile.TemporaryDirectory(prefix="clearhold-judge-", dir="/var/tmp") as scratch:
        laboratory = open_laboratory(with_cache(from_environment(), Path(scratch)))
        chosen = named(laboratory.recipes, recipe)
        candidate = Candidate(
            read_input(diff),
            _read_proofs(chosen, proofs),
            (),
            b"" if tests is None else read_input(tests),
        )
        judgement, _ = LaboratoryJudge(laboratory, search_s=search).judge_by(chosen, candidate)
    test = judgement.facts.get("regression_test", {}).get("content", "")
    if regression is not None and test:
        regression.write_text(test, encoding="utf-8")
    if evidence is not None:
        _write_evidence(evidence, chosen, judgement, candidate)
    show(told_of(judgement, whole=as_json), as_json=as_json)
    if judgement.state is not State.ACCEPTED:
        raise typer.Exit(EXIT_REFUSED)


@told
def replay(
    evidence: Path,
    proofs: list[Path] = _MORE_PROOFS,
    key: str = _KEY,
    recipe: str = _RECIPE,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Judge again what evidence says was judged; ends with 1 when it comes out otherwise."""
    recorded = replaying.read(read_input(evidence), key=public_key(key) if key else None)
    given = {hashlib.sha256(each).hexdigest(): each for each in map(read_input, proofs or [])}
    with tempfile.TemporaryDirectory(prefix="clearhold-replay-", dir="/var/tmp") as scratch:
        laboratory = open_laboratory(with_cache(from_environment(), Path(scratch)))
        shelf = laboratory.recipes
        # What the evidence names is a name, and never a place on this machine.
        name = str(recorded.judgement.facts.get("recipe", ""))
        chosen = named(shelf, recipe) if recipe else shelf.load(name)
        done = replaying.replay(laboratory, chosen, recorded, given)
    signed = recorded.signed_by or "not checked: no --key was given"
    show({**asdict(done), "signed_by": signed}, as_json=as_json)
    if not done.agrees:
        raise typer.Exit(EXIT_REFUSED)


@told
def backported(
    recipe: str,
    diff: Path,
    proofs: list[str] = _PROOFS,
    releases: Path | None = _RELEASES,
    out: Path | None = _OUT,
    search: int = _SEARCH,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Bring a fix to other versions, and judge it on each; ends with 1 unless each affected has one.

    A diff that fits only with context left out makes a new one: submit it with `patch submit CASE
    DIFF backport`.
    """
    listed = () if releases is None else read_releases(read_input(releases))
    with tempfile.TemporaryDirectory(prefix="clearhold-judge-", dir="/var/tmp") as scratch:
        laboratory = open_laboratory(with_cache(from_environment(), Path(scratch)))
        chosen = named(laboratory.recipes, recipe)
        done = backport(
            laboratory,
            chosen,
            diff=read_input(diff),
            proofs=_read_proofs(chosen, proofs),
            releases=listed,
            search_s=search,
            on_version=lambda made: typer.echo(f"{made.version}: {made.outcome}", err=True),
        )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for number, made in enumerate(done):
            if made.diff:
                (out / f"{number:03}.patch").write_bytes(made.diff)
    show([_row(number, made, whole=as_json) for number, made in enumerate(done)], as_json=as_json)
    unfixed = [
        made
        for made in done
        if made.outcome not in {"already_fixed", "not_affected"}
        and (made.judgement is None or made.judgement.state is not State.ACCEPTED)
    ]
    if unfixed:
        raise typer.Exit(EXIT_REFUSED)


def told_of(judgement: Judgement, *, whole: bool) -> dict[str, Any]:
    """A judgement for who asked: for people without the text of the test that was made."""
    shown = dict(msgspec.to_builtins(judgement))
    if not whole and isinstance(shown["facts"].get("regression_test"), dict):
        test = shown["facts"]["regression_test"]
        shown["facts"] = {
            **shown["facts"],
            "regression_test": {name: each for name, each in test.items() if name != "content"},
        }
    return shown


def _row(number: int, made: Ported, *, whole: bool) -> dict[str, Any]:
    judged = None if made.judgement is None else told_of(made.judgement, whole=whole)
    if judged is not None and not whole:
        judged = {name: judged[name] for name in ("state", "kind", "reason", "tests")}
    return {
        "version": made.version,
        "outcome": made.outcome,
        "words": made.words,
        "diff": f"{number:03}.patch" if made.diff else "",
        "judgement": judged,
    }


def _read_proofs(recipe: Recipe, given: list[str]) -> tuple[CaseProof, ...]:
    package = f"{recipe.package}@{recipe.side(Side.VULNERABLE).version}"
    read: list[CaseProof] = []
    for each in given:
        target, equals, file = each.partition("=")
        if not equals:
            raise InvalidError(
                "A proof is given as TARGET=FILE.",
                next_step=f"Use one of the targets {', '.join(sorted(recipe.targets))}.",
            )
        recipe.target(target)
        read.append(
            CaseProof(FindingId(f"proof-{len(read)}"), package, target, read_input(Path(file)))
        )
    return tuple(read)


def _write_evidence(
    place: Path, recipe: Recipe, judgement: Judgement, candidate: Candidate
) -> None:
    """Evidence signed by a key made for it: who gets it from you is told the key by you."""
    key = Ed25519PrivateKey.generate()
    said = attestation.statement(
        judgement,
        package=recipe.package,
        diff=candidate.diff,
        proofs=candidate.proofs,
        tests=candidate.tests,
    )
    place.write_bytes(dsse.sign(said, dsse.IN_TOTO, key))
    typer.echo(
        f"Wrote {place}, signed by the key {key.public_key().public_bytes_raw().hex()}.", err=True
    )
