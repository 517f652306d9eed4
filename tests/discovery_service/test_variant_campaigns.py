"""Variants are looked for by those who may read the finding, and only while they may."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from test_campaigns import ground as ground  # noqa: PLC0414  # a fixture of that module
from test_leads_of_campaigns import Bench
from test_leads_of_campaigns import bench as bench  # noqa: PLC0414  # likewise

from clearhold.access.model import Actor
from clearhold.access.tables import compartment_grant
from clearhold.discovery.engine import Ending, Searched
from clearhold.discovery.variants.flawed import FindingModel
from clearhold.kernel.errors import ConflictError, InvalidError, NotFoundError
from clearhold.kernel.ids import DiscoveryId


@dataclass
class Models:
    """Variants of one finding, asked for by its own lab."""

    bench: Bench

    def begin(self, finding: str, actor: Actor | None = None, key: str = "v") -> DiscoveryId:
        return self.bench.ground.begin(
            self.bench.lease,
            actor,
            engine="variants",
            target="source",
            options={"finding": finding},
            key=key,
        )

    def told(self) -> list[FindingModel | None]:
        return [each.model for each in self.bench.ground.searcher.started]


@pytest.fixture
def models(bench: Bench) -> Models:
    bench.ground.searcher.answer = Searched(Ending.DONE)
    return Models(bench)


def test_the_engine_is_given_what_the_finding_names(models: Models) -> None:
    finding = models.bench.finding(signature=("parse_list", "read_all"))
    models.begin(finding)
    models.bench.ground.engine.run_due()
    (model,) = models.told()
    assert model is not None
    assert (model.finding, model.names) == (finding, ("parse_list", "read_all"))


def test_who_may_not_read_a_finding_is_answered_as_if_there_were_none(models: Models) -> None:
    finding = models.bench.finding(signature=("parse_list",))
    answers = set()
    for asked in (finding, "00000000-0000-7000-8000-000000000000"):
        with pytest.raises(NotFoundError) as told:
            models.begin(asked, models.bench.ground.other)
        answers.add((told.value.message, told.value.next_step))
    assert len(answers) == 1
    assert models.told() == []


def test_what_was_not_reproduced_or_names_no_place_has_no_variants(models: Models) -> None:
    for finding in (
        models.bench.finding(shown=False, signature=("parse_list",)),
        models.bench.finding(),
    ):
        with pytest.raises(ConflictError) as told:
            models.begin(finding)
        assert told.value.next_step
    with pytest.raises(InvalidError):
        models.begin("no-id")


def test_who_is_no_longer_read_in_when_it_runs_learns_nothing(models: Models) -> None:
    finding = models.bench.finding(signature=("parse_list",))
    identity = models.begin(finding)
    hub, lab = models.bench.ground.hub, models.bench.ground.lab
    with hub.sessions.transaction() as unit:
        within = hub.findings.head(unit, finding).compartment
        unit.connection.execute(
            compartment_grant.update()
            .where(compartment_grant.c.compartment == within)
            .values(revoked_at=unit.now)
        )
    models.bench.ground.engine.run_due()
    assert models.told() == []
    view = models.bench.ground.service.get(lab, identity)
    assert view.campaign.state == "failed"
    assert "parse_list" not in view.note
