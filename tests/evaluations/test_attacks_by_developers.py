"""A developer who would rather not be measured, and one who breaks what both sides read."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from desk_scene import HOUR
from gateway_scene import ONE_DATABASE, Gate, Model

from clearhold.evaluations.model import Act, EngagementState
from clearhold.wire.model_agreement import Variant
from scripted_model import Endpoint

VARIANTS = tuple(
    Variant(commitment="", name=name, safeguards="release") for name in ("candidate", "second")
)


def outcomes(gate: Gate) -> list[tuple[str, str]]:
    return [(each.round, each.outcome) for each in gate.get().rounds]


@ONE_DATABASE
def test_to_serve_one_variant_more_or_less_hides_no_other_model(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.open(served, variants=VARIANTS)
    gate.act(gate.testers, gate.view, Act.BEGIN)

    def serve(*names: str) -> None:
        body = gate.body(served, models={each: f"{each}-internal" for each in names})
        gate.hub.models.provisioning.register(gate.lab, gate.id, body)
        gate.pass_time(HOUR)

    serve("candidate", "second")
    serve("second")
    assert [each for _, each in outcomes(gate)] == ["same", "same", "same"]
    model.name = "borealis"
    serve("candidate")
    assert outcomes(gate)[-1] == ("endpoint", "different")
    assert gate.state() is EngagementState.INCIDENT_HOLD


@ONE_DATABASE
def test_a_round_stops_asking_when_the_developer_switches_off_and_can_be_asked_anew(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.provisioned(served)
    switch = gate.hub.models.provisioning.switch

    def off() -> None:
        if len(served.asked) == 3:
            switch(gate.lab, gate.id, off=True)

    model.meanwhile = off
    gate.hub.models.rounds.ask(gate.testers, gate.id)
    gate.engine.run_due()
    assert len(served.asked) == 3
    assert outcomes(gate) == []
    switch(gate.lab, gate.id, off=False)
    model.meanwhile = lambda: None
    gate.pass_time(HOUR)
    gate.hub.models.rounds.ask(gate.testers, gate.id)
    gate.engine.run_due()
    assert gate.state() is EngagementState.ACCESS_VERIFIED


@ONE_DATABASE
def test_no_clock_starts_while_access_is_off(gate: Gate, served: Endpoint, model: Model) -> None:
    gate.provisioned(served)

    def off() -> None:
        if len(served.asked) == 32:  # the last prompt of the first round
            gate.hub.models.provisioning.switch(gate.lab, gate.id, off=True)

    model.meanwhile = off
    gate.hub.models.rounds.ask(gate.testers, gate.id)
    gate.engine.run_due()
    assert outcomes(gate) == [("start", "same")]
    assert gate.state() is EngagementState.PROVISIONING


@ONE_DATABASE
def test_a_second_endpoint_is_measured_while_a_round_of_the_first_is_under_way(
    gate: Gate, served: Endpoint, model: Model
) -> None:
    gate.open(served)
    desk = gate.hub.models.provisioning
    before = len(served.asked)

    def again() -> None:
        if len(served.asked) == before + 2:
            desk.register(gate.lab, gate.id, gate.body(served))

    model.meanwhile = again
    desk.register(gate.lab, gate.id, gate.body(served))
    gate.engine.run_due()
    assert outcomes(gate)[-1] == ("endpoint", "same")
    gate.call()


@ONE_DATABASE
def test_a_grant_from_before_all_years_can_be_read(gate: Gate, served: Endpoint) -> None:
    gate.provisioned(served)
    gate.hub.models.provisioning.withdraw_grant(gate.lab, gate.id, gate.grant)
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
    assert gate.give(begins_at=first).begins_at == gate.now()
    assert len(gate.get().grants) == 2
