"""`clearhold remediate`: what to fix, by when, and whether it landed."""

from __future__ import annotations

from pathlib import Path

import typer

from clearhold.delivery.cli.inventory import read_input
from clearhold.delivery.cli.output import JsonOption, hub, show, told

app = typer.Typer(help="Plan fixes, report them, and count how many landed.", no_args_is_help=True)


@app.command("plan")
@told
def plan(*, as_json: bool = JsonOption) -> None:
    """List what you must do, most urgent first."""
    show(hub().get("/remediation/actions"), as_json=as_json)


@app.command("show")
@told
def single(action: str, *, as_json: bool = JsonOption) -> None:
    """Show one action with everything that decided its priority."""
    show(hub().get(f"/remediation/actions/{action}"), as_json=as_json)


@app.command("report")
@told
def report(receipt: Path, action: str = "", *, as_json: bool = JsonOption) -> None:
    """Send an agent's signed receipt; the same one may be sent again."""
    parameters = {"action": action} if action else {}
    answer = hub().upload(
        "/remediation/receipts",
        read_input(receipt),
        media_type="application/vnd.dsse.envelope.v1+json",
        key="",
        **parameters,
    )
    show(answer, as_json=as_json)


@app.command("prepare")
@told
def prepare(advisory: str, *, as_json: bool = JsonOption) -> None:
    """Match every inventory against an advisory of your case, under embargo or not."""
    show(hub().post(f"/remediation/advisories/{advisory}"), as_json=as_json)


@app.command("counts")
@told
def counts(advisory: str, *, as_json: bool = JsonOption) -> None:
    """Show how far the actions of an advisory have come, without saying whose they are."""
    show(hub().get(f"/remediation/advisories/{advisory}"), as_json=as_json)
