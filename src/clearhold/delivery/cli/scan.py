"""`clearhold scan`: leases, so that no two parties scan the same unknowingly."""

from __future__ import annotations

import uuid

import typer

from clearhold.catalogue.model import Technique
from clearhold.delivery.cli import scan_coverage
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.scanning.model import Mode, StopReason

app = typer.Typer(help="Claim, keep and release scan leases.", no_args_is_help=True)

_EXACT = typer.Option(None, "--version", help="One version; leave out for a range.")
_START = typer.Option("0", "--from", help="The first version of a range.")
_BEFORE = typer.Option(None, "--before", help="The first version after the range.")
_PATHS = typer.Option([], "--path", help="A path glob, as lib/**/*.c; may be repeated.")
_MODE = typer.Option(Mode.EXCLUSIVE, help="What you ask of others.")
_HOURS = typer.Option(8, help="For how many hours at most.")
_BUDGET = typer.Option(3600, help="How many seconds of scanning you mean to do.")
_KEY = typer.Option(None, help="Makes a repeated command have one effect.")


@app.command("claim")
@told
def claim(
    package: str,
    technique: Technique,
    version: str | None = _EXACT,
    start: str = _START,
    before: str | None = _BEFORE,
    path: list[str] = _PATHS,
    mode: Mode = _MODE,
    hours: float = _HOURS,
    budget: int = _BUDGET,
    key: str | None = _KEY,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Lease a scope; when part of it is taken, the answer says what is free instead."""
    body = {
        "package": package,
        "technique": technique,
        "versions": {"exact": version, "start": start, "before": before},
        "paths": path,
        "mode": mode,
        "window_hours": hours,
        "budget_s": budget,
    }
    show(hub().post("/scanning/leases", body, key=key or str(uuid.uuid4())), as_json=as_json)


@app.command("check")
@told
def check(
    package: str,
    technique: Technique,
    version: str | None = _EXACT,
    start: str = _START,
    before: str | None = _BEFORE,
    path: list[str] = _PATHS,
    mode: Mode = _MODE,
    *,
    as_json: bool = JsonOption,
) -> None:
    """See before a claim what its owner wishes and what you hold; of others it tells nothing."""
    body = {
        "package": package,
        "technique": technique,
        "versions": {"exact": version, "start": start, "before": before},
        "paths": path,
        "mode": mode,
    }
    show(hub().post("/scanning/checks", body), as_json=as_json)


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List your leases."""
    show(hub().get("/scanning/leases"), as_json=as_json)


@app.command("heartbeat")
@told
def heartbeat(lease: str, fence: int, *, as_json: bool = JsonOption) -> None:
    """Keep a lease from lapsing; send it more often than once an hour."""
    show(hub().post(f"/scanning/leases/{lease}/heartbeat", {"fence": fence}), as_json=as_json)


@app.command("release")
@told
def release(lease: str, fence: int, *, as_json: bool = JsonOption) -> None:
    """Give a lease back."""
    show(hub().post(f"/scanning/leases/{lease}/release", {"fence": fence}), as_json=as_json)


@app.command("revoke")
@told
def revoke(package: str, reason: StopReason, *, as_json: bool = JsonOption) -> None:
    """End every lease on a package, as coordinator."""
    body = {"package": package, "reason": reason}
    show(hub().post("/scanning/revocations", body), as_json=as_json)


scan_coverage.add_to(app)
