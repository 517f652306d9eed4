"""`clearhold discover leads` and `clearhold discover lead`: what engines point at, and deciding on it."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from clearhold.delivery.cli.output import JsonOption, hub, show, told

app = typer.Typer(help="Decide on one lead.", no_args_is_help=True)


@told
def leads(
    *,
    package: Annotated[str, typer.Option(help="Only those on a package.")] = "",
    state: Annotated[str, typer.Option(help="Only open, dismissed or proved ones.")] = "",
    after: Annotated[str, typer.Option(help="Only those after this one.")] = "",
    as_json: bool = JsonOption,
) -> None:
    """List your leads in the order they were met, at most 100 at once."""
    asked = {"package": package, "state": state, "after": after}
    show(
        hub().get("/discovery/leads", **{name: text for name, text in asked.items() if text}),
        as_json=as_json,
    )


@told
def variants(
    finding: str,
    package: Annotated[str, typer.Argument(help="Where to look: a package with its version.")],
    *,
    lease: Annotated[str, typer.Option(help="Your lease's id, for static.")],
    fence: Annotated[int, typer.Option(help="Your lease's fencing token.")],
    budget: Annotated[int, typer.Option(help="Seconds.")] = 120,
    as_json: bool = JsonOption,
) -> None:
    """Begin to look for functions like those of a finding; see `discover leads` for what is met."""
    wish = {
        "package": package,
        "target": "source",
        "lease": lease,
        "fence": fence,
        "budget_s": budget,
        "engine": "variants",
        "options": {"finding": finding},
    }
    show(hub().post("/discovery/campaigns", wish, key=secrets.token_hex(16)), as_json=as_json)


@app.command("show")
@told
def show_lead(lead: str, *, as_json: bool = JsonOption) -> None:
    """Show a lead with the lines it points at."""
    show(hub().get(f"/discovery/leads/{lead}"), as_json=as_json)


@app.command("dismiss")
@told
def dismiss(lead: str, reason: str, *, as_json: bool = JsonOption) -> None:
    """Put a lead aside; it stays so however often it is met again."""
    show(hub().post(f"/discovery/leads/{lead}/dismissal", {"reason": reason}), as_json=as_json)


@app.command("reopen")
@told
def reopen(lead: str, *, as_json: bool = JsonOption) -> None:
    """Take a dismissal back."""
    show(hub().post(f"/discovery/leads/{lead}/reopening", {}), as_json=as_json)


@app.command("prove")
@told
def prove(
    lead: str,
    finding: Annotated[str, typer.Argument(help="A finding that the laboratory reproduced.")],
    *,
    as_json: bool = JsonOption,
) -> None:
    """Say which finding shows what a lead pointed at."""
    show(hub().post(f"/discovery/leads/{lead}/proof", {"finding": finding}), as_json=as_json)
