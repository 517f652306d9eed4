"""`clearhold approval`: acts that take two people."""

from __future__ import annotations

from typing import Annotated

import typer

from clearhold.access.approvals import Act
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.kernel.errors import InvalidError

app = typer.Typer(help="Propose and approve acts that take two people.", no_args_is_help=True)


@app.command("propose")
@told
def propose(
    act: Act,
    subject: str,
    reason: str,
    particular: Annotated[
        list[str] | None, typer.Option(help="A particular of the act, as NAME=VALUE.")
    ] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Ask a second person to approve an act; the error that asked for it says what to name."""
    particulars = {}
    for each in particular or ():
        name, equals, value = each.partition("=")
        if not equals:
            raise InvalidError("A particular is NAME=VALUE.", next_step=f"Correct {each!r}.")
        particulars[name] = value
    body = {"act": act, "subject": subject, "particulars": particulars, "reason": reason}
    show(hub().post("/approvals", body), as_json=as_json)


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List what your party proposed."""
    show(hub().get("/approvals"), as_json=as_json)


@app.command("give")
@told
def give(approval: str, *, as_json: bool = JsonOption) -> None:
    """Approve what a colleague proposed."""
    show(hub().post(f"/approvals/{approval}/approval"), as_json=as_json)


@app.command("refuse")
@told
def refuse(approval: str, *, as_json: bool = JsonOption) -> None:
    """Refuse or withdraw what is proposed."""
    show(hub().post(f"/approvals/{approval}/refusal"), as_json=as_json)
