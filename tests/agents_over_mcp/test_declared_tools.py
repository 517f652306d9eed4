"""Every tool says what it does, what it takes and what it needs, to everybody alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from fastapi import FastAPI

from clearhold.access.permissions import PartyKind, Permission
from clearhold.assembly.hub import Hub
from clearhold.delivery.http.app import make_app
from clearhold.delivery.mcp import serving
from clearhold.delivery.mcp.serving import TOOLS
from mcp_client import Agent


def test_every_tool_has_a_description_schemas_and_the_permission_of_its_route(
    agent_of: Callable[..., Agent],
) -> None:
    """A client is told of every tool what it takes and gives, field by field."""
    listed = {each.name: each for each in agent_of(PartyKind.LAB).tools()}
    assert listed.keys() == {each.name for each in TOOLS}
    for tool in TOOLS:
        told = listed[tool.name]
        assert told.description
        assert isinstance(tool.permission, Permission)
        for schema in (told.input_schema, told.output_schema):
            assert schema is not None
            assert schema["type"] == "object"
            jsonschema_rs.meta.validate(schema)
        assert told.input_schema["additionalProperties"] is False
        assert told.annotations is not None
        assert told.annotations.read_only_hint is (
            tool.permission.endswith(":read") or tool.name == "scan_check"
        )


def test_the_list_of_tools_is_the_same_for_everybody(agent_of: Callable[..., Agent]) -> None:
    """What is listed tells nothing of who asks."""
    lists = [agent_of(kind).tools() for kind in PartyKind]
    assert all(each == lists[0] for each in lists)


@pytest.mark.parametrize("wrong", [None, "public", Permission.LEDGER_READ])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_hub_does_not_start_with_a_tool_that_declares_no_or_another_permission(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, wrong: Any
) -> None:
    """The check at start-up is that of routes."""
    first, *others = TOOLS
    monkeypatch.setattr(serving, "TOOLS", (replace(first, permission=wrong), *others))
    with pytest.raises(RuntimeError, match=first.name):
        make_app(hub)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_hub_does_not_start_with_a_tool_that_nobody_described_or_that_stands_twice(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = TOOLS
    for tools in ((replace(first, description=" "), *others), (first, first)):
        monkeypatch.setattr(serving, "TOOLS", tools)
        with pytest.raises(RuntimeError, match=first.name):
            make_app(hub)


def test_there_is_nothing_but_tools(app: FastAPI, founder: str) -> None:
    """No resources, no prompts: what is not there leaks nothing."""
    agent = Agent(app, founder)
    offered = agent.capabilities()
    assert offered.tools is not None
    assert (offered.resources, offered.prompts, offered.completions) == (None, None, None)
