"""`clearhold inventory`: what an operator runs."""

from __future__ import annotations

import uuid
from enum import StrEnum
from pathlib import Path

import typer

from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.inventory.model import Exposure, Known, MissionImpact, SafetyImpact
from clearhold.inventory.service import MEDIA_TYPE
from clearhold.kernel.errors import NotFoundError

app = typer.Typer(help="Keep inventories of what you run, sealed for you.", no_args_is_help=True)


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


_WANTED = typer.Argument(None, help="Leave out to see what stands.")


@app.command("upload")
@told
def upload(
    name: str,
    document: Path,
    exposure: Exposure = Exposure.UNKNOWN,
    publicly_exposed: Known = Known.UNKNOWN,
    safety_impact: SafetyImpact = SafetyImpact.UNKNOWN,
    mission_impact: MissionImpact = MissionImpact.UNKNOWN,
    key: str = "",
    *,
    as_json: bool = JsonOption,
) -> None:
    """Upload a CycloneDX JSON file as the newest revision of the inventory NAME."""
    show(
        hub().upload(
            "/inventories",
            read_input(document),
            media_type=MEDIA_TYPE,
            key=key or str(uuid.uuid4()),
            name=name,
            exposure=exposure.value,
            publicly_exposed=publicly_exposed.value,
            safety_impact=safety_impact.value,
            mission_impact=mission_impact.value,
        ),
        as_json=as_json,
    )


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List your inventories."""
    show(hub().get("/inventories"), as_json=as_json)


@app.command("show")
@told
def single(inventory: str, *, as_json: bool = JsonOption) -> None:
    """Show one of your inventories."""
    show(hub().get(f"/inventories/{inventory}"), as_json=as_json)


@app.command("share")
@told
def share(
    wanted: Switch | None = _WANTED,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Let what you run be counted with others' (three or more), so that it is scanned sooner."""
    if wanted is None:
        show(hub().get("/inventories/sharing"), as_json=as_json)
    else:
        show(hub().post("/inventories/sharing", {"shared": wanted is Switch.ON}), as_json=as_json)


def read_input(path: Path) -> bytes:
    """The content of a file the user named. Raises `NotFoundError` when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFoundError(
            f"The file {path} cannot be read: {error.strerror}.", next_step="Check its path."
        ) from error
