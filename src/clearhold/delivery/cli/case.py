"""`clearhold case`: who must act, what they agreed, and where they stand."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

import typer

from clearhold.cases.model import ReportStep, Role
from clearhold.delivery.cli import sealed
from clearhold.delivery.cli.output import SEALED_TO, JsonOption, hub, show, told
from clearhold.kernel.errors import ClearholdError, InvalidError

app = typer.Typer(help="Coordinate the disclosure of a vulnerability.", no_args_is_help=True)
app.add_typer(sealed.app, name="sealed")


@app.command("open")
@told
def open_case(vulnerability: str, title: str, key: str = "", *, as_json: bool = JsonOption) -> None:
    """Open the case of a vulnerability that was reproduced."""
    body = {"vulnerability": vulnerability, "title": title}
    show(hub().post("/cases", body, key=key or str(uuid.uuid4())), as_json=as_json)


@app.command("list")
@told
def listing(cursor: str = "", limit: int = 50, *, as_json: bool = JsonOption) -> None:
    """List the cases you take part in, newest first; ask with the cursor `next` for more."""
    show(hub().get("/cases", cursor=cursor, limit=limit), as_json=as_json)


@app.command("show")
@told
def single(case: str, *, as_json: bool = JsonOption) -> None:
    """Show a case."""
    show(hub().get(f"/cases/{case}"), as_json=as_json)


@app.command("read-in")
@told
def read_in(
    case: str,
    party: str,
    role: Role,
    reason: str,
    tier: int = typer.Option(1, help="0 everything, 1 content, 2 to prepare the fix, 3 notice."),
    member: str | None = None,
    expires: str = typer.Option("", help="An instant such as 2026-09-01T12:00:00Z."),
    *,
    as_json: bool = JsonOption,
) -> None:
    """Let a party, or one member, see the case; the reason is in plain words and reveals nothing."""
    body = {"party": party, "role": role, "tier": tier, "reason": reason, "member": member}
    if expires:
        body["expires_at"] = _instant(expires)
    show(hub().post(f"/cases/{case}/participants", body), as_json=as_json)


@app.command("read-out")
@told
def read_out(
    case: str, party: str, member: str | None = None, *, as_json: bool = JsonOption
) -> None:
    """End what a party, or one member of it, sees of the case."""
    body = {"party": party, "member": member}
    show(hub().post(f"/cases/{case}/participants/end", body), as_json=as_json)


@app.command("readers")
@told
def readers(case: str, *, as_json: bool = JsonOption) -> None:
    """List who is read in, why, by whom and until when: all of them to the case's coordinators."""
    show(hub().get(f"/cases/{case}/readers"), as_json=as_json)


@app.command("recuse")
@told
def recuse(
    case: str, reason: str, person: str | None = None, *, as_json: bool = JsonOption
) -> None:
    """Bar yourself, or as coordinator a --person, from the case for good."""
    body = {"reason": reason, "person": person}
    show(hub().post(f"/cases/{case}/recusals", body), as_json=as_json)


@app.command("break-glass")
@told
def break_glass(case: str, reason: str, *, as_json: bool = JsonOption) -> None:
    """Look at a case you are not read in to, for an hour, with a second person's approval."""
    show(hub().post(f"/cases/{case}/glass", {"reason": reason}), as_json=as_json)


@app.command("export")
@told
def export(
    case: str, to: Path, sealed_to: str | None = SEALED_TO, *, as_json: bool = JsonOption
) -> None:
    """Write everything you may see of the case to a zip archive; takes two people."""
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        try:
            content = hub().fetch(f"/cases/{case}/export", sealed_to=sealed_to)
        except ClearholdError:
            to.unlink()  # made first, so that no approval is used up for what cannot be kept
            raise
        file.write(content)
    show({"written": str(to), "bytes": len(content)}, as_json=as_json)


@app.command("contacts")
@told
def contacts(case: str, *, as_json: bool = JsonOption) -> None:
    """Show how those in a case are reached."""
    show(hub().get(f"/cases/{case}/contacts"), as_json=as_json)


@app.command("report")
@told
def report(case: str, step: ReportStep, *, as_json: bool = JsonOption) -> None:
    """Say how far you have come with the report."""
    show(hub().post(f"/cases/{case}/report", {"step": step}), as_json=as_json)


@app.command("status")
@told
def status(case: str, fact: str, *, as_json: bool = JsonOption) -> None:
    """Report V vendor aware, F fix ready, D deployed, P public, X exploit public or A attacks."""
    show(hub().post(f"/cases/{case}/status", {"fact": fact}), as_json=as_json)


@app.command("say")
@told
def say(case: str, text: str, key: str = "", *, as_json: bool = JsonOption) -> None:
    """Write to everyone in the case."""
    written = hub().post(f"/cases/{case}/messages", {"text": text}, key=key or str(uuid.uuid4()))
    show(written, as_json=as_json)


@app.command("messages")
@told
def messages(case: str, *, as_json: bool = JsonOption) -> None:
    """Read what was said in the case."""
    show(hub().get(f"/cases/{case}/messages"), as_json=as_json)


@app.command("propose")
@told
def propose(
    case: str,
    until: str | None = typer.Argument(None),
    terms: str = "",
    *,
    operators_early_notice: bool = typer.Option(
        False,
        "--operators-early-notice",
        help="Operators may hear beforehand that something urgent comes, not what.",
    ),
    as_json: bool = JsonOption,
) -> None:
    """Propose an embargo until an instant such as 2026-09-01T12:00:00Z, or a revision of one.

    Without an instant it is as long as the vendors of the case usually want.
    """
    body = {
        "until": None if until is None else _instant(until),
        "terms": terms,
        "operators_early_notice": operators_early_notice,
    }
    show(hub().post(f"/cases/{case}/embargoes", body), as_json=as_json)


@app.command("accept")
@told
def accept(case: str, embargo: str, *, as_json: bool = JsonOption) -> None:
    """Sign an embargo."""
    show(hub().post(f"/cases/{case}/embargoes/{embargo}/acceptance"), as_json=as_json)


@app.command("decline")
@told
def decline(case: str, embargo: str, *, as_json: bool = JsonOption) -> None:
    """Decline an embargo."""
    show(hub().post(f"/cases/{case}/embargoes/{embargo}/refusal"), as_json=as_json)


@app.command("terminate")
@told
def terminate(case: str, *, as_json: bool = JsonOption) -> None:
    """End the embargo in force at once."""
    show(hub().post(f"/cases/{case}/termination"), as_json=as_json)


@app.command("close")
@told
def close(case: str, *, as_json: bool = JsonOption) -> None:
    """Close a case that is not under embargo."""
    show(hub().post(f"/cases/{case}/closing"), as_json=as_json)


def _instant(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidError(
            "That is no instant.", next_step="Write it like 2026-09-01T12:00:00Z."
        ) from error
    if moment.tzinfo is None:
        raise InvalidError(
            "The instant has no time zone.", next_step="Write it like 2026-09-01T12:00:00Z."
        )
    return moment.astimezone(UTC).isoformat()
