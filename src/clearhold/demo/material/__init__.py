"""What the people of the story send: reports as they would write them, and two candidate fixes.

The proofs are inputs for the shipped recipes; nothing here says what will come of them.
"""

from __future__ import annotations

import base64
import json
from importlib import resources
from typing import Any, Final

from clearhold.validation.known_proofs import ENDLESS_EXCEPTION, LONE_SURROGATE, NESTED_OBJECTS

UJSON: Final = "pkg:pypi/ujson@5.1.0"
PYGMENTS: Final = "pkg:pypi/pygments@2.7.3"


def lab_b_report() -> bytes:
    """Lab B's SARIF log: the encoder's overflow, met by another way than lab A's."""
    message = (
        "Indented objects overrun the encoder's buffer on the stack\n\n"
        "The indentation before a key is written without making room for it. Nested objects with "
        "a wide indentation are enough, and services often take both from a request."
    )
    rule = {
        "id": "CWE-787",
        "shortDescription": {"text": "Out-of-bounds write"},
        "defaultConfiguration": {"level": "error"},
    }
    place = {
        "physicalLocation": {
            "artifactLocation": {"uri": "lib/ultrajsonenc.c"},
            "region": {"startLine": 518},
        },
        "logicalLocations": [{"fullyQualifiedName": "Buffer_AppendIndentUnchecked"}],
    }
    return _json(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {
                        "driver": {
                            "name": "Borealis Scan",
                            "semanticVersion": "4.2.0",
                            "rules": [rule],
                        }
                    },
                    "artifacts": [
                        {
                            "location": {"uri": "proofs/nested-objects.json"},
                            "contents": {"binary": _base64(NESTED_OBJECTS)},
                        }
                    ],
                    "results": [
                        {
                            "ruleId": "CWE-787",
                            "message": {"text": message},
                            "locations": [place],
                            "properties": {"clearhold/proof": 0, "clearhold/target": "dumps"},
                        }
                    ],
                }
            ],
        }
    )


def finder_report() -> bytes:
    """The finder's report of another bug of ujson: text decoded into other text."""
    return _finding(
        package=UJSON,
        title="A lone surrogate is decoded into other text than was written",
        description="finder_report.txt",
        weakness="CWE-228",
        target="decode",
        claim={"kind": "wrong-result"},
        severity="CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N",
        proof=LONE_SURROGATE,
    )


def pygments_report() -> bytes:
    """The finder's report on Pygments: a lexer that never ends."""
    return _finding(
        package=PYGMENTS,
        title="The Standard ML lexer never ends on a text of one word",
        description="pygments_report.txt",
        weakness="CWE-835",
        target="lex",
        claim={"kind": "hang"},
        severity="CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H",
        proof=ENDLESS_EXCEPTION,
    )


def false_report() -> bytes:
    """A report that convinces whoever only reads it: the code it describes does no such thing."""
    return _finding(
        package=UJSON,
        title="Heap buffer overflow in the number decoder allows remote code execution",
        description="false_report.txt",
        weakness="CWE-122",
        target="loads",
        claim={
            "kind": "crash",
            "signature": ["decode_numeric", "decode_any", "decode_object", "JSON_DecodeObject"],
        },
        severity="CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        proof=_read("false_report_proof.json"),
    )


def real_fix() -> bytes:
    """A diff that makes room before every separator and indentation is written."""
    return _read("real_fix.patch")


def hiding_fix() -> bytes:
    """A diff that makes room in lists alone: lab A's proof stops, and objects still overflow."""
    return _read("hide_one_proof.patch")


def _finding(*, description: str, proof: bytes, **members: Any) -> bytes:
    return _json(
        {
            "schema": "clearhold-finding/1",
            **members,
            "description": _read(description).decode(),
            "proof": _base64(proof),
        }
    )


def _read(name: str) -> bytes:
    return (resources.files(__name__) / name).read_bytes()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()
