"""Groups of commands whose modules are imported when a command is called.

All of them together take seconds to import, and what one command needs takes tenths of one.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class LazyGroup(TyperGroup):
    """The commands at `places` by their words, made when asked for; and any registered before."""

    places: ClassVar[Mapping[str, str]] = {}
    """Each command by its word: the module and in it the group or the function, as `module:name`."""

    @property
    def commands(self) -> MutableMapping[str, Any]:
        """All of them, made."""
        return {name: self._made(name) for name in self.list_commands(None)}

    @commands.setter
    def commands(self, value: MutableMapping[str, Any]) -> None:
        self._known = dict(value)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's signature)
        """Their words, in the order they are shown."""
        return [*self.places, *(name for name in self._known if name not in self.places)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One of them, made; None when there is none of that word."""
        return self._made(cmd_name) if cmd_name in self.list_commands(ctx) else None

    def _made(self, name: str) -> Any:
        if name not in self._known:
            module, _, attribute = self.places[name].partition(":")
            self._known[name] = _command(getattr(import_module(module), attribute), name)
        return self._known[name]


def _command(found: Any, name: str) -> Any:
    made: Any
    if isinstance(found, typer.Typer):
        made = typer.main.get_group(found)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        made = typer.main.get_command(alone)
    made.name = name
    return made
