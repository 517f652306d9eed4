"""`clearhold discover`: campaigns under a lease."""

from __future__ import annotations

import base64
import contextlib
import secrets
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from clearhold.delivery.cli import discover_leads, discover_watch
from clearhold.delivery.cli.discover_harness import harness
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.client import HubClient
from clearhold.kernel.errors import ClearholdError, InvalidError

app = typer.Typer(help="Search under a lease, in the hub's sandbox.", no_args_is_help=True)
app.command("leads")(discover_leads.leads)
app.command("variants")(discover_leads.variants)
for _command in (discover_watch.watch, discover_watch.watches, discover_watch.unwatch):
    app.command(_command.__name__)(_command)
app.command("harness")(harness)
app.add_typer(discover_leads.app, name="lead")

_ENDED = {"found", "nothing_found", "stopped", "failed"}
_SHOWN_LINES = 12
_RENEW_S = 600

Option = Annotated[
    list[str] | None,
    typer.Option("--option", help="An option of the engine, as name=value; may be repeated."),
]


@app.command("search")
@app.command("run")
@told
def run(
    package: str,
    target: Annotated[str, typer.Argument(help="May be left out when there is only one.")] = "",
    *,
    lease: Annotated[str, typer.Option(help="Your lease's id.")],
    fence: Annotated[int, typer.Option(help="Your lease's fencing token.")],
    budget: Annotated[int, typer.Option(help="Seconds.")] = 60,
    seed: Annotated[int | None, typer.Option(help="Without one the clock gives it.")] = None,
    engine: Annotated[str, typer.Option(help="Which engine searches.")] = "libfuzzer",
    option: Option = None,
    keep_going: Annotated[
        bool, typer.Option(help="Go on after the first confirmed crash, to the budget's end.")
    ] = False,
    plateau: Annotated[
        int, typer.Option(help="End when nothing new came for this percentage; 0 for never.")
    ] = 0,
    out: Annotated[Path | None, typer.Option(help="Where to write a crashing input.")] = None,
    as_json: bool = JsonOption,
) -> None:
    """Begin a campaign and wait for its end, showing how far it got.

    The lease is renewed meanwhile. Interrupting the command leaves the campaign running.
    """
    client = hub()
    wish = {
        "package": package,
        "target": target,
        "lease": lease,
        "fence": fence,
        "budget_s": budget,
        "seed": seed,
        "engine": engine,
        "options": _options(option or [], keep_going=keep_going, plateau=plateau),
    }
    begun = client.post("/discovery/campaigns", wish, key=secrets.token_hex(16))
    campaign = _waited_for(client, begun["id"], lease=lease, fence=fence)
    if out is not None and campaign["crash"]:
        out.write_bytes(_input(client, begun["id"], campaign["crash"]))
    _show(campaign, as_json=as_json)


@app.command("show")
@told
def one(campaign: str, *, as_json: bool = JsonOption) -> None:
    """Show one campaign, and what it found."""
    _show(hub().get(f"/discovery/campaigns/{campaign}"), as_json=as_json)


@app.command("stop")
@told
def stop(campaign: str, *, as_json: bool = JsonOption) -> None:
    """End a campaign of yours: at once, or within seconds when it runs."""
    show(hub().post(f"/discovery/campaigns/{campaign}/stop"), as_json=as_json)


@app.command("crashes")
@told
def crashes(campaign: str, directory: Path, *, as_json: bool = JsonOption) -> None:
    """Write the inputs that crashed a campaign's target into a new directory, one file each."""
    client = hub()
    known = client.get(f"/discovery/campaigns/{campaign}")
    _new(directory)
    written = []
    for each in known["crashes"]:
        file = directory / f"{int(each['number']):02}"
        file.write_bytes(_input(client, campaign, each["number"]))
        written.append({"file": str(file), **each})
    show(written, as_json=as_json)


@app.command("corpus")
@told
def corpus(campaign: str, directory: Path, *, as_json: bool = JsonOption) -> None:
    """Write the inputs that your party keeps for a campaign's target into a new directory."""
    kept = hub().get(f"/discovery/campaigns/{campaign}/corpus")["inputs"]
    _new(directory)
    for number, each in enumerate(kept, start=1):
        (directory / f"{number:05}").write_bytes(base64.b64decode(each))
    show({"directory": str(directory), "inputs": len(kept)}, as_json=as_json)


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List your campaigns."""
    show(hub().get("/discovery/campaigns"), as_json=as_json)


def _waited_for(client: HubClient, campaign: str, *, lease: str, fence: int) -> dict[str, Any]:
    heard = time.monotonic()
    while True:
        known: dict[str, Any] = client.get(f"/discovery/campaigns/{campaign}")
        if known["state"] in _ENDED:
            return known
        tried, edges = known["executions"], known["edges"]
        how_far = f"{tried} tried, {edges} edges" if tried else f"{known['state']}, or building"
        typer.echo(f"seed {known['seed']}: {how_far}", err=True)
        if time.monotonic() - heard >= _RENEW_S:
            heard = time.monotonic()
            with contextlib.suppress(ClearholdError):  # then the campaign ends with its lease
                client.post(f"/scanning/leases/{lease}/heartbeat", {"fence": fence})
        time.sleep(1)


def _input(client: HubClient, campaign: str, number: int) -> bytes:
    met = client.get(f"/discovery/campaigns/{campaign}/crashes/{number}")
    return base64.b64decode(met["content"])


def _new(directory: Path) -> None:
    if directory.exists():
        raise InvalidError("The directory exists already.", next_step="Name a new one.")
    directory.mkdir(parents=True)


def _options(given: list[str], *, keep_going: bool, plateau: int) -> dict[str, str]:
    options = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise InvalidError(
                f"The option {each!a} has no value.", next_step="Write it as name=value."
            )
        options[name] = value
    if keep_going:
        options["until"] = "budget"
    if plateau:
        options["plateau"] = str(plateau)
    return options


def _show(campaign: dict[str, Any], *, as_json: bool) -> None:
    if not as_json:  # the engine's log is long; its last lines say how it ended
        campaign["note"] = "\n".join(campaign["note"].strip().splitlines()[-_SHOWN_LINES:])
    show(campaign, as_json=as_json)
