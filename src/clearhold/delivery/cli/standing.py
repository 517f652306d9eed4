"""More of `clearhold party`: keys, what a party stands for, how it is reached, what it wishes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clearhold.access.permissions import MemberRole
from clearhold.delivery.cli import party_key
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.kernel.errors import InvalidError
from clearhold.parties.wish import Channel
from clearhold.wire import key_holding

key = typer.Typer(help="Keys your party signs with.", no_args_is_help=True)

_QUIET = typer.Option([], "--quiet", help="Quiet hours as 22:00-08:00@Europe/Berlin; repeat.")
_DAYS = typer.Option([], "--quiet-day", help="A quiet day of those zones, Monday is 0; repeat.")
_CHANNEL = typer.Option([], "--channel", help="How you prefer to be reached; repeat.")


def install(app: typer.Typer) -> None:
    """Add these commands to the group `party`."""
    app.add_typer(key, name="key")
    commands: dict[str, Callable[..., None]] = {
        "verify": verify,
        "check": check,
        "confirm": confirm,
        "standing": standing,
        "stand-down": stand_down,
        "wish": wish,
        "wishes": wishes,
        "unwish": unwish,
        "contacts": contacts,
        "set-contacts": set_contacts,
        "security-txt": security_txt,
        "invite": invite,
        "invitations": invitations,
        "uninvite": uninvite,
        "join": join,
    }
    for name, command in commands.items():
        app.command(name)(command)


@key.command("make")
@told
def make(file: Path, *, as_json: bool = JsonOption) -> None:
    """Make a private key in a new file of mode 0600 and register its public half."""
    _register(party_key.make(file), file, as_json=as_json)


@key.command("register")
@told
def register(file: Path, *, as_json: bool = JsonOption) -> None:
    """Register the public half of a private key that is there already."""
    _register(party_key.load(file), file, as_json=as_json)


@key.command("add")
@told
def add(file: Path, *, as_json: bool = JsonOption) -> None:
    """Register a key from what `clearhold agent key` wrote on the machine that holds it."""
    made = hub().post("/parties/keys", party_key.registration(file))
    show({"id": made["id"], "file": str(file)}, as_json=as_json)


@told
def verify(subject: str, *, as_json: bool = JsonOption) -> None:
    """Begin to show that a domain or repository is yours: says what to publish, and where."""
    show(hub().post("/standing/challenges", {"subject": subject}), as_json=as_json)


@told
def check(subject: str, *, as_json: bool = JsonOption) -> None:
    """Let the hub look whether it is published."""
    show(hub().post("/standing/checks", {"subject": subject}), as_json=as_json)


@told
def confirm(party: str, subject: str, reason: str, *, as_json: bool = JsonOption) -> None:
    """Say as coordinator that a party stands for something; it settles a dispute."""
    body = {"party": party, "subject": subject, "reason": reason}
    show(hub().post("/standing/confirmations", body), as_json=as_json)


@told
def standing(*, as_json: bool = JsonOption) -> None:
    """List what your party stands for; as coordinator, who stands for what."""
    show(hub().get("/standing"), as_json=as_json)


@told
def stand_down(subject: str, reason: str = "", *, as_json: bool = JsonOption) -> None:
    """Stand for something no longer; as coordinator, with a reason, end another's."""
    body = {"subject": subject, "reason": reason}
    show(hub().post("/standing/ends", body), as_json=as_json)


@told
def wish(
    subject: str,
    *,
    do_not_scan: Annotated[bool, typer.Option("--do-not-scan")] = False,
    do_not_contact: Annotated[bool, typer.Option("--do-not-contact")] = False,
    most_open: Annotated[int | None, typer.Option(help="Cases open at a time.")] = None,
    most_weekly: Annotated[int | None, typer.Option(help="New cases a week.")] = None,
    quiet: list[str] = _QUIET,
    quiet_day: list[int] = _DAYS,
    channel: list[Channel] = _CHANNEL,
    embargo_shortest: Annotated[int | None, typer.Option(help="In days.")] = None,
    embargo_longest: Annotated[int | None, typer.Option(help="In days.")] = None,
    embargo_default: Annotated[int | None, typer.Option(help="In days.")] = None,
    embargo_firm: Annotated[
        bool, typer.Option("--embargo-firm", help="Refuse what lies outside.")
    ] = False,
    as_json: bool = JsonOption,
) -> None:
    """Wish something about a package, a namespace (…/) or a domain, in place of an earlier wish."""
    wishes: dict[str, Any] = {
        "do_not_scan": do_not_scan,
        "do_not_contact": do_not_contact,
        "most_open": most_open,
        "most_weekly": most_weekly,
        "quiet": [_hours(each, quiet_day) for each in quiet],
        "channels": channel,
        "embargo": {
            "shortest": embargo_shortest,
            "longest": embargo_longest,
            "default": embargo_default,
            "firm": embargo_firm,
        },
    }
    show(hub().post("/wishes", {"subject": subject, "wishes": wishes}), as_json=as_json)


@told
def wishes(*, as_json: bool = JsonOption) -> None:
    """List what your party wishes."""
    show(hub().get("/wishes"), as_json=as_json)


@told
def unwish(subject: str, *, as_json: bool = JsonOption) -> None:
    """Wish nothing any more about something."""
    show(hub().post("/wishes/withdrawals", {"subject": subject}), as_json=as_json)


@told
def contacts(party: str | None = typer.Argument(None), *, as_json: bool = JsonOption) -> None:
    """Show how your party is reached; as coordinator, any party."""
    connection = hub()
    whose = party or connection.get("/parties/self")["party"]
    show(connection.get(f"/contacts/{whose}"), as_json=as_json)


@told
def set_contacts(
    email: Annotated[list[str] | None, typer.Option(help="ADDRESS or ADDRESS=KEY; repeat.")] = None,
    policy: Annotated[str | None, typer.Option(help="Your policy's https address.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="As en; repeat.")] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Say how your party is reached, in place of what it said before."""
    pairs = [each.partition("=") for each in email or ()]
    emails = [{"address": address, "key": secret or None} for address, _, secret in pairs]
    body = {"emails": emails, "policy": policy, "languages": language or []}
    show(hub().post("/contacts", body), as_json=as_json)


@told
def security_txt(domain: str, *, as_json: bool = JsonOption) -> None:
    """Let the hub read the security.txt of a domain your party stands for."""
    show(hub().post("/contacts/security-txt", {"domain": domain}), as_json=as_json)


@told
def invite(
    role: Annotated[list[MemberRole] | None, typer.Option(help="What they may do.")] = None,
    days: int = 7,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Invite a person who has an account already; what to send them is shown this once."""
    body = {"roles": role or [MemberRole.HANDLER], "days": days}
    show(hub().post("/invitations", body), as_json=as_json)


@told
def invitations(*, as_json: bool = JsonOption) -> None:
    """List your party's invitations."""
    show(hub().get("/invitations"), as_json=as_json)


@told
def uninvite(invitation: str, *, as_json: bool = JsonOption) -> None:
    """Take an invitation back."""
    show(hub().post(f"/invitations/{invitation}/revocation"), as_json=as_json)


@told
def join(invitation: str, days: int = 30, *, as_json: bool = JsonOption) -> None:
    """Join the party that invited you; the token for it is shown this once."""
    body = {"invitation": invitation, "days": days}
    show(hub().post("/invitations/redemptions", body), as_json=as_json)


def _register(holder: Ed25519PrivateKey, file: Path, *, as_json: bool) -> None:
    connection = hub()
    party = connection.get("/parties/self")["party"]
    made = connection.post("/parties/keys", key_holding.registration(party, holder))
    show({"id": made["id"], "file": str(file)}, as_json=as_json)


def _hours(text: str, days: list[int]) -> dict[str, Any]:
    hours, at, zone = text.partition("@")
    start, dash, end = hours.partition("-")
    if not at or not dash:
        raise InvalidError(
            "Quiet hours are two times and a zone.", next_step="Write 22:00-08:00@Europe/Berlin."
        )
    return {"zone": zone, "start": start, "end": end, "days": days}
