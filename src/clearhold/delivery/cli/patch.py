"""`clearhold patch`: submit fixes, read their verdicts, and judge fixes on this machine."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path
from urllib.parse import quote

import typer

from clearhold.delivery.cli import patch_local
from clearhold.delivery.cli.inventory import read_input
from clearhold.delivery.cli.output import SEALED_TO, JsonOption, hub, show, told
from clearhold.patches.records import Origin

_VERSION = typer.Option("", help="Of the judgement on this other version.")

app = typer.Typer(help="Submit fixes and read what became of them.", no_args_is_help=True)


@app.command("submit")
@told
def submit(
    case: str,
    diff: Path,
    origin: Origin,
    note: str = "",
    key: str = "",
    *,
    as_json: bool = JsonOption,
) -> None:
    """Submit a unified diff against the vulnerable version."""
    body = {
        "case": case,
        "diff": base64.b64encode(read_input(diff)).decode(),
        "origin": origin,
        "note": note,
    }
    show(hub().post("/patches", body, key=key or str(uuid.uuid4())), as_json=as_json)


@app.command("list")
@told
def listing(case: str, *, as_json: bool = JsonOption) -> None:
    """List the fixes of a case that you may see."""
    show(hub().get("/patches", case=case), as_json=as_json)


@app.command("show")
@told
def single(patch: str, *, as_json: bool = JsonOption) -> None:
    """Show a fix and its verdict."""
    show(hub().get(f"/patches/{patch}"), as_json=as_json)


@app.command("repeat")
@told
def repeat(patch: str, *, as_json: bool = JsonOption) -> None:
    """Ask for another try of a judgement that the hub's machine could not carry out."""
    show(hub().post(f"/patches/{patch}/repeat"), as_json=as_json)


@app.command("adopt")
@told
def adopt(patch: str, *, as_json: bool = JsonOption) -> None:
    """Stand behind an accepted fix, so that it is what the case delivers."""
    show(hub().post(f"/patches/{patch}/adoption"), as_json=as_json)


@app.command("wheel")
@told
def wheel(patch: str, to: Path, sealed_to: str | None = SEALED_TO) -> None:
    """Save the package made of an accepted fix."""
    content = hub().download(f"/api/v1/patches/{patch}/wheel", sealed_to=sealed_to)
    to.write_bytes(content)
    typer.echo(f"{len(content)} bytes in {to}")


@app.command("port")
@told
def port(
    patch: str,
    versions: list[str] = typer.Argument(None, help="None for the newest of each line."),  # noqa: B008
    *,
    as_json: bool = JsonOption,
) -> None:
    """Have the hub bring an accepted fix to other versions and judge it on each: see `show`."""
    show(hub().post(f"/patches/{patch}/backports", {"versions": versions or []}), as_json=as_json)


@app.command("ported")
@told
def ported(patch: str, version: str, to: Path, sealed_to: str | None = SEALED_TO) -> None:
    """Save the diff of a fix that was judged on another version."""
    place = f"/api/v1/patches/{patch}/backports/{quote(version, safe='')}/diff"
    content = hub().download(place, sealed_to=sealed_to)
    to.write_bytes(content)
    typer.echo(f"{len(content)} bytes in {to}")


@app.command("evidence")
@told
def evidence(
    patch: str, to: Path, version: str = _VERSION, sealed_to: str | None = SEALED_TO
) -> None:
    """Save the signed evidence of a fix's judgement, which `patch replay` runs again."""
    part = f"/backports/{quote(version, safe='')}" if version else ""
    content = hub().download(f"/api/v1/patches/{patch}{part}/evidence", sealed_to=sealed_to)
    to.write_bytes(content)
    typer.echo(f"{len(content)} bytes in {to}")


app.command("judge")(patch_local.judge)
app.command("replay")(patch_local.replay)
app.command("backport")(patch_local.backported)
