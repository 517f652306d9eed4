"""What belongs to one person, and what is public: every such route asked by everybody."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from access_scene import LIFE, MESSAGE, TITLE, Ask, Stage
from route_table import LISTS_OF_PERSONS, OF_PERSONS, PAGES, PEOPLE, PUBLIC_ROUTES
from sqlalchemy import insert
from test_matrix_of_routes import ABSENT, API, rows, same

from clearhold.access.approvals import Act
from clearhold.access.permissions import MemberRole, PartyKind
from clearhold.access.tables import oidc_identity, passkey
from clearhold.delivery.http.app import make_app
from clearhold.delivery.http.declare import PUBLIC, walk
from clearhold.kernel.ids import CaseId, PartyId, PersonId, PrincipalId

NONCE = re.compile(rb'nonce="[^"]+"')


@pytest.fixture
def people(stage: Stage) -> dict[str, Ask]:
    """Who asks, by the letters of the table."""
    for name in ("lab", "rival"):
        stage.party(name, PartyKind.LAB)
    for name, of, roles in (
        ("owner", "lab", [MemberRole.HANDLER]),
        ("colleague", "lab", [MemberRole.HANDLER]),
        ("admin", "lab", [MemberRole.ADMIN, MemberRole.HANDLER]),
        ("stranger", "rival", [MemberRole.ADMIN, MemberRole.HANDLER]),
    ):
        stage.member(name, of, roles=roles)

    names = dict(zip("xkac", ("stranger", "colleague", "admin", "ada"), strict=True))
    return {letter: stage.session(name) for letter, name in names.items()} | {
        "t": lambda *what: stage.ask("owner", *what),
        "o": stage.session("owner"),
    }


@pytest.fixture
def belongings(stage: Stage, people: dict[str, Ask]) -> dict[str, str]:
    """What the owner has, by the names that paths give them."""
    hub, owner = stage.hub, stage.actors["owner"]
    person, member = PersonId(owner.person or ""), PrincipalId(owner.principal)
    token = hub.parties.issue_token(owner, PartyId(owner.party), life=LIFE, member=member)
    stage.approve(Act.RECOVERY, member, {}, "ada", "grace")
    recovery, _ = hub.recoveries.open(stage.actors["ada"], member)
    with hub.sessions.transaction() as unit:
        other = hub.browsers.open(unit, person, agent="other", confirmed=False)
        for name in ("passkey", "spare"):
            unit.connection.execute(
                insert(passkey).values(
                    id=f"{name}-of-owner",
                    person=person,
                    credential=name.encode(),
                    public_key=b"key",
                    sign_count=0,
                    name=name,
                    made_at=unit.now,
                )
            )
        unit.connection.execute(
            insert(oidc_identity).values(
                id="identity-of-owner",
                person=person,
                issuer="https://provider.invalid",
                subject="owner",
                made_at=unit.now,
            )
        )
    return {
        "passkey": "passkey-of-owner",
        "identity": "identity-of-owner",
        "session": other.id,
        "token": token.id,
        "recovery": recovery.id,
        "person": person,
        "member": member,
    }


def body_of(route: str, things: dict[str, str]) -> Any:
    return {
        "POST /account/passkeys/{passkey}/name": {"name": "Desk"},
        "POST /account/membership": {"principal": things["member"]},
        "POST /recoveries": {"member": things["member"]},
    }.get(route)


def asked(who: Ask, route: str, things: dict[str, str], root: str = API) -> httpx.Response:
    method, path = route.split()
    place = re.sub(r"\{(\w+)\}", lambda found: things[found[1]], path)
    return who(method, f"{root}{place}", body_of(route, things))


def test_what_belongs_to_a_person_is_changed_by_whom_the_table_says(
    people: dict[str, Ask], belongings: dict[str, str]
) -> None:
    void = dict.fromkeys(belongings, ABSENT)
    wrong = {}
    for route, expected in rows(OF_PERSONS).items():
        found = ""
        for each in PEOPLE:
            real = asked(people[each], route, belongings)
            unreal = asked(people[each], route, void)
            if not same(real, unreal, belongings):
                found += "+"
            else:
                found += {401: "s", 403: "d", 404: "n"}.get(real.status_code, f"<{real.text}>")
        if found != expected:
            wrong[route] = f"expected {' '.join(expected)}, found {' '.join(found)}"
    assert not wrong, "\n" + "\n".join(f"{route:46} {what}" for route, what in wrong.items())


@pytest.mark.parametrize(("table", "root"), [(LISTS_OF_PERSONS, API), (PAGES, "")])
def test_lists_and_pages_show_to_a_person_what_is_theirs(
    people: dict[str, Ask], belongings: dict[str, str], table: str, root: str
) -> None:
    wrong = {}
    for route, expected in rows(table).items():
        found = ""
        for each in PEOPLE:
            answer = asked(people[each], route, belongings, root)
            holds = any(known in answer.text for known in belongings.values())
            found += {200: "y" if holds else "n", 401: "s", 403: "d"}.get(
                answer.status_code, f"<{answer.text}>"
            )
        if found != expected:
            wrong[route] = f"expected {' '.join(expected)}, found {' '.join(found)}"
    assert not wrong, "\n" + "\n".join(f"{route:30} {what}" for route, what in wrong.items())


def place_of(route: str) -> tuple[str, str]:
    method, path = route.split()
    known = {"year": "2031", "path": "0/000", "identity": "CLEARHOLD-2031-1"}
    return method, re.sub(
        r"\{(\w+)(?::path)?\}",
        lambda found: "pages.js" if path.startswith("/assets") else known.get(found[1], ABSENT),
        path,
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_public_is_told_to_everybody_alike_and_holds_nothing_of_a_case(
    stage: Stage, case: CaseId
) -> None:
    declared = {
        name for name, permission in walk(make_app(stage.hub).routes) if permission == PUBLIC
    }
    assert declared == set(rows(PUBLIC_ROUTES))
    own = {"Sec-Fetch-Site": "same-origin"}
    for route in declared:
        method, place = place_of(route)
        body = {} if method == "POST" else None
        alone = stage.ask("", method, place, body, **own)
        assert alone.status_code not in {403, 500}, route
        # The gateway to models asks for its own tokens, of grants, which no party's token is.
        own_tokens = place.startswith("/gateway/") or route == "GET /sign-in/returned"
        assert alone.status_code != 401 or own_tokens, route
        for secret in (case, TITLE, MESSAGE, stage.actors["lab"].party, stage.handles["lab"]):
            assert secret not in alone.text, route
        for name in ("ada", "lab", "maintainer", "bank"):
            other = stage.ask(name, method, place, body, **own)
            assert other.status_code == alone.status_code, (route, name)
            if method == "GET":
                one, two = (NONCE.sub(rb"", each.content) for each in (alone, other))
                assert one == two, (route, name)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nobody_is_answered_by_a_route_that_is_not_public(stage: Stage, case: CaseId) -> None:
    for route, permission in walk(make_app(stage.hub).routes):
        if permission == PUBLIC:
            continue
        method, path = route.split()
        place = re.sub(r"\{\w+\}", case, path)
        answer = stage.ask("", method, place, {} if method == "POST" else None)
        assert answer.status_code == 401, route
        stage.clock.advance(timedelta(seconds=1))


def test_on_either_database_a_session_reads_what_a_token_of_its_person_does(
    stage: Stage, people: dict[str, Ask]
) -> None:
    finding = stage.submit("lab")
    by_token, by_session = people["t"], people["o"]
    assert by_token("GET", f"{API}/findings/{finding}").status_code == 200
    for path in (f"findings/{finding}", f"findings/{finding}/proof", "findings"):
        one, other = (who("GET", f"{API}/{path}") for who in (by_token, by_session))
        assert (one.status_code, one.content) == (200, other.content), path
    for stranger in (people["x"], people["c"]):
        assert stranger("GET", f"{API}/findings/{finding}").status_code == 404
        assert stranger("GET", f"{API}/findings").json() == []
