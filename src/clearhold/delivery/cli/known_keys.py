"""`clearhold admin known` and `known-half`: the key by which parties ask whether a flaw is known."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import typer
import uvicorn

from clearhold.assembly.hub import open_hub
from clearhold.delivery.cli.output import JsonOption, show, told
from clearhold.delivery.http.second_key import MOST_A_DAY, make_second_app
from clearhold.delivery.http.wire_protocol import BoundedHttp
from clearhold.findings.known.keys import KeyHalf
from clearhold.kernel.errors import InvalidError, UnavailableError
from clearhold.settings import from_environment

admin = typer.Typer(
    help="The key by which parties ask whether a flaw is known.", no_args_is_help=True
)
half = typer.Typer(help="For who holds the second half of that key.", no_args_is_help=True)


@admin.command("rotate")
@told
def rotate(*, as_json: bool = JsonOption) -> None:
    """Begin an epoch with new keys: every reproduced finding is indexed anew."""
    with open_hub(from_environment(), work=False) as opened:

        def progress(done: int, every: int) -> None:
            if not as_json and done % 100 == 0:
                typer.echo(f"{done} of {every} findings indexed", err=True)

        epoch = opened.known.rotate(by="service:admin", told=progress)
        show({"epoch": epoch}, as_json=as_json)


@half.command("make")
@told
def make(file: Path, *, as_json: bool = JsonOption) -> None:
    """Make a half of the key and a token for the hub, in a new file of mode 0600."""
    token = secrets.token_urlsafe(32)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidError(
            f"The file cannot be made: {error.strerror}.", next_step="Name a new file."
        ) from error
    with os.fdopen(descriptor, "w") as opened:
        opened.write(f"{secrets.token_hex(32)}\n{token}\n")
    show({"file": str(file), "token": token}, as_json=as_json)


@half.command("serve")
@told
def serve(
    file: Path,
    host: str = "127.0.0.1",
    port: int = 4410,
    most_a_day: int = MOST_A_DAY,
) -> None:
    """Answer for a half of the key; put a proxy with TLS before it."""
    try:
        if file.stat().st_mode & 0o077:
            raise UnavailableError(
                "The half of the key can be read by other users of this machine.",
                next_step=f"Run: chmod 600 {file}",
            )
        root, token = file.read_text().split()
        app = make_second_app(KeyHalf(bytes.fromhex(root)), token=token, most_a_day=most_a_day)
    except (OSError, ValueError) as error:
        raise UnavailableError(
            "The half of the key cannot be read.",
            next_step="Make one with `clearhold admin known-half make`.",
        ) from error
    typer.echo(f"Serving half of the key at http://{host}:{port}")
    uvicorn.run(app, host=host, port=port, http=BoundedHttp, ws="none", log_level="warning")
