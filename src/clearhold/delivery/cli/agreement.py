"""`clearhold agreement`: what a party must accept before anything is open to it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from clearhold.access.permissions import PartyKind, Permission
from clearhold.delivery.cli import party_key
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.cli.party_key import now
from clearhold.kernel.errors import ConflictError, IntegrityError, InvalidError
from clearhold.parties.terms import Act
from clearhold.wire import acceptance, dsse

app = typer.Typer(help="Read and accept what opens the hub to a party.", no_args_is_help=True)

_PARTY = typer.Option(None, "--party", help="As coordinator: the party it is about.")
_REASON = typer.Option("", "--reason", help="As coordinator: why, in plain words.")


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List the agreements and how you stand to them."""
    connection = hub()
    stands = connection.get("/agreements/standing")
    status = {each["agreement"]: each["status"] for each in stands}
    shown = [
        {
            "name": each["name"],
            "version": each["version"],
            "kinds": each["kinds"],
            "for_you": each["for_you"],
            "status": status.get(each["name"], "not accepted"),
        }
        for each in connection.get("/agreements")
    ]
    show({"agreements": shown, "standing": stands}, as_json=as_json)


@app.command("show")
@told
def single(name: str, version: int | None = None, *, as_json: bool = JsonOption) -> None:
    """Show the text of an agreement and what it opens; the newest version by default."""
    wanted = {} if version is None else {"version": version}
    show(hub().get(f"/agreements/{name}", **wanted), as_json=as_json)


@app.command("signed")
@told
def signed(*, as_json: bool = JsonOption) -> None:
    """Show everything your party signed, as it was signed."""
    show(hub().get("/agreements/signed"), as_json=as_json)


@app.command("publish")
@told
def publish(
    name: str,
    file: Path,
    kind: Annotated[list[PartyKind], typer.Option(help="For which kind of party; repeat.")],
    opens: Annotated[list[Permission], typer.Option(help="A permission it opens; repeat.")],
    reaccept_by: Annotated[
        str | None, typer.Option(help="When acceptances of earlier versions end.")
    ] = None,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Publish a version of an agreement from a text file, as coordinator."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"{file} cannot be read as text.") from error
    body = {"text": text, "kinds": kind, "opens": opens, "reaccept_by": reaccept_by}
    show(hub().post(f"/agreements/{name}/versions", body), as_json=as_json)


@app.command("accept")
@told
def accept(
    name: str,
    version: int,
    key: Annotated[Path, typer.Option(help="Your party's private key.")],
    *,
    as_json: bool = JsonOption,
) -> None:
    """Accept a version you have read, for your party; it is signed here, with your own key."""
    signer = party_key.load(key)
    connection = hub()
    found = connection.get(f"/agreements/{name}")
    if found["version"] != version:
        raise ConflictError(
            f"The newest version is {found['version']}.",
            next_step=f"Read it with `clearhold agreement show {name}`.",
        )
    text_sha256 = hashlib.sha256(found["text"].encode()).hexdigest()
    if text_sha256 != found["sha256"]:
        raise IntegrityError("The hub's digest is not that of the text it shows.")
    party = connection.get("/parties/self")["party"]
    statement = acceptance.write(acceptance.Acceptance(party, name, version, text_sha256, now()))
    envelope = dsse.sign(statement, acceptance.PAYLOAD_TYPE, signer).decode()
    show(connection.post(f"/agreements/{name}/acceptance", {"envelope": envelope}), as_json=as_json)


@app.command("suspend")
@told
def suspend(
    name: str, party: str | None = _PARTY, reason: str = _REASON, *, as_json: bool = JsonOption
) -> None:
    """Suspend an agreement at once: your own, or as coordinator a party's."""
    _act(name, Act.SUSPEND, party, reason, as_json=as_json)


@app.command("resume")
@told
def resume(
    name: str, party: str | None = _PARTY, reason: str = _REASON, *, as_json: bool = JsonOption
) -> None:
    """Resume what you suspended; as coordinator take back what you laid on a party."""
    _act(name, Act.RESUME, party, reason, as_json=as_json)


@app.command("withdraw")
@told
def withdraw(name: str, *, as_json: bool = JsonOption) -> None:
    """Withdraw your party from an agreement, at once."""
    _act(name, Act.WITHDRAW, None, "", as_json=as_json)


@app.command("end")
@told
def end(name: str, party: str, reason: str, *, as_json: bool = JsonOption) -> None:
    """End an agreement with a party, as coordinator, at once."""
    _act(name, Act.END, party, reason, as_json=as_json)


def _act(name: str, act: Act, party: str | None, reason: str, *, as_json: bool) -> None:
    if party is None:
        show(hub().post(f"/agreements/{name}/acts", {"act": act}), as_json=as_json)
        return
    body = {"act": act, "reason": reason}
    show(hub().post(f"/agreements/{name}/parties/{party}/acts", body), as_json=as_json)
