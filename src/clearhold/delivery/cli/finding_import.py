"""`clearhold finding import`: files of any size, sent piece by piece in fixed memory."""

from __future__ import annotations

import base64
import gc
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import typer

from clearhold.delivery.cli.finding_files import progress, told_form
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.delivery.client import HubClient
from clearhold.findings.bulk import STREAMED, Piece, pieces, refusals
from clearhold.findings.intake import NAMES_ITS_OWN, Format
from clearhold.findings.model import Skipped
from clearhold.kernel.errors import ConflictError, InvalidError, TooLargeError
from clearhold.wire import archive

_FORMAT = typer.Option(None, "--format", help="Told by the file itself when left out.")
_PACKAGE = typer.Option("", help="The package with its version, where the file names none.")
_LEASE = typer.Option(None, help="The lease it was found under.")
_FENCE = typer.Option(None, help="The fencing token of that lease.")
_KEY = typer.Option("import", help="The same key and files: the same receipts, going on after.")


@told
def import_files(
    path: list[Path],
    form: Format | None = _FORMAT,
    package: str = _PACKAGE,
    lease: str | None = _LEASE,
    fence: int | None = _FENCE,
    key: str = _KEY,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Submit many findings from files of any size, and archives of files.

    What cannot be taken is refused alone. Broken off, the same command goes on where it was. With
    --json each receipt is one line as it comes, and the last line sums up.
    """
    about = {"package": package, "lease": lease, "fence": fence}
    connection = hub()
    submissions = findings = 0
    refused: list[dict[str, str]] = []
    for file in path:
        for each in _pieces(file, form):
            problems = [each] if isinstance(each, Skipped) else []
            if isinstance(each, Piece):
                receipt, problems = _send(connection, each, about, key)
                if receipt is not None:
                    submissions += 1
                    findings += len(receipt["findings"])
                    if as_json:
                        typer.echo(json.dumps({"receipt": receipt}, sort_keys=True))
            for problem in problems:
                said = {"file": str(file), "place": problem.place, "reason": problem.reason}
                refused.append(said)
            progress(f"{file}: {findings} findings taken, {len(refused)} items refused")
    done = {"submissions": submissions, "findings": findings, "refused": refused}
    if as_json:
        typer.echo(json.dumps(done, sort_keys=True))
    else:
        show(done, as_json=False)
    if refused:
        raise InvalidError(
            f"{len(refused)} items were refused; everything else was taken.",
            next_step="Correct them at the places named and import the file again.",
        )


def _pieces(file: Path, form: Format | None) -> Iterator[Piece | Skipped]:
    try:
        with file.open("rb") as opened:
            head = opened.read(512)
            opened.seek(0)
            if form is None and not archive.is_archive(head):
                streamed = {".sarif": Format.SARIF, ".jsonl": Format.JSON_LINES}
                form = streamed.get(file.suffix.lower()) or told_form(file.name, opened)
            yield from pieces(opened, form, name=file.name)
    except OSError as error:
        raise InvalidError(
            f"The file cannot be read: {error.strerror}.", next_step="Check its name and rights."
        ) from error
    except (InvalidError, TooLargeError) as error:
        yield Skipped("the rest of the file", f"{error.message} {error.next_step}".strip())


def _send(
    connection: HubClient, piece: Piece, about: Mapping[str, object], key: str
) -> tuple[dict[str, list[object]] | None, list[Skipped]]:
    body = {
        **about,
        "format": piece.form,
        "content": base64.b64encode(piece.raw).decode(),
        "lenient": piece.form in STREAMED,
    }
    if piece.form in NAMES_ITS_OWN:
        body["package"] = ""
    try:
        receipt = connection.post("/findings", body, key=piece.key(key))
    except (InvalidError, TooLargeError, ConflictError) as problem:
        return None, refusals(piece, problem)
    # The connection leaves a request and its answer referring to each other, content and all.
    gc.collect(1)
    named = [Skipped(each["place"], each["reason"]) for each in receipt["skipped"]]
    return receipt, [piece.placed(each) for each in named]
