"""The `clearhold` command: one group per module, and the hub's own commands.

A command's module is imported when the command is called: all of them together take seconds.
"""

from __future__ import annotations

from typing import Final

import typer

from clearhold.delivery.cli.lazy import LazyGroup

_HERE: Final = "clearhold.delivery.cli"
COMMANDS: Final = {
    "account": f"{_HERE}.account:app",
    "party": f"{_HERE}.party:app",
    "agreement": f"{_HERE}.agreement:app",
    "approval": f"{_HERE}.approval:app",
    "catalogue": f"{_HERE}.catalogue:app",
    "scan": f"{_HERE}.scan:app",
    "finding": f"{_HERE}.finding:app",
    "validate": f"{_HERE}.validate:app",
    "discover": f"{_HERE}.discover:app",
    "model": f"{_HERE}.model:app",
    "recipe": f"{_HERE}.recipe:app",
    "case": f"{_HERE}.case:app",
    "patch": f"{_HERE}.patch:app",
    "advisory": f"{_HERE}.advisory:app",
    "inventory": f"{_HERE}.inventory:app",
    "remediate": f"{_HERE}.remediation:app",
    "agent": f"{_HERE}.agent:app",
    "ledger": f"{_HERE}.ledger:app",
    "admin": f"{_HERE}.admin:app",
    "serve": f"{_HERE}.serving:serve",
    "worker": f"{_HERE}.serving:worker",
    "mcp": f"{_HERE}.bridge:bridge",
    "doctor": f"{_HERE}.doctor:doctor",
}
"""Each command by its word: the module and in it the group or the function."""


class _Group(LazyGroup):
    places = COMMANDS


app = typer.Typer(
    cls=_Group,
    help="Clearhold, an AI cybersecurity clearinghouse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _main() -> None:
    """Make the application a group, though no command is registered before it is asked for."""
