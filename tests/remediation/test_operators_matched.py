"""Who is affected is told when it may be told; who is not hears nothing at all."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.advisories.draft import Exploitation
from clearhold.advisories.service import Notice
from clearhold.cases import history
from clearhold.findings.danger import Danger
from clearhold.inventory.model import AssetProfile, Exposure, Known, MissionImpact, SafetyImpact
from clearhold.kernel.decisions import bod_26_04, ssvc_deployer
from clearhold.kernel.errors import DeniedError, NotFoundError
from clearhold.kernel.ids import ActionId
from clearhold.kernel.matching import Verdict
from clearhold.ledger import records as ledger
from clearhold.ledger.model import Leaf
from clearhold.remediation.model import ActionState, Reasoned
from publication_road import Road, upload

WEEK = timedelta(days=7)
PUMPS = {
    "exposure": Exposure.OPEN,
    "publicly_exposed": Known.YES,
    "safety_impact": SafetyImpact.CRITICAL,
    "mission_impact": MissionImpact.MISSION_FAILURE,
}


def operators(road: Road) -> tuple[Actor, Actor, Actor]:
    """A hospital and a utility that are affected, and a bank that is not."""
    hospital = road.party(PartyKind.OPERATOR, "hospital")
    utility = road.party(PartyKind.OPERATOR, "utility")
    bank = road.party(PartyKind.OPERATOR, "bank")
    upload(
        road,
        hospital,
        "pkg:pypi/ujson@5.1.0",
        name="ward",
        exposure=Exposure.SMALL,
        publicly_exposed=Known.NO,
        safety_impact=SafetyImpact.MARGINAL,
        mission_impact=MissionImpact.DEGRADED,
    )
    upload(road, utility, "pkg:pypi/ujson@4.0.0", "pkg:pypi/idna@3.7", name="pumps", **PUMPS)
    upload(road, bank, "pkg:pypi/ujson@5.4.0", "pkg:pypi/idna@3.7", name="teller", **PUMPS)
    road.engine.run_due()
    return hospital, utility, bank


def leaves_of(road: Road, actor: Actor) -> Sequence[Leaf]:
    with road.sessions.transaction() as unit:
        return tuple(ledger.leaves(unit.connection, visible=history.visible_to(actor, unit.now)))


def published(road: Road, **values: object) -> Notice:
    notice = road.scheduled(road.case(**values))
    road.remediation.prepare(road.coordinator, notice.id)
    road.engine.run_due()
    road.clock.advance(WEEK)
    road.engine.run_due()
    return notice


def test_the_bank_hears_nothing_before_or_after_publication(road: Road) -> None:
    _, _, bank = operators(road)
    silence = leaves_of(road, bank)
    notice = published(road, early_notice=True)
    assert leaves_of(road, bank) == silence
    assert road.remediation.plan(bank) == ()
    with road.sessions.transaction() as unit:
        query = text("SELECT count(*) FROM remediation_action WHERE party = :party")
        assert unit.connection.execute(query, {"party": bank.party}).scalar_one() == 0
    with pytest.raises(DeniedError):
        road.remediation.counts(bank, notice.id)


def test_before_publication_the_affected_hear_nothing_unless_the_embargo_lets_them(
    road: Road,
) -> None:
    hospital, utility, _ = operators(road)
    silence = leaves_of(road, utility)
    notice = road.scheduled(road.case())
    road.remediation.prepare(road.coordinator, notice.id)
    road.engine.run_due()
    assert road.remediation.plan(hospital) == ()
    assert road.remediation.plan(utility) == ()
    assert leaves_of(road, utility) == silence
    counts = road.remediation.counts(road.coordinator, notice.id)
    assert (counts.actions, dict(counts.states)) == (2, {ActionState.OPEN: 2})
    with road.sessions.transaction() as unit:
        hidden = unit.connection.execute(text("SELECT id FROM remediation_action")).scalars().all()
    for identity in (*hidden, str(uuid.uuid4())):
        with pytest.raises(NotFoundError, match=r"^There is no such action\.$"):
            road.remediation.get(utility, ActionId(identity))


def test_early_notice_tells_when_and_how_urgent_and_nothing_else(road: Road) -> None:
    _, utility, _ = operators(road)
    notice = road.scheduled(road.case(early_notice=True))
    road.remediation.prepare(road.coordinator, notice.id)
    road.engine.run_due()
    (coming,) = road.remediation.plan(utility)
    assert coming.details is None
    assert coming.tier == "3D"
    assert coming.starts_at == notice.publish_at
    assert coming.due_at == coming.starts_at + timedelta(days=3)
    assert "ujson" not in repr(coming)


def test_after_publication_the_affected_see_what_to_do_most_urgent_first(road: Road) -> None:
    hospital, utility, _ = operators(road)
    upload(
        road,
        utility,
        "pkg:pypi/ujson@5.2.0",
        name="billing",
        exposure=Exposure.SMALL,
        publicly_exposed=Known.NO,
        safety_impact=SafetyImpact.NEGLIGIBLE,
        mission_impact=MissionImpact.DEGRADED,
    )
    notice = published(road)
    urgent, later = road.remediation.plan(utility)
    assert (urgent.tier, later.tier) == ("3D", "60D")
    assert urgent.details is not None
    assert later.details is not None
    assert (urgent.details.inventory, later.details.inventory) == ("pumps", "billing")
    assert urgent.details.advisory == notice.public_id
    (hit,) = urgent.details.hits
    assert (hit.component, hit.verdict) == ("pkg:pypi/ujson@4.0.0", Verdict.AFFECTED)
    advice = urgent.details.advice
    assert "5.4.0" in advice.what
    assert "pumps" in advice.where
    assert "2026-06-15 12:00 UTC" in advice.when
    assert advice.if_you_cannot_patch.startswith("Make it unreachable")
    (ward,) = road.remediation.plan(hospital)
    assert ward.details is not None
    assert ward.details.inventory == "ward"


def test_a_priority_can_be_recomputed_from_the_inputs_that_are_shown(road: Road) -> None:
    _, utility, _ = operators(road)
    published(road)
    (action,) = road.remediation.plan(utility)
    assert action.details is not None
    priority = action.details.priority

    def again(shown: Reasoned) -> dict[str, str]:
        assert all(each.source for each in shown.inputs)
        return {each.name: each.value for each in shown.inputs}

    assert bod_26_04.TABLE.decide(again(priority.directive)).outcome == action.tier
    assert ssvc_deployer.TABLE.decide(again(priority.deployer)).outcome == priority.deployer.outcome


def test_what_several_found_comes_first_among_equals_but_only_once_public(road: Road) -> None:
    _, utility, _ = operators(road)
    cases = [
        road.case(early_notice=True, collision=each) for each in (Danger.SINGLE, Danger.CROWDED)
    ]
    notices = []
    for case in cases:
        notices.append(road.scheduled(case))
        road.remediation.prepare(road.coordinator, notices[-1].id)
        road.engine.run_due()
    coming = road.remediation.plan(utility)
    assert [each.id for each in coming] == sorted(each.id for each in coming)
    assert all(each.details is None for each in coming)
    road.clock.advance(WEEK)
    road.engine.run_due()
    shown = [each.details for each in road.remediation.plan(utility)]
    told = [each.priority for each in shown if each is not None]
    assert [[each.value for each in one.beside] for one in told] == [["crowded"], ["single"]]
    assert told[0].directive == told[1].directive
    assert told[0].deployer == told[1].deployer


def test_what_nobody_knows_counts_at_its_worst_and_is_said(road: Road) -> None:
    utility = road.party(PartyKind.OPERATOR, "utility")
    upload(road, utility, "pkg:pypi/ujson@5.1.0")
    published(road)
    (action,) = road.remediation.plan(utility)
    assert action.details is not None
    assert action.details.priority.directive.assumed == ("publicly_exposed at Y",)
    assert action.details.priority.deployer.outcome == "O"


def test_active_exploitation_asks_for_forensics_before_the_change(road: Road) -> None:
    utility = road.party(PartyKind.OPERATOR, "utility")
    upload(road, utility, "pkg:pypi/ujson@5.1.0", **PUMPS)
    road.engine.run_due()
    case = road.case()
    drafted = road.drafted(case)
    body = road.advisories.read(road.coordinator, drafted.id)
    facts = type(body.facts)(
        Exploitation.ACTIVE,
        "seen in logs",
        body.facts.automatable,
        "the input is data alone",
        body.facts.technical_impact,
        "the return address is overwritten",
    )
    road.desk.change(case, embargo_ends=None)
    body = type(body)(**{name: getattr(body, name) for name in body.__slots__} | {"facts": facts})
    road.advisories.redraft(road.coordinator, drafted.id, body)
    road.advisories.publish_now(road.coordinator, drafted.id, reason="attacks were seen")
    road.engine.run_due()
    (action,) = road.remediation.plan(utility)
    assert action.tier == "3DF"
    assert action.details is not None
    assert "Save memory" in action.details.advice.when


def test_what_cannot_be_told_is_shown_as_undetermined_with_the_reason(road: Road) -> None:
    utility = road.party(PartyKind.OPERATOR, "utility")
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [
            {"type": "library", "name": "UJSON", "version": "custom"},
            {"type": "library", "name": "ujson", "purl": "pkg:pypi/ujson@not-a-version"},
        ],
    }
    road.inventories.upload(
        utility,
        name="pumps",
        document=json.dumps(document).encode(),
        profile=AssetProfile(),
        key="k",
    )
    published(road)
    (action,) = road.remediation.plan(utility)
    assert action.details is not None
    assert {hit.verdict for hit in action.details.hits} == {Verdict.UNDETERMINED}
    assert len(action.details.hits) == 2
    assert all(hit.reason for hit in action.details.hits)
    assert action.details.advice.what.startswith("Find out which version")


def test_an_inventory_uploaded_after_publication_is_matched_too(road: Road) -> None:
    published(road)
    latecomer = road.party(PartyKind.OPERATOR, "latecomer")
    upload(road, latecomer, "pkg:pypi/ujson@5.3.0")
    road.engine.run_due()
    (action,) = road.remediation.plan(latecomer)
    assert action.state is ActionState.OPEN


def test_a_newer_inventory_without_the_package_closes_the_action(road: Road) -> None:
    utility = road.party(PartyKind.OPERATOR, "utility")
    upload(road, utility, "pkg:pypi/ujson@5.1.0")
    published(road)
    upload(road, utility, "pkg:pypi/ujson@5.4.0")
    road.engine.run_due()
    (action,) = road.remediation.plan(utility)
    assert action.state is ActionState.NOT_PRESENT
    upload(road, utility, "pkg:pypi/ujson@5.2.0")
    road.engine.run_due()
    (action,) = road.remediation.plan(utility)
    assert action.state is ActionState.OPEN


def test_matching_again_makes_nothing_twice(road: Road) -> None:
    _, utility, _ = operators(road)
    notice = published(road)
    before = road.remediation.plan(utility)
    road.matching.match({"advisory": notice.id})
    assert road.remediation.plan(utility) == before


def test_only_coordinators_of_the_case_may_prepare(road: Road) -> None:
    _, utility, _ = operators(road)
    notice = road.scheduled(road.case())
    stranger = road.party(PartyKind.COORDINATOR, "other-hub")
    with pytest.raises(NotFoundError):
        road.remediation.prepare(stranger, notice.id)
    with pytest.raises(NotFoundError):
        road.remediation.counts(stranger, notice.id)
    with pytest.raises(DeniedError):
        road.remediation.prepare(utility, notice.id)
