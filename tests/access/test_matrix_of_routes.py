"""Every route and command, asked by everyone who may stand in some relation to a case.

A route or command without a row in `route_table` fails.
"""

from __future__ import annotations

import base64
import inspect
import re
import typing
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import pyrage
import pytest
import typer
from access_scene import BOM, Stage, live_systems
from fastapi import FastAPI
from route_table import (
    LISTS,
    LISTS_OF_PERSONS,
    LOCAL_COMMANDS,
    OF_OBJECTS,
    OF_PERSONS,
    OF_THE_SESSION,
    PAGES,
    PUBLIC_ROUTES,
    RELATIONS,
    TOOLS_ROUTE,
    WITHOUT_OBJECT,
)
from sqlalchemy import insert, update
from typer.testing import CliRunner

from clearhold.access.approvals import Act
from clearhold.access.permissions import PartyKind
from clearhold.access.tables import oidc_provider
from clearhold.cases.model import Role
from clearhold.delivery.cli import main, party_key
from clearhold.delivery.client import HubClient
from clearhold.delivery.http.app import make_app
from clearhold.delivery.http.declare import PUBLIC, requires, walk
from clearhold.kernel.errors import UnavailableError
from clearhold.kernel.ids import CaseId
from clearhold.parties import terms
from clearhold.wire.age import fingerprint
from clearhold.wire.letter import Letter

NAMES = dict(
    zip(
        RELATIONS,
        (
            "lab",
            "ada",
            "maintainer",
            "water",
            "bank",
            "linus",
            "grace",
            "late",
            "idle",
            "rival",
            "paused",
        ),
        strict=True,
    )
)
ABSENT = "00000000-0000-7000-8000-000000000000"
API = "/api/v1"
RECIPIENT = pyrage.x25519.Identity.generate().to_public()
LETTER = base64.b64encode(pyrage.encrypt(Letter("x", b"x").to_bytes(), [RECIPIENT])).decode()
DRAFT = {
    "title": "quuxlib copies too much",
    "summary": "A boundless copy.",
    "details": "Encoding runs past a buffer.",
    "package": "pkg:pypi/quuxlib",
    "vendor": "quux",
    "ecosystem": "PyPI",
    "facts": {
        "exploitation": "none",
        "exploitation_source": "nobody saw any",
        "automatable": "no",
        "automatable_source": "needs a chosen input",
        "technical_impact": "partial",
        "technical_impact_source": "it ends the process",
    },
    "ranges": [{"introduced": "0", "fixed": "1.1"}],
}


def rows(table: str) -> dict[str, str]:
    found = {}
    for line in table.strip().splitlines():
        method, path, *letters = line.split()
        found[f"{method} {path}"] = "".join(letters)
    return found


OBJECTS, LISTED = rows(OF_OBJECTS), rows(LISTS)
ASKED = [
    route
    for table in (
        OF_OBJECTS,
        LISTS,
        WITHOUT_OBJECT,
        OF_PERSONS,
        LISTS_OF_PERSONS,
        OF_THE_SESSION,
    )
    for route in rows(table)
]


@pytest.fixture
def things(stage: Stage, case: CaseId) -> dict[str, str]:
    """What the scene holds, by the names that paths give them."""
    hub, actors = stage.hub, stage.actors
    stage.party("late", PartyKind.VENDOR)
    stage.party("idle", PartyKind.MAINTAINER)
    stage.party("rival", PartyKind.LAB)
    stage.party("paused", PartyKind.VENDOR)
    stage.read_in(case, "paused", Role.VENDOR, 1)
    stage.read_in(case, "late", Role.VENDOR, 1, expires_at=stage.clock.now() + timedelta(minutes=1))
    stage.clock.advance(timedelta(minutes=1))
    stage.read_in(case, "grace", Role.COORDINATOR, 1, member=actors["grace"].principal)
    hub.readers.recuse(actors["grace"], case, reason="conflict")
    member = stage.member("noor", "lab").principal
    finding = hub.findings.list(actors["lab"])[0].head
    leaves = hub.history(actors["maintainer"], after=0, limit=1000)
    of_case = next(leaf for leaf in leaves if leaf.action == "cases:message:write")
    approval = hub.approvals.propose(
        actors["ada"], Act.EXPORT_CASE, case, particulars={}, reason="r"
    )
    scope = {"package": "pkg:pypi/quuxlib", "technique": "fuzzing"}
    lease = stage.ask("lab", "POST", f"{API}/scanning/leases", scope).json()
    covered = {"fence": lease["fence"], "outcome": "nothing-found", "result_sha256": "0" * 64}
    path = f"{API}/scanning/leases/{lease['id']}/coverage"
    covered["version"], covered["sharing"] = "1.0", "shared"
    coverage = stage.ask("lab", "POST", path, covered).json()
    place = stage.ask(
        "lab", "POST", f"{API}/scanning/queue", scope | {"technique": "static"}
    ).json()
    patch = stage.ask(
        "maintainer", "POST", f"{API}/patches", wish(stage, "POST /patches", case)
    ).json()
    advisory = stage.ask("ada", "POST", f"{API}/advisories", DRAFT | {"case": case}).json()
    inventory = stage.ask("water", "POST", f"{API}/inventories?name=plant", BOM).json()
    for name, findable in (("maintainer", True), ("lab", False)):
        body = {"recipient": str(RECIPIENT), "findable": findable}
        assert stage.ask(name, "POST", f"{API}/parties/recipients", body).is_success
    with hub.sessions.transaction() as unit:
        unit.connection.execute(
            insert(oidc_provider).values(
                id="provider-of-lab",
                party=actors["lab"].party,
                name="P",
                issuer="https://provider.invalid",
                client="hub",
                enforced=0,
                made_by=actors["ada"].principal,
                made_at=unit.now,
            )
        )
    about = {"subject": "pkg:pypi/quuxlib"}
    known = about | {"party": actors["maintainer"].party, "reason": "r"}
    assert stage.ask("ada", "POST", f"{API}/standing/confirmations", known).is_success
    wished = about | {"wishes": {"channels": ["hub"]}}
    assert stage.ask("maintainer", "POST", f"{API}/wishes", wished).is_success
    invited = stage.ask("lab", "POST", f"{API}/invitations", {}).json()
    assert stage.ask("lab", "POST", f"{API}/contacts", {"languages": ["en"]}).is_success
    stage.act("paused", terms.Act.SUSPEND)
    letter = {"ciphertext": LETTER, "to": to_maintainer(stage)}
    sealed = stage.ask("lab", "POST", f"{API}/cases/sealed", letter).json()
    return {
        "party": actors["lab"].party,
        "member": member,
        "approval": approval.id,
        "lease": lease["id"],
        "coverage": coverage["id"],
        "place": place["id"],
        "attempt": ABSENT,
        "submission": finding.submission,
        "finding": finding.id,
        "other": next(
            each.head.id for each in hub.findings.list(actors["ada"]) if each.head.id != finding.id
        ),
        "assertion": ABSENT,
        "provider": "provider-of-lab",
        "case": case,
        "seq": str(of_case.seq),
        "name": stage.agreement("lab"),
        "invitation": invited["id"],
        "handle": stage.handles["lab"],
        "fingerprint": fingerprint(str(RECIPIENT)),
        "sealed": sealed["id"],
        "letter": sealed["letters"][0]["id"],
        "embargo": "none-proposed",
        "patch": patch["id"],
        "advisory": advisory["id"],
        "inventory": inventory["id"],
        "action": ABSENT,
        "campaign": ABSENT,
        "watch": ABSENT,
        "lead": ABSENT,
        "agreement": ABSENT,
        "engagement": ABSENT,
        "paper": ABSENT,
        "safeguard": ABSENT,
        "partner": ABSENT,
        "grant": ABSENT,
        "number": "0",
        "version": "1.0",
    } | live_systems(stage)


def to_maintainer(stage: Stage) -> list[dict[str, str]]:
    return [{"party": stage.handles["maintainer"], "fingerprint": fingerprint(str(RECIPIENT))}]


def wish(stage: Stage, route: str, case: str) -> Any:
    """A body that gets as far as the object, and there changes nothing that others depend on."""
    bodies = {
        "POST /parties/{party}/members": {"name": "Mo"},
        "POST /parties/{party}/tokens": {"member": ABSENT},
        "POST /parties/{party}/providers": {"name": "P", "issuer": "nowhere", "client": "hub"},
        "POST /agreements/{name}/parties/{party}/acts": {"act": "resume", "reason": "r"},
        "POST /scanning/leases/{lease}/heartbeat": {"fence": 999},
        "POST /scanning/leases/{lease}/release": {"fence": 999},
        "POST /scanning/live/leases/{live_lease}/heartbeat": {"fence": 999},
        "POST /scanning/live/leases/{live_lease}/release": {"fence": 999},
        "POST /scanning/live/leases/{live_lease}/passports": {
            "fence": 999,
            "sources": ["192.0.2.1"],
        },
        "POST /scanning/leases/{lease}/introduction": {"contact": None},
        "POST /scanning/attempts/{attempt}/introduction": {"contact": None},
        "POST /scanning/leases/{lease}/coverage": {
            "fence": 999,
            "outcome": "nothing-found",
            "result_sha256": "0" * 64,
        },
        "POST /cases/{case}/participants": {"party": "nobody", "role": "other", "reason": "r"},
        "POST /cases/{case}/participants/end": {"party": "nobody"},
        "POST /cases/{case}/recusals": {"reason": "r", "person": ABSENT},
        "POST /cases/{case}/glass": {"reason": "r"},
        "POST /discovery/leads/{lead}/dismissal": {"reason": "r"},
        "POST /discovery/campaigns/{campaign}/watch": {
            "lease": ABSENT,
            "fence": 1,
            "total_s": 60,
        },
        "POST /discovery/leads/{lead}/proof": {"finding": ABSENT},
        "POST /evaluations/agreements/{agreement}/signature": {"envelope": "{}"},
        "POST /evaluations/agreements/{agreement}/state": {"state": "ended"},
        "POST /evaluations/engagements/{engagement}/acts": {"act": "withdraw"},
        "POST /evaluations/engagements/{engagement}/release": {"release_at": None},
        "POST /evaluations/engagements/{engagement}/consents": {"envelope": "{}"},
        "POST /evaluations/engagements/{engagement}/consents/taken-back": {"sha256": "0" * 64},
        "POST /evaluations/engagements/{engagement}/plan": {"sha256": "0" * 64},
        "POST /evaluations/engagements/{engagement}/draft": {"report": "{}"},
        "POST /evaluations/engagements/{engagement}/reply": {"text": "x"},
        "POST /evaluations/engagements/{engagement}/findings": {
            "finding": "",
            "trials_sha256": "0" * 64,
            "task": "x",
        },
        "POST /evaluations/engagements/{engagement}/safeguards": {
            "automated": False,
            "expert_hours": 1,
            "reach": "narrow",
            "severity": "low",
            "title": "x",
            "variant": "x",
        },
        "POST /evaluations/engagements/{engagement}/safeguards/{safeguard}/steps": {
            "to": "acknowledged"
        },
        "POST /evaluations/engagements/{engagement}/safeguards/{safeguard}/effort": {"log": "{}"},
        "POST /evaluations/engagements/{engagement}/partners/{partner}/signature": {
            "envelope": "{}"
        },
        "POST /evaluations/engagements/{engagement}/departments": {
            "begins_at": "2027-01-01T00:00:00Z",
            "department": "x",
            "ends_at": "2027-01-02T00:00:00Z",
            "reviewers": ["x"],
            "scope": "x",
        },
        "POST /evaluations/engagements/{engagement}/requests": {
            "hours": 1,
            "question": "x",
            "suite_sha256": "0" * 64,
            "tokens": 1,
            "variant": "x",
        },
        "POST /evaluations/engagements/{engagement}/final": {"report": "{}", "envelope": "{}"},
        "POST /evaluations/engagements/{engagement}/endpoint": {
            "address": "https://192.0.2.1/v1",
            "dialect": "openai",
            "models": {"a": "b"},
        },
        "POST /evaluations/engagements/{engagement}/switch": {"off": True},
        "POST /evaluations/engagements/{engagement}/grants": {
            "evaluator": "Ada",
            "variants": ["a"],
            "kinds": ["chat"],
            "tokens": 1,
        },
        "POST /cases/{case}/report": {"step": "receive"},
        "POST /cases/{case}/status": {"fact": "F"},
        "POST /cases/{case}/messages": {"text": "hello"},
        "POST /cases/{case}/embargoes": {"until": "2001-01-01T00:00:00Z"},
        "POST /cases/sealed/{case}/letters": {
            "ciphertext": LETTER,
            "to": to_maintainer(stage),
        },
        "POST /findings/{finding}/beside/{other}": {"verdict": "related"},
        "POST /patches": {
            "case": case,
            "diff": base64.b64encode(b"--- a/q\n+++ b/q\n@@ -1 +1 @@\n-a\n+b\n").decode(),
            "origin": "maintainer",
        },
        "POST /patches/{patch}/backports": {"versions": ["1.1"]},
        "POST /advisories": DRAFT | {"case": case},
        "POST /advisories/{advisory}/draft": DRAFT,
        "POST /advisories/{advisory}/publication": {"reason": "r"},
    }
    return bodies.get(route)


def answer(stage: Stage, name: str, route: str, things: dict[str, str]) -> httpx.Response:
    method, path = route.split()
    query = f"?case={things['case']}" if route == "GET /patches" else ""
    parts = things | ({"case": things["sealed"]} if path.startswith("/cases/sealed/") else {})
    place = re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], path)
    return stage.ask(name, method, f"{API}{place}{query}", wish(stage, route, things["case"]))


def same(one: httpx.Response, other: httpx.Response, ids: dict[str, str]) -> bool:
    def plain(each: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
        body = each.content
        for known in (known for name, known in ids.items() if name not in {"seq", "number"}):
            body = body.replace(known.encode(), ABSENT.encode())
        headers = [(name, value) for name, value in each.headers.items() if name != "date"]
        return each.status_code, body, [each for each in headers if each[0] != "content-length"]

    return plain(one) == plain(other)


def told(stage: Stage, name: str, route: str, things: dict[str, str]) -> str:
    with stage.hub.sessions.transaction() as unit:  # as if nobody had asked for its removal before
        unit.connection.execute(update(oidc_provider).values(removed_at=None))
    real = answer(stage, name, route, things)
    kept = {"member", "embargo", "name", "number"}  # parts of a path that belong to another object
    void = {each: things[each] if each in kept else ABSENT for each in things} | {"seq": "999999"}
    unreal = answer(stage, name, route, void)
    if not same(real, unreal, things):
        return "y" if real.is_success and route.startswith("GET /") and "{" in route else "+"
    if real.json() == []:
        return "n"
    return {403: "d", 404: "n", 409: "a"}.get(real.status_code, f"<{real.text}>")


def check_rows(app: FastAPI) -> None:
    expected = [f"{each.split()[0]} {API}{each.split()[1]}" for each in ASKED]
    expected += [*rows(PAGES), *rows(PUBLIC_ROUTES), TOOLS_ROUTE]
    assert len(expected) == len(set(expected))
    found = sorted(name for name, _ in walk(app.routes))
    assert not set(found) ^ set(expected), set(found) ^ set(expected)


def test_every_route_has_a_row(stage: Stage) -> None:
    check_rows(make_app(stage.hub))


def test_a_route_without_a_row_is_noticed(stage: Stage) -> None:
    app = make_app(stage.hub)

    @app.get("/api/v1/unheard-of", **requires(PUBLIC))
    def unheard_of() -> None:
        """Nothing."""

    with pytest.raises(AssertionError, match="unheard-of"):
        check_rows(app)


def test_what_hangs_on_a_case_is_told_to_whom_the_table_says(
    stage: Stage, things: dict[str, str]
) -> None:
    wrong = {}
    for route, expected in OBJECTS.items():
        found = "".join(told(stage, NAMES[each], route, things) for each in RELATIONS)
        if found != expected:
            wrong[route] = f"expected {' '.join(expected)}, found {' '.join(found)}"
    assert not wrong, "\n" + "\n".join(f"{route:52} {what}" for route, what in wrong.items())


def test_lists_hold_what_the_table_says(stage: Stage, things: dict[str, str]) -> None:
    wrong = {}
    for route, expected in LISTED.items():
        found = ""
        for each in RELATIONS:
            real = answer(stage, NAMES[each], route, things)
            body = real.json()
            held = body["cases"] if isinstance(body, dict) and "cases" in body else body
            found += "d" if real.status_code == 403 else "y" if held else "n"
        if found != expected:
            wrong[route] = f"expected {' '.join(expected)}, found {' '.join(found)}"
    assert not wrong, "\n" + "\n".join(f"{route:30} {what}" for route, what in wrong.items())


def commands(group: Any = None, prefix: str = "") -> dict[str, Any]:
    """Every command by its words, those of groups within groups too."""
    found: dict[str, Any] = {}
    for name, each in (group or typer.main.get_command(main.app)).commands.items():
        inner = getattr(each, "commands", None)
        found |= commands(each, f"{prefix}{name} ") if inner else {f"{prefix}{name}": each}
    return found


PLAIN = {int: "1", float: "1", datetime: "2031-01-01T00:00:00"}
FILLED = {
    "model determination record": """
authority = "x"
basis = "x"
decided_at = 2031-01-01T00:00:00Z
decided_by = "x"
decision = "covered"
engagement = "x"
inputs = []
rule = "x"
""",
    "model partner propose": """
developer = "x"
engagement = "x"
not_before = 2031-01-01T00:00:00Z
partner = "x"
proposer = "x"
scope = "x"
until = 2031-01-02T00:00:00Z
variants = ["x"]
""",
    "model safeguard report": 'title = "x"',
}


def given(name: str, kind: Any, file: Path) -> str:
    """Something that an argument of this name and type takes."""
    kind = next((each for each in typing.get_args(kind) if each is not type(None)), kind)
    if isinstance(kind, str):  # the first of a few words
        return kind
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return str(next(iter(kind)))
    if kind is Path and name == "key":
        return str(file.with_name("key.pem"))
    if kind is Path:
        return str(file.with_name("new")) if name in {"to", "target", "output"} else str(file)
    if kind in PLAIN:
        return PLAIN[kind]
    return {"until": "2031-01-01T00:00:00Z", "to": f"x={fingerprint(str(RECIPIENT))}"}.get(
        name, "x"
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_command_asks_by_a_route_of_the_table_or_is_known_to_ask_nobody(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def send(_client: HubClient, method: str, path: str, **_options: Any) -> httpx.Response:
        asked.append(f"{method} {path}")
        raise UnavailableError("Nobody is asked.")

    monkeypatch.setattr(HubClient, "_send", send)
    monkeypatch.setenv("CLEARHOLD_TOKEN", "ch_x")
    known = [
        re.compile(re.sub(r"\{[\w:]+\}", "[^/]+", route))
        for route in (*ASKED, *rows(PUBLIC_ROUTES))
    ]
    local = set(LOCAL_COMMANDS.strip().splitlines())
    party_key.make(tmp_path / "key.pem")
    found = commands()
    assert local <= found.keys()
    for name in found.keys() - local:
        asked.clear()
        file = tmp_path / "file.json"
        file.write_text("{}")
        if name == "party key make":
            file.unlink()
        if name == "party key register":
            file.unlink()
            party_key.make(file)
        if name in FILLED:
            file.write_text(FILLED[name])
        if name == "model agreement offer":
            file.write_text(CliRunner().invoke(main.app, ["model", "agreement", "draft"]).output)
        kinds = typing.get_type_hints(inspect.unwrap(found[name].callback))
        words = [
            given(str(each.name), kinds[str(each.name)], file)
            for each in found[name].params
            if each.param_type_name == "argument" and each.required
        ]
        for each in found[name].params:
            if each.param_type_name == "option" and each.required:
                words += [each.opts[0], given(str(each.name), kinds[str(each.name)], file)]
        done = CliRunner().invoke(main.app, [*name.split(), *words], input="x\n")
        assert asked, f"{name} {words} asked nobody: {done.output} {done.exception}"
        route = asked[0].replace(f" {API}", " ", 1)
        assert any(each.fullmatch(route) for each in known), f"{name} asks {route}"
        for made in tmp_path.glob("new"):
            made.unlink()
