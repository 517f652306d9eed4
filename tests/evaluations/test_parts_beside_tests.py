"""What a tested model found goes to maintainers; departments, fixes, decisions and partners are told apart."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from desk_scene import DAY, HOUR, Desk
from hypothesis import given
from hypothesis import strategies as st

from agreeing import hold
from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.delivery.http.app import make_app
from clearhold.evaluations.departments import Department, Request, RequestView, burden
from clearhold.evaluations.engagements import EngagementView
from clearhold.evaluations.model import AgreementState, Side
from clearhold.evaluations.safeguard_steps import (
    SafeguardFinding,
    SafeguardView,
    Step,
    StepTaken,
    check_step,
)
from clearhold.kernel.errors import (
    ClearholdError,
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
)
from clearhold.kernel.ids import FindingId
from clearhold.wire import dsse
from clearhold.wire import model_decision as wire
from in_process_http import client_of

TRIALS = "7" * 64
CONFIGURATION = "c" * 64


def bug(**changed: Any) -> bytes:
    return json.dumps(
        {
            "schema": "clearhold-finding/1",
            "package": "pkg:pypi/ujson@5.1.0",
            "title": "Indentation overruns the stack buffer",
            "description": "A large indent makes the encoder write past its buffer.",
            "target": "encode",
            "claim": {"kind": "crash"},
            "proof": base64.b64encode(b"proof").decode(),
        }
        | changed
    ).encode()


class Ministry:
    """A government body that tests, with a lab, and a department of another body."""

    def __init__(self, desk: Desk, party_of: Callable[..., Actor]) -> None:
        self.desk = desk
        self.one, self.two = (
            party_of(PartyKind.GOVERNMENT, name) for name in ("energy", "transport")
        )
        for actor in (self.one, self.two):
            desk.keys[actor.party] = Ed25519PrivateKey.generate()
            hold(desk.hub.parties, actor, desk.keys[actor.party])
        desk.testers = desk.strangers[2]
        self.view = desk.testing(evaluator="ministry", departments=("energy", "transport"))
        self.engagement = self.view.stored.id


@pytest.fixture
def ministry(desk: Desk, party_of: Callable[..., Actor]) -> Ministry:
    return Ministry(desk, party_of)


def handed(ministry: Ministry, by: Actor, raw: bytes) -> Any:
    register = ministry.desk.hub.models.handovers
    return register.hand_over(by, ministry.engagement, raw, trials_sha256=TRIALS, task="ctf-1")


def test_an_unknown_bug_goes_to_the_clearinghouse_and_not_to_the_authority(
    ministry: Ministry,
) -> None:
    desk, hub = ministry.desk, ministry.desk.hub
    told = handed(ministry, desk.testers, bug())
    assert (told.outcome, told.known) == ("finding", ())
    assert told == handed(ministry, desk.testers, bug())
    receipt = hub.findings.receipt(desk.lab, told.submission)
    [found] = receipt.findings
    view = hub.findings.get(desk.lab, FindingId(found.finding))
    assert "Found by aurora-9, a model of" in view.body.description
    assert TRIALS in view.body.description
    for blind in (desk.testers, ministry.one, *desk.strangers):
        with pytest.raises((NotFoundError, DeniedError)):
            hub.findings.get(blind, FindingId(found.finding))
        with pytest.raises((NotFoundError, DeniedError)):
            hub.findings.receipt(blind, told.submission)
        assert hub.cases.list(blind)[0] == ()
    assert hub.models.handovers.list(desk.lab, ministry.engagement) == (told,)
    with pytest.raises(NotFoundError):
        handed(ministry, ministry.one, bug())
    with pytest.raises(ClearholdError):
        handed(ministry, desk.testers, b"{}")


def test_what_the_public_knows_is_kept_for_calibration_alone(
    ministry: Ministry, party_of: Callable[..., Actor]
) -> None:
    record = {
        "id": "PYSEC-2022-2",
        "aliases": ["CVE-2021-45958"],
        "summary": "stack overflow",
        "modified": "2022-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "ujson"},
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.2.0"}]}
                ],
            }
        ],
    }
    hub = ministry.desk.hub
    hub.catalogue.import_public(party_of(PartyKind.COORDINATOR), [json.dumps(record)])
    told = handed(
        ministry, ministry.desk.testers, bug(references=["https://x.example/CVE-2021-45958"])
    )
    assert (told.outcome, told.submission) == ("calibration", "")
    assert told.known == ("PYSEC-2022-2",)
    assert hub.findings.list(ministry.desk.lab) == ()


SAFEGUARD = SafeguardFinding(
    also_in=("aurora-8",),
    automated=False,
    expert_hours=6.5,
    reach="universal",
    severity="high",
    title="A story within a story",
    variant="candidate",
)


def test_a_way_around_safeguards_is_followed_to_its_retest(desk: Desk) -> None:
    register, engagement = desk.hub.models.safeguards, desk.testing().stored.id
    recipient = pyrage.x25519.Identity.generate().to_public()
    kit = base64.b64encode(pyrage.encrypt(b"how it is done", [recipient])).decode()
    for wrong in ("###", base64.b64encode(b"how it is done").decode()):
        with pytest.raises(InvalidError):
            register.report(desk.testers, engagement, SAFEGUARD, wrong)
    with pytest.raises(DeniedError):
        register.report(desk.lab, engagement, SAFEGUARD, kit)
    view = register.report(desk.testers, engagement, SAFEGUARD, kit)
    assert view.stands is Step.REPORTED
    assert desk.hub.models.reports.paper(desk.lab, view.kit).content == kit.encode()
    fix = StepTaken(to=Step.FIX_CLAIMED, configuration=CONFIGURATION)
    retest = StepTaken(to=Step.VERIFIED, configuration=CONFIGURATION, trials_sha256=TRIALS)
    for actor, step in (
        (desk.lab, StepTaken(to=Step.ACKNOWLEDGED)),
        (desk.lab, fix),
        (desk.testers, StepTaken(to=Step.RETEST_RUNNING)),
        (
            desk.testers,
            StepTaken(to=Step.NOT_VERIFIED, configuration=CONFIGURATION, trials_sha256=TRIALS),
        ),
        (desk.lab, fix),
        (desk.testers, StepTaken(to=Step.RETEST_RUNNING)),
    ):
        view = register.step(actor, engagement, view.id, step)
    with pytest.raises(DeniedError):
        register.step(desk.lab, engagement, view.id, retest)
    with pytest.raises(InvalidError, match="not the configuration"):
        other = StepTaken(to=Step.VERIFIED, configuration="d" * 64, trials_sha256=TRIALS)
        register.step(desk.testers, engagement, view.id, other)
    assert register.step(desk.testers, engagement, view.id, retest).stands is Step.VERIFIED
    assert [each.stands for each in register.list(desk.lab, engagement)] == [Step.VERIFIED]
    for stranger in desk.strangers:
        with pytest.raises(NotFoundError):
            register.list(stranger, engagement)


@given(
    st.lists(
        st.tuples(st.sampled_from(Step), st.sampled_from(Side), st.sampled_from(["", "why"])),
        max_size=20,
    )
)
def test_no_developer_verifies_its_own_fix(tries: list[tuple[Step, Side, str]]) -> None:
    view, said = SafeguardView("s", SAFEGUARD, (), ""), []
    for to, side, reason in tries:
        retested = to in {Step.VERIFIED, Step.NOT_VERIFIED}
        step = StepTaken(
            to=to,
            reason=reason,
            configuration=CONFIGURATION if retested or to is Step.FIX_CLAIMED else "",
            trials_sha256=TRIALS if retested else "",
        )
        try:
            check_step(view, step, side)
        except ClearholdError:
            continue
        said.append((to, side))
        view = SafeguardView("s", SAFEGUARD, (*view.steps, step), "")
        assert reason or to not in {Step.NOT_TESTABLE, Step.ACCEPTED_RISK}
    assert (Step.VERIFIED, Side.DEVELOPER) not in said
    if view.stands is Step.VERIFIED:
        assert Step.FIX_CLAIMED in {to for to, _ in said}


def part(desk: Desk, name: str, after: timedelta = timedelta(0)) -> Department:
    begins = desk.now() + after
    return Department(
        begins_at=begins, department=name, ends_at=begins + DAY, reviewers=("Ada",), scope="grids"
    )


def asking(**changed: Any) -> Request:
    stated: dict[str, Any] = {
        "hours": 3.0,
        "question": "Does it find flaws in controllers?",
        "suite_sha256": "5" * 64,
        "tokens": 1000,
        "variant": "candidate",
    }
    return Request(**(stated | changed))


def test_departments_have_their_own_part_and_ask_nothing_twice(
    ministry: Ministry, clock: Any
) -> None:
    desk, register = ministry.desk, ministry.desk.hub.models.departments
    engagement = ministry.engagement
    with pytest.raises(NotFoundError):
        register.ask(ministry.one, engagement, asking())
    register.add(desk.testers, engagement, part(desk, "energy"))
    with pytest.raises(ConflictError, match="overlaps"):
        register.add(desk.testers, engagement, part(desk, "transport", HOUR))
    register.add(desk.testers, engagement, part(desk, "transport", DAY))
    with pytest.raises(InvalidError, match="no department"):
        register.add(desk.testers, engagement, part(desk, "rival", 3 * DAY))
    with pytest.raises(DeniedError):
        register.add(desk.lab, engagement, part(desk, "energy", 3 * DAY))
    first = register.ask(ministry.one, engagement, asking())
    assert register.ask(ministry.one, engagement, asking()) == first
    with pytest.raises(ConflictError, match="slot"):
        register.ask(ministry.two, engagement, asking())
    clock.advance(DAY)
    with pytest.raises(ConflictError, match="slot"):
        register.ask(ministry.one, engagement, asking(question="Something else?"))
    again = register.ask(
        ministry.two, engagement, asking(question="does it FIND flaws in  controllers?", hours=5)
    )
    assert again.served_by == first.id
    for actor in (ministry.one, ministry.two):
        [told] = register.duplicates(actor, engagement)
        assert (told.runs, told.asked_again_by) == ("energy", "transport")
    assert [each.id for each in register.list(ministry.one, engagement)] == [first.id]
    assert len(register.list(desk.lab, engagement)) == 2
    cost = register.burden(desk.lab, engagement)
    assert (cost.runs, cost.requests, cost.hours, cost.spared_hours) == (1, 2, 5, 3)
    assert cost.by_department == {"energy": 1, "transport": 1}
    for blind in (ministry.one, desk.strangers[0]):
        with pytest.raises(NotFoundError):
            register.burden(blind, engagement)
    change = desk.change(ministry.view, "extend", hours=24)
    for actor in (desk.lab, desk.testers):
        desk.consent(actor, ministry.view, change)
    assert register.burden(desk.lab, engagement).delay_s == 86400


def test_a_department_asks_through_the_second_fence_too(ministry: Ministry) -> None:
    desk, hub = ministry.desk, ministry.desk.hub
    for name, after in (("energy", timedelta(0)), ("transport", DAY)):
        hub.models.departments.add(desk.testers, ministry.engagement, part(desk, name, after))
    with hub.sessions.transaction() as unit:
        secrets = {
            who.party: hub.tokens.issue(unit, who.principal, life=DAY, by="test").secret
            for who in (ministry.one, ministry.two)
        }
    at = f"/api/v1/evaluations/engagements/{ministry.engagement}/requests"
    body = {
        "question": "Does it?",
        "suite_sha256": "5" * 64,
        "hours": 1,
        "tokens": 5,
        "variant": "candidate",
    }
    one, two = (
        client_of(make_app(hub), {"Authorization": f"Bearer {secrets[who.party]}"})
        for who in (ministry.one, ministry.two)
    )
    made = one.post(at, json=body)
    assert made.status_code == 200, made.text
    assert [each["id"] for each in one.get(at).json()] == [made.json()["id"]]
    assert two.get(at).json() == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("pq"), st.integers(0, 9))))
def test_the_burden_is_of_the_runs_that_are_needed(given_: list[tuple[str, str, int]]) -> None:
    first: dict[str, str] = {}
    asked = []
    for number, (name, question, hours) in enumerate(given_):
        served = first.setdefault(question, str(number))
        request = asking(question=question, hours=float(hours), tokens=hours)
        asked.append(RequestView(str(number), name, request, served))
    cost = burden(asked, 0)
    assert cost.runs == len(first)
    assert cost.hours + cost.spared_hours == sum(hours for *_, hours in given_)
    assert cost.tokens <= sum(hours for *_, hours in given_)
    assert sum(cost.by_department.values()) == cost.requests == len(given_)


def decision(ministry: Ministry, authority: str, **changed: Any) -> wire.Determination:
    stated: dict[str, Any] = {
        "authority": authority,
        "basis": "the report and the rule",
        "decided_at": ministry.desk.now(),
        "decided_by": "Grace Example",
        "decision": "covered",
        "engagement": ministry.engagement,
        "inputs": (wire.Input(sha256="1" * 64, what="final report"),),
        "nonce": "nonce-1234",
        "rule": "section 3",
    }
    return wire.Determination(**(stated | changed))


def signed(ministry: Ministry, actor: Actor, what: Any, kind: str) -> bytes:
    return dsse.sign(wire.write(what), kind, ministry.desk.keys[actor.party])


def test_a_decision_is_recorded_of_the_authority_that_signed_it(ministry: Ministry) -> None:
    desk, register = ministry.desk, ministry.desk.hub.models.decisions
    kind = wire.DETERMINATION_TYPE
    said = signed(ministry, ministry.one, decision(ministry, "energy"), kind)
    made = register.decide(ministry.one, said)
    assert register.decide(ministry.one, said).paper.id == made.paper.id
    for reader in (desk.lab, desk.testers, ministry.one):
        assert [each.envelope for each in register.decided(reader, ministry.engagement)] == [said]
    for blind in (ministry.two, *desk.strangers[:2]):
        with pytest.raises(NotFoundError):
            register.decided(blind, ministry.engagement)
    for actor, authority, changed in (
        (ministry.one, "transport", {}),
        (ministry.one, "energy", {"inputs": ()}),
        (ministry.one, "energy", {"inputs": (wire.Input(sha256="x", what="report"),)}),
        (ministry.one, "energy", {"decided_by": ""}),
        (ministry.one, "energy", {"decided_at": desk.now() + DAY}),
        (desk.lab, "aurora", {}),
        (ministry.one, "energy", {"engagement": "another"}),
    ):
        what = decision(ministry, authority, **changed)
        with pytest.raises((InvalidError, NotFoundError)):
            register.decide(actor, signed(ministry, actor, what, kind))
    with pytest.raises(InvalidError, match="No registered key"):
        register.decide(ministry.two, said)


def test_a_partner_has_access_with_everybodys_consent_until_it_ends(
    ministry: Ministry, clock: Any
) -> None:
    desk, register = ministry.desk, ministry.desk.hub.models.decisions
    partner, engagement = desk.strangers[1], ministry.engagement
    wanted = wire.PartnerAccess(
        developer="aurora",
        engagement=engagement,
        nonce="nonce-1234",
        not_before=desk.now() + HOUR,
        partner="other-institute",
        proposer="ministry",
        scope="defence of the grid",
        until=desk.now() + DAY,
        variants=("candidate",),
    )

    def by(actor: Actor, what: wire.PartnerAccess = wanted) -> bytes:
        return signed(ministry, actor, what, wire.PARTNER_TYPE)

    made = register.propose(desk.testers, by(desk.testers))
    assert register.propose(desk.testers, by(desk.testers)).id == made.id
    for blind in (ministry.one, desk.strangers[0]):
        with pytest.raises(NotFoundError):
            register.consent(blind, engagement, made.id, by(blind))
        with pytest.raises(NotFoundError):
            register.partners(blind, engagement)
    assert not register.consent(partner, engagement, made.id, by(partner)).in_force
    register.consent(desk.lab, engagement, made.id, by(desk.lab))
    [found] = register.partners(partner, engagement)
    assert (len(found.signed_by), found.in_force) == (3, False)
    clock.advance(2 * HOUR)
    [found] = register.partners(partner, engagement)
    assert found.in_force
    assert not register.end(desk.lab, engagement, made.id).in_force
    clock.advance(DAY)
    for changed in ({"variants": ("other",)}, {"partner": "nobody"}, {"proposer": "energy"}):
        stated = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
        with pytest.raises(InvalidError):
            register.propose(
                desk.testers, by(desk.testers, wire.PartnerAccess(**(stated | changed)))
            )


def test_departments_ask_nothing_while_the_agreement_does_not_stand(ministry: Ministry) -> None:
    desk, register = ministry.desk, ministry.desk.hub.models.departments
    register.add(desk.testers, ministry.engagement, part(desk, "energy"))
    view: EngagementView = ministry.view
    desk.hub.models.agreements.move(desk.lab, view.agreement.id, AgreementState.SUSPENDED)
    with pytest.raises(ConflictError, match="not in force"):
        register.ask(ministry.one, ministry.engagement, asking())
