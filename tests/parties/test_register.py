"""The register: one entry per handle, seen by those who may."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agreeing import hold
from clearhold.access.model import Actor
from clearhold.access.permissions import MemberRole, PartyKind
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import PartyId
from clearhold.ledger.records import leaves
from clearhold.parties import records
from clearhold.wire import key_holding

Parties = Callable[..., Actor]
WATER = "water-and-wastewater"


@pytest.fixture
def coordinator(party_of: Parties) -> Actor:
    return party_of(PartyKind.COORDINATOR, "coordinator")


def test_registering_again_is_the_same_party_and_is_told_once(hub: Hub, coordinator: Actor) -> None:
    wish = {"handle": "st-anna", "name": "St. Anna", "kind": PartyKind.OPERATOR, "sector": WATER}
    first = hub.parties.register(coordinator, **wish)  # type: ignore[arg-type]
    again = hub.parties.register(coordinator, **wish)  # type: ignore[arg-type]
    assert again == first
    with hub.sessions.transaction() as unit:
        told = [leaf.action for leaf in leaves(unit.connection) if leaf.subject == first.id]
    assert told == ["parties:party:register"]


@pytest.mark.parametrize(
    "change", [{"name": "Other"}, {"kind": PartyKind.FINDER}, {"kind": PartyKind.COORDINATOR}]
)
def test_a_handle_belongs_to_one_party(
    hub: Hub, coordinator: Actor, change: dict[str, object]
) -> None:
    wish = {"handle": "aurora", "name": "Aurora", "kind": PartyKind.LAB}
    hub.parties.register(coordinator, **wish)  # type: ignore[arg-type]
    with pytest.raises(ConflictError):
        hub.parties.register(coordinator, **(wish | change))  # type: ignore[arg-type]


def test_registrations_at_once_make_one_party(hub: Hub, coordinator: Actor) -> None:
    made, failed = [], []

    def register() -> None:
        try:
            party = hub.parties.register(
                coordinator, handle="aurora", name="Aurora", kind=PartyKind.LAB
            )
            token = hub.parties.issue_token(coordinator, party.id, life=timedelta(days=1))
            made.append((party.id, token.secret))
        except ClearholdError as error:
            failed.append(error)

    threads = [threading.Thread(target=register) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(made) == 4
    assert len({(party, hub.authenticate(secret).principal) for party, secret in made}) == 1


NO_PARTIES: list[tuple[str, str, PartyKind, str | None]] = [
    ("Aurora", "Aurora", PartyKind.LAB, None),
    ("ab", "Too short", PartyKind.LAB, None),
    ("a" * 41, "Too long", PartyKind.LAB, None),
    ("aurora\n", "A line more", PartyKind.LAB, None),
    ("-aurora", "Hyphen", PartyKind.LAB, None),
    ("аurora", "A Cyrillic letter", PartyKind.LAB, None),  # noqa: RUF001  (the point)
    ("aurora", "", PartyKind.LAB, None),
    ("aurora", " ", PartyKind.LAB, None),
    ("aurora", "x" * 201, PartyKind.LAB, None),
    ("aurora", "Au\x00rora", PartyKind.LAB, None),
    ("aurora", "Au\u202erora", PartyKind.LAB, None),
    ("aurora", "Aurora", PartyKind.LAB, WATER),
    ("aurora", "Aurora", PartyKind.OPERATOR, "casinos"),
]


def test_what_cannot_describe_a_party_is_refused(
    hub: Hub, coordinator: Actor, subtests: pytest.Subtests
) -> None:
    for handle, name, kind, sector in NO_PARTIES:
        with subtests.test(handle=handle):
            with pytest.raises(InvalidError) as told:
                hub.parties.register(
                    coordinator, handle=handle, name=name, kind=kind, sector=sector
                )
            assert told.value.next_step


def test_a_coordinator_lists_everybody_and_others_list_themselves(
    hub: Hub, party_of: Parties, coordinator: Actor
) -> None:
    actors = {kind: party_of(kind) for kind in PartyKind}
    everybody = {party.id for party in hub.parties.list(coordinator)}
    assert everybody >= {actor.party for actor in actors.values()}
    for kind, actor in actors.items():
        seen = [party.id for party in hub.parties.list(actor)]
        if kind is PartyKind.COORDINATOR:
            assert set(seen) == everybody
        else:
            assert seen == [actor.party]


@pytest.mark.parametrize("kind", [kind for kind in PartyKind if kind is not PartyKind.COORDINATOR])
def test_only_a_coordinator_registers_and_only_for_its_own_does_a_party_issue_tokens(
    hub: Hub, party_of: Parties, kind: PartyKind
) -> None:
    actor, other = party_of(kind), party_of(kind)
    with pytest.raises(DeniedError):
        hub.parties.register(actor, handle="another", name="Another", kind=PartyKind.LAB)
    mine = hub.parties.issue_token(actor, actor.party, life=timedelta(days=1))
    assert hub.authenticate(mine.secret) == actor
    with pytest.raises(NotFoundError):
        hub.parties.issue_token(actor, other.party, life=timedelta(days=1))


def test_once_a_party_used_its_token_no_coordinator_can_act_in_its_name(
    hub: Hub, coordinator: Actor
) -> None:
    party = hub.parties.register(coordinator, handle="aurora", name="Aurora", kind=PartyKind.LAB)
    hub.parties.issue_token(coordinator, party.id, life=timedelta(days=1))  # lost on its way
    token = hub.parties.issue_token(coordinator, party.id, life=timedelta(days=1))
    hub.authenticate(token.secret)
    with pytest.raises(ConflictError, match="no longer yours"):
        hub.parties.issue_token(coordinator, party.id, life=timedelta(days=1))


def test_a_token_for_no_party_is_refused(hub: Hub, coordinator: Actor) -> None:
    with pytest.raises(NotFoundError):
        hub.parties.issue_token(coordinator, PartyId("nobody"), life=timedelta(days=1))


def test_founding_again_gives_the_same_hub_another_token(hub: Hub) -> None:
    first, one = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=1)
    )
    again, two = hub.parties.found_hub(
        handle="hub", name="Hub", person="Ada", life=timedelta(days=1)
    )
    assert again == first
    assert one.secret != two.secret
    assert hub.authenticate(one.secret) == hub.authenticate(two.secret)


def test_a_key_is_added_once_and_belongs_to_one_party(hub: Hub, party_of: Parties) -> None:
    private = Ed25519PrivateKey.generate()
    key = private.public_key().public_bytes_raw()
    one, other = party_of(PartyKind.OPERATOR), party_of(PartyKind.OPERATOR)
    assert hold(hub.parties, one, private) == hold(hub.parties, one, private)
    with pytest.raises(ConflictError):
        hold(hub.parties, other, private)
    with hub.sessions.transaction() as unit:
        assert list(records.keys_of(unit, one.party).values()).count(key) == 1
        assert key not in records.keys_of(unit, other.party).values()


NO_KEYS: list[int] = [0, 31, 33, 64]


def test_what_is_no_key_is_refused(hub: Hub, party_of: Parties, subtests: pytest.Subtests) -> None:
    operator = party_of(PartyKind.OPERATOR)
    for size in NO_KEYS:
        with subtests.test(size=size), pytest.raises(InvalidError):
            hub.parties.add_key(operator, bytes(size), bytes(64))


def test_nobody_registers_a_key_whose_private_half_is_anothers(hub: Hub, party_of: Parties) -> None:
    holder, thief = party_of(PartyKind.OPERATOR), party_of(PartyKind.OPERATOR)
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    signed = key_holding.sign(holder.party, key)
    forged = key_holding.sign(thief.party, Ed25519PrivateKey.generate())
    for signature in (signed, forged, b"", bytes(64), key.sign(thief.party.encode())):
        with pytest.raises(InvalidError):
            hub.parties.add_key(thief, public, signature)
    assert hub.parties.add_key(holder, public, signed)


def test_who_only_looks_plants_no_key_and_no_recipient(hub: Hub, party_of: Parties) -> None:
    lab = party_of(PartyKind.LAB)
    made = hub.parties.add_member(lab, lab.party, name="Vi", roles=[MemberRole.VIEWER])
    token = hub.parties.issue_token(lab, lab.party, life=timedelta(days=1), member=made.id)
    viewer = hub.authenticate(token.secret)
    with pytest.raises(DeniedError):
        hold(hub.parties, viewer, Ed25519PrivateKey.generate())
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    with pytest.raises(DeniedError):
        hub.recipients.add(viewer, recipient, findable=True)
    known = hub.recipients.add(lab, recipient, findable=True)
    with pytest.raises(DeniedError):
        hub.recipients.withdraw(viewer, known.fingerprint)
