"""`clearhold ledger`: what happened, and whether the record of it was tampered with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import typer

from clearhold.adapters.keys_file import FileKeyRing
from clearhold.assembly.keys import log_padding, log_signer
from clearhold.delivery.cli import log_opening, log_reading
from clearhold.delivery.cli.output import EXIT_REFUSED, JsonOption, hub, show, told
from clearhold.kernel.errors import InvalidError, NotFoundError
from clearhold.ledger import audit, bundle, public_log
from clearhold.ledger.files import LogFiles
from clearhold.ledger.model import ChainCheck, LedgerReport
from clearhold.ledger.public_log import LogReport, PublicLog
from clearhold.settings import Settings, from_environment
from clearhold.store.database import database_address, open_engine, schema_revision, snapshot
from clearhold.wire.signed_note import NoteVerifier

app = typer.Typer(help="Read and verify the record of what happened.", no_args_is_help=True)

_LOG = typer.Option("", "--log", help="The public log: a directory, or its address.")
_KEY = typer.Option("", "--key", help="The log's verifier key, NAME+HASH+KEY.")
_KEY_NEEDED: Final = typer.Option(..., "--key", help="The log's verifier key, NAME+HASH+KEY.")
_SINCE = typer.Option(
    None,
    "--since",
    help="The checkpoint seen last time, which the log must continue; kept up to date.",
)
_TEXT = typer.Option(None, "--text", help="The text that was committed to.")
_SECRET = typer.Option(
    None, "--secret", help="The file with the salt; FILE.commitment.json by default."
)


@app.command("leaves")
@told
def leaves(after: int = 0, limit: int = 500, *, as_json: bool = JsonOption) -> None:
    """List what happened in the compartments you are read in to, from leaf AFTER + 1 on."""
    show(hub().get("/ledger/leaves", after=after, limit=limit), as_json=as_json)


@app.command("chains")
@told
def chains(*, as_json: bool = JsonOption) -> None:
    """Check the chain of every compartment you are read in to, from what the hub tells you.

    Note the last hashes: another participant must see the same ones. Ends with 1 on any fault.
    """
    check, connection, after = ChainCheck(), hub(), 0
    while page := connection.get("/ledger/leaves", after=after, limit=1000):
        for each in page:
            check.look_at(bundle.from_view(each))
        after = page[-1]["seq"]
    heads = {name: head.hex() for name, head in check.heads.items()}
    show({"leaves": check.count, "chains": heads, "faults": check.faults}, as_json=as_json)
    if check.faults:
        raise typer.Exit(EXIT_REFUSED)


@app.command("verify")
@told
def verify(
    log: str = _LOG, key: str = _KEY, since: Path | None = _SINCE, *, as_json: bool = JsonOption
) -> None:
    """Verify the ledger; ends with 1 on any fault.

    With --log and --key: the public log, from its files alone, by anybody. Without: this machine's
    own database, every row, against its tree and the published files. Nothing is asked of a
    running hub, which could lie about it.
    """
    if bool(log) != bool(key) or (since is not None and not log):
        raise InvalidError(
            "A public log is verified with both --log and --key; --since belongs to them.",
            next_step="Give both, or neither to verify this machine's own database.",
        )
    if log:
        intact = _verify_public(log, NoteVerifier.parse(key), since, as_json=as_json)
    else:
        report = recompute(from_environment())
        show(_own(report), as_json=as_json)
        intact = report.intact
    if not intact:
        raise typer.Exit(EXIT_REFUSED)


def _verify_public(log: str, verifier: NoteVerifier, since: Path | None, *, as_json: bool) -> bool:
    seen = log_reading.content(since) if since is not None and since.exists() else None
    with log_opening.opened(log) as read:
        report = public_log.verify(PublicLog(read, verifier), since=seen)
    show(_public(report), as_json=as_json)
    if report.intact and since is not None:
        log_reading.replace(since, report.note)
    return report.intact


def _own(report: LedgerReport) -> dict[str, Any]:
    return {
        "intact": report.intact,
        "leaves": report.leaves,
        "head": report.head.hex(),
        "size": report.size,
        "published": report.published,
        "waiting": report.waiting,
        "faults": list(report.faults),
    }


def _public(report: LogReport) -> dict[str, Any]:
    return {
        "intact": report.intact,
        "size": report.size,
        "root": report.root.hex(),
        "time": None if report.time is None else report.time.isoformat(),
        "continues": report.continues,
        "faults": list(report.faults),
    }


def recompute(settings: Settings) -> LedgerReport:
    """Check the ledger of this machine's hub as it is at one instant, changing nothing.

    Raises `NotFoundError` when no ledger is there, `InvalidError` and `UnavailableError` when the
    database or the keys cannot be opened.
    """
    address = database_address(settings.database_url)
    absent = NotFoundError(
        "There is no ledger at the database setting.",
        next_step="Check CLEARHOLD_DATABASE and CLEARHOLD_DATA_DIRECTORY.",
    )
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").exists():
        raise absent
    engine = open_engine(settings.database_url)
    ring = settings.key_directory / "ring.json"
    try:
        with snapshot(engine) as connection:
            if schema_revision(connection) is None:
                raise absent
            if not ring.exists():  # opening it would make a new one
                return audit.verify(connection)
            padding = log_padding(FileKeyRing(ring, data_directory=settings.data_directory))
            files = LogFiles(settings.log_directory)
            log = PublicLog(files.read, log_signer(settings).verifier)
            return audit.verify(connection, padding=padding, log=log)
    finally:
        engine.dispose()


@app.command("key")
@told
def key(*, as_json: bool = JsonOption) -> None:
    """Print the key that outsiders verify this hub's public log with."""
    verifier = str(log_signer(from_environment()).verifier)
    show({"key": verifier} if as_json else verifier, as_json=as_json)


@app.command("prove")
@told
def prove(leaf: int, to: Path, *, as_json: bool = JsonOption) -> None:
    """Write a leaf you may see to a file, with its proof from the public log."""
    log_reading.write_new(to, _document(hub().get(f"/ledger/leaves/{leaf}/proof")))
    show({"leaf": leaf, "file": str(to)}, as_json=as_json)


@app.command("check")
@told
def check(
    file: Path, key: str = _KEY_NEEDED, text: Path | None = _TEXT, *, as_json: bool = JsonOption
) -> None:
    """Verify what `prove` or `reveal` wrote, without the hub."""
    verifier = NoteVerifier.parse(key)
    known = None if text is None else log_reading.content(text)
    found = bundle.check(log_reading.content(file), verifier, text=known)
    leaf, time = found.leaf, found.checkpoint.time
    show(
        {
            "verified": True,
            "log": found.checkpoint.origin,
            "logged_by": None if time is None else time.isoformat(),
            "text_known_then": found.opened,
            "index": found.index,
            "at": leaf.at.isoformat(),
            "actor": leaf.actor,
            "action": leaf.action,
            "subject": leaf.subject,
            "detail": dict(leaf.detail),
        },
        as_json=as_json,
    )


@app.command("commit")
@told
def commit(file: Path, secret: Path | None = _SECRET, *, as_json: bool = JsonOption) -> None:
    """Lodge that you know a text, without showing it to anybody, the hub included.

    The salt is made here and stays here, in the file --secret: keep it with the text. Run again,
    it lodges the same commitment, which changes nothing.
    """
    salted = log_reading.salted(file, secret or log_reading.beside(file), make=True)
    body = {"commitment": salted.commitment.hex()}
    show(hub().post("/ledger/commitments", body), as_json=as_json)


@app.command("lodged")
@told
def lodged(after: int = 0, limit: int = 500, *, as_json: bool = JsonOption) -> None:
    """List the commitments that your party lodged."""
    show(hub().get("/ledger/commitments", after=after, limit=limit), as_json=as_json)


@app.command("reveal")
@told
def reveal(
    file: Path, to: Path, secret: Path | None = _SECRET, *, as_json: bool = JsonOption
) -> None:
    """Write the proof that you knew a text when you lodged it; give it away with the text."""
    salted = log_reading.salted(file, secret or log_reading.beside(file), make=False)
    leaf = _lodged_as(salted.commitment.hex())
    opened = bundle.with_opening(hub().get(f"/ledger/leaves/{leaf}/proof"), salted.salt)
    log_reading.write_new(to, _document(opened))
    show({"leaf": leaf, "file": str(to)}, as_json=as_json)


def _lodged_as(commitment: str) -> int:
    """The leaf of a commitment of the caller's party. Raises `NotFoundError`."""
    after, connection = 0, hub()
    while page := connection.get("/ledger/commitments", after=after, limit=1000):
        for each in page:
            if each["commitment"] == commitment:
                return int(each["leaf"])
        after = page[-1]["leaf"]
    raise NotFoundError(
        "Your party has not lodged this commitment.",
        next_step="Lodge it first, with `clearhold ledger commit`.",
    )


def _document(proof: dict[str, Any]) -> bytes:
    return json.dumps(proof, indent=2).encode() + b"\n"
