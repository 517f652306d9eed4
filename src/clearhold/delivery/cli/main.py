"""The `clearhold` command: one group per module, and the hub's own commands.

A command's module is imported when the command is called: all of them together take seconds.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

_HERE = "clearhold.delivery.cli"
COMMANDS = {
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


class _Group(TyperGroup):
    """The commands of `COMMANDS`, each made when it is asked for."""

    @property
    def commands(self) -> MutableMapping[str, Any]:
        """All of them, made."""
        return {name: self._made(name) for name in COMMANDS}

    @commands.setter
    def commands(self, value: MutableMapping[str, Any]) -> None:
        self._known = dict(value)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        return self._made(cmd_name) if cmd_name in COMMANDS else None

    def _made(self, name: str) -> Any:
        if name not in self._known:
            module, _, attribute = COMMANDS[name].partition(":")
            self._known[name] = _command(getattr(import_module(module), attribute), name)
        return self._known[name]


def _command(found: Any, name: str) -> Any:
    if isinstance(found, typer.Typer):
        made = typer.main.get_command(found)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        made = typer.main.get_command(alone)
    made.name = name
    return made


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
