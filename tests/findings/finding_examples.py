"""One finding in our own JSON, for tests to send as it is or changed."""

from __future__ import annotations

import base64
import json
from typing import Any

TITLE = "Indentation overruns the stack buffer"
DESCRIPTION = "A large indent makes the encoder write past its buffer."
PROOF = b"\x07proof-of-concept-bytes\xff"
PACKAGE = "pkg:pypi/ujson@5.1.0"


def document(**changes: Any) -> bytes:
    """A finding in our own JSON; a member changed to None is left out."""
    members: dict[str, Any] = {
        "schema": "clearhold-finding/1",
        "package": PACKAGE,
        "title": TITLE,
        "description": DESCRIPTION,
        "weakness": "CWE-121",
        "target": "encode",
        "claim": {"kind": "crash", "signature": ["Buffer_AppendIndentUnchecked", "encode"]},
        "severity": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
        "proof": base64.b64encode(PROOF).decode(),
    } | changes
    return json.dumps(
        {name: value for name, value in members.items() if value is not None}
    ).encode()
