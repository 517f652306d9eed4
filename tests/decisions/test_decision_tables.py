"""The coded tables are the published ones, row by row."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from pathlib import Path

import pytest

from clearhold.kernel.decisions import (
    Assumption,
    Decision,
    DecisionPoint,
    DecisionTable,
    bod_26_04,
    human_impact,
    ssvc_deployer,
)
from clearhold.kernel.errors import InvalidError

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "reference" / "ssvc"
TABLES = {
    "cisa_bod_26_04_1_0_0.json": bod_26_04.TABLE,
    "deployer_patch_application_priority_1_0_0.json": ssvc_deployer.TABLE,
    "human_impact_1_0_0.json": human_impact.TABLE,
}


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_the_published_one(name: str) -> None:
    path = PUBLISHED / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    table = TABLES[name]
    published = json.loads(path.read_text())
    assert table.id == ":".join(published[part] for part in ("namespace", "key", "version"))
    assert table.version == published["version"]
    assert table.outcome.id == published["outcome"]
    for point in (*table.inputs, table.outcome):
        theirs = published["decision_points"][point.id]["values"]
        assert list(point.values) == [value["key"] for value in theirs]
    assert len(published["mapping"]) == len(table.rows)
    for row in published["mapping"]:
        inputs = {point.name: row[point.id] for point in table.inputs}
        assert table.decide(inputs).outcome == row[table.outcome.id], row


def test_an_exploited_exposed_automatable_flaw_that_gives_control_has_three_days() -> None:
    decision = bod_26_04.decide(
        known_exploited="Y", publicly_exposed="Y", automatable="Y", technical_impact="T"
    )
    assert (decision.outcome, decision.rank) == ("3DF", 4)
    assert bod_26_04.allowed_time(decision.outcome) == timedelta(days=3)
    assert decision.assumed == ()


def test_an_unexploited_internal_flaw_waits_for_the_next_upgrade() -> None:
    decision = bod_26_04.decide(
        known_exploited="N", publicly_exposed="N", automatable="N", technical_impact="T"
    )
    assert decision.outcome == "FSU"
    assert bod_26_04.allowed_time("FSU") is None


def test_a_deployer_acts_at_once_when_an_open_hospital_is_attacked() -> None:
    decision = ssvc_deployer.decide(
        exploitation="A", system_exposure="O", automatable="N", human_impact="VH"
    )
    assert decision.outcome_name == "immediate"


def test_human_impact_of_a_failing_mission_is_very_high() -> None:
    assert human_impact.decide(safety_impact="N", mission_impact="MF").outcome == "VH"


def test_an_unknown_input_is_decided_at_its_worst_and_said_so() -> None:
    decision = bod_26_04.decide(
        known_exploited="N", publicly_exposed="Y", automatable="unknown", technical_impact="unknown"
    )
    assert decision.outcome == "3D"
    assert decision.assumed == (Assumption("automatable", "Y"), Assumption("technical_impact", "T"))
    assert decision.inputs["automatable"] == "unknown"
    assert decision.table_id == "cisa:DT_BOD2604:1.0.0"


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.id)
def test_ignorance_never_lowers_a_priority(table: DecisionTable) -> None:
    scales = [list(point.values) for point in table.inputs]
    names = [point.name for point in table.inputs]

    def decide(values: tuple[str, ...]) -> Decision:
        return table.decide(dict(zip(names, values, strict=True)))

    for values in itertools.product(*scales):
        known = decide(values)
        for i in range(len(names)):
            blind = decide((*values[:i], "unknown", *values[i + 1 :]))
            assert blind.rank >= known.rank


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"safety_impact": "N"},
        {"safety_impact": "N", "mission_impact": "X"},
        {"safety_impact": "N", "mission_impact": "D", "weather": "fine"},
    ],
)
def test_missing_stray_and_unknown_inputs_are_refused(inputs: dict[str, str]) -> None:
    with pytest.raises(InvalidError) as caught:
        human_impact.TABLE.decide(inputs)
    assert caught.value.next_step


def test_an_incomplete_table_cannot_be_made() -> None:
    scale = DecisionPoint("x:A:1", "a", {"N": "no", "Y": "yes"})
    with pytest.raises(InvalidError):
        DecisionTable("x", "1", "here", (scale,), scale, ("N",))
    with pytest.raises(InvalidError):
        DecisionTable("x", "1", "here", (scale,), scale, ("N", "Q"))


def test_an_outcome_of_another_table_has_no_time() -> None:
    with pytest.raises(InvalidError):
        bod_26_04.allowed_time("immediate")
