"""`clearhold finding known`: ask whether a flaw is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import typer

from clearhold.delivery.asking import privately
from clearhold.delivery.cli.output import JsonOption, hub, show, told
from clearhold.findings.known.signatures import Public, Signature, derive, room_of
from clearhold.findings.known.tokens import LARGEST
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.validation.crash import parse_report, top_functions

_PACKAGE = typer.Option(..., help="The package, such as pkg:pypi/ujson.")
_TRACE = typer.Option(None, help="A sanitizer's report of the run, for its frames.")
_FRAME = typer.Option(None, help="A function where it failed, innermost first; may be repeated.")
_SEED = typer.Option(None, help="A public input that a proof began from; may be repeated.")
_DIGEST = typer.Option("", help="The digest of the public keys that you expect.")
_CLAIM = typer.Option(False, "--claim", help="On a hit, ask the hub since when it is known.")
_OFFLINE = typer.Option(False, "--offline", help="Only say what would be asked; send nothing.")
_LARGEST_TRACE: Final = 1 << 20


@told
def known(
    proofs: list[Path],
    package: str = _PACKAGE,
    trace: Path | None = _TRACE,
    frame: list[str] | None = _FRAME,
    seed: list[Path] | None = _SEED,
    digest: str = _DIGEST,
    *,
    claim: bool = _CLAIM,
    offline: bool = _OFFLINE,
    as_json: bool = JsonOption,
) -> None:
    """Ask privately whether the flaw these proofs show is known.

    The proofs stay on this machine. On a miss the hub learns that you asked, and in which of 256
    rooms. A smaller proof, and several of one flaw, are recognised more often.
    """
    connection = None if offline else hub()
    keys = {} if connection is None else connection.get("/findings/known/keys")
    purl = Purl.parse(package).package
    frames = tuple(frame or ()) or _frames(trace)
    public = Public.of(purl, frames=frames, files=[_proof(each) for each in seed or ()])
    signed = derive(purl, [_proof(each) for each in proofs], frames=frames, public=public)
    if connection is None:
        show(_would_ask(purl, signed), as_json=as_json)
        return
    answer = privately(connection, purl, signed, keys=keys, digest=digest, claim=claim)
    if answer["known"] and not claim:
        answer["next"] = (
            "Repeat with --claim to learn since when; that tells the hub what you hold."
        )
    show(answer, as_json=as_json)


def _would_ask(package: Purl, signed: tuple[Signature, ...]) -> dict[str, Any]:
    return {
        "package": str(package),
        "room": room_of(package),
        "signatures": [{"kind": str(each.kind), "bits": each.bits} for each in signed],
    }


def _frames(trace: Path | None) -> tuple[str, ...]:
    if trace is None:
        return ()
    report = parse_report(_read(trace, _LARGEST_TRACE))
    if report is None:
        raise InvalidError(
            "The trace holds no sanitizer's report.", next_step="Name the frames with --frame."
        )
    return top_functions(report.frames)


def _proof(file: Path) -> bytes:
    return _read(file, LARGEST)


def _read(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(most)
    except OSError as error:
        raise InvalidError(
            f"A file cannot be read: {error.strerror}.", next_step="Check its name and rights."
        ) from error
