"""Nobody talks their way in: two coordinators, a wait, a veto, and an end to every old credential."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from signing_in_people import Person, enter

from clearhold.access.approvals import Act, ApprovalNeededError
from clearhold.access.enrolments import LIFE
from clearhold.access.model import Actor
from clearhold.access.permissions import MemberRole, PartyKind, Permission
from clearhold.assembly.hub import Hub
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    NotFoundError,
    UnauthenticatedError,
)
from clearhold.ledger.records import leaves

Coordinators = Callable[[str], Actor]
DAY = timedelta(days=1)


def approved(hub: Hub, ada: Actor, bo: Actor, subject: str) -> None:
    made = hub.approvals.propose(ada, Act.RECOVERY, subject, particulars={}, reason="lost phone")
    hub.approvals.give(bo, made.id)


def opened(hub: Hub, coordinator: Coordinators, subject: Any) -> tuple[Any, str]:
    ada, bo = coordinator("Ada"), coordinator("Bo")
    approved(hub, ada, bo, subject)
    recovery, issued = hub.recoveries.open(bo, subject)
    return recovery, issued.secret


def test_one_coordinator_alone_recovers_nobody(
    hub: Hub, lab: Person, coordinator: Coordinators
) -> None:
    ada, again = coordinator("Ada"), coordinator("Ada")
    with pytest.raises(ApprovalNeededError):
        hub.recoveries.open(ada, lab.member.id)
    made = hub.approvals.propose(
        ada, Act.RECOVERY, lab.member.id, particulars={}, reason="lost phone"
    )
    with pytest.raises(DeniedError):
        hub.approvals.give(again, made.id)
    with pytest.raises(ApprovalNeededError):
        hub.recoveries.open(ada, lab.member.id)


def test_an_approval_recovers_one_member_once(
    hub: Hub, lab: Person, coordinator: Coordinators
) -> None:
    opened(hub, coordinator, lab.member.id)
    with pytest.raises(ApprovalNeededError):
        hub.recoveries.open(coordinator("Ada"), lab.member.id)


def test_a_recovery_waits_then_ends_every_old_credential_and_lets_in_once(
    hub: Hub, lab: Person, coordinator: Coordinators, clock: Any
) -> None:
    token = hub.parties.issue_token(lab.actor, lab.member.party, life=9 * DAY, member=lab.member.id)
    _, secret = opened(hub, coordinator, lab.member.id)
    with pytest.raises(ConflictError):
        hub.passkeys.begin_enrol(secret)
    with pytest.raises(ConflictError):
        hub.enrolments.redeem_for_token(secret, life=DAY)
    clock.advance(timedelta(hours=24) - timedelta(seconds=1))
    with pytest.raises(ConflictError):
        hub.passkeys.begin_enrol(secret)
    clock.advance(timedelta(seconds=1))
    lab.sign_in()
    old = lab.cookie
    back = enter(hub, lab.member, secret)
    assert back.actor.principal == lab.member.id
    with pytest.raises(UnauthenticatedError):
        hub.authenticate(token.secret)
    with pytest.raises(UnauthenticatedError):
        lab.sign_in()
    with pytest.raises(UnauthenticatedError), hub.sessions.transaction() as unit:
        hub.browsers.authenticate(unit, old)
    with pytest.raises(UnauthenticatedError):
        hub.passkeys.begin_enrol(secret)
    with hub.sessions.transaction() as unit:
        told = {leaf.action for leaf in leaves(unit.connection)}
    assert told >= {
        "access:recovery:open",
        "access:enrolment:issue",
        "access:enrolment:use",
        "access:passkey:remove",
        "access:token:revoke",
        "access:session:end",
        "access:approval:use",
    }


@pytest.mark.parametrize("with_what", ["a session", "a narrow token"])
def test_the_person_sees_a_recovery_and_stops_it_with_whatever_still_works(
    hub: Hub, lab: Person, coordinator: Coordinators, clock: Any, with_what: str
) -> None:
    actor = lab.actor
    if with_what == "a narrow token":
        issued = hub.parties.issue_token(
            actor,
            lab.member.party,
            life=9 * DAY,
            member=lab.member.id,
            permissions=[Permission.PARTIES_READ],
        )
        actor = hub.authenticate(issued.secret)
    recovery, secret = opened(hub, coordinator, lab.member.id)
    assert [each.state for each in hub.recoveries.of_person(lab.member.person)] == ["waiting"]  # type: ignore[arg-type]
    assert hub.recoveries.veto(actor, recovery.id).state == "stopped"
    assert hub.recoveries.veto(actor, recovery.id).state == "stopped"
    clock.advance(DAY)
    with pytest.raises(UnauthenticatedError):
        hub.passkeys.begin_enrol(secret)
    with pytest.raises(UnauthenticatedError):
        hub.enrolments.redeem_for_token(secret, life=DAY)
    lab.sign_in()


def test_a_veto_between_the_question_and_the_answer_still_counts(
    hub: Hub, lab: Person, coordinator: Coordinators, clock: Any
) -> None:
    recovery, secret = opened(hub, coordinator, lab.member.id)
    clock.advance(DAY)
    asked = hub.passkeys.begin_enrol(secret)
    lab.sign_in()
    hub.recoveries.veto(lab.actor, recovery.id)
    thief = type(lab.passkey)()
    with pytest.raises(UnauthenticatedError):
        hub.passkeys.enrol(asked.cookie, thief.create(asked.options), name="x", agent="")


def test_admins_of_the_party_know_of_it_and_strangers_do_not(
    hub: Hub, lab: Person, coordinator: Coordinators
) -> None:
    made = hub.parties.add_member(
        lab.actor, lab.member.party, name="Mia", roles=[MemberRole.HANDLER]
    )
    mia = enter(hub, made, hub.party_sign_in.enrol(lab.actor, lab.member.party, made.id).secret)
    ada = coordinator("Ada")
    other = hub.parties.register(ada, handle="other", name="Other", kind=PartyKind.LAB)
    stranger = hub.authenticate(hub.parties.issue_token(ada, other.id, life=DAY).secret)
    recovery, _ = opened(hub, coordinator, made.id)
    assert [each.id for each in hub.recoveries.list(lab.actor)] == [recovery.id]
    assert [each.id for each in hub.recoveries.list(mia.actor)] == [recovery.id]
    assert hub.recoveries.list(stranger) == ()
    with pytest.raises(NotFoundError):
        hub.recoveries.veto(stranger, recovery.id)
    with pytest.raises(DeniedError):
        hub.recoveries.veto(lab.actor, recovery.id)
    assert hub.recoveries.veto(ada, recovery.id).state == "stopped"


def test_a_coordinator_is_recovered_on_the_machine_alone(
    hub: Hub, coordinator: Coordinators
) -> None:
    ada, bo = coordinator("Ada"), coordinator("Bo")
    approved(hub, ada, bo, bo.principal)
    with pytest.raises(ConflictError, match="machine"):
        hub.recoveries.open(ada, bo.principal)
    hub.party_sign_in.recover_coordinator("hub", "Bo")
    issued = hub.party_sign_in.enrol_coordinator("hub", "Bo")
    (bo_member,) = [e for e in hub.parties.members(ada, ada.party) if e.name == "Bo"]
    back = enter(hub, bo_member, issued.secret)
    assert back.actor.person == bo.person
    with pytest.raises(NotFoundError):
        hub.party_sign_in.enrol_coordinator("hub", "Nobody")


def test_only_people_of_the_coordinator_recover(hub: Hub, lab: Person) -> None:
    with pytest.raises(DeniedError):
        hub.recoveries.open(lab.actor, lab.member.id)


def test_an_enrolment_lets_in_once_and_runs_out(hub: Hub, lab: Person, clock: Any) -> None:
    made = hub.parties.add_member(lab.actor, lab.member.party, name="Mia", roles=lab.member.roles)
    first = hub.party_sign_in.enrol(lab.actor, lab.member.party, made.id)
    second = hub.party_sign_in.enrol(lab.actor, lab.member.party, made.id)
    with pytest.raises(UnauthenticatedError):  # a new one ends the one before
        hub.enrolments.redeem_for_token(first.secret, life=DAY)
    clock.advance(LIFE)
    with pytest.raises(UnauthenticatedError):
        hub.enrolments.redeem_for_token(second.secret, life=DAY)
    lab.sign_in()
    third = hub.party_sign_in.enrol(lab.actor, lab.member.party, made.id)
    token = hub.enrolments.redeem_for_token(third.secret, life=DAY)
    assert hub.authenticate(token.secret).principal == made.id
    with pytest.raises(UnauthenticatedError):
        hub.enrolments.redeem_for_token(third.secret, life=DAY)
    with pytest.raises(ConflictError):  # an admin cannot become somebody who has entered
        hub.party_sign_in.enrol(lab.actor, lab.member.party, made.id)


def test_a_broken_answer_does_not_use_the_enrolment_up(hub: Hub, lab: Person) -> None:
    made = hub.parties.add_member(lab.actor, lab.member.party, name="Mia", roles=lab.member.roles)
    issued = hub.party_sign_in.enrol(lab.actor, lab.member.party, made.id)
    asked = hub.passkeys.begin_enrol(issued.secret)
    with pytest.raises(UnauthenticatedError):
        hub.passkeys.enrol(asked.cookie, {"rawId": "x"}, name="x", agent="")
    assert enter(hub, made, issued.secret).actor.principal == made.id


def test_nobody_lets_a_member_of_another_party_in(
    hub: Hub, lab: Person, coordinator: Coordinators
) -> None:
    ada = coordinator("Ada")
    made = hub.parties.add_member(lab.actor, lab.member.party, name="Mia", roles=lab.member.roles)
    with pytest.raises(ConflictError):  # the lab has people: it lets in its own
        hub.party_sign_in.enrol(ada, lab.member.party, made.id)
    with pytest.raises(ConflictError):
        hub.party_sign_in.enrol(ada, ada.party, ada.principal)
    other = hub.parties.register(ada, handle="other", name="Other", kind=PartyKind.LAB)
    stranger = hub.authenticate(hub.parties.issue_token(ada, other.id, life=DAY).secret)
    for party in (lab.member.party, other.id):
        with pytest.raises(NotFoundError):
            hub.party_sign_in.enrol(stranger, party, made.id)


def test_who_has_only_a_token_gets_to_a_first_passkey_and_no_further(hub: Hub, lab: Person) -> None:
    made = hub.parties.add_member(lab.actor, lab.member.party, name="Mia", roles=lab.member.roles)
    issued = hub.party_sign_in.enrol(lab.actor, lab.member.party, made.id)
    mia = hub.authenticate(hub.enrolments.redeem_for_token(issued.secret, life=DAY).secret)
    narrow = hub.parties.issue_token(
        mia, mia.party, life=DAY, member=made.id, permissions=[Permission.ACCOUNT_WRITE]
    )
    with pytest.raises(DeniedError):
        hub.enrolments.issue_own(hub.authenticate(narrow.secret))
    enter(hub, made, hub.enrolments.issue_own(mia).secret)
    with pytest.raises(ConflictError):
        hub.enrolments.issue_own(mia)


def test_tokens_are_listed_and_revoked_by_their_owner_and_their_party_s_admins_alone(
    hub: Hub, lab: Person, coordinator: Coordinators, clock: Any
) -> None:
    made = hub.parties.add_member(
        lab.actor, lab.member.party, name="Mia", roles=[MemberRole.HANDLER]
    )
    issued = hub.party_sign_in.enrol(lab.actor, lab.member.party, made.id)
    token = hub.enrolments.redeem_for_token(issued.secret, life=9 * DAY)
    mia = hub.authenticate(token.secret)
    (known,) = hub.party_sign_in.own_tokens(mia)
    assert (known.id, known.last_used_on) == (token.id, clock.now().date())
    clock.advance(DAY)
    hub.authenticate(token.secret)
    lab.sign_in()
    (seen,) = hub.party_sign_in.party_tokens(lab.actor, lab.member.party)
    assert seen.last_used_on == clock.now().date()
    ada = coordinator("Ada")
    with pytest.raises(ConflictError):
        hub.party_sign_in.party_tokens(ada, lab.member.party)
    with pytest.raises(DeniedError):
        hub.party_sign_in.party_tokens(mia, lab.member.party)
    service = hub.authenticate(
        hub.parties.issue_token(
            ada,
            hub.parties.register(ada, handle="other", name="Other", kind=PartyKind.LAB).id,
            life=DAY,
        ).secret
    )
    for stranger in (ada, service):
        with pytest.raises((NotFoundError, DeniedError)):
            hub.party_sign_in.revoke_token(stranger, token.id)
    hub.party_sign_in.revoke_token(lab.actor, token.id)
    with pytest.raises(UnauthenticatedError):
        hub.authenticate(token.secret)
