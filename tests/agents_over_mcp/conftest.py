from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.delivery.http.app import make_app
from mcp_client import ERAS, Agent


@pytest.fixture
def app(hub: Hub, engine: MemoryEngine) -> FastAPI:
    engine.register("on:finding.submitted", lambda _ids: None)
    return make_app(hub)


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def founder(hub: Hub) -> str:
    """The token of the hub's first coordinator."""
    _, issued = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=30)
    )
    return issued.secret


@pytest.fixture
def agent_of(app: FastAPI, hub: Hub, party_of: Callable[..., Actor]) -> Callable[..., Agent]:
    """Makes a party of a kind with an agent that acts for it."""

    def make(kind: PartyKind, *, era: str = "auto") -> Agent:
        actor = party_of(kind)
        token = hub.parties.issue_token(actor, actor.party, life=timedelta(days=30))
        return Agent(app, token.secret, era=era)

    return make
