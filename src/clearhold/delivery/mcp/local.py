"""A tool that runs where the agent runs: asking whether a flaw is known without saying which.

The question is blinded on the asker's machine, so the hub itself cannot offer this tool: an agent
that told it the proof would have told what was to stay secret. `clearhold mcp` offers it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final

from mcp.types import CallToolResult
from mcp.types import Tool as ListedTool
from pydantic import BaseModel, Field

from clearhold.delivery.asking import privately
from clearhold.delivery.client import HubClient
from clearhold.delivery.mcp.answering import told
from clearhold.delivery.mcp.listing import entry
from clearhold.delivery.mcp.tool import Arguments
from clearhold.findings.known.signatures import MOST_PROOFS, Public, derive
from clearhold.findings.known.tokens import LARGEST
from clearhold.kernel.errors import InvalidError
from clearhold.kernel.purl import Purl

KNOWN: Final = "finding_known"
_DESCRIPTION: Final = (
    "Ask whether a flaw is known before you disclose it. The proofs stay on this machine: on a "
    "miss the hub learns only that you asked and in which of 256 rooms. Give the smallest proof "
    "you have, and several of one flaw if you can. With `claim`, a hit tells the hub what you "
    "hold, and it tells you since when that is known."
)


class KnownArguments(Arguments):
    """Proofs of one flaw."""

    package: str = Field(max_length=1000, description="A package URL, as pkg:pypi/ujson.")
    proofs_base64: list[Annotated[str, Field(max_length=LARGEST * 4 // 3 + 4)]] = Field(
        min_length=1, max_length=MOST_PROOFS, description="Inputs that trigger the flaw, in base64."
    )
    frames: list[Annotated[str, Field(max_length=512)]] = Field(
        default=[], max_length=64, description="Functions where it failed, the innermost first."
    )
    claim: bool = Field(default=False, description="On a hit, ask since when it is known.")


class KnownAnswer(BaseModel):
    """Whether it is known; on a claimed hit, as what, under which public name and since when."""

    known: bool
    keys: str
    lodged: str
    known_as: str = ""
    name: str = ""
    since: str = ""


def listed() -> ListedTool:
    """How the tool stands in the list."""
    return entry(
        KNOWN,
        _DESCRIPTION,
        (KnownArguments.model_json_schema(), KnownAnswer.model_json_schema(mode="serialization")),
    )


def known(client: HubClient, arguments: dict[str, Any]) -> CallToolResult:
    """Ask the hub privately; whatever goes wrong is told as an error of the tool."""

    def ask() -> dict[str, Any]:
        given = KnownArguments.model_validate(arguments)
        package = Purl.parse(given.package).package
        frames = tuple(given.frames)
        signed = derive(
            package,
            [_decoded(each) for each in given.proofs_base64],
            frames=frames,
            public=Public.of(package, frames=frames, files=()),
        )
        keys = client.get("/findings/known/keys")
        found = privately(client, package, signed, keys=keys, claim=given.claim)
        return KnownAnswer(
            known=found["known"],
            keys=found["keys"],
            lodged=found["lodged"],
            known_as=found.get("as", ""),
            name=found.get("name", ""),
            since=found.get("since", ""),
        ).model_dump()

    return told(ask)


def _decoded(proof: str) -> bytes:
    try:
        return base64.b64decode(proof, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidError(
            "A proof is not base64.", next_step="Encode the proof's bytes in base64."
        ) from error
