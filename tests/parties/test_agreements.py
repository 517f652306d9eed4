"""Nothing is open to a party without an agreement in force, and leaving takes effect at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, update
from sqlalchemy.exc import DBAPIError

from agreeing import agree, envelope_of, hold
from clearhold.access.model import Actor
from clearhold.access.permissions import (
    PERMISSIONS,
    WITHOUT_AGREEMENT,
    MemberRole,
    PartyKind,
    Permission,
    opened,
)
from clearhold.assembly.hub import Hub
from clearhold.findings.intake import Format
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.ledger.records import leaves
from clearhold.parties.tables import acceptance, agreement
from clearhold.parties.terms import (
    Act,
    Adherence,
    Bar,
    Standing,
    Terms,
    acted,
    barred,
    by_default,
)

DAY = timedelta(days=1)
Parties = Callable[..., Actor]


@pytest.fixture
def founder(hub: Hub) -> Actor:
    _, issued = hub.parties.found_hub(handle="hub", name="Hub", person="Ada", life=DAY)
    return hub.authenticate(issued.secret)


@pytest.fixture
def newcomer(hub: Hub, founder: Actor) -> Callable[[PartyKind], str]:
    """Registers a party that has accepted nothing; returns its token."""

    def make(kind: PartyKind) -> str:
        party = hub.parties.register(founder, handle=f"new-{kind}", name="New", kind=kind)
        return hub.parties.issue_token(founder, party.id, life=DAY).secret

    return make


def name_for(hub: Hub, actor: Actor) -> str:
    return next(each.name for each in hub.agreements.list(actor) if actor.kind in each.terms.kinds)


@pytest.mark.parametrize("kind", [each for each in PartyKind if each != PartyKind.COORDINATOR])
def test_nothing_is_open_to_a_party_before_it_accepts_and_all_of_its_kind_after(
    hub: Hub, newcomer: Callable[[PartyKind], str], kind: PartyKind
) -> None:
    secret = newcomer(kind)
    before = hub.authenticate(secret)
    assert before.permissions == WITHOUT_AGREEMENT
    assert hub.parties.list(before)
    with pytest.raises(DeniedError, match="does not allow"):
        hub.catalogue.list(before)
    agree(hub.parties, hub.agreements, before, hub.clock.now())
    assert hub.authenticate(secret).permissions == PERMISSIONS[kind]


def test_coordinators_run_the_hub_and_need_none(hub: Hub, founder: Actor) -> None:
    assert founder.permissions == PERMISSIONS[PartyKind.COORDINATOR]
    for each in hub.agreements.list(founder):
        signed = envelope_of(founder.party, each, Ed25519PrivateKey.generate(), hub.clock.now())
        with pytest.raises(InvalidError, match="not for a party of the kind"):
            hub.agreements.accept(founder, each.name, signed)


def test_suspending_takes_effect_at_the_next_request_of_every_credential(
    hub: Hub, newcomer: Callable[[PartyKind], str]
) -> None:
    secret = newcomer(PartyKind.LAB)
    agree(hub.parties, hub.agreements, hub.authenticate(secret), hub.clock.now())
    lab = hub.authenticate(secret)
    member = hub.parties.add_member(lab, lab.party, name="Noor", roles=[MemberRole.HANDLER])
    other = hub.parties.issue_token(lab, lab.party, life=DAY, member=member.id).secret
    assert Permission.FINDINGS_SUBMIT in hub.authenticate(other).permissions
    name = name_for(hub, lab)
    assert hub.agreements.act(lab, name, Act.SUSPEND).standing is Standing.SUSPENDED
    assert Permission.FINDINGS_SUBMIT not in hub.authenticate(secret).permissions
    assert Permission.FINDINGS_SUBMIT not in hub.authenticate(other).permissions
    hub.agreements.act(hub.authenticate(secret), name, Act.RESUME)
    assert hub.authenticate(secret).permissions == PERMISSIONS[PartyKind.LAB]


def test_after_withdrawing_ones_own_findings_stay_readable_and_nothing_of_others(
    hub: Hub, newcomer: Callable[[PartyKind], str]
) -> None:
    secret = newcomer(PartyKind.FINDER)
    agree(hub.parties, hub.agreements, hub.authenticate(secret), hub.clock.now())
    finder = hub.authenticate(secret)
    hub.findings.submit(
        finder, b"a title\n\na text", form=Format.TEXT, package="pkg:pypi/a@1", key="k"
    )
    hub.agreements.act(finder, name_for(hub, finder), Act.WITHDRAW)
    after = hub.authenticate(secret)
    (found,) = hub.findings.list(after)
    assert hub.findings.get(after, found.head.id).body
    for refused in (
        Permission.FINDINGS_SUBMIT,
        Permission.CASES_READ,
        Permission.PATCHES_READ,
        Permission.SCANNING_CLAIM,
    ):
        assert refused not in after.permissions
    (signed,) = hub.agreements.signed(after)
    assert signed.envelope
    with hub.sessions.transaction() as unit:
        told = {leaf.action for leaf in leaves(unit.connection)}
    assert {"parties:agreement:accept", "parties:agreement:withdraw"} <= told


def test_a_maintainer_that_withdraws_sees_no_case_any_more(
    hub: Hub, newcomer: Callable[[PartyKind], str]
) -> None:
    secret = newcomer(PartyKind.MAINTAINER)
    agree(hub.parties, hub.agreements, hub.authenticate(secret), hub.clock.now())
    mine = hub.authenticate(secret)
    hub.agreements.act(mine, name_for(hub, mine), Act.WITHDRAW)
    assert hub.authenticate(secret).permissions == WITHOUT_AGREEMENT


def test_only_an_admin_accepts_for_a_party(hub: Hub, newcomer: Callable[[PartyKind], str]) -> None:
    lab = hub.authenticate(newcomer(PartyKind.LAB))
    key = Ed25519PrivateKey.generate()
    hold(hub.parties, lab, key)
    found = hub.agreements.get(lab, name_for(hub, lab))
    signed = envelope_of(lab.party, found, key, hub.clock.now())
    for role in (MemberRole.HANDLER, MemberRole.VIEWER):
        member = hub.parties.add_member(lab, lab.party, name="Noor", roles=[role])
        issued = hub.parties.issue_token(lab, lab.party, life=DAY, member=member.id)
        with pytest.raises(DeniedError):
            hub.agreements.accept(hub.authenticate(issued.secret), found.name, signed)
    assert hub.agreements.accept(lab, found.name, signed).in_force


@pytest.mark.parametrize(
    "altered",
    [
        {"party": "somebody else"},
        {"version": 2},
        {"text_sha256": "0" * 64},
        {"agreement": "operators"},
    ],
)
def test_a_signature_under_anything_else_is_refused(
    hub: Hub, newcomer: Callable[[PartyKind], str], altered: dict[str, object]
) -> None:
    lab = hub.authenticate(newcomer(PartyKind.LAB))
    key = Ed25519PrivateKey.generate()
    hold(hub.parties, lab, key)
    found = hub.agreements.get(lab, name_for(hub, lab))
    now = hub.clock.now()
    with pytest.raises(InvalidError, match="another party, agreement, version or text"):
        hub.agreements.accept(lab, found.name, envelope_of(lab.party, found, key, now, **altered))
    stranger = Ed25519PrivateKey.generate()
    with pytest.raises(InvalidError, match="No registered key"):
        hub.agreements.accept(lab, found.name, envelope_of(lab.party, found, stranger, now))
    with pytest.raises(InvalidError, match="not signed just now"):
        hub.agreements.accept(
            lab, found.name, envelope_of(lab.party, found, key, now - timedelta(hours=1))
        )
    assert hub.agreements.standings(lab) == ()


def test_a_copied_envelope_does_not_bring_back_what_was_withdrawn(
    hub: Hub, newcomer: Callable[[PartyKind], str]
) -> None:
    lab = hub.authenticate(newcomer(PartyKind.LAB))
    key = Ed25519PrivateKey.generate()
    hold(hub.parties, lab, key)
    found = hub.agreements.get(lab, name_for(hub, lab))
    signed = envelope_of(lab.party, found, key, hub.clock.now())
    first = hub.agreements.accept(lab, found.name, signed)
    assert hub.agreements.accept(lab, found.name, signed) == first
    hub.agreements.act(lab, found.name, Act.WITHDRAW)
    with pytest.raises(ConflictError, match="accepted before"):
        hub.agreements.accept(lab, found.name, signed)
    anew = envelope_of(lab.party, found, key, hub.clock.now() + timedelta(seconds=1))
    assert hub.agreements.accept(lab, found.name, anew).in_force


def test_what_a_coordinator_laid_on_a_party_it_cannot_take_off_by_leaving_and_coming_back(
    hub: Hub, newcomer: Callable[[PartyKind], str], founder: Actor
) -> None:
    secret = newcomer(PartyKind.LAB)
    key = agree(hub.parties, hub.agreements, hub.authenticate(secret), hub.clock.now())
    assert key is not None
    lab = hub.authenticate(secret)
    name = name_for(hub, lab)
    hub.agreements.bar(founder, name, lab.party, Act.END, reason="broke the rules")
    assert Permission.FINDINGS_SUBMIT not in hub.authenticate(secret).permissions
    found = hub.agreements.get(lab, name)
    hub.agreements.act(lab, name, Act.WITHDRAW)
    later = hub.clock.now() + timedelta(seconds=1)
    with pytest.raises(ConflictError, match="coordinator"):
        hub.agreements.accept(lab, name, envelope_of(lab.party, found, key, later))
    with pytest.raises(ConflictError):
        hub.agreements.act(lab, name, Act.RESUME)
    hub.agreements.bar(founder, name, lab.party, Act.RESUME, reason="talked it over")
    assert Permission.FINDINGS_SUBMIT not in hub.authenticate(secret).permissions
    hub.agreements.accept(lab, name, envelope_of(lab.party, found, key, later))
    assert hub.authenticate(secret).permissions == PERMISSIONS[PartyKind.LAB]


def test_a_new_version_ends_older_acceptances_on_its_date_and_not_before(
    hub: Hub, newcomer: Callable[[PartyKind], str], founder: Actor, clock: Any
) -> None:
    secret = newcomer(PartyKind.LAB)
    key = agree(hub.parties, hub.agreements, hub.authenticate(secret), hub.clock.now())
    assert key is not None
    lab = hub.authenticate(secret)
    old = hub.agreements.get(lab, name_for(hub, lab))
    fresh = Terms(
        "New terms.", old.terms.kinds, old.terms.opens, hub.clock.now() + timedelta(hours=2)
    )
    new = hub.agreements.publish(founder, old.name, fresh)
    assert new.version == 2
    assert hub.agreements.publish(founder, old.name, fresh) == new
    clock.advance(timedelta(hours=2) - timedelta(microseconds=1))
    assert hub.authenticate(secret).permissions == PERMISSIONS[PartyKind.LAB]
    clock.advance(timedelta(microseconds=1))
    lapsed = hub.authenticate(secret)
    assert Permission.SCANNING_CLAIM not in lapsed.permissions
    assert Permission.FINDINGS_READ in lapsed.permissions
    (stands,) = hub.agreements.standings(lab)
    assert stands.status(hub.clock.now()) == "superseded"
    hub.agreements.accept(lapsed, old.name, envelope_of(lab.party, new, key, hub.clock.now()))
    assert hub.authenticate(secret).permissions == PERMISSIONS[PartyKind.LAB]


def test_what_was_published_and_signed_cannot_be_changed_in_the_database(
    hub: Hub, newcomer: Callable[[PartyKind], str], database: Engine
) -> None:
    agree(
        hub.parties,
        hub.agreements,
        hub.authenticate(newcomer(PartyKind.LAB)),
        hub.clock.now(),
    )
    for statement in (
        update(agreement).values(text="other"),
        delete(acceptance),
        update(acceptance).values(version=1),
    ):
        with pytest.raises(DBAPIError), database.begin() as connection:
            connection.execute(statement)


def test_an_agreement_opens_nothing_that_its_kinds_may_not_do(hub: Hub, founder: Actor) -> None:
    for opens in ({Permission.PARTIES_WRITE}, {Permission.FINDINGS_QUEUE}, set()):
        with pytest.raises(InvalidError):
            hub.agreements.publish(
                founder, "special", Terms("Text.", frozenset({PartyKind.LAB}), frozenset(opens))
            )
    with pytest.raises(InvalidError):
        hub.agreements.publish(
            founder,
            "special",
            Terms("T", frozenset({PartyKind.COORDINATOR}), frozenset({Permission.CASES_READ})),
        )


def test_an_agreement_may_open_less_than_all(
    hub: Hub, newcomer: Callable[[PartyKind], str], founder: Actor
) -> None:
    few = frozenset({Permission.CATALOGUE_READ, Permission.FINDINGS_SUBMIT})
    terms = Terms("Only reports.", frozenset({PartyKind.FINDER}), few)
    found = hub.agreements.publish(founder, "reports-only", terms)
    secret = newcomer(PartyKind.FINDER)
    finder = hub.authenticate(secret)
    key = Ed25519PrivateKey.generate()
    hold(hub.parties, finder, key)
    hub.agreements.accept(
        finder, found.name, envelope_of(finder.party, found, key, hub.clock.now())
    )
    assert hub.authenticate(secret).permissions == WITHOUT_AGREEMENT | few


def test_how_others_stand_is_seen_by_coordinators_alone(
    hub: Hub, party_of: Parties, founder: Actor
) -> None:
    lab, operator = party_of(PartyKind.LAB), party_of(PartyKind.OPERATOR)
    assert {each.party for each in hub.agreements.standings(lab)} == {lab.party}
    seen = {each.party for each in hub.agreements.standings(founder)}
    assert {lab.party, operator.party} <= seen
    with pytest.raises(DeniedError):
        hub.agreements.bar(lab, "operators", operator.party, Act.END, reason="spite")
    with pytest.raises(NotFoundError):
        hub.agreements.act(lab, "operators", Act.WITHDRAW)


def test_the_default_agreements_open_to_each_kind_all_it_may_do() -> None:
    for kind in set(PartyKind) - {PartyKind.COORDINATOR}:
        (mine,) = (each for each in by_default().values() if kind in each.kinds)
        assert opened(kind, mine.opens) == PERMISSIONS[kind]


def test_agreements_cost_authentication_no_further_query(
    hub: Hub, newcomer: Callable[[PartyKind], str], database: Engine
) -> None:
    secret = newcomer(PartyKind.LAB)
    agree(hub.parties, hub.agreements, hub.authenticate(secret), hub.clock.now())
    asked: list[str] = []
    event.listen(
        database, "before_cursor_execute", lambda *given: asked.append(given[2]), named=False
    )
    hub.authenticate(secret)
    assert len([each for each in asked if each.lstrip().upper().startswith("SELECT")]) == 1


standings = st.builds(
    Adherence,
    party=st.just("p"),
    agreement=st.just("a"),
    version=st.just(1),
    standing=st.sampled_from(Standing),
    bar=st.none() | st.sampled_from(Bar),
    since=st.just(None),
)
acts = st.tuples(st.booleans(), st.sampled_from(Act))


@given(standings, st.lists(acts, max_size=12))
def test_no_acts_of_a_party_put_in_force_what_a_coordinator_bars(
    start: Adherence, steps: list[tuple[bool, Act]]
) -> None:
    known = start
    for by_coordinator, act in steps:
        before = known
        try:
            known = (barred if by_coordinator else acted)(known, act, None)  # type: ignore[arg-type]
        except ClearholdError:
            continue
        if not by_coordinator:
            assert known.bar is before.bar
            if before.bar is not None:
                assert not known.in_force
            if act is Act.WITHDRAW:
                assert known.standing is Standing.WITHDRAWN
        elif act is not Act.RESUME:
            assert not known.in_force


@given(
    st.sampled_from(PartyKind),
    st.frozensets(st.sampled_from(Permission)),
    st.frozensets(st.sampled_from(Permission)),
)
def test_agreements_never_open_more_than_the_kind_may_do(
    kind: PartyKind, now: frozenset[Permission], lapsed: frozenset[Permission]
) -> None:
    found = opened(kind, now, lapsed)
    assert found <= PERMISSIONS[kind]
    assert found >= WITHOUT_AGREEMENT
    if kind is not PartyKind.COORDINATOR:
        for beyond in found - WITHOUT_AGREEMENT - now:
            assert beyond in lapsed
            assert beyond.endswith(":read")
