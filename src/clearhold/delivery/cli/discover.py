"""`clearhold discover`: campaigns under a lease."""

from __future__ import annotations

import base64
import secrets
import time
from pathlib import Path
from typing import Annotated

import typer

from clearhold.delivery.cli.output import JsonOption, hub, show, told

app = typer.Typer(help="Search under a lease, in the hub's sandbox.", no_args_is_help=True)

_ENDED = {"found", "nothing_found", "failed"}
_SHOWN_LINES = 12


@app.command("run")
@told
def run(
    package: str,
    target: str,
    *,
    lease: Annotated[str, typer.Option(help="Your lease's id.")],
    fence: Annotated[int, typer.Option(help="Your lease's fencing token.")],
    budget: Annotated[int, typer.Option(help="Seconds.")] = 60,
    seed: Annotated[int | None, typer.Option(help="Without one the clock gives it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write a crashing input.")] = None,
    as_json: bool = JsonOption,
) -> None:
    """Begin a campaign and wait for its end, showing how far it got."""
    client = hub()
    wish = {
        "package": package,
        "target": target,
        "lease": lease,
        "fence": fence,
        "budget_s": budget,
        "seed": seed,
    }
    begun = client.post("/discovery/campaigns", wish, key=secrets.token_hex(16))
    while True:
        campaign = client.get(f"/discovery/campaigns/{begun['id']}")
        if campaign["state"] in _ENDED:
            break
        tried, edges = campaign["executions"], campaign["edges"]
        how_far = f"{tried} tried, {edges} edges" if tried else f"{campaign['state']}, or building"
        typer.echo(f"seed {campaign['seed']}: {how_far}", err=True)
        time.sleep(1)
    if out is not None and campaign["crash"]:
        out.write_bytes(base64.b64decode(campaign["crash"]))
    if not as_json:  # the engine's log is long; its last lines say how it ended
        campaign["note"] = "\n".join(campaign["note"].strip().splitlines()[-_SHOWN_LINES:])
    show(campaign, as_json=as_json)


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List your campaigns."""
    show(hub().get("/discovery/campaigns"), as_json=as_json)
