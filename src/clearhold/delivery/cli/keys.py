"""`clearhold admin keys`: the keys that wrap all others, on the hub's own machine.

Whatever changes, copies or destroys keys takes two people: the one whose token is in CLEARHOLD_TOKEN,
and the one who approved what they proposed. Finishing what was cut off takes nobody.
"""

from __future__ import annotations

import os
from pathlib import Path

import typer

from clearhold.access.model import Actor
from clearhold.assembly.hub import Hub, open_hub
from clearhold.delivery.cli.output import JsonOption, show, told
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.ids import CaseId
from clearhold.settings import from_environment
from clearhold.vault.keeping import KeyStatus

app = typer.Typer(help="Rotate, back up and destroy the hub's keys.", no_args_is_help=True)


@app.command("status")
@told
def status(*, as_json: bool = JsonOption) -> None:
    """Show the ring's keys, what each wraps, and its backups."""
    with open_hub(from_environment(), work=False) as hub:
        _show(hub.keeping.status(), as_json=as_json)


@app.command("rotate")
@told
def rotate(*, as_json: bool = JsonOption) -> None:
    """Wrap every compartment's key under a new key; content stays as it is."""
    with open_hub(from_environment(), work=False) as hub:
        actor = _person(hub)
        done = hub.keeping.rotate(hub.two_people(actor), by=actor.principal)
        _show(done, as_json=as_json)


@app.command("resume")
@told
def resume(*, as_json: bool = JsonOption) -> None:
    """Finish a change of the keys that was cut off."""
    with open_hub(from_environment(), work=False) as hub:
        hub.keeping.finish()
        _show(hub.keeping.status(), as_json=as_json)


@app.command("backup")
@told
def back_up(file: Path, *, as_json: bool = JsonOption) -> None:
    """Copy the ring to a new file and remember where, so that later changes reach it."""
    with open_hub(from_environment(), work=False) as hub:
        actor = _person(hub)
        done = hub.keeping.back_up(file.absolute(), hub.two_people(actor), by=actor.principal)
        _show(done, as_json=as_json)


@app.command("forget")
@told
def forget(file: Path, *, as_json: bool = JsonOption) -> None:
    """Stop counting on a backup that no longer exists anywhere."""
    with open_hub(from_environment(), work=False) as hub:
        actor = _person(hub)
        done = hub.keeping.forget(str(file.absolute()), hub.two_people(actor), by=actor.principal)
        _show(done, as_json=as_json)


@app.command("destroy-retired")
@told
def destroy_retired(*, as_json: bool = JsonOption) -> None:
    """Change the key and destroy all older ones: older database copies then open nothing."""
    with open_hub(from_environment(), work=False) as hub:
        actor = _person(hub)
        done = hub.keeping.destroy_retired(hub.two_people(actor), by=actor.principal)
        _show(done, as_json=as_json)


@app.command("expunge")
@told
def expunge(case: str, *, as_json: bool = JsonOption) -> None:
    """Destroy the keys of a case for good, in the ring's backups and older copies too."""
    with open_hub(from_environment(), work=False) as hub:
        actor = _person(hub)
        done = hub.expunging.expunge(CaseId(case), hub.two_people(actor), by=actor.principal)
        show({"case": done.case, "keys_destroyed": done.keys}, as_json=as_json)


def _person(hub: Hub) -> Actor:
    token = os.environ.get("CLEARHOLD_TOKEN", "")
    if not token:
        raise InvalidError(
            "This takes two people, so it must be known who you are.",
            next_step="Put your own token into the variable CLEARHOLD_TOKEN.",
        )
    return hub.authenticate(token)


def _show(status: KeyStatus, *, as_json: bool) -> None:
    show(
        {
            "current": status.current,
            "keys": dict(status.wrapped),
            "backups": {place: str(state) for place, state in status.backups.items()},
            "running": status.running,
        },
        as_json=as_json,
    )
