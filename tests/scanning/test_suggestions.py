"""What to scan next: wishes first, leases respected, exposure only in classes of three or more."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from clearhold.access.model import Actor
from clearhold.access.permissions import PartyKind
from clearhold.adapters.engine_memory import MemoryEngine
from clearhold.assembly.hub import Hub
from clearhold.catalogue.model import Technique
from clearhold.inventory.model import AssetProfile
from clearhold.kernel.errors import ConflictError, DeniedError, LimitError
from clearhold.parties.wish import Channel, Wishes
from clearhold.scanning.coverage_model import NewCoverage
from clearhold.scanning.model import Mode, Outcome, Versions, make_scope
from clearhold.scanning.suggestions import (
    MOST_ASKED_A_DAY,
    MOST_IN_PACKAGE,
    MOST_SUGGESTED,
    Suggestions,
)

NAMES = ("alpha", "beta", "gamma")
Parties = Callable[..., Actor]
OPTIONS = {"mode": Mode.EXCLUSIVE, "window": timedelta(hours=4), "budget_s": 60}


@pytest.fixture
def lab(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "lab-alpha")


@pytest.fixture
def rival(party_of: Parties) -> Actor:
    return party_of(PartyKind.LAB, "lab-beta")


@pytest.fixture
def coordinator(hub: Hub, party_of: Parties) -> Actor:
    coordinator = party_of(PartyKind.COORDINATOR, "coordinator")
    for name in NAMES:
        hub.catalogue.add(
            coordinator,
            f"pkg:pypi/{name}",
            versions=("1.0", "2.0"),
            techniques=(Technique.FUZZING, Technique.STATIC),
            paths=("lib/a.c",),
        )
    return coordinator


def packages(found: Suggestions) -> list[str]:
    return [each.scope.package.name for each in found.scans]


def run_next_count(engine: MemoryEngine, clock: Any) -> None:
    engine.run_due()
    clock.advance(timedelta(days=7))
    engine.run_due()


def operators(hub: Hub, party_of: Parties, count: int, *names: str) -> list[Actor]:
    """Operators who run packages; each also has a second inventory, which counts no more."""
    made = []
    for _ in range(count):
        actor = party_of(PartyKind.OPERATOR)
        parts = [
            {"type": "library", "name": name, "version": "1.0", "purl": f"pkg:pypi/{name}@1.0"}
            for name in names
        ]
        bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": parts}
        for place in ("one", "two"):
            hub.inventories.upload(
                actor,
                name=place,
                document=json.dumps(bom).encode(),
                profile=AssetProfile(),
                key=place,
            )
        made.append(actor)
    return made


def exposure_of(hub: Hub, lab: Actor, name: str) -> int:
    """The points that exposure gives a package, as a lab is told them."""
    found = hub.scanning.suggestions.next(lab).scans
    for each in found:
        if each.scope.package.name == name:
            return next(term.points for term in each.candidate.terms if term.name == "exposure")
    return -1


def test_what_is_suggested_can_be_claimed_and_says_why(
    hub: Hub, lab: Actor, coordinator: Actor
) -> None:
    found = hub.scanning.suggestions.next(lab)
    assert len(found.scans) == MOST_SUGGESTED
    for name in NAMES:
        assert packages(found).count(name) <= MOST_IN_PACKAGE
    for n, each in enumerate(found.scans):
        assert {term.name for term in each.candidate.terms} == {
            "staleness",
            "technique gap",
            "exposure",
            "history",
            "newness",
        }
        assert hub.scanning.claim(lab, each.scope, key=f"k{n}", **OPTIONS).lease.party  # type: ignore[arg-type]
    only = hub.scanning.suggestions.next(lab, technique=Technique.STATIC)
    assert {each.scope.technique for each in only.scans} == {Technique.STATIC}


def test_nothing_is_suggested_that_is_leased_and_nothing_says_so(
    hub: Hub, lab: Actor, rival: Actor, coordinator: Actor
) -> None:
    first = hub.scanning.suggestions.next(rival).scans[0]
    held = hub.scanning.claim(lab, first.scope, key="k", **OPTIONS).lease  # type: ignore[arg-type]
    after = hub.scanning.suggestions.next(rival)
    assert first.scope not in [each.scope for each in after.scans]
    for secret in (lab.party, held.id, "leased", "taken"):
        assert secret not in repr(after)
    scores = {each.candidate.key: each.candidate.score for each in after.scans}
    assert set(scores.values()) == {first.candidate.score} | set(scores.values())


def test_a_party_is_not_sent_back_to_what_it_scanned_itself_in_private(
    hub: Hub, lab: Actor, rival: Actor, coordinator: Actor
) -> None:
    first = hub.scanning.suggestions.next(lab).scans[0]
    before = hub.scanning.suggestions.next(rival).scans
    lease = hub.scanning.claim(lab, first.scope, key="k", **OPTIONS).lease  # type: ignore[arg-type]
    new = NewCoverage(Outcome.NOTHING_FOUND, {}, "ab" * 32)
    hub.scanning.report_coverage(lab, lease.id, fence=lease.fence, new=new)
    hub.scanning.release(lab, lease.id, fence=lease.fence)
    assert hub.scanning.suggestions.next(lab).scans[0].scope != first.scope
    assert hub.scanning.suggestions.next(rival).scans == before


def test_questions_are_counted_by_day_and_party(
    hub: Hub, lab: Actor, rival: Actor, coordinator: Actor, clock: Any
) -> None:
    for left in reversed(range(MOST_ASKED_A_DAY)):
        assert hub.scanning.suggestions.next(lab).questions_left == left
    for _ in range(2):
        with pytest.raises(LimitError):
            hub.scanning.suggestions.next(lab)
    assert hub.scanning.suggestions.next(rival).scans
    clock.advance(timedelta(days=1))
    assert hub.scanning.suggestions.next(lab).scans
    with pytest.raises(DeniedError):
        hub.scanning.suggestions.next(coordinator)


class World:
    """A vendor's packages, what it wishes about them, and a lab that scans."""

    def __init__(self, hub: Hub, party_of: Parties) -> None:
        self.hub = hub
        self.coordinator = party_of(PartyKind.COORDINATOR, f"c-{uuid.uuid4().hex[:12]}")
        self.vendor, self.lab = party_of(PartyKind.VENDOR), party_of(PartyKind.LAB)
        self.unwanted: set[str] = set()
        for name in NAMES:
            self.list(name)
            hub.verification.confirm(
                self.coordinator, self.vendor.party, f"pkg:pypi/{name}", reason="known"
            )

    def list(self, name: str) -> None:
        self.hub.catalogue.add(
            self.coordinator,
            f"pkg:pypi/{name}",
            versions=("1.0",),
            techniques=(Technique.FUZZING,),
            paths=(),
        )

    def no_scan(self, name: str) -> None:
        self.hub.wishes.wish(self.vendor, f"pkg:pypi/{name}", Wishes(do_not_scan=True))
        self.unwanted.add(name)

    def no_contact(self, name: str) -> None:
        self.hub.wishes.wish(self.vendor, f"pkg:pypi/{name}", Wishes(do_not_contact=True))
        self.unwanted.add(name)

    def take_back(self, name: str) -> None:
        if name in self.unwanted:
            self.hub.wishes.take_back(self.vendor, f"pkg:pypi/{name}")
            self.unwanted.discard(name)

    def cover(self, name: str, *, released: bool = True) -> None:
        """Claim what is suggested of a package; release it unless it shall stay leased."""
        for each in self.hub.scanning.suggestions.next(self.lab).scans:
            if each.scope.package.name == name:
                key = uuid.uuid4().hex
                lease = self.hub.scanning.claim(self.lab, each.scope, key=key, **OPTIONS).lease  # type: ignore[arg-type]
                if released:
                    new = NewCoverage(Outcome.ABORTED, {}, "ab" * 32)
                    self.hub.scanning.report_coverage(
                        self.lab, lease.id, fence=lease.fence, new=new
                    )
                    self.hub.scanning.release(self.lab, lease.id, fence=lease.fence)
                return

    def claim(self, name: str) -> None:
        self.cover(name, released=False)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["no_scan", "no_contact", "take_back", "claim", "cover", "list"]),
        st.sampled_from(NAMES),
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_what_its_owner_does_not_want_scanned_is_suggested_in_no_state_of_things(
    *, hub: Hub, party_of: Parties, clock: Any, steps: list[tuple[str, str]]
) -> None:
    world = World(hub, party_of)
    for step, name in steps:
        getattr(world, step)(name)
        found = hub.scanning.suggestions.next(world.lab)
        assert world.unwanted.isdisjoint(packages(found))
    for name in NAMES:  # the examples share one hub
        world.take_back(name)
    clock.advance(timedelta(hours=5))


def test_a_wish_for_anything_else_leaves_a_package_in_the_suggestions(
    hub: Hub, party_of: Parties, lab: Actor, coordinator: Actor
) -> None:
    vendor = party_of(PartyKind.VENDOR)
    hub.verification.confirm(coordinator, vendor.party, "pkg:pypi/beta", reason="known")
    hub.wishes.wish(vendor, "pkg:pypi/beta", Wishes(channels=(Channel.HUB,)))
    assert "beta" in packages(hub.scanning.suggestions.next(lab))


def test_exposure_counts_once_three_operators_agree_and_only_from_real_inventories(
    *,
    hub: Hub,
    party_of: Parties,
    lab: Actor,
    coordinator: Actor,
    engine: MemoryEngine,
    clock: Any,
) -> None:
    runners = operators(hub, party_of, 3, "gamma")
    bystanders = operators(hub, party_of, 5, "beta")
    for actor in runners[:2]:
        assert hub.inventory_sharing.share(actor, wanted=True)
    run_next_count(engine, clock)
    assert exposure_of(hub, lab, "gamma") == 0  # two agreed; the third and the others did not
    hub.inventory_sharing.share(runners[2], wanted=True)
    engine.run_due()
    assert exposure_of(hub, lab, "gamma") == 0  # not before the next weekly count
    run_next_count(engine, clock)
    assert exposure_of(hub, lab, "gamma") > 0
    assert packages(hub.scanning.suggestions.next(lab))[0] == "gamma"
    assert exposure_of(hub, lab, "beta") in {0, -1}
    assert not hub.inventory_sharing.shares(bystanders[0])
    hub.inventory_sharing.share(runners[0], wanted=False)
    run_next_count(engine, clock)
    assert exposure_of(hub, lab, "gamma") == 0


def test_an_inventory_that_no_longer_holds_a_package_no_longer_counts(
    *,
    hub: Hub,
    party_of: Parties,
    lab: Actor,
    coordinator: Actor,
    engine: MemoryEngine,
    clock: Any,
) -> None:
    runners = operators(hub, party_of, 3, "gamma")
    for actor in runners:
        hub.inventory_sharing.share(actor, wanted=True)
    run_next_count(engine, clock)
    assert exposure_of(hub, lab, "gamma") > 0
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}
    for place in ("one", "two"):
        hub.inventories.upload(
            runners[0],
            name=place,
            document=json.dumps(bom).encode(),
            profile=AssetProfile(),
            key=f"again-{place}",
        )
    run_next_count(engine, clock)
    assert exposure_of(hub, lab, "gamma") == 0


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=10))
def test_whatever_is_agreed_and_withdrawn_no_class_stands_on_fewer_than_three(
    *,
    hub: Hub,
    party_of: Parties,
    engine: MemoryEngine,
    clock: Any,
    database: Engine,
    changes: list[tuple[int, bool, bool]],
) -> None:
    coordinator = party_of(PartyKind.COORDINATOR, f"c-{uuid.uuid4().hex[:12]}")
    hub.catalogue.add(
        coordinator,
        "pkg:pypi/gamma",
        versions=("1.0",),
        techniques=(Technique.FUZZING,),
        paths=(),
    )
    runners = operators(hub, party_of, 4, "gamma")
    sharing: set[int] = set()

    def classes() -> list[str]:
        with database.begin() as connection:
            rows = connection.execute(text("SELECT operators FROM scan_exposure"))
            return list(rows.scalars())

    run_next_count(engine, clock)
    assert classes() == []
    told = [classes()]
    for who, wanted, counted in changes:
        hub.inventory_sharing.share(runners[who], wanted=wanted)
        (sharing.add if wanted else sharing.discard)(who)
        engine.run_due()
        assert classes() == told[-1]  # a change of mind alone shows nothing
        if counted:
            run_next_count(engine, clock)
            told.append(classes())
            # Three and four agreed look the same.
            assert told[-1] == (["3+"] if len(sharing) >= 3 else [])
    for who in range(4):
        hub.inventory_sharing.share(runners[who], wanted=False)
    run_next_count(engine, clock)
    assert classes() == []
    assert all(one in ([], ["3+"]) for pair in pairwise(told) for one in pair)


def test_asking_costs_as_many_queries_whatever_the_maps_hold(
    hub: Hub, lab: Actor, rival: Actor, coordinator: Actor, database: Engine
) -> None:
    def queries() -> int:
        count = 0

        def one_more(*_given: object) -> None:
            nonlocal count
            count += 1

        event.listen(database, "before_cursor_execute", one_more)
        hub.scanning.suggestions.next(rival)
        event.remove(database, "before_cursor_execute", one_more)
        return count

    def cover(times: int) -> None:
        for n in range(times):
            scan = hub.scanning.suggestions.next(lab).scans[0]
            lease = hub.scanning.claim(lab, scan.scope, key=f"{times}-{n}", **OPTIONS).lease  # type: ignore[arg-type]
            new = NewCoverage(Outcome.NOTHING_FOUND, {}, "ab" * 32, sharing="shared")  # type: ignore[arg-type]
            hub.scanning.report_coverage(lab, lease.id, fence=lease.fence, new=new)
            hub.scanning.release(lab, lease.id, fence=lease.fence)

    cover(2)
    queries()
    before = queries()
    cover(12)
    assert queries() == before <= 40


def test_a_refused_claim_is_offered_the_most_worthwhile_of_what_is_free_elsewhere(
    *,
    hub: Hub,
    party_of: Parties,
    lab: Actor,
    rival: Actor,
    coordinator: Actor,
    engine: Any,
    clock: Any,
) -> None:
    for actor in operators(hub, party_of, 3, "gamma"):
        hub.inventory_sharing.share(actor, wanted=True)
    run_next_count(engine, clock)
    taken = make_scope(
        "pkg:pypi/alpha",
        versions=Versions(exact="2.0"),
        paths=(),
        technique=Technique.FUZZING,
    )
    hub.scanning.claim(lab, taken, key="k", **OPTIONS)  # type: ignore[arg-type]
    with pytest.raises(ConflictError) as refused:
        hub.scanning.claim(rival, taken, key="r", **OPTIONS)  # type: ignore[arg-type]
    free: Any = refused.value.facts["free"]
    elsewhere = [each["package"] for each in free if "alpha" not in each["package"]]
    assert elsewhere[0] == "pkg:pypi/gamma"
