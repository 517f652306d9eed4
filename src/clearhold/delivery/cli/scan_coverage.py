"""`clearhold scan`: what scans covered, what is shared of it, and what to scan next."""

from __future__ import annotations

from typing import Any

import typer

from clearhold.catalogue.model import Technique
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.printed import printable
from clearhold.kernel.errors import InvalidError
from clearhold.scanning.coverage_model import Sharing
from clearhold.scanning.model import Depth, Outcome

_EFFORT = typer.Option([], "--effort", help="A count, as executions=100000; may be repeated.")
_VERSION = typer.Option("", "--version", help="The version; the lease's if it is of one.")
_COMMIT = typer.Option("", "--commit", help="The whole id of the commit that was scanned.")
_PATHS = typer.Option([], "--path", help="A path glob that was scanned; the lease's if left out.")
_FUNCTIONS = typer.Option([], "--function", help="A function that was reached; may be repeated.")
_DEPTH = typer.Option(None, help="How far it went; as far as the lease says if left out.")
_SHARING = typer.Option(
    None, help="Whether others may learn, without your name, that this was scanned."
)
_BY = typer.Option(None, "--technique", help="Only scans by this technique.")
_CHOICE = typer.Argument(None, help="Leave out to see what stands.")
_COLUMNS = ("version", "technique", "area", "last_week", "depth", "scans", "result")


def add_to(app: typer.Typer) -> None:
    """Put these commands beside those of leases."""
    for name, command in (
        ("cover", cover),
        ("coverage", coverage),
        ("withdraw", withdraw),
        ("sharing", sharing),
        ("map", coverage_map),
        ("next", next_scan),
    ):
        app.command(name)(told(command))


def cover(
    lease: str,
    fence: int,
    outcome: Outcome,
    result_sha256: str,
    effort: list[str] = _EFFORT,
    version: str = _VERSION,
    commit: str = _COMMIT,
    path: list[str] = _PATHS,
    function: list[str] = _FUNCTIONS,
    depth: Depth | None = _DEPTH,
    sharing: Sharing | None = _SHARING,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Tell what a scan covered, also when nothing was found."""
    counts = {}
    for each in effort:
        name, _, count = each.partition("=")
        if not count.isdecimal():
            raise InvalidError(
                "An effort is a name and a whole number.", next_step="Write executions=100000."
            )
        counts[name] = int(count)
    body = {
        "fence": fence,
        "outcome": outcome,
        "effort": counts,
        "result_sha256": result_sha256,
        "version": version,
        "commit": commit,
        "paths": path,
        "functions": function,
        "depth": depth,
        "sharing": sharing,
    }
    show(hub().post(f"/scanning/leases/{lease}/coverage", body), as_json=as_json)


def coverage(*, as_json: bool = JsonOption) -> None:
    """List what your scans covered."""
    show(hub().get("/scanning/coverage"), as_json=as_json)


def withdraw(record: str, *, as_json: bool = JsonOption) -> None:
    """Take a shared record of yours out of the coverage map."""
    show(hub().post(f"/scanning/coverage/{record}/withdrawal"), as_json=as_json)


def sharing(
    choice: Sharing | None = _CHOICE,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Choose once whether what you will record is shared without your name."""
    if choice is None:
        show(hub().get("/scanning/coverage-sharing"), as_json=as_json)
    else:
        show(hub().post("/scanning/coverage-sharing", {"sharing": choice}), as_json=as_json)


def coverage_map(package: str, *, as_json: bool = JsonOption) -> None:
    """Show what is known to have been scanned of a package: by what, where, when, how deeply."""
    found: dict[str, Any] = hub().post("/scanning/coverage-map", {"package": package})
    if as_json:
        show(found, as_json=True)
        return
    for line in map_lines(found):
        typer.echo(printable(line))


def map_lines(found: dict[str, Any]) -> list[str]:
    """A coverage map as a table; what a hub answered is cut to one line a cell."""
    head = [f"{found['package']}: scans shared before {found['as_of']}"]
    if not found["rows"]:
        return [*head, "  none; that nobody shared a scan does not say that there was none"]
    cells = [[name.replace("_", " ") for name in _COLUMNS]]
    for row in found["rows"]:
        older = " (a newer version is listed)" if row["outdated"] else ""
        plain = [" ".join(str(row[name]).split()) for name in _COLUMNS]
        cells.append([*plain[:-1], plain[-1] + older])
    widths = [max(len(row[n]) for row in cells) for n in range(len(_COLUMNS))]
    return head + [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def next_scan(technique: Technique | None = _BY, *, as_json: bool = JsonOption) -> None:
    """Suggest what is most worth scanning and free, with the reasons; so many times a day."""
    found: dict[str, Any] = hub().post("/scanning/suggestions", {"technique": technique})
    if as_json:
        show(found, as_json=True)
        return
    for line in suggestion_lines(found):
        typer.echo(printable(line))


def suggestion_lines(found: dict[str, Any]) -> list[str]:
    """Suggestions as text, each with the terms that its score is the sum of."""
    lines = [] if found["scans"] else ["nothing that is listed is free to scan"]
    for place, each in enumerate(found["scans"], 1):
        scope = each["scope"]
        where = ", ".join(map(str, scope["paths"]))
        version = scope["versions"].get("exact") or "every version"
        lines.append(
            f"{place}. {scope['package']} {version} by {scope['technique']} in {where}:"
            f" {each['score']} points"
        )
        lines += [
            f"     {term['points']:3}  {term['name']}: {term['why']}" for term in each["terms"]
        ]
    return [*lines, f"{found['questions_left']} more questions today"]
