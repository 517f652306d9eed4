"""`clearhold validate`: verdicts and their evidence."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import typer

from clearhold.adapters.release_lists import RegistryReleases
from clearhold.adapters.signer_file import signing_key
from clearhold.assembly.laboratory import open_laboratory
from clearhold.delivery.cli import recipe_new, validate_run, validation_worker
from clearhold.delivery.cli.inventory import read_input
from clearhold.delivery.cli.output import (
    EXIT_REFUSED,
    SEALED_TO,
    JsonOption,
    hub,
    show,
    told,
)
from clearhold.delivery.cli.party_key import public_key
from clearhold.delivery.cli.run_logs import read_runs, run_in_full, run_in_short
from clearhold.kernel.errors import InvalidError
from clearhold.settings import Settings, from_environment
from clearhold.validation import affected
from clearhold.validation import replay as replaying
from clearhold.validation.recipe import SideSource
from clearhold.validation.releases import Listed, published_releases
from clearhold.validation.shelf import named
from clearhold.validation.versions import (
    USUAL_BUILDS,
    Box,
    affected_versions,
    read_releases,
)

_PROOF = typer.Option(None, help="The proof, when the evidence only names it.")
_RECIPE = typer.Option("", help="The directory of a recipe that is not among those known here.")
_KEY = typer.Option("", help="The hub's public key: the evidence must be signed by it.")

_RUN = typer.Option(None, min=1, help="The number of a run, as they are listed.")
_OUT = typer.Option(None, help="A file for all of it, as JSON with the streams in base64.")

app = typer.Typer(help="Read verdicts and fetch their evidence.", no_args_is_help=True)

_RELEASES = typer.Option(
    None,
    help="YAML list of releases, oldest first: version and sources of each;"
    " left out, those that the package's registry lists.",
)
_BUILDS = typer.Option(USUAL_BUILDS, min=1, help="How many releases are built at most.")


@app.command("show")
@told
def verdict(finding: str, *, as_json: bool = JsonOption) -> None:
    """Show what the validation of a finding found."""
    show(hub().get(f"/validation/{finding}"), as_json=as_json)


@app.command("repeat")
@told
def repeat(finding: str, *, as_json: bool = JsonOption) -> None:
    """Ask for another try of a validation that the hub's machine could not carry out."""
    show(hub().post(f"/validation/{finding}/repeat"), as_json=as_json)


@app.command("evidence")
@told
def evidence(finding: str, out: Path, sealed_to: str | None = SEALED_TO) -> None:
    """Write the signed evidence of a finding's validation to a file."""
    path = f"/api/v1/validation/{finding}/evidence"
    out.write_bytes(hub().download(path, sealed_to=sealed_to))
    typer.echo(f"Wrote {out}.")


@app.command("logs")
@told
def logs(
    finding: str,
    run: int | None = _RUN,
    out: Path | None = _OUT,
    sealed_to: str | None = SEALED_TO,
    *,
    as_json: bool = JsonOption,
) -> None:
    """List the runs of a finding's validation, or with --run print what one of them printed.

    Whatever could drive a terminal is written as an escape.
    """
    if sealed_to is not None and out is None:
        raise InvalidError(
            "What comes encrypted is not printed.", next_step="Name a file for it with --out."
        )
    content = hub().download(f"/api/v1/validation/{finding}/logs", sealed_to=sealed_to)
    if out is not None:
        out.write_bytes(content)
        typer.echo(f"Wrote {out}.")
        return
    runs = read_runs(content)
    if run is None:
        show([run_in_short(each) for each in runs], as_json=as_json)
        return
    chosen = next((each for each in runs if each.number == run), None)
    if chosen is None:
        raise InvalidError(
            f"There is no run {run}.", next_step=f"Runs are numbered from 1 to {len(runs)}."
        )
    show(run_in_full(chosen), as_json=as_json)


@app.command("affected")
@told
def affected_evidence(finding: str, out: Path, sealed_to: str | None = SEALED_TO) -> None:
    """Write the signed evidence of which releases a finding's flaw is in to a file."""
    path = f"/api/v1/validation/{finding}/affected"
    out.write_bytes(hub().download(path, sealed_to=sealed_to))
    typer.echo(f"Wrote {out}.")


@app.command("key")
@told
def key(*, as_json: bool = JsonOption) -> None:
    """Print the public key that this hub signs evidence with, on the hub's own machine."""
    public = signing_key(from_environment().key_directory, "validation").public_key()
    show({"key": public.public_bytes_raw().hex()}, as_json=as_json)


@app.command("replay")
@told
def replay(
    evidence: Path,
    proof: Path | None = _PROOF,
    key: str = _KEY,
    recipe: str = _RECIPE,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Do again what evidence says was done, on this machine; ends with 1 when it comes out otherwise.

    It needs no hub, no account and no token: the sources come from where they were published.
    """
    recorded = replaying.read(read_input(evidence), key=public_key(key) if key else None)
    content = recorded.proof if proof is None else read_input(proof)
    if content is None:
        raise InvalidError(
            "The evidence names the proof by its hash alone.",
            next_step=f"Give the file with SHA-256 {recorded.proof_sha256} as --proof.",
        )
    with tempfile.TemporaryDirectory(prefix="clearhold-replay-", dir="/var/tmp") as scratch:
        laboratory = open_laboratory(with_cache(from_environment(), Path(scratch)))
        # What the evidence names is a name, and never a place on this machine.
        shelf = laboratory.recipes
        chosen = named(shelf, recipe) if recipe else shelf.load(recorded.recipe)
        done = replaying.replay(laboratory, chosen, recorded, content)
    signed = recorded.signed_by or "not checked: no --key was given"
    show({**asdict(done), "signed_by": signed}, as_json=as_json)
    if not done.agrees:
        raise typer.Exit(EXIT_REFUSED)


def with_cache(settings: Settings, scratch: Path) -> Settings:
    """The settings, with a cache that is thrown away for who may not write where the hub's lies."""
    try:
        settings.cache_directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.cache_directory):
            return settings
    except OSError:
        scratch.chmod(0o755)  # the sandbox's own user enters it
        return replace(settings, cache_directory=scratch)


@app.command("versions")
@told
def versions(
    recipe: str,
    target: str,
    proof: Path,
    releases: Path | None = _RELEASES,
    builds: int = _BUILDS,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Run a proof on release after release on this machine, and tell which are affected."""
    settings = from_environment()
    laboratory = open_laboratory(settings)
    chosen = named(laboratory.recipes, recipe)
    listed: Sequence[Listed | SideSource]
    if releases is None:
        lists = RegistryReleases(settings.cache_directory, also=settings.source_networks)
        listed, listed_by = published_releases(chosen, lists)
    else:
        listed, listed_by = read_releases(read_input(releases)), str(releases)
    found = affected_versions(
        laboratory,
        chosen,
        target=target,
        proof=read_input(proof),
        releases=listed,
        on_answer=lambda version, answer: typer.echo(f"{version}: {answer}", err=True),
        box=Box(builds),
    )
    told = affected.facts(found, listed_by=listed_by)
    show({"package": chosen.package, **told}, as_json=as_json)


app.command("run")(validate_run.run)
app.add_typer(recipe_new.app, name="recipe")
app.command("enrol")(validation_worker.enrol)
app.command("run-step")(validation_worker.step)
app.command("worker")(validation_worker.worker)
