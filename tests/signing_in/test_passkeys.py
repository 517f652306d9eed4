"""A passkey signs its person in, once per attempt, in the browser that asked, and nobody else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signing_in_people import Person, enter
from sqlalchemy import Engine, select

from clearhold.access.browser_sessions import CONFIRMED, IDLE, LONGEST
from clearhold.access.ceremonies import LIFE
from clearhold.access.model import Actor
from clearhold.access.permissions import STEP_UP, MemberRole, PartyKind, Permission
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
    StepUpError,
    UnauthenticatedError,
)
from clearhold.kernel.ids import PartyId
from clearhold.ledger.records import leaves
from clearhold.parties.terms import Act
from clearhold.store.schema import metadata
from soft_authenticator import SoftAuthenticator


def told(hub: Hub) -> list[str]:
    with hub.sessions.transaction() as unit:
        return [leaf.action for leaf in leaves(unit.connection)]


def test_a_passkey_signs_in_and_confirms_for_ten_minutes(hub: Hub, lab: Person, clock: Any) -> None:
    clock.advance(timedelta(hours=1))
    lab.sign_in()
    assert lab.actor.person == lab.member.person
    clock.advance(CONFIRMED - timedelta(seconds=1))
    assert lab.actor.stepped_up
    clock.advance(timedelta(seconds=1))
    assert not lab.actor.stepped_up
    for permission in STEP_UP & lab.actor.permissions:
        with pytest.raises(StepUpError):
            lab.actor.need(permission)
    lab.actor.need(Permission.CATALOGUE_READ)
    lab.confirm()
    lab.actor.need(Permission.FINDINGS_READ)


def test_an_embargoed_read_from_a_session_needs_the_step_up(
    hub: Hub, lab: Person, clock: Any
) -> None:
    clock.advance(CONFIRMED)
    with pytest.raises(StepUpError):
        hub.findings.list(lab.actor)
    lab.confirm()
    hub.findings.list(lab.actor)


def test_each_answer_counts_once_even_when_it_was_refused(hub: Hub, lab: Person) -> None:
    asked = hub.passkeys.begin_sign_in()
    answer = lab.passkey.get(asked.options)
    hub.passkeys.sign_in(asked.cookie, answer, agent="")
    with pytest.raises(UnauthenticatedError):
        hub.passkeys.sign_in(asked.cookie, answer, agent="")
    asked = hub.passkeys.begin_sign_in()
    answer = lab.passkey.get(asked.options)
    broken = copy.deepcopy(answer)
    broken["response"]["signature"] = answer["response"]["signature"][:-8] + "AAAAAAAA"
    with pytest.raises(UnauthenticatedError):
        hub.passkeys.sign_in(asked.cookie, broken, agent="")
    with pytest.raises(UnauthenticatedError):
        hub.passkeys.sign_in(asked.cookie, answer, agent="")


def test_an_attempt_runs_out_and_belongs_to_one_browser_and_one_purpose(
    hub: Hub, lab: Person, clock: Any
) -> None:
    here, there = hub.passkeys.begin_sign_in(), hub.passkeys.begin_sign_in()
    with pytest.raises(UnauthenticatedError):  # another browser's cookie
        hub.passkeys.sign_in(there.cookie, lab.passkey.get(here.options), agent="")
    confirming = hub.passkeys.begin_confirm(lab.signed)
    with pytest.raises(UnauthenticatedError):  # another purpose
        hub.passkeys.sign_in(confirming.cookie, lab.passkey.get(confirming.options), agent="")
    late = hub.passkeys.begin_sign_in()
    clock.advance(LIFE)
    with pytest.raises(UnauthenticatedError):
        hub.passkeys.sign_in(late.cookie, lab.passkey.get(late.options), agent="")


@pytest.mark.parametrize("flaw", ["another origin", "not verified", "another key", "unknown"])
def test_what_is_not_this_person_at_this_hub_verified_is_refused(
    hub: Hub, lab: Person, flaw: str
) -> None:
    passkey = copy.copy(lab.passkey)
    if flaw == "another origin":
        passkey.origin = "https://clearhold.invalid.evil.example"
    elif flaw == "not verified":
        passkey.verifies = False
    elif flaw == "another key":
        passkey.key = SoftAuthenticator().key
    else:
        passkey.credential = b"another"
    asked = hub.passkeys.begin_sign_in()
    with pytest.raises(UnauthenticatedError) as refused:
        hub.passkeys.sign_in(asked.cookie, passkey.get(asked.options), agent="")
    assert refused.value.message == "The passkey was not accepted."


def test_a_copied_passkey_is_noted_refused_from_then_on_and_ends_every_session(
    hub: Hub, lab: Person
) -> None:
    stolen = copy.copy(lab.passkey)
    lab.sign_in()
    lab.sign_in()
    asked = hub.passkeys.begin_sign_in()
    with pytest.raises(UnauthenticatedError):
        hub.passkeys.sign_in(asked.cookie, stolen.get(asked.options), agent="")
    assert "access:passkey:copied" in told(hub)
    with pytest.raises(UnauthenticatedError):
        _ = lab.signed
    with pytest.raises(UnauthenticatedError):
        lab.sign_in()


def test_an_authenticator_that_does_not_count_is_no_copy(hub: Hub, lab: Person) -> None:
    synced = SoftAuthenticator(counts=False)
    asked = hub.passkeys.begin_add(lab.signed)
    hub.passkeys.add(lab.signed, asked.cookie, synced.create(asked.options), name="Synced")
    lab.passkey = synced
    lab.sign_in()
    lab.sign_in()
    assert len(hub.passkeys.list(lab.signed.person)) == 2


def test_another_passkey_takes_a_confirmed_session(hub: Hub, lab: Person, clock: Any) -> None:
    clock.advance(CONFIRMED)
    with pytest.raises(StepUpError):
        hub.passkeys.begin_add(lab.signed)


def test_one_person_s_passkey_confirms_no_other_person_s_session(
    hub: Hub, lab: Person, coordinator: Callable[[str], Any]
) -> None:
    made = hub.parties.add_member(lab.actor, lab.member.party, name="Mia", roles=lab.member.roles)
    issued = hub.party_sign_in.enrol(lab.actor, lab.member.party, made.id)
    mia = enter(hub, made, issued.secret)
    asked = hub.passkeys.begin_confirm(lab.signed)
    with pytest.raises(UnauthenticatedError):
        hub.passkeys.confirm(lab.signed, asked.cookie, mia.passkey.get(asked.options))


def test_removing_a_passkey_ends_the_other_sessions_and_never_takes_the_last(
    hub: Hub, lab: Person
) -> None:
    (first,) = hub.passkeys.list(lab.signed.person)
    with pytest.raises(ConflictError):
        hub.passkeys.remove(lab.signed, first.id)
    second = SoftAuthenticator()
    asked = hub.passkeys.begin_add(lab.signed)
    hub.passkeys.add(lab.signed, asked.cookie, second.create(asked.options), name="Second")
    other = lab.cookie
    lab.sign_in()
    hub.passkeys.remove(lab.signed, first.id)
    with pytest.raises(UnauthenticatedError), hub.sessions.transaction() as unit:
        hub.browsers.authenticate(unit, other)
    assert lab.actor
    with pytest.raises(UnauthenticatedError):
        lab.sign_in()
    with pytest.raises(NotFoundError):
        hub.passkeys.remove(lab.signed, first.id)


def test_a_passkey_has_a_name_of_one_short_line(hub: Hub, lab: Person) -> None:
    (own,) = hub.passkeys.list(lab.signed.person)
    assert hub.passkeys.rename(lab.signed, own.id, name="Desk").name == "Desk"
    for name in ("", " ", "two\nlines", "x" * 81):
        with pytest.raises(InvalidError):
            hub.passkeys.rename(lab.signed, own.id, name=name)


def test_a_session_idles_out_and_ends_at_last(hub: Hub, lab: Person, clock: Any) -> None:
    began = clock.now()
    while clock.now() - began < LONGEST - timedelta(hours=1):
        clock.advance(timedelta(hours=1))
        assert lab.actor
    clock.advance(timedelta(hours=1))
    with pytest.raises(UnauthenticatedError):
        _ = lab.signed
    lab.sign_in()
    clock.advance(IDLE)
    with pytest.raises(UnauthenticatedError):
        _ = lab.signed


def test_the_cookie_changes_with_every_confirmation_and_the_old_one_is_dead(
    hub: Hub, lab: Person
) -> None:
    before = lab.cookie
    assert lab.confirm() != before
    with pytest.raises(UnauthenticatedError), hub.sessions.transaction() as unit:
        hub.browsers.authenticate(unit, before)


def test_a_member_who_is_ended_is_signed_out_at_once(
    hub: Hub, lab: Person, coordinator: Callable[[str], Any]
) -> None:
    issued = hub.parties.issue_token(coordinator("Ada"), lab.member.party, life=timedelta(days=1))
    hub.parties.end_member(hub.authenticate(issued.secret), lab.member.party, lab.member.id)
    with pytest.raises(UnauthenticatedError):
        _ = lab.signed
    with pytest.raises(UnauthenticatedError):
        lab.sign_in()


def test_a_session_that_is_not_confirmed_issues_no_token(hub: Hub, lab: Person, clock: Any) -> None:
    clock.advance(CONFIRMED)
    with pytest.raises(StepUpError):
        hub.parties.issue_token(
            lab.actor, lab.member.party, life=timedelta(days=1), member=lab.member.id
        )


def test_no_secret_of_signing_in_lies_in_the_database(
    hub: Hub, lab: Person, database: Engine
) -> None:
    asked = hub.passkeys.begin_sign_in()
    secrets = [lab.cookie[-43:], asked.cookie[-43:], lab.signed.csrf]
    with database.connect() as connection:
        for table in metadata.sorted_tables:
            rows = repr(connection.execute(select(table)).all())
            assert not [each for each in secrets if each in rows]
    assert all(each not in repr(lab.signed) for each in secrets)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    field=st.sampled_from(
        [
            "id",
            "rawId",
            "type",
            "response",
            "clientDataJSON",
            "authenticatorData",
            "signature",
            "userHandle",
        ]
    ),
    value=JSON,
)
def test_whatever_an_authenticator_answers_is_refused_and_breaks_nothing(
    hub: Hub, lab: Person, field: str, value: object
) -> None:
    asked = hub.passkeys.begin_sign_in()
    answer = lab.passkey.get(asked.options)
    place = answer if field in answer else answer["response"]
    place[field] = value
    try:
        hub.passkeys.sign_in(asked.cookie, answer, agent="")
    except UnauthenticatedError:
        pass
    else:
        assert field == "userHandle"
        assert value is None


def test_suspending_an_agreement_takes_effect_at_the_next_request_of_a_session(
    hub: Hub, lab: Person
) -> None:
    assert Permission.FINDINGS_SUBMIT in lab.actor.permissions
    name = next(
        each.name for each in hub.agreements.list(lab.actor) if PartyKind.LAB in each.terms.kinds
    )
    hub.agreements.act(lab.actor, name, Act.SUSPEND)
    assert Permission.FINDINGS_SUBMIT not in lab.actor.permissions
    hub.agreements.act(lab.actor, name, Act.RESUME)
    assert Permission.FINDINGS_SUBMIT in lab.actor.permissions


def test_nothing_less_than_all_somebody_may_do_joins_a_party_or_makes_a_passkey(
    hub: Hub, lab: Person, coordinator: Callable[[str], Actor], clock: Any
) -> None:
    victim = coordinator("Grace")
    narrow = hub.parties.issue_token(
        victim,
        PartyId(victim.party),
        life=timedelta(days=1),
        member=victim.principal,
        permissions={Permission.PARTIES_READ},
    )
    lab.confirm()
    invited = hub.invitations.invite(lab.actor, roles=[MemberRole.ADMIN], life=timedelta(days=1))
    with pytest.raises(DeniedError, match="limited"):
        hub.invitations.redeem(
            hub.authenticate(narrow.secret), invited.secret, life=timedelta(days=1)
        )
    # Who joins of their own will makes no passkey that opens both parties with a token of one.
    _, joined = hub.invitations.redeem(victim, invited.secret, life=timedelta(days=1))
    assert joined is not None
    with pytest.raises(DeniedError, match="several parties"):
        hub.enrolments.issue_own(hub.authenticate(joined.secret))
    with pytest.raises(DeniedError, match="several parties"):
        hub.enrolments.issue_own(victim)


def test_a_session_that_is_not_confirmed_joins_no_party(
    hub: Hub, lab: Person, coordinator: Callable[[str], Actor], clock: Any
) -> None:
    other = hub.parties.register(
        coordinator("Ada"), handle="other", name="Other", kind=PartyKind.FINDER
    )
    service = hub.authenticate(
        hub.parties.issue_token(coordinator("Ada"), other.id, life=timedelta(days=1)).secret
    )
    invited = hub.invitations.invite(service, roles=[MemberRole.HANDLER], life=timedelta(days=1))
    clock.advance(CONFIRMED)
    with pytest.raises(DeniedError, match="limited"):
        hub.invitations.redeem(lab.actor, invited.secret, life=timedelta(days=1))
