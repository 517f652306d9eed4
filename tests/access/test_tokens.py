"""A token says who calls, and nothing that is not a valid token says anything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update

from clearhold.access.model import Actor
from clearhold.access.permissions import PERMISSIONS, PartyKind, Permission
from clearhold.access.tables import token
from clearhold.access.tokens import LONGEST_LIFE, IssuedToken
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import (
    ClearholdError,
    DeniedError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
)
from clearhold.kernel.ids import PrincipalId
from clearhold.ledger.records import leaves
from clearhold.store.all_tables import metadata

Parties = Callable[..., Actor]


@pytest.fixture
def lab(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "lab-alpha")


def issue(hub: Hub, owner: Actor, **options: Any) -> IssuedToken:
    given = {"life": timedelta(days=1), "by": "test"} | options
    with hub.sessions.transaction() as unit:
        return hub.tokens.issue(unit, owner.principal, **given)


def refused(hub: Hub, presented: str) -> tuple[object, ...]:
    with pytest.raises(UnauthenticatedError) as told:
        hub.authenticate(presented)
    error = told.value
    return (error.code, error.status, error.message, error.next_step, error.facts)


def other_letter(letter: str) -> str:
    return "B" if letter == "A" else "A"


def test_a_token_stands_for_its_party(hub: Hub, lab: Actor) -> None:
    assert hub.authenticate(issue(hub, lab).secret) == lab
    assert lab.kind is PartyKind.LAB
    assert lab.permissions == PERMISSIONS[PartyKind.LAB]


def test_every_way_to_be_invalid_gives_the_same_answer(hub: Hub, lab: Actor, clock: Any) -> None:
    short = issue(hub, lab, life=timedelta(hours=1))
    revoked = issue(hub, lab)
    with hub.sessions.transaction() as unit:
        hub.tokens.revoke(unit, revoked.id, by="test")
    good, other = issue(hub, lab), issue(hub, lab)
    clock.advance(timedelta(hours=1))
    prefix, identity, secret = good.secret.split("_", 2)
    presented = {
        "expired": short.secret,
        "revoked": revoked.secret,
        "altered": f"{prefix}_{identity}_{other_letter(secret[0])}{secret[1:]}",
        "of another id": f"{prefix}_{other.secret.split('_', 2)[1]}_{secret}",
        "unknown id": f"{prefix}_{'0' * 32}_{secret}",
        "id in capitals": f"{prefix}_{identity.upper()}X_{secret}",
        "empty": "",
        "spaces": f" {good.secret} ",
        "a line more": f"{good.secret}\n",
        "cut off": good.secret[:-1],
        "not ascii": good.secret[:-1] + "é",
        "nul": "ch_\x00",
        "enormous": "ch_" + "a" * 1_000_000,
    }
    answers = {name: refused(hub, text) for name, text in presented.items()}
    assert len(set(map(repr, answers.values()))) == 1, answers
    assert hub.authenticate(good.secret) == lab


def test_a_token_ends_at_its_instant_and_not_before(hub: Hub, lab: Actor, clock: Any) -> None:
    made = issue(hub, lab, life=timedelta(hours=1))
    clock.advance(timedelta(hours=1) - timedelta(microseconds=1))
    assert hub.authenticate(made.secret) == lab
    clock.advance(timedelta(microseconds=1))
    refused(hub, made.secret)


def test_revoking_is_at_once_and_touches_no_other_token(hub: Hub, lab: Actor) -> None:
    ended, kept = issue(hub, lab), issue(hub, lab)
    with hub.sessions.transaction() as unit:
        hub.tokens.revoke(unit, ended.id, by="coordinator")
    refused(hub, ended.secret)
    assert hub.authenticate(kept.secret) == lab


def test_the_first_revocation_stands(hub: Hub, lab: Actor, clock: Any) -> None:
    made = issue(hub, lab)
    with hub.sessions.transaction() as unit:
        hub.tokens.revoke(unit, made.id, by="one")
        first = unit.now
    clock.advance(timedelta(hours=1))
    with hub.sessions.transaction() as unit:
        hub.tokens.revoke(unit, made.id, by="two")
        when = unit.connection.execute(
            select(token.c.revoked_at).where(token.c.id == made.id)
        ).scalar_one()
        told = [leaf.actor for leaf in leaves(unit.connection) if leaf.subject == made.id]
    assert when == first
    assert told == ["test", "one"]


def test_the_secret_is_in_no_text_no_log_no_ledger_and_no_database(
    hub: Hub, lab: Actor, database: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = issue(hub, lab)
    hub.authenticate(made.secret)
    refused(hub, made.secret + "x")
    secret = made.secret.split("_", 2)[2]
    assert secret not in repr(made)
    assert secret not in str(made)
    assert secret not in caplog.text
    with database.connect() as connection:
        for table in metadata.sorted_tables:
            assert secret not in repr(connection.execute(select(table)).all())
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


@pytest.mark.parametrize("kind", list(PartyKind))
def test_a_token_never_exceeds_what_its_kind_may_do(
    hub: Hub, party_of: Parties, database: Engine, kind: PartyKind
) -> None:
    owner = party_of(kind)
    for permission in set(Permission) - PERMISSIONS[kind]:
        with pytest.raises(InvalidError):
            issue(hub, owner, permissions=[permission])
    made = issue(hub, owner)
    with database.begin() as connection:  # whoever writes the row by hand gains nothing by it
        connection.execute(
            update(token)
            .where(token.c.id == made.id)
            .values(permissions=[*sorted(Permission), "gone:permission:use"])
        )
    actor = hub.authenticate(made.secret)
    assert actor.permissions == PERMISSIONS[kind]
    for permission in Permission:
        if permission in PERMISSIONS[kind]:
            actor.need(permission)
        else:
            with pytest.raises(DeniedError):
                actor.need(permission)


def test_a_token_may_be_allowed_less_than_its_kind(hub: Hub, lab: Actor) -> None:
    narrow = hub.authenticate(issue(hub, lab, permissions=[Permission.PARTIES_READ]).secret)
    assert narrow.permissions == {Permission.PARTIES_READ}
    assert hub.parties.list(narrow)
    with pytest.raises(DeniedError) as told:
        hub.findings.list(narrow)
    assert told.value.next_step
    assert not hub.authenticate(issue(hub, lab, permissions=[]).secret).permissions


NO_LIVES: list[timedelta] = [
    timedelta(0),
    timedelta(-1),
    LONGEST_LIFE + timedelta(microseconds=1),
    timedelta.max,
]


def test_a_life_out_of_bounds_is_refused(hub: Hub, lab: Actor, subtests: pytest.Subtests) -> None:
    for life in NO_LIVES:
        with subtests.test(life=life), pytest.raises(InvalidError):
            issue(hub, lab, life=life)


def test_a_token_for_nobody_is_refused(hub: Hub) -> None:
    with hub.sessions.transaction() as unit, pytest.raises(NotFoundError):
        hub.tokens.issue(unit, PrincipalId("nobody"), life=timedelta(days=1), by="test")


def test_of_all_kinds_only_coordinators_write_the_register_and_open_cases() -> None:
    powerful = {Permission.PARTIES_WRITE, Permission.CASES_OPEN, Permission.FINDINGS_QUEUE}
    holders = {kind for kind in PartyKind if PERMISSIONS[kind] & powerful}
    assert holders == {PartyKind.COORDINATOR}
    assert set(PERMISSIONS) == set(PartyKind)


@given(st.sampled_from(PartyKind), st.sets(st.sampled_from(Permission)))
def test_an_actor_may_do_exactly_what_its_credential_says(
    kind: PartyKind, allowed: set[Permission]
) -> None:
    actor = Actor("p", "q", kind, frozenset(allowed))  # type: ignore[arg-type]
    for permission in Permission:
        try:
            actor.need(permission)
        except ClearholdError:
            assert permission not in allowed
        else:
            assert permission in allowed
