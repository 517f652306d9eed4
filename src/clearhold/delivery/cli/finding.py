"""`clearhold finding`: submit findings and follow them."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path
from typing import Final

import typer

from clearhold.delivery.cli.output import SEALED_TO, JsonOption, hub, show, told
from clearhold.findings.intake import Format
from clearhold.kernel.errors import InvalidError, TooLargeError

app = typer.Typer(help="Submit findings and follow them.", no_args_is_help=True)

LARGEST_FILE: Final = 47 * 1024 * 1024
_BY_SUFFIX: Final = {
    ".json": Format.CLEARHOLD_JSON,
    ".sarif": Format.SARIF,
    ".txt": Format.TEXT,
    ".md": Format.TEXT,
}

_FORMAT = typer.Option(None, "--format", help="Told by the file's ending when left out.")
_PACKAGE = typer.Option("", help="For SARIF and text: the package with its version.")
_LEASE = typer.Option(None, help="The lease it was found under.")
_FENCE = typer.Option(None, help="The fencing token of that lease.")
_KEY = typer.Option(None, help="Makes a repeated command have one effect.")
_OUTPUT = typer.Option(..., "--output", help="The file to write; it must not exist.")


@app.command("submit")
@told
def submit(
    file: Path,
    form: Format | None = _FORMAT,
    package: str = _PACKAGE,
    lease: str | None = _LEASE,
    fence: int | None = _FENCE,
    key: str | None = _KEY,
    *,
    as_json: bool = JsonOption,
) -> None:
    """Submit a file with findings and print the receipt."""
    form = form or _BY_SUFFIX.get(file.suffix.lower())
    if form is None:
        raise InvalidError(
            "The file's ending does not tell its format.",
            next_step=f"Give --format, one of: {', '.join(Format)}.",
        )
    body = {
        "format": form,
        "content": base64.b64encode(_content(file)).decode(),
        "package": package,
        "lease": lease,
        "fence": fence,
    }
    show(hub().post("/findings", body, key=key or str(uuid.uuid4())), as_json=as_json)


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
    content = hub().download(f"/api/v1/findings/{finding}/proof", sealed_to=sealed_to)
    try:
        with output.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise InvalidError(
            f"The proof cannot be written there: {error.strerror}.",
            next_step="Name a file that does not exist yet.",
        ) from error


@app.command("queue")
@told
def queue(*, as_json: bool = JsonOption) -> None:
    """Show the coordinator's queue of vulnerabilities."""
    show(hub().get("/findings/queue"), as_json=as_json)


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
