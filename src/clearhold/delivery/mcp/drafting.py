"""A tool that runs where the agent runs: harnesses are drafted for a package that has none.

It is `clearhold discover harness` for an agent, and asks no hub. An agent names published packages
and the new recipe alone: it can have no file of its machine read, nor written elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from mcp.types import CallToolResult
from mcp.types import Tool as ListedTool
from pydantic import BaseModel, Field

from clearhold.delivery.mcp.answering import told
from clearhold.delivery.mcp.listing import entry
from clearhold.delivery.mcp.tool import UNTRUSTED, Arguments
from clearhold.discovery.harness.draft import PATIENCE_S, Box
from clearhold.discovery.harness.trial import SEARCH_S
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl
from clearhold.settings import from_environment

HARNESS: Final = "discovery_harness"
_DESCRIPTION: Final = (
    "Draft fuzz harnesses for a published package that has none, try them in the sandbox of this "
    "machine, and keep those that work as a recipe of its operator, by which the package can be "
    "searched. What a draft met may be its own misuse of the package. It takes minutes."
)


class HarnessArguments(Arguments):
    """A package, and what its recipe is to be called."""

    package: str = Field(
        max_length=1000, description="A package URL of Debian or PyPI, as pkg:pypi/ujson@5.1.0."
    )
    name: str = Field(
        max_length=100,
        description="The new recipe's name, in lower-case letters, digits, dots, dashes and _.",
    )
    seconds: int = Field(
        default=SEARCH_S, ge=1, le=60, description="How long each harness is searched to try it."
    )
    patience_s: int = Field(
        default=int(PATIENCE_S),
        ge=1,
        le=3600,
        description="Seconds after which no further harness is tried.",
    )


class HarnessAnswer(BaseModel):
    """The harnesses that work, why others were left out, and where the recipe lies, if it does."""

    notice: str = UNTRUSTED
    package: str
    harnesses: list[dict[str, Any]]
    left_out: dict[str, str]
    directory: str = ""


def listed() -> ListedTool:
    """How the tool stands in the list."""
    return entry(
        HARNESS,
        _DESCRIPTION,
        (
            HarnessArguments.model_json_schema(),
            HarnessAnswer.model_json_schema(mode="serialization"),
        ),
        open_world=True,
    )


def draft(arguments: dict[str, Any]) -> CallToolResult:
    """Draft and try; whatever goes wrong is told as an error of the tool."""

    def drafted() -> dict[str, Any]:
        from clearhold.delivery.cli import discover_harness  # noqa: PLC0415  # slow to load

        given = HarnessArguments.model_validate(arguments)
        Purl.parse(given.package)
        place = from_environment().recipe_directory
        if place is None or not place.is_dir():
            raise InvalidError(
                "This machine keeps no recipes of its own.",
                next_step="Let its operator name a directory by CLEARHOLD_RECIPES.",
            )
        if Path(given.name).name != given.name:
            raise InvalidError("That is no recipe's name.", next_step="Name it without a path.")
        box = Box(given.seconds, float(given.patience_s), lambda _words: None)
        shown = discover_harness.drafted(given.package, place / given.name, package="", box=box)
        return HarnessAnswer(**shown).model_dump()

    return told(drafted)
