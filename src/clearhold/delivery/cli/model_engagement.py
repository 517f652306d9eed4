"""`clearhold model engagement`: one test of one model, and its clock."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from clearhold.delivery.cli import party_key
from clearhold.delivery.cli.model_agreement import EXPECTED, KEY, check_digest
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.cli.party_key import now
from clearhold.evaluations.model import Act
from clearhold.kernel.errors import IntegrityError, InvalidError
from clearhold.wire import dsse, model_agreement
from clearhold.wire.model_agreement import Change

app = typer.Typer(help="One test of one model, and its clock.", no_args_is_help=True)


@app.command("propose")
@told
def propose(
    agreement: str,
    model: str,
    variant: Annotated[list[str], typer.Option(help="A variant to be tested; repeat.")],
    days: Annotated[float, typer.Option(help="How long access lasts.")] = 30,
    release: Annotated[
        datetime | None, typer.Option(help="The planned release to others, in UTC.")
    ] = None,
    purpose: str = "",
    key: Annotated[str, typer.Option(help="Names this call, so that it may be repeated.")] = "",
    *,
    as_json: bool = JsonOption,
) -> None:
    """Propose to test a model, or offer one to be tested, under an agreement in force."""
    body = {
        "agreement": agreement,
        "model": model,
        "variants": variant,
        "purpose": purpose,
        "days": days,
        "release_at": instant_of(release),
    }
    chosen = key or secrets.token_hex(16)
    show(hub().post("/evaluations/engagements", body, key=chosen), as_json=as_json)


@app.command("list")
@told
def engagements(after: str | None = None, *, as_json: bool = JsonOption) -> None:
    """List your party's engagements, a hundred at a time."""
    wanted = {} if after is None else {"after": after}
    show(hub().get("/evaluations/engagements", **wanted), as_json=as_json)


@app.command("show")
@told
def one(engagement: str, *, as_json: bool = JsonOption) -> None:
    """Show an engagement: its state, its clock, what happened, and what waits for a signature."""
    show(hub().get(f"/evaluations/engagements/{engagement}"), as_json=as_json)


@app.command("act")
@told
def act(engagement: str, what: Act, *, as_json: bool = JsonOption) -> None:
    """Move an engagement on for your side: accept it, provision access, withdraw."""
    show(hub().post(f"/evaluations/engagements/{engagement}/acts", {"act": what}), as_json=as_json)


@app.command("release")
@told
def release(
    engagement: str,
    at: Annotated[
        datetime | None, typer.Option(help="In UTC; without it there is no plan.")
    ] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Move the planned release of your model, as its developer."""
    body = {"release_at": instant_of(at)}
    show(hub().post(f"/evaluations/engagements/{engagement}/release", body), as_json=as_json)


@app.command("ask")
@told
def ask(
    engagement: str,
    what: Literal["pause", "resume", "extend", "lift-hold", "late-draft"],
    key: Annotated[Path, KEY],
    hours: Annotated[
        float, typer.Option(help="How long a pause lasts, or how much more time.")
    ] = 0,
    reason: str = "",
    *,
    stops_clock: Annotated[
        bool, typer.Option("--stops-clock", help="A pause in which the window does not run.")
    ] = False,
    as_json: bool = JsonOption,
) -> None:
    """Sign a change; it takes place when the other side has signed the same."""
    if not 0 <= hours <= 24 * 366:  # which nothing that is not a number is
        raise InvalidError("Hours are a number from 0 to 8784.")
    if what == "extend" and hours != int(hours):
        raise InvalidError("An extension is of whole hours.")
    signer = party_key.load(key)
    happened = hub().get(f"/evaluations/engagements/{engagement}")["happened"]
    change = Change(
        act=what,
        after=happened[-1]["number"],
        engagement=engagement,
        hours=int(hours) if what == "extend" else 0,
        nonce=secrets.token_hex(16),
        reason=reason,
        stops_clock=stops_clock and what == "pause",
        until=now() + timedelta(hours=hours) if what == "pause" else None,
    )
    _consent(engagement, model_agreement.write(change), signer, as_json=as_json)


@app.command("consent")
@told
def consent(
    engagement: str,
    nonce: Annotated[str, typer.Argument(help="The nonce of the change, as `show` tells it.")],
    key: Annotated[Path, KEY],
    expect_digest: Annotated[str, EXPECTED] = "",
    *,
    as_json: bool = JsonOption,
) -> None:
    """Sign a change that the other side has asked for, exactly as it signed it."""
    signer = party_key.load(key)
    found = hub().get(f"/evaluations/engagements/{engagement}")
    for each in found["waiting"]:
        if each["change"]["nonce"] == nonce:
            payload = dsse.payload_of(each["envelope"].encode())
            model_agreement.read_change(payload)
            check_digest(payload, expect_digest)
            if msgspec.json.decode(payload) != each["change"]:
                raise IntegrityError("The change the hub shows is not the one that was signed.")
            _consent(engagement, payload, signer, as_json=as_json)
            return
    raise _no_change(engagement)


@app.command("take-back")
@told
def take_back(
    engagement: str,
    nonce: Annotated[str, typer.Argument(help="The nonce of the change, as `show` tells it.")],
    *,
    as_json: bool = JsonOption,
) -> None:
    """Take back your side's signature on a change, as long as the other side has not signed."""
    connection = hub()
    at = f"/evaluations/engagements/{engagement}"
    for each in connection.get(at)["waiting"]:
        if each["change"]["nonce"] == nonce:
            payload = dsse.payload_of(each["envelope"].encode())
            body = {"sha256": hashlib.sha256(payload).hexdigest()}
            show(connection.post(f"{at}/consents/taken-back", body), as_json=as_json)
            return
    raise _no_change(engagement)


def _no_change(engagement: str) -> InvalidError:
    return InvalidError(
        "No change with this nonce waits for a signature.",
        next_step=f"See `clearhold model engagement show {engagement}`.",
    )


def _consent(engagement: str, payload: bytes, signer: Any, *, as_json: bool) -> None:
    envelope = dsse.sign(payload, model_agreement.CHANGE_TYPE, signer).decode()
    body = {"envelope": envelope}
    show(hub().post(f"/evaluations/engagements/{engagement}/consents", body), as_json=as_json)


def instant_of(given: datetime | None) -> str | None:
    """An instant that was given in UTC, as it is sent."""
    if given is None:
        return None
    return (given.replace(tzinfo=UTC) if given.tzinfo is None else given).isoformat()
