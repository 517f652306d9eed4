"""`clearhold scan`: leases, so that no two parties scan the same unknowingly."""

from __future__ import annotations

import uuid

import typer

from clearhold.catalogue.model import Technique
from clearhold.delivery.cli import scan_coverage, scan_live
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.scanning.model import Depth, Mode, StopReason

app = typer.Typer(help="Claim, keep and release scan leases.", no_args_is_help=True)
app.add_typer(scan_live.authorisation, name="authorisation")
app.add_typer(scan_live.live, name="live")
app.add_typer(scan_live.passport, name="passport")

_EXACT = typer.Option(None, "--version", help="One version; leave out for a range.")
_START = typer.Option("0", "--from", help="The first version of a range.")
_BEFORE = typer.Option(None, "--before", help="The first version after the range.")
_PATHS = typer.Option([], "--path", help="A path glob, as lib/**/*.c; may be repeated.")
_COMMITS = typer.Option([], "--commit", help="The full name of a commit; may be repeated.")
_FUNCTIONS = typer.Option([], "--function", help="A function or glob, as parse_*; may be repeated.")
_DEPTH = typer.Option(Depth.STANDARD, help="How deeply you mean to look.")
_CONTACT = typer.Option(None, "--contact", help="Words for whoever is introduced to you.")
_PARTY = typer.Option(None, "--to", help="The handle of the party that shall scan at once.")
_MODE = typer.Option(Mode.EXCLUSIVE, help="What you ask of others.")
_HOURS = typer.Option(8, help="For how many hours at most.")
_BUDGET = typer.Option(3600, help="How many seconds of scanning you mean to do.")
_KEY = typer.Option(None, help="Makes a repeated command have one effect.")


def _wanted(  # one for each option
    package: str,
    technique: Technique,
    version: str | None,
    start: str,
    before: str | None,
    commit: list[str],
    path: list[str],
    function: list[str],
    depth: Depth,
) -> dict[str, object]:
    return {
        "package": package,
        "technique": technique,
        "versions": {"exact": version, "start": start, "before": before, "commits": commit},
        "paths": path,
        "functions": function,
        "depth": depth,
    }


@app.command("claim")
@told
def claim(
    package: str,
    technique: Technique,
    version: str | None = _EXACT,
    start: str = _START,
    before: str | None = _BEFORE,
    commit: list[str] = _COMMITS,
    path: list[str] = _PATHS,
    function: list[str] = _FUNCTIONS,
    depth: Depth = _DEPTH,
    mode: Mode = _MODE,
    hours: float = _HOURS,
    budget: int = _BUDGET,
    key: str | None = _KEY,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Lease a scope; when part of it is taken, the answer says so and perhaps what is free."""
    body = _wanted(package, technique, version, start, before, commit, path, function, depth)
    body |= {"mode": mode, "window_hours": hours, "budget_s": budget}
    show(hub().post("/scanning/leases", body, key=key or str(uuid.uuid4())), as_json=as_json)


@app.command("check")
@told
def check(
    package: str,
    technique: Technique,
    version: str | None = _EXACT,
    start: str = _START,
    before: str | None = _BEFORE,
    commit: list[str] = _COMMITS,
    path: list[str] = _PATHS,
    function: list[str] = _FUNCTIONS,
    depth: Depth = _DEPTH,
    mode: Mode = _MODE,
    *,
    as_json: bool = JsonOption,
) -> None:
    """See before a claim what its owner wishes and what you hold; of others it tells nothing."""
    body = _wanted(package, technique, version, start, before, commit, path, function, depth)
    body |= {"mode": mode}
    show(hub().post("/scanning/checks", body), as_json=as_json)


@app.command("wait")
@told
def wait(
    package: str,
    technique: Technique,
    version: str | None = _EXACT,
    start: str = _START,
    before: str | None = _BEFORE,
    commit: list[str] = _COMMITS,
    path: list[str] = _PATHS,
    function: list[str] = _FUNCTIONS,
    depth: Depth = _DEPTH,
    mode: Mode = _MODE,
    hours: float = _HOURS,
    budget: int = _BUDGET,
    key: str | None = _KEY,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Wait for a scope; the lease is granted when it is free, and `scan queue` tells."""
    body = _wanted(package, technique, version, start, before, commit, path, function, depth)
    body |= {"mode": mode, "window_hours": hours, "budget_s": budget}
    show(hub().post("/scanning/queue", body, key=key or str(uuid.uuid4())), as_json=as_json)


@app.command("queue")
@told
def queue(*, as_json: bool = JsonOption) -> None:
    """List your places in queues, and what came of them."""
    show(hub().get("/scanning/queue"), as_json=as_json)


@app.command("leave")
@told
def leave(place: str, *, as_json: bool = JsonOption) -> None:
    """Wait no longer."""
    show(hub().post(f"/scanning/queue/{place}/leaving", {}), as_json=as_json)


@app.command("introduce")
@told
def introduce(
    lease_or_attempt: str,
    contact: str | None = _CONTACT,
    refused: bool = typer.Option(False, "--refused", help="It names a refused claim of yours."),  # noqa: FBT001
    *,
    as_json: bool = JsonOption,
) -> None:
    """Agree to be introduced to whom a lease, or a refused claim, meets; they must agree too.

    Without --contact you are introduced to nobody any more.
    """
    kind = "attempts" if refused else "leases"
    body = {"contact": contact}
    show(hub().post(f"/scanning/{kind}/{lease_or_attempt}/introduction", body), as_json=as_json)


@app.command("introductions")
@told
def introductions(*, as_json: bool = JsonOption) -> None:
    """List to whom you were introduced."""
    show(hub().get("/scanning/introductions"), as_json=as_json)


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


@app.command("preempt")
@told
def preempt(
    package: str,
    technique: Technique,
    reason: StopReason,
    version: str | None = _EXACT,
    start: str = _START,
    before: str | None = _BEFORE,
    path: list[str] = _PATHS,
    to: str | None = _PARTY,
    hours: float = _HOURS,
    key: str | None = _KEY,
    *,
    as_json: bool = JsonOption,
) -> None:
    """End what stands against a scope and lease it to a party at once, as coordinator."""
    body = _wanted(package, technique, version, start, before, [], path, [], Depth.STANDARD)
    body |= {"reason": reason, "party": to, "window_hours": hours}
    show(hub().post("/scanning/preemptions", body, key=key or str(uuid.uuid4())), as_json=as_json)


scan_coverage.add_to(app)
