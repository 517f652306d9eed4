"""An embargo binds those who must act once they have signed, and ends when it should."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from case_scene import Scene

from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.cases import progress
from clearhold.cases.model import Consent, EmbargoState, ReportStep
from clearhold.kernel.errors import ConflictError, InvalidError

MONTH = timedelta(days=30)


def term(scene: Scene) -> progress.EmbargoTerm | None:
    with scene.hub.sessions.transaction() as unit:
        return progress.embargo_of(unit, scene.case)


@pytest.fixture
def until(clock: Any) -> datetime:
    now: datetime = clock.now()
    return now + MONTH


def test_an_embargo_is_agreed_once_vendor_and_coordinator_have_signed(
    scene: Scene, until: datetime, engine: MemoryEngine
) -> None:
    told: list[str] = []
    engine.register("on:embargo.agreed", lambda ids: told.append(ids["case"]))
    scene.read_in_maintainer()
    shown = scene.hub.embargoes.propose(
        scene.coordinator,
        scene.case,
        until=until,
        terms="Nobody else.",
        operators_early_notice=True,
    )
    assert shown.embargo_state is EmbargoState.PROPOSED
    assert shown.proposal is not None
    assert term(scene) is None
    seen = scene.hub.cases.get(scene.maintainer, scene.case).proposal
    assert seen is not None
    assert (seen.terms, seen.your_consent) == ("Nobody else.", Consent.INVITED)
    agreed = scene.hub.embargoes.accept(scene.maintainer, scene.case, shown.proposal.id)
    assert agreed.embargo_state is EmbargoState.ACTIVE
    assert agreed.publication_time == until
    assert term(scene) == progress.EmbargoTerm(until, True, True)
    engine.run_due()
    assert told == [scene.case]
    again = scene.hub.embargoes.accept(scene.maintainer, scene.case, shown.proposal.id)
    assert again.embargo_state is EmbargoState.ACTIVE


def test_without_a_vendor_nothing_is_agreed(scene: Scene, until: datetime) -> None:
    shown = scene.hub.embargoes.propose(scene.coordinator, scene.case, until=until)
    assert shown.embargo_state is EmbargoState.PROPOSED
    assert shown.proposal is not None
    scene.hub.embargoes.accept(scene.lab, scene.case, shown.proposal.id)
    assert scene.hub.cases.get(scene.lab, scene.case).embargo_state is EmbargoState.PROPOSED
    scene.read_in_maintainer()
    agreed = scene.hub.embargoes.accept(scene.maintainer, scene.case, shown.proposal.id)
    assert agreed.embargo_state is EmbargoState.ACTIVE


def test_a_finder_who_declines_is_recorded_and_stops_nobody(scene: Scene, until: datetime) -> None:
    embargo = scene.agree_embargo(until)
    shown = scene.hub.embargoes.decline(scene.finder, scene.case, embargo)
    assert shown.embargo_state is EmbargoState.ACTIVE
    consents = {
        part.name: part.consent
        for part in scene.hub.cases.get(scene.coordinator, scene.case).participants
    }
    assert consents["Finder-Two"] is Consent.DECLINED
    assert consents["Lab-One"] is Consent.INVITED
    with pytest.raises(ConflictError):
        scene.hub.embargoes.accept(scene.finder, scene.case, embargo)


def test_a_vendor_who_declines_rejects_the_proposal(scene: Scene, until: datetime) -> None:
    scene.read_in_maintainer()
    proposal = scene.hub.embargoes.propose(scene.coordinator, scene.case, until=until).proposal
    assert proposal is not None
    shown = scene.hub.embargoes.decline(scene.maintainer, scene.case, proposal.id)
    assert shown.embargo_state is EmbargoState.NONE
    with pytest.raises(ConflictError, match="not open"):
        scene.hub.embargoes.accept(scene.maintainer, scene.case, proposal.id)


def test_who_has_signed_cannot_just_decline(scene: Scene, until: datetime) -> None:
    embargo = scene.agree_embargo(until)
    with pytest.raises(ConflictError):
        scene.hub.embargoes.decline(scene.maintainer, scene.case, embargo)


def test_a_revision_leaves_the_old_embargo_until_it_is_agreed(
    scene: Scene, until: datetime
) -> None:
    old = scene.agree_embargo(until)
    later = until + MONTH
    revising = scene.hub.embargoes.propose(scene.maintainer, scene.case, until=later)
    assert revising.embargo_state is EmbargoState.REVISING
    assert revising.publication_time == until
    assert revising.proposal is not None
    agreed = scene.hub.embargoes.accept(scene.coordinator, scene.case, revising.proposal.id)
    assert agreed.embargo_state is EmbargoState.ACTIVE
    assert agreed.publication_time == later
    with pytest.raises(ConflictError, match="not open"):
        scene.hub.embargoes.accept(scene.lab, scene.case, old)


def test_a_refused_revision_leaves_the_old_embargo_standing(scene: Scene, until: datetime) -> None:
    scene.agree_embargo(until)
    revising = scene.hub.embargoes.propose(scene.maintainer, scene.case, until=until + MONTH)
    assert revising.proposal is not None
    shown = scene.hub.embargoes.decline(scene.coordinator, scene.case, revising.proposal.id)
    assert shown.embargo_state is EmbargoState.ACTIVE
    assert shown.publication_time == until


def test_a_newer_proposal_takes_the_place_of_an_open_one(scene: Scene, until: datetime) -> None:
    scene.read_in_maintainer()
    first = scene.hub.embargoes.propose(scene.coordinator, scene.case, until=until).proposal
    repeated = scene.hub.embargoes.propose(scene.coordinator, scene.case, until=until).proposal
    assert first is not None
    assert repeated is not None
    assert repeated.id == first.id
    counter = scene.hub.embargoes.propose(scene.maintainer, scene.case, until=until - MONTH / 2)
    assert counter.proposal is not None
    with pytest.raises(ConflictError, match="not open"):
        scene.hub.embargoes.accept(scene.coordinator, scene.case, first.id)
    agreed = scene.hub.embargoes.accept(scene.coordinator, scene.case, counter.proposal.id)
    assert agreed.publication_time == until - MONTH / 2


def test_an_embargo_ends_by_itself_at_its_instant(
    scene: Scene, until: datetime, clock: Any
) -> None:
    scene.agree_embargo(until)
    clock.advance(MONTH)
    shown = scene.hub.cases.get(scene.lab, scene.case)
    assert shown.embargo_state is EmbargoState.EXITED
    assert term(scene) == progress.EmbargoTerm(until, False, False)
    with pytest.raises(ConflictError):
        scene.hub.embargoes.propose(scene.coordinator, scene.case, until=clock.now() + MONTH)


def test_a_proposal_whose_end_has_passed_cannot_be_signed(
    scene: Scene, until: datetime, clock: Any
) -> None:
    scene.read_in_maintainer()
    proposal = scene.hub.embargoes.propose(scene.coordinator, scene.case, until=until).proposal
    assert proposal is not None
    clock.advance(MONTH)
    with pytest.raises(ConflictError, match="not open"):
        scene.hub.embargoes.accept(scene.maintainer, scene.case, proposal.id)
    assert scene.hub.cases.get(scene.lab, scene.case).embargo_state is EmbargoState.NONE


@pytest.mark.parametrize("letter", ["P", "X"])
def test_what_becomes_public_ends_the_embargo_at_once(
    scene: Scene, until: datetime, clock: Any, letter: str
) -> None:
    scene.agree_embargo(until)
    clock.advance(timedelta(days=1))
    shown = scene.hub.cases.report_status(scene.finder, scene.case, letter)
    assert shown.embargo_state is EmbargoState.EXITED
    assert shown.status == ("VfdPxa" if letter == "P" else "VfdPXa")
    assert term(scene) == progress.EmbargoTerm(clock.now(), False, False)
    with pytest.raises(ConflictError, match="already known"):
        scene.hub.embargoes.propose(scene.coordinator, scene.case, until=until)


def test_observed_attacks_flag_an_embargo_in_force_and_reject_a_proposed_one(
    scene: Scene, until: datetime
) -> None:
    scene.agree_embargo(until)
    shown = scene.hub.cases.report_status(scene.lab, scene.case, "A")
    assert shown.embargo_state is EmbargoState.ACTIVE
    assert shown.questioned


def test_publishing_marks_the_case_public_once(scene: Scene, until: datetime) -> None:
    scene.agree_embargo(until)
    for _ in range(2):
        with scene.hub.sessions.transaction() as unit:
            case = progress.mark(unit, scene.case, "P", by="service:advisories")
        assert case.embargo_state is EmbargoState.EXITED
    leaves = scene.hub.history(scene.coordinator, after=0, limit=1000)
    assert [leaf.action for leaf in leaves].count("cases:fact:learn") == 1


def test_an_embargo_does_not_start_after_the_fix_is_deployed(scene: Scene, until: datetime) -> None:
    scene.read_in_maintainer()
    for step in (ReportStep.VALIDATE, ReportStep.ACCEPT):
        scene.hub.cases.step(scene.maintainer, scene.case, step)
    for letter in "FD":
        scene.hub.cases.report_status(scene.maintainer, scene.case, letter)
    with pytest.raises(ConflictError, match="deployed"):
        scene.hub.embargoes.propose(scene.coordinator, scene.case, until=until)


def test_ending_what_is_not_in_force_is_refused(scene: Scene) -> None:
    with pytest.raises(ConflictError, match="embargo is none"):
        scene.hub.embargoes.terminate(scene.lab, scene.case)


def test_an_impossible_end_is_refused(scene: Scene, until: datetime) -> None:
    for wrong in (until.replace(tzinfo=None), until - 2 * MONTH, until + timedelta(days=400)):
        with pytest.raises(InvalidError):
            scene.hub.embargoes.propose(scene.coordinator, scene.case, until=wrong)
    with pytest.raises(InvalidError, match="Terms"):
        scene.hub.embargoes.propose(scene.coordinator, scene.case, until=until, terms="x" * 20_001)
