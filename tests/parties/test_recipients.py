"""Parties' age recipients: what they fetch comes sealed to them, and nobody else's can be named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyrage
import pytest

from clearhold.access.model import Actor
from clearhold.access.permissions import PERMISSIONS, PartyKind
from clearhold.assembly.hub import Hub
from clearhold.delivery.http.app import make_app
from clearhold.findings.intake import Format
from clearhold.kernel.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from clearhold.ledger.records import leaves
from clearhold.parties.recipients import MOST_OF_A_PARTY
from clearhold.wire import age
from in_process_http import client_of

REPORT = b"canary-report of a flaw in quuxlib"


@pytest.fixture
def lab(party_of: Callable[..., Actor]) -> Actor:
    return party_of(PartyKind.LAB, "lab-one")


@pytest.fixture
def stranger(party_of: Callable[..., Actor]) -> Actor:
    return party_of(PartyKind.LAB, "lab-two")


def identity() -> tuple[pyrage.x25519.Identity, str]:
    made = pyrage.x25519.Identity.generate()
    return made, str(made.to_public())


def caller(hub: Hub, actor: Actor) -> Any:
    with hub.sessions.transaction() as unit:
        token = hub.tokens.issue(unit, actor.principal, life=timedelta(days=1), by="test")
    return client_of(make_app(hub), {"Authorization": f"Bearer {token.secret}"})


def test_a_recipient_is_registered_found_and_withdrawn(
    hub: Hub, lab: Actor, stranger: Actor
) -> None:
    _, key = identity()
    added = hub.recipients.add(lab, key, findable=False)
    assert added.fingerprint == age.fingerprint(key)
    assert hub.recipients.own(lab) == hub.recipients.of(lab, "lab-one") == (added,)
    with pytest.raises(NotFoundError):
        hub.recipients.of(stranger, "lab-one")
    shown = hub.recipients.add(lab, key, findable=True)
    assert hub.recipients.of(stranger, "lab-one") == (shown,)
    assert hub.recipients.own(stranger) == ()
    with pytest.raises(NotFoundError):
        hub.recipients.withdraw(stranger, added.fingerprint)
    hub.recipients.withdraw(lab, added.fingerprint)
    for call in (
        lambda: hub.recipients.withdraw(lab, added.fingerprint),
        lambda: hub.recipients.of(stranger, "lab-one"),
        lambda: hub.recipients.check(lab, added.fingerprint),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_what_is_no_recipient_is_refused(hub: Hub, lab: Actor) -> None:
    secret, key = identity()
    wrong_sum = key[:-1] + ("q" if key[-1] != "q" else "p")
    for text in ("", "ssh-ed25519 AAAA", key[:-1], key + "q", wrong_sum, str(secret)):
        with pytest.raises(InvalidError) as told:
            hub.recipients.add(lab, text, findable=True)
        assert str(secret) not in told.value.message + told.value.next_step
    assert hub.recipients.own(lab) == ()


def test_a_party_has_a_bounded_number_of_recipients(hub: Hub, lab: Actor) -> None:
    for _ in range(MOST_OF_A_PARTY):
        last = hub.recipients.add(lab, identity()[1], findable=False)
    with pytest.raises(ConflictError):
        hub.recipients.add(lab, identity()[1], findable=False)
    assert hub.recipients.add(lab, last.recipient, findable=True).findable


def test_an_artefact_comes_sealed_to_ones_own_recipient_and_is_a_release(
    hub: Hub, lab: Actor, stranger: Actor
) -> None:
    key, recipient = identity()
    mine = hub.recipients.add(lab, recipient, findable=True)
    sent = hub.findings.submit(
        lab, REPORT, form=Format.TEXT, key="k", package="pkg:pypi/quuxlib@1.0"
    )
    path = f"/api/v1/findings/submissions/{sent.submission}/raw"
    answer = caller(hub, lab).get(path, params={"sealed_to": mine.fingerprint})
    assert answer.status_code == 200
    assert REPORT not in answer.content
    assert pyrage.decrypt(answer.content, [key]) == REPORT
    with hub.sessions.transaction() as unit:
        told = [leaf.action for leaf in leaves(unit.connection) if leaf.actor == lab.principal]
    assert told[-2:] == ["vault:plaintext:release", "parties:recipient:seal"]
    theirs = hub.recipients.add(stranger, identity()[1], findable=True)
    releases = told.count("vault:plaintext:release")
    for fingerprint in (theirs.fingerprint, "no-such", ""):
        refused = caller(hub, lab).get(path, params={"sealed_to": fingerprint})
        assert refused.status_code == 404
        assert refused.json()["title"] == "There is no such recipient."
    with hub.sessions.transaction() as unit:
        after = [leaf.action for leaf in leaves(unit.connection) if leaf.actor == lab.principal]
    assert after.count("vault:plaintext:release") == releases
    foreign = caller(hub, stranger).get(path, params={"sealed_to": theirs.fingerprint})
    assert foreign.status_code == 404


def test_the_register_of_recipients_is_reached_over_http(
    hub: Hub, lab: Actor, stranger: Actor
) -> None:
    mine, other = caller(hub, lab), caller(hub, stranger)
    _, key = identity()
    body = {"recipient": key, "findable": True}
    made = mine.post("/api/v1/parties/recipients", json=body).json()
    assert made == body | {"fingerprint": age.fingerprint(key)}
    assert mine.get("/api/v1/parties/recipients").json() == [made]
    assert other.get("/api/v1/parties/lab-one/recipients").json() == [made]
    gone = f"/api/v1/parties/recipients/{made['fingerprint']}/withdrawal"
    assert other.post(gone).status_code == 404
    assert mine.post(gone).json() == []
    assert other.get("/api/v1/parties/lab-one/recipients").status_code == 404


def test_the_coordinator_sees_who_was_given_how_much_and_nobody_else_does(
    hub: Hub, lab: Actor, clock: Any
) -> None:
    with hub.sessions.transaction() as unit:
        within = hub.vault.open_compartment(unit)
        place = ("finding", "body", "row")
        sealed = hub.vault.seal(unit, within, place=place, content=b"x")
    for hours in (0, 2):
        clock.advance(timedelta(hours=hours))
        with hub.sessions.transaction() as unit:
            for _ in range(5):
                hub.vault.unseal(unit, within, place=place, sealed=sealed, reader=lab.principal)
    boss = dataclasses.replace(
        lab, kind=PartyKind.COORDINATOR, permissions=PERMISSIONS[PartyKind.COORDINATOR]
    )
    [reading] = hub.oversight.readings(boss)
    assert (reading.party, reading.last_hour, reading.last_day) == ("lab-one", 5, 10)
    assert (reading.principal, reading.refused) == (lab.principal, 0)
    with pytest.raises(DeniedError):
        hub.oversight.readings(lab)
