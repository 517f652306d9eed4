"""`clearhold case sealed`: letters that are encrypted and opened on your own machine."""

from __future__ import annotations

import base64
import os
import uuid
from pathlib import Path
from typing import Final

import pyrage
import typer

from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.kernel.errors import InvalidError, TooLargeError
from clearhold.wire import age
from clearhold.wire.letter import LARGEST, Letter

app = typer.Typer(help="Lodge and open what the hub cannot read.", no_args_is_help=True)

_TO = typer.Option(
    ...,
    "--to",
    help="HANDLE=FINGERPRINT, as its owner told you by another way than this hub; repeatable.",
)
_KEY = typer.Option("", help="Makes a repeated command have one effect.")
IDENTITY = typer.Option(..., "--identity", help="Your age identity file.")
OUTPUT = typer.Option(..., "--output", help="The file to write; it must not exist.")
LARGEST_SEALED: Final = 80 * 1024 * 1024
_IDENTITY_LINE: Final = "AGE-SECRET-KEY-1"


@app.command("lodge")
@told
def lodge(file: Path, to: list[str] = _TO, key: str = _KEY, *, as_json: bool = JsonOption) -> None:
    """Encrypt a file here to parties' recipients and lodge it as a sealed case."""
    show(
        hub().post("/cases/sealed", _sealed(file, to), key=key or str(uuid.uuid4())),
        as_json=as_json,
    )


@app.command("reply")
@told
def reply(
    case: str, file: Path, to: list[str] = _TO, key: str = _KEY, *, as_json: bool = JsonOption
) -> None:
    """Encrypt a file here and add it to a sealed case, for members of it."""
    path = f"/cases/sealed/{case}/letters"
    show(hub().post(path, _sealed(file, to), key=key or str(uuid.uuid4())), as_json=as_json)


@app.command("list")
@told
def listing(*, as_json: bool = JsonOption) -> None:
    """List the sealed cases you lodged or were named in."""
    show(hub().get("/cases/sealed"), as_json=as_json)


@app.command("show")
@told
def single(case: str, *, as_json: bool = JsonOption) -> None:
    """Show a sealed case and its letters."""
    show(hub().get(f"/cases/sealed/{case}"), as_json=as_json)


@app.command("fetch")
@told
def fetch(case: str, letter: str, output: Path = OUTPUT) -> None:
    """Write a letter, still encrypted, to a new file."""
    new_file(output, hub().download(f"/api/v1/cases/sealed/{case}/letters/{letter}"))


@app.command("open")
@told
def open_letter(letter: Path, identity: Path = IDENTITY, output: Path = OUTPUT) -> None:
    """Decrypt a fetched letter here with your identity and write what it holds to a new file."""
    opened = Letter.from_bytes(decrypt(read_file(letter, 2 * LARGEST), identity))
    new_file(output, opened.content)
    typer.echo(f"It was sent as {opened.name!r}.")


def decrypt(content: bytes, identity: Path) -> bytes:
    """Open an age file with the identities of a file. Raises `InvalidError`."""
    lines = read_file(identity, 1 << 16).decode("utf-8", errors="replace").splitlines()
    try:
        keys = [
            pyrage.x25519.Identity.from_str(line.strip())
            for line in lines
            if line.startswith(_IDENTITY_LINE)
        ]
        opened: bytes = pyrage.decrypt(content, keys)
    except (pyrage.IdentityError, pyrage.DecryptError):
        raise InvalidError(
            "The file does not open with this identity.",
            next_step="Use the identity whose recipient it was sealed to.",
        ) from None  # the cause could quote the identity
    return opened


def encrypt(content: bytes, recipients: list[str]) -> bytes:
    """An age file for these recipients (age1…). Raises `InvalidError` for what is none."""
    try:
        keys = [pyrage.x25519.Recipient.from_str(each) for each in recipients]
    except pyrage.RecipientError:
        raise InvalidError(
            "That is no age recipient.", next_step="Give the line that begins with age1."
        ) from None
    sealed: bytes = pyrage.encrypt(content, keys)
    return sealed


def read_sealed(file: Path, most: int, identity: Path | None) -> bytes:
    """The bytes of a file, decrypted in memory where it is an age file. Raises `InvalidError`."""
    content = read_file(file, most)
    if not age.is_age(content):
        return content
    if identity is None:
        raise InvalidError(
            f"{file.name} is encrypted.", next_step="Give its key's file with --identity."
        )
    return decrypt(content, identity)


def new_identity(file: Path) -> str:
    """Make an age identity in a new file of mode 0600 and return its recipient."""
    made = pyrage.x25519.Identity.generate()
    recipient = str(made.to_public())
    new_file(file, f"# public key: {recipient}\n{made}\n".encode())
    return recipient


def new_file(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 that must not exist yet. Raises `InvalidError`."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise InvalidError(
            f"The file cannot be written there: {error.strerror}.",
            next_step="Name a file that does not exist yet.",
        ) from error


def _sealed(file: Path, to: list[str]) -> dict[str, object]:
    padded = Letter(file.name, read_file(file, LARGEST)).to_bytes()
    named = [_addressee(each) for each in to]
    keys = [_recipient(handle, wanted) for handle, wanted in named]
    ciphertext = pyrage.encrypt(padded, keys)
    return {
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "to": [{"party": handle, "fingerprint": wanted} for handle, wanted in named],
    }


def _addressee(text: str) -> tuple[str, str]:
    handle, _, wanted = text.partition("=")
    if not handle or not wanted:
        raise InvalidError(
            "A recipient is written HANDLE=FINGERPRINT.",
            next_step="See `clearhold party recipients --of HANDLE`, and compare with its owner.",
        )
    return handle, wanted


def _recipient(handle: str, wanted: str) -> pyrage.x25519.Recipient:
    """The recipient whose fingerprint was told; it is computed here, so the hub cannot swap it."""
    for each in hub().get(f"/parties/{handle}/recipients"):
        if age.fingerprint(each["recipient"]) == wanted:
            return pyrage.x25519.Recipient.from_str(each["recipient"])
    raise InvalidError(
        f"The hub has no recipient of {handle} with that fingerprint.",
        next_step="Ask its owner for the fingerprint again; send nothing until they agree.",
    )


def read_file(file: Path, most: int) -> bytes:
    """The bytes of a file. Raises `TooLargeError` and `InvalidError`."""
    try:
        if file.stat().st_size > most:
            raise TooLargeError(f"The file is larger than {most} bytes.", next_step="Split it.")
        return file.read_bytes()
    except OSError as error:
        raise InvalidError(
            f"The file cannot be read: {error.strerror}.", next_step="Check its name and rights."
        ) from error
