"""`clearhold party`: the register."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhold.access.permissions import MemberRole, PartyKind, Permission
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
def token(
    party: str,
    days: int = 30,
    member: str | None = None,
    permission: Annotated[list[Permission] | None, typer.Option(help="Allow only this.")] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Issue a token to a party or a member; it is shown this once."""
    body = {"days": days, "member": member, "permissions": permission}
    show(hub().post(f"/parties/{party}/tokens", body), as_json=as_json)


@app.command("members")
@told
def members(party: str, *, as_json: bool = JsonOption) -> None:
    """List who acts for a party."""
    show(hub().get(f"/parties/{party}/members"), as_json=as_json)


@app.command("add-member")
@told
def add_member(
    party: str,
    name: str,
    role: Annotated[list[MemberRole] | None, typer.Option(help="What they may do.")] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Make a person a member of a party."""
    body = {"name": name, "roles": role or [MemberRole.HANDLER]}
    show(hub().post(f"/parties/{party}/members", body), as_json=as_json)


@app.command("end-member")
@told
def end_member(party: str, member: str, *, as_json: bool = JsonOption) -> None:
    """End what a member may do, at once."""
    show(hub().post(f"/parties/{party}/members/{member}/end"), as_json=as_json)
