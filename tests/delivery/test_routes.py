"""No route answers without saying who may call it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter

from clearhold.access.permissions import Permission
from clearhold.assembly.hub import Hub
from clearhold.delivery.http import app as web
from clearhold.delivery.http.declare import BY_TOOL, PUBLIC, requires, walk
from in_process_http import client_of


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Routes are the same on either database: one is enough."""
    return f"sqlite:///{tmp_path}/data/clearhold.db"


def test_a_route_that_declares_no_permission_keeps_the_hub_from_starting(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = APIRouter(prefix="/careless")

    @careless.get("/secrets")
    def secrets() -> dict[str, str]:
        return {}

    monkeypatch.setattr(web, "ROUTERS", (*web.ROUTERS, careless))
    with pytest.raises(RuntimeError, match=r"GET /api/v1/careless/secrets"):
        web.make_app(hub)


def test_an_application_within_the_application_counts_as_undeclared(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = APIRouter(prefix="/foreign")

    @foreign.get("/known", **requires(PUBLIC))
    def known() -> dict[str, str]:
        return {}

    foreign.mount("/within", web.make_app(hub))
    monkeypatch.setattr(web, "ROUTERS", (*web.ROUTERS, foreign))
    with pytest.raises(RuntimeError, match="within"):
        web.make_app(hub)


def test_every_route_declares_a_permission_that_exists(hub: Hub) -> None:
    routes = walk(web.make_app(hub).routes)
    assert len(routes) > 40
    for name, permission in routes:
        known = {PUBLIC, BY_TOOL if name == "POST /mcp" else PUBLIC, *Permission}
        assert permission in known, name


def test_only_feeds_and_the_hub_s_own_description_are_public(hub: Hub) -> None:
    public = {name for name, permission in walk(web.make_app(hub).routes) if permission == PUBLIC}
    assert not {name for name in public if " /api/" in name}


def test_every_other_route_answers_a_stranger_with_one_and_the_same_refusal(hub: Hub) -> None:
    app = web.make_app(hub)
    client = client_of(app, {"Idempotency-Key": "k"})
    closed = [name for name, permission in walk(app.routes) if permission != PUBLIC]
    assert closed
    for name in closed:
        methods, _, path = name.partition(" ")
        for method in methods.split(","):
            answer: httpx.Response = client.request(method, path)
            assert answer.status_code == 401, name
            assert answer.json()["code"] == "unauthenticated", name
