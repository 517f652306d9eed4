"""`clearhold validate`: verdicts and their evidence."""

from __future__ import annotations

from pathlib import Path

import typer

from clearhold.delivery.cli.output import SEALED_TO, JsonOption, hub, show, told

app = typer.Typer(help="Read verdicts and fetch their evidence.", no_args_is_help=True)


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
