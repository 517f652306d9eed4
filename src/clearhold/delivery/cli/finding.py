"""`clearhold finding`: submit findings and follow them."""

from __future__ import annotations

import base64
import io
import uuid
from pathlib import Path
from typing import Final

import typer

from clearhold.delivery.cli.finding_files import packed, progress, told_form
from clearhold.delivery.cli.finding_import import import_files
from clearhold.delivery.cli.known import known
from clearhold.delivery.cli.output import SEALED_TO, JsonOption, hub, show, told
from clearhold.findings.intake import Format
from clearhold.findings.model import Match
from clearhold.kernel.errors import ClearholdError, ConflictError, InvalidError, TooLargeError

app = typer.Typer(help="Submit findings and follow them.", no_args_is_help=True)
app.command("import")(import_files)
app.command("known")(known)

LARGEST_FILE: Final = 47 * 1024 * 1024
_FORMAT = typer.Option(None, "--format", help="Told by the file itself when left out.")
_PACKAGE = typer.Option("", help="The package with its version, where the file names none.")
_LEASE = typer.Option(None, help="The lease it was found under.")
_FENCE = typer.Option(None, help="The fencing token of that lease.")
_KEY = typer.Option(None, help="Makes a repeated command have one effect.")
_BUNDLE = typer.Option(False, "--bundle", help="Make one crash bundle of all files.")
_VERDICT = typer.Option(..., "--verdict", help="What the two are to each other.")
_OUTPUT = typer.Option(..., "--output", help="The file to write; it must not exist.")


@app.command("submit")
@told
def submit(
    path: list[Path],
    form: Format | None = _FORMAT,
    package: str = _PACKAGE,
    lease: str | None = _LEASE,
    fence: int | None = _FENCE,
    key: str | None = _KEY,
    *,
    bundle: bool = _BUNDLE,
    as_json: bool = JsonOption,
) -> None:
    """Submit files with findings and print the receipts.

    Each file is a submission of its own, unless --bundle makes one crash bundle of all.
    """
    about = {"package": package, "lease": lease, "fence": fence}
    if bundle:
        form, sent = Format.CRASH_BUNDLE, [("the bundle", packed(path))]
    else:
        sent = [(str(each), _content(each)) for each in path]
    if len(sent) == 1:
        [(name, content)] = sent
        body = {
            "format": form or told_form(name, io.BytesIO(content)),
            "content": _base64(content),
        } | about
        show(hub().post("/findings", body, key=key or str(uuid.uuid4())), as_json=as_json)
        return
    answers: list[dict[str, object]] = []
    refused: ClearholdError | None = None
    connection = hub()
    for number, (name, content) in enumerate(sent, start=1):
        progress(f"{number} of {len(sent)}: {name}")
        one = f"{key}:{number}" if key else str(uuid.uuid4())
        try:
            body = {
                "format": form or told_form(name, io.BytesIO(content)),
                "content": _base64(content),
            }
            receipt = connection.post("/findings", body | about, key=one)
            answers.append({"file": name, "receipt": receipt})
        except (InvalidError, TooLargeError, ConflictError) as error:
            refused = error
            said = {"message": error.message, "next_step": error.next_step}
            answers.append({"file": name, "refused": said})
    show(answers, as_json=as_json)
    if refused is not None:
        raise InvalidError(
            "Not every file was taken.", next_step="See what is said of each; send those again."
        )


@app.command("list")
@told
def listing(after: str | None = None, *, as_json: bool = JsonOption) -> None:
    """List the findings you may see, without content."""
    parameters = {} if after is None else {"after": after}
    show(hub().get("/findings", **parameters), as_json=as_json)


@app.command("show")
@told
def one(finding: str, *, as_json: bool = JsonOption) -> None:
    """Show a finding."""
    show(hub().get(f"/findings/{finding}"), as_json=as_json)


@app.command("receipt")
@told
def receipt(submission: str, *, as_json: bool = JsonOption) -> None:
    """Show the receipt of a submission again."""
    show(hub().get(f"/findings/submissions/{submission}"), as_json=as_json)


@app.command("proof")
@told
def proof(finding: str, output: Path = _OUTPUT, sealed_to: str | None = SEALED_TO) -> None:
    """Write a finding's proof to a new file."""
    _write(output, hub().download(f"/api/v1/findings/{finding}/proof", sealed_to=sealed_to))


@app.command("queue")
@told
def queue(*, as_json: bool = JsonOption) -> None:
    """Show the coordinator's queue of vulnerabilities."""
    show(hub().get("/findings/queue"), as_json=as_json)


@app.command("attachment")
@told
def attachment(
    finding: str, number: int, output: Path = _OUTPUT, sealed_to: str | None = SEALED_TO
) -> None:
    """Write an attachment of a finding, by its number from 0, to a new file."""
    path = f"/api/v1/findings/{finding}/attachments/{number}"
    _write(output, hub().download(path, sealed_to=sealed_to))


def _write(output: Path, content: bytes) -> None:
    try:
        with output.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise InvalidError(
            f"The file cannot be written there: {error.strerror}.",
            next_step="Name a file that does not exist yet.",
        ) from error


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@app.command("proposals")
@told
def proposals(*, as_json: bool = JsonOption) -> None:
    """List opt-outs and routes that third parties' interchange records speak of."""
    show(hub().get("/findings/proposals"), as_json=as_json)


@app.command("reviews")
@told
def reviews(*, as_json: bool = JsonOption) -> None:
    """List pairs that look like one vulnerability and wait for a person."""
    show(hub().get("/findings/reviews"), as_json=as_json)


@app.command("beside")
@told
def beside(finding: str, other: str, *, as_json: bool = JsonOption) -> None:
    """Show two findings side by side."""
    show(hub().get(f"/findings/{finding}/beside/{other}"), as_json=as_json)


@app.command("decide")
@told
def decide(
    finding: str, other: str, verdict: Match = _VERDICT, *, as_json: bool = JsonOption
) -> None:
    """Say whether two findings are the same vulnerability, different, or related."""
    body = {"verdict": verdict}
    show(hub().post(f"/findings/{finding}/beside/{other}", body), as_json=as_json)


@app.command("withdraw")
@told
def withdraw(assertion: str, *, as_json: bool = JsonOption) -> None:
    """Take back what a person said of two findings."""
    show(hub().post(f"/findings/matches/{assertion}/withdrawal", {}), as_json=as_json)


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise TooLargeError(
                f"The file is larger than {LARGEST_FILE} bytes.", next_step="Split it."
            )
        return file.read_bytes()
    except OSError as error:
        raise InvalidError(
            f"The file cannot be read: {error.strerror}.", next_step="Check its name and rights."
        ) from error
