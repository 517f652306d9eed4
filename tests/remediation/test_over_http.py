"""An operator's way over HTTP: upload what runs, read the plan, report the fix."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agreeing import hold
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.inventory.service import MEDIA_TYPE
from clearhold.settings import Settings
from clearhold.wire.receipt import Receipt, ReceiptState, sign
from publication_road import Caller, Road, caller_of, sbom


@pytest.fixture
def caller(road: Road, tmp_path: Path) -> Caller:
    return caller_of(road, Settings(data_directory=tmp_path / "data"))


def bearer(road: Road, actor: Actor) -> dict[str, str]:
    life = timedelta(days=60)
    token = road.parties.issue_token(actor, actor.party, life=life, member=actor.principal)
    return {"Authorization": f"Bearer {token.secret}"}


def test_an_operators_whole_way(road: Road, caller: Caller) -> None:
    operator = road.party(PartyKind.OPERATOR, "utility")
    mine = bearer(road, operator)
    uploaded = caller.post(
        "/api/v1/inventories",
        params={"name": "pumps", "exposure": "open", "publicly_exposed": "yes"},
        content=sbom("pkg:pypi/ujson@5.1.0"),
        headers=mine | {"Idempotency-Key": "one", "Content-Type": MEDIA_TYPE},
    )
    assert uploaded.status_code == 201
    identity = uploaded.json()["id"]
    assert caller.get("/api/v1/inventories", headers=mine).json() == [uploaded.json()]
    assert caller.get(f"/api/v1/inventories/{identity}", headers=mine).json() == uploaded.json()

    notice = road.scheduled(road.case())
    hub = bearer(road, road.coordinator)
    prepared = caller.post(f"/api/v1/remediation/advisories/{notice.id}", headers=hub)
    assert prepared.json() == {"advisory": notice.id, "actions": 0, "states": {}}
    road.engine.run_due()
    assert caller.get("/api/v1/remediation/actions", headers=mine).json() == []
    road.clock.advance(timedelta(days=7))
    road.engine.run_due()
    (action,) = caller.get("/api/v1/remediation/actions", headers=mine).json()
    assert action["details"]["advisory"] == notice.public_id
    assert action["details"]["directive"]["table"] == "cisa:DT_BOD2604:1.0.0"

    key = Ed25519PrivateKey.generate()
    hold(road.parties, operator, key)
    receipt = Receipt(
        operator="utility",
        environment="env",
        action="attempt",
        advisory=notice.public_id,
        package="pkg:pypi/ujson",
        from_version="5.1.0",
        to_version="5.4.0",
        state=ReceiptState.VERIFIED_FIXED,
        reason="",
        evidence={"bundle": "0" * 64},
        counter=1,
        issued=road.clock.now(),
    )
    forged = caller.post(
        "/api/v1/remediation/receipts",
        content=sign(receipt, Ed25519PrivateKey.generate()),
        headers=mine,
    )
    assert (forged.status_code, forged.json()["code"]) == (422, "invalid")
    filed = caller.post("/api/v1/remediation/receipts", content=sign(receipt, key), headers=mine)
    assert filed.status_code == 201
    assert filed.json()["action"] == action["id"]
    counts = caller.get(f"/api/v1/remediation/advisories/{notice.id}", headers=hub)
    assert counts.json()["states"] == {"verified_fixed": 1}
    for path in (f"actions/{action['id']}", f"advisories/{notice.id}"):
        assert caller.get(f"/api/v1/remediation/{path}").status_code == 401
    bank = bearer(road, road.party(PartyKind.OPERATOR, "bank"))
    hidden = caller.get(f"/api/v1/remediation/actions/{action['id']}", headers=bank)
    assert hidden.status_code == 404
