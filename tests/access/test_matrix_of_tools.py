"""Every tool for agents, called by everyone who may stand in some relation to a case.

A tool without a row in `route_table` fails.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from access_scene import Stage
from route_table import RELATIONS, TOOLS_OF_OBJECTS, TOOLS_THAT_LIST, TOOLS_WITHOUT_OBJECT
from test_matrix_of_routes import ABSENT, NAMES
from test_matrix_of_routes import things as things  # noqa: PLC0414  # a fixture of that module

from clearhold.delivery.mcp.serving import TOOLS


def rows(table: str) -> dict[str, str]:
    """Letters by tool."""
    found = (line.split() for line in table.strip().splitlines())
    return {name: "".join(letters) for name, *letters in found}


OBJECTS, LISTED, OTHERS = rows(TOOLS_OF_OBJECTS), rows(TOOLS_THAT_LIST), rows(TOOLS_WITHOUT_OBJECT)
READING = {each.name for each in TOOLS if each.reads}


def wish(tool: str, things: dict[str, str]) -> dict[str, Any]:
    """Arguments that get as far as the object, and there change nothing."""
    lease = {"lease": things["lease"], "fence": 999}
    return {
        "scan_renew": lease,
        "scan_release": lease,
        "scan_report_coverage": lease | {"outcome": "found", "result_sha256": "0" * 64},
        "finding_receipt": {"submission": things["submission"]},
        "finding_get": {"finding": things["finding"]},
        "discovery_status": {"campaign": ABSENT},
        "discovery_crash": {"campaign": ABSENT, "number": 1},
        "discovery_stop": {"campaign": ABSENT},
        "discovery_watch": lease | {"campaign": ABSENT, "total_s": 60},
        "discovery_unwatch": {"watch": ABSENT},
        "discovery_begin": lease
        | {"package": "pkg:pypi/another@1", "idempotency_key": uuid.uuid4().hex},
        "patch_submit": {
            "case": things["case"],
            "diff": "--- a/q\n+++ b/q\n@@ -1 +1 @@\n-a\n+b\n",
            "idempotency_key": uuid.uuid4().hex,
        },
        "patch_list": {"case": things["case"]},
        "patch_get": {"patch": things["patch"]},
        "lead_dismiss": {"lead": things["lead"], "reason": "It is none"},
        "lead_prove": {"lead": things["lead"], "finding": things["finding"]},
        "scan_queue_leave": {"place": things["place"]},
        "scan_introduce": {"lease": things["lease"]},
        "scan_queue": {
            "package": "pkg:pypi/another",
            "technique": "fuzzing",
            "idempotency_key": uuid.uuid4().hex,
        },
        "scan_check": {"package": "pkg:pypi/other", "technique": "fuzzing"},
        "scan_map": {"package": "pkg:pypi/other"},
        "scan_claim": {
            "package": "pkg:pypi/other",
            "technique": "fuzzing",
            "mode": "notify-only",
            "idempotency_key": uuid.uuid4().hex,
        },
        "finding_submit": {
            "format": "text",
            "content": "It breaks",
            "package": "pkg:pypi/other@1.0",
            "idempotency_key": uuid.uuid4().hex,
        },
    }.get(tool, {})


def answer(stage: Stage, name: str, tool: str, things: dict[str, str]) -> tuple[bool, Any]:
    """Whether a tool answered, and what it said."""
    called = {"name": tool, "arguments": wish(tool, things)}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": called}
    accept = "application/json, text/event-stream"
    result = stage.ask(name, "POST", "/mcp", body, Accept=accept).json()["result"]
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    return not result["isError"], result["structuredContent"]


def letter(code: str) -> str:
    return {"denied": "d", "not_found": "n", "invalid": "i"}.get(code, f"<{code}>")


def told(stage: Stage, name: str, tool: str, things: dict[str, str]) -> str:
    void = things | dict.fromkeys(
        ("lease", "submission", "finding", "place", "case", "patch"), ABSENT
    )
    answered, real = answer(stage, name, tool, things)
    _, unreal = answer(stage, name, tool, void)
    if real != unreal:
        return "y" if answered and tool in READING else "+"
    return letter(real["code"])


def test_every_tool_has_a_row() -> None:
    assert {*OBJECTS, *LISTED, *OTHERS} == {each.name for each in TOOLS}


def test_tools_tell_of_an_object_whom_the_table_says(stage: Stage, things: dict[str, str]) -> None:
    """To all others it is answered like one that does not exist."""
    wrong = {}
    for tool, expected in OBJECTS.items():
        found = "".join(told(stage, NAMES[each], tool, things) for each in RELATIONS)
        if found != expected:
            wrong[tool] = f"expected {' '.join(expected)}, found {' '.join(found)}"
    assert not wrong, wrong


def test_tools_list_what_the_table_says(stage: Stage, things: dict[str, str]) -> None:
    wrong = {}
    for tool, expected in LISTED.items():
        found = ""
        for each in RELATIONS:
            answered, said = answer(stage, NAMES[each], tool, things)
            if answered:
                (held,) = (each for name, each in said.items() if name != "notice")
                found += "y" if held else "n"
            else:
                found += letter(said["code"])
        if found != expected:
            wrong[tool] = f"expected {' '.join(expected)}, found {' '.join(found)}"
    assert not wrong, wrong


def test_tools_without_an_object_are_open_to_whom_the_table_says(
    stage: Stage, things: dict[str, str]
) -> None:
    wrong = {}
    for tool, expected in OTHERS.items():
        found = ""
        for each in RELATIONS:
            answered, said = answer(stage, NAMES[each], tool, things)
            found += "+" if answered else letter(said["code"])
        if found != expected:
            wrong[tool] = f"expected {' '.join(expected)}, found {' '.join(found)}"
    assert not wrong, wrong
