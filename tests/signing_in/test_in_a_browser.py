"""The pages in a real browser, with a passkey of its own, by keyboard-sized steps and without barriers."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import Engine, update

from clearhold.access.permissions import MemberRole, PartyKind
from clearhold.access.tables import browser_session
from clearhold.adapters.clock_system import SystemClock
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub, assemble
from clearhold.delivery.http.app import make_app
from clearhold.settings import Settings
from clearhold.store.schema import EPOCH

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DAY = timedelta(days=1)


@dataclass
class Served:
    hub: Hub
    address: str
    database: Engine


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Pages are the same on either database: one is enough."""
    return f"sqlite:///{tmp_path}/data/clearhold.db"


@pytest.fixture
def served(tmp_path: Path, database: Engine) -> Iterator[Served]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    address = f"http://localhost:{listener.getsockname()[1]}"
    clock = SystemClock()
    settings = Settings(
        data_directory=tmp_path / "data",
        key_directory=tmp_path / "keys",
        cache_directory=tmp_path / "cache",
        public_url=address,
    )
    engine = MemoryEngine(clock)  # type: ignore[arg-type]
    hub = assemble(settings, database=database, clock=clock, engine=engine)
    server = uvicorn.Server(uvicorn.Config(make_app(hub), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield Served(hub, address, database)
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI must test the pages and no chromium is here")
        pytest.skip("no chromium: install the package of that name")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = browser.new_context()
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("WebAuthn.enable")
        session.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        yield page
        browser.close()


def without_barriers(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found] == []


def test_a_person_enrols_signs_in_confirms_and_looks_after_their_account(
    served: Served, page: Page
) -> None:
    hub = served.hub
    _, issued = hub.parties.found_hub(handle="hub", name="Hub", person="Ada", life=DAY)
    ada = hub.authenticate(issued.secret)
    party = hub.parties.register(ada, handle="lab", name="The Lab", kind=PartyKind.LAB)
    roles = (MemberRole.ADMIN, MemberRole.HANDLER)
    made = hub.parties.add_member(ada, party.id, name="Lin", roles=roles)
    enrolment = hub.party_sign_in.enrol(ada, party.id, made.id)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto(f"{served.address}/enrol")
    without_barriers(page)
    page.get_by_label("The enrolment you were given").fill("ce_wrong")
    page.get_by_role("button", name="Register a passkey").click()
    page.get_by_role("alert").get_by_text("not valid").wait_for()
    page.get_by_label("The enrolment you were given").fill(enrolment.secret)
    page.get_by_role("button", name="Register a passkey").click()
    page.get_by_role("heading", name="For whom you act").wait_for()
    assert page.get_by_role("cell", name="The Lab", exact=True).is_visible()
    without_barriers(page)

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    without_barriers(page)
    page.goto(f"{served.address}/account")
    without_barriers(page)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("heading", name="For whom you act").wait_for()

    # Time passes: the session is no longer confirmed, and a token takes a confirmation.
    with served.database.begin() as connection:
        connection.execute(update(browser_session).values(confirmed_at=EPOCH))
    page.get_by_role("button", name="Issue a token").click()
    page.get_by_role("heading", name="Confirm that it is you").wait_for()
    without_barriers(page)
    page.get_by_role("button", name="Confirm with a passkey").click()
    page.get_by_role("heading", name="For whom you act").wait_for()
    page.get_by_role("button", name="Issue a token").click()
    shown = page.locator("#shown output")
    shown.wait_for()
    assert hub.authenticate(shown.inner_text()).principal == made.id
    page.reload()
    assert shown.is_hidden()
    page.get_by_role("button", name="Revoke").first.click()
    page.get_by_role("cell", name="revoked").wait_for()
    assert complaints == []


def test_a_coordinator_approves_a_recovery_and_the_person_stops_it_on_their_page(
    served: Served, page: Page
) -> None:
    hub = served.hub
    tokens = {}
    for name in ("Ada", "Bo"):
        _, issued = hub.parties.found_hub(handle="hub", name="Hub", person=name, life=DAY)
        tokens[name] = hub.authenticate(issued.secret)
    ada = tokens["Ada"]
    party = hub.parties.register(ada, handle="lab", name="The Lab", kind=PartyKind.LAB)
    made = hub.parties.add_member(ada, party.id, name="Lin", roles=[MemberRole.HANDLER])
    own = hub.party_sign_in.enrol(ada, party.id, made.id)
    lins = hub.enrolments.redeem_for_token(own.secret, life=DAY)

    page.goto(f"{served.address}/enrol")
    page.get_by_label("The enrolment you were given").fill(
        hub.party_sign_in.enrol_coordinator("hub", "Bo").secret
    )
    page.get_by_role("button", name="Register a passkey").click()
    page.get_by_role("link", name="Recoveries").click()
    page.get_by_label("The member's id").fill(made.id)
    page.get_by_label("Why, and how you made sure").fill("Lost the phone; met in person.")
    page.get_by_role("button", name="Propose a recovery").click()
    page.get_by_role("cell", name="proposed").wait_for()
    without_barriers(page)
    assert page.get_by_role("button", name="Approve").count() == 0
    (proposal,) = hub.approvals.list(ada)
    hub.approvals.give(ada, proposal.id)
    page.reload()
    page.get_by_role("button", name="Issue the enrolment").click()
    page.locator("#shown output").wait_for()
    page.reload()
    page.get_by_role("cell", name="waiting").wait_for()

    page.get_by_role("link", name="Your account").click()
    page.get_by_text("Somebody asked to recover").wait_for()
    without_barriers(page)
    lin = hub.authenticate(lins.secret)
    (running,) = hub.recoveries.list(lin)
    assert hub.recoveries.veto(lin, running.id).state == "stopped"
