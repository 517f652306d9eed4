"""`clearhold party`: the register."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clearhold.access.permissions import MemberRole, PartyKind, Permission
from clearhold.delivery.cli import standing
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.cli.sealed import (
    IDENTITY,
    LARGEST_SEALED,
    OUTPUT,
    decrypt,
    new_file,
    new_identity,
    read_file,
)

app = typer.Typer(
    help="Register parties, their people and tokens; say what a party stands for and wishes.",
    no_args_is_help=True,
)
standing.install(app)


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


@app.command("self")
@told
def own(*, as_json: bool = JsonOption) -> None:
    """Show the party and the member your token stands for."""
    show(hub().get("/parties/self"), as_json=as_json)


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


@app.command("identity")
@told
def identity(file: Path, *, as_json: bool = JsonOption) -> None:
    """Make an age identity in a new file on this machine and print its recipient."""
    show({"recipient": new_identity(file)}, as_json=as_json)


@app.command("open")
@told
def open_sealed(file: Path, identity: Path = IDENTITY, output: Path = OUTPUT) -> None:
    """Decrypt here what was fetched sealed to your recipient."""
    new_file(output, decrypt(read_file(file, LARGEST_SEALED), identity))


@app.command("recipient")
@told
def recipient(
    recipient: str,
    *,
    findable: bool = typer.Option(
        False, "--findable", help="Let other parties find it by your handle and seal cases to it."
    ),
    as_json: bool = JsonOption,
) -> None:
    """Register an age recipient of your party and print its fingerprint."""
    body = {"recipient": recipient, "findable": findable}
    show(hub().post("/parties/recipients", body), as_json=as_json)


@app.command("recipients")
@told
def recipients(
    of: str = typer.Option("", help="The handle of another party."),
    *,
    as_json: bool = JsonOption,
) -> None:
    """List your party's age recipients, or those that a party of that handle lets you find."""
    path = f"/parties/{of}/recipients" if of else "/parties/recipients"
    show(hub().get(path), as_json=as_json)


@app.command("withdraw-recipient")
@told
def withdraw_recipient(fingerprint: str, *, as_json: bool = JsonOption) -> None:
    """Have nothing more sealed to a recipient of your party."""
    show(hub().post(f"/parties/recipients/{fingerprint}/withdrawal"), as_json=as_json)


@app.command("readings")
@told
def readings(*, as_json: bool = JsonOption) -> None:
    """Show who was given how much sealed content within a day, the busiest first."""
    show(hub().get("/parties/readings"), as_json=as_json)


@app.command("enrol")
@told
def enrol(party: str, member: str, *, as_json: bool = JsonOption) -> None:
    """Give a member who has not entered yet a new enrolment, shown this once."""
    show(hub().post(f"/parties/{party}/members/{member}/enrolment"), as_json=as_json)


@app.command("tokens")
@told
def tokens(party: str, *, as_json: bool = JsonOption) -> None:
    """List the tokens of everyone who acts for your party."""
    show(hub().get(f"/parties/{party}/tokens"), as_json=as_json)


@app.command("add-provider")
@told
def add_provider(
    party: str,
    name: str,
    issuer: str,
    client: str,
    secret_name: Annotated[
        str | None, typer.Option(help="The file below oidc/ of the key directory.")
    ] = None,
    *,
    enforced: Annotated[
        bool, typer.Option("--enforced", help="A passkey alone no longer opens the party.")
    ] = False,
    as_json: bool = JsonOption,
) -> None:
    """Let a party's people sign in through its own OIDC provider."""
    body = {
        "name": name,
        "issuer": issuer,
        "client": client,
        "secret_name": secret_name,
        "enforced": enforced,
    }
    show(hub().post(f"/parties/{party}/providers", body), as_json=as_json)


@app.command("providers")
@told
def providers(party: str, *, as_json: bool = JsonOption) -> None:
    """List the OIDC providers of a party."""
    show(hub().get(f"/parties/{party}/providers"), as_json=as_json)


@app.command("remove-provider")
@told
def remove_provider(party: str, provider: str, *, as_json: bool = JsonOption) -> None:
    """End a provider and the sessions it vouched for."""
    show(hub().post(f"/parties/{party}/providers/{provider}/removal"), as_json=as_json)
