"""`clearhold account`: how you get in, and which of your tokens there are."""

from __future__ import annotations

import typer

from clearhold.delivery.cli.output import JsonOption, hub, hub_for_a_stranger, show, told

app = typer.Typer(help="Get in, and look after your own tokens.", no_args_is_help=True)


@app.command("redeem")
@told
def redeem(
    enrolment: str = typer.Option(
        "", help="Read from CLEARHOLD_ENROLMENT or asked for.", envvar="CLEARHOLD_ENROLMENT"
    ),
    days: int = 30,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Use an enrolment up for a first token, which is shown this once."""
    # Not an argument by habit: other users of the machine see those.
    secret = enrolment or typer.prompt("Enrolment", hide_input=True, err=True)
    show(hub_for_a_stranger().redeem(secret.strip(), days=days), as_json=as_json)


@app.command("enrol")
@told
def enrol(*, as_json: bool = JsonOption) -> None:
    """Get an enrolment to register your first passkey with, at /enrol of the hub."""
    show(hub().post("/account/enrolment"), as_json=as_json)


@app.command("tokens")
@told
def tokens(*, as_json: bool = JsonOption) -> None:
    """List your own tokens and the day each was last used."""
    show(hub().get("/account/tokens"), as_json=as_json)


@app.command("revoke")
@told
def revoke(token: str, *, as_json: bool = JsonOption) -> None:
    """End a token: your own, or as admin any of your party."""
    show(hub().post(f"/account/tokens/{token}/revocation"), as_json=as_json)


@app.command("recoveries")
@told
def recoveries(*, as_json: bool = JsonOption) -> None:
    """List the recoveries you are to know of."""
    show(hub().get("/recoveries"), as_json=as_json)


@app.command("recover")
@told
def recover(member: str, *, as_json: bool = JsonOption) -> None:
    """Issue a recovery's enrolment, once a second coordinator has approved it."""
    show(hub().post("/recoveries", {"member": member}), as_json=as_json)


@app.command("veto")
@told
def veto(recovery: str, *, as_json: bool = JsonOption) -> None:
    """Stop a recovery: your own with any token, or as coordinator any."""
    show(hub().post(f"/recoveries/{recovery}/veto"), as_json=as_json)
