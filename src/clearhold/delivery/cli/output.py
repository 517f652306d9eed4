"""What every command shares: the hub it talks to, JSON or text, and errors people can act on."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import typer

from clearhold.delivery.printed import printable
from clearhold.kernel.errors import ClearholdError, InvalidError

if TYPE_CHECKING:
    from clearhold.delivery.client import HubClient

P = ParamSpec("P")

EXIT_REFUSED = 1
SEALED_TO = typer.Option(
    None, help="The fingerprint of a recipient of your party; the bytes then come encrypted to it."
)
JsonOption = typer.Option(False, "--json", help="Print JSON for programs.")


def hub() -> HubClient:
    """The hub named by CLEARHOLD_URL, as the party whose token is in CLEARHOLD_TOKEN."""
    token = os.environ.get("CLEARHOLD_TOKEN", "")
    if not token:
        raise InvalidError(
            "No token is set.", next_step="Put your token into the variable CLEARHOLD_TOKEN."
        )
    return _connected(token)


def hub_for_a_stranger() -> HubClient:
    """The hub named by CLEARHOLD_URL, for who has no token yet."""
    return _connected("")


def _connected(token: str) -> HubClient:
    # Here, for half of what commands import is HTTP, and those that ask no hub are to be quick.
    from clearhold.delivery.client import HubClient  # noqa: PLC0415

    return HubClient(os.environ.get("CLEARHOLD_URL", "http://127.0.0.1:4409"), token)


def show(value: Any, *, as_json: bool) -> None:
    """Print a result: JSON, or one line per fact."""
    if as_json:
        typer.echo(json.dumps(value, indent=2, sort_keys=True))
        return
    for line in _lines(value):
        typer.echo(printable(line))


def _lines(value: Any, indent: str = "") -> list[str]:
    if isinstance(value, dict):
        lines = []
        for name, each in value.items():
            if isinstance(each, dict | list) and each:
                lines += [f"{indent}{name}:", *_lines(each, indent + "  ")]
            else:
                shown = "-" if each in (None, [], {}) else each
                lines += _text(indent, f"{name}: {shown}")
        return lines
    if isinstance(value, list):
        lines = []
        for each in value:
            nested = _lines(each, indent + "  ")
            nested[0] = f"{indent}- {nested[0].lstrip()}"
            lines += nested
        return lines or [f"{indent}none"]
    return _text(indent, value)


def _text(indent: str, value: object) -> list[str]:
    """A value in its own line; further lines of it stand behind a bar, so that none passes as ours."""
    first, *further = str(value).split("\n")
    return [f"{indent}{first}", *(f"{indent}  | {line}" for line in further)]


def told(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command so that an error is a sentence and a next step, with exit code 1."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ClearholdError as error:
            tell(error)
            raise typer.Exit(EXIT_REFUSED) from error

    return wrapped


def tell(error: ClearholdError) -> None:
    """Print an error and what to do about it on standard error."""
    sys.stderr.write(printable(f"clearhold: {error.message}\n"))
    if error.next_step:
        sys.stderr.write(printable(f"  next: {error.next_step}\n"))
    if error.facts:
        sys.stderr.write(printable(f"  {json.dumps(error.facts, sort_keys=True)}\n"))
