"""`clearhold admin passport-keys`: changing the key that signs scan passports, on the hub's machine."""

from __future__ import annotations

from datetime import timedelta

import typer

from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.passport_keys_file import PassportKeys
from clearhold.delivery.cli.output import JsonOption, show, told
from clearhold.settings import from_environment
from clearhold.wire.scan_passport import Signer, read_keys

app = typer.Typer(help="Change the key that signs scan passports.", no_args_is_help=True)

_HOURS = typer.Option(24.0, min=0.0, help="How long the next key must have been published.")


@app.command("status")
@told
def status(*, as_json: bool = JsonOption) -> None:
    """Show the published keys by their ids; the first one signs."""
    _show(as_json=as_json)


@app.command("prepare")
@told
def prepare(*, as_json: bool = JsonOption) -> None:
    """Make the next key and publish it; it does not sign yet."""
    _keys().prepare()
    _show(as_json=as_json)


@app.command("switch")
@told
def switch(hours: float = _HOURS, *, as_json: bool = JsonOption) -> None:
    """Sign with the next key from now on; the old one stays published."""
    _keys().switch(published_for=timedelta(hours=hours))
    _show(as_json=as_json)


@app.command("drop")
@told
def drop(*, as_json: bool = JsonOption) -> None:
    """Publish retired keys no more: every passport they signed is refused from then on."""
    _keys().drop()
    _show(as_json=as_json)


def _keys() -> PassportKeys:
    return PassportKeys(from_environment().key_directory, SystemClock())


def _show(*, as_json: bool) -> None:
    signing, *others = read_keys(Signer("", _keys()).keys()).keys
    show({"signs": signing, "only_published": others}, as_json=as_json)
