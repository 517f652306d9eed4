"""Only an agent whose key is registered can say that a fix landed, once and in order."""

from __future__ import annotations

import base64
import dataclasses
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agreeing import hold
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import ActionId
from clearhold.remediation.model import ActionState
from clearhold.wire.receipt import Receipt, ReceiptState, sign
from publication_road import Road, upload


class Site:
    """An operator with one affected system, an agent and a published advisory."""

    def __init__(self, road: Road) -> None:
        self.road = road
        self.operator: Actor = road.party(PartyKind.OPERATOR, "utility")
        upload(road, self.operator, "pkg:pypi/ujson@5.1.0")
        road.engine.run_due()
        self.key = Ed25519PrivateKey.generate()
        hold(road.parties, self.operator, self.key)
        self.notice = road.scheduled(road.case(early_notice=True))
        road.remediation.prepare(road.coordinator, self.notice.id)
        road.engine.run_due()

    def publish(self) -> None:
        self.road.clock.advance(timedelta(days=7))
        self.road.engine.run_due()

    def receipt(self, counter: int = 1, **values: object) -> Receipt:
        stated = Receipt(
            operator="utility",
            environment="env-1",
            action="attempt-1",
            advisory=self.notice.public_id,
            package="pkg:pypi/ujson",
            from_version="5.1.0",
            to_version="5.4.0",
            state=ReceiptState.VERIFIED_FIXED,
            reason="",
            evidence={"bundle": "a" * 64},
            counter=counter,
            issued=self.road.clock.now(),
        )
        return dataclasses.replace(stated, **values)

    def signed(self, counter: int = 1, **values: object) -> bytes:
        return sign(self.receipt(counter, **values), self.key)

    def state(self) -> ActionState:
        (action,) = self.road.remediation.plan(self.operator)
        return action.state


@pytest.fixture
def site(road: Road) -> Site:
    made = Site(road)
    made.publish()
    return made


def test_an_action_follows_its_receipts(site: Site) -> None:
    filed = site.road.remediation.submit(site.operator, site.signed(1, state=ReceiptState.STAGED))
    assert site.state() is ActionState.STAGED
    assert filed.state is ActionState.STAGED
    site.road.remediation.submit(site.operator, site.signed(4))
    assert site.state() is ActionState.VERIFIED_FIXED
    counts = site.road.remediation.counts(site.road.coordinator, site.notice.id)
    assert dict(counts.states) == {ActionState.VERIFIED_FIXED: 1}


def test_the_same_envelope_twice_gives_the_same_answer(site: Site) -> None:
    envelope = site.signed(2)
    first = site.road.remediation.submit(site.operator, envelope)
    site.road.clock.advance(timedelta(hours=1))
    assert site.road.remediation.submit(site.operator, envelope) == first


@pytest.mark.parametrize("counter", [1, 2])
def test_a_counter_that_does_not_grow_is_refused(site: Site, counter: int) -> None:
    site.road.remediation.submit(site.operator, site.signed(2))
    with pytest.raises(ConflictError, match="replay"):
        site.road.remediation.submit(
            site.operator, site.signed(counter, state=ReceiptState.ROLLED_BACK)
        )
    assert site.state() is ActionState.VERIFIED_FIXED


def test_a_receipt_signed_by_a_stranger_is_refused(site: Site) -> None:
    forged = sign(site.receipt(), Ed25519PrivateKey.generate())
    with pytest.raises(InvalidError, match="No key that your party registered"):
        site.road.remediation.submit(site.operator, forged)
    assert site.state() is ActionState.OPEN


def test_a_receipt_altered_after_signing_is_refused(site: Site) -> None:
    envelope = json.loads(site.signed(1, state=ReceiptState.DECLINED))
    payload = base64.b64decode(envelope["payload"]).replace(b"declined", b"verified")
    envelope["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(InvalidError, match="altered"):
        site.road.remediation.submit(site.operator, json.dumps(envelope).encode())
    assert site.state() is ActionState.OPEN


NO_ENVELOPES: list[bytes] = [b"", b"{}", b"\xff", b"[" * 100_000, b'{"payload": 1}']


def test_what_is_no_envelope_is_refused_in_plain_words(
    site: Site, subtests: pytest.Subtests
) -> None:
    for envelope in NO_ENVELOPES:
        with subtests.test(envelope=envelope):
            with pytest.raises(InvalidError) as caught:
                site.road.remediation.submit(site.operator, envelope)
            assert caught.value.next_step


def test_another_operators_receipt_is_not_accepted_in_ones_own_name(site: Site) -> None:
    bank = site.road.party(PartyKind.OPERATOR, "bank")
    with pytest.raises(InvalidError):
        site.road.remediation.submit(bank, site.signed())
    own = Ed25519PrivateKey.generate()
    hold(site.road.parties, bank, own)
    with pytest.raises(NotFoundError, match="no action"):
        site.road.remediation.submit(bank, sign(site.receipt(), own))


@pytest.mark.parametrize(
    "values",
    [
        {"advisory": "CH-2026-ABSENT22"},
        {"package": "pkg:pypi/idna"},
        {"from_version": "5.3.0"},
    ],
)
def test_a_receipt_about_nothing_to_do_is_refused(site: Site, values: dict[str, object]) -> None:
    with pytest.raises(NotFoundError):
        site.road.remediation.submit(site.operator, site.signed(**values))


def test_before_publication_no_receipt_tells_what_is_coming(road: Road) -> None:
    site = Site(road)
    assert len(road.remediation.plan(site.operator)) == 1
    with pytest.raises(NotFoundError):
        road.remediation.submit(site.operator, site.signed())


def test_with_several_systems_the_action_must_be_named(site: Site) -> None:
    upload(site.road, site.operator, "pkg:pypi/ujson@5.1.0", name="other")
    site.road.engine.run_due()
    with pytest.raises(InvalidError, match="Several") as caught:
        site.road.remediation.submit(site.operator, site.signed())
    actions = caught.value.facts["actions"]
    assert isinstance(actions, list)
    chosen = ActionId(actions[1])
    filed = site.road.remediation.submit(site.operator, site.signed(), action=chosen)
    assert filed.action == chosen
    assert site.road.remediation.get(site.operator, chosen).state is ActionState.VERIFIED_FIXED
    with pytest.raises(NotFoundError):
        site.road.remediation.submit(
            site.operator, site.signed(2), action=ActionId("00000000-0000-7000-8000-000000000000")
        )


def test_a_newer_inventory_that_still_holds_it_reopens_what_was_called_fixed(site: Site) -> None:
    site.road.remediation.submit(site.operator, site.signed())
    upload(site.road, site.operator, "pkg:pypi/ujson@5.1.0")
    site.road.engine.run_due()
    assert site.state() is ActionState.OPEN
    upload(site.road, site.operator, "pkg:pypi/ujson@5.4.0")
    site.road.engine.run_due()
    assert site.state() is ActionState.NOT_PRESENT
