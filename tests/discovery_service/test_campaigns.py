"""A campaign searches what its lease covers, once, and only its holder learns of it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.delivery.http import discovery as routes
from clearhold.discovery import running
from clearhold.discovery.campaigns import RUN
from clearhold.discovery.engine import (
    Crash,
    Ending,
    Engine,
    Engines,
    Plan,
    Progress,
    Searched,
    Standing,
    Start,
)
from clearhold.discovery.engine_libfuzzer import LibFuzzer
from clearhold.discovery.fuzzing import FuzzingEngine
from clearhold.discovery.service import DiscoveryService
from clearhold.discovery.static.analysers import ruff
from clearhold.discovery.static.engine_static import SOURCE, StaticEngine
from clearhold.discovery.tables import campaign
from clearhold.discovery.variants.engine_variants import VariantEngine
from clearhold.discovery.variants.flawed import FindingModels
from clearhold.kernel.errors import (
    ConflictError,
    DeniedError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from clearhold.kernel.ids import DiscoveryId
from clearhold.ledger.records import leaves
from clearhold.parties.terms import Act
from clearhold.scanning.model import Lease, Mode, Outcome, StopReason, Versions, make_scope

PACKAGE = "pkg:pypi/ujson"
VERSION = "5.1.0"
CRASH = b"KNOWN-CRASHING-INPUT"
MET = Crash(
    CRASH,
    "encode",
    Standing.CONFIRMED,
    "reproduced(no fix yet)",
    "Read it.",
    ("out-of-bounds", "f"),
)
CORPUS = {"a": b"seed-a", "b": b"seed-b"}
FOUND = Searched(Ending.FOUND, 5000, 97, 3, (MET,), corpus=CORPUS, log="SUMMARY: AddressSanitizer")
NOTHING = Searched(Ending.BUDGET, 9000, 80, 60, log="Done.")


class Died(BaseException):
    """The process ends here."""


@dataclass
class StandIn:
    """A searcher that answers what it was told to and keeps what it was asked."""

    answer: Searched | BaseException = FOUND
    asked: list[Plan] = field(default_factory=list)
    started: list[Start] = field(default_factory=list)
    during: Callable[[], None] = lambda: None
    reached: Progress = field(default_factory=lambda: Progress(1200, 40))

    def engine(self, name: str) -> Engine:
        return Engines((FuzzingEngine(LibFuzzer()), StaticEngine(ruff()), VariantEngine())).get(
            name
        )

    def targets(self, package: str, engine: str) -> tuple[str, ...]:
        if package != f"{PACKAGE}@{VERSION}":
            return ()
        return ("encode",) if engine == "libfuzzer" else (SOURCE,)

    def search(
        self,
        plan: Plan,
        start: Start,
        *,
        on_progress: Callable[[Progress], None],
        pulse: Callable[[], None],
    ) -> Searched:
        self.asked.append(plan)
        self.started.append(start)
        on_progress(self.reached)
        self.during()
        pulse()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@dataclass(frozen=True)
class Field:
    """A hub with that searcher, a target in its catalogue, and two labs."""

    hub: Hub
    engine: MemoryEngine
    searcher: StandIn
    service: DiscoveryService
    coordinator: Actor
    lab: Actor
    other: Actor

    def lease(self, technique: Technique = Technique.FUZZING, version: str = VERSION) -> Lease:
        scope = make_scope(PACKAGE, versions=Versions(exact=version), paths=(), technique=technique)
        return self.hub.scanning.claim(
            self.lab,
            scope,
            mode=Mode.EXCLUSIVE,
            window=timedelta(hours=8),
            budget_s=600,
            key=f"{technique}-{version}",
        ).lease

    def begin(self, lease: Lease, actor: Actor | None = None, **changes: Any) -> DiscoveryId:
        given = {
            "lease": lease.id,
            "fence": lease.fence,
            "package": f"{PACKAGE}@{VERSION}",
            "target": "encode",
            "seed": 7,
            "budget_s": 60,
            "key": "key-1",
        } | changes
        return self.service.begin(actor or self.lab, **given)

    def suspend(self) -> None:
        """Suspend the first lab from every agreement."""
        for each in self.hub.agreements.standings(self.lab):
            self.hub.agreements.bar(
                self.coordinator, each.agreement, self.lab.party, Act.SUSPEND, reason="harm"
            )

    def told(self, action: str) -> int:
        with self.hub.sessions.transaction() as unit:
            return sum(leaf.action == action for leaf in leaves(unit.connection))


@pytest.fixture
def ground(hub: Hub, engine: MemoryEngine, party_of: Callable[..., Actor]) -> Field:
    searcher = StandIn()
    service = DiscoveryService(
        hub.sessions,
        hub.vault,
        hub.scanning,
        searcher=searcher,
        models=FindingModels(hub.sessions, hub.vault, hub.findings, hub.validation),
    )
    engine.register(RUN, lambda ids: service.run(DiscoveryId(ids["campaign"])))
    coordinator = party_of(PartyKind.COORDINATOR)
    hub.catalogue.add(
        coordinator,
        PACKAGE,
        versions=(VERSION, "5.4.0"),
        techniques=(Technique.FUZZING, Technique.STATIC),
    )
    labs = (party_of(PartyKind.LAB, "lab-alpha"), party_of(PartyKind.LAB, "lab-beta"))
    return Field(hub, engine, searcher, service, coordinator, *labs)


def test_a_crash_is_kept_for_its_finder_and_reported_as_coverage(ground: Field) -> None:
    identity = ground.begin(ground.lease())
    ground.engine.run_due()
    view = ground.service.get(ground.lab, identity)
    assert (view.campaign.state, view.crash) == ("found", CRASH)
    assert (view.campaign.executions, view.campaign.edges) == (5000, 97)
    assert view.plan == Plan(f"{PACKAGE}@{VERSION}", "encode", 7, 60)
    assert "AddressSanitizer" in view.note
    (coverage,) = ground.hub.scanning.covering.list(ground.lab)
    assert coverage.outcome is Outcome.FOUND


def test_what_a_campaign_is_shown_with_names_a_crash_and_does_not_hold_it(ground: Field) -> None:
    identity = ground.begin(ground.lease())
    ground.engine.run_due()
    hub = replace(ground.hub, discovery=ground.service)
    shown = routes.one(hub, ground.lab, identity)
    held = base64.b64encode(CRASH).decode()
    assert held not in shown.model_dump_json()
    assert shown.crash == shown.crashes[0].number == 1
    assert shown.crashes[0].size == len(CRASH)
    assert shown.crashes[0].sha256 == hashlib.sha256(CRASH).hexdigest()
    assert routes.crash(hub, ground.lab, identity, 1).content == held


@pytest.mark.parametrize(
    ("answer", "state", "outcome"),
    [
        (NOTHING, "nothing_found", Outcome.NOTHING_FOUND),
        (UnavailableError("No sandbox.", next_step="Install one."), "failed", Outcome.ABORTED),
    ],
)
def test_a_search_without_a_crash_says_why(
    ground: Field, answer: Searched | Exception, state: str, outcome: Outcome
) -> None:
    ground.searcher.answer = answer
    identity = ground.begin(ground.lease())
    ground.engine.run_due()
    view = ground.service.get(ground.lab, identity)
    assert (view.campaign.state, view.crash) == (state, None)
    assert view.note
    (coverage,) = ground.hub.scanning.covering.list(ground.lab)
    assert coverage.outcome is outcome


def test_progress_shows_while_the_search_runs(ground: Field) -> None:
    identity = ground.begin(ground.lease())
    seen = []
    ground.searcher.during = lambda: seen.append(ground.service.get(ground.lab, identity).campaign)
    ground.engine.run_due()
    assert [(each.state, each.executions, each.edges) for each in seen] == [("running", 1200, 40)]


def test_a_campaign_cut_off_starts_again_with_its_seed(ground: Field) -> None:
    identity = ground.begin(ground.lease(), seed=None)
    ground.searcher.answer = Died()
    with pytest.raises(Died):
        ground.engine.run_due()
    ground.searcher.answer = FOUND
    ground.engine.run_due()
    first, second = ground.searcher.asked
    assert first == second
    assert 1 <= first.seed < 1 << 32
    assert ground.service.get(ground.lab, identity).campaign.state == "found"


def test_an_engine_that_fails_unforeseen_ends_the_campaign_with_what_it_had(ground: Field) -> None:
    identity = ground.begin(ground.lease())
    ground.searcher.reached = Progress(1200, 40, 3, (MET,), CORPUS)
    ground.searcher.answer = ValueError("a secret of the package")
    with pytest.raises(ValueError, match="secret"):
        ground.engine.run_due()
    view = ground.service.get(ground.lab, identity)
    assert (view.campaign.state, view.campaign.ending) == ("found", "failed")
    assert (view.crash, view.campaign.spent_s) == (CRASH, 3)
    assert "ValueError" in view.note
    assert "secret" not in view.note
    ground.engine.run_due()
    assert len(ground.searcher.asked) == 1


def test_a_stop_ends_a_campaign_whose_task_is_gone(ground: Field) -> None:
    identity = ground.begin(ground.lease())
    ground.searcher.answer = Died()
    with pytest.raises(Died):
        ground.engine.run_due()
    ground.engine._waiting.clear()
    ground.service.stop(ground.lab, identity)
    ground.service.stop(ground.lab, identity)
    assert ground.engine.run_due() == 1
    view = ground.service.get(ground.lab, identity)
    assert (view.campaign.state, view.campaign.executions) == ("stopped", 1200)
    assert len(ground.searcher.asked) == 1
    assert ground.told("discovery:campaign:end") == 1


def test_running_again_changes_nothing_that_ended(ground: Field) -> None:
    identity = ground.begin(ground.lease())
    ground.engine.run_due()
    before = ground.service.get(ground.lab, identity)
    ground.searcher.answer = NOTHING
    ground.service.run(identity)
    assert ground.service.get(ground.lab, identity) == before
    assert len(ground.searcher.asked) == 1
    assert len(ground.hub.scanning.covering.list(ground.lab)) == 1
    assert ground.told("discovery:campaign:end") == 1


def test_one_key_is_one_campaign(ground: Field) -> None:
    lease = ground.lease()
    identity = ground.begin(lease)
    assert ground.begin(lease) == identity
    ground.engine.run_due()
    assert ground.begin(lease) == identity
    assert ground.engine.run_due() == 0
    for change in ({"budget_s": 61}, {"seed": 8}):
        with pytest.raises(ConflictError):
            ground.begin(lease, **change)
    assert ground.begin(lease, seed=None) == identity
    assert ground.begin(lease, key="key-2") != identity


def test_a_campaign_needs_a_lease_of_ones_own_that_covers_it(ground: Field) -> None:
    reading, elsewhere = ground.lease(Technique.STATIC), ground.lease(version="5.4.0")
    lease = ground.lease()
    refused = [
        {"lease": reading},
        {"lease": elsewhere},
        {"lease": lease, "fence": lease.fence + 1},
        {"lease": lease, "actor": ground.other},
    ]
    for asked in refused:
        with pytest.raises(ConflictError) as told:
            ground.begin(**asked)  # type: ignore[arg-type]
        assert told.value.next_step
    assert ground.service.list(ground.lab) == ()
    assert ground.engine.run_due() == 0


@pytest.mark.parametrize("ending", ["released", "revoked", "lapsed"])
def test_a_lease_that_ended_covers_nothing(ground: Field, clock: Any, ending: str) -> None:
    lease = ground.lease()
    if ending == "released":
        ground.hub.scanning.release(ground.lab, lease.id, fence=lease.fence)
    elif ending == "revoked":
        ground.hub.scanning.revoke(ground.coordinator, PACKAGE, reason=StopReason.HARM)
    else:
        clock.advance(timedelta(hours=2))
    with pytest.raises(ConflictError):
        ground.begin(lease)


def test_a_revoked_lease_stops_a_campaign_that_has_not_begun(ground: Field) -> None:
    identity = ground.begin(ground.lease())
    ground.hub.scanning.revoke(ground.coordinator, PACKAGE, reason=StopReason.OWNER_OPTED_OUT)
    ground.engine.run_due()
    assert ground.searcher.asked == []
    assert ground.service.get(ground.lab, identity).campaign.state == "stopped"


@pytest.mark.parametrize("when", ["before it begins", "while it searches"])
def test_a_suspended_party_searches_no_further(
    ground: Field, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(running, "_PULSE_S", 0.0)
    identity = ground.begin(ground.lease())
    if when == "before it begins":
        ground.suspend()
    else:
        ground.searcher.during = ground.suspend
    ground.engine.run_due()
    with ground.hub.sessions.transaction() as unit:
        row = unit.connection.execute(select(campaign).where(campaign.c.id == identity)).one()
    assert (row.state, row.ending) == ("stopped", "lease")
    assert len(ground.searcher.asked) == (0 if when == "before it begins" else 1)


UNSEARCHABLE: list[dict[str, Any]] = [
    {"budget_s": 0},
    {"budget_s": 24 * 3600 + 1},
    {"seed": 0},
    {"seed": -1},
    {"seed": 1 << 32},
    {"target": "no-such-target"},
    {"package": f"{PACKAGE}@5.4.0"},
    {"package": PACKAGE},
    {"package": "not a purl"},
]


def test_what_cannot_be_searched_is_refused(ground: Field, subtests: pytest.Subtests) -> None:
    lease = ground.lease()
    for change in UNSEARCHABLE:
        with subtests.test(change=change):
            with pytest.raises(InvalidError) as told:
                ground.begin(lease, **change)
            assert told.value.next_step


def test_another_party_can_see_none_of_it(ground: Field) -> None:
    identity = ground.begin(ground.lease())
    ground.engine.run_due()
    answers = set()
    for asked in (identity, DiscoveryId("00000000-0000-7000-8000-000000000000")):
        with pytest.raises(NotFoundError) as told:
            ground.service.get(ground.other, asked)
        answers.add((told.value.message, told.value.next_step))
    assert len(answers) == 1
    assert ground.service.list(ground.other) == ()
    with pytest.raises(DeniedError):
        ground.service.get(ground.coordinator, identity)


def test_a_party_fetches_what_it_keeps_for_a_target_and_nobody_else_does(ground: Field) -> None:
    identity = ground.begin(ground.lease())
    assert ground.service.corpus(ground.lab, identity) == ()
    ground.engine.run_due()
    assert ground.service.corpus(ground.lab, identity) == (b"seed-a", b"seed-b")
    with pytest.raises(NotFoundError):
        ground.service.corpus(ground.other, identity)
    with pytest.raises(DeniedError):
        ground.service.corpus(ground.coordinator, identity)


def test_nothing_secret_of_a_campaign_lies_open_in_its_row(ground: Field) -> None:
    ground.begin(ground.lease())
    ground.engine.run_due()
    with ground.hub.sessions.transaction() as unit:
        rows = repr(unit.connection.execute(select(campaign)).all())
    for secret in ("ujson", "encode", "KNOWN-CRASH", "AddressSanitizer"):
        assert secret not in rows
