"""`clearhold party`: the register."""

from __future__ import annotations

import typer

from clearhold.access.permissions import PartyKind
from clearhold.delivery.cli.output import JsonOption, hub, show, told

app = typer.Typer(help="Register parties and issue their tokens.", no_args_is_help=True)


@app.command("register")
@told
def register(
    handle: str,
    name: str,
    kind: PartyKind,
    sector: str | None = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Register a party."""
    body = {"handle": handle, "name": name, "kind": kind, "sector": sector}
    show(hub().post("/parties", body), as_json=as_json)


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List the parties you may see."""
    show(hub().get("/parties"), as_json=as_json)


@app.command("token")
@told
def token(party: str, days: int = 30, *, as_json: bool = JsonOption) -> None:
    """Issue a token to a party; it is shown this once."""
    show(hub().post(f"/parties/{party}/tokens", {"days": days}), as_json=as_json)
