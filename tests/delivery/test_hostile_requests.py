"""What no database can keep is refused in a sentence, on both databases and on every route."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from typing import Final

import httpx
import pytest

from clearhold.access.permissions import PERMISSIONS, PartyKind
from clearhold.assembly.hub import Hub
from clearhold.delivery.http import app as web
from clearhold.delivery.http.declare import PUBLIC, walk
from in_process_http import client_of

POSTS: Final = (
    ("/parties/keys", {"public_key": "{}", "signature": "{}"}),
    ("/cases", {"vulnerability": "{}", "title": "a title"}),
    ("/cases/x/messages", {"text": "{}"}),
    ("/catalogue/targets", {"package": "{}", "versions": [], "techniques": []}),
    ("/catalogue/targets", {"package": "pkg:pypi/a", "versions": ["{}"], "techniques": []}),
)
# What a place in an address must look like before anything is sought under it.
TYPED: Final = {"{year}": "2026", "{number}": "0", "{day}": "2020-01-01"}


@pytest.fixture
def client(hub: Hub) -> httpx.Client:
    """The coordinator's client: they may call most."""
    _, issued = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=1)
    )
    headers = {"Authorization": f"Bearer {issued.secret}", "Idempotency-Key": "k"}
    return client_of(web.make_app(hub), headers)


def refused(answer: httpx.Response) -> None:
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["next_step"]


def test_text_that_no_database_keeps_is_refused(
    client: httpx.Client, subtests: pytest.Subtests
) -> None:
    characters, encodings = ("\0", "\ud800", "a\udfffb"), ("utf-8", "utf-16", "utf-32")
    for character, encoding, (path, body) in itertools.product(characters, encodings, POSTS):
        with subtests.test(character=ascii(character), encoding=encoding, path=path):
            # The escaped form, as JSON writes it.
            content = json.dumps(body).replace("{}", json.dumps(character)[1:-1]).encode(encoding)
            refused(
                client.post(
                    f"/api/v1{path}", content=content, headers={"Content-Type": "application/json"}
                )
            )


def test_a_nul_in_an_address_is_refused_on_every_route(client: httpx.Client, hub: Hub) -> None:
    tried = 0
    for name, _ in walk(web.make_app(hub).routes):
        methods, _, path = name.partition(" ")
        if "{" not in path:
            continue
        address = path.replace("{", "a%00").replace("}", "").replace(":path", "")
        for method in methods.split(","):
            refused(client.request(method, address, json={} if method == "POST" else None))
            tried += 1
    assert tried > 30
    refused(client.get("/api/v1/catalogue/targets", params={"package": "pkg:pypi/\0"}))


@pytest.mark.parametrize("number", [-1, 1 << 63, 1 << 200])
def test_a_number_that_no_database_keeps_is_refused(client: httpx.Client, number: int) -> None:
    refused(client.get("/api/v1/ledger/leaves", params={"after": number}))


def test_a_surrogate_pair_and_a_written_escape_are_ordinary_text(client: httpx.Client) -> None:
    for name in ("\N{FACTORY}", "\\u0000"):
        body = {"handle": "plant", "name": f"Plant {name}", "kind": "operator"}
        answer = client.post(
            "/api/v1/parties",
            content=json.dumps(body | {"handle": f"plant-{len(name)}"}),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 201, answer.text
        assert answer.json()["name"] == f"Plant {name}"


def test_whatever_is_not_there_comes_with_a_next_step(client: httpx.Client, hub: Hub) -> None:
    allowed = PERMISSIONS[PartyKind.COORDINATOR] | {PUBLIC}
    tried = 0
    for name, permission in walk(web.make_app(hub).routes):
        methods, _, path = name.partition(" ")
        if methods != "GET" or "{" not in path or permission not in allowed:
            continue
        address = path.replace(":path", "")
        for place, value in TYPED.items():
            address = address.replace(place, value)
        answer = client.get(address.replace("{", "absent-").replace("}", ""))
        assert answer.status_code == 404, f"{path}: {answer.text}"
        assert answer.json()["next_step"], path
        tried += 1
    assert tried > 15
