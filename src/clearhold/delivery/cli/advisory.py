"""`clearhold advisory`: writing advisories and agreeing when they are published."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from clearhold.advisories import renderings
from clearhold.delivery.cli.inventory import read_input
from clearhold.delivery.cli.output import EXIT_REFUSED, JsonOption, hub, show, told
from clearhold.kernel.errors import InvalidError


class DocumentKind(StrEnum):
    """A format advisories are published in."""

    CSAF = "csaf"
    CVE = "cve"
    OPENVEX = "openvex"
    OSV = "osv"


def proposed_ranges(seen: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """What replays of several findings propose: the ranges of a draft, and what to look at first.

    `seen` is what a replay showed, by finding; None where there was none. `ranges` have the form
    of a draft's and are empty when the findings do not agree.
    """
    told = {finding: each["ranges"] for finding, each in seen.items() if each and each["ranges"]}
    bare = {
        finding: [{name: each[name] for name in each if name != "unsure"} for each in ranges]
        for finding, ranges in told.items()
    }
    first = next(iter(bare.values()), [])
    agree = all(each == first for each in bare.values())
    return {
        "ranges": first if agree else [],
        "agree": agree,
        "by_finding": bare,
        "could_not_be_asked": {
            finding: sorted({version for each in ranges for version in each["unsure"]})
            for finding, ranges in told.items()
        },
        "all_releases_asked": all(bool(each and each["all_asked"]) for each in seen.values()),
        "not_replayed": [finding for finding in seen if finding not in told],
    }


app = typer.Typer(help="Write advisories and publish them at their instant.", no_args_is_help=True)


@app.command("draft")
@told
def draft(case: str, document: Path, key: str = "", *, as_json: bool = JsonOption) -> None:
    """Begin the advisory of a case from a JSON file (its members are listed in /openapi.json)."""
    body = _object(document) | {"case": case}
    show(hub().post("/advisories", body, key=key or str(uuid.uuid4())), as_json=as_json)


@app.command("affected")
@told
def affected(case: str, *, as_json: bool = JsonOption) -> None:
    """Propose a draft's ranges from what the proofs of a case showed on releases.

    A proposal to confirm: nothing is written into any draft. Where the findings of a case show
    different ranges, or releases that could not be asked stand beside a boundary, decide yourself.
    """
    connection = hub()
    seen = {
        finding: ((connection.get(f"/validation/{finding}")["summary"]) or {}).get("affected")
        for finding in connection.get(f"/cases/{case}")["findings"]
    }
    show(proposed_ranges(seen), as_json=as_json)


@app.command("redraft")
@told
def redraft(advisory: str, document: Path, *, as_json: bool = JsonOption) -> None:
    """Replace a draft that is not scheduled yet."""
    show(hub().post(f"/advisories/{advisory}/draft", _object(document)), as_json=as_json)


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List what is published and what lies in your cases."""
    show(hub().get("/advisories"), as_json=as_json)


@app.command("show")
@told
def single(advisory: str, *, as_json: bool = JsonOption) -> None:
    """Show where an advisory stands."""
    show(hub().get(f"/advisories/{advisory}"), as_json=as_json)


@app.command("preview")
@told
def preview(advisory: str, *, as_json: bool = JsonOption) -> None:
    """Show the documents as they would be published, and what stands in the way."""
    show(hub().get(f"/advisories/{advisory}/preview"), as_json=as_json)


@app.command("schedule")
@told
def schedule(advisory: str, *, as_json: bool = JsonOption) -> None:
    """Put publication on the clock for the end of the embargo."""
    show(hub().post(f"/advisories/{advisory}/schedule"), as_json=as_json)


@app.command("publish-now")
@told
def publish_now(advisory: str, reason: str, *, as_json: bool = JsonOption) -> None:
    """Publish at once, when no embargo stands against it."""
    show(hub().post(f"/advisories/{advisory}/publication", {"reason": reason}), as_json=as_json)


@app.command("check")
@told
def check(
    kind: DocumentKind,
    document: Path,
    package: Annotated[str, typer.Option(help="A package URL without a version.")] = "",
    version: Annotated[list[str] | None, typer.Option(help="Ask about this version.")] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Check a published document against its schema, and ask what it says of a package's versions.

    Needs no hub. Ends with 1 when the document is not valid.
    """
    content = read_input(document)
    problems = renderings.validate(kind.value, content)
    verdicts = {}
    if package and not problems:
        claims = renderings.affected_set(kind.value, content)
        verdicts = {each: str(claims.judge(package, each).verdict) for each in version or ()}
    report = {
        "kind": kind.value,
        "bytes": len(content),
        "problems": list(problems),
        "verdicts": verdicts,
    }
    show(report, as_json=as_json)
    if problems:
        raise typer.Exit(EXIT_REFUSED)


def _object(path: Path) -> dict[str, object]:
    try:
        value = json.loads(read_input(path))
    except ValueError as error:
        raise InvalidError(
            f"The file {path} is not JSON.", next_step="Compare it with /openapi.json."
        ) from error
    if not isinstance(value, dict):
        raise InvalidError(
            f"The file {path} is not a JSON object.", next_step="Compare it with /openapi.json."
        )
    return value
