"""Two sides agree, test by consent, and either ends it when it likes; nobody else learns of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from desk_scene import DAY, HOUR, Desk, evaluator_of

from clearhold.evaluations import agreements
from clearhold.evaluations.engagements import EngagementView
from clearhold.evaluations.model import Act, AgreementState, EngagementState, Side
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    InvalidError,
    LimitError,
    NotFoundError,
)
from clearhold.wire import model_agreement as wire


def test_an_agreement_stands_once_both_sides_signed_the_same_bytes(desk: Desk) -> None:
    terms = desk.terms()
    register = desk.hub.models.agreements
    offered = register.offer(desk.testers, desk.signed(desk.testers, terms)).stored
    assert offered.state is AgreementState.OFFERED
    again = register.offer(desk.testers, desk.signed(desk.testers, terms)).stored
    assert again.id == offered.id
    with pytest.raises(ConflictError, match="not yours to sign"):
        register.sign(desk.testers, offered.id, desk.signed(desk.testers, terms))
    with pytest.raises(InvalidError, match="not what was offered"):
        register.sign(desk.lab, offered.id, desk.signed(desk.lab, desk.terms()))
    with pytest.raises(InvalidError, match="No registered key"):
        register.sign(desk.lab, offered.id, desk.signed(desk.testers, terms))
    signed = register.sign(desk.lab, offered.id, desk.signed(desk.lab, terms))
    assert signed.stored.state is AgreementState.IN_FORCE
    assert signed.terms == terms
    assert set(signed.envelopes) == set(Side)


def test_strangers_are_told_that_there_is_nothing(desk: Desk) -> None:
    agreement = desk.agree()
    view = desk.propose(agreement)
    for stranger in desk.strangers:
        assert desk.hub.models.agreements.list(stranger) == ()
        assert desk.hub.models.engagements.list(stranger) == ()
        tries: list[Callable[[], object]] = [
            lambda who=stranger: desk.hub.models.agreements.get(who, agreement),
            lambda who=stranger: desk.hub.models.agreements.move(
                who, agreement, AgreementState.ENDED
            ),
            lambda who=stranger: desk.hub.models.engagements.get(who, view.stored.id),
            lambda who=stranger: desk.act(who, view, Act.WITHDRAW),
        ]
        for tried in tries:
            with pytest.raises(NotFoundError):
                tried()


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"voluntary": "The developer has to."}, "voluntary"),
    ({"window_days": 31}, "30 days"),
    ({"draft_days": 4}, "draft"),
    ({"evaluators": ()}, "evaluators"),
    ({"evaluators": (evaluator_of(variants=("secret",)),)}, "not named"),
    ({"evaluators": (evaluator_of(department="spies"),)}, "department"),
    ({"evaluators": (evaluator_of(tokens=0),)}, "no tokens"),
    ({"developer": "institute", "evaluator": "aurora"}, "between a lab and an evaluator"),
    ({"developer": "nobody-here"}, "between a lab and an evaluator"),
    ({"developer": "rival", "evaluator": "ministry"}, "neither side"),
    ({"developer": "nobody-here", "evaluator": "ministry"}, "neither side"),
    ({"variants": ()}, "variants"),
    (
        {"variants": (wire.Variant(commitment="x", name="candidate", safeguards="release"),)},
        "SHA-256",
    ),
]


def test_terms_that_cannot_stand_are_refused_with_what_is_wrong(
    desk: Desk, subtests: pytest.Subtests
) -> None:
    for changed, said in IMPOSSIBLE:
        with subtests.test(changed=changed), pytest.raises(InvalidError, match=said):
            desk.hub.models.agreements.offer(
                desk.testers, desk.signed(desk.testers, desk.terms(**changed))
            )


def test_whoever_gets_less_than_the_release_s_safeguards_is_attested(desk: Desk) -> None:
    bare = (wire.Variant(commitment="", name="candidate", safeguards="none"),)
    with pytest.raises(InvalidError, match="attestations"):
        desk.agree(variants=bare)
    vouched = evaluator_of(attested=("information-security", "insider-risk"))
    assert desk.agree(variants=bare, evaluators=(vouched,))


@pytest.mark.parametrize("side", [*Side])
def test_either_side_ends_an_agreement_at_once_and_nothing_goes_on_under_it(
    desk: Desk, side: Side
) -> None:
    agreement = desk.agree()
    view = desk.propose(agreement)
    who = desk.lab if side is Side.DEVELOPER else desk.testers
    desk.hub.models.agreements.move(who, agreement, AgreementState.ENDED)
    with pytest.raises(ConflictError, match="not in force"):
        desk.propose(agreement)
    with pytest.raises(ConflictError, match="not in force"):
        desk.act(desk.lab, view, Act.ACCEPT)
    with pytest.raises(ConflictError):
        desk.hub.models.agreements.move(who, agreement, AgreementState.IN_FORCE)
    assert desk.act(desk.lab, view, Act.WITHDRAW).stored.state is EngagementState.WITHDRAWN


@pytest.mark.parametrize("side", [*Side])
def test_only_the_side_that_suspended_an_agreement_resumes_it(desk: Desk, side: Side) -> None:
    agreement = desk.agree()
    mine, theirs = (desk.lab, desk.testers)[:: 1 if side is Side.DEVELOPER else -1]
    register = desk.hub.models.agreements
    register.move(mine, agreement, AgreementState.SUSPENDED)
    with pytest.raises(ConflictError, match="other side suspended"):
        register.move(theirs, agreement, AgreementState.IN_FORCE)
    register.move(theirs, agreement, AgreementState.SUSPENDED)
    one_left = register.move(mine, agreement, AgreementState.IN_FORCE).stored
    assert one_left.state is AgreementState.SUSPENDED
    assert register.get(mine, agreement).stored.suspended_by == {*Side} - {side}
    again = register.move(theirs, agreement, AgreementState.IN_FORCE).stored
    assert again.state is AgreementState.IN_FORCE
    assert not again.suspended_by


def test_access_is_closed_while_its_agreement_does_not_stand_and_in_a_hold(desk: Desk) -> None:
    view = desk.testing()
    register, get = desk.hub.models.agreements, desk.hub.models.engagements.get
    assert view.clock.open
    register.move(desk.lab, view.agreement.id, AgreementState.SUSPENDED)
    assert not get(desk.testers, view.stored.id).clock.open
    register.move(desk.lab, view.agreement.id, AgreementState.IN_FORCE)
    assert get(desk.testers, view.stored.id).clock.open
    assert not desk.act(desk.lab, view, Act.HOLD).clock.open
    ended = desk.testing()
    register.move(desk.testers, ended.agreement.id, AgreementState.ENDED)
    over = get(desk.lab, ended.stored.id).clock
    assert (over.open, over.elapsed) == (False, True)


def test_a_side_that_suspends_does_not_take_the_hold_from_the_other(desk: Desk) -> None:
    view = desk.testing()
    desk.hub.models.agreements.move(desk.testers, view.agreement.id, AgreementState.SUSPENDED)
    assert desk.act(desk.lab, view, Act.HOLD).stored.state is EngagementState.INCIDENT_HOLD


def test_access_ends_with_its_agreement_at_the_latest(desk: Desk) -> None:
    view = desk.testing(until=desk.now() + 3 * DAY)
    assert view.clock.ends_at == view.agreement.until


def test_the_other_side_accepts_what_one_proposed(desk: Desk) -> None:
    view = desk.propose(desk.agree())
    with pytest.raises(DeniedError):
        desk.act(desk.testers, view, Act.ACCEPT)
    accepted = desk.act(desk.lab, view, Act.ACCEPT)
    assert accepted.stored.state is EngagementState.ACCEPTED
    assert accepted.clock.began_at is None
    assert not accepted.clock.open
    with pytest.raises(DeniedError):
        desk.act(desk.testers, accepted, Act.PROVISION)
    with pytest.raises(DeniedError):
        desk.act(desk.lab, accepted, Act.VERIFY_ACCESS)


def test_a_window_is_no_longer_than_the_agreement_s(desk: Desk) -> None:
    agreement = desk.agree(window_days=7)
    with pytest.raises(InvalidError, match="7 days"):
        desk.propose(agreement, length=8 * DAY)
    with pytest.raises(InvalidError, match="an hour"):
        desk.propose(agreement, length=timedelta(milliseconds=80))
    with pytest.raises(InvalidError, match="ahead"):
        desk.propose(agreement, length=DAY, release_at=desk.now() - DAY)
    for release in (datetime(2027, 3, 1), datetime.max.replace(tzinfo=timezone(-14 * HOUR))):  # noqa: DTZ001 (the fault)
        with pytest.raises(InvalidError, match="zone"):
            desk.propose(agreement, length=DAY, release_at=release)


def test_thirty_days_are_for_a_variant_however_many_engagements_name_it(desk: Desk) -> None:
    agreement = desk.agree()
    first = desk.propose(agreement, length=20 * DAY)
    with pytest.raises(ConflictError, match=r"20\.0 of them"):
        desk.propose(agreement, length=11 * DAY)
    second = desk.propose(agreement, length=9 * DAY)
    with pytest.raises(ConflictError, match=r"29\.0 of them"):
        desk.consent(desk.lab, second, desk.change(second, "extend", hours=25))
    desk.consent(desk.lab, second, desk.change(second, "extend", hours=24))
    desk.act(desk.lab, first, Act.WITHDRAW)  # it gave no access, and what it held is free again
    assert desk.propose(agreement, length=20 * DAY)


def test_the_same_key_proposes_once(desk: Desk) -> None:
    agreement = desk.agree()
    first = desk.propose(agreement, key="once")
    assert desk.propose(agreement, key="once").stored.id == first.stored.id
    assert len(desk.hub.models.engagements.list(desk.lab)) == 1
    with pytest.raises(ConflictError, match="another request"):
        desk.propose(agreement, key="once", length=2 * DAY)


def test_more_time_and_other_changes_take_both_signatures(desk: Desk) -> None:
    view = desk.propose(desk.agree())
    more = desk.change(view, "extend", hours=48)
    asked = desk.consent(desk.testers, view, more)
    assert asked.clock.length == 10 * DAY
    assert [(each.change, each.signed_by) for each in asked.waiting] == [(more, Side.EVALUATOR)]
    twice = desk.consent(desk.testers, view, more)
    assert twice.clock.length == 10 * DAY
    given = desk.consent(desk.lab, view, more)
    assert given.clock.length == 12 * DAY
    assert given.waiting == ()
    assert desk.consent(desk.lab, view, more).clock.length == 12 * DAY


def test_a_change_that_is_not_possible_is_refused(desk: Desk) -> None:
    view = desk.propose(desk.agree())
    refused: list[tuple[wire.Change, type[ClearholdError]]] = [
        (desk.change(view, "pause", until=desk.now() + DAY), ConflictError),
        (desk.change(view, "extend", hours=0), InvalidError),
        (desk.change(view, "extend", hours=11 * 24), InvalidError),
        (desk.change(view, "extend", hours=24, stops_clock=True), InvalidError),
        (desk.change(view, "extend", hours=24, until=desk.now() + DAY), InvalidError),
        (desk.change(view, "extend", hours=24, engagement="another"), InvalidError),
    ]
    for change, error in refused:
        with pytest.raises(error):
            desk.consent(desk.lab, view, change)
    with pytest.raises(ConflictError, match="both sides"):
        desk.act(desk.lab, view, Act.PAUSE)


def test_what_one_side_signed_for_an_earlier_hold_lifts_no_later_one(desk: Desk) -> None:
    view = desk.act(desk.lab, desk.testing(), Act.HOLD)
    old = desk.change(view, "lift-hold")
    desk.consent(desk.testers, view, old)
    lift = desk.change(view, "lift-hold")
    for side in (desk.testers, desk.lab):
        lifted = desk.consent(side, view, lift)
    assert lifted.stored.state is EngagementState.TESTING
    desk.act(desk.testers, view, Act.HOLD)
    with pytest.raises(ConflictError, match="More has happened"):
        desk.consent(desk.lab, view, old)
    held = desk.hub.models.engagements.get(desk.lab, view.stored.id)
    assert (held.stored.state, held.waiting) == (EngagementState.INCIDENT_HOLD, ())


def test_after_a_hold_an_engagement_goes_on_where_it_was_held(desk: Desk) -> None:
    def lifted(view: EngagementView) -> EngagementState:
        lift = desk.change(desk.act(desk.lab, view, Act.HOLD), "lift-hold")
        desk.consent(desk.testers, view, lift)
        return desk.consent(desk.lab, view, lift).stored.state

    view = desk.act(desk.lab, desk.propose(desk.agree()), Act.ACCEPT)
    with pytest.raises(ConflictError, match="cannot hold"):
        desk.act(desk.lab, desk.act(desk.lab, view, Act.PROVISION), Act.HOLD)
    tested = desk.testing()
    pause = desk.change(tested, "pause", until=desk.now() + DAY)
    for side in (desk.testers, desk.lab):
        desk.consent(side, tested, pause)
    assert lifted(tested) is EngagementState.PAUSED


def test_a_pause_does_not_outlast_its_agreement(desk: Desk) -> None:
    view = desk.testing()
    for until in (view.agreement.until + DAY, datetime.max.replace(tzinfo=UTC)):
        with pytest.raises(InvalidError, match="pause ends"):
            desk.consent(desk.lab, view, desk.change(view, "pause", until=until))


def test_only_the_developer_moves_its_release(desk: Desk) -> None:
    view = desk.propose(desk.agree())
    register = desk.hub.models.engagements
    with pytest.raises(DeniedError):
        register.move_release(desk.testers, view.stored.id, desk.now() + DAY)
    for wrong in (datetime(2027, 3, 1), datetime.min.replace(tzinfo=timezone(14 * HOUR))):  # noqa: DTZ001 (the fault)
        with pytest.raises(InvalidError, match="zone"):
            register.move_release(desk.lab, view.stored.id, wrong)
    moved = register.move_release(desk.lab, view.stored.id, desk.now() + DAY)
    assert moved.happened[-1].act == "move-release"


def test_every_act_and_every_reading_is_in_the_ledger(desk: Desk) -> None:
    view = desk.propose(desk.agree())
    desk.act(desk.lab, view, Act.ACCEPT)
    told = {leaf.action for leaf in desk.hub.history(desk.lab, after=0, limit=500)}
    assert {
        "evaluations:agreement:offer",
        "evaluations:agreement:sign",
        "evaluations:engagement:propose",
        "evaluations:engagement:accept",
    } <= told
    other = {leaf.action for leaf in desk.hub.history(desk.strangers[0], after=0, limit=500)}
    assert not any(each.startswith("evaluations:") for each in other)


def test_nothing_of_what_is_tested_lies_open_in_the_database(desk: Desk) -> None:
    view = desk.propose(desk.agree())
    with desk.hub.sessions.transaction() as unit:
        rows = unit.connection.exec_driver_sql("SELECT * FROM engagement").all()
        rows += unit.connection.exec_driver_sql("SELECT * FROM model_agreement").all()
    kept = repr([tuple(map(_plain, row)) for row in rows])
    assert view.body.model not in kept
    assert "Executive Order" not in kept


def _plain(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value


def test_offers_that_wait_are_bounded_for_each_party(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreements, "MOST_OFFERS", 2)
    register = desk.hub.models.agreements

    def offer() -> str:
        return register.offer(desk.testers, desk.signed(desk.testers, desk.terms())).stored.id

    first, _ = offer(), offer()
    with pytest.raises(LimitError, match="wait for a signature"):
        offer()
    register.move(desk.lab, first, AgreementState.REFUSED)
    offer()
