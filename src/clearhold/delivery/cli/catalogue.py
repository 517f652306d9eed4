"""`clearhold catalogue`: packages that may be scanned, and what the public knows of them."""

from __future__ import annotations

import typer

from clearhold.catalogue.model import Technique
from clearhold.delivery.cli.catalogue_import import import_public
from clearhold.delivery.cli.output import JsonOption, hub, show, told

app = typer.Typer(
    help="List packages that may be scanned and what the public knows.", no_args_is_help=True
)

app.command("import")(import_public)

_VERSIONS = typer.Option(..., "--version", help="A version; may be given several times.")
_TECHNIQUES = typer.Option(..., "--technique", help="A fitting technique; may be repeated.")
_PATHS = typer.Option([], "--path", help="A source file of interest; may be repeated.")
_ALIASES = typer.Option([], "--alias", help="Another identifier; may be repeated.")


@app.command("add")
@told
def add(
    package: str,
    version: list[str] = _VERSIONS,
    technique: list[Technique] = _TECHNIQUES,
    path: list[str] = _PATHS,
    *,
    as_json: bool = JsonOption,
) -> None:
    """List a package, given as a package URL without version."""
    body = {"package": package, "versions": version, "techniques": technique, "paths": path}
    show(hub().post("/catalogue/targets", body), as_json=as_json)


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List the packages that may be scanned."""
    show(hub().get("/catalogue/targets"), as_json=as_json)


@app.command("record")
@told
def record(
    package: str,
    identity: str,
    introduced: str = "0",
    fixed: str | None = None,
    last_affected: str | None = None,
    alias: list[str] = _ALIASES,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Record a vulnerability the public knows, with one range of affected versions."""
    span = {"introduced": introduced, "fixed": fixed, "last_affected": last_affected}
    body = {"package": package, "id": identity, "aliases": alias, "ranges": [span]}
    show(hub().post("/catalogue/vulnerabilities", body), as_json=as_json)


@app.command("known")
@told
def known(package: str, *, as_json: bool = JsonOption) -> None:
    """Show what the public knows of a package."""
    show(hub().get("/catalogue/vulnerabilities", package=package), as_json=as_json)
