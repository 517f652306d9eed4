"""Over HTTP: cookies count from the hub's own pages alone, and guessing is slowed down."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from signing_in_people import Person

from clearhold.access.browser_sessions import CONFIRMED
from clearhold.access.model import Actor
from clearhold.access.throttle import (
    FAILURES_OF_A_CREDENTIAL,
    FAILURES_OF_A_SOURCE,
    STARTS_OF_A_SOURCE,
    WINDOW,
    Throttle,
)
from clearhold.assembly.hub import Hub
from clearhold.delivery.http.app import make_app
from clearhold.kernel.errors import ThrottledError, UnauthenticatedError
from in_process_http import client_of
from soft_authenticator import ORIGIN

COOKIE = "__Host-clearhold-session"
OWN = {"Sec-Fetch-Site": "same-origin"}
DAY = timedelta(days=1)


@pytest.fixture
def database_url(tmp_path: Any) -> str:
    """What the web does is the same on either database: one is enough."""
    return f"sqlite:///{tmp_path}/data/clearhold.db"


@pytest.fixture
def web(hub: Hub) -> Callable[..., httpx.Client]:
    app = make_app(hub)
    return lambda **headers: client_of(app, {k.replace("_", "-"): v for k, v in headers.items()})


def browser(web: Callable[..., httpx.Client], person: Person) -> httpx.Client:
    return web(
        Cookie=f"{COOKIE}={person.cookie}",
        Sec_Fetch_Site="same-origin",
        X_Clearhold_Csrf=person.signed.csrf,
    )


def test_a_session_reads_and_writes_from_the_hub_s_own_pages(
    web: Callable[..., httpx.Client], lab: Person
) -> None:
    client = browser(web, lab)
    mine = client.get("/api/v1/account/session").json()
    assert mine["principal"] == lab.member.id
    assert mine["memberships"][0]["party_name"] == "Lab"
    (own,) = client.get("/api/v1/account/passkeys").json()
    named = client.post(f"/api/v1/account/passkeys/{own['id']}/name", json={"name": "Desk"})
    assert named.json()["name"] == "Desk"
    assert client.get("/api/v1/findings").status_code == 200
    token = client.post(
        f"/api/v1/parties/{lab.member.party}/tokens", json={"member": lab.member.id}
    )
    assert token.status_code == 201
    left = client.post("/api/v1/account/sign-out", json={})
    assert f"{COOKIE}=" in left.headers["set-cookie"]
    assert client.get("/api/v1/account/session").status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_can_neither_write_nor_read_with_somebody_s_cookie(
    web: Callable[..., httpx.Client], lab: Person, site: str
) -> None:
    headers = {"Cookie": f"{COOKIE}={lab.cookie}", "X_Clearhold_Csrf": lab.signed.csrf}
    client = web(**headers, Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate")
    assert client.post("/api/v1/account/sign-out", json={}).status_code == 403
    assert client.get("/api/v1/account/passkeys").status_code == 403
    assert client.get("/account").status_code == 200  # arriving by a link


def test_without_the_session_s_own_token_nothing_is_changed(
    web: Callable[..., httpx.Client], lab: Person
) -> None:
    for csrf in ("", "x", lab.signed.csrf[:-1], "é"):
        client = web(Cookie=f"{COOKIE}={lab.cookie}", Sec_Fetch_Site="same-origin")
        headers = {"X-Clearhold-Csrf": csrf.encode()} if csrf else {}
        answer = client.post("/api/v1/account/sign-out", json={}, headers=headers)
        assert answer.status_code == 403, csrf
    old = web(Cookie=f"{COOKIE}={lab.cookie}", X_Clearhold_Csrf=lab.signed.csrf)
    assert old.post("/api/v1/account/sign-out", json={}).status_code == 403  # names no origin
    assert (
        old.post("/api/v1/account/sign-out", json={}, headers={"Origin": ORIGIN}).status_code == 200
    )


def test_a_token_and_a_session_at_once_are_refused(
    hub: Hub, web: Callable[..., httpx.Client], lab: Person
) -> None:
    token = hub.parties.issue_token(lab.actor, lab.member.party, life=DAY, member=lab.member.id)
    both = web(
        Cookie=f"{COOKIE}={lab.cookie}",
        Sec_Fetch_Site="same-origin",
        Authorization=f"Bearer {token.secret}",
    )
    assert both.get("/api/v1/parties/self").status_code == 401
    alone = web(Authorization=f"Bearer {token.secret}", Sec_Fetch_Site="cross-site")
    assert alone.get("/api/v1/parties/self").status_code == 200


def test_an_embargoed_read_over_http_asks_for_the_step_up(
    web: Callable[..., httpx.Client], lab: Person, clock: Any
) -> None:
    clock.advance(CONFIRMED)
    client = browser(web, lab)
    answer = client.get("/api/v1/findings")
    assert (answer.status_code, answer.json()["code"]) == (403, "step_up")
    asked = client.post("/api/v1/account/confirmation/options", json={})
    ceremony = re.search(r"__Host-clearhold-ceremony=([^;]+)", asked.headers["set-cookie"])
    assert ceremony
    cookies = f"{COOKIE}={lab.cookie}; __Host-clearhold-ceremony={ceremony[1]}"
    done = client.post(
        "/api/v1/account/confirmation",
        json={"credential": lab.passkey.get(asked.json()["options"])},
        headers={"Cookie": cookies},
    )
    assert done.status_code == 200
    fresh = re.search(rf"{COOKIE}=([^;]+)", done.headers["set-cookie"])
    assert fresh
    assert fresh[1] != lab.cookie
    lab.cookie = fresh[1]
    assert browser(web, lab).get("/api/v1/findings").status_code == 200


def test_cookies_are_closed_to_scripts_other_hosts_and_plain_connections(
    web: Callable[..., httpx.Client], lab: Person
) -> None:
    client = web(**OWN)
    asked = client.post("/sign-in/passkey/options", json={})
    told = asked.headers["set-cookie"].lower()
    assert told.startswith("__host-clearhold-ceremony=")
    for each in ("secure", "httponly", "samesite=lax", "path=/"):
        assert each in told
    assert "domain" not in told


def test_pages_run_nothing_but_the_hub_s_own_script(
    web: Callable[..., httpx.Client], lab: Person
) -> None:
    client = browser(web, lab)
    for path in ("/sign-in", "/enrol", "/account", "/confirm"):
        answer = client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
        assert nonce
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"\son\w+=|<script(?![^>]*nonce)|style=|javascript:", answer.text)
        assert nonce[1] not in client.get(path).text
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "onward", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_no_page_sends_anybody_elsewhere(web: Callable[..., httpx.Client], onward: str) -> None:
    text = web(**OWN).get("/sign-in", params={"next": onward}).text
    assert 'data-next="/account"' in text


def test_a_stranger_who_asks_for_a_page_is_shown_how_to_sign_in(
    web: Callable[..., httpx.Client],
) -> None:
    answer = web(Accept="text/html").get("/account")
    assert answer.status_code == 401
    assert "/sign-in?next=/account" in answer.text


def test_enrolling_by_http_gives_a_token_and_refuses_everything_else_alike(
    hub: Hub, web: Callable[..., httpx.Client], lab: Person
) -> None:
    client = browser(web, lab)
    made = client.post(f"/api/v1/parties/{lab.member.party}/members", json={"name": "Mia"}).json()
    stranger = web()
    wrong = made["enrolment"][:-1] + ("A" if made["enrolment"][-1] != "A" else "B")
    refusals = [
        stranger.post("/enrol/token", json={"enrolment": each})
        for each in (wrong, "", "ce_" + "0" * 32 + "_" + "A" * 43, lab.cookie)
    ]
    assert {each.status_code for each in refusals} == {401}
    assert len({each.text for each in refusals}) == 1
    got = stranger.post("/enrol/token", json={"enrolment": made["enrolment"]})
    assert got.status_code == 201
    assert hub.authenticate(got.json()["token"]).principal == made["id"]


def test_guessing_tokens_is_refused_before_they_are_looked_at_and_forgotten_in_time(
    hub: Hub, web: Callable[..., httpx.Client], lab: Person, clock: Any
) -> None:
    token = hub.parties.issue_token(lab.actor, lab.member.party, life=DAY, member=lab.member.id)
    guesses = [f"ch_{n:032x}_{'A' * 43}" for n in range(FAILURES_OF_A_SOURCE)]
    client = web()

    def status(secret: str) -> int:
        answer = client.get("/api/v1/parties/self", headers={"Authorization": f"Bearer {secret}"})
        return answer.status_code

    assert {status(each) for each in guesses} == {401}
    assert status(guesses[0]) == 429
    assert status(token.secret) == 429
    clock.advance(WINDOW)
    assert status(token.secret) == 200


def test_beginning_over_and_over_is_refused(web: Callable[..., httpx.Client]) -> None:
    client = web(**OWN)
    seen = [
        client.post("/sign-in/passkey/options", json={}).status_code
        for _ in range(STARTS_OF_A_SOURCE + 1)
    ]
    assert seen == [200] * STARTS_OF_A_SOURCE + [429]


def test_guessing_at_one_credential_from_everywhere_never_locks_its_owner_out(
    clock: Any,
) -> None:
    throttle = Throttle(clock)

    def fail(source: str) -> None:
        with pytest.raises(UnauthenticatedError), throttle.attempt(source, "target"):
            raise UnauthenticatedError("no")

    for number in range(FAILURES_OF_A_CREDENTIAL):
        fail(f"2001:db8:{number:x}::1")
    with pytest.raises(ThrottledError), throttle.attempt("2001:db8:0::ffff", "target"):
        raise AssertionError
    with throttle.attempt("198.51.100.7", "target"):
        pass


def test_the_counts_of_guesses_are_bounded(clock: Any) -> None:
    throttle = Throttle(clock)
    for number in range(12_000):
        throttle.start(f"host-{number}")
    assert len(throttle._counts) == 10_000


def test_a_stranger_learns_nothing_from_a_provider_s_id(
    hub: Hub, web: Callable[..., httpx.Client], coordinator: Callable[[str], Actor]
) -> None:
    page = web(**OWN).get("/sign-in", params={"provider": "0" * 36})
    plain = web(**OWN).get("/sign-in")
    strip = re.compile(r'nonce="[^"]+"')
    assert strip.sub("", page.text) == strip.sub("", plain.text)
