"""Who publishes what the hub asks for stands for the place, alone, for a year."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from clearhold.ledger.records import leaves
from clearhold.parties.contacts import Email
from clearhold.parties.verification import address_of
from clearhold.parties.wish import Wishes

Parties = Callable[..., Actor]
PLACES = ("example.org", "https://github.com/quux/core")


class Web:
    """What strangers publish, by address."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}

    def read(self, address: str) -> bytes:
        try:
            return self.pages[address]
        except KeyError:
            raise UnavailableError("The page could not be read: 404.") from None


@pytest.fixture
def web(hub: Hub) -> Web:
    web = Web()
    hub.verification._pages = web
    hub.contacts._pages = web
    return web


@pytest.fixture
def coordinator(party_of: Parties) -> Actor:
    return party_of(PartyKind.COORDINATOR)


def publish(hub: Hub, web: Web, actor: Actor, place: str) -> None:
    asked = hub.verification.challenge(actor, place)
    assert hub.verification.challenge(actor, place) == asked
    web.pages[address_of(asked.subject)] = b"# ours\r\n" + asked.nonce.encode() + b"\r\n"


def verified(hub: Hub, web: Web, actor: Actor, place: str) -> None:
    publish(hub, web, actor, place)
    assert hub.verification.check(actor, place).party == actor.party


@pytest.mark.parametrize("place", PLACES)
def test_what_is_published_is_found_and_is_in_the_ledger(
    hub: Hub, web: Web, party_of: Parties, place: str
) -> None:
    mine = party_of(PartyKind.MAINTAINER)
    with pytest.raises(NotFoundError):
        hub.verification.check(mine, place)
    verified(hub, web, mine, place)
    (stands,) = hub.verification.list(mine)
    assert stands.expires_at - stands.since == timedelta(days=365)
    with hub.sessions.transaction() as unit:
        told = [leaf for leaf in leaves(unit.connection) if leaf.subject == stands.subject]
    assert [leaf.action for leaf in told] == ["parties:standing:verify"]


def test_where_to_publish_is_plain() -> None:
    assert [address_of(place) for place in (*PLACES, "https://gitlab.com/a/b/c")] == [
        "https://example.org/.well-known/clearhold-challenge",
        "https://raw.githubusercontent.com/quux/core/HEAD/.well-known/clearhold-challenge",
        "https://gitlab.com/a/b/c/-/raw/HEAD/.well-known/clearhold-challenge",
    ]


@pytest.mark.parametrize("page", [b"", b"clearhold-", b"something else\n", b"\xff\xfe\x00"])
def test_anything_else_there_shows_nothing(
    hub: Hub, web: Web, party_of: Parties, page: bytes
) -> None:
    mine = party_of(PartyKind.MAINTAINER)
    asked = hub.verification.challenge(mine, "example.org")
    web.pages[address_of(asked.subject)] = page + asked.nonce.encode()[:-1]
    with pytest.raises(ConflictError, match="something else"):
        hub.verification.check(mine, "example.org")
    assert hub.verification.list(mine) == ()
    with pytest.raises(ConflictError, match="a moment ago"):
        hub.verification.check(mine, "example.org")


def test_a_line_that_another_party_was_asked_for_shows_nothing(
    hub: Hub, web: Web, party_of: Parties
) -> None:
    mine, thief = party_of(PartyKind.MAINTAINER), party_of(PartyKind.MAINTAINER)
    publish(hub, web, mine, "example.org")
    hub.verification.challenge(thief, "example.org")
    with pytest.raises(ConflictError, match="something else"):
        hub.verification.check(thief, "example.org")


def test_a_second_party_does_not_take_it_and_a_coordinator_settles(
    hub: Hub, web: Web, party_of: Parties, coordinator: Actor
) -> None:
    mine, second = party_of(PartyKind.MAINTAINER), party_of(PartyKind.MAINTAINER)
    verified(hub, web, mine, "example.org")
    hub.wishes.wish(mine, "example.org", Wishes(do_not_contact=True))
    publish(hub, web, second, "example.org")
    with pytest.raises(ConflictError) as told:
        hub.verification.check(second, "example.org")
    assert mine.party not in str(vars(told.value))
    assert hub.verification.list(second) == ()
    (disputed,) = hub.verification.list(coordinator)
    assert (disputed.party, disputed.challenger) == (mine.party, second.party)
    with pytest.raises(DeniedError):
        hub.verification.confirm(second, second.party, "example.org", reason="mine!")
    hub.verification.confirm(coordinator, second.party, "example.org", reason="sold in May")
    (settled,) = hub.verification.list(coordinator)
    assert (settled.party, settled.challenger) == (second.party, None)
    with pytest.raises(ConflictError):
        hub.wishes.wish(mine, "example.org", Wishes(do_not_scan=True))
    with hub.sessions.transaction() as unit:
        told_in = [leaf.action for leaf in leaves(unit.connection) if leaf.subject[:7] == "domain:"]
    assert told_in == [
        "parties:standing:verify",
        "parties:standing:dispute",
        "parties:standing:confirm",
    ]


def test_what_was_shown_lasts_a_year_and_is_then_anybodys_to_show(
    hub: Hub, web: Web, party_of: Parties, clock: Any
) -> None:
    mine, second = party_of(PartyKind.MAINTAINER), party_of(PartyKind.MAINTAINER)
    verified(hub, web, mine, "example.org")
    clock.advance(timedelta(days=365))
    verified(hub, web, second, "example.org")
    assert [each.party for each in hub.verification.list(second)] == [second.party]


def test_it_is_given_up_by_its_holder_or_ended_by_a_coordinator_with_a_reason(
    hub: Hub, web: Web, party_of: Parties, coordinator: Actor
) -> None:
    mine, other = party_of(PartyKind.MAINTAINER), party_of(PartyKind.MAINTAINER)
    verified(hub, web, mine, "example.org")
    with pytest.raises(DeniedError):
        hub.verification.end(other, "example.org")
    with pytest.raises(InvalidError):
        hub.verification.end(coordinator, "example.org")
    hub.verification.end(mine, "example.org")
    with pytest.raises(NotFoundError):
        hub.verification.end(mine, "example.org")


def test_a_package_is_confirmed_by_a_coordinator_and_not_by_publishing(
    hub: Hub, party_of: Parties, coordinator: Actor
) -> None:
    mine = party_of(PartyKind.MAINTAINER)
    with pytest.raises(InvalidError, match="cannot be shown"):
        hub.verification.challenge(mine, "pkg:pypi/quux")
    with pytest.raises(InvalidError):
        hub.verification.confirm(coordinator, mine.party, "pkg:pypi/quux", reason=" ")
    hub.verification.confirm(coordinator, mine.party, "pkg:pypi/quux", reason="met in person")
    assert hub.wishes.wish(mine, "pkg:pypi/Quux@1", Wishes(do_not_scan=True)).subject == (
        "pkg:pypi/quux"
    )


def test_a_verified_repository_lets_wish_about_its_own_package_url(
    hub: Hub, web: Web, party_of: Parties
) -> None:
    mine = party_of(PartyKind.MAINTAINER)
    verified(hub, web, mine, "https://github.com/Quux/Core")
    assert hub.wishes.wish(mine, "pkg:github/quux/core", Wishes(do_not_scan=True))
    with pytest.raises(ConflictError):
        hub.wishes.wish(mine, "pkg:github/quux/", Wishes(do_not_scan=True))


def test_disclosure_routes_are_a_partys_own_and_seen_as_far_as_needed(
    hub: Hub, web: Web, party_of: Parties, coordinator: Actor
) -> None:
    mine, other = party_of(PartyKind.MAINTAINER), party_of(PartyKind.MAINTAINER)
    hub.contacts.write(
        mine,
        emails=(Email("security@example.org", "openpgp4fpr:" + "A" * 40),),
        policy="https://example.org/SECURITY.md",
        languages=("en",),
    )
    told = []
    for party in (mine.party, "nobody"):
        with pytest.raises(NotFoundError) as refused:
            hub.contacts.get(other, party)  # type: ignore[arg-type]
        told.append(str(vars(refused.value)))
    assert len(set(told)) == 1
    assert hub.contacts.get(coordinator, mine.party) == hub.contacts.get(mine, mine.party)


def test_a_security_txt_is_read_from_a_domain_one_stands_for_while_it_is_valid(
    hub: Hub, web: Web, party_of: Parties
) -> None:
    mine = party_of(PartyKind.MAINTAINER)
    address = "https://example.org/.well-known/security.txt"
    web.pages[address] = b"Contact: mailto:a@example.org\nExpires: 2026-06-05T12:00:00Z\n"
    with pytest.raises(ConflictError, match="does not stand"):
        hub.contacts.read_published(mine, "example.org")
    verified(hub, web, mine, "example.org")
    with pytest.raises(ConflictError, match="expired"):
        hub.contacts.read_published(mine, "example.org")
    web.pages[address] = b"Contact: mailto:a@example.org\nExpires: 2026-06-05T12:00:01Z\n"
    said = hub.contacts.read_published(mine, "example.org").published
    assert said is not None
    assert (said.contacts, said.signed) == (("mailto:a@example.org",), False)


NOWHERE: list[dict[str, Any]] = [
    {"emails": (Email("no address"),)},
    {"emails": (Email("a@b.org", "a key"),)},
    {"policy": "http://example.org"},
    {"policy": "javascript:alert(1)"},
    {"policy": "https://user@example.org/"},
    {"languages": ("no language!",)},
]


def test_routes_that_lead_nowhere_are_refused(
    hub: Hub, party_of: Parties, subtests: pytest.Subtests
) -> None:
    vendor = party_of(PartyKind.VENDOR)
    for wrong in NOWHERE:
        with subtests.test(wrong=wrong):
            given: dict[str, Any] = {"emails": (), "policy": None, "languages": ()} | wrong
            with pytest.raises(ClearholdError) as refused:
                hub.contacts.write(vendor, **given)
            assert refused.value.next_step
